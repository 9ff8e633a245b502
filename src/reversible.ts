/**
 * Reversible layers: stacks whose activations are computed again for the backward pass, and not kept.
 *
 * Trax's module `trax.layers.reversible`.
 *
 * @module
 */
export * from './generated/reversible.js';
export { ReversibleLayer } from './layer/reversibleLayer.js';
