import test from 'ava';
import * as tl from '../../src/index.js';
import { close, f32 } from '../support/values.js';
import { tensorOf, wrong } from '../support/types.js';

const key: tl.Key = [0, 7];

function spread(x: tl.Tensor): [mean: number, deviation: number] {
  return [x.mean().item(), Math.sqrt(x.variance().item())];
}

/** Initializers with the standard deviation of a [400, 200] weight. */
const initializers: Readonly<Record<string, [tl.KernelInitializer, number]>> = {
  GlorotNormalInitializer: [tl.GlorotNormalInitializer(), Math.sqrt(2 / 600)],
  GlorotUniformInitializer: [tl.GlorotUniformInitializer(), Math.sqrt(2 / 600)],
  LeCunNormalInitializer: [tl.LeCunNormalInitializer(), Math.sqrt(1 / 400)],
  LeCunUniformInitializer: [tl.LeCunUniformInitializer(), Math.sqrt(1 / 400)],
  RandomNormalInitializer: [tl.RandomNormalInitializer({ stddev: 0.3 }), 0.3],
  RandomUniformInitializer: [tl.RandomUniformInitializer({ lim: 0.3 }), 0.3 / Math.sqrt(3)],
};

for (const [name, [initializer, deviation]] of Object.entries(initializers)) {
  test(`${name}: mean, spread, and the same values for the same key`, (t) => {
    const w = initializer([400, 200], key);
    t.deepEqual(tl.signature(w), f32([400, 200]));
    const [mean, found] = spread(w);
    t.true(Math.abs(mean) < deviation / 50, `mean ${mean}`);
    t.true(Math.abs(found / deviation - 1) < 0.02, `deviation ${found}, not ${deviation}`);
    t.is(initializer([400, 200], key).sub(w).abs().max().item(), 0);
    t.not(initializer([400, 200], [0, 8]).sub(w).abs().max().item(), 0);
  });
}

test('columns of an orthogonal weight are orthonormal', (t) => {
  const w = tl.OrthogonalInitializer({ stddev: 1 })([5, 3], key);
  close(
    t,
    w.transpose().matmul(w),
    [
      [1, 0, 0],
      [0, 1, 0],
      [0, 0, 1],
    ],
    1e-5,
  );
});

test('a registered initializer given to a layer does what it does when called', (t) => {
  const initializer = tl.RandomUniformInitializer({ lim: 0.5 });
  const layer = tl.Weights(initializer, { shape: [3, 2] });
  const [w] = layer.init([], { rng: key });
  t.deepEqual(tensorOf(w).array(), initializer([3, 2], key).array());
});

test('wrong options are refused where they are written', (t) => {
  t.throws(() => tl.RandomNormalInitializer(wrong({ stdev: 1 })), {
    code: 'InvalidOption',
    message: /did you mean `stddev`/,
  });
  t.throws(() => tl.ScaledInitializer(-1, -2, 1, wrong('fan_none'), 'normal'), { code: 'InvalidOption' });
});

test('what a JavaScript initializer throws, or a wrong shape it returns, comes out', (t) => {
  const mine = new Error('mine');
  const fails = tl.Dense(2, {
    kernelInitializer: () => {
      throw mine;
    },
  });
  t.is(
    t.throws(() => fails.init(f32([1, 3]))),
    mine,
  );
  const wrong = tl.Dense(2, { kernelInitializer: () => tl.ones([7]) });
  t.throws(() => wrong.init(f32([1, 3])), { instanceOf: tl.LayerError });
});
