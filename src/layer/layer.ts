/* oxlint-disable typescript/no-unsafe-declaration-merging -- a call signature can be declared in no other way */
/**
 * Layers: callable handles, and the class to extend.
 *
 * @module
 */
import { flag, text } from '../bridge/found.js';
import { type DType, native } from '../bridge/native.js';
import { type Signature, type SignatureLike } from '../tensor/ops.js';
import { type Key } from '../tensor/random.js';
import { type Names, optionsOf } from '../tensor/rest.js';
import { type Tensor } from '../tensor/tensor.js';
import { type Tree } from '../tensor/tree.js';
import { type OutputSignature } from './arity.js';
import { call, callAsync, pureFn } from './calls.js';
import { constructObject, type Run } from './classes.js';
import { load, save } from './files.js';
import { giveHandle, HANDLE, idOfLayer } from './handle.js';
import { HandledLayer } from './handled.js';
import { defineHeld } from './held.js';
import { setLayerClass, wrapLayer } from './make.js';
import {
  type AsyncCallOptions,
  type CallOptions,
  type InitFromFileOptions,
  type LayerInputs,
  type LayerOptions,
  type LayerOutputs,
  type LoadReport,
  type Mode,
  type NestLike,
  type SaveToFileOptions,
} from './options.js';
import { Adopted, words } from './parts.js';
import { type SharedLayer } from './shared.js';
import { checked } from './signature.js';
import { decode, GET_STATE_FROM_CACHE, GET_WEIGHTS_FROM_CACHE, type Nest } from './wire.js';

export type {
  AsyncCallOptions,
  CallOptions,
  FileOptions,
  InitFromFileOptions,
  LayerInputs,
  LayerOptions,
  LayerOutputs,
  LoadMismatch,
  LoadReport,
  Mode,
  NestLike,
  SaveToFileOptions,
  TensorForm,
} from './options.js';
export { idOfLayer } from './handle.js';
export { makeLayer, makeLayers, wrapLayer } from './make.js';

const INIT: Names<{ rng?: Key | null; useCache?: boolean }> = { rng: true, useCache: true };

export interface Layer<Out extends LayerOutputs = LayerOutputs, NIn extends number = number> {
  /**
   * Computes outputs with the weights and state that the layer holds, and keeps the new state.
   *
   * @param inputs - A tensor or its data, or an array of as many as the layer takes.
   * @param options - Options by name:
   * - `weights`: Weights to set first, nested as `layer.weights` is.
   * - `state`: State to set first, nested as `layer.state` is.
   * - `rng`: Random key of this call; the layer's own if left out.
   * @returns One tensor, or an array if the layer has several outputs.
   * @throws {@link LayerError} `NotInitialized`: the layer has weights or state and was not initialized.
   * @throws {@link LayerError} `ArityMismatch`: the layer takes another number of inputs.
   * @throws {@link LayerError} `ShapeMismatch`, `DTypeMismatch`: the inputs do not fit.
   * @throws {@link DisposedError} The layer was disposed.
   */
  (inputs: LayerInputs, options?: CallOptions): Out;

  /** Number of inputs. */
  readonly nIn: NIn;

  /**
   * The weights that the layer holds, nested as Trax nests them.
   *
   * A class that knows how its own are nested may say so: `declare weights: tl.Tensor`.
   */
  get weights(): Nest;
  set weights(weights: NestLike);

  /**
   * The state that the layer holds, nested as Trax nests it.
   */
  get state(): Nest;
  set state(state: NestLike);
}

