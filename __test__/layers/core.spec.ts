import test from 'ava';
import * as tl from '../../src/index.js';
import { close, f32, values, one } from '../support/values.js';
import { tensorOf, tensorsOf } from '../support/types.js';

const key: tl.Key = [0, 7];
const draw = (rng: tl.Key): unknown => values(tl.Dense(3).init(f32([1, 4]), { rng })[0]);

test('Dense: signature, weights as Trax nests them, the affine map', (t) => {
  const layer = tl.Dense(2);
  t.is(layer.name, 'Dense_2');
  t.deepEqual(layer.outputSignature(f32([5, 3])), f32([5, 2]));
  const [weights, state] = layer.init(f32([5, 3]), { rng: key });
  t.deepEqual(
    tensorsOf(weights).map((w) => w.shape),
    [[3, 2], [2]],
  );
  t.deepEqual(state, []);
  layer.weights = [
    tl.tensor([
      [1, 2],
      [3, 4],
      [5, 6.5],
    ]),
    tl.tensor([0.5, -1]),
  ];
  t.deepEqual(layer([[1, 10, 100]]).array(), [[531.5, 691]]);
  t.deepEqual(layer([[0, 0, 0]]).array(), [[0.5, -1]]);
});

test('the same key gives the same weights, another key others', (t) => {
  t.deepEqual(draw(tl.random.key(3)), draw([0, 3]));
  t.notDeepEqual(draw([0, 3]), draw([0, 4]));
});

test('a JavaScript initializer, and a registered one called by hand', (t) => {
  const seen: number[][] = [];
  const layer = tl.Dense(2, {
    kernelInitializer: (shape, rng) => {
      seen.push([...shape]);
      return tl.random.uniform(rng, shape).mul(0).add(3);
    },
    useBias: false,
  });
  const [w] = layer.init(f32([1, 3]), { rng: key });
  t.deepEqual(seen, [[3, 2]]);
  t.deepEqual(tensorOf(w).array(), [
    [3, 3],
    [3, 3],
    [3, 3],
  ]);
  t.deepEqual(layer([[1, 1, 2]]).array(), [[12, 12]]);
});

test('Embedding looks ids up and sums gradients of ids that repeat', (t) => {
  const layer = tl.Embedding(4, 2);
  const table = tl.tensor(
    [
      [0, 1],
      [2, 3],
      [4, 5],
      [6, 7],
    ],
    null,
    { dtype: 'float32' },
  );
  const ids = tl.tensor([3, 1, 3]);
  t.deepEqual(layer.pureFn(ids, table, [])[0].array(), [
    [6, 7],
    [2, 3],
    [6, 7],
  ]);
  const gradient = tl.grad((w: tl.Tensor) => layer.pureFn(ids, w, [])[0].sum())(table);
  t.deepEqual(gradient.array(), [
    [0, 0],
    [1, 1],
    [0, 0],
    [2, 2],
  ]);
});

test('Dropout drops by the key in training and passes on in evaluation', (t) => {
  const layer = tl.Dropout({ rate: 0.25 });
  const [, state] = layer.init(f32([1000]), { rng: key });
  const x = tl.ones([1000]);
  const run = (l: tl.Layer, rng: tl.Key): number[] => one(l.pureFn(x, [], state, rng)[0]).array() as number[];
  const y = run(layer, [1, 2]);
  t.deepEqual([...new Set(y)].toSorted(), [0, 4 / 3].map(Math.fround));
  const dropped = y.filter((v) => v === 0).length;
  t.true(dropped > 190 && dropped < 310, `${dropped} of 1000 dropped at rate 0.25`);
  t.deepEqual(run(layer, [1, 2]), y);
  t.notDeepEqual(run(layer, [1, 3]), y);
  t.deepEqual(run(layer.withMode('eval'), [1, 2]), x.array());
});

