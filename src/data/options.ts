/**
 * Options of sources and steps, as the core checks and completes them.
 *
 * @module
 */
import { found, isList, quoted, wellFormed } from '../bridge/found.js';
import { native } from '../bridge/native.js';
import { namedOptions } from '../tensor/rest.js';

function plain(what: string, x: unknown): unknown {
  switch (typeof x) {
    case 'string':
      if (wellFormed(x)) return x;
      throw new TypeError(`${what} must be of whole characters, got half a surrogate pair in ${quoted(x)}`);
    case 'number':
    case 'boolean':
      return x;
    default:
      if (x === null) return x;
      if (isList(x)) return x.map((item, i) => plain(`${what}[${i}]`, item));
      throw new TypeError(
        `${what} cannot be ${typeof x === 'bigint' || typeof x === 'symbol' ? `a ${typeof x}` : found(x)}`,
      );
  }
}

/** Options of plain values as they cross; those that are `undefined` are left out. */
export function plainOptions(step: string, options: object | null | undefined): object {
  const given = Object.entries(namedOptions(step, options) ?? {}).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given.map(([name, value]) => [name, plain(`${step}: \`${name}\``, value)]));
}

/** All options of a source or step, checked, with the core's defaults for those that were left out. */
export function stepOptions<O>(step: string, options: object | null | undefined): O {
  return native.stepOptions(step, plainOptions(step, options)) as O;
}
