/**
 * Datasets: where elements come from and what is done with them on the way.
 *
 * @module
 */
import { callable, found } from '../bridge/found.js';
import { type Key, keyWords } from '../tensor/random.js';
import { namedOptions } from '../tensor/rest.js';
import { openAt, prefetched } from './ahead.js';
import { batched, type BatchPlan, bucketed, type BucketPlan } from './batch.js';
import { BREATH, breath, isState, type Json, type Plan, type State } from './cursor.js';
import { refused } from './errors.js';
import { flatMapped, type Several } from './flatMap.js';
import { stepOptions } from './options.js';
import { packed, type Packed, type PackPlan, type Tokens } from './pack.js';
import { Pass } from './pass.js';
import { shuffled } from './shuffle.js';
import { type Batched } from './stack.js';
import { filtered, mapped, repeated, skipped, taken } from './steps.js';
import { windowed, type WindowPlan } from './window.js';

/** Options of {@link Dataset.shuffle}. */
export interface ShuffleOptions {
  /** The random key of the order; each round of {@link Dataset.repeat} has another order. */
  readonly rng: Key;
  /** How many elements wait to be drawn from: as many as there are for a whole shuffle. */
  readonly bufferSize: number;
}

/** Options of {@link Dataset.batch}. */
export interface BatchOptions {
  /** Whether a last batch of fewer elements is left out; `false` if left out. */
  readonly dropRemainder?: boolean | undefined;
  /** What shorter arrays are filled up with; without it all must have one shape. */
  readonly pad?: number | null | undefined;
}

/** Options of {@link Dataset.bucketByLength}. */
export interface BucketOptions<T> {
  /** The greatest length of each bucket but the last, rising. */
  readonly boundaries: readonly number[];
  /** How many elements a batch has, for each bucket: one more than boundaries. */
  readonly batchSizes: readonly number[];
  /** The length of an element. */
  readonly length: (element: T) => number;
  /** What shorter arrays are filled up with; 0 if left out. */
  readonly pad?: number | undefined;
  /** Whether first axes are filled up to a multiple of the boundary; `false` if left out. */
  readonly strictPadOnLen?: boolean | undefined;
  /** Whether batches that are not full at the end are left out; `true` if left out, as in Trax. */
  readonly dropRemainder?: boolean | undefined;
}

/** Options of {@link Dataset.pack}. */
export interface PackOptions {
  /** How long a row is. */
  readonly length: number;
  /** How many rows are open at a time; 16 if left out. More fill better. */
  readonly buffer?: number | undefined;
  /** Whether sequences that are longer than a row are cut; they are an error if left out. */
  readonly split?: boolean | undefined;
}

/** Where a dataset is: plain values, which JSON holds. */
export type DatasetState = { readonly [key: string]: Json };

/**
 * Elements from a source, and the steps that they go through: read with `for await`, or handed to {@link Trainer.fit}.
 *
 * A dataset is a description. Nothing is read before it is iterated, and every `for await` begins anew, with the same elements in the same order on
 * any machine. {@link Dataset.state} tells where the last one is, and {@link Dataset.restore} lets the next one go on from there, also in another
 * process. Files are closed when the loop ends, however it ends.
 *
 * @throws {@link DataError} While it is read: what a source or a function throws, with the step and the number of the element.
 * @see {@link fromArray}, {@link fromIterable}, {@link textFile}, which make one
 * @example
 * ```ts
 * const dataset = tl.data.fromArray([3, 1, 2]).map((x) => 10 * x).filter((x) => x > 10);
 * let sum = 0;
 * for await (const x of dataset) sum += x;
 * sum; // → 50
 * ```
 */
export class Dataset<T> implements AsyncIterable<T> {
  readonly #plan: Plan<T>;
  #pass: Pass<T> | undefined;
  #from: State | undefined;

  private constructor(plan: Plan<T>) {
    this.#plan = plan;
  }

  /** The plan that a step goes on with. A place to go on from would be lost in it. */
  get #before(): Plan<T> {
    if (this.#from === undefined) return this.#plan;
    const message = 'a dataset that goes on from a state takes no further steps: add the steps first, then restore';
    throw refused('Dataset.restore', undefined, 'InvalidOption', message);
  }

  /** The dataset of a plan. @internal */
  static of<T>(plan: Plan<T>): Dataset<T> {
    return new Dataset(plan);
  }

  /** The plan of a dataset. @internal */
  static planOf<T>(dataset: Dataset<T>): Plan<T> {
    return dataset.#plan;
  }

  /**
   * Reads the elements, one after another.
   *
   * @returns An iterator from the beginning, or from where {@link Dataset.restore} said.
   * @example
   * ```ts
   * const elements = tl.data.fromArray(['a', 'b'])[Symbol.asyncIterator]();
   * await elements.next(); // → { value: 'a', done: false }
   * ```
   */
  [Symbol.asyncIterator](): AsyncIterator<T, undefined> & AsyncIterable<T> {
    const from = this.#from;
    this.#from = undefined;
    this.#pass = new Pass(() => openAt('Dataset', this.#plan, from, []), from ?? null);
    return this.#pass;
  }

