/** Runs of training that stop and go on; as a program, those that go on. */
import { createHash } from 'node:crypto';
import * as tl from '../../src/index.js';
import { f32, values } from './values.js';

/** Steps of a whole run. */
export const STEPS = 30;
/** After how many of them a run is cut. */
export const CUTS: readonly number[] = [1, 2, 5, 8, 12, 15, 17, 22, 26, 29];

const loss = (): tl.Layer => tl.Fn('loss', (x: tl.Tensor) => x.sub(0.5).square().mean());
const mode: tl.Mode = 'train';

/** Models of layers that draw, that count, and that remember. */
export const models: Readonly<Record<string, () => tl.Layer>> = {
  dense: () => tl.Serial(tl.Dense(8), tl.Dropout({ rate: 0.3 }), tl.BatchNorm({ axis: [0, 1] }), tl.Dense(2), loss()),
  recurrent: () => tl.Serial(tl.LSTM(4), tl.Dropout({ rate: 0.2 }), tl.GRU(4), loss()),
  hashing: () =>
    tl.Serial(
      tl.LSHSelfAttention({
        nHeads: 2,
        dQk: 4,
        dV: 4,
        chunkLen: 4,
        nHashes: 2,
        nBuckets: 4,
        attentionDropout: 0.2,
        outputDropout: 0.1,
        mode,
      }),
      loss(),
    ),
};

interface Run {
  readonly trainer: tl.Trainer;
  readonly data: tl.data.Dataset<tl.Tensor[]>;
  readonly batches: AsyncIterator<tl.Tensor[], undefined>;
  readonly rng: tl.Key;
}

/** A run from its beginning, or with data from where it stood. */
export function begin(kind: string, state?: tl.data.DatasetState): Run {
  const layer = models[kind]!();
  layer.init(f32([6, 8, 4]), { rng: [3, 3] });
  const rows = tl
    .arange(40 * 8 * 4)
    .cast('float32')
    .sin()
    .reshape([40, 8, 4]);
  const data = tl.data
    .fromTensors([rows])
    .repeat()
    .shuffle({ rng: [4, 4], bufferSize: 16 })
    .batch(6);
  if (state !== undefined) data.restore(state);
  return {
    trainer: new tl.Trainer(layer, tl.optimizers.Adam({ learningRate: 0.01 })),
    data,
    batches: data[Symbol.asyncIterator](),
    rng: [5, 5],
  };
}

/** The next batches, and no more. */
async function* next({ batches }: Run, count: number): AsyncGenerator<tl.Tensor[]> {
  for (let i = 0; i < count; i++) {
    const { value, done } = await batches.next();
    if (done === true) return;
    yield value;
  }
}

/** Makes the steps from one number to another. */
export async function go(run: Run, from: number, to: number): Promise<void> {
  const { trainer, rng } = run;
  await trainer.fit(next(run, to - from), {
    steps: to - from,
    firstStep: from,
    rng,
    schedule: tl.lrSchedules.warmupAndRsqrtDecay(10, 0.02),
  });
}

/** What a run has come to, to the last bit. */
export function digest({ trainer }: Run): string {
  const { weights, state } = trainer.modelWithLoss;
  const all = JSON.stringify([values(weights), values(state), values(trainer.slots)]);
  return createHash('sha256').update(all).digest('hex');
}

const isPlace = (x: unknown): x is tl.data.DatasetState => typeof x === 'object' && x !== null && !Array.isArray(x);
const isKey = (x: unknown): x is readonly [number, number] =>
  Array.isArray(x) && x.length === 2 && x.every((word) => typeof word === 'number');

/** Goes on from a file to the end of a run. */
export async function resume(kind: string, path: string): Promise<string> {
  const { notes } = await tl.training.checkpointInfo(path);
  const { data, rng } = notes ?? {};
  if (!isPlace(data) || !isKey(rng)) throw new TypeError(`${path} has no notes of a run`);
  const run = { ...begin(kind, data), rng };
  const from = await run.trainer.load(path);
  await go(run, from, STEPS);
  return digest(run);
}

async function main(threads: number, files: readonly string[]): Promise<void> {
  tl.setNumThreads(threads);
  const out: string[] = [];
  for (const file of files) out.push(await resume(file.split('/').at(-1)!.split('-')[0]!, file));
  console.log(JSON.stringify(out));
}

if (process.argv[1] === __filename) void main(Number(process.argv[2]), process.argv.slice(3));
