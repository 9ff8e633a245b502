/**
 * Reading ahead, and what has been read of it.
 *
 * @module
 */
import { type Cursor, END, passOver, type Plan, Saved, type State, weightOf } from './cursor.js';
import { disposeOwned } from './owned.js';

/** A place: where the source stood, and how many elements were passed over since. */
interface Place {
  readonly from: State;
  readonly skip: number;
}

/** Opens a source at a place. */
export async function openAt<T>(
  step: string,
  before: Plan<T>,
  state: State | undefined,
  epochs: readonly number[],
): Promise<Cursor<T>> {
  if (state === undefined) return before.open(undefined, epochs);
  const saved = new Saved(step, state);
  const skip = saved.count('skip');
  const cursor = await before.open(saved.state('from'), epochs);
  try {
    await passOver(step, cursor, skip, disposeOwned);
    return cursor;
  } catch (error) {
    await cursor.close();
    throw error;
  }
}

/** Elements made before they are asked for, as many as told. */
class Ahead<T> implements Cursor<T> {
  readonly #ready: { readonly element: T; readonly place: Place }[] = [];
  #last: Place | undefined;
  /** After how many elements the source is asked for its state. */
  #every = 0;
  #underway: Place | undefined;
  #running = false;
  #done: Promise<void> = Promise.resolve();
  #failure: { readonly error: unknown } | undefined;
  #ended = false;
  #closed: State | undefined;
  #wake: (() => void) | undefined;

  constructor(
    readonly step: string,
    readonly before: Cursor<T>,
    readonly size: number,
  ) {}

  /** Starts to read, if there is room and nothing is in the way. */
  #start(): void {
    const stays = this.#running || this.#ended || this.#failure !== undefined || this.#closed !== undefined;
    if (stays || this.#ready.length >= this.size) return;
    this.#running = true;
    this.#done = this.#run();
  }
  async #run(): Promise<void> {
    try {
      while (this.#closed === undefined && !this.#ended && this.#ready.length < this.size) {
        const place = this.#next();
        this.#underway = place;
        // One after another: they stand in a row.
        // oxlint-disable-next-line no-await-in-loop
        const element = await this.before.next();
        this.#underway = undefined;
        if (element === END) this.#ended = true;
        else this.#ready.push({ element, place });
        this.#wake?.();
      }
    } catch (error) {
      this.#failure = { error };
    }
    this.#running = false;
    this.#wake?.();
  }
  /** The place before the element that is read next. */
  #next(): Place {
    const last = this.#last;
    if (last !== undefined && last.skip + 1 < this.#every) {
      this.#last = { from: last.from, skip: last.skip + 1 };
    } else {
      const from = this.before.state();
      this.#every = Math.max(this.size, weightOf(from));
      this.#last = { from, skip: 0 };
    }
    return this.#last;
  }
  async next(): Promise<T | typeof END> {
    for (;;) {
      const first = this.#ready.shift();
      this.#start();
      if (first !== undefined) return first.element;
      if (this.#failure !== undefined) throw this.#failure.error;
      if (this.#ended || this.#closed !== undefined) return END;
      // Until something has come.
      // oxlint-disable-next-line no-await-in-loop
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
  state(): State {
    if (this.#closed !== undefined) return this.#closed;
    const { step } = this;
    const { from, skip } = this.#ready[0]?.place ?? this.#underway ?? { from: this.before.state(), skip: 0 };
    return { step, skip, from };
  }
  async close(): Promise<void> {
    this.#closed ??= this.state();
    await this.#done;
    await this.before.close();
    disposeOwned(this.#ready.splice(0).map(({ element }) => element));
  }
}

/** Elements made ahead. */
export function prefetched<T>(before: Plan<T>, size: number, step: string = 'Dataset.prefetch'): Plan<T> {
  return {
    step,
    open: async (from, epochs) => new Ahead(step, await openAt(step, before, from, epochs), size),
  };
}