/**
 * A layer: a function of tensors that may have weights and state.
 *
 * Factories such as `tl.Dense(4)` make layers. Call a layer with its inputs: a tensor, or an array of as many as it takes. A class that extends this one has
 * `forward`, and may have `initWeightsAndState` and `backward`.
 *
 * Fields that are layers, also in arrays, maps and plain objects, are sublayers: `forward` calls them, and they are initialized with what it
 * gives them, trained, printed, saved and taken into other modes with the object. They must be set in the constructor. A private
 * field, such as `#teacher`, stays apart: its layer is used as it is.
 *
 * Weights and state nest as in a series: one element for each field. In a class with `initWeightsAndState` its own come first, which its
 * methods alone see as `this.weights` and `this.state`.
 *
 * @see {@link Fn} for layers without weights, {@link Serial} for layers made of layers
 * @example
 * ```ts
 * class Scale extends tl.Layer {
 *   declare weights: tl.Tensor;
 *   override initWeightsAndState() {
 *     this.weights = tl.tensor([0.5]);
 *   }
 *   override forward(x: tl.Tensor) {
 *     return x.mul(this.weights);
 *   }
 * }
 * const layer = new Scale();
 * layer.init({ shape: [2], dtype: 'float32' });
 * layer([2, 4]); // → Tensor float32[2] [1,2]
 *
 * class Block extends tl.Layer<tl.Tensor> {
 *   readonly norm = tl.LayerNorm();
 *   readonly dense = [tl.Dense(8), tl.Dense(4)];
 *   override forward(x: tl.Tensor) {
 *     return this.dense.reduce((y, dense) => dense(y).relu(), this.norm(x)).add(x);
 *   }
 * }
 * ```
 */
export class Layer<Out extends LayerOutputs = LayerOutputs, NIn extends number = number> extends HandledLayer {
  /** What instances are to the addon. @internal */
  static readonly kind: string = 'Layer';
  /**
   * The name of objects of a class in printed forms, errors and files, where it is not to be the name of the class.
   *
   * A minifier may change the name of the class: `static override readonly layerName = 'Scale'`. The option `name` of an object goes before it.
   */
  static readonly layerName: string | undefined = undefined;
  /** Number of outputs. */
  declare readonly nOut: number;

  /**
   * Makes an object of a class that extends this one.
   *
   * @param options - Options by name:
   * - `nIn`: Number of inputs. Default: `1`.
   * - `nOut`: Number of outputs. Default: `1`.
   * - `name`: Printed name; that of the class if left out.
   * - `mode`: How the layer behaves, which its methods see as `this.mode`. Default: `'train'`.
   * - `sublayersToPrint`: Layers to print as its substructure.
   * @throws {@link LayerError} `InvalidOption`: an option is unknown, of a wrong type or outside its bounds.
   */
  constructor(options: LayerOptions | Adopted = {}) {
    super(new.target.prototype);
    if (options instanceof Adopted) {
      giveHandle(this, options.made, options.origin);
    } else {
      const { made, settle } = constructObject(this, Layer.prototype, new.target, options);
      giveHandle(this, made, null).settle = settle;
    }
  }

  static {
    // They are declared in the interface: there a class may declare them anew, as what its own weights and state are.
    // `this`, since the name of the class is not known yet in what TypeScript makes of the block.
    defineHeld(this.prototype);
  }

  /**
   * Calls the layer on the compute thread; the event loop stays free.
   *
   * Everything happens in the order it was asked for. Calls run one after another, each from the state that the one before left. What the
   * program does with the layer at once (call it, read or set its weights or state, save it) first completes the calls still waiting that use
   * the same weights or state. While {@link Trainer.fit} runs, a layer is as its last finished step left it.
   *
   * @param inputs - A tensor or its data, or an array of as many as the layer takes.
   * @param options - Options by name:
   * - `weights`: Weights to set first, nested as `layer.weights` is.
   * - `state`: State to set first, nested as `layer.state` is.
   * - `rng`: Random key of this call; the layer's own if left out.
   * - `signal`: An `AbortSignal` that stops the call.
   * @returns One tensor, or an array if the layer has several outputs.
   * @throws {@link LayerError} `NotInitialized`, `ArityMismatch`, `ShapeMismatch`, `DTypeMismatch`: as calls of the layer.
   * @throws {@link LayerError} `Busy`: {@link Trainer.fit} runs, and the call would change what it trains.
   * @throws The reason of `signal`, if it stops the call.
   * @example
   * ```ts
   * const layer = tl.Dense(2);
   * layer.init({ shape: [1, 3], dtype: 'float32' });
   * const y = await layer.callAsync([[1, 2, 3]]);
   * y.shape; // → [1, 2]
   * ```
   */
  async callAsync(inputs: LayerInputs, options: AsyncCallOptions = {}): Promise<Out> {
    return callAsync<Out>(this, inputs, options);
  }

