/** What LSH attention sees where a sequence comes position by position, against the whole sequence in mode 'eval'. */
import test from 'ava';
import * as tl from '../../src/index.js';
import { one } from '../support/values.js';

const DEPTH = 12;
const HEAD = { nHeads: 1, dQk: 6, dV: 6, causal: true } as const;

/** Vectors in no order. */
const vectors = (length: number, seed: number): tl.Tensor => tl.random.normal(tl.random.key(seed), [1, length, DEPTH]);
const position = (x: tl.Tensor, at: number): tl.Tensor => x.slice([0, at, 0], [1, at + 1, DEPTH]);
const apart = (a: tl.Tensor, b: tl.Tensor): number => a.sub(b).abs().max().item();

/** A layer for sequences of a length, and what its copy in mode 'predict' gives for one, position by position. */
function hashing(length: number, options: tl.LSHSelfAttentionOptions) {
  const layer = tl.LSHSelfAttention({ ...HEAD, ...options, mode: 'eval' });
  layer.init({ shape: [1, length, DEPTH], dtype: 'float32' }, { rng: tl.random.key(3) });
  const steps = (x: tl.Tensor): { outputs: tl.Tensor; state: tl.Nest } => {
    const next = layer.withMode('predict');
    next.init({ shape: [1, 1, DEPTH], dtype: 'float32' }, { rng: tl.random.key(3) });
    const outputs = Array.from({ length }, (_, at) => one(next(position(x, at))));
    return { outputs: tl.concat(outputs, 1), state: next.state };
  };
  return { layer, steps };
}

/** The earlier positions whose vectors change what comes at a position. */
function seen(run: (x: tl.Tensor) => tl.Tensor, x: tl.Tensor, at: number): number[] {
  const before = position(run(x), at);
  const counts = (place: number): boolean => {
    // Small enough that it hashes as before.
    const nudge = tl.tensor(
      Array.from({ length: x.shape[1]! }, (_, i) => (i === place ? 1e-2 : 0)),
      [1, x.shape[1]!, 1],
      { dtype: 'float32' },
    );
    return apart(position(run(x.add(nudge)), at), before) > 1e-7;
  };
  return Array.from({ length: at }, (_, place) => place).filter(counts);
}

test('up to the length of a chunk each position sees all before it, in both modes', (t) => {
  for (const nHashes of [1, 2, 4]) {
    const { layer, steps } = hashing(16, { chunkLen: 16, nHashes, nBuckets: 4 });
    const x = vectors(16, 1);
    const whole = one(layer(x));
    t.true(apart(steps(x).outputs, whole) < 1e-5);
    // It hashes anew in each call, which changes nothing here.
    t.true(apart(one(layer(x)), whole) < 1e-5);
    t.deepEqual(
      seen((y) => one(layer(y)), x, 11),
      [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
    );
    t.deepEqual(
      seen((y) => steps(y).outputs, x, 11),
      [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
    );
  }
});

test('beyond that a step sees what shares a bucket with it, and the latest others', (t) => {
  const [length, at] = [40, 39];
  const options = { chunkLen: 4, nChunksBefore: 1, nHashes: 1, nBuckets: 4, predictMemLen: length, predictDropLen: 1 };
  const { steps } = hashing(length, options);
  const x = vectors(length, 2);
  const [, , [buckets]] = steps(x).state as [tl.Tensor, tl.Tensor[], [tl.Tensor, tl.Tensor, tl.Tensor]];
  const of = buckets.reshape([-1]).array() as number[];
  const earlier = Array.from({ length: at }, (_, place) => place);
  const alike = earlier.filter((place) => of[place] === of[at]);
  const others = earlier.filter((place) => of[place] !== of[at]);
  // 8 places in all, its own among them.
  const room = 7;
  const expected = [...others, ...alike].slice(-room).toSorted((a, b) => a - b);
  t.deepEqual(
    seen((y) => steps(y).outputs, x, at),
    expected,
  );
  t.true(alike.length > 0 && expected.length === room);
});

test('a step hashes by the same draw each time, and a call in mode eval by another', (t) => {
  const { layer, steps } = hashing(64, { chunkLen: 8, nHashes: 1, nBuckets: 8 });
  const x = vectors(64, 3);
  const [first, second] = [steps(x).outputs, steps(x).outputs];
  t.deepEqual(second.array(), first.array());
  const [one1, one2] = [one(layer(x)), one(layer(x))];
  t.true(apart(one1, one2) > 0.05);
  t.true(apart(first, one1) > 0.05);
  // Here a position sees what was chosen for it, so the first of a long sequence do not see all before them in mode eval.
  t.true(apart(position(first, 7), position(one1, 7)) > 1e-3);
});

test('what is further back than the memory is forgotten, which mode eval still sees', (t) => {
  const options = { chunkLen: 4, nChunksBefore: 1, nHashes: 2, nBuckets: 4, predictMemLen: 12, predictDropLen: 4 };
  const { layer, steps } = hashing(40, options);
  const x = vectors(40, 4);
  // When 12 places are full, the oldest 4 are dropped: at position 39 these are 36 … 39 and the 8 before.
  const inSteps = seen((y) => steps(y).outputs, x, 39);
  t.true(inSteps.every((place) => place >= 28));
  t.true(inSteps.length >= 8);
  const anew = (y: tl.Tensor): tl.Tensor => {
    // With the same draw for each call.
    layer.init({ shape: [1, 40, DEPTH], dtype: 'float32' }, { rng: tl.random.key(3) });
    return one(layer(y));
  };
  t.true(seen(anew, x, 39).some((place) => place < 28));
});

test('steps are no further from exact attention than the whole sequence at once', (t) => {
  const length = 128;
  const options = { chunkLen: 16, nHashes: 2, nBuckets: 16 };
  const { layer, steps } = hashing(length, options);
  const exact = tl.LSHSelfAttention({ ...HEAD, chunkLen: length, nChunksBefore: 0, mode: 'eval' });
  exact.init({ shape: [1, length, DEPTH], dtype: 'float32' }, { rng: tl.random.key(3) });
  exact.weights = layer.weights;
  const x = vectors(length, 5);
  const wanted = one(exact(x));
  const off = (y: tl.Tensor): number => Math.sqrt(y.sub(wanted).square().sum().div(wanted.square().sum()).item());
  const [atOnce, byStep] = [off(one(layer(x))), off(steps(x).outputs)];
  t.true(byStep < atOnce, `${byStep} ${atOnce}`);
  t.true(byStep > 1e-3);
});
