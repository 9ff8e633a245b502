/**
 * Rest parameters that may end in an options object.
 *
 * @module
 */
import { Tensor } from './tensor.js';

/** Splits arguments into the items and, if the last one is a plain object, the options. */
export function splitRest<T, O extends object>(args: readonly (T | O)[]): { rest: T[]; options: O | undefined } {
  const last = args.at(-1);
  const isOptions = typeof last === 'object' && last !== null && !Array.isArray(last) && !(last instanceof Tensor);
  return isOptions
    ? { rest: args.slice(0, -1) as T[], options: last as O }
    : { rest: [...args] as T[], options: undefined };
}
