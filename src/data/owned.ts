/**
 * Tensors that a pipeline made itself, and may free where it has used them; those of the program are never touched.
 *
 * @module
 */
import { isKeyed, isList } from '../bridge/found.js';
import { Tensor } from '../tensor/tensor.js';

const made = new WeakSet<Tensor>();

/** Says that the pipeline made a tensor. */
export function own(x: Tensor): Tensor {
  made.add(x);
  return x;
}

/** Frees the tensors in elements that the pipeline made. */
export function disposeOwned(x: unknown, depth = 0): void {
  if (x instanceof Tensor) {
    if (made.has(x)) x.dispose();
  } else if (depth < 4 && isList(x)) {
    x.forEach((item) => disposeOwned(item, depth + 1));
  } else if (depth < 4 && isKeyed(x)) {
    Object.values(x).forEach((item) => disposeOwned(item, depth + 1));
  }
}
