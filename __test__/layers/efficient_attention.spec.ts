import test from 'ava';
import * as tl from '../../src/index.js';
import { close, f32, one } from '../support/values.js';
import { tensorOf, tensorsOf, treesOf, wrong } from '../support/types.js';

const key: tl.Key = [0, 7];

function largest(a: tl.Tensor, b: tl.Tensor): number {
  return a.sub(b).abs().max().item();
}

/** Queries and values of two heads. */
function heads(n: number): tl.Tensor[] {
  return [1, 2].map((i) => tl.random.normal([0, i], [2, n, 4]));
}

/** Outputs of a layer for each position in turn. */
function stepByStep(layer: tl.Layer, x: tl.Tensor): tl.Tensor {
  const steps = Array.from({ length: x.shape[1]! }, (_, i) => one(layer(x.slice([0, i], [null, i + 1]))));
  return tl.concat(steps, 1);
}

test('functions are found under their module and in the flat namespace', (t) => {
  t.is(tl.hashVecs, tl.efficientAttention.hashVecs);
  const [buckets, count] = tl.efficientAttention.hashVecs(tl.random.normal(key, [10, 4]), [4, 2], 3, key);
  t.deepEqual([buckets.shape, buckets.dtype, count], [[3, 10], 'int32', 8]);
  t.true(buckets.max().item() < 8);
  close(t, tl.lengthNormalized(tl.tensor([[3, 4]])), [[0.848_528, 1.131_371]]);
  const chunks = tl.tensor([[1], [2], [3]]);
  t.deepEqual(tl.lookAdjacent(chunks, 1, 0).array(), [
    [3, 1],
    [1, 2],
    [2, 3],
  ]);
  const x = tl.tensor([1, 2, 3]);
  t.deepEqual(tl.permuteViaGather(x, tl.tensor([2, 0, 1]), tl.tensor([1, 2, 0])).array(), [3, 1, 2]);
  t.deepEqual(tl.permuteViaSort(x, tl.tensor([2, 0, 1]), tl.tensor([1, 2, 0])).array(), [2, 3, 1]);
  const kept = tl.applyBroadcastedDropout(tl.ones([50, 8]), 0.5, key);
  t.true(largest(kept, kept.slice([0], [1])) === 0);
});

test('attend takes a mask function of the caller', (t) => {
  const [q, k, v] = [1, 2, 3].map((i) => tl.random.normal([0, i], [4, 2]));
  const own = tl.attend(q!, { k: k!, v: v!, maskFn: tl.maskSelfAttention });
  const written = tl.attend(q!, {
    k: k!,
    v: v!,
    maskFn: (dots: tl.Tensor, a: tl.Tensor, b: tl.Tensor) => dots.sub(a.lt(b).mul(1e9)).sub(a.eq(b).mul(1e5)),
  });
  t.true(largest(own[0]!, written[0]!) < 1e-6);
  t.throws(() => tl.attend(q!), { message: /`v` is required/ });
  t.throws(() => tl.attend(q!, { v: v!, qChunkLen: 3 }), { message: /multiple of the chunk length 3/ });
});

test('LSH attention takes any length, hashes anew in each call, and learns', (t) => {
  const layer = tl.LSHSelfAttention({ dQk: 4, dV: 4, chunkLen: 4, nHashes: 2, nBuckets: 4, causal: true });
  const [weights, state] = layer.init(f32([2, 8, 6]), { rng: key });
  t.deepEqual(
    tensorsOf(weights).map((w) => w.shape),
    [
      [2, 6, 4],
      [2, 6, 4],
      [2, 4, 6],
    ],
  );
  t.deepEqual(
    tensorsOf(state).map((s) => [s.shape, s.dtype]),
    [
      [[4, 16], 'int32'],
      [[4, 2], 'uint32'],
    ],
  );
  const [first] = tensorsOf(layer.state);
  for (const length of [8, 13, 3]) {
    t.deepEqual(layer(tl.random.normal(key, [2, length, 6])).shape, [2, length, 6]);
    t.deepEqual(tensorsOf(layer.state)[0]!.shape, [4, 2 * length]);
  }
  t.deepEqual(first!.shape, [4, 16]);
  const x = tl.random.normal(key, [2, 8, 6]);
  const loss = (w: tl.Nest) => layer.pureFn(x, w, state)[0].square().sum();
  const gradients = tensorsOf(tl.grad(loss)(wrong(weights)));
  t.true(gradients.every((g) => Number.isFinite(g.sum().item()) && g.abs().max().item() > 0));
});

