/**
 * Making tensors, and operations that take several.
 *
 * @module
 */
import { bytesOf, flattenNested, flattenTyped, isTypedArray, type TensorData } from './data.js';
import { isList, list, text } from '../bridge/found.js';
import { dtypeCode, native, type DType } from '../bridge/native.js';
import { type Names, optionsOf } from './rest.js';
import { axisOf, idOf, isNumeric, Tensor, wrap, type AxisArgument, type Operand } from './tensor.js';

export { type TensorData } from './data.js';
/** A tensor, or what one can be made of. */
export type TensorLike = Tensor | TensorData;

/** Element type and place of a new tensor. */
export interface TensorOptions {
  /** Element type; by default what suits the values. */
  readonly dtype?: DType;
  /** `cpu` (the default), `cuda:0`, `metal:0`. */
  readonly device?: string;
}

const MAKER: Names<TensorOptions> = { dtype: true, device: true };

/**
 * Makes a tensor.
 *
 * The dtype is the typed array's own (Float32Array float32, Int32Array int32, Uint32Array uint32, Uint8Array uint8,
 * BigInt64Array int64, Float64Array float64). Plain numbers are int32 if all are whole, else float32; booleans are bool.
 * Halves travel as the bits in a Uint16Array, with `dtype` given, or in a Float16Array. A BigUint64Array becomes int64, if its values fit.
 * Arrays may hold typed arrays of one kind as rows. Typed arrays are read as they are at the time of the call.
 *
 * @param data - the values
 * @param shape - sizes of the axes; by default one axis for a typed array, the nesting for nested arrays
 * @throws `TypeError` for what is no number, boolean or bigint; `RangeError` for ragged arrays, arrays that hold themselves, and numbers that the dtype cannot hold;
 *   `TensorError` if the values do not fill the shape
 */
export function tensor(data: TensorData, shape?: readonly number[] | null, options: TensorOptions = {}): Tensor {
  const { dtype, device } = optionsOf('tensor', options, MAKER);
  const wanted = dtype === undefined ? undefined : dtypeCode(dtype, 'tensor: dtype');
  const flat = isTypedArray(data) ? flattenTyped(data, dtype) : flattenNested(data, dtype);
  const made = wrap(native.fromBytes(bytesOf(flat.values), dtypeCode(flat.dtype), shape ?? flat.shape, device ?? null));
  if (wanted === undefined || dtype === flat.dtype) {
    return made;
  }
  try {
    return wrap(native.castWithin(idOf(made), wanted));
  } finally {
    made.dispose();
  }
}

/** The tensor itself, or a new one of the data. */
export function asTensor(x: TensorLike): Tensor {
  return x instanceof Tensor ? x : tensor(x);
}

/** Calls `f` with handles of tensors; those made of plain data are disposed afterwards. */
export function withTensors<T>(items: readonly TensorLike[], f: (ids: number[]) => T): T {
  const made: Tensor[] = [];
  try {
    const handles: number[] = [];
    for (const item of items) {
      const t = asTensor(item);
      if (t !== item) made.push(t);
      handles.push(idOf(t));
    }
    return f(handles);
  } finally {
    made.forEach((t) => t.dispose());
  }
}

function filled(
  what: string,
  shape: readonly number[],
  value: number | bigint,
  options: TensorOptions,
  fallback: DType,
): Tensor {
  const { dtype = fallback, device } = optionsOf(what, options, MAKER);
  return wrap(native.full(shape, value, dtypeCode(dtype, `${what}: dtype`), device ?? null, what));
}

/** `value` everywhere; the dtype is int32 for a whole number, int64 for a bigint, else float32, unless one is given. */
export function full(shape: readonly number[], value: number | bigint, options: TensorOptions = {}): Tensor {
  const natural = typeof value === 'bigint' ? 'int64' : Number.isInteger(value) ? 'int32' : 'float32';
  return filled('full', shape, value, options, natural);
}

/** Zeros, float32 unless a dtype is given. */
export function zeros(shape: readonly number[], options: TensorOptions = {}): Tensor {
  return filled('zeros', shape, 0, options, 'float32');
}

/** Ones, float32 unless a dtype is given. */
export function ones(shape: readonly number[], options: TensorOptions = {}): Tensor {
  return filled('ones', shape, 1, options, 'float32');
}

