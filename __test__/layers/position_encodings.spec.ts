import test from 'ava';
import * as tl from '../../src/index.js';
import { close, f32, floats, values, one } from '../support/values.js';

const key: tl.Key = [0, 7];

/** What `eval` gives at once and `predict` step by step. */
function bothWays(layer: tl.Layer, shape: readonly [number, number, number]): [whole: tl.Tensor, steps: tl.Tensor] {
  layer.init(f32(shape), { rng: key });
  const x = tl.random.normal(key, shape);
  const predict = layer.withMode('predict');
  const steps = Array.from({ length: shape[1] }, (_, i) => one(predict(x.slice([0, i], [null, i + 1]))));
  return [one(layer.withMode('eval')(x)), tl.concat(steps, 1)];
}

const encodings: readonly [string, (mode: tl.Mode) => tl.Layer][] = [
  ['AxialPositionalEncoding', (mode) => tl.AxialPositionalEncoding({ shape: [2, 3], dEmbs: [2, 4], mode })],
  ['SinCosPositionalEncoding', (mode) => tl.SinCosPositionalEncoding({ mode })],
  ['FixedBasePositionalEncoding', (mode) => tl.FixedBasePositionalEncoding({ bases: [3, 5], nDigits: 2, mode })],
  ['InfinitePositionalEncoding', (mode) => tl.InfinitePositionalEncoding({ affine: false, mode })],
  ['TimeBinPositionalEncoding', (mode) => tl.TimeBinPositionalEncoding(2, { mode })],
];

for (const [name, make] of encodings) {
  test(`${name}: prediction step by step gives what evaluation gives at once`, (t) => {
    const [whole, steps] = bothWays(make('eval'), [2, 6, 6]);
    t.deepEqual(whole.shape, [2, 6, 6]);
    t.true(whole.sub(steps).abs().max().item() < 1e-5);
    t.is(`${make('train')}`, name);
  });
}

test('the namespace has the names of Trax', (t) => {
  t.is(tl.positionEncodings.AxialPositionalEncoding, tl.AxialPositionalEncoding);
  t.deepEqual(Object.keys(tl.positionEncodings).toSorted(), [
    ...encodings.map(([name]) => name).toSorted(),
    'threefry2x32Prange',
    'threefry2x32Prf',
  ]);
});

test('AxialPositionalEncoding puts vectors together from those of the coordinates', (t) => {
  const layer = tl.AxialPositionalEncoding({ shape: [2, 2], dEmbs: [1, 1] });
  layer.init(f32([1, 4, 2]), { rng: key });
  layer.weights = [
    tl.tensor([10, 20], [1, 2, 1, 1], { dtype: 'float32' }),
    tl.tensor([1, 2], [1, 1, 2, 1], { dtype: 'float32' }),
  ];
  close(t, layer(tl.zeros([1, 4, 2])), [
    [
      [10, 1],
      [10, 2],
      [20, 1],
      [20, 2],
    ],
  ]);
  t.throws(() => layer(tl.zeros([1, 3, 2])), { code: 'ShapeMismatch', message: /encodes 4 positions, got 3/ });
  const predict = layer.withMode('predict');
  close(t, predict(tl.zeros([1, 3, 2])), [
    [
      [10, 1],
      [10, 2],
      [20, 1],
    ],
  ]);
  t.throws(() => predict(tl.zeros([1, 2, 2])), { code: 'ShapeMismatch', message: /positions up to 5/ });
});

test('SinCosPositionalEncoding in eval is the table, in train begins at random', (t) => {
  const layer = tl.SinCosPositionalEncoding({ mode: 'eval' });
  layer.init(f32([1, 2, 2]), { rng: key });
  close(t, layer(tl.zeros([1, 2, 2])), [
    [
      [0, 1],
      [Math.sin(1), Math.cos(1)],
    ],
  ]);
  const train = tl.SinCosPositionalEncoding({ startFromZeroOneIn: 1000 });
  const starts = [1, 2, 3].map((seed) => train(tl.zeros([1, 1, 2]), { rng: tl.random.key(seed) }).dataSync()[0]);
  t.is(new Set(starts).size, 3);
});

