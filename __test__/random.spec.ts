import test from 'ava';
import * as tl from '../src/index.js';
import { wrong } from './support/types.js';

const { random } = tl;

test('keys of seeds, splits and folds are those of JAX', (t) => {
  t.deepEqual(random.key(0).dataSync(), Uint32Array.of(0, 0));
  t.deepEqual(random.key(42).dataSync(), Uint32Array.of(0, 42));
  // jax.random.split(jax.random.PRNGKey(0)) without partitionable threefry.
  t.deepEqual(random.split(random.key(0)).dataSync(), Uint32Array.of(4146024105, 967050713, 2718843009, 1272950319));
  t.deepEqual(random.split(random.key(0), 3).shape, [3, 2]);
  t.notDeepEqual(random.foldIn(random.key(0), 1).array(), random.foldIn(random.key(0), 2).array());
});

test('a key may be a tensor, a Uint32Array or two numbers', (t) => {
  const a = random.split(random.key(7)).index(0);
  const words = a.dataSync() as Uint32Array;
  const expected = random.bits(a, [3]).array();
  t.deepEqual(random.bits(words, [3]).array(), expected);
  t.deepEqual(random.bits([words[0]!, words[1]!], [3]).array(), expected);
  t.throws(() => random.bits(tl.tensor([1, 2]), [3]), { instanceOf: TypeError, message: /uint32/ });
  t.throws(() => random.bits(wrong([1]), [3]), { instanceOf: TypeError });
});

test('draws: the same key gives the same values, within their range and dtype', (t) => {
  const key = random.key(3);
  const u = random.uniform(key, [1000], { minval: -2, maxval: 3 });
  t.deepEqual(u.array(), random.uniform(key, [1000], { minval: -2, maxval: 3 }).array());
  t.true(u.min().item() >= -2 && u.max().item() < 3);
  const n = random.normal(key, [10000]);
  t.true(Math.abs(n.mean().item()) < 0.05 && Math.abs(n.variance().item() - 1) < 0.05);
  const cut = random.truncatedNormal(key, -1, 1, [1000]);
  t.true(cut.min().item() >= -1 && cut.max().item() <= 1);
  const b = random.bernoulli(key, 0.25, [10000]);
  t.is(b.dtype, 'bool');
  t.true(Math.abs(b.cast('float32').mean().item() - 0.25) < 0.02);
  const i = random.randint(key, [1000], -5, 6);
  t.is(i.dtype, 'int32');
  t.deepEqual([i.min().item(), i.max().item()], [-5, 5]);
  t.deepEqual(
    (random.permutation(key, 9).array() as number[]).toSorted((a, c) => a - c),
    [0, 1, 2, 3, 4, 5, 6, 7, 8],
  );
  t.deepEqual(random.gumbel(key, [2, 2]).shape, [2, 2]);
});

test('slices in random order, and categories by their logits', (t) => {
  const key = random.key(5);
  const x = tl.arange(12).reshape([3, 4]);
  const columns = random.permutation(key, x, { axis: 1 }).transpose().array() as number[][];
  t.deepEqual(
    columns.map(([a]) => a!).toSorted((a, b) => a - b),
    [0, 1, 2, 3],
  );
  t.true(columns.every(([a, b, c]) => b === a! + 4 && c === a! + 8));
  const logits = tl.tensor([0, -Infinity, 1.5]);
  const drawn = random.categorical(key, logits, { shape: [2000] });
  t.is(drawn.dtype, 'int32');
  t.is(drawn.eq(1).cast('int32').sum().item(), 0);
  t.true(Math.abs(drawn.eq(2).cast('float32').mean().item() - Math.exp(1.5) / (1 + Math.exp(1.5))) < 0.04);
});

test('numbers of no sense are refused by name', (t) => {
  const key = [0, 1] as const;
  const refused = (make: () => tl.Tensor, message: RegExp): void => {
    t.throws(make, { instanceOf: RangeError, code: 'InvalidArgument', message });
  };
  refused(() => random.bernoulli(key, 2), /^bernoulli: p must be a probability, from 0 to 1, got 2$/);
  refused(() => random.bernoulli(key, Number.NaN), /p must be/);
  refused(
    () => random.uniform(key, [2], { minval: 3, maxval: 2 }),
    /^uniform: minval and maxval must be .*got 3 and 2$/,
  );
  refused(() => random.uniform(key, [2], { maxval: Infinity }), /finite in float32/);
  refused(
    () => random.truncatedNormal(key, 1, -1, [2]),
    /^truncatedNormal: lower must be below upper, .*got 1 and -1$/,
  );
  refused(() => random.truncatedNormal(key, Number.NaN, 1, [2]), /neither may be NaN/);
});
