/** Attention and recurrent layers of no sequences, and of sequences of no positions: an empty result, in every mode, with gradients. */
import test from 'ava';
import * as tl from '../../src/index.js';

const modes = ['train', 'eval', 'predict'] as const;
type Inputs = (batch: number, length: number) => tl.Tensor[];
type Layer = readonly [make: (mode: tl.Mode) => tl.Layer, inputs: Inputs];

const depth = 8;
const vectors = (batch: number, length: number): tl.Tensor => tl.zeros([batch, length, depth]);
const one: Inputs = (batch, length) => [vectors(batch, length)];
/** Vectors and which of them are valid, as `Attention` and as efficient attention take it. */
const withMask: Inputs = (batch, length) => [vectors(batch, length), tl.ones([batch, 1, 1, length]).cast('bool')];
const withRow: Inputs = (batch, length) => [vectors(batch, length), tl.ones([batch, length]).cast('bool')];
const three: Inputs = (batch, length) => [vectors(batch, length), vectors(batch, length), vectors(batch, length)];
const triple: Inputs = (batch, length) => [...three(batch, length), tl.ones([batch, 1, 1, length]).cast('bool')];
/** Heads share the leading axis with the batch. */
const heads: Inputs = (batch, length) => [tl.zeros([2 * batch, length, 4]), tl.zeros([2 * batch, length, 4])];
const headsWithRow: Inputs = (batch, length) => [...heads(batch, length), tl.ones([batch, length]).cast('bool')];
const toSource: Inputs = (batch, length) => [vectors(batch, 3), vectors(batch, length)];
const fromTarget: Inputs = (batch, length) => [
  vectors(batch, length),
  vectors(batch, 3),
  tl.ones([batch, 3]).cast('bool'),
];
/** A vector of each sequence and a recurrent state of several parts. */
const withState =
  (parts: number): Inputs =>
  (batch) => [tl.zeros([batch, depth]), tl.zeros([batch, parts * depth])];
const images: Inputs = (batch, length) => [tl.zeros([batch, length, 3, depth]), tl.zeros([batch, length, 3, depth])];

