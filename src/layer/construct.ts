/**
 * Options as the addon takes them, and what is made of them.
 *
 * @module
 */
import { found, isRecord, quoted } from '../bridge/found.js';
import { holding } from '../bridge/held.js';
import { native } from '../bridge/native.js';
import { Nesting } from '../bridge/nesting.js';
import { namedOptions } from '../tensor/rest.js';
import { keyWords, type Key } from '../tensor/random.js';
import { idOf, type Tensor, wrap } from '../tensor/tensor.js';
import { HANDLE, type Handled } from './handle.js';
import { crossing, decode, Encoder, hostFunction } from './wire.js';

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

/** How deep options may nest. */
const DEEPEST = 100;

/** Options that cross, and what must live as long as what is made of them. */
class Options extends Encoder {
  /** The options as they cross. */
  readonly value: unknown;
  /** Layers and functions among them. */
  readonly parts: object[] = [];
  /** Whether JavaScript functions are among them, or within them. */
  callsHost = false;
  /** Tensors made for typed arrays, which nothing else holds. */
  readonly #made: Tensor[] = [];

  constructor(kind: string, options: object) {
    super(kind, new Nesting(`${kind}: an option`, DEEPEST));
    this.value = this.encode(options);
  }

  dispose(): void {
    this.#made.forEach((t) => t.dispose());
  }

  protected override giveMade(t: Tensor): number {
    this.#made.push(t);
    return idOf(t);
  }
  protected override layer(layer: Handled, id: number): unknown {
    this.parts.push(layer);
    this.callsHost ||= layer[HANDLE].callsHost;
    return { $layer: id };
  }
  protected override host(f: (...args: never[]) => unknown, path: string): unknown {
    const known = registered.get(f);
    if (known !== undefined) {
      return { [known.tag]: known.kind, options: this.encode(known.options, path) };
    }
    const called = hostFunction(`${this.what}: \`${path}\``, f);
    this.parts.push(called);
    this.callsHost = true;
    return crossing(called, f.length);
  }
  protected override nothing(path: string): unknown {
    throw this.wrong(undefined, path);
  }
  protected override fields(x: Readonly<Record<string, unknown>>): [name: string, value: unknown][] {
    return Object.entries(x).filter(([, value]) => value !== undefined);
  }
  protected override item(path: string, index: number): string {
    return `${path}[${index}]`;
  }
  protected override field(path: string, name: string): string {
    return path === '' ? name : `${path}.${name}`;
  }
  protected override wrong(x: unknown, path: string): TypeError {
    const what = typeof x === 'bigint' || typeof x === 'symbol' ? `a ${typeof x}` : found(x);
    return new TypeError(`${this.what}: \`${path}\` cannot be ${what}`);
  }
  protected override broken(x: string, path: string): TypeError {
    return new TypeError(
      `${this.what}: \`${path}\` must be of whole characters, got half a surrogate pair in ${quoted(x)}`,
    );
  }
}

function withEncoded<T>(kind: string, options: object, use: (encoded: Options) => T): T {
  const encoded = new Options(kind, options);
  try {
    return use(encoded);
  } finally {
    encoded.dispose();
  }
}

/** Calls `use` with options of plain values as they cross: for what takes no layers, functions or tensors, and says so itself. */
export function withPlain<T>(kind: string, options: object, use: (value: object) => T): T {
  namedOptions(kind, options);
  return withEncoded(kind, options, (o) => use(o.value as object));
}

/** A new layer of a registered kind. */
export function constructLayer(kind: string, options: object): Made {
  return withEncoded(kind, options, (o) => {
    const id = native.construct(kind, o.value);
    return { id, parts: o.parts, callsHost: o.callsHost };
  });
}

/** What a registered function gives, as it comes from the addon. */
function resultOf(name: string, o: Options): unknown {
  const call = (keep: number | null): unknown => native.callFunction(name, o.value, keep);
  return o.callsHost ? holding(o.parts, call) : call(null);
}

/** The result of a registered function. */
export function callFunction<T = Tensor>(name: string, options: object): T {
  return withEncoded(name, options, (o) => decode(resultOf(name, o)) as T);
}

/** The layers that a registered function makes. */
export function constructLayers(name: string, options: object): Made[] {
  return withEncoded(name, options, (o) => {
    const layers = resultOf(name, o) as readonly { readonly $layer: number }[];
    return layers.map(({ $layer }) => ({ id: $layer, parts: o.parts, callsHost: o.callsHost }));
  });
}

/**
 * All options of a model, checked; its defaults for those that are left out.
 *
 * @param factories - where defaults that are factories are found by their names
 */
export function modelOptions<Options>(model: string, given: object, factories: object): Options {
  /** An option as the addon fills it in: a value, the factory of a registered name, or what was given. */
  const filled = (name: string, value: unknown): unknown => {
    if (!isRecord(value)) return value;
    return 'factory' in value ? Reflect.get(factories, String(value['factory'])) : Reflect.get(given, name);
  };
  return withEncoded(model, given, (o) => {
    const all = native.modelOptions(model, o.value) as object;
    return Object.fromEntries(Object.entries(all).map(([name, value]) => [name, filled(name, value)])) as Options;
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
    withEncoded(kind, options, (o) => wrap(native.initialize(kind, o.value, shape, keyWords(key))));
  registered.set(initialize, { tag: '$initializer', kind, options });
  // A layer that uses it reads its options, so wrong ones are an error here, not at the first use.
  native.releaseLayer(constructLayer('Weights', { initializer: initialize, shape: [] }).id);
  return initialize;
}
