/**
 * What layers are initialized for.
 *
 * @module
 */
import { type Signature } from './ops.js';
import { Tensor } from './tensor.js';

function found(x: unknown): string {
  if (x instanceof Tensor) return 'a Tensor; tl.signature(x) makes one';
  return x === null ? 'null' : typeof x === 'object' ? `{${Object.keys(x).join(', ')}}` : `${typeof x} ${String(x)}`;
}

function check(x: unknown): void {
  const shape: unknown = typeof x === 'object' && x !== null && !(x instanceof Tensor) && 'shape' in x ? x.shape : undefined;
  if (!Array.isArray(shape)) {
    throw new TypeError(`a signature is {shape, dtype}, or an array of such, got ${found(x)}`);
  }
  const wrong = (shape as unknown[]).findIndex((size) => !Number.isSafeInteger(size) || (size as number) < 0);
  if (wrong >= 0) {
    throw new RangeError(`the sizes of a shape are whole numbers of at least 0, got ${String(shape[wrong])} for axis ${wrong}`);
  }
}

/** Refuses what is no signature. */
export function checked(signature: Signature | readonly Signature[]): Signature | readonly Signature[] {
  if (Array.isArray(signature)) signature.forEach(check);
  else check(signature);
  return signature;
}
