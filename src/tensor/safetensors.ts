/**
 * Files of named tensors, in the safetensors format.
 *
 * @module
 */
import { native } from '../bridge/native.js';
import { list, text } from '../bridge/found.js';
import { byName, type NamedTensors, withNamed } from './named.js';
import { type Names, optionsOf } from './rest.js';
import { type Tensor } from './tensor.js';

/** Options of {@link loadSafetensors}. */
export interface LoadSafetensorsOptions {
  /** The tensors to read; left out: all of them. */
  readonly names?: readonly string[] | undefined;
}

const OPTIONS: Names<LoadSafetensorsOptions> = { names: true };

/**
 * Reads the tensors of a safetensors file by their names, as models of other libraries come.
 *
 * Types that tensors do not have become one that holds their values: `I8`, `I16` and `U16` become int32, `U64` becomes int64 if all values
 * fit, `F8_E4M3` and `F8_E5M2` become float32. Checksums in the file, as {@link saveSafetensors} writes them, are checked. Files of
 * layers are read by `layer.initFromFile`.
 *
 * @param path - Path of the file.
 * @param options - Options by name:
 * - `names`: The tensors to read; all of them if left out.
 * @returns The tensors, by name.
 * @throws {@link LayerError} `Io`: the file is missing, truncated, damaged or no regular file, or holds values of a type that no tensor can
 * have. The error names the tensor, and `names` reads the others.
 * @see {@link saveSafetensors}
 * @example
 * ```ts
 * tl.saveSafetensors({ w: tl.ones([2]), b: tl.zeros([1]) }, 'weights.safetensors');
 * tl.loadSafetensors('weights.safetensors', { names: ['w'] }); // → { w: Tensor float32[2] [1,1] }
 * ```
 */
export function loadSafetensors(path: string, options: LoadSafetensorsOptions = {}): Record<string, Tensor> {
  const { names: wanted } = optionsOf('loadSafetensors', options, OPTIONS);
  const named =
    wanted === undefined
      ? null
      : list('loadSafetensors: names', wanted).map((name) => text('loadSafetensors: names', name));
  return byName(native.loadSafetensors(text('loadSafetensors: path', path), named));
}

/**
 * Writes named tensors to a safetensors file.
 *
 * `path` always holds the old file or the new one, whole. The file's permissions stay, and so does a symbolic link, whose target is replaced. Other hard
 * links to the old file keep the old content. The file holds checksums of its header and of each tensor, which other readers pass over.
 *
 * @param tensors - The tensors, by name.
 * @param path - Path of the file.
 * @throws {@link LayerError} `Io`: the file cannot be written; the old file is then as it was.
 * @throws `TypeError`: `tensors` is not an object of tensors.
 * @see {@link loadSafetensors}
 * @example
 * ```ts
 * tl.saveSafetensors({ w: tl.ones([2]) }, 'tensors.safetensors');
 * Object.keys(tl.loadSafetensors('tensors.safetensors')); // → ['w']
 * ```
 */
export function saveSafetensors(tensors: NamedTensors, path: string): void {
  withNamed('saveSafetensors', tensors, (named) => native.saveSafetensors(named, text('saveSafetensors: path', path)));
}
