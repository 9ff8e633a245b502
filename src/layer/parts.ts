/**
 * Parts of layers' handles that need no handle.
 *
 * @module
 */
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
    readonly origin: object | null = null,
  ) {}
}

/** One tensor by itself, several in an array: which of the two, the type of the layer says. @internal */
export function unwrap<Out extends LayerOutputs = LayerOutputs>(outputs: Tensor[]): Out {
  return (outputs.length === 1 ? outputs[0] : outputs) as Out;
}

/** Inverse of {@link unwrap}. @internal */
export function listOf<T>(x: T | readonly T[]): readonly T[] {
  return Array.isArray(x) ? x : [x as T];
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