const small = { nHeads: 2, dQk: 4, dV: 4 };
const chunks = { ...small, chunkLen: 4, nBuckets: 2 };
const split = { nHeads: 2, sparsity: 2 };
const relative = (mode: tl.Mode): tl.Layer => {
  const [contextBiasLayer, locationBiasLayer] = tl.getRelAttInputs(depth, 2);
  return tl.RelativeAttentionWrapper(depth, {
    nHeads: 2,
    dropout: 0.1,
    mode,
    contextBiasLayer,
    locationBiasLayer,
    totalPooling: 1,
  });
};
const layers: Readonly<Record<string, Layer>> = {
  Attention: [(mode) => tl.Attention(depth, { nHeads: 2, mode }), withMask],
  AttentionQKV: [(mode) => tl.AttentionQKV(depth, { nHeads: 2, mode }), triple],
  CausalAttention: [(mode) => tl.CausalAttention(depth, { nHeads: 2, mode }), one],
  DotProductCausalAttention: [(mode) => tl.DotProductCausalAttention({ mode }), three],
  SelfAttention: [
    (mode) => tl.SelfAttention({ ...small, mode, causal: true, predictMemLen: 8, predictDropLen: 4 }),
    one,
  ],
  'SelfAttention in chunks': [
    (mode) => tl.SelfAttention({ ...small, mode, causal: true, shareQk: true, chunkLen: 4, nChunksBefore: 1 }),
    one,
  ],
  'SelfAttention, masked': [
    (mode) => tl.SelfAttention({ ...small, mode, causal: true, masked: true, predictMemLen: 8, predictDropLen: 4 }),
    withRow,
  ],
  LSHSelfAttention: [(mode) => tl.LSHSelfAttention({ ...chunks, mode, causal: true, nHashes: 2, bias: true }), one],
  'LSHSelfAttention, dropped': [
    (mode) => tl.LSHSelfAttention({ ...chunks, mode, causal: true, attentionDropout: 0.1, outputDropout: 0.1 }),
    one,
  ],
  'LSHSelfAttention, masked': [
    (mode) => tl.LSHSelfAttention({ ...chunks, mode, causal: true, masked: true, nBuckets: null }),
    withRow,
  ],
  PureLSHSelfAttention: [(mode) => tl.PureLSHSelfAttention({ ...chunks, mode, causal: true, nHashes: 2 }), heads],
  'PureLSHSelfAttention, masked': [
    (mode) => tl.PureLSHSelfAttention({ ...chunks, mode, causal: true, masked: true }),
    headsWithRow,
  ],
  MixedLSHSelfAttention: [(mode) => tl.MixedLSHSelfAttention({ ...chunks, mode, causal: true, stdLength: 2 }), heads],
  PureLSHSelfAttentionWrapper: [
    (mode) => tl.PureLSHSelfAttentionWrapper({ ...chunks, mode, causal: true, numWeights: 2 }),
    one,
  ],
  'EncDecAttention to a source': [(mode) => tl.EncDecAttention({ ...small, masked: false, mode }), toSource],
  'EncDecAttention of a target': [(mode) => tl.EncDecAttention({ ...small, mode }), fromTarget],
  Favor: [(mode) => tl.Favor(depth, { nHeads: 2, mode }), withRow],
  CausalFavor: [(mode) => tl.CausalFavor(depth, { nHeads: 2, mode }), one],
  ModularCausalAttention: [(mode) => tl.ModularCausalAttention(depth, { ...split, mode }), one],
  ConvCausalAttention: [(mode) => tl.ConvCausalAttention(depth, { ...split, kernelSize: 3, mode }), one],
  LowRankCausalAttention: [(mode) => tl.LowRankCausalAttention(depth, { nHeads: 2, lowrank: 2, mode }), one],
  MultiplicativeCausalAttention: [(mode) => tl.MultiplicativeCausalAttention(depth, { ...split, mode }), one],
  MultiplicativeModularCausalAttention: [
    (mode) => tl.MultiplicativeModularCausalAttention(depth, { ...split, mode }),
    one,
  ],
  MultiplicativeConvCausalAttention: [(mode) => tl.MultiplicativeConvCausalAttention(depth, { ...split, mode }), one],
  LSHFF: [(mode) => tl.LSHFF(12, 4, { mode }), one],
  RelativeAttentionWrapper: [(mode) => relative(mode), one],
  PureAttention: [(mode) => tl.PureAttention({ nHeads: 2, mode }), triple],
  LSTMCell: [() => tl.LSTMCell(depth), withState(2)],
  GRUCell: [() => tl.GRUCell(depth), withState(1)],
  ConvGRUCell: [() => tl.ConvGRUCell(depth), images],
  GeneralGRUCell: [(mode) => tl.GeneralGRUCell(() => tl.Dense(depth), { mode }), withState(1)],
  GRU: [(mode) => tl.GRU(depth, { mode }), one],
  LSTM: [(mode) => tl.LSTM(depth, { mode }), one],
  SRU: [(mode) => tl.SRU(depth, { mode }), one],
};

/** Layers whose convolutions refuse sequences of no positions, in which no kernel fits. */
const convolved = new Set(['ConvCausalAttention', 'MultiplicativeConvCausalAttention']);

