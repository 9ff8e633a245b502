/** A packed row is computed as its sequences are, each by itself. */
import test from 'ava';
import * as tl from 'tallow';
import { tensorOf, wrong } from '../support/types.js';

const sequences = [
  [3, 1, 4, 1, 5],
  [9, 2],
  [6, 5, 3],
];

test('an attention with the mask of the segments sees no other sequence', async (t) => {
  const rows = await tl.data.fromArray(sequences).pack({ length: 12 }).batch(1).toArray();
  const { tokens, segments } = rows[0]!;
  const embed = tl.Embedding(10, 8);
  embed.init({ shape: [1, 12], dtype: 'int32' }, { rng: tl.random.key(0) });
  for (const causal of [false, true]) {
    const attention = tl.Serial(
      tl.Select([0, 0, 0, 1]),
      tl.AttentionQKV(8, { nHeads: 2, mode: 'eval' }),
      tl.Select([0], { nIn: 2 }),
    );
    const mask = tl.data.segmentMask(segments, causal);
    t.deepEqual([mask.shape, mask.dtype], [[1, 1, 12, 12], 'bool']);
    const x = tensorOf(embed(tokens));
    attention.init([tl.signature(x), tl.signature(mask)], { rng: tl.random.key(1) });
    const packed = tensorOf(attention([x, mask]));
    let at = 0;
    for (const sequence of sequences) {
      const alone = tl.data.segmentMask(tl.ones([1, sequence.length], { dtype: 'int32' }), causal);
      const y = tensorOf(attention([tensorOf(embed([sequence])), alone]));
      const part = packed.slice([0, at, 0], [1, at + sequence.length, 8]);
      const apart = y.sub(part).abs().max().item();
      t.true(apart < 1e-5, `${causal ? 'causal' : 'whole'}, sequence at ${at}: ${apart}`);
      at += sequence.length;
    }
  }
});

test('an attention with useSegments sees no other sequence', async (t) => {
  const [row] = await tl.data.fromArray(sequences).pack({ length: 12 }).batch(1).toArray();
  const embed = tl.Embedding(10, 8);
  embed.init({ shape: [1, 12], dtype: 'int32' }, { rng: tl.random.key(0) });
  const sizes = { nHeads: 2, dQk: 4, dV: 4, mode: 'eval' } as const;
  const layers: [tl.Layer, tl.Layer][] = [
    [tl.SelfAttention({ ...sizes, useSegments: true }), tl.SelfAttention(sizes)],
    [
      tl.LSHSelfAttention({ ...sizes, chunkLen: 12, causal: true, useSegments: true }),
      tl.LSHSelfAttention({ ...sizes, chunkLen: 12, causal: true }),
    ],
  ];
  for (const [attention, alone] of layers) {
    const x = tensorOf(embed(row!.tokens));
    attention.init(tl.signature([x, row!.segments]), { rng: tl.random.key(1) });
    const [packed, passed] = [attention([x, row!.segments])].flat();
    t.deepEqual(passed!.array(), row!.segments.array());
    let at = 0;
    for (const sequence of sequences) {
      const one = tensorOf(embed([sequence]));
      alone.init(tl.signature(one), { rng: tl.random.key(1) });
      alone.weights = attention.weights;
      const part = packed!.slice([0, at, 0], [1, at + sequence.length, 8]);
      const apart = part
        .sub(tensorOf(alone(one)))
        .abs()
        .max()
        .item();
      t.true(apart < 1e-5, `${attention.name}, sequence at ${at}: ${apart}`);
      at += sequence.length;
    }
  }
});

test('segmentMask is what the layer SegmentMask makes', (t) => {
  const segments = tl.tensor([[1, 1, 2, 2, 0]]);
  for (const causal of [false, true]) {
    const layer = tl.SegmentMask({ causal });
    layer.init(tl.signature(segments));
    t.deepEqual(tl.data.segmentMask(segments, causal).array(), layer(segments).array());
  }
  t.deepEqual(
    tl.data
      .segmentMask(tl.tensor([[1, 1, 2]]), true)
      .cast('int32')
      .array(),
    [
      [
        [
          [1, 0, 0],
          [1, 1, 0],
          [0, 0, 1],
        ],
      ],
    ],
  );
});

test('segmentMask refuses what are no segments', (t) => {
  t.throws(() => tl.data.segmentMask(wrong([[1]]), true), { instanceOf: TypeError, message: /must be a tensor/ });
  t.throws(() => tl.data.segmentMask(tl.ones([3]), true), {
    instanceOf: RangeError,
    message: /\[batch, length\], got \[3\]/,
  });
  t.throws(() => tl.data.segmentMask(tl.ones([1, 3]), true), {
    code: 'DTypeMismatch',
    message: /must be integers, got float32/,
  });
  t.throws(() => tl.data.segmentMask(tl.ones([1, 3]), wrong(undefined)), { message: /causal must be true or false/ });
});
