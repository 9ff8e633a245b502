/**
 * When native memory is given back.
 *
 * A synchronous loop never lets JavaScript collect its tensors, so loops use {@link tidy}, `using`, or `dispose()`.
 *
 * @module
 */
import { callable } from '../bridge/found.js';
import { native } from '../bridge/native.js';
import { reachable } from '../bridge/nesting.js';
import { scope, scopedLayers, type Frame } from './scope.js';
import { Tensor } from './tensor.js';

const isTensor = (x: object): boolean => x instanceof Tensor;

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
  const live = [...kept].some(scopedLayers.mayRefer)
    ? made
    : [...made.filter((x) => kept.has(x)), ...scopedLayers.end(made.filter((x) => !kept.has(x)))];
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

/** Whether `x` is a promise or behaves like one. */
export function isThenable(x: unknown): boolean {
  return typeof x === 'object' && x !== null && 'then' in x && typeof x.then === 'function';
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
      if (scopedLayers.mayRefer(item)) frame.layers?.clear();
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
    if (leaf instanceof Tensor || scopedLayers.isLayer(leaf)) {
      leaf[Symbol.dispose]();
    }
  }
}

/** Memory in use. */
export interface MemoryInfo {
  /** Tensors that this thread's JavaScript holds: neither disposed nor collected. */
  tensors: number;
  /** Layers that this thread's JavaScript holds, those in others counted too. */
  layers: number;
  /** Blocks of tensor data alive in the process, views counted once. */
  storages: number;
  /** Bytes of tensor data alive in the process. */
  bytes: number;
  /** The most bytes alive at once since the start or {@link resetPeakMemory}. */
  peakBytes: number;
}

/**
 * Counts the memory that tensors and layers use now.
 *
 * @returns Numbers of tensors, layers and bytes.
 * @example
 * ```ts
 * const before = tl.memory().tensors;
 * const x = tl.zeros([1000]);
 * tl.memory().tensors - before; // → 1
 * x.dispose();
 * ```
 */
export function memory(): MemoryInfo {
  return native.memory();
}

/**
 * Starts a new measurement of {@link MemoryInfo.peakBytes}.
 *
 * @example
 * ```ts
 * tl.resetPeakMemory();
 * tl.memory().peakBytes === tl.memory().bytes; // → true
 * ```
 */
export function resetPeakMemory(): void {
  native.resetPeakMemory();
}

/**
 * Tells the most bytes that tensors may take together.
 *
 * @returns The number of bytes.
 * @see {@link setMemoryLimit}
 * @example
 * ```ts
 * tl.memoryLimit() > 0; // → true
 * ```
 */
export function memoryLimit(): number {
  return native.memoryLimit();
}

/**
 * Sets the most bytes that tensors may take together, in the whole process.
 *
 * What would take {@link MemoryInfo.bytes} beyond it throws before it is tried, and the tensors alive stay. By default the limit is the machine's
 * memory, or less where the process is limited to less: a system may promise memory that it does not have, and end the process
 * that uses it.
 *
 * @param bytes - The limit; `null` for the default.
 * @throws `RangeError`: `bytes` is not a whole number of at least 0.
 * @example
 * ```ts
 * tl.setMemoryLimit(2 ** 30);
 * tl.memoryLimit(); // → 1073741824
 * tl.setMemoryLimit(null);
 * ```
 */
export function setMemoryLimit(bytes: number | null): void {
  native.setMemoryLimit(bytes);
}

/**
 * Tells the number of threads that operations use.
 *
 * @returns The number of threads.
 * @see {@link setNumThreads}
 * @example
 * ```ts
 * tl.numThreads() >= 1; // → true
 * ```
 */
export function numThreads(): number {
  return native.numThreads();
}

/**
 * Sets the number of threads that operations use.
 *
 * The environment variable `TALLOW_NUM_THREADS` sets it from outside. Results are the same bits with any number.
 *
 * @param n - From 1 to 1024.
 * @throws `RangeError`: `n` is another number, or the system starts no more threads; the threads there are stay.
 * @example
 * ```ts
 * const before = tl.numThreads();
 * tl.setNumThreads(1);
 * tl.numThreads(); // → 1
 * tl.setNumThreads(before);
 * ```
 */
export function setNumThreads(n: number): void {
  native.setNumThreads(n);
}