test('NaN goes no further than attention carries it, and padding is not seen', (t) => {
  const layer = tl.LSHSelfAttention({ dQk: 4, dV: 4, chunkLen: 8, masked: true, mode: 'eval', nBuckets: 4 });
  layer.init([f32([1, 8, 6]), { shape: [1, 8], dtype: 'bool' }], { rng: key });
  const state = layer.state;
  const x = tl.random.normal(key, [1, 8, 6]);
  // Positions 0 and 1 are masked like any other, which Trax fails to do.
  const valid = tl.tensor([false, false, true, true, true, true, true, false], [1, 8]);
  const other = tl.concat([tl.random.normal([0, 8], [1, 2, 6]), x.slice([0, 2], [null, null])], 1);
  const run = (input: tl.Tensor): tl.Tensor => layer([input, valid], { state }).slice([0, 2], [null, 7]);
  t.true(largest(run(x), run(other)) < 1e-5);
  const broken = x.slice([0, 0], [null, 7]);
  const y = layer([tl.concat([broken, tl.full([1, 1, 6], NaN)], 1), tl.ones([1, 8]).cast('bool')], { state });
  t.true(Number.isNaN(y.sum().item()));
});

test('prediction step by step is evaluation at once', (t) => {
  const x = tl.random.normal(key, [2, 8, 6]);
  const layers = [
    tl.SelfAttention({ dQk: 4, dV: 4, causal: true, chunkLen: 3, nChunksBefore: 1, mode: 'eval' }),
    tl.SelfAttention({
      dQk: 4,
      dV: 4,
      causal: true,
      shareQk: true,
      bias: true,
      predictMemLen: 9,
      predictDropLen: 3,
      mode: 'eval',
    }),
    tl.LSHSelfAttention({ dQk: 4, dV: 4, causal: true, chunkLen: 9, nChunksBefore: 0, nBuckets: 4, mode: 'eval' }),
  ];
  for (const layer of layers) {
    layer.init(f32([2, 8, 6]), { rng: key });
    const predict = layer.withMode('predict');
    t.true(largest(stepByStep(predict, x), layer(x)) < 1e-5, layer.name);
    if (layer.name === 'LSHSelfAttention') continue;
    // A first piece at once, the rest one by one.
    const again = layer.withMode('predict');
    const start = again(x.slice([0, 0], [null, 5]));
    t.true(
      largest(tl.concat([start, stepByStep(again, x.slice([0, 5], [null, null]))], 1), layer(x)) < 1e-5,
      layer.name,
    );
  }
  t.throws(() => tl.SelfAttention({ mode: 'predict', chunkLen: 4 }), { message: /needs `causal: true`/ });
  t.throws(() => tl.SelfAttention({ mode: 'predict', causal: true }), { message: /predictMemLen/ });
});

test('LSHFF computes in prediction only what hashes alike, with the same result', (t) => {
  const layer = tl.LSHFF(32, 8, { nHashes: 2, mode: 'eval' });
  layer.init(f32([2, 3, 6]), { rng: key });
  const x = tl.random.normal(key, [2, 3, 6]);
  const y = layer(x, { rng: [1, 2] });
  t.true(largest(layer.withMode('predict')(x, { rng: [1, 2] }), y) < 1e-5);
  t.true(largest(layer(x, { rng: [3, 4] }), y) > 0);
});

