/* oxlint-disable typescript/no-unsafe-declaration-merging -- a call signature can be declared in no other way */
/**
 * Layers: callable handles, and the class to extend.
 *
 * @module
 */
import { flag, text } from '../bridge/found.js';
import { type DType, native } from '../bridge/native.js';
import { type Signature, type SignatureLike } from '../tensor/ops.js';
import { keyWords, type Key } from '../tensor/random.js';
import { type Names, optionsOf } from '../tensor/rest.js';
import { type Tensor } from '../tensor/tensor.js';
import { type Tree } from '../tensor/tree.js';
import { type OutputSignature } from './arity.js';
import { call, callAsync, pureFn } from './calls.js';
import { constructObject, type Run } from './classes.js';
import { constructLayer, constructLayers, type Made } from './construct.js';
import { load, save } from './files.js';
import { giveHandle, HANDLE, LayerHandle } from './handle.js';
import {
  type AsyncCallOptions,
  type CallOptions,
  type FileOptions,
  type LayerInputs,
  type LayerOptions,
  type LayerOutputs,
  type Mode,
  type NestLike,
} from './options.js';
import { Adopted, words } from './parts.js';
import { checked } from './signature.js';
import { decode, encode, GET_STATE_FROM_CACHE, GET_WEIGHTS_FROM_CACHE, scoped, type Nest } from './wire.js';

export type {
  AsyncCallOptions,
  CallOptions,
  FileOptions,
  LayerInputs,
  LayerOptions,
  LayerOutputs,
  Mode,
  NestLike,
} from './options.js';

const INIT: Names<{ rng?: Key | null; useCache?: boolean }> = { rng: true, useCache: true };

/** A function that calls the layer it is, with the prototype of a class. */
// oxlint-disable-next-line no-extraneous-class -- a constructor that returns a function must belong to a class to be extended
class Callable {
  constructor(prototype: object) {
    const self = (inputs: LayerInputs, options: CallOptions = {}): LayerOutputs => call(self as Layer, inputs, options);
    return Object.setPrototypeOf(self, prototype) as Callable;
  }
}

export interface Layer<Out extends LayerOutputs = LayerOutputs, NIn extends number = number> {
  /**
   * Computes outputs with the weights and state the layer holds, and keeps the new state.
   *
   * @throws `LayerError` if the inputs do not fit or the layer was not initialized
   */
  (inputs: LayerInputs, options?: CallOptions): Out;

  /** Number of inputs. */
  readonly nIn: NIn;

  /**
   * The weights the layer holds, nested as Trax nests them. A class that knows how its own are nested may say so:
   * `declare weights: tl.Tensor`.
   */
  get weights(): Nest;
  set weights(weights: NestLike);

  /** The state the layer holds, nested as Trax nests it. */
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
export class Layer<Out extends LayerOutputs = LayerOutputs, NIn extends number = number>
  extends Callable
  implements Disposable
{
  /** What instances are to the addon. @internal */
  static readonly kind: string = 'Layer';
  /**
   * The name of objects of a class in printed forms, errors and files, where it is not to be the name of the class, which a minifier may
   * change: `static override readonly layerName = 'Scale'`. The option `name` of an object goes before it.
   */
  static readonly layerName: string | undefined = undefined;
  /** @internal */
  declare readonly [HANDLE]: LayerHandle;
  /** Printed name. */
  declare readonly name: string;
  /** Number of outputs. */
  declare readonly nOut: number;

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
    Object.defineProperties(this.prototype, {
      weights: {
        get(this: Layer) {
          return this[HANDLE].running?.weights ?? decode(native.layerWeights(idOfLayer(this)), GET_WEIGHTS_FROM_CACHE);
        },
        set(this: Layer, weights: unknown) {
          const { running } = this[HANDLE];
          if (running !== null) running.weights = weights;
          else scoped(() => native.setLayerWeights(idOfLayer(this), encode(weights, 'weights')));
        },
        configurable: true,
      },
      state: {
        get(this: Layer) {
          return this[HANDLE].running?.state ?? decode(native.layerState(idOfLayer(this)), GET_STATE_FROM_CACHE);
        },
        set(this: Layer, state: unknown) {
          const { running } = this[HANDLE];
          if (running !== null) running.state = state;
          else scoped(() => native.setLayerState(idOfLayer(this), encode(state, 'state')));
        },
        configurable: true,
      },
    });
  }

