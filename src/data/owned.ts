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

/** Calls a function with each tensor in elements. */
function eachTensor(x: unknown, f: (x: Tensor) => void, depth = 0): void {
  if (x instanceof Tensor) f(x);
  else if (depth < 4 && isList(x)) x.forEach((item) => eachTensor(item, f, depth + 1));
  else if (depth < 4 && isKeyed(x)) Object.values(x).forEach((item) => eachTensor(item, f, depth + 1));
}

/** Leaves the tensors in elements to the garbage collector, as they are used more than once. */
export function disown(x: unknown): void {
  eachTensor(x, (tensor) => void made.delete(tensor));
}

/** Frees the tensors in elements that the pipeline made. */
export function disposeOwned(x: unknown): void {
  eachTensor(x, (tensor) => {
    if (made.has(tensor)) tensor.dispose();
  });
}
