/**
 * Forward functions run on several devices.
 *
 * @module
 */
import { callFunction } from './construct.js';
import { keyWords, type Key } from '../tensor/random.js';
import { type Tensor } from '../tensor/tensor.js';
import { type TensorTree } from './types.js';
import { type Nest } from './wire.js';

/** A pure forward function: inputs, weights, state and key to outputs and new state. */
export type ForwardFunction<X extends TensorTree = Tensor, Y extends TensorTree = TensorTree> = (
  x: X,
  weights: Nest,
  state: Nest,
  rng: Tensor,
) => readonly [outputs: Y, state: Nest];

/** Options of {@link jitForward}. */
export interface JitForwardOptions {
  /**
   * Whether outputs are averaged over the batch.
   * @defaultValue `true`
   */
  doMean?: boolean | null | undefined;
}

/**
 * Makes a forward function that runs on each device's share of the batch.
 *
 * With fewer than two devices it is `forward` itself. Otherwise inputs are split along their first axis. Weights and state carry one slice
 * for each device along theirs, as `forNDevices` makes them. Device `i` gets the `i`-th of the keys split from `rng`. Outputs are joined along the first axis,
 * numbers become a vector, and both are averaged over it if `doMean` is set. The new state is stacked. `forward` is JavaScript, so the devices run one
 * after another; `Accelerate` runs a layer on all of them at once.
 *
 * @param forward - Function of inputs, weights, state and key to `[outputs, new state]`, such as `(x, w, s, rng) => layer.pureFn(x, w, s, rng)`.
 * @param nDevices - Number of devices; 0 and 1 mean the same.
 * @param options - Options by name:
 * - `doMean`: Whether outputs are averaged over the batch. Default: `true`.
 * @returns Function of inputs, weights, state and key to `[outputs, new state]`.
 * @throws {@link LayerError} `ShapeMismatch`: when called, if `nDevices` does not divide the batch, or weights or state do not have a slice for each device.
 * @see {@link Accelerate}, {@link forNDevices}
 * @example
 * ```ts
 * const layer = tl.Dense(2);
 * layer.init({ shape: [4, 3], dtype: 'float32' });
 * const forward = tl.jitForward((x, w, s, rng) => layer.pureFn(x, w, s, rng), 1);
 * const [outputs] = forward(tl.ones([4, 3]), layer.weights, layer.state, tl.random.key(0));
 * outputs.shape; // → [4, 2]
 * ```
 */
export function jitForward<X extends TensorTree = Tensor, Y extends TensorTree = TensorTree>(
  forward: ForwardFunction<X, Y>,
  nDevices: number,
  options?: JitForwardOptions,
): (x: X, weights: Nest, state: Nest, rng: Key) => [outputs: Y, state: Nest] {
  const given = { ...options, forward, nDevices };
  return (x, weights, state, rng) =>
    callFunction<[Y, Nest]>('_jitForward', { ...given, x, weights, state, rng: Uint32Array.from(keyWords(rng)) });
}
