/**
 * Files of named tensors, in the safetensors format.
 *
 * @module
 */
import { native } from '../bridge/native.js';
import { found, isKeyed, list, text } from '../bridge/found.js';
import { type TensorLike, withTensors } from './ops.js';
import { type Names, optionsOf } from './rest.js';
import { Tensor, wrap } from './tensor.js';

/** Options of {@link loadSafetensors}. */
export interface LoadSafetensorsOptions {
  /** The tensors to read; left out: all of them. */
  readonly names?: readonly string[] | undefined;
}

const OPTIONS: Names<LoadSafetensorsOptions> = { names: true };

/**
 * Reads the tensors of a safetensors file by their names, with their dtypes, as models of other libraries come.
 *
 * Elements of a type that tensors do not have come in one that holds them: `I8`, `I16` and `U16` as int32, `U64` as int64 where all fit,
 * `F8_E4M3` and `F8_E5M2` as float32. Where the file has checksums, as those that are written here, they are checked.
 * A layer's own files are read by `layer.initFromFile`.
 *
 * @throws `LayerError` (`Io`) naming the path, for a file that is missing, no regular file, truncated or corrupt, or holds elements of a type there
 *   is none for; the error names the tensor, and `names` reads the others
 */
export function loadSafetensors(path: string, options: LoadSafetensorsOptions = {}): Record<string, Tensor> {
  const { names: wanted } = optionsOf('loadSafetensors', options, OPTIONS);
  const named =
    wanted === undefined
      ? null
      : list('loadSafetensors: names', wanted).map((name) => text('loadSafetensors: names', name));
  const { names, tensors } = native.loadSafetensors(text('loadSafetensors: path', path), named);
  return Object.fromEntries(names.map((name, i) => [name, wrap(tensors[i]!)]));
}

/**
 * Writes named tensors to a safetensors file; `path` always holds the old or the new file, whole.
 *
 * The file's mode stays, and so does a symbolic link, whose target is replaced; other hard links to the old file keep the old content. In its
 * metadata are checksums of the header and of each tensor, which other readers pass over.
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