test('MixedLSHSelfAttention is exact up to stdLength', (t) => {
  const mixed = tl.MixedLSHSelfAttention({
    nHeads: 2,
    causal: true,
    stdLength: 6,
    chunkLen: 2,
    nBuckets: 4,
    mode: 'eval',
  });
  const exact = tl.DotProductCausalAttention({ mode: 'eval' });
  mixed.init([f32([2, 6, 4]), f32([2, 6, 4])], { rng: key });
  const [short, long] = [heads(6), heads(7)];
  t.true(largest(mixed(short), exact([short[0]!, short[0]!, short[1]!])) < 1e-6);
  t.true(largest(mixed(long), exact([long[0]!, long[0]!, long[1]!])) > 1e-3);
  t.throws(() => tl.MixedLSHSelfAttention(), { message: /exactly one of `causal` and `masked`/ });
});

test('a wrapper takes the factory of its attention', (t) => {
  const layer = tl.PureLSHSelfAttentionWrapper({
    nHeads: 2,
    dQk: 4,
    dV: 4,
    causal: true,
    chunkLen: 4,
    pureLshImplementation: tl.MixedLSHSelfAttention,
    stdLength: 16,
  });
  t.deepEqual(
    layer.sublayers.map((l) => l.name),
    ['Serial', 'MixedLSHSelfAttention', 'Serial', 'Dense_8'],
  );
  layer.init(f32([2, 8, 8]), { rng: key });
  t.deepEqual(layer(tl.random.normal(key, [2, 8, 8])).shape, [2, 8, 8]);
  t.throws(() => tl.PureLSHSelfAttentionWrapper({ numWeights: 4 }), { message: /2 or 3, got 4/ });
});

test('a wrapper hands on what it is given, null too, and names what is wrong itself', (t) => {
  const sizes = { dQk: 4, dV: 4, causal: true, chunkLen: 4, nChunksBefore: 2, mode: 'predict' } as const;
  const remembered = (options: tl.LSHOptions): number | undefined => {
    const layer = tl.PureLSHSelfAttentionWrapper({ ...sizes, ...options });
    layer.init(f32([2, 1, 4]), { rng: key });
    const [, inner] = treesOf(layer.sublayers[1]!.state);
    const [qk] = treesOf(inner!);
    return tensorOf(qk).shape[1];
  };
  t.is(remembered({}), 2048);
  t.is(remembered({ predictMemLen: 10, predictDropLen: 5 }), 10);
  t.is(remembered({ predictMemLen: null, predictDropLen: null }), 12);
  t.throws(() => tl.PureLSHSelfAttentionWrapper({ chunkLen: 0 }), {
    message: /PureLSHSelfAttentionWrapper: `chunkLen` must be/,
  });
  t.throws(() => tl.MixedLSHSelfAttention({ nBuckets: 3 }), {
    message: /MixedLSHSelfAttention: `nBuckets` must be an even whole number/,
  });
});

test('mistakes are named', (t) => {
  t.throws(() => tl.SelfAttention({ nHeads: 4, nParallelHeads: 3 }), {
    message: /`nParallelHeads` must divide `nHeads` \(4\)/,
  });
  t.throws(() => tl.hashVecs(tl.ones([2, 2]), 3, 1, key), { message: /an even whole number/ });
  const layer = tl.EncDecAttention({ dQk: 2, dV: 2 });
  const specs = [f32([2, 3, 4]), f32([2, 5, 4]), { shape: [2, 4], dtype: 'bool' } as const];
  t.throws(() => layer.init(specs, { rng: key }), { message: /the mask must be \(batch, length\) = \(2, 5\)/ });
});

/** Attends to all positions with one matrix a head, and counts the calls it is told to count. */
class Bilinear extends tl.EfficientAttentionBase {
  override createWeightsUnbatched([x]: tl.Signature[], rng: tl.Key): tl.Tensor[] {
    return [tl.random.normal(rng, [x!.shape[1]!, x!.shape[1]!])];
  }
  override createStateUnbatched(): tl.Tensor {
    return tl.tensor(0);
  }
  override forwardUnbatched(x: tl.Tensor, { weights, state, updateState }: tl.AttentionContext): [tl.Tensor, unknown] {
    const [w] = tensorsOf(weights);
    const strengths = x.matmul(w!).matmul(x.transpose()).softmax();
    return [strengths.matmul(x), updateState ? tensorOf(state).add(1) : state];
  }
}

