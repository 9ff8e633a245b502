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
 * Writes arrays to a file as Trax does: NumPy's `.npy` format, one after another, in gzip. The file is whole or not there.
 *
 * @param compresslevel - from 0 (none) to 9 (most)
 * @throws `TensorError` or `LayerError` (`Io`, `InvalidOption`)
 */
export function npToFile(listOfNparrays: readonly TensorLike[], filePath: string, compresslevel: number): void {
  const path = text('npToFile: filePath', filePath);
  withTensors(list('npToFile: listOfNparrays', listOfNparrays), (ids) => native.npToFile(ids, path, compresslevel));
}

/**
 * Reads the arrays of a file that {@link npToFile} or Trax wrote, with their dtypes.
 *
 * @param compresslevel - as given to `npToFile`; checked, not needed
 * @throws `LayerError` (`Io`) for a file that is missing, truncated or corrupt; `InvalidOption` for a level beyond 9
 */
export function npFromFile(filePath: string, compresslevel: number): Tensor[] {
  return native.npFromFile(text('npFromFile: filePath', filePath), compresslevel).map(wrap);
}
