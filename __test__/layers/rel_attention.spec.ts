/** Relative attention and resampling as a program uses them: functions, lists of layers, factories as values, what is refused. */
import test from 'ava';
import * as tl from '../../src/index.js';
import { one } from '../support/values.js';
import { layersOf, wrong } from '../support/types.js';

const key = tl.random.key(1);

function softmax(row: readonly number[]): number[] {
  const all = row.map(Math.exp);
  const sum = all.reduce((a, b) => a + b);
  return all.map((x) => x / sum);
}

const bias = (): tl.Layer => tl.getRelAttInputs(4, 2)[0]!;
/** The signature of a sequence of vectors. */
const sequence = (length: number): tl.Signature => ({ shape: [1, length, 4], dtype: 'float32' });

test('calcFunnelRatio gives a number and whether queries are more', (t) => {
  const [factor, isUpsampling] = tl.calcFunnelRatio(3, 12);
  t.deepEqual([factor, isUpsampling], [4, true]);
  t.deepEqual(tl.relAttention.calcFunnelRatio(12, 3), [4, false]);
  t.throws(() => tl.calcFunnelRatio(8, 3), {
    code: 'ShapeMismatch',
    message: /3 queries to 8 keys: one length must be a multiple of the other/u,
  });
});

test('the plain name DotProductAttention is the layer, that in relAttention the function', (t) => {
  t.true(tl.DotProductAttention() instanceof tl.Layer);
  t.is(tl.DotProductAttention, tl.attention.DotProductAttention);
  // One key: whatever the positions, its value.
  const one = tl.ones([1, 2, 1, 3]);
  const zeros = tl.zeros([1, 2, 1, 3]);
  const [y, strengths] = tl.relAttention.DotProductAttention(
    one,
    one,
    one.mul(5),
    tl.ones([1, 2, 3]),
    zeros,
    zeros,
    null,
    false,
    0,
    'eval',
    null,
  );
  t.deepEqual([y!.array(), strengths!.array()], [one.mul(5).array(), [[[[1]], [[1]]]]]);
  const dropped = (): unknown =>
    tl.relAttention.DotProductAttention(
      one,
      one,
      one,
      tl.ones([1, 2, 3]),
      zeros,
      zeros,
      null,
      false,
      0.5,
      'train',
      null,
    );
  t.throws(dropped, { code: 'InvalidOption', message: /`rng` is required for dropout/u });
});

test('attention finds the distances written out by hand', (t) => {
  // Contents do not count: the strengths are softmax of (q + location)·p, which is the distance to a key itself.
  const q = tl.zeros([1, 1, 2, 1]);
  const location = tl.ones([1, 1, 1, 1]);
  const strengths = (keys: number, queries: number, distances: number[]): number[][] => {
    const p = tl.tensor(Float32Array.from(distances), [distances.length, 1, 1]);
    const k = tl.zeros([1, 1, keys, 1]);
    const x = queries === 2 ? q : tl.zeros([1, 1, queries, 1]);
    const out = tl.relAttention.DotProductAttention(
      x,
      k,
      k,
      p,
      tl.zeros([1, 1, 1, 1]),
      location,
      null,
      false,
      0,
      'eval',
      null,
    );
    return (out[1]!.array() as number[][][][])[0]![0]!;
  };
  const near = (got: number[][], want: number[][]): void => {
    got.forEach((row, i) =>
      softmax(want[i]!).forEach((x, j) => t.true(Math.abs(row[j]! - x) < 1e-6, `${row} for ${want[i]}`)),
    );
  };
  // Four keys of two queries: query 1 stands at key 2.
  near(strengths(4, 2, [-3, -2, -1, 0, 1, 2, 3]), [
    [0, 1, 2, 3],
    [-2, -1, 0, 1],
  ]);
  // Two keys, each of two queries: queries 1 and 3 are one further than the keys' places.
  near(strengths(2, 4, [-3, -2, -1, 0, 1, 2, 3]), [
    [0, 2],
    [-1, 1],
    [-2, 0],
    [-3, -1],
  ]);
});

