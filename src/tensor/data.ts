/**
 * JavaScript values as typed arrays, and back: natural dtypes, nested numbers.
 *
 * @module
 */
import { types } from 'node:util';
import { found, isList, typedKind } from '../bridge/found.js';
import { type DType } from '../bridge/native.js';

/** A typed array that a tensor is made from or read into. */
export type TypedArray =
  | Float32Array
  | Float64Array
  | Int32Array
  | Uint32Array
  | Uint8Array
  | Uint8ClampedArray
  | Int8Array
  | Int16Array
  | Uint16Array
  | BigInt64Array
  | BigUint64Array;

/** A `Float16Array`, of Node versions that have it. */
export interface HalfArray extends ArrayBufferView, ArrayLike<number> {
  /** The kind of the array. */
  readonly [Symbol.toStringTag]: 'Float16Array';
}

/** Numbers, booleans or bigints, nested in arrays of equal lengths. */
export type Nested<T = number | boolean | bigint> = T | readonly Nested<T>[];

/** What a tensor can be made of: a typed array, numbers, booleans or bigints, or any of these nested in arrays of equal lengths. */
export type TensorData = TypedArray | HalfArray | number | boolean | bigint | readonly TensorData[];

/** Values, how they are stored, and their shape. */
export interface Flat {
  values: ArrayBufferView;
  dtype: DType;
  shape: number[];
}

/** The dtypes that elements of typed arrays become. Words of 16 bits are missing: they may be float16 or bfloat16, which must be said. */
const DTYPES: ReadonlyMap<string, DType> = new Map([
  ['Float32Array', 'float32'],
  ['Float64Array', 'float64'],
  ['Float16Array', 'float16'],
  ['Int32Array', 'int32'],
  ['Uint32Array', 'uint32'],
  ['Uint8Array', 'uint8'],
  ['Uint8ClampedArray', 'uint8'],
  ['Int8Array', 'int32'],
  ['Int16Array', 'int32'],
  ['BigInt64Array', 'int64'],
  ['BigUint64Array', 'int64'],
]);

function allocated(dtype: DType, size: number): TypedArray {
  switch (dtype) {
    case 'float32':
      return new Float32Array(size);
    case 'float64':
      return new Float64Array(size);
    case 'float16':
    case 'bfloat16':
      return new Uint16Array(size);
    case 'int32':
      return new Int32Array(size);
    case 'int64':
      return new BigInt64Array(size);
    case 'uint32':
      return new Uint32Array(size);
    case 'uint8':
    case 'bool':
      return new Uint8Array(size);
  }
}

function roomFor<T>(dtype: DType, size: number, make: () => T): T {
  try {
    return make();
  } catch (cause) {
    throw new RangeError(`there is no memory for an array of ${size} elements of ${dtype}`, { cause });
  }
}

/**
 * A new typed array for `size` elements of a dtype.
 *
 * @throws `RangeError` if there is no memory for it
 */
export function allocate(dtype: DType, size: number): TypedArray {
  return roomFor(dtype, size, () => allocated(dtype, size));
}

/** The bytes of a typed array: shared with it, or a copy where another thread may write them meanwhile. */
export function bytesOf(values: ArrayBufferView): Uint8Array {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return types.isSharedArrayBuffer(values.buffer) ? bytes.slice() : bytes;
}

/** Whether `x` is a typed array, of any realm (a `DataView` is not). */
export function isTypedArray(x: unknown): x is TypedArray | HalfArray {
  return typedKind(x) !== undefined;
}

/** A typed array of 64-bit words as signed ones, on the same bytes. */
function signed(values: BigUint64Array): BigInt64Array {
  const outside = values.findIndex((v) => v > INT64.most);
  if (outside >= 0) {
    throw new RangeError(`${values[outside]} does not fit int64`);
  }
  return new BigInt64Array(values.buffer, values.byteOffset, values.length);
}

/** A typed array with the dtype it is stored as. Narrow integers widen to int32. */
export function flattenTyped(values: TypedArray | HalfArray, dtype: DType | undefined): Flat {
  const kind = typedKind(values);
  try {
    // An array whose buffer was transferred or made too short looks empty; only the methods of its class tell.
    Int8Array.prototype.keys.call(values);
  } catch (cause) {
    throw new TypeError(`the buffer of the ${kind} was transferred away or made too short to hold it`, { cause });
  }
  const shape = [values.length];
  if (kind === 'Uint16Array') {
    if (dtype !== 'float16' && dtype !== 'bfloat16') {
      throw new TypeError("a Uint16Array holds the bits of float16 or bfloat16: give dtype 'float16' or 'bfloat16'");
    }
    return { values, dtype, shape };
  }
  const natural = kind === undefined ? undefined : DTYPES.get(kind);
  if (natural === undefined) {
    throw new TypeError(`a tensor cannot be made of a ${kind}`);
  }
  if (types.isInt8Array(values) || types.isInt16Array(values)) {
    return { values: Int32Array.from(values), dtype: natural, shape };
  }
  return { values: types.isBigUint64Array(values) ? signed(values) : values, dtype: natural, shape };
}

