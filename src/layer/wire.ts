/**
 * Nested values between JavaScript and the addon, in one form: options, weights, state, arguments and results.
 *
 * Null, booleans, numbers, strings, lists and records cross as they are. All else is an object whose first key begins with `$`:
 * `{$tensor: id}`, `{$layer: id}`, `{$cached: true}`, and in options `{$fn: number, arity}`, `{$factory: kind, options}` and
 * `{$initializer: kind, options}`. `wire.rs` has the other side.
 *
 * @module
 */
import { isTypedArray } from '../tensor/data.js';
import { found, isKeyed, isList, isThenable, quoted, wellFormed } from '../bridge/found.js';
import { numberOf, type HostFunction } from '../bridge/functions.js';
import { native } from '../bridge/native.js';
import { Nesting } from '../bridge/nesting.js';
import { tensor } from '../tensor/ops.js';
import { scope, type Frame } from '../tensor/scope.js';
import { idOf, Tensor, wrap } from '../tensor/tensor.js';
import { type Tree } from '../tensor/tree.js';
import { HANDLE, type Handled, isHandled } from './handle.js';

/** Stands for the weights of a layer that occurred earlier, in Trax's nesting. */
export const GET_WEIGHTS_FROM_CACHE: Readonly<Record<string, readonly never[]>> = Object.freeze({
  __marker_for_cached_weights_: Object.freeze([]),
});
/** Stands for the state of a layer that occurred earlier, in Trax's nesting. */
export const GET_STATE_FROM_CACHE: Readonly<Record<string, readonly never[]>> = Object.freeze({
  __marker_for_cached_state_: Object.freeze([]),
});
/** No weights. */
export const EMPTY_WEIGHTS: readonly never[] = Object.freeze([]);
/** No state. */
export const EMPTY_STATE: readonly never[] = Object.freeze([]);

/** Weights or state as Trax nests them: a tree of tensors, which the functions of `tl.tree` take. */
export type Nest = Tree<Tensor>;

function isMarker(x: object): boolean {
  return '__marker_for_cached_weights_' in x || '__marker_for_cached_state_' in x;
}

/** Makes values for the addon: those that are lent for the length of a call. */
export class Encoder {
  readonly #nesting: Nesting;

  /** @param what - what crosses, for messages */
  constructor(
    readonly what: string,
    nesting: Nesting = new Nesting(what),
  ) {
    this.#nesting = nesting;
  }

  /** The value as it crosses; `path` is where it stands in what crosses. */
  encode(x: unknown, path = ''): unknown {
    switch (typeof x) {
      case 'number':
      case 'boolean':
        return x;
      case 'string':
        if (!wellFormed(x)) throw this.broken(x, path);
        return x;
      case 'object':
        return x === null ? x : this.#object(x, path);
      case 'function': {
        return isHandled(x) ? this.layer(x, x[HANDLE].live(x)) : this.host(x as (...args: never[]) => unknown, path);
      }
      case 'undefined':
        return this.nothing(path);
      default:
        throw this.wrong(x, path);
    }
  }

  #object(x: object, path: string): unknown {
    if (x instanceof Tensor) {
      return { $tensor: this.give(x) };
    }
    if (isTypedArray(x)) {
      return { $tensor: this.giveMade(tensor(x)) };
    }
    if (isList(x)) {
      return this.#nesting.items(x, (item, i) => this.encode(item, this.item(path, i)));
    }
    if (!isKeyed(x)) {
      throw this.wrong(x, path);
    }
    if (isMarker(x)) {
      return { $cached: true };
    }
    const fields = this.fields(x);
    return this.#nesting.within(x, () =>
      Object.fromEntries(fields.map(([key, value]) => [this.#key(key), this.encode(value, this.field(path, key))])),
    );
  }

  #key(key: string): string {
    if (key.startsWith('$')) {
      throw new TypeError(`${this.what}: names that begin with $ mean something else, got ${quoted(key)}`);
    }
    if (!wellFormed(key)) throw this.broken(key, quoted(key));
    return key;
  }

