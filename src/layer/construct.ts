/**
 * Options as the addon takes them: JSON that refers to layers, functions and tensors by number.
 *
 * @module
 */
import { isTypedArray } from '../tensor/data.js';
import { numberOf } from '../bridge/functions.js';
import { found, isKeyed, isList, quoted, wellFormed } from '../bridge/found.js';
import { holding } from '../bridge/held.js';
import { native } from '../bridge/native.js';
import { Nesting } from '../bridge/nesting.js';
import { tensor } from '../tensor/ops.js';
import { namedOptions } from '../tensor/rest.js';
import { keyWords, type Key } from '../tensor/random.js';
import { idOf, Tensor, wrap } from '../tensor/tensor.js';
import { type TensorResult } from './types.js';
import { decode, hostFunction, layers } from './wire.js';

/** Options that were encoded, ready for `native.construct` and its like. */
interface Encoded {
  json: string;
  layers: number[];
  functions: number[];
  arities: number[];
  tensors: number[];
  /** Layers and functions, which must live as long as what is made of the options. */
  parts: object[];
  /** Whether JavaScript functions are among them, or within them. */
  callsHost: boolean;
}

/** A layer just made in the addon. */
export interface Made {
  readonly id: number;
  /** The layers and functions in its options, which must live as long as it. */
  readonly parts: readonly object[];
  /** Whether it calls JavaScript functions. */
  readonly callsHost: boolean;
}

/** What a function of this package stands for in options: a registered factory, or an initializer with its options. */
interface Registered {
  readonly tag: '$factory' | '$initializer';
  readonly kind: string;
  readonly options: object;
}

const registered = new WeakMap<object, Registered>();

/** How deep the addon reads JSON. */
const DEEPEST = 100;

class Encoder implements Encoded {
  json = '';
  readonly layers: number[] = [];
  readonly functions: number[] = [];
  readonly arities: number[] = [];
  readonly tensors: number[] = [];
  readonly parts: object[] = [];
  callsHost = false;
  /** Tensors made for typed arrays, which nothing else holds. */
  readonly #made: Tensor[] = [];
  readonly #nesting: Nesting;

  constructor(
    readonly kind: string,
    options: object,
  ) {
    this.#nesting = new Nesting(`${kind}: an option`, DEEPEST);
    this.json = JSON.stringify(this.#value(options, ''));
  }

  dispose(): void {
    this.#made.forEach((t) => t.dispose());
  }

  #value(x: unknown, path: string): unknown {
    if (typeof x === 'number') {
      return Number.isFinite(x) ? x : { $number: String(x) };
    }
    if (typeof x === 'bigint' || typeof x === 'symbol' || x === undefined) {
      throw new TypeError(`${this.kind}: \`${path}\` cannot be ${x === undefined ? 'undefined' : `a ${typeof x}`}`);
    }
    const layer = layers.idOf(x);
    if (layer !== undefined) {
      this.parts.push(x as object);
      this.callsHost ||= layers.callsHost(x);
      return { $layer: this.layers.push(layer) - 1 };
    }
    if (typeof x === 'function') {
      return this.#function(x as (...args: never[]) => unknown, path);
    }
    if (x instanceof Tensor) {
      return { $tensor: this.tensors.push(idOf(x)) - 1 };
    }
    if (isTypedArray(x)) {
      const made = tensor(x);
      this.#made.push(made);
      return { $tensor: this.tensors.push(idOf(made)) - 1 };
    }
    if (isList(x)) {
      return this.#nesting.items(x, (item, i) => this.#value(item, `${path}[${i}]`));
    }
    if (typeof x === 'object' && x !== null) {
      if (!isKeyed(x)) {
        throw new TypeError(`${this.kind}: \`${path}\` cannot be ${found(x)}`);
      }
      const entries = Object.entries(x).filter(([, value]) => value !== undefined);
      return this.#nesting.within(x, () =>
        Object.fromEntries(
          entries.map(([key, value]) => [this.#key(key), this.#value(value, path ? `${path}.${key}` : key)]),
        ),
      );
    }
    return typeof x === 'string' ? this.#text(x, path) : x;
  }

  #key(key: string): string {
    if (key.startsWith('$')) {
      throw new TypeError(`${this.kind}: names that begin with $ mean something else, got ${quoted(key)}`);
    }
    return this.#text(key, quoted(key));
  }

