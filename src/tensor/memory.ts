/**
 * How much memory there is and is used, and how many threads.
 *
 * @module
 */
import { native } from '../bridge/native.js';

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
