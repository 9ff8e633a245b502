/**
 * JavaScript values as typed arrays, and back: natural dtypes, nested numbers.
 *
 * @module
 */
import { type DType } from './native.js';

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
  | BigInt64Array;

/** Numbers, booleans or bigints, nested in arrays of equal lengths. */
export type Nested<T = number | boolean | bigint> = T | readonly Nested<T>[];

/** Values, how they are stored, and their shape. */
export interface Flat {
  values: TypedArray;
  dtype: DType;
  shape: number[];
}

/** The dtype of a typed array's elements; 16-bit words are float16 or bfloat16, which must be said. */
export function naturalDType(values: TypedArray): DType | undefined {
  if (values instanceof Float32Array) return 'float32';
  if (values instanceof Float64Array) return 'float64';
  if (values instanceof Int32Array) return 'int32';
  if (values instanceof Uint32Array) return 'uint32';
  if (values instanceof Uint8Array || values instanceof Uint8ClampedArray) return 'uint8';
  if (values instanceof BigInt64Array) return 'int64';
  return undefined;
}

/** A new typed array for `size` elements of a dtype. */
export function allocate(dtype: DType, size: number): TypedArray {
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

/** The bytes of a typed array, shared. */
export function bytesOf(values: ArrayBufferView): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

/** Whether `x` is a typed array (a `DataView` is not). */
export function isTypedArray(x: unknown): x is TypedArray {
  return ArrayBuffer.isView(x) && !(x instanceof DataView);
}

/** A typed array with the dtype it is stored as. Narrow integers widen to int32. */
export function flattenTyped(values: TypedArray, dtype: DType | undefined): Flat {
  const shape = [values.length];
  if (values instanceof Uint16Array) {
    if (dtype !== 'float16' && dtype !== 'bfloat16') {
      throw new TypeError("a Uint16Array holds the bits of halves: give dtype 'float16' or 'bfloat16'");
    }
    return { values, dtype, shape };
  }
  if (values instanceof Int8Array || values instanceof Int16Array) {
    return { values: Int32Array.from(values), dtype: 'int32', shape };
  }
  const natural = naturalDType(values);
  if (natural === undefined) {
    throw new TypeError(`a tensor cannot be made of a ${(values as object).constructor.name}`);
  }
  return { values, dtype: natural, shape };
}

function shapeOf(data: Nested): number[] {
  const shape: number[] = [];
  let inner: Nested | undefined = data;
  while (Array.isArray(inner)) {
    shape.push(inner.length);
    inner = inner[0] as Nested | undefined;
  }
  return shape;
}

/** What kinds of values a nested array was found to hold. */
interface Kinds {
  number: boolean;
  boolean: boolean;
  bigint: boolean;
}

function fill(data: Nested, shape: readonly number[], axis: number, out: (number | bigint)[], kinds: Kinds): void {
  if (axis === shape.length) {
    switch (typeof data) {
      case 'number':
        kinds.number = true;
        out.push(data);
        return;
      case 'bigint':
        kinds.bigint = true;
        out.push(data);
        return;
      case 'boolean':
        kinds.boolean = true;
        out.push(Number(data));
        return;
      default:
        throw new TypeError(
          Array.isArray(data)
            ? 'the arrays are nested to different depths'
            : `a tensor is made of numbers, booleans or bigints, got ${data === null ? 'null' : typeof data}`,
        );
    }
  }
  if (!Array.isArray(data)) {
    throw new TypeError('the arrays are nested to different depths');
  }
  if (data.length !== shape[axis]) {
    throw new RangeError(`the arrays on axis ${axis} have different lengths: ${shape[axis]} and ${data.length}`);
  }
  for (const item of data as readonly Nested[]) {
    fill(item, shape, axis + 1, out, kinds);
  }
}

const INT32 = { least: -(2 ** 31), most: 2 ** 31 - 1 };

function toInt32(values: readonly number[]): Int32Array {
  const outside = values.find((v) => v < INT32.least || v > INT32.most);
  if (outside !== undefined) {
    throw new RangeError(`${outside} does not fit int32: give dtype 'int64' or 'float32'`);
  }
  return Int32Array.from(values);
}

/** Nested values as one typed array. Without a wish for a dtype: all whole numbers → int32, else float32; booleans → bool; bigints → int64. */
export function flattenNested(data: Nested, dtype: DType | undefined): Flat {
  const shape = shapeOf(data);
  const kinds: Kinds = { number: false, boolean: false, bigint: false };
  const out: (number | bigint)[] = [];
  fill(data, shape, 0, out, kinds);
  if (kinds.bigint || dtype === 'int64') {
    if (out.some((v) => typeof v === 'number' && !Number.isInteger(v))) {
      throw new RangeError('int64 takes whole numbers only');
    }
    const outside = out.find((v) => BigInt.asIntN(64, BigInt(v)) !== BigInt(v));
    if (outside !== undefined) {
      throw new RangeError(`${outside} does not fit int64: give float64 numbers`);
    }
    return { values: BigInt64Array.from(out, BigInt), dtype: 'int64', shape };
  }
  const numbers = out as number[];
  if (kinds.boolean && !kinds.number && dtype === undefined) {
    return { values: Uint8Array.from(numbers), dtype: 'bool', shape };
  }
  if (dtype !== undefined && dtype !== 'float32') {
    return { values: Float64Array.from(numbers), dtype: 'float64', shape };
  }
  const whole = dtype === undefined && numbers.length > 0 && numbers.every(Number.isInteger);
  return whole
    ? { values: toInt32(numbers), dtype: 'int32', shape }
    : { values: Float32Array.from(numbers), dtype: 'float32', shape };
}

/** Values in row-major order as nested arrays; a shape without axes gives the one value. */
export function nest<T>(values: readonly T[], shape: readonly number[]): Nested<T> {
  let level: Nested<T>[] = [...values];
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const size = shape[axis]!;
    const outer = shape.slice(0, axis).reduce((a, b) => a * b, 1);
    level = Array.from({ length: outer }, (_, i) => level.slice(i * size, (i + 1) * size));
  }
  return level[0] as Nested<T>;
}
