/**
 * Files of named tensors, in the safetensors format.
 *
 * @module
 */
import { native } from './native.js';
import { asTensor, type TensorLike } from './ops.js';
import { idOf, type Tensor, wrap } from './tensor.js';

/**
 * Reads the tensors of a safetensors file by their names, with their dtypes, as models of other libraries come.
 *
 * A layer's own files are read by `layer.initFromFile`.
 *
 * @throws `LayerError` (`Io`) naming the path, for a file that is missing, truncated or corrupt, or holds elements of a type there is none for
 */
export function loadSafetensors(path: string): Record<string, Tensor> {
  const { names, tensors } = native.loadSafetensors(path);
  return Object.fromEntries(names.map((name, i) => [name, wrap(tensors[i]!)]));
}

/**
 * Writes named tensors to a safetensors file; `path` always holds the old or the new file, whole.
 *
 * @throws `LayerError` (`Io`) naming the path; the old file is then untouched
 */
export function saveSafetensors(tensors: { readonly [name: string]: TensorLike }, path: string): void {
  const names = Object.keys(tensors);
  const made = names.map((name) => asTensor(tensors[name]!));
  try {
    native.saveSafetensors({ names, tensors: made.map(idOf) }, path);
  } finally {
    made.filter((t, i) => t !== tensors[names[i]!]).forEach((t) => t.dispose());
  }
}
