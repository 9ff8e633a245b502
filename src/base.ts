/**
 * What all layers are built on: the class of layers, layers of functions, markers of shared weights, files of arrays.
 *
 * Trax's module `trax.layers.base`.
 *
 * @module
 */
export * from './generated/base.js';
export { LayerError } from './bridge/errors.js';
export { Layer } from './layer/layer.js';
export { PureLayer, type PureLayerClass, type PureLayerOptions } from './layer/pureLayer.js';
export { npFromFile, npToFile } from './tensor/npy.js';
export { EMPTY_STATE, EMPTY_WEIGHTS, GET_STATE_FROM_CACHE, GET_WEIGHTS_FROM_CACHE } from './layer/wire.js';

/** How many shards the weights of layers are cut into: they are whole. */
export const N_WEIGHTS_SHARDS = 1;

/**
 * Gives tensors as layers in replicas see them, and whether that changed them.
 *
 * Weights are never cut into shards here ({@link N_WEIGHTS_SHARDS}), so they come back as they are. So they do in Trax outside of replicas.
 *
 * @param tensors - Tensors, nested in any way.
 * @param _nShards - Number of shards; without effect.
 * @returns `[tensors, false]`.
 * @example
 * ```ts
 * tl.unshardInPmap(tl.tensor([1, 2]), 1); // → [Tensor int32[2] [1,2], false]
 * ```
 */
export function unshardInPmap<T>(tensors: T, _nShards: number): [tensors: T, unsharded: boolean] {
  return [tensors, false];
}