  /**
   * Computes outputs as a pure function: everything it uses is given, and the layer stays as it is.
   *
   * @param inputs - A tensor or its data, or an array of as many as the layer takes.
   * @param weights - Weights, nested as `layer.weights` is.
   * @param state - State, nested as `layer.state` is.
   * @param rng - Random key; layers that need none work without it.
   * @param options - Options by name:
   * - `useCache`: Whether the layer keeps the weights and the new state after all. Default: `false`.
   * @returns `[outputs, new state]`.
   * @throws {@link LayerError} `WeightsMismatch`: weights or state are not nested as the layer's, or have other shapes.
   * @throws {@link LayerError} `ArityMismatch`, `ShapeMismatch`, `DTypeMismatch`: the inputs do not fit.
   * @see {@link grad}, for gradients with respect to weights
   * @example
   * ```ts
   * const layer = tl.Dense(2);
   * const [weights, state] = layer.init({ shape: [1, 3], dtype: 'float32' });
   * const [y] = layer.pureFn([[1, 2, 3]], weights, state);
   * y.shape; // → [1, 2]
   * ```
   */
  pureFn(
    inputs: LayerInputs,
    weights: NestLike,
    state: NestLike,
    rng: Key | null = null,
    options: { readonly useCache?: boolean } = {},
  ): [outputs: Out, newState: Nest] {
    return pureFn<Out>(this, [inputs, weights, state, rng], options, (given, newState) => {
      this.weights = given;
      this.state = newState;
    });
  }

  /**
   * Makes weights and state for inputs of a signature, and keeps them.
   *
   * The same key makes the same weights. What the layer and those below it remembered of calls is gone. A copy in mode `'predict'` that
   * `withMode` made keeps the weights that it shares, and begins new sequences.
   *
   * @param signature - `{ shape, dtype }`, or an array of such for several inputs; `null` for a layer that does not look at them, such as `Embedding`.
   * @param options - Options by name:
   * - `rng`: The random key; the layer's own if left out.
   * - `useCache`: Whether a layer that has weights already gives the markers of cached values. Default: `false`.
   * @returns `[weights, state]`.
   * @throws {@link LayerError} `ShapeMismatch`, `DTypeMismatch`: inputs of that signature do not fit.
   * @throws {@link LayerError} `ArityMismatch`: the layer takes another number of inputs.
   * @throws {@link LayerError} `Busy`: {@link Trainer.fit} trains the layer.
   * @throws `TypeError`: `signature` is none.
   * @see {@link signature}, which gives that of tensors
   * @example
   * ```ts
   * const layer = tl.Dense(2);
   * layer.init({ shape: [1, 3], dtype: 'float32' }, { rng: tl.random.key(0) });
   * tl.tree.leaves(layer.weights).length; // → 2
   * ```
   */
  init<D extends string = DType>(
    signature: SignatureLike<D> | readonly SignatureLike<D>[] | null,
    options: { readonly rng?: Key | null; readonly useCache?: boolean } = {},
  ): [weights: Nest, state: Nest] {
    const { rng, useCache = false } = optionsOf(`${this.name}.init`, options, INIT);
    const inputs = signature === null ? null : checked(signature);
    const made = native.layerInit(idOfLayer(this), inputs, words(rng), flag('init: useCache', useCache));
    const [weights, state] = made as [unknown, unknown];
    return [decode(weights, GET_WEIGHTS_FROM_CACHE) as Nest, decode(state, GET_STATE_FROM_CACHE) as Nest];
  }