  /**
   * Tells where the iteration that began last is: behind the last element that it gave.
   *
   * @param unused - How many of the last elements to count as not given, as those that wait for a training step; at most 64. Default: `0`.
   * @returns Plain values, for {@link Dataset.restore}; of the beginning, if nothing was read.
   * @throws `RangeError`: `unused` is not a whole number from 0 to 64, or more than were given.
   * @example
   * ```ts
   * const dataset = tl.data.fromArray([1, 2, 3, 4]);
   * for await (const x of dataset) {
   *   if (x === 2) break;
   * }
   * dataset.restore(JSON.parse(JSON.stringify(dataset.state())));
   * await dataset.toArray(); // → [ 3, 4 ]
   * ```
   */
  state(unused: number = 0): DatasetState {
    if (this.#from !== undefined) return this.#from;
    return this.#pass?.state(unused) ?? Pass.start;
  }

  /**
   * Lets the next iteration go on from a state: with the elements that would have come, had it never stopped.
   *
   * @param state - What {@link Dataset.state} gave, of a dataset of the same steps.
   * @returns The dataset. It takes no further steps until it is read: they come before `restore`.
   * @throws {@link DataError} `InvalidOption`: `state` is none; while it is read: it is of other steps, or the source is shorter now.
   * @example
   * ```ts
   * const numbers = () => tl.data.fromArray([1, 2, 3, 4, 5]).shuffle({ rng: tl.random.key(0), bufferSize: 3 });
   * const before = numbers();
   * const elements = before[Symbol.asyncIterator]();
   * await elements.next();
   * const rest = await numbers().restore(before.state()).toArray();
   * rest.length; // → 4
   * ```
   */
  restore(state: DatasetState): this {
    if (!isState(state) || !('step' in state)) {
      throw refused(
        'Dataset.restore',
        undefined,
        'InvalidOption',
        `state must be what state() gave, got ${found(state)}`,
      );
    }
    this.#from = state['step'] === Pass.start.step && state['from'] === null ? undefined : state;
    this.#pass = undefined;
    return this;
  }

  /**
   * Puts each element through a function.
   *
   * @param f - Function of an element and its number; what it gives, or the promise of it, takes the element's place.
   * @returns A dataset of what it gives.
   * @throws `TypeError`: `f` is not a function.
   * @example
   * ```ts
   * await tl.data.fromArray(['a', 'b']).map((x, i) => x + i).toArray(); // → [ 'a0', 'b1' ]
   * ```
   */
  map<U>(f: (element: T, index: number) => U | Promise<U>): Dataset<U> {
    return new Dataset(mapped(this.#before, callable('Dataset.map: f', f)));
  }

  /**
   * Makes several elements of each, or none.
   *
   * @param f - Function of an element and its number, which gives an array, or another iterable or async iterable, or the promise of one.
   * @returns A dataset of all that it gives, in order.
   * @throws `TypeError`: `f` is not a function.
   * @throws {@link DataError} `InvalidArgument`, while it is read: `f` gives nothing that can be iterated over.
   * @example
   * ```ts
   * await tl.data.fromArray(['a b', 'c']).flatMap((line) => line.split(' ')).toArray(); // → [ 'a', 'b', 'c' ]
   * ```
   */
  flatMap<U>(f: (element: T, index: number) => Several<U> | Promise<Several<U>>): Dataset<U> {
    return new Dataset(flatMapped(this.#before, callable('Dataset.flatMap: f', f)));
  }

  /**
   * Leaves out elements.
   *
   * @param f - Function of an element and its number, which says whether it stays.
   * @returns A dataset of those that stay.
   * @throws `TypeError`: `f` is not a function.
   * @example
   * ```ts
   * await tl.data.fromArray([1, 2, 3]).filter((x) => x !== 2).toArray(); // → [ 1, 3 ]
   * ```
   */
  filter(f: (element: T, index: number) => boolean | Promise<boolean>): Dataset<T> {
    return new Dataset(filtered(this.#before, callable('Dataset.filter: f', f)));
  }

  /**
   * Ends after so many elements.
   *
   * @param count - How many.
   * @returns A dataset of the first elements.
   * @throws {@link LayerError} `InvalidOption`: `count` is not a whole number of at least 0.
   * @example
   * ```ts
   * await tl.data.fromArray([1, 2, 3]).take(2).toArray(); // → [ 1, 2 ]
   * ```
   */
  take(count: number): Dataset<T> {
    const o = stepOptions<{ count: number }>('Dataset.take', { count });
    return new Dataset(taken(this.#before, o.count));
  }

  /**
   * Begins after so many elements.
   *
   * @param count - How many are left out.
   * @returns A dataset of the others.
   * @throws {@link LayerError} `InvalidOption`: `count` is not a whole number of at least 0.
   * @example
   * ```ts
   * await tl.data.fromArray([1, 2, 3]).skip(2).toArray(); // → [ 3 ]
   * ```
   */
  skip(count: number): Dataset<T> {
    const o = stepOptions<{ count: number }>('Dataset.skip', { count });
    return new Dataset(skipped(this.#before, o.count));
  }

  /**
   * Begins again at the end.
   *
   * A shuffle before it has another order in each round.
   *
   * @param count - How many rounds; without end if left out.
   * @returns A dataset of all rounds.
   * @throws {@link LayerError} `InvalidOption`: `count` is not a whole number of at least 0.
   * @throws {@link DataError} `InvalidArgument`, while it is read: there are no elements to repeat without end.
   * @example
   * ```ts
   * await tl.data.fromArray([1, 2]).repeat().take(5).toArray(); // → [ 1, 2, 1, 2, 1 ]
   * ```
   */
  repeat(count?: number): Dataset<T> {
    const o = stepOptions<{ count: number | null }>('Dataset.repeat', { count });
    return new Dataset(repeated(this.#before, o.count));
  }

  /**
   * Brings the elements into random order.
   *
   * Each is drawn from a buffer, which the elements behind it fill up. A key gives the same order on every machine and on any number of threads.
   *
   * @param options - Options by name:
   * - `rng`: The random key.
   * - `bufferSize`: How many elements wait to be drawn from.
   * @returns A dataset of the same elements.
   * @throws `TypeError`: `rng` is not a random key.
   * @throws {@link LayerError} `InvalidOption`: an option is unknown, missing or outside its bounds.
   * @example
   * ```ts
   * const shuffled = tl.data.fromArray([1, 2, 3, 4]).shuffle({ rng: tl.random.key(1), bufferSize: 4 });
   * (await shuffled.toArray()).length; // → 4
   * ```
   */
  shuffle(options: ShuffleOptions): Dataset<T> {
    const step = 'Dataset.shuffle';
    const { rng, ...rest }: Partial<ShuffleOptions> = namedOptions(step, options) ?? {};
    const o = stepOptions<ShuffleOptions>(step, { ...rest, rng: keyWords(rng) });
    return new Dataset(shuffled(this.#before, o.rng, o.bufferSize));
  }

  /**
   * Stacks so many elements at a time.
   *
   * Each number, list of numbers, typed array or tensor of an element becomes a tensor with one axis more. Elements may be tuples or records of such:
   * the batch is a tuple or record of tensors then. A list that holds nothing but numbers is an array; any other list is a tuple. Plain
   * numbers become int32 where all are whole, and float32 otherwise. Tensors that a source or step of the pipeline made are freed.
   *
   * @param size - How many elements a batch has.
   * @param options - Options by name:
   * - `dropRemainder`: Whether a last batch of fewer is left out. Default: `false`.
   * - `pad`: What shorter arrays are filled up with. Default: none, all must have one shape.
   * @returns A dataset of batches.
   * @throws {@link LayerError} `InvalidOption`: an option is unknown or outside its bounds.
   * @throws {@link DataError} `InvalidArgument`, while it is read: elements differ in structure, type or shape.
   * @example
   * ```ts
   * const pairs = tl.data.fromArray([{ tokens: [5, 6, 7], label: 1 }, { tokens: [8], label: 0 }]);
   * const [batch] = await pairs.batch(2, { pad: 0 }).toArray();
   * batch!.tokens; // → Tensor int32[2,3] [[5,6,7],[8,0,0]]
   * ```
   */
  batch(size: number, options: BatchOptions = {}): Dataset<Batched<T>> {
    const step = 'Dataset.batch';
    return new Dataset(batched(this.#before, stepOptions<BatchPlan>(step, { ...namedOptions(step, options), size })));
  }

  /**
   * Stacks elements of like length, as Trax's `bucket_by_length`: so that little is filled up.
   *
   * An element goes into the first bucket whose boundary is not below its length, and into the last bucket if there is none. A full bucket is a batch,
   * filled up to the boundary, or to the next power of two where that is less than half of it.
   *
   * @param options - Options by name:
   * - `boundaries`: The greatest length of each bucket but the last.
   * - `batchSizes`: How many elements a batch has, for each bucket.
   * - `length`: Function of an element that gives its length.
   * - `pad`: What shorter arrays are filled up with. Default: `0`.
   * - `strictPadOnLen`: Whether first axes are filled up to a multiple of the boundary. Default: `false`.
   * - `dropRemainder`: Whether batches that are not full at the end are left out. Default: `true`.
   * @returns A dataset of batches.
   * @throws `TypeError`: `length` is not a function.
   * @throws {@link LayerError} `InvalidOption`: an option is unknown, missing or outside its bounds.
   * @throws {@link DataError} `InvalidArgument`, while it is read: elements differ in structure or type, or `length` gives no number.
   * @example
   * ```ts
   * const words = tl.data.fromArray([[1, 2], [1, 2, 3, 4, 5, 6], [7], [3, 4]]);
   * const batches = words.bucketByLength({ boundaries: [4], batchSizes: [2, 1], length: (word) => word.length });
   * await batches.map((batch) => batch.shape).toArray(); // → [ [ 1, 6 ], [ 2, 4 ] ]
   * ```
   */
  bucketByLength(options: BucketOptions<T>): Dataset<Batched<T>> {
    const step = 'Dataset.bucketByLength';
    const { length, ...rest }: Partial<BucketOptions<T>> = namedOptions(step, options) ?? {};
    const f = callable<((element: T) => number) | undefined>(`${step}: length`, length);
    const o = stepOptions<Omit<BucketPlan<T>, 'length'>>(step, rest);
    return new Dataset(bucketed(this.#before, { ...o, length: (element) => f!(element) }));
  }

  /**
   * Puts elements that follow one another into lists of one length, as the windows of a long text.
   *
   * What is left at the end and fills no window is left out.
   *
   * @param length - How many elements a window has.
   * @param stride - How far each window begins behind the one before: windows overlap where it is below `length`. `length` if left out.
   * @returns A dataset of lists.
   * @throws {@link LayerError} `InvalidOption`: `length` or `stride` is not a whole number of at least 1.
   * @example
   * ```ts
   * const tokens = tl.data.fromArray([[1, 2], [3, 4, 5, 6]]).flatMap((line) => line);
   * await tokens.window(3, 2).toArray(); // → [ [ 1, 2, 3 ], [ 3, 4, 5 ] ]
   * ```
   */
  window(length: number, stride?: number): Dataset<T[]> {
    return new Dataset(windowed(this.#before, stepOptions<WindowPlan>('Dataset.window', { length, stride })));
  }

  /**
   * Puts several sequences into one row, so that hardly anything is filled up.
   *
   * A sequence goes into the first open row that has room for it. A row that is full, or that must make room, is given. Beside the tokens it has the
   * number of the sequence that each is of, for {@link segmentMask}, and its place there.
   *
   * @param this - A dataset of lists of whole numbers.
   * @param options - Options by name:
   * - `length`: How long a row is.
   * - `buffer`: How many rows are open at a time. Default: `16`.
   * - `split`: Whether sequences longer than a row are cut. Default: `false`.
   * @returns A dataset of records of `tokens`, `segments` and `positions`.
   * @throws {@link LayerError} `InvalidOption`: an option is unknown, missing or outside its bounds.
   * @throws {@link DataError} `InvalidArgument`, while it is read: an element is no list of whole numbers, or longer than a row.
   * @example
   * ```ts
   * const [row] = await tl.data.fromArray([[5, 6, 7], [8, 9]]).pack({ length: 6 }).toArray();
   * row!.tokens; // → Int32Array(6) [ 5, 6, 7, 8, 9, 0 ]
   * row!.segments; // → Int32Array(6) [ 1, 1, 1, 2, 2, 0 ]
   * row!.positions; // → Int32Array(6) [ 0, 1, 2, 0, 1, 0 ]
   * ```
   */
  pack(this: Dataset<Tokens>, options: PackOptions): Dataset<Packed> {
    return new Dataset(packed(this.#before, stepOptions<PackPlan>('Dataset.pack', options)));
  }

  /**
   * Makes elements before they are asked for, while a training step is computed.
   *
   * @param size - How many wait at most.
   * @returns A dataset of the same elements.
   * @throws {@link LayerError} `InvalidOption`: `size` is not a whole number of at least 1.
   * @see {@link inWorker}, which makes them on another thread
   * @example
   * ```ts
   * await tl.data.fromArray([1, 2, 3]).prefetch(2).toArray(); // → [ 1, 2, 3 ]
   * ```
   */
  prefetch(size: number): Dataset<T> {
    const o = stepOptions<{ size: number }>('Dataset.prefetch', { size });
    return new Dataset(prefetched(this.#before, o.size));
  }

  /**
   * Reads all elements.
   *
   * @returns The elements. A dataset without an end must be cut by {@link Dataset.take} first.
   * @example
   * ```ts
   * await tl.data.fromArray([1, 2, 3]).toArray(); // → [ 1, 2, 3 ]
   * ```
   */
  async toArray(): Promise<T[]> {
    const all: T[] = [];
    for await (const x of this) {
      all.push(x);
      if (all.length % BREATH === 0) await breath();
    }
    return all;
  }
}
