/**
 * Elements between threads: tensors as their values, which are moved and not copied.
 *
 * @module
 */
import { isKeyed, isList } from '../bridge/found.js';
import { type DType } from '../bridge/native.js';
import { type TypedArray } from '../tensor/data.js';
import { tensor } from '../tensor/ops.js';
import { Tensor } from '../tensor/tensor.js';
import { flattenNamed, type Tree, type TreeStructure, unflatten } from '../tensor/tree.js';
import { disposeOwned, own } from './owned.js';

/** A tensor on its way. */
interface Values {
  readonly values: TypedArray;
  readonly shape: readonly number[];
  readonly dtype: DType;
}

/** A leaf of an element: a tensor, or anything else. */
type Part = { readonly tensor: Values } | { readonly other: unknown };

/** An element on its way. */
export interface Crossed {
  readonly parts: readonly Part[];
  readonly structure: TreeStructure;
}

/** An element as it crosses, and what is moved of it. Its tensors are freed, if the pipeline made them. */
export function sent(element: unknown): [Crossed, ArrayBuffer[]] {
  const [leaves, structure] =
    isList(element) || isKeyed(element)
      ? flattenNamed<unknown>('an element', element as Tree<unknown>)
      : [[element], { kind: 'leaf' as const }];
  const moved: ArrayBuffer[] = [];
  const parts = leaves.map((leaf): Part => {
    if (!(leaf instanceof Tensor)) return { other: leaf };
    const values = leaf.dataSync();
    if (values.buffer instanceof ArrayBuffer) moved.push(values.buffer);
    return { tensor: { values, shape: leaf.shape, dtype: leaf.dtype } };
  });
  disposeOwned(element);
  return [{ parts, structure }, moved];
}

/** An element that has come. */
export function received({ parts, structure }: Crossed): unknown {
  const leaves = parts.map((part) => {
    if (!('tensor' in part)) return part.other;
    const { values, shape, dtype } = part.tensor;
    return own(tensor(values, shape, { dtype }));
  });
  return unflatten(structure, leaves);
}
