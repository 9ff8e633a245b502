/**
 * Elements that follow one another, as one.
 *
 * @module
 */
import { END, type Plan, Saved } from './cursor.js';
import { Kept } from './kept.js';
import { disown, disposeOwned } from './owned.js';

/** Options of `window`, complete. */
export interface WindowPlan {
  readonly length: number;
  readonly stride: number;
}

/** Lists of elements that follow one another, each `stride` behind the one before. What is left at the end is no window. */
export function windowed<T>(before: Plan<T>, { length, stride }: WindowPlan): Plan<T[]> {
  const step = 'Dataset.window';
  return {
    step,
    async open(from, epochs) {
      const saved = from === undefined ? undefined : new Saved(step, from);
      const at = saved?.count('at') ?? 0;
      const positions = saved?.counts('buffer').map((offset) => at + offset) ?? [];
      const [kept, elements] = await Kept.open(step, before, epochs, saved, positions, length);
      const buffer = positions.map((position) => ({ position, element: elements.get(position) as T }));
      /** How many elements are to be left out before the next window. */
      let gap = saved?.count('gap') ?? 0;
      const held = (): number[] => buffer.map(({ position }) => position);
      return {
        async next() {
          while (gap > 0 || buffer.length < length) {
            // One after another: they stand in a row.
            // oxlint-disable-next-line no-await-in-loop
            const element = await kept.next();
            if (element === END) return END;
            if (gap > 0) {
              gap -= 1;
              disposeOwned(element);
            } else buffer.push({ position: kept.read - 1, element });
          }
          const window = buffer.map(({ element }) => element);
          buffer.splice(0, stride);
          gap = Math.max(stride - length, 0);
          // They are in the next window too: whoever has used this one must not free them.
          buffer.forEach(({ element }) => disown(element));
          kept.forget(held);
          return window;
        },
        state() {
          const place = kept.state(held());
          return { step, gap, buffer: buffer.map(({ position }) => position - place.at), ...place };
        },
        close: () => kept.close(),
      };
    },
  };
}