/** The most axes that nested arrays can have. */
export const MOST_AXES = 64;

/** The lengths of the arrays around the first value, which all others must have too. */
function shapeOf(data: unknown): number[] {
  const shape: number[] = [];
  let inner = data;
  while (isList(inner)) {
    if (shape.length === MOST_AXES) {
      throw new RangeError(`the arrays are nested deeper than ${MOST_AXES} levels; does one of them hold itself?`);
    }
    shape.push(inner.length);
    inner = inner[0];
  }
  return isTypedArray(inner) ? [...shape, inner.length] : shape;
}

/** The first value that is no array. */
function firstOf(data: unknown): unknown {
  let inner = data;
  while (isList(inner)) inner = inner[0];
  return inner;
}

const INT64 = { least: -(2n ** 63n), most: 2n ** 63n - 1n };

/** Takes values in row-major order into typed arrays of the size they need. */
interface Sink {
  /** Takes the next value. */
  put(value: unknown): void;
  /** Takes the next values, as many as told. */
  putList(values: readonly unknown[], length: number): void;
  /** Takes the next values. */
  putRow(row: TypedArray | HalfArray): void;
  /** What came. */
  flat(shape: number[]): Flat;
}

function mixed(one: string, other: unknown): TypeError {
  return new TypeError(
    `the rows must all be of one kind, got ${one} and ${isTypedArray(other) ? found(other) : 'plain numbers'}`,
  );
}

/** Rows that are typed arrays, all of one dtype. */
class Rows implements Sink {
  readonly #dtype: DType | undefined;
  readonly #first: TypedArray | HalfArray;
  readonly #stored: DType;
  readonly #values: TypedArray;
  #at = 0;