test('withMode shares weights without copying: what one is given, the other uses', (t) => {
  const layer = tl.Serial(tl.Dense(2), tl.Dropout({ rate: 0.5 }));
  layer.init(f32([1, 2]), { rng: key });
  const evaluated = layer.withMode('eval');
  layer.weights = [
    [
      tl.tensor([
        [1.5, 0],
        [0, 2],
      ]),
      tl.zeros([2]),
    ],
    [],
  ];
  t.deepEqual(evaluated([[10, 10]]).array(), [[15, 20]]);
  evaluated.weights = [
    [
      tl.tensor([
        [1, 0.5],
        [0, 2],
      ]),
      tl.zeros([2]),
    ],
    [],
  ];
  t.deepEqual(
    layer
      .withMode('eval')([[10, 10]])
      .array(),
    [[10, 25]],
  );
});

test('callAsync gives what the call gives, bit for bit', async (t) => {
  const layer = tl.Serial(tl.Dense(16), tl.Relu(), tl.Dense(4), tl.LogSoftmax());
  layer.init(f32([8, 16]), { rng: key });
  const x = tl.random.normal(key, [8, 16]);
  const expected = layer(x).array();
  t.deepEqual((await layer.callAsync(x)).array(), expected);
  const all = await Promise.all([1, 2, 3].map(() => layer.callAsync(x)));
  all.forEach((y) => t.deepEqual(y.array(), expected));
});

test('Flatten, Mean, Sum, Negate and the functions beside them', (t) => {
  const x = tl.tensor(
    [
      [
        [1, 2],
        [3, 4],
      ],
    ],
    null,
    { dtype: 'float32' },
  );
  const run = (layer: tl.Layer): unknown => one(layer(x)).array();
  t.deepEqual(run(tl.Flatten()), [[1, 2, 3, 4]]);
  t.deepEqual(run(tl.Mean()), [[1.5, 3.5]]);
  t.deepEqual(run(tl.Sum({ axis: 1 })), [[4, 6]]);
  t.deepEqual(run(tl.Negate()), [
    [
      [-1, -2],
      [-3, -4],
    ],
  ]);
  t.deepEqual(tl.oneHot(tl.tensor([2, 0]), 3).array(), [
    [0, 0, 1],
    [1, 0, 0],
  ]);
  close(t, tl.logSoftmax(tl.tensor([0.5, 0.5])), [-Math.LN2, -Math.LN2]);
});

test('densities refuse points, means and variances of different sizes', (t) => {
  const [x, mu] = [
    tl.tensor(
      [
        [1, 2],
        [3, 4],
        [0, 1],
      ],
      null,
      { dtype: 'float32' },
    ),
    tl.tensor([0.5, 1]),
  ];
  const s = tl.tensor([2, 3], null, { dtype: 'float32' });
  t.deepEqual(tl.logGaussianDiagPdf(x, mu, s).shape, [3]);
  const one = tl.tensor([2], null, { dtype: 'float32' });
  for (const f of [
    () => tl.logGaussianDiagPdf(x, mu, one),
    () => tl.logGaussianDiagPdf(x, one, s),
    () => tl.logGaussianDiagPdf(one, mu, s),
  ]) {
    t.throws(f, { code: 'ShapeMismatch', message: /along each last axis/ });
  }
  t.throws(
    () =>
      tl.logGaussianPdf(
        one,
        mu,
        tl.tensor([
          [1, 0],
          [0, 1],
        ]),
      ),
    { code: 'ShapeMismatch' },
  );
  const preds = tl.ones([3, 5]);
  t.deepEqual(tl.multigaussianLoss(preds, x).shape, [3]);
  for (const targets of [x.slice([0], [1]), x.slice([0], [2]), mu, x.expandDims(0)]) {
    t.throws(() => tl.multigaussianLoss(preds, targets), {
      code: 'ShapeMismatch',
      message: /needs targets of shape \[3, 2\], one for each/,
    });
  }
  t.throws(() => tl.multigaussianLoss(tl.ones([1, 5]), x), { code: 'ShapeMismatch' });
});
