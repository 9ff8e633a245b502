/**
 * Random numbers from keys, bit for bit as `jax.random` (threefry2x32 in its original layout).
 *
 * A key is never used up: the same key always gives the same numbers, so split it for each use.
 *
 * @module
 */
import { dtypeCode, native, type DType } from './native.js';
import { tensor } from './ops.js';
import { idOf, Tensor, wrap } from './tensor.js';

/** A random key: a uint32[2] tensor, a Uint32Array or an array of two 32-bit words. */
export type Key = Tensor | Uint32Array | readonly [number, number];

/** The two words of a key. */
export function keyWords(key: Key): [number, number] {
  const words = key instanceof Tensor && key.dtype === 'uint32' ? (key.dataSync() as Uint32Array) : key;
  if (words instanceof Tensor || words.length !== 2) {
    throw new TypeError('a random key is a uint32[2] tensor, a Uint32Array or an array of two words; random.key(seed) makes one');
  }
  return [words[0]! >>> 0, words[1]! >>> 0];
}

function keyTensor(words: readonly number[], shape: readonly number[]): Tensor {
  return tensor(Uint32Array.from(words), shape);
}

/** The key of a seed, as `jax.random.PRNGKey`. */
export function key(seed: number): Tensor {
  return keyTensor(native.randomKey(seed), [2]);
}

/** `num` new keys as a uint32[num, 2] tensor, whose slices (it can be spread into variables) are keys. */
export function split(key: Key, num: number = 2): Tensor {
  return keyTensor(native.randomSplit(...keyWords(key), num), [num, 2]);
}

/** A new key from a key and a number. */
export function foldIn(key: Key, data: number): Tensor {
  return keyTensor(native.randomFoldIn(...keyWords(key), data), [2]);
}

/** Uniform 32-bit words. */
export function bits(key: Key, shape: readonly number[] = []): Tensor {
  return wrap(native.randomBits(...keyWords(key), shape));
}

/** Uniform floats, at least `minval` (0) and below `maxval` (1). */
export function uniform(
  key: Key,
  shape: readonly number[] = [],
  options: { dtype?: DType; minval?: number; maxval?: number } = {},
): Tensor {
  const { dtype = 'float32', minval = 0, maxval = 1 } = options;
  return wrap(native.randomUniform(...keyWords(key), shape, dtypeCode(dtype), minval, maxval));
}

/** Normal floats with mean 0 and variance 1. */
export function normal(key: Key, shape: readonly number[] = [], options: { dtype?: DType } = {}): Tensor {
  return wrap(native.randomNormal(...keyWords(key), shape, dtypeCode(options.dtype ?? 'float32')));
}

/** Normal floats that fell between `lower` and `upper`. */
export function truncatedNormal(
  key: Key,
  lower: number,
  upper: number,
  shape: readonly number[] = [],
  options: { dtype?: DType } = {},
): Tensor {
  const dtype = dtypeCode(options.dtype ?? 'float32');
  return wrap(native.randomTruncatedNormal(...keyWords(key), lower, upper, shape, dtype));
}

/** Booleans, true with probability `p`. */
export function bernoulli(key: Key, p: number = 0.5, shape: readonly number[] = []): Tensor {
  return wrap(native.randomBernoulli(...keyWords(key), p, shape));
}

/** Integers, at least `minval` and below `maxval`. */
export function randint(
  key: Key,
  shape: readonly number[],
  minval: number,
  maxval: number,
  options: { dtype?: DType } = {},
): Tensor {
  return wrap(native.randomRandint(...keyWords(key), shape, minval, maxval, dtypeCode(options.dtype ?? 'int32')));
}

/** The numbers below `x`, or the slices of a tensor along an axis, in random order. */
export function permutation(key: Key, x: number | Tensor, options: { axis?: number } = {}): Tensor {
  const words = keyWords(key);
  return wrap(
    typeof x === 'number'
      ? native.randomPermutation(...words, x)
      : native.randomPermute(...words, idOf(x), options.axis ?? 0),
  );
}

/** Categories drawn by their unnormalized log-probabilities along an axis (the last). */
export function categorical(
  key: Key,
  logits: Tensor,
  options: { axis?: number; shape?: readonly number[] | null } = {},
): Tensor {
  return wrap(native.randomCategorical(...keyWords(key), idOf(logits), options.axis ?? -1, options.shape ?? null));
}

/** Floats from the standard Gumbel distribution. */
export function gumbel(key: Key, shape: readonly number[] = [], options: { dtype?: DType } = {}): Tensor {
  return wrap(native.randomGumbel(...keyWords(key), shape, dtypeCode(options.dtype ?? 'float32')));
}
