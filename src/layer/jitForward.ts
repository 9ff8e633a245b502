/**
 * Forward functions run on several devices.
 *
 * @module
 */
import { type LayerOutputs } from './layer.js';
import { callFunction } from './construct.js';
import { keyWords, type Key } from '../tensor/random.js';
import { type Tensor } from '../tensor/tensor.js';
import { type TensorTree } from './types.js';
import { type Nest } from './wire.js';

/** A pure forward function: inputs, weights, state and key to outputs and new state. */
export type ForwardFunction<X extends TensorTree = Tensor> = (
  x: X,
  weights: Nest,
  state: Nest,
  rng: Tensor,
) => readonly [outputs: TensorTree, state: Nest];

/** Options of {@link jitForward}. */
export interface JitForwardOptions {
  /**
   * Whether outputs are averaged over the batch.
   * @defaultValue `true`
   */
  doMean?: boolean | null | undefined;
}

/**
 * A forward function that runs on each device's share of the batch.
 *
 * With fewer than two devices it is `forward` itself. Else inputs are split along their first axis; weights and state carry one
 * slice for each device along theirs (see `forNDevices`); device `i` gets the `i`-th of the keys split from `rng`. Outputs are
 * joined along the first axis, numbers become a vector, and both are averaged over it if `doMean`; the new state is stacked.
 * `forward` is JavaScript, so devices take turns; `Accelerate` runs a layer's side by side.
 *
 * @param forward - e.g. `(x, w, s, rng) => layer.pureFn(x, w, s, rng)`
 * @param nDevices - number of devices; 0 and 1 mean the same
 * @param options - See the options type.
 */
export function jitForward<X extends TensorTree = Tensor>(
  forward: ForwardFunction<X>,
  nDevices: number,
  options?: JitForwardOptions,
): (x: X, weights: Nest, state: Nest, rng: Key) => [outputs: LayerOutputs, state: Nest] {
  const given = { ...options, forward, nDevices };
  return (x, weights, state, rng) =>
    callFunction('_jitForward', { ...given, x, weights, state, rng: Uint32Array.from(keyWords(rng)) }) as unknown as [
      LayerOutputs,
      Nest,
    ];
}