test('getRelAttInputs gives two layers that can be shared, and a list goes into a Serial', (t) => {
  const [context, location] = layersOf(tl.getRelAttInputs(6, 3), 2);
  t.deepEqual(
    [context, location].map((layer) => [layer.name, layer.nIn, layer.nOut]),
    [
      ['Weights_(1, 3, 1, 2)', 0, 1],
      ['Weights_(1, 3, 1, 2)', 0, 1],
    ],
  );
  const block = tl.FeedForwardBlock(6, 4, 0.1, null, 'eval', tl.Relu);
  t.deepEqual(
    block.map((layer) => layer.name),
    ['Dense_4', 'Serial', 'Dropout', 'Dense_6'],
  );
  const down = tl.AttentionResampling(
    2,
    6,
    false,
    4,
    3,
    0,
    null,
    'eval',
    tl.Gelu,
    context,
    location,
    1,
    tl.AveragePooling,
  );
  t.is(down.length, 4);
  const model = tl.Serial(down, block);
  model.init({ shape: [1, 4, 6], dtype: 'float32' }, { rng: key });
  t.deepEqual(one(model(tl.ones([1, 4, 6]))).shape, [1, 2, 6]);
});

test('a resampling function of the program is given factor, depth and mode', (t) => {
  const [context, location] = layersOf(tl.getRelAttInputs(4, 1), 2);
  const given: unknown[] = [];
  const own = (...args: unknown[]): tl.Layer => {
    given.push(args);
    return tl.Fn('Halves', (x: tl.Tensor) => x.slice([0, 0], [null, null], [1, 3]));
  };
  const make = (resampling: tl.ResamplingFactory): tl.Layer =>
    tl.Serial(tl.AttentionResampling(3, 4, false, 4, 1, 0, [0], 'eval', tl.Relu, context, location, 1, resampling));
  const model = make(own);
  model.init({ shape: [1, 6, 4], dtype: 'float32' });
  t.deepEqual([given, one(model(tl.ones([1, 6, 4]))).shape], [[[3, 4, { mode: 'eval' }]], [1, 2, 4]]);
  t.throws(() => make(() => wrong(3)), {
    code: 'InvalidOption',
    message: /a layer factory must return a layer, got a number/u,
  });
});

test('ways of resampling take what others use, and refuse what none does', (t) => {
  const x = tl.arange(8).cast('float32').reshape([1, 4, 2]);
  t.deepEqual(tl.AveragePooling(2, 2, true, { nHeads: 4, mode: 'eval' })(x).array(), [
    [
      [1, 2],
      [5, 6],
    ],
  ]);
  t.deepEqual(
    tl
      .NaiveUpsampling(
        2,
        9,
      )(x.slice([0, 0], [null, 2]))
      .array(),
    [
      [
        [0, 1],
        [0, 1],
        [2, 3],
        [2, 3],
      ],
    ],
  );
  t.deepEqual(
    tl
      .NoUpsampling(2, 2, { dropout: 0.5 })(x.slice([0, 0], [null, 1]))
      .array(),
    [
      [
        [0, 0],
        [0, 0],
      ],
    ],
  );
  t.throws(() => tl.LinearPooling(2, 2, wrong({ droput: 0.1 })), {
    code: 'InvalidOption',
    message: /unknown option `droput`: .*did you mean `dropout`/u,
  });
  const pool = tl.LinearPooling(3, 2);
  t.throws(() => pool.init(tl.signature(x)), {
    code: 'ShapeMismatch',
    message: /the length must be a multiple of `shortenFactor`, which is 3, got 4/u,
  });
});

test('what does not fit is refused in the words of the caller', (t) => {
  t.throws(() => tl.PositionalEmbeddings(4, true, 1), {
    code: 'InvalidOption',
    message: /`separateCls` must be false/u,
  });
  t.throws(() => tl.PositionalEmbeddings(4, false, 0), {
    code: 'InvalidOption',
    message: /`totalKvPooling` must be a number above 0, got 0/u,
  });
  t.throws(() => tl.RelativeAttentionWrapper(4, { contextBiasLayer: bias(), locationBiasLayer: bias() }), {
    message: /`totalPooling` is required/u,
  });
  t.throws(() => tl.RelativeAttentionLMLayer(4, bias(), tl.Dense(4), 1), {
    message:
      /`locationBiasLayer` must be a layer without inputs and with one output, such as Weights, got Dense_4 with 1 and 1/u,
  });
  const layer = tl.RelativeAttentionLMLayer(4, bias(), bias(), 1, { nHeads: 2 });
  t.throws(() => layer.init([4, 6, 6].map(sequence)), { code: 'ShapeMismatch', message: /4 queries to 6 keys/u });
  t.throws(() => layer.init([3, 0, 0].map(sequence)), { code: 'ShapeMismatch', message: /3 queries to 0 keys/u });
  t.throws(() => tl.ShiftRightCls(300)(tl.zeros([2, 3], { dtype: 'uint8' })), {
    code: 'InvalidArgument',
    message: /`clsId`: full: uint8 cannot hold 300/u,
  });
  t.deepEqual(
    tl
      .ShiftRightCls(5)([[1, 2, 3]])
      .array(),
    [[5, 1, 2]],
  );
});