  /**
   * Tells the signatures of the outputs for inputs of a signature; it needs no weights.
   *
   * @param signature - `{ shape, dtype }`, or an array of such for several inputs.
   * @returns The signature, or an array of them if the layer has several outputs.
   * @throws {@link LayerError} `ShapeMismatch`, `DTypeMismatch`, `ArityMismatch`: inputs of that signature do not fit.
   * @example
   * ```ts
   * tl.Dense(2).outputSignature({ shape: [4, 3], dtype: 'float32' }); // → { shape: [4, 2], dtype: 'float32' }
   * ```
   */
  outputSignature<D extends string = DType>(
    signature: SignatureLike<D> | readonly SignatureLike<D>[],
  ): OutputSignature<Out> {
    const outputs = native.outputSignature(idOfLayer(this), checked(signature)) as Signature[];
    return (outputs.length === 1 ? outputs[0] : outputs) as OutputSignature<Out>;
  }

  /**
   * Tells the signatures of the weights and state for inputs of a signature, and makes neither.
   *
   * @param signature - `{ shape, dtype }`, or an array of such for several inputs.
   * @returns `[weights, state]`, nested as the layer nests them.
   * @throws {@link LayerError} `ShapeMismatch`, `DTypeMismatch`, `ArityMismatch`: inputs of that signature do not fit.
   * @example
   * ```ts
   * const [weights] = tl.Dense(2).weightsAndStateSignature({ shape: [4, 3], dtype: 'float32' });
   * weights; // → [{ shape: [3, 2], dtype: 'float32' }, { shape: [2], dtype: 'float32' }]
   * ```
   */
  weightsAndStateSignature<D extends string = DType>(
    signature: SignatureLike<D> | readonly SignatureLike<D>[],
  ): [weights: Tree<Signature>, state: Tree<Signature>] {
    const [weights, state] = native.weightsAndStateSignature(idOfLayer(this), checked(signature)) as [unknown, unknown];
    return [
      decode(weights, GET_WEIGHTS_FROM_CACHE) as Tree<Signature>,
      decode(state, GET_STATE_FROM_CACHE) as Tree<Signature>,
    ];
  }

  /**
   * Copies the layer into another mode: the weights are shared, the state is its own.
   *
   * @param mode - `'train'`, `'eval'` or `'predict'`, or Trax's `'viz'`.
   * @returns The copy.
   * @throws {@link LayerError} `InvalidOption`: `mode` is none of these.
   * @throws {@link LayerError} `InvalidArgument`: `mode` is `'train'`, and the layer is a copy that `quantize` made.
   * @example
   * ```ts
   * const model = tl.Serial(tl.Dense(2), tl.Dropout({ rate: 0.5 }));
   * model.init({ shape: [1, 3], dtype: 'float32' });
   * const evaluated = model.withMode('eval');
   * evaluated(tl.zeros([1, 3])).shape; // → [1, 2]
   * ```
   */
  withMode(mode: Mode): Layer<Out, NIn> {
    const id = native.withMode(idOfLayer(this), text('withMode: mode', mode));
    return wrapLayer({ id, parts: [], callsHost: this[HANDLE].callsHost }, this) as Layer<Out, NIn>;
  }