  /** Whether the layer was disposed. */
  get isDisposed(): boolean {
    return this[HANDLE].id === 0;
  }

  /**
   * Gives back what the layer holds now. A second call does nothing; any other use throws a {@link DisposedError}.
   *
   * The layers that were made for it go with it, unless another layer runs them too or the program used them by themselves. Weights and
   * state are freed when no layer holds them: a copy in another mode keeps the weights.
   */
  dispose(): void {
    this[HANDLE].dispose(this);
  }
  /** `dispose()`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  /**
   * Calls the layer on the compute thread; the event loop stays free.
   *
   * Everything happens in the order it was asked for: calls run one after another, each from the state that the one before left, and what the
   * program does with the layer at once (call it, read or set its weights or state, save it) first completes the calls still waiting that use
   * the same weights or state. Beside {@link Trainer.fit} a layer is as its last finished step left it; what would change it then throws
   * (`Busy`).
   */
  async callAsync(inputs: LayerInputs, options: AsyncCallOptions = {}): Promise<Out> {
    return callAsync<Out>(this, inputs, options);
  }

  /**
   * The layer as a pure function: everything it uses is given, nothing is kept.
   *
   * @param options - `useCache`: keeps the weights given and the new state in the layer after all
   * @returns `[outputs, newState]`
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
   * Makes weights and state for inputs of a signature, keeps and returns them. What the layer and those below it remembered of calls is gone.
   *
   * @param signature - `{shape, dtype}`, or an array of such for several inputs; `null` for a layer that does not look at them, such as `Embedding`
   * @param options - `rng`: the key (the layer's own if left out); `useCache`: gives the markers of cached values if the layer has weights already
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

  /** Signatures of the outputs for inputs of a signature; needs no weights. */
  outputSignature<D extends string = DType>(
    signature: SignatureLike<D> | readonly SignatureLike<D>[],
  ): OutputSignature<Out> {
    const outputs = native.outputSignature(idOfLayer(this), checked(signature)) as Signature[];
    return (outputs.length === 1 ? outputs[0] : outputs) as OutputSignature<Out>;
  }

  /** Signatures of the weights and state for inputs of a signature. */
  weightsAndStateSignature<D extends string = DType>(
    signature: SignatureLike<D> | readonly SignatureLike<D>[],
  ): [weights: Tree<Signature>, state: Tree<Signature>] {
    const [weights, state] = native.weightsAndStateSignature(idOfLayer(this), checked(signature)) as [unknown, unknown];
    return [
      decode(weights, GET_WEIGHTS_FROM_CACHE) as Tree<Signature>,
      decode(state, GET_STATE_FROM_CACHE) as Tree<Signature>,
    ];
  }

  /** The same layer in another mode: the same weights, not copied; state of its own. */
  withMode(mode: Mode): Layer<Out, NIn> {
    const id = native.withMode(idOfLayer(this), text('withMode: mode', mode));
    return wrapLayer({ id, parts: [], callsHost: this[HANDLE].callsHost }, this) as Layer<Out, NIn>;
  }

  /**
   * How the layer behaves: in a method of a class, the mode it runs in. A class is made in `'train'` unless it is given another mode, and
   * `withMode` of whatever it stands in reaches it.
   */
  get mode(): Mode {
    return this[HANDLE].runsIn ?? (native.layerMode(idOfLayer(this)) as Mode);
  }
  set mode(mode: Mode) {
    native.setLayerMode(idOfLayer(this), text('mode', mode));
  }

  /** The random key of calls that are not given one; `null` if none was set. */
  get rng(): Key | null {
    const { running } = this[HANDLE];
    return running === null ? (native.layerKey(idOfLayer(this)) as [number, number] | null) : running.rng;
  }
  set rng(rng: Key) {
    native.setLayerKey(idOfLayer(this), keyWords(rng));
  }

  /**
   * Writes the weights and state the layer holds to a safetensors file, with checksums; `path` always holds the old or the new file, whole.
   *
   * The file's mode stays, and so does a symbolic link, whose target is replaced; other hard links to the old file keep the old content.
   *
   * @param options - `weightsOnly`: leaves out the state; `inputSignature`: what the layer was initialized for, which
   *   `initFromFile` then need not be told
   * @throws `LayerError` (`Io`, or `NotInitialized` if there is nothing to save)
   */
  saveToFile<D extends string = DType>(path: string, options: FileOptions<D> = {}): void {
    save(this, path, options);
  }

