/**
 * Making tensors of data.
 *
 * @module
 */
import { bytesOf, flattenNested, flattenTyped, isTypedArray, type TensorData } from './data.js';
import { isList } from '../bridge/found.js';
import { dtypeCode, native, type DType } from '../bridge/native.js';
import { MAKER, optionsOf, type TensorOptions } from './arguments.js';
import { idOf, Tensor, wrap } from './tensor.js';

export { type TensorData } from './data.js';
/** A tensor, or what one can be made of. */
export type TensorLike = Tensor | TensorData;

/**
 * Makes a tensor of values.
 *
 * A typed array gives the dtype (Float32Array float32, Int32Array int32, Uint32Array uint32, Uint8Array uint8, BigInt64Array int64,
 * Float64Array float64). Plain numbers are int32 if all are whole, else float32; booleans are bool. A Float16Array, or a Uint16Array
 * with `dtype`, holds the bits of float16 or bfloat16. A BigUint64Array becomes int64, if its values fit.
 *
 * Arrays may hold typed arrays of one kind as rows. Values are copied at the call.
 *
 * @param data - The values.
 * @param shape - Sizes of the axes; by default one axis for a typed array, and the nesting for nested arrays.
 * @param options - `{ dtype, device }`; by default the dtype that suits the values, on the CPU.
 * @throws `TypeError`: a value is not a number, boolean or bigint.
 * @throws `RangeError`: arrays differ in length or hold themselves, or the dtype does not hold a number.
 * @throws {@link TensorError} `ShapeMismatch`: the values do not fill the shape.
 *
 * @example
 * ```ts
 * tl.tensor([[1, 2], [3, 4]]); // → Tensor int32[2,2] [[1,2],[3,4]]
 * tl.tensor(new Float32Array(6), [2, 3]).shape; // → [ 2, 3 ]
 * tl.tensor([1, 2], null, { dtype: 'float16' }).dtype; // → 'float16'
 * ```
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

/** Shape and dtype of a tensor: what layers are initialized for. */
export interface Signature {
  /** The sizes of the axes. */
  readonly shape: readonly number[];
  /** The type of the elements. */
  readonly dtype: DType;
}

/**
 * A signature as functions take it.
 *
 * TypeScript may know the dtype as a `string` alone, as it does where a variable holds a literal. A dtype that it knows better must be one.
 */
export type SignatureLike<D extends string = DType> =
  | Signature
  | {
      /** The sizes of the axes. */
      readonly shape: readonly number[];
      /** The type of the elements. */
      readonly dtype: string extends D ? D : never;
    };

/**
 * Tells the signature of a tensor, or those of several: what a layer is initialized for.
 *
 * @param x - A tensor, the data of one, or an array of tensors.
 * @returns `{ shape, dtype }`, or an array of such.
 * @throws `TypeError`, `RangeError`: as {@link tensor}, for data that is none.
 * @example
 * ```ts
 * tl.signature(tl.zeros([2, 3])); // → { shape: [ 2, 3 ], dtype: 'float32' }
 * ```
 */
export function signature(x: TensorLike): Signature;
/** The signatures of several tensors. */
export function signature(x: readonly Tensor[]): Signature[];
export function signature(x: TensorLike | readonly Tensor[]): Signature | Signature[] {
  if (isList(x) && x[0] instanceof Tensor && x.every((item) => item instanceof Tensor)) {
    return x.map((item) => ({ shape: item.shape, dtype: item.dtype }));
  }
  const t = asTensor(x as TensorLike);
  return { shape: t.shape, dtype: t.dtype };
}
