/**
 * When the memory of tensors and layers is given back.
 *
 * A synchronous loop never lets JavaScript collect its tensors, so loops use {@link tidy}, `using`, or `dispose()`.
 *
 * @module
 */
import { callable, isThenable } from '../bridge/found.js';
import { isOpaque, reachable } from '../bridge/nesting.js';
import { scope, type Frame } from '../tensor/scope.js';
import { Tensor } from '../tensor/tensor.js';
import { HANDLE, isHandled, LayerHandle } from './handle.js';

const isTensor = (x: object): boolean => x instanceof Tensor;

/** Whether `x` may refer to layers that nothing can see from outside, as functions do. */
function mayRefer(x: unknown): boolean {
  if (isHandled(x)) return x[HANDLE].callsHost;
  return typeof x === 'function' || (typeof x === 'object' && x !== null && !(x instanceof Tensor) && isOpaque(x));
}

/** Disposes those of the layers, the last made first, that nothing else runs; gives the others. */
const endAtRest = (made: readonly unknown[]): Disposable[] =>
  LayerHandle.endAtRest(made.filter(isHandled).toReversed());

function close(frame: Frame, kept: ReadonlySet<unknown>): void {
  scope.frame = frame.parent;
  for (const item of frame.items) {
    if (kept.has(item)) {
      frame.parent?.items.add(item);
    } else {
      item[Symbol.dispose]();
    }
  }
  const made = [...frame.layers!];
  const live = [...kept].some(mayRefer)
    ? made
    : [...made.filter((x) => kept.has(x)), ...endAtRest(made.filter((x) => !kept.has(x)))];
  live.forEach((layer) => frame.parent?.layers?.add(layer));
}

/**
 * Runs a function and disposes every tensor and layer made in it, but for those it returns.
 *
 * It may return them in arrays, objects, Maps and Sets, to any depth. Those given to {@link keep} stay too. Scopes nest: what a scope returns
 * belongs to the scope around it. If `f` throws, everything is disposed.
 *
 * Layers stay if layers that live on run them. A function may refer to any layer: where `f` returns or keeps a function, or a layer or class
 * that calls one, all layers stay.
 *
 * @param f - A synchronous function.
 * @returns What `f` returns.
 * @throws `TypeError`: `f` returns a promise, whose tensors would be disposed while it still runs.
 * @see {@link keep}, {@link dispose}
 * @example
 * ```ts
 * const x = tl.tensor([1.5, 2.5]);
 * tl.tidy(() => x.mul(2).exp().sum()).shape; // → []
 * ```
 */
export function tidy<T>(f: () => T): T {
  callable('tidy: f', f);
  const frame: Frame = { items: new Set(), layers: new Set(), parent: scope.frame };
  scope.frame = frame;
  let kept: ReadonlySet<unknown> = new Set();
  try {
    const result = f();
    if (isThenable(result)) {
      throw new TypeError('tidy() takes a synchronous function, but it returned a promise');
    }
    if (frame.items.size > 0 || frame.layers!.size > 0) kept = reachable(result, isTensor);
    return result;
  } finally {
    close(frame, kept);
  }
}

/**
 * Takes tensors and layers out of the open {@link tidy} scopes, so that they live until they are disposed or collected.
 *
 * @param x - A tensor or layer, or any of them in arrays, objects, Maps and Sets.
 * @returns `x`.
 * @example
 * ```ts
 * let kept: tl.Tensor | undefined;
 * tl.tidy(() => {
 *   kept = tl.keep(tl.tensor([1, 2]));
 * });
 * kept?.isDisposed; // → false
 * ```
 */
export function keep<T>(x: T): T {
  if (scope.frame === null) return x;
  for (const item of reachable(x, isTensor)) {
    for (let frame: Frame | null = scope.frame; frame !== null; frame = frame.parent) {
      frame.items.delete(item as Disposable);
      if (mayRefer(item)) frame.layers?.clear();
      else frame.layers?.delete(item as Disposable);
    }
  }
  return x;
}

/**
 * Disposes all tensors and layers in a value: in arrays, Maps and Sets, and in the properties of objects, to any depth.
 *
 * @param x - Any value; what is no tensor or layer is passed over.
 * @example
 * ```ts
 * const batch = { inputs: tl.ones([2]), targets: [tl.ones([2])] };
 * tl.dispose(batch);
 * batch.inputs.isDisposed; // → true
 * ```
 */
export function dispose(x: unknown): void {
  for (const leaf of reachable(x, isTensor)) {
    if (leaf instanceof Tensor || isHandled(leaf)) {
      leaf[Symbol.dispose]();
    }
  }
}
