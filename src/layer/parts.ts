/**
 * Parts of layers' handles that need no handle.
 *
 * @module
 */
import { creationSites, type CreationSite } from '../bridge/errors.js';
import { type Layer } from './layer.js';
import { type LayerOutputs } from './options.js';
import { type SignatureLike } from '../tensor/ops.js';
import { type Made } from './construct.js';
import { keyWords, type Key } from '../tensor/random.js';
import { checked } from './signature.js';
import { type Tensor } from '../tensor/tensor.js';
import { encode } from './wire.js';

/** A layer that exists in the addon already, as the handles of factories are made from. */
export class Adopted {
  constructor(
    readonly made: Made,
    /** The layer that it is a copy or a part of, which lives as long as the handle. */
    readonly origin: Layer | null = null,
  ) {}
}

/** What `forward` and `initWeightsAndState` of a class see as `this.weights` and so on, while they run. */
export interface Running {
  weights: unknown;
  state: unknown;
  rng: Key | null;
}

/** One tensor by itself, several in an array: which of the two, the type of the layer says. @internal */
export function unwrap<Out extends LayerOutputs = LayerOutputs>(outputs: Tensor[]): Out {
  return (outputs.length === 1 ? outputs[0] : outputs) as Out;
}

/** Inverse of {@link unwrap}. @internal */
export function listOf<T>(x: T | readonly T[]): readonly T[] {
  return Array.isArray(x) ? (x as readonly T[]) : [x as T];
}

/** A value lent to the addon, `null` for what was left out; `what` names it where it cannot cross. */
export function lent(x: unknown, what: string): unknown {
  return x === undefined ? null : encode(x, what);
}

/** A signature for the addon, `null` for what was left out. */
export function given<D extends string>(
  signature: SignatureLike<D> | readonly SignatureLike<D>[] | undefined,
): unknown {
  return signature === undefined ? null : checked(signature);
}

/** The words of a key for the addon. @internal */
export function words(rng: Key | null | undefined): [number, number] | null {
  return rng === undefined || rng === null ? null : keyWords(rng);
}

/** Notes in `site` where the program is, for those of the instances that are new; gives these. */
export function rememberSite(site: CreationSite, instances: readonly number[]): number[] {
  const fresh = instances.filter((instance) => !creationSites.has(instance));
  if (fresh.length > 0) {
    Error.captureStackTrace(site, rememberSite);
    const ref = new WeakRef(site);
    fresh.forEach((instance) => creationSites.set(instance, ref));
  }
  return fresh;
}

/** Runs further methods of classes for the addon; `run` sets what they see as `this.weights` and so on. @internal */
export const drivers: Record<
  string,
  (layer: Layer, args: unknown[], run: <T>(running: Running, f: () => T) => T) => unknown
> = {};

/** What layers of the addon that have more methods than others are handles of. @internal */
export const classes: { reversible?: new (options: Adopted) => Layer } = {};

/** Methods `backward` that replace no automatic differentiation. @internal */
export const backwards = new Set<unknown>();