  constructor(first: TypedArray | HalfArray, size: number, dtype: DType | undefined) {
    this.#dtype = dtype;
    this.#first = first;
    this.#stored = flattenTyped(first, dtype).dtype;
    this.#values = allocate(this.#stored, size);
  }
  put(value: unknown): void {
    throw mixed(found(this.#first), value);
  }
  putList(values: readonly unknown[]): void {
    this.put(values[0]);
  }
  putRow(row: TypedArray | HalfArray): void {
    const { values, dtype } = flattenTyped(row, this.#dtype);
    if (dtype !== this.#stored) {
      throw mixed(found(this.#first), row);
    }
    const bytes = bytesOf(values);
    bytesOf(this.#values).set(bytes, this.#at);
    this.#at += bytes.length;
  }
  flat(shape: number[]): Flat {
    return { values: this.#values, dtype: this.#stored, shape };
  }
}

/** A number or bigint as int64. */
function exact(value: number | bigint | boolean): bigint {
  if (typeof value === 'number' && !Number.isInteger(value)) {
    throw new RangeError('int64 takes whole numbers only');
  }
  const whole = BigInt(value);
  if (whole < INT64.least || whole > INT64.most) {
    throw new RangeError(`${value} does not fit int64: give float64 numbers`);
  }
  return whole;
}

/** Plain values. Numbers are kept as float64, or at once as float32 where nothing else can come of them. */
class Values implements Sink {
  readonly #size: number;
  readonly #dtype: DType | undefined;
  readonly #numbers: Float32Array | Float64Array;
  #bigints: BigInt64Array | undefined;
  #at = 0;
  #sawNumber = false;
  #sawBoolean = false;
  #whole = true;
  /** The first whole number beyond int32. */
  #wide: number | undefined;

  constructor(first: unknown, size: number, dtype: DType | undefined) {
    this.#size = size;
    this.#dtype = dtype;
    const narrow =
      dtype === 'float32' || (dtype === undefined && typeof first === 'number' && !Number.isInteger(first));
    const room = dtype === 'int64' ? 0 : size;
    this.#numbers = narrow
      ? roomFor('float32', room, () => new Float32Array(room))
      : roomFor('float64', room, () => new Float64Array(room));
    if (dtype === 'int64') this.#widen();
  }
  put(value: unknown): void {
    switch (typeof value) {
      case 'number':
        this.#sawNumber = true;
        if (this.#whole && (value | 0) !== value) {
          this.#whole = Number.isInteger(value);
          if (this.#whole) this.#wide ??= value;
        }
        break;
      case 'boolean':
        this.#sawBoolean = true;
        break;
      case 'bigint':
        if (this.#bigints === undefined) this.#widen();
        break;
      default:
        throw new TypeError(
          isList(value)
            ? 'the arrays are nested to different depths'
            : `a tensor is made of numbers, booleans or bigints, got ${found(value)}`,
        );
    }
    if (this.#bigints === undefined) this.#numbers[this.#at] = Number(value);
    else this.#bigints[this.#at] = exact(value);
    this.#at += 1;
  }
  putList(values: readonly unknown[], length: number): void {
    const numbers = this.#numbers;
    const start = this.#at;
    let [plain, whole, sawNumber] = [this.#bigints === undefined, this.#whole, this.#sawNumber];
    for (let i = 0; i < length; i++) {
      const value = values[i];
      // What nearly all values are is not worth a call each.
      if (plain && typeof value === 'number' && (!whole || (value | 0) === value)) {
        numbers[start + i] = value;
        sawNumber = true;
      } else {
        this.#at = start + i;
        this.put(value);
        [plain, whole] = [this.#bigints === undefined, this.#whole];
      }
    }
    this.#at = start + length;
    this.#sawNumber ||= sawNumber;
  }
  putRow(row: TypedArray | HalfArray): void {
    throw mixed(found(row), 0);
  }
  flat(shape: number[]): Flat {
    const numbers = this.#numbers;
    if (this.#bigints !== undefined) {
      return { values: this.#bigints, dtype: 'int64', shape };
    }
    if (this.#dtype !== undefined) {
      return { values: numbers, dtype: this.#dtype === 'float32' ? 'float32' : 'float64', shape };
    }
    if (this.#sawBoolean && !this.#sawNumber) {
      return { values: roomFor('bool', this.#size, () => new Uint8Array(numbers)), dtype: 'bool', shape };
    }
    if (this.#whole && this.#size > 0) {
      if (this.#wide !== undefined) {
        throw new RangeError(`${this.#wide} does not fit int32: give dtype 'int64' or 'float32'`);
      }
      return { values: roomFor('int32', this.#size, () => new Int32Array(numbers)), dtype: 'int32', shape };
    }
    return { values: roomFor('float32', this.#size, () => new Float32Array(numbers)), dtype: 'float32', shape };
  }
  /** Goes on with bigints. */
  #widen(): void {
    if (!this.#whole) {
      throw new RangeError('int64 takes whole numbers only');
    }
    const bigints = roomFor('int64', this.#size, () => new BigInt64Array(this.#size));
    for (let i = 0; i < this.#at; i++) bigints[i] = exact(this.#numbers[i]!);
    this.#bigints = bigints;
  }
}

function fill(data: unknown, shape: readonly number[], axis: number, sink: Sink): void {
  if (axis === shape.length) {
    sink.put(data);
    return;
  }
  const typed = isTypedArray(data);
  if (!typed && !isList(data)) {
    throw new TypeError('the arrays are nested to different depths');
  }
  if (typed && axis < shape.length - 1) {
    throw new TypeError('the arrays are nested to different depths');
  }
  const length = shape[axis]!;
  if (data.length !== length) {
    throw new RangeError(`the arrays on axis ${axis} have different lengths: ${length} and ${data.length}`);
  }
  if (typed) {
    sink.putRow(data);
    return;
  }
  if (axis === shape.length - 1) {
    sink.putList(data, length);
    return;
  }
  for (let i = 0; i < length; i++) {
    fill(data[i], shape, axis + 1, sink);
  }
}

/** Nested values as one typed array. Without a wish for a dtype: all whole numbers → int32, else float32; booleans → bool; bigints → int64. */
export function flattenNested(data: unknown, dtype: DType | undefined): Flat {
  const shape = shapeOf(data);
  const size = shape.reduce((a, b) => a * b, 1);
  const first = firstOf(data);
  const sink = isTypedArray(first) ? new Rows(first, size, dtype) : new Values(first, size, dtype);
  fill(data, shape, 0, sink);
  return sink.flat(shape);
}

/** The most items that an array of JavaScript can be given one by one: to grow further, V8 would end the process. */
const LONGEST = 100_000_000;
/** Bytes of nested arrays, from which on it is asked whether the heap has room for them. */
const MUCH = 2 ** 26;

/**
 * Refuses a shape of nested arrays that the heap has no room for: it would end the process.
 *
 * @throws `RangeError`
 */
export function checkNestable(shape: readonly number[]): void {
  const refuse = (why: string): never => {
    throw new RangeError(
      `a tensor of shape [${shape.join(',')}] cannot be read as nested arrays: ${why}; read its values with dataSync()`,
    );
  };
  if (shape.length > MOST_AXES) refuse(`they would be nested deeper than ${MOST_AXES} levels`);
  if (shape.some((size) => size > LONGEST)) refuse(`an array would be longer than ${LONGEST} items`);
  const rows = shape.slice(0, -1).reduce((a, b) => a * b, 1);
  // While an array grows, its items exist twice; rows are arrays of their own.
  const bytes = 8 * rows * (shape.at(-1) ?? 1) + 64 * rows + 16 * Math.max(0, ...shape);
  if (bytes <= MUCH) return;
  // Asked for only here: loading it takes as long as loading a tenth of this package.
  const { getHeapStatistics } = process.getBuiltinModule('node:v8');
  if (bytes > getHeapStatistics().total_available_size) refuse('the heap of JavaScript has no room for them');
}

/** Values in row-major order as nested arrays of a shape that {@link checkNestable} let pass; a shape without axes gives the one value. */
export function nest<T>(
  values: ArrayLike<number> | ArrayLike<bigint>,
  shape: readonly number[],
  read: (value: number | bigint) => T,
): Nested<T> {
  let at = 0;
  const level = (axis: number): Nested<T> => {
    if (axis === shape.length) return read(values[at++]!);
    const items: Nested<T>[] = [];
    for (let i = 0; i < shape[axis]!; i++) items.push(level(axis + 1));
    return items;
  };
  return level(0);
}
