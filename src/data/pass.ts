/**
 * One way through a dataset.
 *
 * @module
 */
import { found } from '../bridge/found.js';
import { type Cursor, END, type State, weightOf } from './cursor.js';

/** After how many elements at least the place is remembered, and how many may count as not given. */
const EVERY = 64;

/** Iterates over the elements of a cursor, and knows where it is, also while the next one is on its way. */
export class Pass<T> implements AsyncIterator<T, undefined>, AsyncIterable<T> {
  /** The state before anything is read. */
  static readonly start = { step: 'Dataset', skip: 0, from: null } as const;

  readonly #open: () => Promise<Cursor<T>>;
  readonly #from: State;
  #cursor: Cursor<T> | undefined;
  #given = 0;
  #underway = false;
  #ended = false;
  /** Where the cursor was before the element of a number; the last ones. */
  #marks: { readonly given: number; readonly state: State }[] = [];
  /** Before which element the next one comes. */
  #markAt = 0;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(open: () => Promise<Cursor<T>>, from: State | null) {
    this.#open = open;
    this.#from = from ?? Pass.start;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Does one thing after another, as calls may overlap. */
  #inTurn<R>(work: () => Promise<R>): Promise<R> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => undefined);
    return done;
  }

  /** The next element. */
  next(): Promise<IteratorResult<T, undefined>> {
    return this.#inTurn(async () => {
      if (this.#ended) return { value: undefined, done: true };
      this.#underway = true;
      try {
        this.#cursor ??= await this.#open();
        if (this.#given >= this.#markAt) {
          const state = this.#cursor.state();
          this.#marks = [...this.#marks.slice(-1), { given: this.#given, state }];
          this.#markAt = this.#given + Math.max(EVERY, weightOf(state));
        }
        const value = await this.#cursor.next();
        if (value !== END) {
          this.#given += 1;
          this.#underway = false;
          return { value, done: false };
        }
      } catch (error) {
        this.#ended = true;
        await this.#cursor?.close();
        throw error;
      }
      this.#underway = false;
      await this.#end();
      return { value: undefined, done: true };
    });
  }

  /** Ends early, and lets go of files. */
  return(): Promise<IteratorResult<T, undefined>> {
    return this.#inTurn(async () => {
      await this.#end();
      return { value: undefined, done: true };
    });
  }

  async #end(): Promise<void> {
    this.#ended = true;
    await this.#cursor?.close();
  }

  /** Where it is, with so many of the last elements counted as not given. */
  state(unused: number): State {
    if (!Number.isInteger(unused) || unused < 0 || unused > Math.min(EVERY, this.#given)) {
      throw new RangeError(
        `Dataset.state: unused must be a whole number from 0 to ${Math.min(EVERY, this.#given)}, got ${found(unused)}`,
      );
    }
    if (this.#cursor === undefined) return this.#from;
    const { step } = Pass.start;
    if (unused === 0 && !this.#underway) return { step, skip: 0, from: this.#cursor.state() };
    const target = this.#given - unused;
    const mark = this.#marks.findLast(({ given }) => given <= target);
    // Nothing was given yet.
    if (mark === undefined) return this.#from;
    return { step, skip: target - mark.given, from: mark.state };
  }
}
