/**
 * The addon's layer behind a layer of JavaScript: its number, and how long it lives.
 *
 * @module
 */
import { creationSites, type CreationSite, DisposedError } from '../bridge/errors.js';
import { letGo } from '../bridge/held.js';
import { native } from '../bridge/native.js';
import { type Key } from '../tensor/random.js';
import { scope } from '../tensor/scope.js';
import { type Made } from './construct.js';
import { type Mode } from './options.js';

/** Where a layer has its handle. A symbol, as nobody else may look there. @internal */
export const HANDLE: unique symbol = Symbol('handle');

/** What has the handle of a layer: a layer. */
export interface Handled extends Disposable {
  /** Its printed name. */
  readonly name: string;
  /** The handle. @internal */
  readonly [HANDLE]: LayerHandle;
}

/** Whether `x` is a layer. */
export function isHandled(x: unknown): x is Handled {
  return typeof x === 'function' && HANDLE in x;
}

/** What `forward` and `initWeightsAndState` of a class see as `this.weights` and so on, while they run. */
export interface Running {
  weights: unknown;
  state: unknown;
  rng: Key | null;
}

/** What is left of a layer when it was collected. */
interface Collected {
  id: number;
  instances: number[];
}

/** The layers that JavaScript holds, by their numbers. */
const known = new Map<number, WeakRef<Handled>>();

const collected = new FinalizationRegistry<Collected>(({ id, instances }) => {
  native.releaseLayer(id);
  if (known.get(id)?.deref() === undefined) {
    known.delete(id);
  }
  instances.forEach((instance) => creationSites.delete(instance));
  letGo();
});

/** How many methods of classes are running. */
const methods = { running: 0 };

/** Calls `f`, a method of a class: what it does with the layers in its fields, their owner does. */
export function inMethod<T>(f: () => T): T {
  methods.running += 1;
  try {
    return f();
  } finally {
    methods.running -= 1;
  }
}

/** Notes in `site` where the program is, for those of the instances that are new; gives these. */
function rememberSite(site: CreationSite, instances: readonly number[]): number[] {
  const fresh = instances.filter((instance) => !creationSites.has(instance));
  if (fresh.length > 0) {
    Error.captureStackTrace(site, rememberSite);
    const ref = new WeakRef(site);
    fresh.forEach((instance) => creationSites.set(instance, ref));
  }
  return fresh;
}

/** The number of a layer in the addon, with all that must be known to use it and to end it. */
export class LayerHandle {
  /** 0 once the layer is disposed. */
  id: number;
  /** The number of its inputs. */
  readonly nIn: number;
  /** The number of its outputs. */
  readonly nOut: number;
  /** Whether the addon calls JavaScript functions when it runs the layer. */
  readonly callsHost: boolean;
  /** Whether the layer brings its own backward pass. */
  readonly hasBackward: boolean;
  /** What is done before the first use. */
  settle: (() => void) | null = null;
  /** What the methods of a class see as their weights and so on. */
  running: Running | null = null;
  /** The mode that a method of a class is running in. */
  runsIn: Mode | null = null;
  /** Layers and functions that the addon runs when it runs this one. */
  #parts: readonly object[];
  /** Whether the program used the layer by itself, and not only as a part of another one. */
  #used = false;
  /** Where the layer was made; {@link creationSites} finds it. */
  readonly #site: CreationSite = {};
  readonly #collected: Collected;

  /**
   * @param owner - the layer that has the handle
   * @param made - what the addon made
   * @param origin - the layer that it is a copy or a part of, which lives as long as the handle
   */
  constructor(
    owner: Handled,
    made: Made,
    readonly origin: object | null,
  ) {
    const info = native.layerInfo(made.id);
    this.id = made.id;
    this.nIn = info.nIn;
    this.nOut = info.nOut;
    this.hasBackward = info.hasBackward;
    this.callsHost = made.callsHost;
    this.#parts = made.parts;
    for (const [key, value] of Object.entries({ name: info.name, nIn: info.nIn, nOut: info.nOut })) {
      Object.defineProperty(owner, key, { value, configurable: true });
    }
    known.set(made.id, new WeakRef(owner));
    this.#collected = { id: made.id, instances: rememberSite(this.#site, info.instances) };
    collected.register(owner, this.#collected);
    scope.frame?.layers?.add(owner);
  }

  /** The layer that has the handle of this number; `undefined` if none has. */
  static owner(id: number): Handled | undefined {
    return known.get(id)?.deref();
  }

  /** The layer's number; `owner` is the layer. */
  live(owner: Handled): number {
    if (this.id === 0) {
      throw new DisposedError(
        `the layer ${owner.name} was used after dispose(), or after the tidy() that made it; make it again, or keep() it`,
      );
    }
    this.settle?.();
    return this.id;
  }

  /** The layer's number, for what the program does with it by itself. */
  use(owner: Handled): number {
    this.#used ||= methods.running === 0;
    return this.live(owner);
  }

  /** Stands from now on for another layer of the addon, in place of the one it stood for. */
  replace(owner: Handled, made: Made): void {
    known.delete(this.id);
    native.releaseLayer(this.id);
    this.id = made.id;
    this.#parts = made.parts;
    known.set(made.id, new WeakRef(owner));
    const { instances } = native.layerInfo(made.id);
    instances.forEach((instance) => creationSites.set(instance, new WeakRef(this.#site)));
    Object.assign(this.#collected, { id: made.id, instances: [...this.#collected.instances, ...instances] });
  }

  /** Forgets what the addon has ended. */
  #end(owner: Handled): void {
    known.delete(this.id);
    this.id = 0;
    for (let frame = scope.frame; frame !== null; frame = frame.parent) frame.layers?.delete(owner);
  }

  /** Ends the layer, and those made for it that nothing else runs or uses. */
  dispose(owner: Handled): void {
    if (this.id === 0) return;
    const below: Handled[] = [];
    const seen = new Set<Handled>([owner]);
    for (const layer of seen) {
      for (const part of layer[HANDLE].#parts) {
        if (isHandled(part) && !part[HANDLE].#used && !seen.has(part)) {
          seen.add(part);
          below.push(part);
        }
      }
    }
    native.disposeLayer(this.id);
    this.#end(owner);
    LayerHandle.endAtRest(below);
  }

  /** Disposes those of the layers, each before those it runs, that nothing else holds; gives the others. */
  static endAtRest(made: readonly Handled[]): Handled[] {
    const live = made.filter((layer) => layer[HANDLE].id !== 0);
    const ended = new Set(live.length > 0 ? native.disposeLayersAtRest(live.map((layer) => layer[HANDLE].id)) : []);
    return live.filter((layer) => {
      const stays = !ended.has(layer[HANDLE].id);
      if (!stays) layer[HANDLE].#end(layer);
      return stays;
    });
  }
}

/** Gives a layer its handle, when it is made. */
export function giveHandle(owner: Handled, made: Made, origin: object | null): LayerHandle {
  const handle = new LayerHandle(owner, made, origin);
  Object.defineProperty(owner, HANDLE, { value: handle });
  return handle;
}

/** The number of a layer in the addon, for what the program does with it by itself. */
export function idOfLayer(layer: Handled): number {
  return layer[HANDLE].use(layer);
}
