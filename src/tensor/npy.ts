/**
 * Files of arrays as Trax writes them.
 *
 * @module
 */
import { native } from '../bridge/native.js';
import { list, text } from '../bridge/found.js';
import { type TensorLike, withTensors } from './ops.js';
import { type Tensor, wrap } from './tensor.js';

/**
 * Writes arrays to a file as Trax does: in NumPy's `.npy` format, one after another, compressed by gzip.
 *
 * The file is whole or not there.
 *
 * @param listOfNparrays - Tensors, or what they can be made of.
 * @param filePath - Path of the file.
 * @param compresslevel - From 0 (none) to 9 (most).
 * @throws {@link LayerError} `Io`: the file cannot be written.
 * @throws {@link LayerError} `InvalidOption`: `compresslevel` is beyond 9.
 * @see {@link npFromFile}
 * @example
 * ```ts
 * tl.npToFile([tl.ones([2]), tl.zeros([1])], 'arrays.npy.gz', 6);
 * tl.npFromFile('arrays.npy.gz', 6); // → [Tensor float32[2] [1,1], Tensor float32[1] [0]]
 * ```
 */
export function npToFile(listOfNparrays: readonly TensorLike[], filePath: string, compresslevel: number): void {
  const path = text('npToFile: filePath', filePath);
  withTensors(list('npToFile: listOfNparrays', listOfNparrays), (ids) => native.npToFile(ids, path, compresslevel));
}

/**
 * Reads the arrays of a file that {@link npToFile} or Trax wrote, with their types.
 *
 * @param filePath - Path of the file.
 * @param compresslevel - As given to `npToFile`. It is checked and not needed.
 * @returns The arrays, in order.
 * @throws {@link LayerError} `Io`: the file is missing, truncated or damaged.
 * @throws {@link LayerError} `InvalidOption`: `compresslevel` is beyond 9.
 * @see {@link npToFile}
 * @example
 * ```ts
 * tl.npToFile([tl.ones([2])], 'array.npy.gz', 6);
 * tl.npFromFile('array.npy.gz', 6); // → [Tensor float32[2] [1,1]]
 * ```
 */
export function npFromFile(filePath: string, compresslevel: number): Tensor[] {
  return native.npFromFile(text('npFromFile: filePath', filePath), compresslevel).map(wrap);
}
