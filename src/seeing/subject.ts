/**
 * What is looked into.
 *
 * @module
 */
import { found } from '../bridge/found.js';
import { idOfLayer, Layer } from '../layer/layer.js';

/** The number of a layer, for `what`; anything else is refused. */
export function numberOfLayer(what: string, x: unknown): number {
  if (!(x instanceof Layer)) {
    throw new TypeError(`${what}: layer must be a layer, got ${found(x)}`);
  }
  return idOfLayer(x);
}