/** Zeros of the shape, dtype and device of `x`. */
export function zerosLike(x: Tensor): Tensor {
  idOf(x, 'zerosLike: x');
  return full(x.shape, 0, { dtype: x.dtype, device: x.device });
}

/** Ones of the shape, dtype and device of `x`. */
export function onesLike(x: Tensor): Tensor {
  idOf(x, 'onesLike: x');
  return full(x.shape, 1, { dtype: x.dtype, device: x.device });
}

/** Numbers from `start` (0 if only one is given) up to and without `stop`, `step` apart; int32 if all three are whole, int64 if one is a bigint. */
export function arange(
  start: number | bigint,
  stop?: number | bigint | null,
  step: number | bigint = 1,
  options: TensorOptions = {},
): Tensor {
  const [from, to] = stop === undefined || stop === null ? [0, start] : [start, stop];
  const { dtype, device } = optionsOf('arange', options, MAKER);
  return wrap(
    native.arange(from, to, step, dtype === undefined ? null : dtypeCode(dtype, 'arange: dtype'), device ?? null),
  );
}

/** Ones on the diagonal. */
export function eye(n: number, m: number = n, options: TensorOptions = {}): Tensor {
  const { dtype = 'float32', device } = optionsOf('eye', options, MAKER);
  return wrap(native.eye(n, m, dtypeCode(dtype, 'eye: dtype'), device ?? null));
}

/** A bool matrix, true on and below the `k`-th diagonal. */
export function tri(n: number, m: number = n, k: number = 0): Tensor {
  return wrap(native.trilMask(n, m, k, null));
}

/** Handles of tensors; anything else is refused, by its place in the list `what`. */
export function ids(what: string, tensors: readonly Tensor[]): number[] {
  return Array.from(list(what, tensors), (t, i) => idOf(t, `${what}[${i}]`));
}

/** Tensors joined along an axis. */
export function concat(tensors: readonly Tensor[], axis: AxisArgument = 0): Tensor {
  return wrap(native.concat(ids('concat: tensors', tensors), axisOf('concat', axis) ?? 0));
}

/** Tensors of the same shape joined along a new axis. */
export function stack(tensors: readonly Tensor[], axis: AxisArgument = 0): Tensor {
  return wrap(native.stack(ids('stack: tensors', tensors), axisOf('stack', axis) ?? 0));
}

/**
 * Sums of products by Einstein's notation, as `jnp.einsum`.
 *
 * @example
 * ```ts
 * const [q, k] = [tl.ones([1, 2, 3, 4]), tl.ones([1, 2, 5, 4])];
 * tl.einsum('bhqd,bhkd->bhqk', q, k).shape; // → [1, 2, 3, 5]
 * ```
 */
export function einsum(spec: string, ...operands: readonly Tensor[]): Tensor {
  return wrap(native.einsum(text('einsum: spec', spec), ids('einsum: operands', operands)));
}

function operand(x: Operand, what: string): [value: number | bigint, isNumber: boolean] {
  return isNumeric(x) ? [x, true] : [idOf(x, what), false];
}

/** `a` where `condition` is nonzero, elsewhere `b`. */
export function where(condition: Tensor, a: Operand, b: Operand): Tensor {
  return wrap(native.where(idOf(condition, 'where: condition'), ...operand(a, 'where: a'), ...operand(b, 'where: b')));
}

/** The matrix product of two tensors. */
export function matmul(a: Tensor, b: Tensor): Tensor {
  return wrap(native.matmul(idOf(a, 'matmul: a'), idOf(b, 'matmul: b')));
}

/** The same values, a constant to differentiation. */
export function stopGradient(x: Tensor): Tensor {
  return wrap(native.stopGradient(idOf(x, 'stopGradient: x')));
}

/** Shape and dtype of a tensor: what layers are initialized for. */
export interface Signature {
  /** The sizes of the axes. */
  readonly shape: readonly number[];
  /** The type of the elements. */
  readonly dtype: DType;
}

/** The signature of a tensor, or those of several. */
export function signature(x: TensorLike): Signature;
export function signature(x: readonly Tensor[]): Signature[];
export function signature(x: TensorLike | readonly Tensor[]): Signature | Signature[] {
  if (isList(x) && x[0] instanceof Tensor && x.every((item) => item instanceof Tensor)) {
    return x.map((item) => ({ shape: item.shape, dtype: item.dtype }));
  }
  const t = asTensor(x as TensorLike);
  return { shape: t.shape, dtype: t.dtype };
}
