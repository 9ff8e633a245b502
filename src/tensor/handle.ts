/**
 * The handle part of a tensor: identity, lifetime, and reading values.
 *
 * @module
 */
import { allocate, bytesOf, checkNestable, MOST_AXES, nest, type Nested, type TypedArray } from './data.js';
import { found } from '../bridge/found.js';
import { letGo } from '../bridge/held.js';
import { dtypeCode, dtypeName, native, type DType } from '../bridge/native.js';
import { scope } from './scope.js';

let collectedIds: number[] = [];

function releaseCollected(): void {
  const ids = collectedIds;
  collectedIds = [];
  native.release(ids);
  letGo();
}

/** Gives the values of collected tensors back, many at a time. */
const collected = new FinalizationRegistry<number>((id) => {
  if (collectedIds.push(id) === 1) {
    queueMicrotask(releaseCollected);
  }
});

function uncloneable(): never {
  throw new TypeError('a tensor cannot be cloned or sent: send the typed array of await tensor.data()');
}

/** Names the method that makes a tensor of a new handle. A symbol, as nobody else may call it. */
export const make: unique symbol = Symbol('make');

/** Names the method that gives the native id of a tensor. */
const identify: unique symbol = Symbol('identify');

/** What {@link Tensor} builds on; never used by itself. */
export abstract class Handle implements Disposable {
  /** The number that stands for the tensor in the addon; 0 once disposed. @internal */
  protected id: number;
  /** A function among the properties makes `structuredClone` and `postMessage` refuse the handle, which would arrive empty. @internal */
  protected readonly uncloneable = uncloneable;
  #shape: readonly number[] | undefined = undefined;
  #dtype: DType | undefined = undefined;

  protected constructor(id: number) {
    if (typeof id !== 'number') {
      throw new TypeError('tensors are made by tl.tensor(data) and its like, not by their class');
    }
    this.id = id;
    collected.register(this, id);
    scope.frame?.items.add(this);
  }

  /** The native id of a tensor, for {@link idOf}. @internal */
  static [identify](x: unknown, what: string): number {
    if (!(x instanceof Handle)) {
      throw new TypeError(`${what} must be a Tensor, got ${found(x)}; tl.tensor(data) makes one`);
    }
    return x.id;
  }

