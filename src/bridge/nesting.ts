/**
 * How data is nested.
 *
 * @module
 */
import { types } from 'node:util';
import { isList } from './found.js';

/** How deep arrays and objects may be nested; walks recurse, and beyond some thousand levels the stack would end. */
const DEEPEST = 500;
/** How many arrays and objects a walk may enter; more come of one that stands in itself many times over. */
const MOST = 4_000_000;

/** Refuses data that holds itself, is nested too deep, or has no end, which a walk would not come back from. */
export class Nesting {
  readonly #around = new Set<object>();
  #entered = 0;

  /** @param what - what is walked, for messages */
  constructor(
    readonly what: string,
    readonly deepest = DEEPEST,
  ) {}

  /**
   * Walks an array or object that stands in those entered before.
   *
   * @throws `RangeError` if it is one of these, or too many are around it
   */
  within<T>(x: object, walk: () => T): T {
    if (this.#around.has(x)) {
      throw new RangeError(`${this.what} holds itself, so it has no end`);
    }
    if (this.#around.size === this.deepest) {
      throw new RangeError(`${this.what} is nested deeper than ${this.deepest} levels`);
    }
    this.#entered += 1;
    if (this.#entered > MOST) {
      throw new RangeError(
        `${this.what} holds more than ${MOST} arrays and objects; the same one may stand in it many times over`,
      );
    }
    this.#around.add(x);
    const result = walk();
    this.#around.delete(x);
    return result;
  }

  /**
   * What `walk` makes of each item of an array that stands in those entered before.
   *
   * @throws `TypeError` for a hole, besides the errors of {@link within}: nothing stands there, and there may be billions
   */
  items<T>(x: readonly unknown[], walk: (item: unknown, index: number) => T): T[] {
    return this.within(x, () => {
      const made: T[] = [];
      for (let i = 0; i < x.length; i++) {
        if (!(i in x)) {
          throw new TypeError(`${this.what} has a hole: an array without an item at [${i}]`);
        }
        made.push(walk(x[i], i));
      }
      return made;
    });
  }
}

/** Arrays of more items are looked through by the names of their items, as they may be all holes. */
const LONG = 1_000_000;

/** Every object that `x` leads to, each once: items of arrays, Maps and Sets, and what objects hold as properties. */
export function reachable(x: unknown, isLeaf: (x: object) => boolean): Set<object> {
  const seen = new Set<object>();
  const open: unknown[] = [x];
  while (open.length > 0) {
    const next = open.pop();
    if ((typeof next !== 'object' && typeof next !== 'function') || next === null || seen.has(next)) continue;
    seen.add(next);
    if (typeof next === 'function' || isLeaf(next) || ArrayBuffer.isView(next)) continue;
    held(next, open);
  }
  return seen;
}

/** Whether an object may hold more than {@link reachable} sees, as one of a class does in private fields. */
export function isOpaque(x: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(x);
  const plain = prototype === null || prototype === Object.prototype;
  return !(plain || isList(x) || types.isMap(x) || types.isSet(x) || ArrayBuffer.isView(x));
}

/** Adds what an object holds to `open`. Getters are passed over: what they make is no property of the object. */
function held(x: object, open: unknown[]): void {
  if (isList(x) && x.length <= LONG) {
    for (const item of x) {
      if (typeof item === 'object' || typeof item === 'function') open.push(item);
    }
    return;
  }
  if (types.isMap(x)) {
    for (const [key, value] of x) open.push(key, value);
  } else if (types.isSet(x)) {
    for (const value of x) open.push(value);
  }
  for (const key of Object.keys(x)) {
    open.push(Object.getOwnPropertyDescriptor(x, key)?.value);
  }
}
