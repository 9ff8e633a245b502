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
import { type Names, optionsOf } from './rest.js';
import { idOf, Tensor, wrap } from './tensor.js';

/** A random key: a `uint32[2]` tensor, a `Uint32Array` or an array of two 32-bit words. */
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

/**
 * Reads the two 32-bit words of a random key.
 *
 * @param key - A `uint32[2]` tensor, a `Uint32Array`, or an array of two words.
 * @returns The two words.
 * @throws `TypeError`: `key` is none of these.
 * @example
 * ```ts
 * tl.random.keyWords(tl.random.key(7)); // → [0, 7]
 * ```
 */
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

/**
 * Makes the key of a seed, as `jax.random.PRNGKey` does.
 *
 * @param seed - A whole number.
 * @returns The key, `uint32[2]`.
 * @throws `RangeError`: `seed` is not a whole number that can be told exactly.
 * @example
 * ```ts
 * tl.random.key(7); // → Tensor uint32[2] [0,7]
 * ```
 */
export function key(seed: number): Tensor {
  return wrap(native.randomKey(seed));
}

/**
 * Splits a key into new ones.
 *
 * Their numbers have nothing to do with each other. The result can be spread into variables.
 *
 * @param key - The key to split.
 * @param num - How many keys to make; 2 if left out.
 * @returns The keys, `uint32[num, 2]`.
 * @throws `TypeError`: `key` is not a random key.
 * @example
 * ```ts
 * const [forWeights, forDropout] = tl.random.split(tl.random.key(0));
 * forWeights; // → Tensor uint32[2] [4146024105,967050713]
 * ```
 */
export function split(key: Key, num: number = 2): Tensor {
  return wrap(native.randomSplit(keyWords(key), num));
}

/**
 * Makes a new key of a key and a number, such as the number of a step.
 *
 * @param key - The key to start from.
 * @param data - A whole number.
 * @returns The new key, `uint32[2]`.
 * @throws `TypeError`: `key` is not a random key.
 * @example
 * ```ts
 * tl.random.foldIn(tl.random.key(0), 3).shape; // → [2]
 * ```
 */
export function foldIn(key: Key, data: number): Tensor {
  return wrap(native.randomFoldIn(keyWords(key), data));
}

/**
 * Draws random 32-bit words.
 *
 * @param key - Random key.
 * @param shape - Sizes of the axes; none if left out.
 * @returns Words, `uint32[...shape]`.
 * @throws `TypeError`: `key` is not a random key.
 * @example
 * ```ts
 * tl.random.bits(tl.random.key(0), [2]).dtype; // → 'uint32'
 * ```
 */
export function bits(key: Key, shape: readonly number[] = []): Tensor {
  return wrap(native.randomBits(keyWords(key), shape));
}

/**
 * Draws floats from a uniform distribution.
 *
 * @param key - Random key.
 * @param shape - Sizes of the axes; none if left out.
 * @param options - Options by name:
 * - `dtype`: A float type. Default: `'float32'`.
 * - `minval`: Least value. Default: `0`.
 * - `maxval`: Bound above the values, which none of them reaches. Default: `1`.
 * @returns Floats of shape `[...shape]`.
 * @throws {@link TensorError} `DTypeMismatch`: `dtype` is not a float.
 * @throws `RangeError`: `minval` is above `maxval`, or a bound or the width between them is NaN or not finite in `dtype`.
 * @example
 * ```ts
 * tl.random.uniform(tl.random.key(0), [3]); // → Tensor float32[3] [0.965321,0.314682,0.63303]
 * ```
 */
export function uniform(
  key: Key,
  shape: readonly number[] = [],
  options: { dtype?: DType; minval?: number; maxval?: number } = {},
): Tensor {
  const { dtype = 'float32', minval = 0, maxval = 1 } = optionsOf('uniform', options, UNIFORM);
  return wrap(native.randomUniform(keyWords(key), shape, dtypeCode(dtype, 'uniform: dtype'), minval, maxval));
}

/**
 * Draws floats from the normal distribution of mean 0 and variance 1.
 *
 * @param key - Random key.
 * @param shape - Sizes of the axes; none if left out.
 * @param options - Options by name:
 * - `dtype`: A float type. Default: `'float32'`.
 * @returns Floats of shape `[...shape]`.
 * @throws {@link TensorError} `DTypeMismatch`: `dtype` is not a float.
 * @example
 * ```ts
 * tl.random.normal(tl.random.key(0), [3]); // → Tensor float32[3] [1.81609,-0.482623,0.339889]
 * ```
 */
export function normal(key: Key, shape: readonly number[] = [], options: { dtype?: DType } = {}): Tensor {
  return wrap(native.randomNormal(keyWords(key), shape, dtypeOf('normal', options, 'float32')));
}

/**
 * Draws floats from the normal distribution, cut off below `lower` and above `upper`.
 *
 * @param key - Random key.
 * @param lower - Bound below the values.
 * @param upper - Bound above the values.
 * @param shape - Sizes of the axes; none if left out.
 * @param options - Options by name:
 * - `dtype`: A float type. Default: `'float32'`.
 * @returns Floats of shape `[...shape]`.
 * @throws {@link TensorError} `DTypeMismatch`: `dtype` is not a float.
 * @throws `RangeError`: `lower` is not below `upper`, or one of them is NaN.
 * @example
 * ```ts
 * tl.random.truncatedNormal(tl.random.key(0), -1, 1, [3]); // → Tensor float32[3] [0.906521,-0.322637,0.22965]
 * ```
 */
