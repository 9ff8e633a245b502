/** A small regression for tests of loops: with dropout, and with state. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ExecutionContext } from 'ava';
import * as tl from '../../src/index.js';

export const [ROWS, DEPTH] = [8, 4];

export function batch(seed: number): tl.Tensor[] {
  const x = tl.random.normal([1, seed], [ROWS, DEPTH]);
  return [x, x.sum({ axis: 1, keepdims: true }).sin(), tl.ones([ROWS, 1])];
}

export function* batches(from = 0): Generator<tl.Tensor[]> {
  for (let seed = from; ; seed++) yield batch(seed);
}

export const model = (): tl.Layer<tl.Tensor, 1> =>
  tl.Serial(tl.Dense(8), tl.Tanh(), tl.BatchNorm({ axis: [0] }), tl.Dropout({ rate: 0.2 }), tl.Dense(1));

export const adam = (): tl.Optimizer => tl.optimizers.Adam({ learningRate: 0.01 });

/** A task that is evaluated and saved at step 1 and every fourth. */
export const task = (
  data: tl.training.LabeledData = batches(),
  options: tl.training.TrainTaskOptions = {},
): tl.training.TrainTask =>
  new tl.training.TrainTask(data, tl.L2Loss(), adam(), { nStepsPerCheckpoint: 4, ...options });

/** A loop of one such task. */
export const loopOf = (
  options: Partial<tl.training.LoopOptions> = {},
  data: tl.training.LabeledData = batches(),
): tl.training.Loop => new tl.training.Loop(model(), task(data), { randomSeed: 3, ...options });

/** A folder that is gone after the test. */
export async function folder(t: ExecutionContext): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'tallow-loop-'));
  t.teardown(() => rm(made, { recursive: true, force: true }));
  return made;
}