  /**
   * The sizes of the axes.
   */
  get shape(): number[] {
    this.#shape ??= native.shape(this.id);
    return [...this.#shape];
  }
  /** The type of the elements. */
  get dtype(): DType {
    return (this.#dtype ??= dtypeName(native.dtype(this.id)));
  }
  /** The number of elements. */
  get size(): number {
    return this.shape.reduce((a, b) => a * b, 1);
  }
  /** The number of axes. */
  get rank(): number {
    return this.shape.length;
  }
  /**
   * The device that holds the values, such as `cpu`.
   */
  get device(): string {
    return native.device(this.id);
  }
  /**
   * Whether the tensor was disposed.
   */
  get isDisposed(): boolean {
    return this.id === 0;
  }

  /**
   * Frees the values now.
   *
   * A second call does nothing. Any other use of the tensor is a {@link DisposedError} from now on.
   *
   * @see {@link tidy}, which disposes all tensors that a function made
   * @example
   * ```ts
   * const x = tl.tensor([1, 2]);
   * x.dispose();
   * x.isDisposed; // → true
   * ```
   */
  dispose(): void {
    if (this.id !== 0) {
      native.releaseOne(this.id);
      this.id = 0;
      this.#shape = undefined;
      this.#dtype = undefined;
      scope.frame?.items.delete(this);
    }
  }
  /**
   * Frees the values where a `using` declaration ends.
   *
   * @example
   * ```ts
   * const before = tl.memory().tensors;
   * {
   *   using x = tl.tensor([1, 2]);
   *   x.shape; // → [2]
   * }
   * tl.memory().tensors - before; // → 0
   * ```
   */
  [Symbol.dispose](): void {
    this.dispose();
  }

  /**
   * Copies the values into a typed array, in row-major order.
   *
   * The dtype says which: bool gives a `Uint8Array` of 0 and 1, float16 and bfloat16 give a `Uint16Array` of their bits.
   *
   * @returns The typed array of the dtype.
   * @throws {@link DisposedError} The tensor was disposed.
   * @throws `RangeError`: JavaScript has no room for as many values.
   * @see {@link Tensor.array} for nested arrays
   * @example
   * ```ts
   * tl.tensor([[1, 2], [3, 4]]).dataSync(); // → Int32Array(4) [ 1, 2, 3, 4 ]
   * ```
   */
  dataSync(): TypedArray {
    return read(this.id, this.dtype, this.size);
  }
  /**
   * Copies the values into a typed array, as `dataSync` does.
   *
   * @returns The typed array of the dtype.
   * @throws {@link DisposedError} The tensor was disposed.
   * @throws `RangeError`: JavaScript has no room for as many values.
   * @example
   * ```ts
   * await tl.tensor([1.5, 2]).data(); // → Float32Array(2) [ 1.5, 2 ]
   * ```
   */
  async data(): Promise<TypedArray> {
    return this.dataSync();
  }
  /**
   * Copies the values into nested arrays, one level for each axis.
   *
   * Values are numbers, of a bool tensor booleans. An int64 beyond 2⁵³ is rounded.
   *
   * @returns Nested arrays; of a tensor without axes its value.
   * @throws {@link DisposedError} The tensor was disposed.
   * @throws `RangeError`: JavaScript has no room for as many values or axes.
   * @example
   * ```ts
   * tl.tensor([[1, 2], [3, 4]]).add(0.5).array(); // → [[1.5, 2.5], [3.5, 4.5]]
   * ```
   */
  array(): Nested<number> {
    return nested(this.id, this.dtype, this.shape);
  }
  /**
   * Reads the only value of a tensor, whatever its number of axes.
   *
   * @returns The value as a number; of a bool tensor 0 or 1.
   * @throws {@link TensorError} `ShapeMismatch`: the tensor has no value, or several.
   * @throws {@link DisposedError} The tensor was disposed.
   * @example
   * ```ts
   * tl.tensor([1, 2, 3]).sum().item(); // → 6
   * ```
   */
  item(): number {
    return native.item(this.id);
  }
  /**
   * Writes the type, the shape and, of small tensors, the values.
   *
   * @returns The text.
   * @example
   * ```ts
   * String(tl.tensor([[1, 2, 3]])); // → 'Tensor int32[1,3] [[1,2,3]]'
   * String(tl.zeros([1000])); // → 'Tensor float32[1000]'
   * ```
   */
  toString(): string {
    if (this.id === 0) {
      return 'Tensor (disposed)';
    }
    const head = `Tensor ${this.dtype}[${this.shape.join(',')}]`;
    return this.size > 100 || this.rank > MOST_AXES ? head : `${head} ${show(this.array())}`;
  }
  /**
   * The text that `console.log` prints: that of `toString`.
   */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString();
  }
}

/** The native id of a tensor; `what` names it where it is none. */
export function idOf(x: Handle, what = 'x'): number {
  return Handle[identify](x, what);
}

/** Elements from which on it is worth asking whether there is memory for them. */
const LARGE = 2 ** 20;

function read(id: number, dtype: DType, size: number): TypedArray {
  if (size > LARGE) native.admitValues(id);
  const values = allocate(dtype, size);
  native.copyInto(id, bytesOf(values));
  return values;
}

/** The values as nested arrays; booleans are typed as numbers, since TypeScript cannot tell by the dtype. */
function nested(id: number, dtype: DType, shape: readonly number[]): Nested<number> {
  checkNestable(shape);
  const size = shape.reduce((a, b) => a * b, 1);
  if (dtype === 'float16' || dtype === 'bfloat16') {
    const wide = native.cast(id, dtypeCode('float32'));
    try {
      return nested(wide, 'float32', shape);
    } finally {
      native.releaseOne(wide);
    }
  }
  const values = read(id, dtype, size);
  return nest<number | boolean>(values, shape, dtype === 'bool' ? (v) => v !== 0 : Number) as Nested<number>;
}

function show(x: Nested): string {
  if (Array.isArray(x)) {
    return `[${x.map(show).join(',')}]`;
  }
  return typeof x === 'number' && !Number.isInteger(x) ? String(Number(x.toPrecision(6))) : String(x);
}
