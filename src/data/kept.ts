/**
 * Elements that a step keeps while it reads on, known by their positions: so that its state needs not hold them.
 *
 * @module
 */
import { refused } from './errors.js';
import { type Cursor, END, passOver, type Plan, type Saved, type State } from './cursor.js';

/** Where the source stood before an element. */
interface Mark {
  readonly at: number;
  readonly state: State;
}

/** The least elements between two places that are remembered. */
const LEAST = 64;

/** Reads a source, and remembers where it stood now and then. */
export class Kept<T> {
  readonly #cursor: Cursor<T>;
  readonly #every: number;
  #marks: Mark[];
  /** How many elements were read. */
  read: number;

  private constructor(cursor: Cursor<T>, every: number, at: number, mark: Mark | undefined) {
    this.#cursor = cursor;
    this.#every = every;
    this.#marks = mark === undefined ? [] : [mark];
    this.read = at;
  }

  /**
   * Opens a source.
   *
   * @param saved - the state of the step, with what {@link Kept.state} gave
   * @param held - the positions that the step kept
   * @param every - after how many elements to remember the place: as many may be read once more to go on
   * @returns with the elements at these positions
   */
  static async open<T>(
    step: string,
    before: Plan<T>,
    epochs: readonly number[],
    saved: Saved | undefined,
    held: readonly number[],
    every: number,
  ): Promise<[Kept<T>, ReadonlyMap<number, T>]> {
    const elements = new Map<number, T>();
    if (saved === undefined) {
      const cursor = await before.open(undefined, epochs);
      return [new Kept(cursor, Math.max(every, LEAST), 0, undefined), elements];
    }
    const [state, at, read] = [saved.state('from'), saved.count('at'), saved.count('read')];
    const cursor = await before.open(state, epochs);
    const wanted = new Set(held);
    let position = at;
    try {
      await passOver(step, cursor, read - at, (x) => {
        if (wanted.has(position)) elements.set(position, x);
        position += 1;
      });
    } catch (error) {
      await cursor.close();
      throw error;
    }
    if (elements.size !== wanted.size) {
      await cursor.close();
      throw refused(step, undefined, 'InvalidOption', 'the state keeps elements that it says were not read');
    }
    return [new Kept(cursor, Math.max(every, LEAST), read, { at, state }), elements];
  }

  /** The next element. */
  async next(): Promise<T | typeof END> {
    if (this.read % this.#every === 0 && this.#marks.at(-1)?.at !== this.read) {
      this.#marks.push({ at: this.read, state: this.#cursor.state() });
    }
    const x = await this.#cursor.next();
    if (x !== END) this.read += 1;
    return x;
  }

  /** Where the source stands, from which on the elements at the positions that are held can be read again. */
  state(held: readonly number[]): { readonly at: number; readonly read: number; readonly from: State } {
    const { read } = this;
    if (held.length === 0) return { at: read, read, from: this.#cursor.state() };
    const oldest = held.reduce((a, b) => Math.min(a, b));
    const first = this.#marks.findLastIndex(({ at }) => at <= oldest);
    this.#marks = this.#marks.slice(Math.max(first, 0));
    const { at, state } = this.#marks[0]!;
    return { at, read, from: state };
  }

  /** Forgets places before a position that no longer matter. */
  forget(held: () => readonly number[]): void {
    if (this.#marks.length > 64) this.state(held());
  }

  /** Lets go of the source. */
  close(): Promise<void> {
    return this.#cursor.close();
  }
}