  /**
   * Copies the layer for inference, with large matrices of weights held in fewer bits.
   *
   * Those are the matrices of `Dense` and `Embedding` layers, of all that is made of these, such as attention, feed-forward blocks and tied outputs,
   * and of `LSTM`, `GRU` and `SRU`. A matrix of fewer than 1,024 weights, biases, norms and the weights of other layers stay float32, shared with the
   * layer that was copied; `tl.summary` tells which layers hold what. Computation is in float32. A row of outputs is the same bits alone and in any
   * batch.
   *
   * A copy of a layer in mode `'train'` is in mode `'eval'`. It is not trained, and its weights cannot be set: do that with the layer it was made of,
   * and call `quantize` again. `weights` shows the float32 values that the copy computes with.
   *
   * @param dtype - What the matrices are held in:
   * - `'int8'`: whole numbers from -127 to 127, with a float32 scale for each output; about a quarter of the memory.
   * - `'bfloat16'`: float32 rounded to eight bits of precision; half of the memory.
   * @returns The copy.
   * @throws {@link LayerError} `InvalidOption`: `dtype` is neither.
   * @throws {@link LayerError} `NotInitialized`: the layer has no weights yet.
   * @throws {@link LayerError} `NotFinite`: a weight is NaN or infinite. The error names the layer.
   * @throws {@link LayerError} `InvalidArgument`: the layer is such a copy already.
   * @see {@link Layer.withMode}, for copies in other modes, which share quantized weights
   * @example
   * ```ts
   * const model = tl.Serial(tl.Dense(64), tl.Relu(), tl.Dense(64));
   * model.init({ shape: [1, 64], dtype: 'float32' });
   * const small = model.quantize('int8');
   * small(tl.ones([1, 64])).shape; // → [1, 64]
   * ```
   */
  quantize(dtype: 'int8' | 'bfloat16'): Layer<Out, NIn> {
    const id = native.quantizeLayer(idOfLayer(this), text('quantize: dtype', dtype));
    return wrapLayer({ id, parts: [], callsHost: this[HANDLE].callsHost }, this) as Layer<Out, NIn>;
  }

  /**
   * Lets other threads of the process have a layer on the same weights, without a copy: {@link fromShared} makes it of what this returns.
   *
   * What is shared are the weights as they are now. When this layer is trained on, or its weights are set, the others keep those they have;
   * `share` again then gives the same token, of which new layers get the new weights. The token is good as long as this layer: until it is disposed or
   * collected, or its thread ends. Layers that were made of it live on.
   *
   * @returns A plain object for `postMessage` or `workerData`.
   * @throws {@link LayerError} `InvalidArgument`: the layer, or one below it, calls functions of the program: a `Fn`, a class, an initializer of
   * one's own. The error names it.
   * @throws {@link LayerError} `NotInitialized`: there are no weights to share.
   * @example
   * ```ts
   * const model = tl.Dense(2);
   * model.init({ shape: [1, 3], dtype: 'float32' });
   * Object.keys(model.share()); // → ['process', 'layer']
   * ```
   */
  share(): SharedLayer<Out, NIn> {
    return native.shareLayer(idOfLayer(this));
  }

  /**
   * Moves the weights and state that the layer and those below it hold to a device, in place.
   *
   * All of it is moved or nothing. What layers share they share there too, and copies in other modes see the moved weights. The slots of a trainer
   * follow at its next step. Weights that are set or loaded afterwards go to that device too.
   *
   * @param device - Its name, as `tl.devices()` lists it: `cpu`, `cuda:0`, `metal:0`.
   * @returns The layer itself.
   * @throws `RangeError`: no device is called so.
   * @throws {@link TensorError} `Device`: this build or this machine has no such device.
   * @throws {@link LayerError} `InvalidArgument`: the weights are shared with other threads, or quantized.
   * @throws {@link LayerError} `OutOfMemory`: the device has no room for them.
   * @throws {@link LayerError} `Busy`: {@link Trainer.fit} trains the layer.
   * @example
   * ```ts
   * const layer = tl.Dense(2);
   * layer.init({ shape: [1, 3], dtype: 'float32' });
   * layer.to('cpu')(tl.ones([1, 3])).device; // → 'cpu'
   * ```
   */
  to(device: string): this {
    native.moveLayer(idOfLayer(this), device);
    return this;
  }

