/**
 * Elements that are in memory, or that the program makes.
 *
 * @module
 */
import { found, isIterable, isList, isThenable } from '../bridge/found.js';
import { isTypedArray, type TypedArray } from '../tensor/data.js';
import { Tensor } from '../tensor/tensor.js';
import { flattenNamed, type Tree, unflatten } from '../tensor/tree.js';
import { BREATH, breath, type Cursor, END, type Plan, Saved } from './cursor.js';
import { Dataset } from './dataset.js';
import { refused, thrownAt } from './errors.js';
import { own } from './owned.js';

/** A source whose elements are at indices. */
function indexed<T>(step: string, length: () => number, at: (index: number) => T): Plan<T> {
  return {
    step,
    async open(from): Promise<Cursor<T>> {
      let index = from === undefined ? 0 : new Saved(step, from).count('index');
      return {
        async next() {
          if (index >= length()) return END;
          try {
            return at(index++);
          } catch (error) {
            throw thrownAt(step, index - 1, error);
          }
        },
        state: () => ({ step, index }),
        close: async () => {},
      };
    },
  };
}

/**
 * Gives the items of an array or typed array, or the slices of a tensor along its first axis.
 *
 * Slices are made when they are read, and freed when they go into a batch.
 *
 * @param items - The array, typed array or tensor. It is not copied.
 * @returns A dataset of its items.
 * @throws `TypeError`: `items` is none of these, or a tensor without axes.
 * @see {@link fromTensors}, for inputs and targets side by side
 * @example
 * ```ts
 * const letters = tl.data.fromArray(['a', 'b', 'c']);
 * await letters.toArray(); // → [ 'a', 'b', 'c' ]
 * ```
 */
export function fromArray(items: Tensor): Dataset<Tensor>;
/** Of a typed array: its numbers. */
export function fromArray(items: Exclude<TypedArray, BigInt64Array | BigUint64Array>): Dataset<number>;
/** Of an array: its items. */
export function fromArray<T>(items: readonly T[]): Dataset<T>;
export function fromArray(items: unknown): Dataset<unknown> {
  const step = 'fromArray';
  if (items instanceof Tensor) {
    const length = lengthOf(items, 'fromArray: items');
    return Dataset.of(
      indexed<unknown>(
        step,
        () => length,
        (i) => own(items.index(i)),
      ),
    );
  }
  if (!isList(items) && !isTypedArray(items)) {
    throw new TypeError(
      `fromArray: items must be an array, a typed array or a tensor, got ${found(items)}; fromIterable takes what can be iterated`,
    );
  }
  return Dataset.of(
    indexed<unknown>(
      step,
      () => items.length,
      (i) => items[i],
    ),
  );
}

function lengthOf(x: Tensor, what: string): number {
  const [length] = x.shape;
  if (length === undefined) throw new TypeError(`${what} has no axes, so there are no slices of it`);
  return length;
}

/**
 * Gives the slices of several tensors along their first axes, side by side.
 *
 * Slices are made when they are read, and freed when they go into a batch.
 *
 * @param tensors - Tensors of one length, in a list or record.
 * @returns A dataset of such lists or records, of slices.
 * @throws `TypeError`: there are no tensors, or one has no axes.
 * @throws `RangeError`: their lengths differ.
 * @example
 * ```ts
 * const [x, y] = [tl.ones([100, 3]), tl.zeros([100])];
 * const batches = tl.data.fromTensors([x, y]).batch(32);
 * const [inputs, targets] = (await batches.toArray())[0]!;
 * console.log(inputs.shape, targets.shape); // → [ 32, 3 ] [ 32 ]
 * ```
 */
export function fromTensors<
  S extends readonly [Tensor, ...Tensor[]] | readonly Tensor[] | { readonly [name: string]: Tensor },
