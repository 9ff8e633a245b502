/**
 * Files of named arrays as NumPy writes them.
 *
 * @module
 */
import { native } from '../bridge/native.js';
import { text } from '../bridge/found.js';
import { byName, type NamedTensors, withNamed } from './named.js';
import { type Tensor } from './tensor.js';

/**
 * Writes named arrays to a `.npz` file, which NumPy's `load` reads.
 *
 * `path` always holds the old file or the new one, whole. The arrays are not compressed. NumPy has no bfloat16, and sees such arrays as raw `V2`.
 *
 * @param path - Path of the file.
 * @param tensors - The tensors, by name, or what they can be made of.
 * @throws {@link LayerError} `Io`: the file cannot be written; the old file is then as it was.
 * @throws `TypeError`: `tensors` is not an object of tensors.
 * @see {@link loadNpz}
 * @example
 * ```ts
 * tl.saveNpz('arrays.npz', { w: tl.ones([2]), b: [1, 2, 3] });
 * tl.loadNpz('arrays.npz')['w']; // → Tensor float32[2] [1,1]
 * ```
 */
export function saveNpz(path: string, tensors: NamedTensors): void {
  const file = text('saveNpz: path', path);
  withNamed('saveNpz', tensors, (named) => native.saveNpz(file, named));
}

/**
 * Reads the arrays of a `.npz` file, as {@link saveNpz} and NumPy's `savez` and `savez_compressed` write them.
 *
 * Either order of bytes and of axes is read. Types that tensors do not have become one that holds their values: int8, int16 and uint16
 * become int32, uint64 becomes int64 if all values fit. Checksums are checked. Nothing in a file is executed: pickled objects are refused.
 *
 * @param path - Path of the file.
 * @returns The tensors, by name, in the order of the file.
 * @throws {@link LayerError} `Io`: the file is missing, no such file, truncated or damaged, has a name twice, or holds anything but arrays of numbers.
 * @throws {@link TensorError} `OutOfMemory`: memory cannot hold all of it.
 * @see {@link saveNpz}
 * @example
 * ```ts
 * tl.saveNpz('numbers.npz', { x: tl.arange(3) });
 * tl.loadNpz('numbers.npz'); // → { x: Tensor int32[3] [0,1,2] }
 * ```
 */
export function loadNpz(path: string): Record<string, Tensor> {
  return byName(native.loadNpz(text('loadNpz: path', path)));
}
