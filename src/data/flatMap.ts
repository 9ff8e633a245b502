/**
 * Several elements for each.
 *
 * @module
 */
import { found, isIterable } from '../bridge/found.js';
import { BREATH, breath, END, type Plan, Saved } from './cursor.js';
import { refused, thrownAt } from './errors.js';
import { Kept } from './kept.js';

/** What a function of `flatMap` gives. */
export type Several<U> = Iterable<U> | AsyncIterable<U>;

/** The elements that one gave, on their way. */
interface Open<U> {
  /** The position of that one. */
  readonly position: number;
  readonly iterator: Iterator<U> | AsyncIterator<U>;
  /** How many of them were given. */
  given: number;
}

/** All elements that a function makes of each. */
export function flatMapped<T, U>(
  before: Plan<T>,
  f: (element: T, index: number) => Several<U> | Promise<Several<U>>,
): Plan<U> {
  const step = 'Dataset.flatMap';
  const begin = async (element: T, position: number): Promise<Open<U>> => {
    let several: Several<U>;
    try {
      several = await f(element, position);
    } catch (error) {
      throw thrownAt(step, position, error);
    }
    const known: unknown = several;
    if (!isIterable(known)) {
      throw refused(step, position, 'InvalidArgument', `f must give an (async) iterable, got ${found(known)}`);
    }
    const iterator = Symbol.asyncIterator in several ? several[Symbol.asyncIterator]() : several[Symbol.iterator]();
    return { position, iterator, given: 0 };
  };
  const nextOf = async ({ iterator, position }: Open<U>): Promise<IteratorResult<U, unknown>> => {
    try {
      return await iterator.next();
    } catch (error) {
      throw thrownAt(step, position, error);
    }
  };
  return {
    step,
    async open(from, epochs) {
      const saved = from === undefined ? undefined : new Saved(step, from);
      const [offset] = saved?.counts('inner') ?? [];
      const held = offset === undefined ? [] : [saved!.count('at') + offset];
      const [kept, elements] = await Kept.open(step, before, epochs, saved, held, 1);
      let current: Open<U> | undefined;
      const passOverGiven = async (): Promise<void> => {
        const [position] = held;
        if (position === undefined) return;
        current = await begin(elements.get(position) as T, position);
        for (const given = saved!.count('given'); current.given < given; current.given += 1) {
          const { done } = await nextOf(current);
          if (done === true) {
            const what = `f gives ${current.given} elements now, and gave ${given} before`;
            throw refused(step, position, 'InvalidOption', what);
          }
          if (current.given % BREATH === BREATH - 1) await breath();
        }
      };
      try {
        await passOverGiven();
      } catch (error) {
        await kept.close();
        throw error;
      }
      const positions = (): number[] => (current === undefined ? [] : [current.position]);
      return {
        async next() {
          for (let seen = 1; ; seen += 1) {
            if (current !== undefined) {
              // One after another: they stand in a row.
              // oxlint-disable-next-line no-await-in-loop
              const { done, value } = await nextOf(current);
              if (done !== true) {
                current.given += 1;
                return value;
              }
              current = undefined;
            }
            // oxlint-disable-next-line no-await-in-loop
            const x = await kept.next();
            if (x === END) return END;
            // oxlint-disable-next-line no-await-in-loop
            current = await begin(x, kept.read - 1);
            kept.forget(positions);
            // oxlint-disable-next-line no-await-in-loop
            if (seen % BREATH === 0) await breath();
          }
        },
        state() {
          const place = kept.state(positions());
          const inner = positions().map((position) => position - place.at);
          return { step, inner, given: current?.given ?? 0, ...place };
        },
        async close() {
          const { iterator } = current ?? {};
          try {
            await iterator?.return?.();
          } finally {
            await kept.close();
          }
        },
      };
    },
  };
}