  /**
   * Writes the weights and state that the layer holds to a safetensors file, with checksums.
   *
   * `path` always holds the old or the new file, whole. The file's permissions stay, and so does a symbolic link, whose target is replaced. Other
   * hard links to the old file keep the old content.
   *
   * @param path - Path of the file.
   * @param options - Options by name:
   * - `weightsOnly`: Whether the state is left out. Default: `false`.
   * - `inputSignature`: What the layer was initialized for. `initFromFile` need not be told then.
   * - `weights`: Patterns of the names of the weights to save, without the state: `'0.Serial/**'` for those of one part of the model. `*` stands for
   *   anything within a part of a name, `**` for any number of parts. Left out, all of both is saved.
   * @throws {@link LayerError} `NotInitialized`: there is nothing to save.
   * @throws {@link LayerError} `InvalidOption`: a pattern matches no weight. The error names the nearest.
   * @throws {@link LayerError} `Io`: the file cannot be written.
   * @example
   * ```ts
   * const layer = tl.Dense(2);
   * layer.init({ shape: [1, 3], dtype: 'float32' });
   * layer.saveToFile('dense.safetensors');
   * Object.keys(tl.loadSafetensors('dense.safetensors')); // → ['weights/0', 'weights/1']
   * ```
   */
  saveToFile<D extends string = DType>(path: string, options: SaveToFileOptions<D> = {}): void {
    save(this, path, options);
  }

  /**
   * Reads weights and state from a file that `saveToFile` wrote, or from a checkpoint of Trax.
   *
   * What a file holds is matched by name and shape, and all of it is taken or nothing. A model made as the saved one was takes back everything,
   * also state whose sizes follow from the calls it has seen. Weights of the same layers in another arrangement, as in mode `'predict'`, are
   * matched by their order and the names of their layers. A file of a model with its loss, as a trainer writes it, is read by the model alone, too.
   *
   * The weights of a copy that `quantize` made are saved as they are held, and the layer that reads them holds them so. Float32 weights that such a copy
   * reads are quantized.
   *
   * For fine-tuning `strict: false` takes what fits, leaves the rest of the layer as it is, and tells which is which. `prefix` and `into` move a part:
   * a file of a whole model gives its encoder, or an encoder's file goes into a model. Paths are positions and names of layers, as they stand
   * in the names of tensors.
   *
   * A checkpoint of Trax is gzip around a pickle (`model.pkl.gz`, newer ones with `model.weights.npy.gz` beside it). Nothing in it is executed, and
   * names that such checkpoints do not have are refused. Its flat lists are matched in the order of Trax's nested tuples, and each shape and
   * type is checked. Files are told apart by their content.
   *
   * @param path - Path of the file.
   * @param options - Options by name:
   * - `weightsOnly`: Whether the state stays as it is. Default: `false`.
   * - `inputSignature`: Initializes the layer first, for inputs of that signature; the one in the file if left out.
   * - `strict`: Whether all of the file must fit all of the layer. Default: `true`.
   * - `prefix`: Path of the layer in the file that is read, `'0.Serial/2.Dense_128'`.
   * - `into`: Path of the layer within this one that is read into.
   * @returns `[weights, state]`; with `strict: false` what was taken and what not.
   * @throws {@link LayerError} `Io`: the file is missing, no regular file, damaged, or holds more than a checkpoint of this model may.
   * @throws {@link LayerError} `NotInitialized`: the layer was not initialized, and neither the options nor the file say for what.
   * @throws {@link LayerError} `WeightsMismatch`: tensors are missing, have another shape, or the model has no place for them. The error names them.
   * @throws {@link LayerError} `InvalidOption`: `prefix` or `into` leads to no layer. The error names the nearest.
   * @example
   * ```ts
   * const signature: tl.Signature = { shape: [1, 3], dtype: 'float32' };
   * const layer = tl.Dense(2);
   * layer.init(signature);
   * layer.saveToFile('layer.safetensors', { inputSignature: signature });
   *
   * const again = tl.Dense(2);
   * again.initFromFile('layer.safetensors');
   * again([[1, 2, 3]]).shape; // → [1, 2]
   * ```
   */
  initFromFile<D extends string = DType>(
    path: string,
    options: InitFromFileOptions<D> & { readonly strict: false },
  ): LoadReport;
  initFromFile<D extends string = DType>(
    path: string,
    options?: InitFromFileOptions<D> & { readonly strict?: true },
  ): [weights: Nest, state: Nest];
  initFromFile<D extends string = DType>(
    path: string,
    options: InitFromFileOptions<D> = {},
  ): LoadReport | [weights: Nest, state: Nest] {
    const report = load(this, path, options);
    return options.strict === false ? report : [this.weights, this.state];
  }