export function truncatedNormal(
  key: Key,
  lower: number,
  upper: number,
  shape: readonly number[] = [],
  options: { dtype?: DType } = {},
): Tensor {
  const dtype = dtypeOf('truncatedNormal', options, 'float32');
  return wrap(native.randomTruncatedNormal(keyWords(key), lower, upper, shape, dtype));
}

/**
 * Draws booleans that are true with a given probability.
 *
 * @param key - Random key.
 * @param p - The probability; 0.5 if left out.
 * @param shape - Sizes of the axes; none if left out.
 * @returns Booleans, `bool[...shape]`.
 * @throws `TypeError`: `key` is not a random key.
 * @throws `RangeError`: `p` is not from 0 to 1.
 * @example
 * ```ts
 * tl.random.bernoulli(tl.random.key(0), 0.5, [4]); // → Tensor bool[4] [false,true,false,true]
 * ```
 */
export function bernoulli(key: Key, p: number = 0.5, shape: readonly number[] = []): Tensor {
  return wrap(native.randomBernoulli(keyWords(key), p, shape));
}

/**
 * Draws whole numbers from a uniform distribution.
 *
 * @param key - Random key.
 * @param shape - Sizes of the axes.
 * @param minval - Least value.
 * @param maxval - Bound above the values, which none of them reaches; where it is not above `minval`, all values are `minval`, as in JAX.
 * @param options - Options by name:
 * - `dtype`: An integer type. Default: `'int32'`.
 * @returns Whole numbers of shape `[...shape]`.
 * @throws `TypeError`: `key` is not a random key.
 * @example
 * ```ts
 * tl.random.randint(tl.random.key(0), [4], 0, 10); // → Tensor int32[4] [8,1,7,0]
 * ```
 */
export function randint(
  key: Key,
  shape: readonly number[],
  minval: number,
  maxval: number,
  options: { dtype?: DType } = {},
): Tensor {
  return wrap(native.randomRandint(keyWords(key), shape, minval, maxval, dtypeOf('randint', options, 'int32')));
}

/**
 * Puts numbers, or the slices of a tensor along an axis, into random order.
 *
 * @param key - Random key.
 * @param x - A tensor, or a number for the whole numbers below it.
 * @param options - Options by name:
 * - `axis`: Axis whose slices are put into another order. Default: `0`.
 * @returns The same in random order: a tensor of the shape of `x`, or `int32[x]`.
 * @throws `TypeError`: `key` is not a random key.
 * @example
 * ```ts
 * tl.random.permutation(tl.random.key(0), 5); // → Tensor int32[5] [1,0,4,3,2]
 * ```
 */
export function permutation(key: Key, x: number | Tensor, options: { axis?: number } = {}): Tensor {
  const words = keyWords(key);
  const { axis = 0 } = optionsOf('permutation', options, AXIS);
  return wrap(
    typeof x === 'number'
      ? native.randomPermutation(words, x)
      : native.randomPermute(words, idOf(x, 'permutation: x'), axis),
  );
}

/**
 * Draws categories by the logarithms of their probabilities, which need not sum to 1.
 *
 * @param key - Random key.
 * @param logits - Logarithms of probabilities, up to a constant.
 * @param options - Options by name:
 * - `axis`: Axis of the categories. Default: `-1`.
 * - `shape`: Shape of the result; `null` is that of `logits` without the axis. Default: `null`.
 * @returns Numbers of categories, int32.
 * @throws `TypeError`: `key` is not a random key.
 * @example
 * ```ts
 * const logits = tl.tensor([[0, 5], [5, 0]], [2, 2], { dtype: 'float32' });
 * tl.random.categorical(tl.random.key(0), logits); // → Tensor int32[2] [1,0]
 * ```
 */
export function categorical(
  key: Key,
  logits: Tensor,
  options: { axis?: number; shape?: readonly number[] | null } = {},
): Tensor {
  const { axis = -1, shape = null } = optionsOf('categorical', options, CATEGORICAL);
  return wrap(native.randomCategorical(keyWords(key), idOf(logits, 'categorical: logits'), axis, shape));
}

/**
 * Draws floats from the standard Gumbel distribution.
 *
 * The greatest of logarithms of probabilities with such noise added is a draw by those probabilities.
 *
 * @param key - Random key.
 * @param shape - Sizes of the axes; none if left out.
 * @param options - Options by name:
 * - `dtype`: A float type. Default: `'float32'`.
 * @returns Floats of shape `[...shape]`.
 * @throws {@link TensorError} `DTypeMismatch`: `dtype` is not a float.
 * @example
 * ```ts
 * tl.random.gumbel(tl.random.key(0), [3]); // → Tensor float32[3] [3.34404,-0.145133,0.782552]
 * ```
 */
export function gumbel(key: Key, shape: readonly number[] = [], options: { dtype?: DType } = {}): Tensor {
  return wrap(native.randomGumbel(keyWords(key), shape, dtypeOf('gumbel', options, 'float32')));
}