  /** The handle of a tensor that crosses. */
  protected give(t: Tensor): number {
    return idOf(t);
  }
  /** The handle of a tensor that was made for values that cross. */
  protected giveMade(t: Tensor): number {
    return this.give(t);
  }
  /** A layer that crosses. */
  protected layer(_layer: Handled, id: number): unknown {
    return { $layer: id };
  }
  /** A function that crosses. */
  protected host(f: (...args: never[]) => unknown, path: string): unknown {
    throw this.wrong(f, path);
  }
  /** What crosses for `undefined`. */
  protected nothing(_path: string): unknown {
    return undefined;
  }
  /** The fields of a record that cross. */
  protected fields(x: Readonly<Record<string, unknown>>): [name: string, value: unknown][] {
    return Object.entries(x);
  }
  /** Where an item of a list stands. */
  protected item(path: string, _index: number): string {
    return path;
  }
  /** Where a field of a record stands. */
  protected field(path: string, _name: string): string {
    return path;
  }
  /** Why a value cannot cross. */
  protected wrong(x: unknown, _path: string): TypeError {
    return new TypeError(`${this.what}: expected tensors, numbers, arrays or objects, got ${found(x)}`);
  }
  /** Why a string with half a surrogate pair cannot cross. */
  protected broken(x: string, _path: string): TypeError {
    return new TypeError(
      `${this.what}: strings consist of whole characters, got half a surrogate pair in ${quoted(x)}`,
    );
  }
}

/** A function as it crosses; something must hold it as long as it may be called. */
export function crossing(f: HostFunction, arity: number): object {
  return { $fn: numberOf(f), arity };
}

/** A value lent to the addon for the length of a call; `what` names it where it cannot cross. */
export function encode(x: unknown, what: string): unknown {
  return new Encoder(what).encode(x);
}

/** Makes values that are handed over to the addon, with handles of their own. */
class Owned extends Encoder {
  readonly given: number[] = [];

  protected override give(t: Tensor): number {
    const id = native.retain(idOf(t));
    this.given.push(id);
    return id;
  }
}

/** A value handed over to the addon, with handles of its own. */
export function encodeOwned(x: unknown, what: string): unknown {
  const encoder = new Owned(what);
  try {
    return encoder.encode(x);
  } catch (error) {
    native.release(encoder.given);
    throw error;
  }
}

function decodeTag(x: object, cached: unknown): unknown {
  if ('$tensor' in x) return wrap(x.$tensor as number);
  return '$cached' in x ? cached : x;
}

/** A value from the addon, which is changed in place; `cached` is what stands for cached weights or state in it. Nests to any depth. */
export function decode(x: unknown, cached: unknown = GET_WEIGHTS_FROM_CACHE): unknown {
  const root: Record<string, unknown> = { x };
  const open: Record<string, unknown>[] = [root];
  for (let holder = open.pop(); holder !== undefined; holder = open.pop()) {
    for (const [key, value] of Object.entries(holder)) {
      if (typeof value !== 'object' || value === null) continue;
      const decoded = Array.isArray(value) ? value : decodeTag(value, cached);
      if (decoded === value) open.push(value as Record<string, unknown>);
      else holder[key] = decoded;
    }
  }
  return root['x'];
}

/** Runs `f` in a scope of its own: what it makes is disposed when it returns. */
export function scoped<T>(f: () => T): T {
  const frame: Frame = { items: new Set(), layers: null, parent: scope.frame };
  scope.frame = frame;
  try {
    return f();
  } finally {
    scope.frame = frame.parent;
    frame.items.forEach((item) => item[Symbol.dispose]());
  }
}

/** What a callback threw, as something the addon can carry: an object. */
function carried(thrown: unknown): unknown {
  const isObject = (typeof thrown === 'object' && thrown !== null) || typeof thrown === 'function';
  return isObject ? thrown : new Error(String(thrown), { cause: thrown });
}

/** How deep functions may call layers that call functions; without end, that would overflow the stack of the process. */
const DEEPEST = 50;
let depth = 0;

/**
 * A function as the addon calls it. Tensors made in it live until it returns, unless it returns them or gives them to `keep`.
 *
 * @param what - the name of the function in messages
 */
export function hostFunction(what: string, f: (...args: never[]) => unknown): (args: unknown[]) => unknown {
  return (args) =>
    scoped(() => {
      const given = args.map((arg) => decode(arg));
      if (depth === DEEPEST) {
        throw new RangeError(`${what} was called ${DEEPEST} levels deep: does a layer call itself?`);
      }
      let result: unknown;
      depth += 1;
      try {
        result = f(...(given as never[]));
      } catch (thrown) {
        throw carried(thrown);
      } finally {
        depth -= 1;
      }
      if (isThenable(result)) {
        throw new TypeError(`${what} must be synchronous, but it returned a promise`);
      }
      return encodeOwned(result, `what ${what} returned`);
    });
}
