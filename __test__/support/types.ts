/** What tests know of values that the types of the package leave open, and check. */
import * as tl from 'tallow';

/** A value of a type that is wrong where it is given, on purpose: the only way around the compiler. */
export const wrong = (x: unknown): never => x as never;

/** The value, which is of this class. */
export function instanceOf<T>(Class: abstract new (...args: never[]) => T, x: unknown): T {
  if (!(x instanceof Class)) throw new TypeError(`expected an object of ${Class.name}, got ${String(x)}`);
  return x;
}

/** The value, which is one tensor. */
export function tensorOf(x: unknown): tl.Tensor {
  if (!(x instanceof tl.Tensor)) throw new TypeError(`expected a tensor, got ${String(x)}`);
  return x;
}

type Tuple<T, N extends number, Made extends T[] = []> = number extends N
  ? T[]
  : Made['length'] extends N
    ? Made
    : Tuple<T, N, [...Made, T]>;

const isTuple = <T, N extends number>(x: unknown, n: N | undefined, isItem: (x: unknown) => x is T): x is Tuple<T, N> =>
  Array.isArray(x) && (n === undefined || x.length === n) && x.every(isItem);

const isTensor = (x: unknown): x is tl.Tensor => x instanceof tl.Tensor;
const isTree = (x: unknown): x is tl.Nest => typeof x === 'object' && x !== null;
const isLayer = (x: unknown): x is tl.Layer => x instanceof tl.Layer;

/** The value, which is a list of tensors, of this length if one is given. */
export function tensorsOf<N extends number = number>(x: unknown, n?: N): Tuple<tl.Tensor, N> {
  if (!isTuple(x, n, isTensor)) throw new TypeError(`expected ${n ?? 'any number of'} tensors, got ${String(x)}`);
  return x;
}

/** The value, which is a list of trees, of this length if one is given. */
export function treesOf<N extends number = number>(x: tl.Nest, n?: N): Tuple<tl.Nest, N> {
  if (!isTuple(x, n, isTree)) throw new TypeError(`expected ${n ?? 'any number of'} trees, got ${String(x)}`);
  return x;
}

/** The list of layers, which are so many. */
export function layersOf<N extends number>(x: readonly tl.Layer[], n: N): Tuple<tl.Layer, N> {
  if (!isTuple(x, n, isLayer)) throw new TypeError(`expected ${n} layers, got ${String(x)}`);
  return x;
}