  #text(x: string, path: string): string {
    if (!wellFormed(x)) {
      throw new TypeError(
        `${this.kind}: \`${path}\` must be of whole characters, got half a surrogate pair in ${quoted(x)}`,
      );
    }
    return x;
  }

  #function(f: (...args: never[]) => unknown, path: string): unknown {
    const known = registered.get(f);
    if (known !== undefined) {
      const options = this.#value(known.options, path);
      return known.tag === '$factory'
        ? { $factory: known.kind, options }
        : { $initializer: { kind: known.kind, options } };
    }
    const called = hostFunction(`${this.kind}: \`${path}\``, f);
    this.parts.push(called);
    this.callsHost = true;
    this.arities.push(f.length);
    return { $fn: this.functions.push(numberOf(called)) - 1 };
  }
}

function withEncoded<T>(kind: string, options: object, use: (encoded: Encoded) => T): T {
  const encoded = new Encoder(kind, options);
  try {
    return use(encoded);
  } finally {
    encoded.dispose();
  }
}

/** Options of plain values, as JSON: for what takes no layers, functions or tensors, and says so itself. */
export function plainJson(kind: string, options: object): string {
  namedOptions(kind, options);
  return withEncoded(kind, options, (o) => o.json);
}

/** A new layer of a registered kind. */
export function constructLayer(kind: string, options: object): Made {
  return withEncoded(kind, options, (o) => {
    const id = native.construct(kind, o.json, o.layers, o.functions, o.arities, o.tensors);
    return { id, parts: o.parts, callsHost: o.callsHost };
  });
}

/** What a registered function gives, as it comes from the addon. */
function resultOf(name: string, o: Encoded): unknown {
  const call = (keep: number | null): unknown =>
    native.callFunction(name, o.json, o.layers, o.functions, o.arities, o.tensors, keep);
  return o.callsHost ? holding(o.parts, call) : call(null);
}

/** The result of a registered function. */
export function callFunction<T = TensorResult>(name: string, options: object): T {
  return withEncoded(name, options, (o) => decode(resultOf(name, o)) as T);
}

/** The layers that a registered function makes. */
export function constructLayers(name: string, options: object): Made[] {
  return withEncoded(name, options, (o) => {
    const layers = resultOf(name, o) as readonly { readonly $layer: number }[];
    return layers.map(({ $layer }) => ({ id: $layer, parts: o.parts, callsHost: o.callsHost }));
  });
}

/** Marks a factory as standing for a registered kind when it is passed as an option. */
export function registerFactory<F extends object>(factory: F, kind: string, options: object = {}): F {
  registered.set(factory, { tag: '$factory', kind, options });
  return factory;
}

/** Makes the first values of a weight. */
export interface KernelInitializer {
  /** A float32 tensor of `shape`. */
  (shape: readonly number[], key: Key): Tensor;
}

/** An initializer of a registered kind: callable, and known to the addon when it is passed as an option. */
export function makeInitializer(kind: string, options: object): KernelInitializer {
  const initialize: KernelInitializer = (shape, key) =>
    withEncoded(kind, options, (o) => wrap(native.initialize(kind, o.json, o.tensors, shape, keyWords(key))));
  registered.set(initialize, { tag: '$initializer', kind, options });
  // A layer that uses it reads its options, so wrong ones are an error here, not at the first use.
  native.releaseLayer(constructLayer('Weights', { initializer: initialize, shape: [] }).id);
  return initialize;
}
