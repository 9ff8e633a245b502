/**
 * Which layers the addon holds.
 *
 * The addon runs a layer that is a class through its object, so the object must live as long as anything in the addon may call
 * it: a layer around it, a call that runs, a gradient to come. The addon itself holds no such object, or none would ever be
 * collected. It is listed here from the moment it is handed over until nothing but its handle holds it.
 *
 * @module
 */
import { native } from './native.js';

const held = new Map<number, object>();

/** Keeps `layer` while the addon may hold it. */
export function hold(id: number, layer: object): void {
  held.set(id, layer);
}

/** Lets go of the layers that the addon holds no more; asked of all, or of the given ones. */
export function letGo(ids: Iterable<number> = held.keys()): void {
  if (held.size > 0) {
    native.layersAtRest([...ids]).forEach((id) => held.delete(id));
  }
}
