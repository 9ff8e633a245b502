/**
 * What a dataset is made of: plans, which say how to read, and cursors, which are somewhere within.
 *
 * @module
 */
import { found, isList, isRecord } from '../bridge/found.js';
import { refused } from './errors.js';

/** A value that JSON holds. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** Where a step is: plain values, which JSON holds. */
export type State = { readonly [key: string]: Json };

/** Stands for the end of the elements. */
export const END: unique symbol = Symbol('end');

/** Somewhere within the elements. Calls never overlap; after the end, `next` says so again and `state` holds. */
export interface Cursor<T> {
  /** The next element. */
  next(): Promise<T | typeof END>;
  /** Where it is between two elements. */
  state(): State;
  /** Lets go of files and threads; `state` holds afterwards. */
  close(): Promise<void>;
}

/** How to read elements, as often as asked. */
export interface Plan<T> {
  /** Its name in messages. */
  readonly step: string;
  /**
   * Starts to read.
   *
   * @param from - what `state` gave, or nothing to start at the beginning
   * @param epochs - the numbers of the rounds of all `repeat` around, the outermost first
   */
  open(from: State | undefined, epochs: readonly number[]): Promise<Cursor<T>>;
}

/** How many positions a state holds: to ask for a large one often would cost more than to make a few elements once more. */
export function weightOf(state: State): number {
  return Object.values(state).reduce<number>((sum, value) => {
    if (isList(value)) return sum + value.reduce<number>((n, item) => n + (isList(item) ? item.length : 1), 0);
    return isState(value) ? sum + weightOf(value) : sum;
  }, 0);
}

/** A state that came from outside, read by the step that it should be of. */
export class Saved {
  readonly #step: string;
  readonly #state: State;

  constructor(step: string, state: State) {
    this.#step = step;
    this.#state = state;
    if (state['step'] !== step) {
      const of = typeof state['step'] === 'string' ? `of ${state['step']}` : 'no state of a dataset';
      throw this.#refuse(`the state is ${of}; restore takes what state() of the same pipeline gave`);
    }
  }
  #refuse(message: string): Error {
    return refused(this.#step, undefined, 'InvalidOption', message);
  }
  #wrong(name: string, value: unknown): Error {
    return this.#refuse(`\`${name}\` of the state cannot be ${found(value)}`);
  }
  /** A whole number of at least 0. */
  count(name: string): number {
    const value: Json | undefined = this.#state[name];
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw this.#wrong(name, value);
    return value;
  }
  /** A list of such. */
  counts(name: string): number[] {
    return this.#numbers(name, this.#state[name]);
  }
  /** Lists of such. */
  lists(name: string): number[][] {
    const value: Json | undefined = this.#state[name];
    if (!isList(value)) throw this.#wrong(name, value);
    return value.map((item) => this.#numbers(name, item));
  }
  #numbers(name: string, value: unknown): number[] {
    if (!isList(value)) throw this.#wrong(name, value);
    return value.map((item) => {
      if (typeof item !== 'number' || !Number.isSafeInteger(item) || item < 0) throw this.#wrong(name, value);
      return item;
    });
  }
  /** Strings. */
  names(name: string): string[] {
    const value: Json | undefined = this.#state[name];
    if (!isList(value)) throw this.#wrong(name, value);
    return value.map((item) => {
      if (typeof item !== 'string') throw this.#wrong(name, value);
      return item;
    });
  }
  /** The state of what it reads from. */
  state(name: string): State {
    const value: Json | undefined = this.#state[name];
    if (!isState(value)) throw this.#wrong(name, value);
    return value;
  }
}

/** Whether a value can be a state. */
export function isState(x: unknown): x is State {
  return isRecord(x);
}

/** Lets the event loop turn: what never waits for anything would block it. */
export function breath(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** How many elements may be passed over in a row before the event loop turns. */
export const BREATH = 1024;

/** Reads elements that were there already; `drop` sees each. */
export async function passOver<T>(step: string, cursor: Cursor<T>, count: number, drop: (x: T) => void): Promise<void> {
  for (let i = 0; i < count; i += 1) {
    // One after another: they stand in a row.
    // oxlint-disable-next-line no-await-in-loop
    const x = await cursor.next();
    if (x === END) {
      const message = `the source has ${i} of the ${count} elements that the state counts from there; it is another one, or shorter`;
      throw refused(step, undefined, 'InvalidOption', message);
    }
    drop(x);
    // oxlint-disable-next-line no-await-in-loop
    if (i % BREATH === BREATH - 1) await breath();
  }
}
