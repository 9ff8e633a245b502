/**
 * Tensors: handles of values that live in Rust, with the operations as methods.
 *
 * @module
 */
import { TensorMethods } from '../generated/tensorMethods.js';
import { make } from './handle.js';

export { idOf } from './handle.js';

/**
 * An immutable array of numbers or booleans with any number of axes.
 *
 * Operations are methods, and all that have a gradient can be differentiated. The other operand may be a number. Shapes broadcast as in NumPy.
 *
 * The values live outside the JavaScript heap. They are freed when the tensor is collected or disposed, or when its {@link tidy} scope ends.
 *
 * @throws {@link TensorError} `OutOfMemory`: memory cannot hold the result of an operation.
 * @throws {@link DisposedError} The tensor, or one that an operation is given, was disposed.
 * @see {@link tensor}, which makes one; {@link grad}
 * @example
 * ```ts
 * const x = tl.tensor([[1, 2], [3, 4]]);
 * x.mul(10).sum({ axis: 1 }); // → Tensor int32[2] [30,70]
 * ```
 */
export class Tensor extends TensorMethods implements Iterable<Tensor> {
  private constructor(id: number) {
    super(id);
  }

  /** The tensor of a new handle, for {@link wrap}. @internal */
  static [make](id: number): Tensor {
    return new Tensor(id);
  }

  /** The tensor of a new handle. @internal */
  protected override [make](id: number): Tensor {
    return new Tensor(id);
  }

  /**
   * Gives the slices along the first axis, one after another.
   *
   * @throws `TypeError`: the tensor has no axes.
   * @throws {@link DisposedError} The tensor was disposed.
   * @example
   * ```ts
   * const [first, second] = tl.tensor([[1, 2], [3, 4]]);
   * second; // → Tensor int32[2] [3,4]
   * ```
   */
  *[Symbol.iterator](): Iterator<Tensor> {
    const [length] = this.shape;
    if (length === undefined) {
      throw new TypeError('a tensor without axes cannot be iterated');
    }
    for (let i = 0; i < length; i++) {
      yield this.index(i);
    }
  }
}

/** Wraps a native id. */
export function wrap(id: number): Tensor {
  return Tensor[make](id);
}