/** What three heads of {@link Bilinear} compute, on all examples at once. */
function bilinear(x: tl.Tensor, w: tl.Tensor): tl.Tensor {
  return [0, 1, 2]
    .map((h) =>
      x
        .matmul(w.slice([h], [h + 1]).reshape([4, 4]))
        .matmul(x.transpose([0, 2, 1]))
        .softmax()
        .matmul(x),
    )
    .reduce((a, b) => a.add(b));
}

test('a class of attention is written for one head of one example', (t) => {
  t.is(tl.EfficientAttentionBase, tl.efficientAttention.EfficientAttentionBase);
  const layer = new Bilinear(3);
  t.deepEqual([layer.name, layer.hasBackward, layer.nIn], ['Bilinear', true, 1]);
  const [weights, state] = layer.init(f32([2, 5, 4]), { rng: key });
  t.deepEqual(
    tensorsOf(weights).map((w) => w.shape),
    [[3, 4, 4]],
  );
  t.deepEqual(tensorOf(state).shape, [6]);
  const x = tl.random.normal(key, [2, 5, 4]);
  const y = layer(x);
  t.deepEqual(tensorOf(layer.state).array(), [1, 1, 1, 1, 1, 1]);
  const [w] = tensorsOf(weights);
  t.true(largest(one(y), bilinear(x, w!)) < 1e-5);
  // Its gradient, computed head by head, is that of all at once; so is that of what was recorded.
  const wanted = tl.grad((x: tl.Tensor, w: tl.Tensor) => bilinear(x, w).square().sum(), { argnums: [0, 1] })(x, w!);
  for (const one of [layer, new Bilinear(3, { useReferenceCode: true })]) {
    const loss = (x: tl.Tensor, w: tl.Tensor): tl.Tensor => one.pureFn(x, [w], state)[0].square().sum();
    const got = tl.grad(loss, { argnums: [0, 1] })(x, w!);
    t.true([0, 1].every((i) => largest(tensorsOf(got)[i]!, tensorsOf(wanted)[i]!) < 1e-4));
  }
  t.false(new Bilinear(3, { useReferenceCode: true }).hasBackward);
  t.throws(() => new tl.EfficientAttentionBase(2).init(f32([1, 2, 3])), {
    message: /defines no createWeightsUnbatched/,
  });
  t.throws(() => new Bilinear(4, { nParallelHeads: 3 }), { message: /`nParallelHeads` must divide/ });
});

/** How far the values of a tensor are off one number, at most. */
function off(x: tl.Tensor, from: number): number {
  return x.sub(from).abs().max().item();
}

/** Chunks, neighbours and rounds of hashing: positions see themselves alone, once or often, and anything else. */
const sights: tl.LSHOptions[] = [
  { chunkLen: 11, nChunksBefore: 0 },
  { chunkLen: 11, nChunksBefore: 1 },
  { chunkLen: 16, nChunksBefore: 1, nChunksAfter: 1, nHashes: 3 },
  { chunkLen: 3, nChunksBefore: 1, nHashes: 2 },
  { chunkLen: 4, nChunksBefore: 1, nHashes: 4, nBuckets: 8 },
  { chunkLen: 1, nChunksBefore: 1, nHashes: 5, nBuckets: 16 },
  { chunkLen: 2, nChunksBefore: 2, nChunksAfter: 1, nHashes: 7, nBuckets: [2, 4] },
];
/** Valid positions of two examples: a padded beginning and end, and nothing at all. */
const valid = tl.tensor([0, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0, ...Array<number>(11).fill(0)], [2, 11]).cast('bool');