for (const [name, [make, inputs]] of Object.entries(layers)) {
  test(`${name} of nothing`, (t) => {
    for (const mode of modes)
      for (const [batch, length] of [
        [0, 4],
        [2, 0],
        [0, 0],
        [0, 1],
      ] as const) {
        const what = `${name} in mode '${mode}' of ${batch} × ${length}`;
        const xs = inputs(batch, length);
        const run = (...floats: tl.Tensor[]): tl.Tensor => {
          const layer = make(mode);
          layer.init(tl.signature(xs), { rng: [0, 1] });
          const all = xs.map((x, i) => floats[i] ?? x);
          const y = layer(all.length === 1 ? all[0]! : all, { rng: [0, 2] });
          return Array.isArray(y) ? y[0]! : y;
        };
        if (length === 0 && convolved.has(name)) {
          t.throws(run, { code: 'ShapeMismatch', message: /Conv: a window of .* does not fit/ }, what);
          continue;
        }
        const floats = xs.filter((x) => x.dtype === 'float32');
        const y = run();
        t.deepEqual([y.shape, y.dtype], [xs[0]!.shape, 'float32'], what);
        if (y.size > 0) t.true(y.array() !== null && !Number.isNaN(y.sum().item()), what);
        if (mode === 'predict') continue;
        const gradients = [
          tl.grad((...v: tl.Tensor[]) => run(...v).sum(), { argnums: floats.map((_, i) => i) })(...floats),
        ].flat();
        t.deepEqual(
          gradients.map((g) => g.shape),
          floats.map((x) => x.shape),
          what,
        );
      }
  });
}

test('functions of attention: no queries, no positions, no chunks', (t) => {
  const x = tl.zeros([0, 4]);
  const [y, logs] = tl.attend(x, { v: tl.zeros([0, 3]), qChunkLen: 2, nChunksBefore: 1, maskFn: tl.maskSelfAttention });
  t.deepEqual([y!.shape, logs!.shape], [[0, 3], [0]]);
  const [buckets] = tl.hashVecs(x, 4, 3, [0, 1]);
  t.deepEqual(buckets!.shape, [3, 0]);
  t.deepEqual(tl.lookAdjacent(tl.zeros([0, 2, 4]), 1, 1).shape, [0, 6, 4]);
  t.deepEqual(tl.applyBroadcastedDropout(x, 0.5, [0, 1]).shape, [0, 4]);
});

test('heads of no depth are refused or give nothing', (t) => {
  const codes = new Set(['ShapeMismatch', 'InvalidArgument', 'InvalidOption']);
  const attempt = (what: string, f: () => tl.Tensor, shape: number[]): void => {
    try {
      t.deepEqual(f().shape, shape, what);
    } catch (error) {
      t.true(error instanceof tl.LayerError && codes.has(error.code), `${what}: ${error}`);
    }
  };
  for (const option of ['nHeads', 'dQk', 'dV'] as const) {
    t.throws(() => tl.LSHSelfAttention({ [option]: 0 }), {
      code: 'InvalidOption',
      message: new RegExp(`\`${option}\` must be`),
    });
    t.throws(() => tl.SelfAttention({ [option]: 0 }), { code: 'InvalidOption' });
    t.throws(() => tl.EncDecAttention({ [option]: 0 }), { code: 'InvalidOption' });
  }
  for (const [dQk, dV] of [
    [0, 3],
    [3, 0],
    [0, 0],
  ] as const) {
    const xs = [tl.zeros([2, 5, dQk]), tl.ones([2, 5, dV])];
    const lsh = tl.PureLSHSelfAttention({ chunkLen: 2, nBuckets: 2, causal: true, mode: 'eval' });
    attempt(
      `PureLSHSelfAttention of depths ${dQk}, ${dV}`,
      () => (lsh.init(tl.signature(xs), { rng: [0, 1] }), lsh(xs)),
      [2, 5, dV],
    );
    const exact = tl.DotProductCausalAttention({ mode: 'eval' });
    attempt(`DotProductCausalAttention of depths ${dQk}, ${dV}`, () => exact([xs[0]!, xs[0]!, xs[1]!]), [2, 5, dV]);
  }
  for (const layer of [
    tl.LSHSelfAttention({ nHeads: 2, dQk: 4, dV: 4, chunkLen: 4, nBuckets: 2 }),
    tl.SelfAttention({ dQk: 4, dV: 4 }),
  ]) {
    attempt(
      `${layer.name} of no features`,
      () => (layer.init({ shape: [2, 5, 0], dtype: 'float32' }, { rng: [0, 1] }), layer(tl.zeros([2, 5, 0]))),
      [2, 5, 0],
    );
  }
});
