/**
 * What layers are called, made, saved and loaded with.
 *
 * @module
 */
import { type DType } from '../bridge/native.js';
import { type SignatureLike, type TensorLike } from '../tensor/ops.js';
import { type Key } from '../tensor/random.js';
import { type Tensor } from '../tensor/tensor.js';
import { type Tree } from '../tensor/tree.js';
import { type CancelSignal, type LayerNest } from './types.js';

/** What a layer computes on: one tensor, or an array of as many as it takes. */
export type LayerInputs = TensorLike | readonly TensorLike[];
/**
 * What a layer returns: a tensor if it has one output, else an array.
 *
 * Most factories say which of the two. Where it cannot be known, as for a layer from a list, `Array.isArray(y)` or `y instanceof tl.Tensor` tells
 * them apart.
 */
export type LayerOutputs = Tensor | Tensor[];

/** Weights or state as they may be given: tensors, or data that these are made of. */
export type NestLike = Tree<TensorLike>;

/** What one call of a layer uses instead of what the layer holds. */
export interface CallOptions {
  /** Weights to set first, nested as `layer.weights` is. */
  readonly weights?: NestLike | undefined;
  /** State to set first, nested as `layer.state` is. */
  readonly state?: NestLike | undefined;
  /** Random key of this call. */
  readonly rng?: Key | null;
}

/** Options of an asynchronous call. */
export interface AsyncCallOptions extends CallOptions {
  /** Stops the call; its promise is rejected with the signal's reason. */
  readonly signal?: CancelSignal;
}

/** Whether a layer behaves as in training, evaluation, or step-by-step prediction. */
export type Mode = 'train' | 'eval' | 'predict' | 'viz';

/** Options of a layer that is a class of its own. */
export interface LayerOptions {
  /** Number of inputs; 1 if left out. */
  readonly nIn?: number;
  /** Number of outputs; 1 if left out. */
  readonly nOut?: number;
  /** Printed name; the name of the class if left out. */
  readonly name?: string;
  /** How the layer behaves, which its methods see as `this.mode`; `'train'` if left out. */
  readonly mode?: Mode;
  /** Layers to print as its substructure. */
  readonly sublayersToPrint?: readonly LayerNest[];
}

/** What is saved and loaded. */
export interface FileOptions<D extends string = DType> {
  /** Whether the state is left out. */
  readonly weightsOnly?: boolean;
  /** Signature of the inputs that the layer is initialized for. */
  readonly inputSignature?: SignatureLike<D> | readonly SignatureLike<D>[];
}