test('LSH attention weighs values by 1 in all, whatever a position sees', (t) => {
  const [qk, ones] = [tl.random.normal(key, [4, 11, 5]).mul(2), tl.ones([4, 11, 3])];
  for (const sight of sights)
    for (const causal of [true, false])
      for (const masked of [true, false]) {
        const what = JSON.stringify([sight, causal, masked]);
        const rest = masked ? [valid] : [];
        const layer = tl.PureLSHSelfAttention({ ...sight, causal, masked, mode: 'eval' });
        layer.init(tl.signature([qk, ones, ...rest]), { rng: key });
        t.true(off(layer([qk, ones, ...rest]), 1) < 2e-6, what);
        // The result rests on no query then, and each value gets what it is weighed by.
        const sum = (q: tl.Tensor, v: tl.Tensor): tl.Tensor => layer([q, v, ...rest]).sum();
        const [toQueries, toValues] = tensorsOf(tl.grad(sum, { argnums: [0, 1] })(qk, ones), 2);
        t.true(off(toQueries, 0) < 2e-5, what);
        t.true(Math.abs(toValues.sum().item() / ones.size - 1) < 1e-5, what);
      }
});

/** Weights by which each head passes on the last feature, and the heads' mean is the output. */
function passing(weights: readonly tl.Tensor[]): tl.Tensor[] {
  return weights.map((w, i) => {
    const [heads, rows, columns] = w.shape as [number, number, number];
    if (i === weights.length - 1) return tl.full(w.shape, 1 / (heads * rows));
    return i === weights.length - 2
      ? tl.concat([tl.zeros([heads, rows - 1, columns]), tl.ones([heads, 1, columns])], 1)
      : w;
  });
}

test('so do the layers around it, and in prediction', (t) => {
  const x = tl.concat([tl.random.normal(key, [2, 11, 5]), tl.ones([2, 11, 1])], 2);
  const sizes = { nHeads: 3, dQk: 4, dV: 2 };
  for (const masked of [true, false]) {
    const layers = sights.flatMap((sight) =>
      [true, false].map((causal) => tl.LSHSelfAttention({ ...sizes, ...sight, causal, masked, mode: 'eval' })),
    );
    for (const shareQk of [true, false])
      for (const causal of [true, false]) {
        layers.push(tl.SelfAttention({ ...sizes, shareQk, causal, masked, mode: 'eval' }));
        layers.push(
          tl.SelfAttention({ ...sizes, shareQk, causal, masked, chunkLen: 4, nChunksBefore: 1, mode: 'eval' }),
        );
      }
    const inputs = masked ? [x, valid] : [x];
    for (const layer of layers) {
      layer.init(tl.signature(inputs), { rng: key });
      layer.weights = passing(tensorsOf(layer.weights));
      t.true(off(layer(masked ? inputs : x), 1) < 1e-5, `${layer}, masked: ${masked}`);
    }
  }
  for (const sight of sights) {
    const layer = tl.LSHSelfAttention({ ...sizes, ...sight, causal: true, mode: 'predict' });
    layer.init(f32([2, 11, 6]), { rng: key });
    layer.weights = passing(tensorsOf(layer.weights));
    t.true(off(stepByStep(layer, x), 1) < 1e-5, JSON.stringify(sight));
  }
  const mixed = tl.MixedLSHSelfAttention({ nHeads: 2, causal: true, stdLength: 4, ...sights[4], mode: 'eval' });
  const [qk, ones] = [tl.random.normal(key, [4, 11, 5]), tl.ones([4, 11, 3])];
  mixed.init(tl.signature([qk, ones]), { rng: key });
  t.true(off(mixed([qk, ones]), 1) < 2e-6);
  const [attended] = tl.attend(tl.random.normal(key, [12, 4]), {
    v: tl.ones([12, 3]),
    qChunkLen: 12,
    nChunksBefore: 1,
    maskFn: tl.maskSelfAttention,
  });
  t.true(off(attended!, 1) < 2e-6);
});
