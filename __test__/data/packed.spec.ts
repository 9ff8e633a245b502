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
      const alone = tl.data.segmentMask(tl.ones([1, sequence.length]), causal);
      const y = tensorOf(attention([tensorOf(embed([sequence])), alone]));
      const part = packed.slice([0, at, 0], [1, at + sequence.length, 8]);
      const apart = y.sub(part).abs().max().item();
      t.true(apart < 1e-5, `${causal ? 'causal' : 'whole'}, sequence at ${at}: ${apart}`);
      at += sequence.length;
    }
  }
});

test('segmentMask refuses what are no segments', (t) => {
  t.throws(() => tl.data.segmentMask(wrong([[1]]), true), { instanceOf: TypeError, message: /must be a tensor/ });
  t.throws(() => tl.data.segmentMask(tl.ones([3]), true), {
    instanceOf: RangeError,
    message: /\[batch, length\], got \[3\]/,
  });
  t.throws(() => tl.data.segmentMask(tl.ones([1, 3]), wrong(undefined)), { message: /causal must be true or false/ });
});