  /** The layers this one runs. */
  get sublayers(): Layer[] {
    return native
      .sublayers(idOfLayer(this))
      .map((id) => wrapLayer({ id, parts: [], callsHost: this[HANDLE].callsHost }, this));
  }

  /**
   * Computes outputs: the method that a class defines.
   *
   * In it `this.weights`, `this.state`, `this.rng` and `this.mode` are those of the call.
   *
   * @param inputs - One tensor, or an array if there are several inputs.
   * @returns One tensor, or an array if there are several outputs.
   * @throws `TypeError`: the class does not define it.
   * @example
   * ```ts
   * class Twice extends tl.Layer<tl.Tensor> {
   *   override forward(x: tl.Tensor) {
   *     return x.mul(2);
   *   }
   * }
   * new Twice()([1, 2]); // → Tensor int32[2] [2,4]
   * ```
   */
  forward(inputs: LayerOutputs): Out | readonly Tensor[] {
    if (this[HANDLE].running !== null) {
      throw new TypeError(`${this.name} does not define forward(inputs)`);
    }
    return call<Out>(this, inputs, {});
  }

  /**
   * Sets `this.weights` and `this.state` for inputs of a signature: the method that a class with weights or state of its own defines.
   *
   * `this.rng` is the key to draw them with.
   *
   * @param _signature - Signature of the input, or an array if there are several inputs.
   * @throws What the class throws.
   * @example
   * ```ts
   * class Bias extends tl.Layer<tl.Tensor> {
   *   declare weights: tl.Tensor;
   *   override initWeightsAndState({ shape }: tl.Signature) {
   *     this.weights = tl.random.normal(this.rng!, [shape.at(-1)!]);
   *   }
   *   override forward(x: tl.Tensor) {
   *     return x.add(this.weights);
   *   }
   * }
   * const layer = new Bias();
   * layer.init({ shape: [8, 3], dtype: 'float32' });
   * layer.weights.shape; // → [3]
   * ```
   */
  initWeightsAndState(_signature: Signature | Signature[]): void {}

  /**
   * Computes gradients of the inputs and the weights: a class that defines it replaces automatic differentiation.
   *
   * @param _inputs - Inputs of the call: one tensor, or an array.
   * @param _output - Its outputs: one tensor, or an array.
   * @param _grad - Gradients of the outputs.
   * @param _weights - Weights of the call.
   * @param _state - State that the call began with.
   * @param _newState - State that it left.
   * @param _rng - Key of the call.
   * @returns `[gradients of the inputs, gradients of the weights]`.
   * @throws `TypeError`: the class does not define it.
   * @see {@link vjp}, which differentiates without it
   * @example
   * ```ts
   * // The sign, with the gradient of the identity.
   * class Sign extends tl.Layer<tl.Tensor> {
   *   override forward(x: tl.Tensor) {
   *     return x.sign();
   *   }
   *   override backward(_x: tl.Tensor, _y: tl.Tensor, grad: tl.Tensor): [tl.Tensor, tl.Nest] {
   *     return [grad, []];
   *   }
   * }
   * const sign = new Sign();
   * tl.grad((x) => sign(x).sum())([0.5, -2]); // → Tensor float32[2] [1,1]
   * ```
   */
  backward(
    _inputs: LayerOutputs,
    _output: LayerOutputs,
    _grad: LayerOutputs,
    _weights: Nest,
    _state: Nest,
    _newState: Nest,
    _rng: Key,
  ): [inputGrads: unknown, weightGrads: unknown] {
    throw new TypeError(`${this.name} has no backward of its own; use tl.vjp or tl.grad`);
  }

  /** What a method that only a subclass has returns to the addon; `undefined` for the methods of every layer. @internal */
  driven(method: string, args: readonly unknown[], run: Run): unknown {
    void [method, args, run];
    return undefined;
  }
}

setLayerClass(Layer);