test('SinCosPositionalEncoding stays exact at late positions', (t) => {
  const layer = tl.SinCosPositionalEncoding({ mode: 'predict' });
  layer.init(f32([1, 1, 2]), { rng: key });
  layer.state = tl.tensor(1_000_000);
  close(t, layer(tl.zeros([1, 1, 2])), [[[Math.sin(1e6), Math.cos(1e6)]]]);
  t.deepEqual(values(layer.state), 1_000_001);
});

test('FixedBasePositionalEncoding writes positions as digits', (t) => {
  const layer = tl.FixedBasePositionalEncoding({ bases: [3], nDigits: 2, mode: 'eval' });
  layer.init(f32([1, 5, 2]), { rng: key });
  layer.weights = [[[tl.ones([1, 1]), floats([[10]])]], floats([[[100, 100]]])];
  close(t, layer(tl.zeros([1, 5, 2])), [
    [
      [100, 100],
      [1, 0],
      [2, 0],
      [0, 10],
      [1, 10],
    ],
  ]);
  t.throws(() => layer(tl.zeros([1, 9, 2])), { code: 'ShapeMismatch', message: /fewer than 9/ });
  t.throws(() => tl.FixedBasePositionalEncoding({ bases: [1] }), { code: 'InvalidOption', message: /at least 2/ });
});

test('InfinitePositionalEncoding draws phases for each call, and keeps them in predict', (t) => {
  const layer = tl.InfinitePositionalEncoding({ transform: 'none', mode: 'eval' });
  layer.init(f32([1, 2, 4]), { rng: key });
  const x = tl.zeros([1, 2, 4]);
  const [a, b] = [1, 2].map((seed) => layer(x, { rng: tl.random.key(seed) }));
  t.true(a!.sub(b!).abs().max().item() > 0.1);
  const predict = tl.InfinitePositionalEncoding({ transform: 'none', mode: 'predict' });
  predict.init(f32([1, 1, 4]), { rng: key });
  const steps = [1, 2].map((seed) => predict(tl.zeros([1, 1, 4]), { rng: tl.random.key(seed) }));
  close(t, tl.concat(steps, 1), layer(x, { rng: key }).array());
  t.throws(() => tl.InfinitePositionalEncoding({ transform: 'all' as 'any' }), {
    code: 'InvalidOption',
    message: /'any', 'diag' or 'none'/,
  });
});

test('TimeBinPositionalEncoding replaces the last three features', (t) => {
  const y = tl.TimeBinPositionalEncoding(2)(tl.full([1, 3, 4], 7));
  close(t, y, [
    [
      [7, 1, 0, 0],
      [7, 1, 0.5, 0],
      [7, 0.5, 0, 1],
    ],
  ]);
});

test('threefry2x32Prf and threefry2x32Prange', (t) => {
  const zero: tl.Key = [0, 0];
  // The published test vector of the function.
  const words = tl.threefry2x32Prf(zero, tl.zeros([1, 2], { dtype: 'uint32' }));
  t.deepEqual(words.array(), [[0x6b200159, 0x99ba4efe]]);
  const keys = tl.threefry2x32Prange(zero, { lo: 0, hi: 3 });
  t.deepEqual([keys.shape, keys.dtype], [[3, 2], 'uint32']);
  t.deepEqual(keys.slice([0], [1]).array(), words.array());
  const late = tl.threefry2x32Prange(zero, { lo: 2, hi: 3 });
  t.deepEqual(late.array(), keys.slice([2], [3]).array());
  t.throws(() => tl.threefry2x32Prf(zero, tl.zeros([2])), { code: 'DTypeMismatch' });
});
