/**
 * Random numbers from keys, bit for bit as `jax.random` (threefry2x32 in its original layout).
 *
 * A key is never used up: the same key always gives the same numbers, so split it for each use.
 *
 * @module
 */
import { isTypedArray } from './data.js';
import { found, isList } from '../bridge/found.js';
import { dtypeCode, native, type DType } from '../bridge/native.js';
import { tensor } from './ops.js';
import { type Names, optionsOf } from './rest.js';
import { idOf, Tensor, wrap } from './tensor.js';

/** A random key: a uint32[2] tensor, a Uint32Array or an array of two 32-bit words. */
export type Key = Tensor | Uint32Array | readonly [number, number];

interface DTypeOptions {
  readonly dtype?: DType;
}
interface UniformOptions extends DTypeOptions {
  readonly minval?: number;
  readonly maxval?: number;
}
interface AxisOptions {
  readonly axis?: number;
}
interface CategoricalOptions extends AxisOptions {
  readonly shape?: readonly number[] | null;
}

const DTYPE: Names<DTypeOptions> = { dtype: true };
const UNIFORM: Names<UniformOptions> = { dtype: true, minval: true, maxval: true };
const AXIS: Names<AxisOptions> = { axis: true };
const CATEGORICAL: Names<CategoricalOptions> = { axis: true, shape: true };

const isWord = (x: unknown): x is number => typeof x === 'number' && Number.isInteger(x) && x >= 0 && x < 2 ** 32;

/** The two words of a key. */
export function keyWords(key: Key | null | undefined): [number, number] {
  const words: unknown = key instanceof Tensor && key.dtype === 'uint32' ? key.dataSync() : key;
  const [a, b]: readonly unknown[] =
    (isList(words) || isTypedArray(words)) && words.length === 2 ? [words[0], words[1]] : [];
  if (!isWord(a) || !isWord(b)) {
    const got = isList(words)
      ? `[${words.slice(0, 3).map(found).join(', ')}${words.length > 3 ? ', …' : ''}]`
      : found(key);
    throw new TypeError(
      `a random key is a uint32[2] tensor, a Uint32Array or an array of two words; random.key(seed) makes one; got ${got}`,
    );
  }
  return [a, b];
}

function dtypeOf(what: string, options: DTypeOptions, fallback: DType): number {
  return dtypeCode(optionsOf(what, options, DTYPE).dtype ?? fallback, `${what}: dtype`);
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
  return wrap(native.randomSplit(...keyWords(key), num));
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
  const { dtype = 'float32', minval = 0, maxval = 1 } = optionsOf('uniform', options, UNIFORM);
  return wrap(native.randomUniform(...keyWords(key), shape, dtypeCode(dtype, 'uniform: dtype'), minval, maxval));
}

/** Normal floats with mean 0 and variance 1. */
export function normal(key: Key, shape: readonly number[] = [], options: { dtype?: DType } = {}): Tensor {
  return wrap(native.randomNormal(...keyWords(key), shape, dtypeOf('normal', options, 'float32')));
}

/** Normal floats that fell between `lower` and `upper`. */
export function truncatedNormal(
  key: Key,
  lower: number,
  upper: number,
  shape: readonly number[] = [],
  options: { dtype?: DType } = {},
): Tensor {
  const dtype = dtypeOf('truncatedNormal', options, 'float32');
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
  return wrap(native.randomRandint(...keyWords(key), shape, minval, maxval, dtypeOf('randint', options, 'int32')));
}

/** The numbers below `x`, or the slices of a tensor along an axis, in random order. */
export function permutation(key: Key, x: number | Tensor, options: { axis?: number } = {}): Tensor {
  const words = keyWords(key);
  const { axis = 0 } = optionsOf('permutation', options, AXIS);
  return wrap(
    typeof x === 'number'
      ? native.randomPermutation(...words, x)
      : native.randomPermute(...words, idOf(x, 'permutation: x'), axis),
  );
}

/** Categories drawn by their unnormalized log-probabilities along an axis (the last). */
export function categorical(
  key: Key,
  logits: Tensor,
  options: { axis?: number; shape?: readonly number[] | null } = {},
): Tensor {
  const { axis = -1, shape = null } = optionsOf('categorical', options, CATEGORICAL);
  return wrap(native.randomCategorical(...keyWords(key), idOf(logits, 'categorical: logits'), axis, shape));
}

/** Floats from the standard Gumbel distribution. */
export function gumbel(key: Key, shape: readonly number[] = [], options: { dtype?: DType } = {}): Tensor {
  return wrap(native.randomGumbel(...keyWords(key), shape, dtypeOf('gumbel', options, 'float32')));
}
