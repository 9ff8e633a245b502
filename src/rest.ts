/**
 * The options object among the arguments of a factory: behind its parameters, or at the end of rest parameters.
 *
 * @module
 */
import { isTypedArray } from './data.js';
import { Tensor } from './tensor.js';

/** Splits arguments into the items and, if the last one is a plain object, the options. */
export function splitRest<T, O extends object>(args: readonly (T | O)[]): { rest: T[]; options: O | undefined } {
  const last = args.at(-1);
  return isOptions(last)
    ? { rest: args.slice(0, -1) as T[], options: last as O }
    : { rest: [...args] as T[], options: undefined };
}

/** The options given to a factory; anything but an object of them is refused, as it would be passed over in silence. */
export function namedOptions<O extends object>(kind: string, options: O | null | undefined): O | null | undefined {
  if (options === undefined || options === null || isOptions(options)) return options;
  const given = Array.isArray(options) || isTypedArray(options) ? 'an array' : options instanceof Tensor ? 'a tensor' : `a ${typeof options}`;
  throw new TypeError(`${kind}: options are given by name, as in {name: value}; got ${given}`);
}

const isOptions = (x: unknown): boolean =>
  typeof x === 'object' && x !== null && !Array.isArray(x) && !isTypedArray(x) && !(x instanceof Tensor);
