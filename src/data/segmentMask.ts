/**
 * Keeping the sequences of one row apart.
 *
 * @module
 */
import { flag, found } from '../bridge/found.js';
import { arange } from '../generated/tensorFunctions.js';
import { Tensor } from '../tensor/tensor.js';

/**
 * Makes the mask with which an attention sees no other sequence of a packed row.
 *
 * `AttentionQKV` and `DotProductAttention` take it. It may be made within a model, by a `Fn`, or in a pipeline.
 *
 * @param segments - The numbers of the sequences, `[batch, length]`, as {@link Dataset.pack} gives them. Places without a token see each other only.
 * @param causal - Whether a place sees none behind it.
 * @returns Booleans, `bool[batch, 1, length, length]`: which place sees which.
 * @throws `TypeError`: `segments` is not a tensor, or `causal` not a boolean.
 * @throws `RangeError`: `segments` has not two axes.
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
  const same = segments.expandDims(1).expandDims(3).eq(segments.expandDims(1).expandDims(2));
  if (!flag('segmentMask: causal', causal)) return same;
  const places = arange(length);
  return same.logicalAnd(places.expandDims(1).ge(places.expandDims(0)));
}
