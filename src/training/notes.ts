/**
 * Notes that go into a checkpoint, as JSON.
 *
 * @module
 */
import { found, isList, isRecord, quoted } from '../bridge/found.js';

/**
 * An object as JSON, of which nothing gets lost on the way.
 *
 * @throws `TypeError` for what JSON does not hold, where `JSON.stringify` would write something else
 */
export function jsonOf(what: string, x: unknown): string {
  if (!isRecord(x)) {
    throw new TypeError(`${what} must be an object as JSON holds it, got ${found(x)}`);
  }
  return JSON.stringify(x, function (this: unknown, key: string, value: unknown): unknown {
    const plain = typeof value === 'object' ? value === null || isList(value) || isRecord(value) : isPlain(value);
    // In an object what is undefined is left out; in a list it would become null.
    if (plain || (value === undefined && !isList(this))) return value;
    throw new TypeError(`${what}: JSON cannot hold ${found(value)}, which stands at ${quoted(key)}`);
  });
}

const isPlain = (x: unknown): boolean =>
  typeof x === 'string' || typeof x === 'boolean' || (typeof x === 'number' && Number.isFinite(x));