>(tensors: S): Dataset<{ -readonly [K in keyof S]: Tensor }> {
  const [all, structure] = flattenNamed<unknown>('fromTensors: tensors', tensors as Tree<unknown>);
  const leaves = all.map((x) => {
    if (!(x instanceof Tensor))
      throw new TypeError(`fromTensors: tensors must be a list or record of tensors, got ${found(x)}`);
    return x;
  });
  const lengths = leaves.map((x) => lengthOf(x, 'fromTensors: a tensor'));
  const [length] = lengths;
  if (length === undefined) throw new TypeError('fromTensors: there must be at least one tensor');
  const odd = lengths.find((other) => other !== length);
  if (odd !== undefined) {
    throw new RangeError(`fromTensors: the tensors must have one length on axis 0, got ${length} and ${odd}`);
  }
  const slices = (i: number) =>
    unflatten<Tensor>(
      structure,
      leaves.map((x) => own(x.index(i))),
    ) as { -readonly [K in keyof S]: Tensor };
  return Dataset.of(indexed('fromTensors', () => length, slices));
}

/** What can be iterated, once or again. */
export type Source<T> = Iterable<T> | AsyncIterable<T>;

/**
 * Gives the elements of an iterable, or of those that a function makes.
 *
 * A function is called for each pass, so that a dataset of it can be read again, shuffled anew and resumed. Generators that run already can
 * be read once. To go on from a state, the elements before it are made once more and passed over.
 *
 * @param source - An iterable, an async iterable, or a function that makes one.
 * @returns A dataset of its elements.
 * @throws `TypeError`: `source` is none of these.
 * @throws {@link DataError} `Thrown`, while it is read: what the source throws.
 * @throws {@link DataError} `InvalidArgument`, while it is read: a source that can be read once is read again.
 * @example
 * ```ts
 * const squares = tl.data.fromIterable(function* () {
 *   for (let i = 0; ; i += 1) yield i * i;
 * });
 * await squares.take(4).toArray(); // → [ 0, 1, 4, 9 ]
 * ```
 */
export function fromIterable<T>(source: Source<T> | (() => Source<T> | Promise<Source<T>>)): Dataset<T> {
  const step = 'fromIterable';
  if (typeof source !== 'function' && !isIterable(source)) {
    throw new TypeError(`fromIterable: source must be an iterable or a function that makes one, got ${found(source)}`);
  }
  let used = false;
  const iterate = async (): Promise<Iterator<T> | AsyncIterator<T>> => {
    const given = typeof source === 'function' ? await source() : source;
    if (!isIterable(given)) throw new TypeError(`the function must make an iterable, got ${found(given)}`);
    const iterator = iteratorOf(given);
    const once: unknown = iterator;
    if (typeof source !== 'function' && once === given) {
      if (used) {
        const message = 'the source can be read once only: give a function that makes it';
        throw refused(step, undefined, 'InvalidArgument', message);
      }
      used = true;
    }
    return iterator;
  };
  const plan: Plan<T> = {
    step,
    async open(from) {
      const start = from === undefined ? 0 : new Saved(step, from).count('index');
      let iterator: Iterator<T> | AsyncIterator<T> | undefined;
      let done = false;
      let index = 0;
      const read = async (): Promise<T | typeof END> => {
        if (done) return END;
        try {
          iterator ??= await iterate();
          const result = await iterator.next();
          if (typeof result !== 'object' || result === null) {
            throw new TypeError(`next() of the source must give an object, got ${found(result)}`);
          }
          if (result.done) {
            done = true;
            return END;
          }
          index += 1;
          // An iterable of promises is read as `for await` does.
          return isThenable(result.value) ? await result.value : result.value;
        } catch (error) {
          done = true;
          throw thrownAt(step, index, error);
        }
      };
      return {
        async next() {
          for (;;) {
            const passing = index < start;
            // One after another: they stand in a row.
            // oxlint-disable-next-line no-await-in-loop
            const x = await read();
            if (x === END || !passing) return x;
            // oxlint-disable-next-line no-await-in-loop
            if (index % BREATH === 0) await breath();
          }
        },
        state: () => ({ step, index: Math.max(index, start) }),
        async close() {
          if (done) return;
          done = true;
          await iterator?.return?.();
        },
      };
    },
  };
  return Dataset.of(plan);
}

function iteratorOf<T>(source: Source<T>): Iterator<T> | AsyncIterator<T> {
  // A string is none to ask whether something is in it.
  const object: Source<T> = Object(source);
  return Symbol.asyncIterator in object ? object[Symbol.asyncIterator]() : object[Symbol.iterator]();
}
