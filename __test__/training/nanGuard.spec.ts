/** Where a number that is not finite comes from, as NanGuard finds it. */
import test from 'ava';
import * as tl from '../../src/index.js';
import { values } from '../support/values.js';

const log = (): tl.Layer =>
  tl.Serial(
    tl.Relu(),
    tl.Fn('Shift', (x: tl.Tensor) => x.sub(1)),
    tl.Log(),
  );
const root = (): tl.Layer => tl.Fn('Root', (x: tl.Tensor) => x.sqrt());
const ratio = (): tl.Layer => tl.Serial(tl.Fn('Ratio', (x: tl.Tensor) => x.div(x)));

const full = (value: number): tl.Tensor[] => [tl.full([2, 3], value), tl.ones([2, 1]), tl.ones([2, 1])];

function loopOf(
  model: tl.Layer,
  data: tl.training.LabeledData,
  options: Partial<tl.training.LoopOptions> = {},
): tl.training.Loop {
  const task = new tl.training.TrainTask(data, tl.L2Loss(), tl.optimizers.SGD({ learningRate: 0.01 }));
  return new tl.training.Loop(model, task, { randomSeed: 0, callbacks: [new tl.training.NanGuard()], ...options });
}

test('the run is rejected with the first layer that made such a number, and the error of the step as its cause', async (t) => {
  // The third batch leads to the logarithm of -1.
  const data = (): tl.Tensor[][] => [full(2), full(3), full(0), full(2)];
  const loop = loopOf(tl.Serial(log(), tl.Dense(1)), data());
  const error = await t.throwsAsync(loop.run(4), { instanceOf: tl.LayerError, code: 'NotFinite' });
  t.regex(
    error.message,
    /NanGuard: in step 3 output 0 of layer 0\.Serial\/0\.Serial\/2\.(Serial\/1\.)?Log, of shape \[2,3\], is the first/,
  );
  t.is(loop.step, 2);
  const weights = values(loop.model.weights);
  const plain = loopOf(tl.Serial(log(), tl.Dense(1)), data(), { callbacks: [] });
  const cause = await t.throwsAsync(plain.run(4), { instanceOf: tl.LayerError, code: 'NotFinite' });
  t.true(error.cause instanceof tl.LayerError && error.cause.message === cause.message);
  t.deepEqual(values(plain.model.weights), weights);
  // The batch is still the next, and can be looked at.
  t.deepEqual(values((await loop.peekBatches(1))[0]), values(full(0)));
  await t.throwsAsync(loop.run(1), { message: /NanGuard: in step 3 / });
});

test('of a step of several batches, the one that leads to it is found', async (t) => {
  const data = [full(1), full(2), full(3), full(4), full(0), full(5)];
  const loop = loopOf(tl.Serial(ratio(), tl.Dense(1)), data, { accumulate: 3 });
  await t.throwsAsync(loop.run(2), { code: 'NotFinite', message: /in step 2 output 0 of layer \S*0\.Ratio, of shape/ });
  t.is(loop.step, 1);
});

test('inputs and weights are named too', async (t) => {
  const loop = loopOf(tl.Dense(1), [full(1), full(NaN)]);
  await t.throwsAsync(loop.run(2), { message: /in step 2 input 0 of layer Serial, of shape \[2,3\], is the first/ });
});

test('layers draw with the keys of the step', async (t) => {
  for (const accumulate of [1, 2]) {
    for (let randomSeed = 0; randomSeed < 6; randomSeed += 1) {
      // One number, which is dropped in every second batch: then the logarithm is of 0.
      const data = [[tl.ones([1, 1]), tl.ones([1, 1]), tl.ones([1, 1])]];
      const model = tl.Serial(tl.Dropout({ rate: 0.5 }), tl.Log(), tl.Dense(1));
      const loop = loopOf(model, data, { randomSeed, accumulate });
      await t.throwsAsync(loop.run(100), { code: 'NotFinite', message: /NanGuard: .* of layer \S*1\.Log, of shape/ });
    }
  }
});

test('other errors stay as they are, and so does that of a gradient', async (t) => {
  // The root of 0 is finite, its derivative is not.
  const loop = loopOf(tl.Serial(tl.Dense(1, { useBias: false }), root()), [full(0)]);
  const error = await t.throwsAsync(loop.run(1), { code: 'NotFinite', message: /gradient/ });
  t.false(error.message.includes('NanGuard'));
  const broken = new Error('no more');
  const data = (function* (): Generator<tl.Tensor[]> {
    yield full(1);
    throw broken;
  })();
  t.is(await t.throwsAsync(loopOf(tl.Dense(1), data).run(2)), broken);
});
