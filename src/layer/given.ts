/**
 * Layers as arguments.
 *
 * @module
 */
import { found } from '../bridge/found.js';
import { idOfLayer, Layer } from './layer.js';

/** The number of a layer that is given as `argument`, as in `Trainer: modelWithLoss`; anything else is refused. */
export function numberOfLayer(argument: string, x: unknown): number {
  if (!(x instanceof Layer)) throw new TypeError(`${argument} must be a layer, got ${found(x)}`);
  return idOfLayer(x);
}
