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

/** What is saved. */
export interface SaveToFileOptions<D extends string = DType> extends FileOptions<D> {
  /** Patterns of the names of the weights that are saved, without the state; all of both if left out. */
  readonly weights?: string | readonly string[] | undefined;
}

/** What is loaded, and where it goes. */
export interface InitFromFileOptions<D extends string = DType> extends FileOptions<D> {
  /** Whether all of the file must fit all of the layer. */
  readonly strict?: boolean | undefined;
  /** Path of the layer in the file that is read, such as `0.Serial/2.Dense_128`. */
  readonly prefix?: string | undefined;
  /** Path of the layer within this one that is read into. */
  readonly into?: string | undefined;
}

/**
 * What a file with `strict: false` gave, by names of tensors.
 *
 * The state of a layer is taken whole, or not at all.
 */
export interface LoadReport {
  /** The tensors of the layer that were read. */
  readonly taken: string[];
  /** The tensors of the layer that the file has not. They stay as they are. */
  readonly missing: string[];
  /** The tensors of the file that the layer has not, by their names there. */
  readonly unused: string[];
  /** The tensors that are of another shape or type in the file. They stay as they are. */
  readonly mismatched: LoadMismatch[];
}

/** Of what form a tensor is. */
export interface TensorForm {
  /** Sizes of the axes. */
  readonly shape: number[];
  /** Type of the elements. */
  readonly dtype: string;
}

/** A tensor that is not the same in a file and in a layer. */
export interface LoadMismatch {
  /** Its name in the layer. */
  readonly name: string;
  /** What the file has. */
  readonly file: TensorForm;
  /** What the layer has. */
  readonly model: TensorForm;
}
