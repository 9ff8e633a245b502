/** What `flatMap` and `window` make of the elements of a dataset. */
import test from 'ava';
import * as tl from 'tallow';
import { wrong } from '../support/types.js';

const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
const tens = (n: number): number[] => upTo(n).map((i) => 10 * n + i);

test('flatMap gives all elements of what its function gives, and lets go of an iterator that is left', async (t) => {
  const numbers = tl.data.fromArray([2, 0, 3]);
  t.deepEqual(await numbers.flatMap(tens).toArray(), [20, 21, 30, 31, 32]);
  t.deepEqual(await numbers.flatMap((n) => Promise.resolve(new Set(tens(n)))).toArray(), [20, 21, 30, 31, 32]);
  t.deepEqual(await numbers.flatMap((n, i) => tl.data.fromArray([n, i])).toArray(), [2, 0, 0, 1, 3, 2]);
  let left = 0;
  const endless = numbers.flatMap(function* (n) {
    try {
      for (;;) yield n;
    } finally {
      left += 1;
    }
  });
  t.deepEqual(await endless.take(3).toArray(), [2, 2, 2]);
  t.is(left, 1);
});

test('what flatMap cannot iterate over, or what is thrown within, tells the element', async (t) => {
  const mine = new Error('mine');
  const numbers = tl.data.fromArray([1, 2]);
  const given = numbers.flatMap((n) => (n === 2 ? wrong(5) : [n]));
  await t.throwsAsync(given.toArray(), {
    instanceOf: tl.data.DataError,
    message: '[InvalidArgument] Dataset.flatMap, element 1: f must give an (async) iterable, got 5',
  });
  const thrown = numbers.flatMap(function* (n) {
    yield n;
    if (n === 2) throw mine;
  });
  const error = await t.throwsAsync(thrown.toArray(), { code: 'Thrown', message: /Dataset.flatMap, element 1: mine/ });
  t.is(error.cause, mine);
  t.throws(() => numbers.flatMap(wrong(5)), {
    instanceOf: TypeError,
    message: /Dataset.flatMap: f must be a function/,
  });
  // A function that gives fewer elements than it gave.
  const [before, after] = [5, 2].map((count) => tl.data.fromArray([0]).flatMap(() => upTo(count)));
  for await (const x of before!) if (x === 3) break;
  await t.throwsAsync(after!.restore(before!.state()).toArray(), {
    code: 'InvalidOption',
    message: /f gives 2 elements now, and gave 4 before/,
  });
});

test('windows overlap, touch or leave a gap, and what fills none is left out', async (t) => {
  const numbers = tl.data.fromArray([1, 2, 3, 4, 5, 6, 7]);
  t.deepEqual(await numbers.window(3, 2).toArray(), [
    [1, 2, 3],
    [3, 4, 5],
    [5, 6, 7],
  ]);
  t.deepEqual(await numbers.window(3).toArray(), [
    [1, 2, 3],
    [4, 5, 6],
  ]);
  t.deepEqual(await numbers.window(2, 4).toArray(), [
    [1, 2],
    [5, 6],
  ]);
  t.deepEqual(await numbers.window(8).toArray(), []);
  for (const [length, stride] of [
    [0, 1],
    [2, 0],
    [1.5, 1],
  ]) {
    t.throws(() => numbers.window(length!, stride), { code: 'InvalidOption', message: /Dataset.window: `/ });
  }
});

test('windows that overlap may be used up one after another, tensors of the pipeline too', async (t) => {
  const pairs = tl.data.fromArray([1, 2, 3, 4]).batch(1).window(2, 1).batch(1);
  const sums = await pairs.map((window) => [window].flat().map((x) => x.array())).toArray();
  t.deepEqual(sums, [
    [[[1]], [[2]]],
    [[[2]], [[3]]],
    [[[3]], [[4]]],
  ]);
});
