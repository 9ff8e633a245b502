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
 * Runs `f` and disposes every tensor and layer made in it, except those it returns (in arrays, objects, Maps and Sets, of any depth) and those
 * given to {@link keep}. Scopes nest: what a scope returns belongs to the scope around it. If `f` throws, everything is disposed.
 *
 * Layers that others run which live on stay too. Functions may refer to any layer: where `f` returns or keeps one, or a layer or class
 * that calls one, all layers stay.
 *
 * @param f - a synchronous function
 * @returns what `f` returns
 * @throws `TypeError` if `f` returns a promise: its tensors would be disposed while it still runs
 * @example
 * ```ts
 * const y = tl.tidy(() => tl.tensor([1, 2, 3]).mul(2).sum());
 * y.item(); // → 12
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
 * Takes a tensor or layer (or all of them in arrays, objects, Maps and Sets) out of the open {@link tidy} scopes: it lives until it is disposed or
 * collected.
 *
 * @returns `x`
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

/** Disposes all tensors and layers in `x`: in arrays, Maps and Sets, and what objects hold as properties, to any depth. */
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

/** Memory in use now. */
export function memory(): MemoryInfo {
  const [tensors, storages, bytes, peakBytes, layers] = native.memory() as [number, number, number, number, number];
  return { tensors, layers, storages, bytes, peakBytes };
}

/** Starts a new measurement of {@link MemoryInfo.peakBytes}. */
export function resetPeakMemory(): void {
  native.resetPeakMemory();
}

/** The most bytes that tensors may take, see {@link setMemoryLimit}. */
export function memoryLimit(): number {
  return native.memoryLimit();
}

/**
 * Sets the most bytes that tensors may take together, in the whole process. What would take {@link MemoryInfo.bytes} beyond it
 * throws a {@link TensorError} with code `OutOfMemory` before it is tried; tensors alive stay. By default it is the machine's
 * memory, or less where the process is limited to less: a system may promise memory that it does not have, and end the process
 * that uses it.
 *
 * @param bytes - `null` for the default
 */
export function setMemoryLimit(bytes: number | null): void {
  native.setMemoryLimit(bytes);
}

/** The number of threads that operations use. */
export function numThreads(): number {
  return native.numThreads();
}

/**
 * Sets the number of threads that operations use, from 1 to 1024; the environment variable `TALLOW_NUM_THREADS` sets it from outside.
 *
 * @throws `RangeError` for other numbers, and where the system starts no more threads; those there are stay
 */
export function setNumThreads(n: number): void {
  native.setNumThreads(n);
}
