/**
 * Names of Trax's module `base`.
 *
 * @module
 */
import { native } from './native.js';
import { list, text } from './found.js';
import { type TensorLike, withTensors } from './ops.js';
import { type Tensor, wrap } from './tensor.js';

export * from './generated/base.js';
export { LayerError } from './errors.js';
export { Layer } from './layer.js';
export { PureLayer, type PureLayerClass, type PureLayerOptions } from './pureLayer.js';
export { EMPTY_STATE, EMPTY_WEIGHTS, GET_STATE_FROM_CACHE, GET_WEIGHTS_FROM_CACHE } from './wire.js';

/** How many shards the weights of layers are cut into: they are whole. */
export const N_WEIGHTS_SHARDS = 1;

/**
 * Tensors as layers in replicas see them, and whether that changed them. Weights are never cut into shards here
 * ({@link N_WEIGHTS_SHARDS}), so they come back as they are, as they do in Trax outside of replicas.
 */
export function unshardInPmap<T>(tensors: T, _nShards: number): [tensors: T, unsharded: boolean] {
  return [tensors, false];
}

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
