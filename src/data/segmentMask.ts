/**
 * Keeping the sequences of one row apart.
 *
 * @module
 */
import { flag, found } from '../bridge/found.js';
import { native } from '../bridge/native.js';
import { idOf, Tensor, wrap } from '../tensor/tensor.js';

/**
 * Makes the mask with which an attention sees no other sequence of a packed row.
 *
 * `AttentionQKV`, `Attention` and others take it. It may be made in a pipeline; within a model the layer `SegmentMask` makes the same.
 *
 * @param segments - The numbers of the sequences, `[batch, length]`, as {@link Dataset.pack} gives them. Places without a token see each other only.
 * @param causal - Whether a place sees none behind it.
 * @returns Booleans, `bool[batch, 1, length, length]`: which place sees which.
 * @throws `TypeError`: `segments` is not a tensor, or `causal` not a boolean.
 * @throws `RangeError`: `segments` has not two axes.
 * @throws {@link LayerError} `DTypeMismatch`: `segments` are floats or booleans.
 * @example
 * ```ts
 * const mask = tl.data.segmentMask(tl.tensor([[1, 1, 2]]), true);
 * mask.cast('int32').array(); // → [ [ [ [ 1, 0, 0 ], [ 1, 1, 0 ], [ 0, 0, 1 ] ] ] ]
 * ```
 */
export function segmentMask(segments: Tensor, causal: boolean): Tensor {
  if (!(segments instanceof Tensor)) {
    throw new TypeError(`segmentMask: segments must be a tensor, got ${found(segments)}`);
  }
  const [, length, ...more] = segments.shape;
  if (length === undefined || more.length > 0) {
    throw new RangeError(`segmentMask: segments must be of shape [batch, length], got [${segments.shape}]`);
  }
  return wrap(native.segmentMask(idOf(segments), flag('segmentMask: causal', causal)));
}
