/**
 * Types of what layers and functions take.
 *
 * @module
 */
import { found } from '../bridge/found.js';
import { type Layer, type Mode } from './layer.js';
import { type Signature } from '../tensor/ops.js';
import { type Key } from '../tensor/random.js';
import { type Tensor } from '../tensor/tensor.js';

/** A layer, `null` for a no-op, or a nested array of these. */
export type LayerNest = Layer | null | readonly LayerNest[];
/** What a random key may be given as. */
export type KeyLike = Key;
/**
 * A factory that makes a layer when it is called without arguments, such as `tl.Relu`.
 */
export type LayerFactory = (...args: never[]) => Layer;
/** Makes the layer that `AttentionResampling` resamples with, such as `AveragePooling` or `LinearUpsampling`. */
export type ResamplingFactory = (shortenFactor: number, dModel: number, options: { readonly mode: Mode }) => Layer;
/** What a way of resampling may be given by place beside what it uses, as `AttentionResampling` takes it; it changes nothing. */
export type ResamplingArgument =
  number | boolean | string | null | readonly number[] | Layer | LayerFactory | ResamplingFactory;
/** A function of tensors; gradients flow through the operations in it. */
export type TensorFunction = (...xs: never[]) => Tensor | readonly Tensor[] | readonly [Tensor];
/** Tensors in nested arrays. */
export type TensorTree = Tensor | readonly TensorTree[];
/** Signatures in nested arrays. */
export type SignatureTree = Signature | readonly SignatureTree[];
/** What cancels work: the part of an `AbortSignal` that is used, so that the types need no other library's. */
export interface CancelSignal {
  /**
   * Throws the reason if the work was cancelled already.
   *
   * @throws The reason.
   */
  throwIfAborted(): void;
  /** Hears of the cancellation. */
  addEventListener(type: 'abort', listener: () => void, options?: { once?: boolean }): void;
  /** Stops hearing of it. */
  removeEventListener(type: 'abort', listener: () => void): void;
}

/**
 * Refuses what cannot cancel work.
 *
 * @throws `TypeError` for anything but an `AbortSignal`, or what has its methods
 */
export function checkSignal(what: string, signal: CancelSignal | undefined): void {
  const methods: readonly (keyof CancelSignal)[] = ['throwIfAborted', 'addEventListener', 'removeEventListener'];
  if (signal === undefined) return;
  if (typeof signal !== 'object' || signal === null || methods.some((method) => typeof signal[method] !== 'function')) {
    throw new TypeError(`${what} must be an AbortSignal, got ${found(signal)}`);
  }
}
