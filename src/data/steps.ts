/**
 * Steps that look at one element at a time.
 *
 * @module
 */
import { BREATH, breath, type Cursor, END, type Plan, Saved, type State } from './cursor.js';
import { refused, thrownAt } from './errors.js';

/** Opens what a step reads from, at its place in the state of the step. */
async function within<T>(
  step: string,
  before: Plan<T>,
  from: State | undefined,
  epochs: readonly number[],
): Promise<[Cursor<T>, Saved | undefined]> {
  const saved = from === undefined ? undefined : new Saved(step, from);
  return [await before.open(saved?.state('from'), epochs), saved];
}

/** Each element put through a function. */
export function mapped<T, U>(before: Plan<T>, f: (element: T, index: number) => U | Promise<U>): Plan<U> {
  const step = 'Dataset.map';
  return {
    step,
    async open(from, epochs) {
      const [cursor, saved] = await within(step, before, from, epochs);
      let index = saved?.count('index') ?? 0;
      return {
        async next() {
          const x = await cursor.next();
          if (x === END) return END;
          try {
            return await f(x, index++);
          } catch (error) {
            throw thrownAt(step, index - 1, error);
          }
        },
        state: () => ({ step, index, from: cursor.state() }),
        close: () => cursor.close(),
      };
    },
  };
}

/** The elements that a function says yes to. */
export function filtered<T>(before: Plan<T>, f: (element: T, index: number) => boolean | Promise<boolean>): Plan<T> {
  const step = 'Dataset.filter';
  return {
    step,
    async open(from, epochs) {
      const [cursor, saved] = await within(step, before, from, epochs);
      let index = saved?.count('index') ?? 0;
      const holds = async (x: T): Promise<boolean> => {
        try {
          return await f(x, index++);
        } catch (error) {
          throw thrownAt(step, index - 1, error);
        }
      };
      return {
        async next() {
          for (let seen = 1; ; seen += 1) {
            // One after another: they stand in a row.
            // oxlint-disable-next-line no-await-in-loop
            const x = await cursor.next();
            // oxlint-disable-next-line no-await-in-loop
            if (x === END || (await holds(x))) return x;
            // oxlint-disable-next-line no-await-in-loop
            if (seen % BREATH === 0) await breath();
          }
        },
        state: () => ({ step, index, from: cursor.state() }),
        close: () => cursor.close(),
      };
    },
  };
}

/** The first elements. */
export function taken<T>(before: Plan<T>, count: number): Plan<T> {
  const step = 'Dataset.take';
  return {
    step,
    async open(from, epochs) {
      const [cursor, saved] = await within(step, before, from, epochs);
      let given = saved?.count('given') ?? 0;
      return {
        async next() {
          if (given >= count) {
            await cursor.close();
            return END;
          }
          const x = await cursor.next();
          if (x !== END) given += 1;
          return x;
        },
        state: () => ({ step, given, from: cursor.state() }),
        close: () => cursor.close(),
      };
    },
  };
}

/** All but the first elements. */
export function skipped<T>(before: Plan<T>, count: number): Plan<T> {
  const step = 'Dataset.skip';
  return {
    step,
    async open(from, epochs) {
      const [cursor, saved] = await within(step, before, from, epochs);
      let passed = saved?.count('passed') ?? 0;
      return {
        async next() {
          for (; passed < count; passed += 1) {
            // One after another: they stand in a row.
            // oxlint-disable-next-line no-await-in-loop
            if ((await cursor.next()) === END) return END;
            // oxlint-disable-next-line no-await-in-loop
            if (passed % BREATH === BREATH - 1) await breath();
          }
          return cursor.next();
        },
        state: () => ({ step, passed, from: cursor.state() }),
        close: () => cursor.close(),
      };
    },
  };
}

/** The elements again and again; `null`: without end. */
export function repeated<T>(before: Plan<T>, count: number | null): Plan<T> {
  const step = 'Dataset.repeat';
  return {
    step,
    async open(from, epochs) {
      const saved = from === undefined ? undefined : new Saved(step, from);
      let epoch = saved?.count('epoch') ?? 0;
      let seen = saved?.count('seen') ?? 0;
      let cursor = await before.open(saved?.state('from'), [...epochs, epoch]);
      return {
        async next() {
          for (;;) {
            if (count !== null && epoch >= count) return END;
            // Rounds come one after another.
            // oxlint-disable-next-line no-await-in-loop
            const x = await cursor.next();
            if (x !== END) {
              seen += 1;
              return x;
            }
            if (seen === 0 && count === null) {
              const message = 'what is to be repeated without end has no elements';
              throw refused(step, undefined, 'InvalidArgument', message);
            }
            if (epoch + 1 === count) return END;
            // oxlint-disable-next-line no-await-in-loop
            await cursor.close();
            epoch += 1;
            seen = 0;
            // oxlint-disable-next-line no-await-in-loop
            cursor = await before.open(undefined, [...epochs, epoch]);
          }
        },
        state: () => ({ step, epoch, seen, from: cursor.state() }),
        close: () => cursor.close(),
      };
    },
  };
}
