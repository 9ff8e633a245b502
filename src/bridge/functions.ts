/**
 * JavaScript functions as the addon knows them: by number.
 *
 * The addon holds no function, or one that refers to the layer it is in would keep that, and itself, for ever. The handle of a layer holds
 * the functions that the layer calls, so that all of them are collected together.
 *
 * @module
 */

/** A function as the addon calls it, with all arguments in one array. */
export type HostFunction = (args: unknown[]) => unknown;

const functions = new Map<number, WeakRef<HostFunction>>();
const collected = new FinalizationRegistry<number>((number) => functions.delete(number));
let last = 0;

/** The number of a function that is new to the addon; it can be called as long as something holds `f`. */
export function numberOf(f: HostFunction): number {
  last += 1;
  functions.set(last, new WeakRef(f));
  collected.register(f, last);
  return last;
}

/** Calls a function by its number. */
export function callNumbered(number: number, args: unknown[]): unknown {
  const f = functions.get(number)?.deref();
  if (f === undefined) {
    throw new Error('a defect of tallow: a function was collected while a layer could still call it');
  }
  return f(args);
}
