/**
 * Names of Trax's module `reversible`.
 *
 * @module
 */
export * from './generated/reversible.js';
export { ReversibleLayer } from './layer/reversibleLayer.js';
