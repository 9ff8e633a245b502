/**
 * Tensors: handles of values that live in Rust, with the operations as methods.
 *
 * @module
 */
import { TensorMethods } from '../generated/tensorMethods.js';
import { make } from './handle.js';

export { idOf } from './handle.js';

/** Wraps a native id. */
export let wrap: (id: number) => Tensor;

/**
 * An immutable array of numbers or booleans. Operations are methods; all that make sense are differentiable
 * (see {@link vjp}, {@link grad}). The other operand may be a number; shapes broadcast as in NumPy.
 *
 * Values are freed when the tensor is collected or disposed, or when its {@link tidy} scope ends.
 *
 * @throws {@link TensorError} `OutOfMemory`: memory cannot hold the result of an operation.
 * @throws {@link DisposedError} The tensor, or one that an operation is given, was disposed.
 */
export class Tensor extends TensorMethods implements Iterable<Tensor> {
  private constructor(id: number) {
    super(id);
  }

  static {
    wrap = (id) => new Tensor(id);
  }

  /** The tensor of a new handle. @internal */
  protected override [make](id: number): Tensor {
    return new Tensor(id);
  }

  /** The slices along the first axis. */
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
