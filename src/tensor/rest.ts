/**
 * The options object among the arguments of a function: behind its parameters, or at the end of rest parameters.
 *
 * @module
 */
import { found, isKeyed, shown } from '../bridge/found.js';
import { Handle } from './handle.js';

/** The names of all options of a type; the compiler holds the list against the type. */
export type Names<O> = { readonly [Name in keyof Required<O>]: true };

/** Splits arguments into the items and, if the last one is an object of options, these. */
export function splitRest<T, O extends object>(args: readonly (T | O)[]): { rest: T[]; options: O | undefined } {
  const last = args.at(-1);
  return isOptions(last)
    ? { rest: args.slice(0, -1) as T[], options: last as O }
    : { rest: [...args] as T[], options: undefined };
}

/** The options given to a factory; anything but an object of them is refused, as it would be passed over in silence. */
export function namedOptions<O extends object>(what: string, options: O | null | undefined): O | null | undefined {
  if (options === undefined || options === null || isOptions(options)) return options;
  const given =
    typeof options === 'object' ? (options instanceof Handle ? 'a tensor' : found(options)) : `a ${typeof options}`;
  throw new TypeError(`${what}: options are given by name, as in {name: value}; got ${given}`);
}

/**
 * The options given to a function that knows those of `names`, and no others.
 *
 * @param what - the function, for messages
 * @throws `TypeError` for anything but an object of them, and for an unknown one
 */
export function optionsOf<O extends object>(what: string, given: O | null | undefined, names: Names<O>): Partial<O> {
  const refusal = unknownOption(what, given, names);
  if (refusal !== undefined) {
    throw new TypeError(refusal);
  }
  return given ?? {};
}

/** What is wrong with options of which one is unknown. */
export function unknownOption<O extends object>(
  what: string,
  given: O | null | undefined,
  names: Names<O>,
): string | undefined {
  const unknown = Object.keys(namedOptions(what, given) ?? {}).find((name) => !Object.hasOwn(names, name));
  if (unknown === undefined) return undefined;
  const known = Object.keys(names).map((name) => `\`${name}\``);
  return `${what}: unknown option \`${shown(unknown)}\`: it takes ${known.join(', ')}`;
}

const isOptions = (x: unknown): boolean => isKeyed(x) && !(x instanceof Handle);
