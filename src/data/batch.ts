/**
 * Batches: of elements as they come, and of elements of like length.
 *
 * @module
 */
import { END, type Plan, Saved } from './cursor.js';
import { thrownAt } from './errors.js';
import { Kept } from './kept.js';
import { type Batched, type Padding, Stacking } from './stack.js';

/** Options of `batch`, complete. */
export interface BatchPlan {
  readonly size: number;
  readonly dropRemainder: boolean;
  readonly pad: number | null;
}

/** So many elements at a time, stacked. */
export function batched<T>(before: Plan<T>, { size, dropRemainder, pad }: BatchPlan): Plan<Batched<T>> {
  const step = 'Dataset.batch';
  return {
    step,
    async open(from, epochs) {
      const saved = from === undefined ? undefined : new Saved(step, from);
      const stacking = new Stacking(saved?.names('dtypes'));
      let read = saved?.count('read') ?? 0;
      const cursor = await before.open(saved?.state('from'), epochs);
      return {
        async next() {
          const elements: T[] = [];
          while (elements.length < size) {
            // One after another: they stand in a row.
            // oxlint-disable-next-line no-await-in-loop
            const x = await cursor.next();
            if (x === END) break;
            elements.push(x);
          }
          if (elements.length === 0 || (dropRemainder && elements.length < size)) return END;
          read += elements.length;
          try {
            return stacking.stack(elements, { pad });
          } catch (error) {
            throw thrownAt(step, read - elements.length, error, 'InvalidArgument');
          }
        },
        state: () => ({ step, read, dtypes: stacking.types, from: cursor.state() }),
        close: () => cursor.close(),
      };
    },
  };
}

/** Options of `bucketByLength`, complete. */
export interface BucketPlan<T> {
  readonly boundaries: readonly number[];
  readonly batchSizes: readonly number[];
  readonly pad: number;
  readonly strictPadOnLen: boolean;
  readonly dropRemainder: boolean;
  readonly length: (element: T) => number;
}

/** To what length a bucket is filled up, as in Trax. */
function paddingOf(boundary: number | undefined, { pad, strictPadOnLen }: BucketPlan<never>): Padding {
  if (boundary === undefined) return { pad };
  if (strictPadOnLen) return { pad, lengthOf: (longest) => boundary * Math.ceil(longest / boundary) };
  // Far below the boundary, the next power of two is enough.
  const near = (longest: number): boolean => 2 * longest < boundary && longest > 0;
  return { pad, lengthOf: (longest) => (near(longest) ? 2 ** Math.ceil(Math.log2(longest)) : boundary) };
}

/** Batches of elements of like length. */
export function bucketed<T>(before: Plan<T>, o: BucketPlan<T>): Plan<Batched<T>> {
  const step = 'Dataset.bucketByLength';
  const paddings = o.batchSizes.map((_, i) => paddingOf(o.boundaries[i], { ...o, length: () => 0 }));
  const bucketOf = (element: T, index: number): number => {
    let length: number;
    try {
      length = o.length(element);
    } catch (error) {
      throw thrownAt(step, index, error);
    }
    if (typeof length !== 'number' || !(length >= 0)) {
      const wrong = new TypeError(`\`length\` must give a number of at least 0, got ${String(length)}`);
      throw thrownAt(step, index, wrong, 'InvalidArgument');
    }
    const bucket = o.boundaries.findIndex((boundary) => length <= boundary);
    return bucket < 0 ? o.boundaries.length : bucket;
  };
  return {
    step,
    async open(from, epochs) {
      const saved = from === undefined ? undefined : new Saved(step, from);
      const at = saved?.count('at') ?? 0;
      const positions = saved?.lists('buckets').map((bucket) => bucket.map((offset) => at + offset)) ?? [];
      const most = o.batchSizes.reduce((a, b) => a + b, 0);
      const [kept, elements] = await Kept.open(step, before, epochs, saved, positions.flat(), most);
      const buckets = o.batchSizes.map((_, i) =>
        (positions[i] ?? []).map((position) => ({ position, element: elements.get(position) as T })),
      );
      const stacking = new Stacking(saved?.names('dtypes'));
      const held = (): number[] => buckets.flatMap((bucket) => bucket.map(({ position }) => position));
      const give = (i: number): Batched<T> => {
        const full = buckets[i]!.splice(0);
        try {
          return stacking.stack(
            full.map(({ element }) => element),
            paddings[i]!,
          );
        } catch (error) {
          throw thrownAt(step, full[0]?.position, error, 'InvalidArgument');
        }
      };
      return {
        async next() {
          for (;;) {
            // One after another: they stand in a row.
            // oxlint-disable-next-line no-await-in-loop
            const element = await kept.next();
            if (element === END) break;
            const position = kept.read - 1;
            const i = bucketOf(element, position);
            buckets[i]!.push({ position, element });
            kept.forget(held);
            if (buckets[i]!.length === o.batchSizes[i]) return give(i);
          }
          const rest = o.dropRemainder ? -1 : buckets.findIndex((bucket) => bucket.length > 0);
          return rest < 0 ? END : give(rest);
        },
        state() {
          const place = kept.state(held());
          const offsets = buckets.map((bucket) => bucket.map(({ position }) => position - place.at));
          return { step, buckets: offsets, dtypes: stacking.types, ...place };
        },
        close: () => kept.close(),
      };
    },
  };
}
