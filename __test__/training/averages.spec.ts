/** Loops that evaluate with averages of the weights, and loops whose steps take several batches. */
import test from 'ava';
import * as tl from '../../src/index.js';
import { adam, batch, batches, folder, loopOf, model, task } from '../support/loops.js';
import { values } from '../support/values.js';

const DECAY = 0.75;
const evalTasks = (): tl.training.EvalTask =>
  new tl.training.EvalTask([batch(100)], tl.L2Loss(), { metricNames: ['loss'] });
const numbers = (weights: unknown): number[][] =>
  tl.tree.leaves(weights as tl.Tree<tl.Tensor>).map((w) => Array.from(w.dataSync() as Float32Array));

const line = (): tl.Layer<tl.Tensor, 1> => tl.Dense(1);
const metricsOf = (loop: tl.training.Loop): number[] =>
  loop.history.get('eval', 'metrics/loss').map(({ value }) => value);
const make = (options: Partial<tl.training.LoopOptions> = {}): tl.training.Loop =>
  loopOf({ evalTasks: evalTasks(), averageDecay: DECAY, evalAt: () => true, ...options });

/** The loss of a line with this kernel and bias on the batch that is evaluated, in numbers of JavaScript. */
function lossOf([kernel, bias]: readonly (readonly number[])[]): number {
  const [x, y] = batch(100).map((tensor) => tensor.array() as number[][]);
  const errors = x!.map((row, i) => row.reduce((sum, xj, j) => sum + xj * kernel![j]!, bias![0]!) - y![i]![0]!);
  return errors.reduce((sum, error) => sum + error ** 2, 0) / errors.length;
}

test('evaluations are made with the averages, and the trained weights come back bit for bit', async (t) => {
  let averages: number[][] = [];
  const expected: number[] = [];
  const plainLosses: number[] = [];
  const follower: tl.training.Callback = {
    onStart: (loop) => {
      averages = numbers(loop.model.weights);
    },
    onStep: (loop) => {
      const weights = numbers(loop.model.weights);
      averages = averages.map((ws, i) => ws.map((a, j) => DECAY * a + (1 - DECAY) * weights[i]![j]!));
      expected.push(lossOf(averages));
      plainLosses.push(lossOf(weights));
    },
  };
  const run = async (options: Partial<tl.training.LoopOptions>): Promise<tl.training.Loop> => {
    const loop = new tl.training.Loop(line(), task(), {
      randomSeed: 3,
      evalTasks: evalTasks(),
      evalAt: () => true,
      ...options,
    });
    await loop.run(6);
    return loop;
  };
  const loop = await run({ averageDecay: DECAY, callbacks: [follower] });
  const plain = await run({});
  t.deepEqual(values(loop.model.weights), values(plain.model.weights));
  t.deepEqual(values(loop.evalModel.weights), values(plain.model.weights));
  const close = (got: readonly number[], wanted: readonly number[]): void => {
    t.is(got.length, 6);
    got.forEach((value, i) => t.true(Math.abs(value - wanted[i]!) < 1e-5, `step ${i + 1}: ${value}, not ${wanted[i]}`));
  };
  close(metricsOf(plain), plainLosses);
  close(metricsOf(loop), expected);
  t.true(metricsOf(loop).every((value, i) => Math.abs(value - metricsOf(plain)[i]!) > 1e-4));
  // An evaluation model with weights of its own is given the averages too.
  const apart = await run({ averageDecay: DECAY, evalModel: line() });
  t.deepEqual(metricsOf(apart), metricsOf(loop));
  t.deepEqual(values(apart.model.weights), values(plain.model.weights));
});

test('each evaluation uses the averages of the task at its index, or of the first', async (t) => {
  const tasks = [task(), new tl.training.TrainTask(batches(50), tl.SmoothL1Loss(), adam())];
  const many = [0, 1, 2].map(() => evalTasks());
  const loop = new tl.training.Loop(model(), tasks, {
    randomSeed: 3,
    evalTasks: many,
    averageDecay: DECAY,
    evalAt: () => false,
  });
  await loop.run(7);
  const weights = values(loop.model.weights);
  const trainers = await loop.prepare();
  const metrics = await loop.runEvals();
  const measure = tl.Serial(loop.model, tl.L2Loss()).withMode('eval');
  const byHand = async (i: number): Promise<number> =>
    trainers[i]!.withAverages(() => {
      const [y] = [measure(batch(100))].flat();
      return y!.item();
    });
  const [first, second] = [await byHand(0), await byHand(1)];
  t.not(first, second);
  t.deepEqual(metrics, { '0/loss': first, '1/loss': second, '2/loss': first });
  t.deepEqual(values(loop.model.weights), weights);
});

test('averages go on from a checkpoint, and weights come back from an evaluation that fails', async (t) => {
  const outputDir = await folder(t);
  const straight = make();
  await straight.run(8);
  await make({ outputDir }).run(6);
  const again = make({ outputDir });
  await again.run(4);
  t.deepEqual(again.history.get('eval', 'metrics/loss'), straight.history.get('eval', 'metrics/loss'));
  t.deepEqual(values(again.model.weights), values(straight.model.weights));
  const wide = new tl.training.EvalTask(
    [batch(100)],
    tl.Fn('Rows', (y: tl.Tensor) => y.index(0, -1)),
  );
  const broken = make({ evalTasks: wide, evalAt: (step) => step === 3 });
  const seen: unknown[] = [];
  const watched = make({
    evalTasks: new tl.training.EvalTask(
      [batch(100)],
      tl.Fn('Rows', (y: tl.Tensor) => y),
    ),
    evalAt: (step) => step === 3,
    callbacks: [{ onStep: (loop) => void seen.push(values(loop.model.weights)) }],
  });
  await t.throwsAsync(watched.run(8), { code: 'ShapeMismatch' });
  t.deepEqual(values(watched.model.weights), seen.at(-1));
  await t.throwsAsync(broken.run(8));
  // It can be trained on.
  await broken.run(5);
  t.deepEqual(values(broken.model.weights), values(straight.model.weights));
});
