/**
 * What lives as long as the addon may call functions of it.
 *
 * The handle of a layer holds the functions that the layer calls, and whoever calls a layer holds its handle. But a gradient to come, or a call
 * on the compute thread, may call functions when nobody holds the handle any more. So what holds them is listed here under a number
 * while the addon has that number, which it gives back when the last such call or graph is gone.
 *
 * @module
 */
import { native } from './native.js';

const held = new Map<number, unknown>();
let last = 0;

/** Holds `holder` until the addon gives the number back. */
export function hold(holder: unknown): number {
  last += 1;
  held.set(last, holder);
  return last;
}

/** Lets go of a number that the addon never had, as where the call to it failed. */
export function unhold(number: number | null): void {
  if (number !== null) held.delete(number);
}

/** Lets go of what the addon has given back. */
export function letGo(): void {
  if (held.size > 0) {
    native.released().forEach((number) => held.delete(number));
  }
}

/** So many may wait to be let go of; asking the addon takes as long as a small call. */
const MANY = 64;
let soon = false;

/** {@link letGo}, when the program pauses or there are many. */
function letGoSoon(): void {
  if (held.size >= MANY) {
    letGo();
  } else if (!soon) {
    soon = true;
    queueMicrotask(() => {
      soon = false;
      letGo();
    });
  }
}

/** Calls `f` with a number for `holder`, which lives until the call, and any gradient of it, is gone. */
export function holding<T>(holder: unknown, f: (number: number) => T): T {
  const number = hold(holder);
  try {
    return f(number);
  } catch (error) {
    unhold(number);
    throw error;
  } finally {
    letGoSoon();
  }
}
