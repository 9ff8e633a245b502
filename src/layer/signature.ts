/**
 * What layers are initialized for.
 *
 * @module
 */
import { type Signature, type SignatureLike } from '../tensor/ops.js';
import { found, isKeyed, isList, isRecord, quoted } from '../bridge/found.js';
import { dtypeCode, dtypeName } from '../bridge/native.js';
import { Tensor } from '../tensor/tensor.js';

function got(x: unknown): string {
  if (x instanceof Tensor) return 'a Tensor; tl.signature(x) makes one';
  return isRecord(x)
    ? `{${Object.keys(x)
        .map((key) => (/^\w{1,40}$/.test(key) ? key : quoted(key)))
        .join(', ')}}`
    : found(x);
}

function check(x: unknown): Signature {
  const { shape, dtype }: Readonly<Record<string, unknown>> = isKeyed(x) && !(x instanceof Tensor) ? x : {};
  if (!isList(shape)) {
    throw new TypeError(`a signature is {shape, dtype}, or an array of such, got ${got(x)}`);
  }
  const sizes = Array.from(shape, (size, axis) => {
    if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) {
      throw new RangeError(`the sizes of a shape are whole numbers of at least 0, got ${found(size)} for axis ${axis}`);
    }
    return size;
  });
  return { shape: sizes, dtype: dtypeName(dtypeCode(dtype ?? 'float32', 'the dtype of a signature')) };
}

/** Signatures as the addon takes them; what is none is refused. */
export function checked<D extends string>(
  signature: SignatureLike<D> | readonly SignatureLike<D>[],
): Signature | Signature[] {
  return isList(signature) ? Array.from(signature, check) : check(signature);
}
