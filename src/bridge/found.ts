/**
 * What JavaScript hands over, told apart without `instanceof`: values of another realm (a `vm` context, Jest, what Node itself makes)
 * have classes of their own.
 *
 * @module
 */
import { types } from 'node:util';

/** The name of a typed array's class, as its elements are stored; it cannot be overridden. `undefined` for anything else. */
const kindOfTyped: (this: unknown) => string | undefined = Object.getOwnPropertyDescriptor(
  Object.getPrototypeOf(Uint8Array.prototype),
  Symbol.toStringTag,
)!.get!;

/** The kind of a typed array, as `Float32Array`; `undefined` for anything else. */
export function typedKind(x: unknown): string | undefined {
  return kindOfTyped.call(x);
}

/** Whether `x` is an array. Not so a proxy that was revoked, which `Array.isArray` throws for. */
export function isList(x: unknown): x is readonly unknown[] {
  try {
    return Array.isArray(x);
  } catch {
    return false;
  }
}

/** Whether `x` is a plain object of any realm: `{…}`, or one without a prototype. */
export function isRecord(x: unknown): x is Readonly<Record<string, unknown>> {
  if (typeof x !== 'object' || x === null || isList(x)) {
    return false;
  }
  if (types.isProxy(x)) {
    return isKeyed(x);
  }
  const prototype: object | null = Object.getPrototypeOf(x);
  return (
    prototype === null || (Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype, 'hasOwnProperty'))
  );
}

/** Whether `x` is an object that may be read by its keys: a plain one, or of a class that holds no more than its properties. */
export function isKeyed(x: unknown): x is Readonly<Record<string, unknown>> {
  if (typeof x !== 'object' || x === null || isList(x)) {
    return false;
  }
  try {
    return Object.prototype.toString.call(x) === '[object Object]';
  } catch {
    return false;
  }
}

/** The most characters of a string that a message shows. */
const SHOWN = 40;

/** A string as messages show it within quotes of their own: on one line, and cut where it is long. */
export function shown(text: string): string {
  const inside = JSON.stringify(text.slice(0, SHOWN)).slice(1, -1);
  return text.length > SHOWN ? `${inside}…` : inside;
}

/** A string as messages show it: quoted, and cut where it is long. */
export function quoted(text: string): string {
  return text.length > SHOWN ? `${JSON.stringify(text.slice(0, SHOWN))}…` : JSON.stringify(text);
}

function ofObject(x: object): string {
  if (isList(x)) return 'an array';
  const kind = typedKind(x);
  if (kind !== undefined) return withArticle(kind);
  if (isRecord(x)) {
    const keys = Object.keys(x);
    return keys.length === 0
      ? 'an empty object'
      : `an object with ${keys.slice(0, 4).map(quoted).join(', ')}${keys.length > 4 ? ', …' : ''}`;
  }
  const name: unknown = Object.getPrototypeOf(x)?.constructor?.name;
  return typeof name === 'string' && name !== '' ? withArticle(name) : 'an object';
}

/** A noun with its article. */
export function withArticle(name: string): string {
  return `${/^[aeiou]/i.test(name) ? 'an' : 'a'} ${name}`;
}

/** What `x` is, behind the words "got" of a message: `the string "x"`, `null`, `a Date`. */
export function found(x: unknown): string {
  switch (typeof x) {
    case 'string':
      return `the string ${quoted(x)}`;
    case 'number':
      return Object.is(x, -0) ? '-0' : String(x);
    case 'bigint':
      return `the bigint ${String(x).slice(0, SHOWN)}`;
    case 'function':
      return 'a function';
    case 'symbol':
      return 'a symbol';
    case 'object':
      try {
        return x === null ? 'null' : ofObject(x);
      } catch {
        // Proxies and getters may throw, and a message about an argument must not.
        return 'an object that cannot be read';
      }
    default:
      return String(x);
  }
}

/**
 * A string as the addon takes it.
 *
 * @throws `TypeError` if it is none, or holds half a surrogate pair: UTF-8 has none, so another text would arrive
 */
export function text(what: string, x: unknown): string {
  if (typeof x !== 'string') {
    throw new TypeError(`${what} must be a string, got ${found(x)}`);
  }
  if (!wellFormed(x)) {
    throw new TypeError(`${what} must be a string of whole characters, got half a surrogate pair in ${quoted(x)}`);
  }
  return x;
}

/** Whether a string holds no half of a surrogate pair. */
export function wellFormed(x: string): boolean {
  return !/\p{Surrogate}/u.test(x);
}

/**
 * A function.
 *
 * @throws `TypeError` for anything else
 */
export function callable<F>(what: string, f: F): F {
  if (typeof f !== 'function') {
    throw new TypeError(`${what} must be a function, got ${found(f)}`);
  }
  return f;
}

/**
 * An array.
 *
 * @throws `TypeError` for anything else
 */
export function list<T>(what: string, x: readonly T[]): readonly T[];
export function list(what: string, x: unknown): readonly unknown[];
export function list(what: string, x: unknown): readonly unknown[] {
  if (!isList(x)) {
    throw new TypeError(`${what} must be an array, got ${found(x)}`);
  }
  return x;
}

/**
 * A boolean.
 *
 * @throws `TypeError` for anything else
 */
export function flag(what: string, x: unknown): boolean {
  if (typeof x !== 'boolean') {
    throw new TypeError(`${what} must be true or false, got ${found(x)}`);
  }
  return x;
}

/** Whether `x` is a promise or behaves like one. */
export function isThenable(x: unknown): boolean {
  return typeof x === 'object' && x !== null && 'then' in x && typeof x.then === 'function';
}

/** Whether `x` can be iterated, at once or step by step. */
export function isIterable(x: unknown): x is object {
  const object = typeof x === 'object' && x !== null;
  return typeof x === 'string' || (object && (Symbol.asyncIterator in x || Symbol.iterator in x));
}

/** What was thrown, as a message: that of an error, or what else it is. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : found(thrown);
}
