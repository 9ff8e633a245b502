/**
 * The addon, connected to this environment.
 *
 * @module
 */
import { loadAddon } from './addon.js';
import { inLayers, makeError } from './errors.js';
import { callNumbered } from './functions.js';
import { found } from './found.js';

const native = loadAddon((addon) => addon.connect(makeError, () => {}, callNumbered, inLayers));

const names = native.dtypeNames();

/** A dtype's number, by name. */
const codes = new Map(names.map((name, code) => [name, code]));

/** Element types, by the number that stands for them in the addon. */
export function dtypeName(code: number): DType {
  return names[code] as DType;
}

/** The number that stands for an element type in the addon. */
export function dtypeCode(dtype: unknown, what = 'dtype'): number {
  const code = typeof dtype === 'string' ? codes.get(dtype) : undefined;
  if (code === undefined) {
    throw new TypeError(`${what} must be one of ${names.join(', ')}, got ${found(dtype)}`);
  }
  return code;
}

/** The type of a tensor's elements, by its NumPy name. */
export type DType = 'float32' | 'float64' | 'float16' | 'bfloat16' | 'int32' | 'int64' | 'uint32' | 'uint8' | 'bool';

/** A trainer of the addon. */
export type NativeTrainer = InstanceType<typeof native.NativeTrainer>;

export { native };
