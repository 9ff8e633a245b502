/**
 * Files of named tensors, in the safetensors format.
 *
 * @module
 */
import { native } from './native.js';
import { found, isKeyed, text } from './found.js';
import { type TensorLike, withTensors } from './ops.js';
import { Tensor, wrap } from './tensor.js';

/**
 * Reads the tensors of a safetensors file by their names, with their dtypes, as models of other libraries come.
 *
 * A layer's own files are read by `layer.initFromFile`.
 *
 * @throws `LayerError` (`Io`) naming the path, for a file that is missing, truncated or corrupt, or holds elements of a type there is none for
 */
export function loadSafetensors(path: string): Record<string, Tensor> {
  const { names, tensors } = native.loadSafetensors(text('loadSafetensors: path', path));
  return Object.fromEntries(names.map((name, i) => [name, wrap(tensors[i]!)]));
}

/**
 * Writes named tensors to a safetensors file; `path` always holds the old or the new file, whole.
 *
 * @throws `LayerError` (`Io`) naming the path; the old file is then untouched
 */
export function saveSafetensors(tensors: { readonly [name: string]: TensorLike }, path: string): void {
  if (!isKeyed(tensors) || tensors instanceof Tensor) {
    throw new TypeError(`saveSafetensors: tensors must be an object of tensors by name, got ${found(tensors)}`);
  }
  text('saveSafetensors: path', path);
  const names = Object.keys(tensors).map((name) => text('saveSafetensors: a name', name));
  withTensors(Object.values(tensors), (ids) => native.saveSafetensors({ names, tensors: ids }, path));
}
