/**
 * Tensors by name, on their way to and from files.
 *
 * @module
 */
import { type NamedTensor } from '../../binding.cjs';
import { found, isKeyed, text } from '../bridge/found.js';
import { type TensorLike, withTensors } from './ops.js';
import { Tensor, wrap } from './tensor.js';

/** Tensors by name, or what they can be made of. */
export interface NamedTensors {
  readonly [name: string]: TensorLike;
}

/**
 * Calls `use` with named tensors as the addon takes them.
 *
 * @param what - the function, for messages
 * @throws `TypeError` for anything but an object of tensors
 */
export function withNamed(what: string, tensors: NamedTensors, use: (named: NamedTensor[]) => void): void {
  if (!isKeyed(tensors) || tensors instanceof Tensor) {
    throw new TypeError(`${what}: tensors must be an object of tensors by name, got ${found(tensors)}`);
  }
  const names = Object.keys(tensors).map((name) => text(`${what}: a name`, name));
  withTensors(Object.values(tensors), (ids) => use(ids.map((tensor, i) => ({ name: names[i]!, tensor }))));
}

/** The tensors that came, by name. */
export function byName(named: readonly NamedTensor[]): Record<string, Tensor> {
  return Object.fromEntries(named.map(({ name, tensor }) => [name, wrap(tensor)]));
}
