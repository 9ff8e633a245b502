/** Evaluations of all of the data, once. */
import test from 'ava';
import * as tl from '../../src/index.js';
import { batch, loopOf } from '../support/loops.js';

const metricNames = ['loss'];
const taskOf = (data: tl.training.LabeledData, nEvalBatches: number | 'all'): tl.training.EvalTask =>
  new tl.training.EvalTask(data, tl.L2Loss(), { metricNames, nEvalBatches });
/** 20 rows, which are batches of 8, 8 and 4. */
const rows = tl.tidy(() =>
  [0, 1, 2].map(batch)[0]!.map((_, i) =>
    tl.concat(
      [0, 1, 2].map((seed) => batch(seed)[i]!),
      0,
    ),
  ),
);
const held = rows.map((x) => x.slice([0], [20]));
const pipeline = (): tl.data.Dataset<tl.Tensor[]> =>
  tl.data
    .fromTensors(held.map((x) => x.reshape(x.shape)))
    .batch(8)
    .map((tensors) => [...tensors]);

test('all batches are taken once at each evaluation, whatever their number', async (t) => {
  const loop = loopOf();
  await loop.prepare();
  const batches = [batch(5), batch(6), batch(7)];
  const wanted = await loop.evaluate(taskOf(batches, 3));
  const all = taskOf(batches, 'all');
  t.is(all.nEvalBatches, 'all');
  t.deepEqual(await loop.evaluate(all), wanted);
  t.deepEqual(await loop.evaluate(all), wanted);
  t.is(taskOf(batches, 3).nEvalBatches, 3);
});

// Alone, since tensors of the whole process are counted.
test.serial('a pipeline begins anew for each evaluation; the last batch weighs as much as it has rows', async (t) => {
  const evalTasks = taskOf(pipeline(), 'all');
  const loop = loopOf({ evalTasks, evalAt: () => false, checkpointAt: () => false });
  const whole = [held.map((x) => x.reshape(x.shape))];
  await loop.prepare();
  const { loss: wanted } = await loop.evaluate(taskOf(whole, 1));
  const before = tl.memory().tensors;
  for (let i = 0; i < 3; i += 1) {
    const { loss } = await loop.runEvals();
    t.true(Math.abs(loss! - wanted!) < 1e-6, `${loss} ${wanted}`);
  }
  // What was there before may be collected.
  t.true(tl.memory().tensors <= before, `${tl.memory().tensors} ${before}`);
});

test('data that are gone, and what is no number, are refused', async (t) => {
  const once = (function* () {
    yield batch(5);
  })();
  const loop = loopOf();
  await loop.prepare();
  const task = taskOf(once, 'all');
  t.true(Number.isFinite((await loop.evaluate(task))['loss']));
  await t.throwsAsync(loop.evaluate(task), {
    instanceOf: tl.LayerError,
    message: /labeledData of the task gave no batch: give an array, or a pipeline of tl\.data, which can be read again/,
  });
  // @ts-expect-error -- callers without types
  t.throws(() => taskOf([batch(5)], 'some'), { instanceOf: tl.LayerError, message: /nEvalBatches/ });
});

test('an evaluation that is aborted leaves a pipeline where it was', async (t) => {
  const data = pipeline();
  const loop = loopOf();
  await loop.prepare();
  const wanted = await loop.evaluate(taskOf(data, 'all'));
  const abort = new AbortController();
  const cut = data.map((tensors, i) => {
    if (i === 1) abort.abort(new Error('enough'));
    return tensors;
  });
  await t.throwsAsync(loop.evaluate(taskOf(cut, 'all'), { signal: abort.signal }), { message: 'enough' });
  t.deepEqual(await loop.evaluate(taskOf(cut, 'all')), wanted);
});