  /**
   * Reads weights and state from a file: one that `saveToFile` wrote, by name and shape, or a checkpoint of Trax. All or nothing.
   *
   * What a model saved, one made alike takes back whole, also state whose sizes follow from the calls it has seen. Weights of the same layers in
   * another arrangement, as in mode `'predict'`, are matched by their order and the names of their layers.
   *
   * A checkpoint of Trax is gzip around a pickle (`model.pkl.gz`, for newer ones with `model.weights.npy.gz` beside it). Nothing in it
   * is executed, and names other than those such checkpoints have are refused. Its flat lists are matched in the order of Trax's
   * nested tuples, each shape and type checked. Files are told apart by their content.
   *
   * @param options - `weightsOnly`: leaves the state; `inputSignature`: initializes the layer first, for inputs of that signature
   *   (if left out, and the layer was not initialized, for the one in the file)
   * @returns `[weights, state]`
   * @throws `LayerError` (`Io` for a file that is missing, no regular file, damaged, neither of the two, or that unpacks to more than a checkpoint of
   *   this model may have; `NotInitialized`; `WeightsMismatch` naming the tensor that is missing, has another shape, or that the model has no place for)
   */
  initFromFile<D extends string = DType>(path: string, options: FileOptions<D> = {}): [weights: Nest, state: Nest] {
    load(this, path, options);
    return [this.weights, this.state];
  }

  /** The layers this one runs. */
  get sublayers(): Layer[] {
    return native
      .sublayers(idOfLayer(this))
      .map((id) => wrapLayer({ id, parts: [], callsHost: this[HANDLE].callsHost }, this));
  }

  /** Whether the layer brings its own backward pass. */
  get hasBackward(): boolean {
    return this[HANDLE].hasBackward;
  }

  /** Computes outputs; the method that a class of its own defines. In it, `this.weights`, `this.state`, `this.rng` and `this.mode` are those of the call. */
  forward(inputs: LayerOutputs): Out | readonly Tensor[] {
    if (this[HANDLE].running !== null) {
      throw new TypeError(`${this.name} does not define forward(inputs)`);
    }
    return call<Out>(this, inputs, {});
  }

  /** Sets `this.weights` and `this.state` for inputs of a signature; the method that a class with weights defines. */
  initWeightsAndState(_signature: Signature | Signature[]): void {}

  /**
   * Gradients of the inputs and the weights; defining it replaces automatic differentiation.
   *
   * @returns `[gradients of the inputs, gradients of the weights]`
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

  /** The layer's structure, in Trax's printed form. */
  override toString(): string {
    return this.isDisposed ? `${this.name} (disposed)` : native.layerText(this[HANDLE].live(this));
  }
  /** What `console.log` prints. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString();
  }
}

/** The number of a layer in the addon, for what the program does with it by itself. */
export function idOfLayer(layer: Layer): number {
  return layer[HANDLE].use(layer);
}

/** What layers of the addon are handles of that can be reversed. */
const reversible: { made?: new (options: Adopted) => Layer } = {};

/** Says what layers that can be reversed are: a class that extends {@link Layer}, and so comes after it. */
export function setReversibleClass(made: new (options: Adopted) => Layer): void {
  reversible.made = made;
}

/** Wraps a layer of the addon, of which `origin` is a copy or the whole: the handle it has, or a new one. */
export function wrapLayer(made: Made, origin?: Layer): Layer {
  const owner = LayerHandle.owner(made.id);
  if (owner instanceof Layer) {
    native.releaseLayer(made.id);
    return owner;
  }
  const Class = native.layerIsReversible(made.id) ? reversible.made! : Layer;
  return new Class(new Adopted(made, origin));
}

/** A new layer of a registered kind, whose arity `Made` is what the registry says of that kind: a test holds it to that. */
export function makeLayer<Made extends Layer = Layer>(kind: string, options: object): Made {
  return wrapLayer(constructLayer(kind, options)) as Made;
}

/** The layers that a registered function makes. */
export function makeLayers(name: string, options: object): Layer[] {
  return constructLayers(name, options).map((made) => wrapLayer(made));
}
