/* oxlint-disable typescript/no-unsafe-declaration-merging -- a call signature can be declared in no other way */
/**
 * Layers: callable handles, and the class to extend.
 *
 * @module
 */
import { creationSites, type CreationSite, DisposedError } from '../bridge/errors.js';
import { hold, holding, letGo, unhold } from '../bridge/held.js';
import { flag, isList, text } from '../bridge/found.js';
import { isThenable } from '../tensor/memory.js';
import { type DType, native } from '../bridge/native.js';
import { isOpaque } from '../bridge/nesting.js';
import { type Signature, type SignatureLike, type TensorLike, withTensors } from '../tensor/ops.js';
import { constructLayer, constructLayers, type Made } from './construct.js';
import { scope, scopedLayers } from '../tensor/scope.js';
import { type Key, keyWords } from '../tensor/random.js';
import { type Names, optionsOf } from '../tensor/rest.js';
import { difference, type Field, fieldsOf } from './fields.js';
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
import { type OutputSignature } from './arity.js';
import {
  Adopted,
  backwards,
  classes,
  drivers,
  given,
  lent,
  listOf,
  rememberSite,
  type Running,
  unwrap,
  words,
} from './parts.js';
import { checked } from './signature.js';
import { checkSignal } from './types.js';
import { Tensor, wrap } from '../tensor/tensor.js';
import { type Tree } from '../tensor/tree.js';
import { decode, encode, GET_STATE_FROM_CACHE, GET_WEIGHTS_FROM_CACHE, layers, scoped, type Nest } from './wire.js';

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

const CALL: Names<CallOptions> = { weights: true, state: true, rng: true };
const CALL_ASYNC: Names<AsyncCallOptions> = { ...CALL, signal: true };
const PURE: Names<{ useCache?: boolean }> = { useCache: true };
const INIT: Names<{ rng?: Key | null; useCache?: boolean }> = { rng: true, useCache: true };
const FILE: Names<FileOptions> = { weightsOnly: true, inputSignature: true };

/** Wraps a layer of the addon, of which `origin` is a copy or the whole: the handle it has, or a new one. */
export let wrapLayer: (made: Made, origin?: Layer) => Layer;

/** Calls `f` with handles of a layer's inputs; tensors made of plain data are disposed afterwards. */
export let withInputs: <T>(layer: Layer, inputs: LayerInputs, f: (ids: number[]) => T) => T;
/** The native id of a layer. */
export let idOfLayer: (layer: Layer) => number;

let isLayer: (x: unknown) => x is Layer;
let invoke: <Out extends LayerOutputs>(layer: Layer<Out>, inputs: LayerInputs, options: CallOptions) => Out;

let drive: (layer: Layer, method: string, args: unknown[]) => unknown;

/** Calls `f`, in which the layer's `mode` is the one given. @internal */
export let inMode: <T>(layer: Layer, mode: Mode, f: () => T) => T;

/** Runs the methods of a class without holding its object. */
function driverOf(place: { layer?: WeakRef<Layer> }): (method: string, mode: Mode, ...args: unknown[]) => unknown {
  return (method, mode, ...args) => {
    const layer = place.layer!.deref()!;
    return inMode(layer, mode, () => drive(layer, method, args));
  };
}

/** A function that calls the layer it is, with the prototype of a class. */
// oxlint-disable-next-line no-extraneous-class -- a constructor that returns a function must belong to a class to be extended
class Callable {
  constructor(prototype: object) {
    const self = (inputs: LayerInputs, options: CallOptions = {}): LayerOutputs =>
      invoke(self as Layer, inputs, options);
    return Object.setPrototypeOf(self, prototype) as Callable;
  }
}

const handles = new Map<number, WeakRef<Layer>>();

interface Collected {
  id: number;
  instances: number[];
}

/** How an object of a class is made, until its fields are known. */
interface Unsettled {
  readonly kind: string;
  readonly options: object;
}

/** Objects whose fields are being looked at, outermost first. */
const settling: Layer[] = [];
/** How many methods of classes are running. */
const methods = { running: 0 };

/** The printed name of objects of a class: the one that it states, or its own. */
function nameOf(made: typeof Layer): string {
  const stated: unknown = Object.hasOwn(made, 'layerName') ? made.layerName : undefined;
  if (stated === undefined) return made.name;
  return text(`${made.name}.layerName`, stated);
}

const collected = new FinalizationRegistry<Collected>(({ id, instances }) => {
  native.releaseLayer(id);
  if (handles.get(id)?.deref() === undefined) {
    handles.delete(id);
  }
  instances.forEach((instance) => creationSites.delete(instance));
  letGo();
});

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
  #id = 0;
  /** How to make it with its fields; `null` once they are known, and for layers that are no objects of a class. */
  #unsettled: Unsettled | null = null;
  /** The layers in its fields; `null` for layers that are no objects of a class. */
  #fields: readonly Field<Layer>[] | null = null;
  /** Models that it is a part of, and that fields refer to. */
  #owners: WeakSet<Layer> | null = null;
  readonly #collected: Collected;
  /** Layers and functions that the addon runs when it runs this one. */
  #parts: readonly object[];
  readonly #origin: Layer | null;
  /** Whether the addon calls JavaScript functions when it runs this layer. */
  readonly #callsHost: boolean;
  /** Whether the program used the handle by itself, and not only as a part of another layer. */
  #used = false;
  /** Where the layer was made; {@link creationSites} finds it. */
  readonly #site: CreationSite;
  #nIn = 1;
  #hasBackward = false;
  #running: Running | null = null;
  /** The mode that a method of the class is running in. */
  #runsIn: Mode | null = null;
  /** Printed name. */
  declare readonly name: string;
  /** Number of outputs. */
  declare readonly nOut: number;

  constructor(options: LayerOptions | Adopted = {}) {
    super(new.target.prototype);
    let made: Made;
    if (options instanceof Adopted) {
      made = options.made;
    } else {
      const driver = driverOf({ layer: new WeakRef(this) });
      const hasBackward = !backwards.has(new.target.prototype.backward);
      const common = { name: nameOf(new.target), ...options, driver };
      const { kind } = new.target;
      const all = kind === 'Layer' ? { ...common, hasBackward } : common;
      made = constructLayer(kind, all);
      this.#unsettled = { kind, options: all };
    }
    this.#id = made.id;
    this.#parts = made.parts;
    this.#callsHost = made.callsHost;
    this.#origin = options instanceof Adopted ? options.origin : null;
    const info = native.layerInfo(this.#id);
    this.#nIn = info.nIn;
    this.#hasBackward = info.hasBackward;
    for (const [key, value] of Object.entries({ name: info.name, nIn: info.nIn, nOut: info.nOut })) {
      Object.defineProperty(this, key, { value, configurable: true });
    }
    handles.set(this.#id, new WeakRef(this));
    this.#site = {};
    this.#collected = { id: this.#id, instances: rememberSite(this.#site, info.instances) };
    collected.register(this, this.#collected);
    scope.frame?.layers?.add(this);
  }

  static {
    // They are declared in the interface: there a class may declare them anew, as what its own weights and state are.
    // `this`, since the name of the class is not known yet in what TypeScript makes of the block.
    Object.defineProperties(this.prototype, {
      weights: {
        get(this: Layer) {
          return this.#running?.weights ?? decode(native.layerWeights(this.#use()), GET_WEIGHTS_FROM_CACHE);
        },
        set(this: Layer, weights: unknown) {
          if (this.#running !== null) {
            this.#running.weights = weights;
          } else {
            scoped(() => native.setLayerWeights(this.#use(), encode(weights, 'weights')));
          }
        },
        configurable: true,
      },
      state: {
        get(this: Layer) {
          return this.#running?.state ?? decode(native.layerState(this.#use()), GET_STATE_FROM_CACHE);
        },
        set(this: Layer, state: unknown) {
          if (this.#running !== null) {
            this.#running.state = state;
          } else {
            scoped(() => native.setLayerState(this.#use(), encode(state, 'state')));
          }
        },
        configurable: true,
      },
    });
    backwards.add(this.prototype.backward);
    isLayer = (x): x is Layer => typeof x === 'function' && #id in x;
    wrapLayer = (made, origin) => {
      const known = handles.get(made.id)?.deref();
      if (known !== undefined) {
        native.releaseLayer(made.id);
        return known;
      }
      const reversible = native.layerIsReversible(made.id);
      return new (reversible ? classes.reversible! : Layer)(new Adopted(made, origin));
    };
    withInputs = (layer, inputs, f) => layer.#withInputs(inputs, f);
    idOfLayer = (layer) => layer.#use();
    layers.wrap = (id) => wrapLayer({ id, parts: [], callsHost: true });
    layers.idOf = (x) => (isLayer(x) ? x.#live() : undefined);
    layers.callsHost = (x) => isLayer(x) && x.#callsHost;
    scopedLayers.isLayer = isLayer;
    scopedLayers.mayRefer = (x) => {
      if (isLayer(x)) return x.#callsHost;
      return typeof x === 'function' || (typeof x === 'object' && x !== null && !(x instanceof Tensor) && isOpaque(x));
    };
    scopedLayers.end = (made) => Layer.#endAtRest(made.filter(isLayer).toReversed());
    drive = (layer, method, args) => layer.#drive(method, args);
    inMode = (layer, mode, f) => layer.#inMode(mode, f);
    invoke = <Out extends LayerOutputs>(layer: Layer<Out>, inputs: LayerInputs, options: CallOptions): Out => {
      const { weights, state, rng } = optionsOf(layer.name, options, CALL);
      const id = layer.#use();
      return layer.#called(inputs, (ids, keep) =>
        unwrap(native.layerCall(id, ids, lent(weights, 'weights'), lent(state, 'state'), words(rng), keep).map(wrap)),
      );
    };
  }

  /** Disposes those of the layers, each before those it runs, that nothing else holds; gives the others. */
  static #endAtRest(made: readonly Layer[]): Layer[] {
    const live = made.filter((layer) => layer.#id !== 0);
    const ended = new Set(live.length > 0 ? native.disposeLayersAtRest(live.map((layer) => layer.#id)) : []);
    return live.filter((layer) => {
      const stays = !ended.has(layer.#id);
      if (!stays) layer.#end();
      return stays;
    });
  }

  /** The layer's id. */
  #live(): number {
    if (this.#id === 0) {
      throw new DisposedError(
        `the layer ${this.name} was used after dispose(), or after the tidy() that made it; make it again, or keep() it`,
      );
    }
    if (this.#unsettled !== null) this.#settle(this.#unsettled);
    return this.#id;
  }

  /** Makes the layers in the fields of the object its sublayers. They are set after the constructor of this class, so it is the first use that does. */
  #settle(made: Unsettled): void {
    const circle = settling.indexOf(this);
    if (circle >= 0) {
      const names = [...settling.slice(circle), this].map((layer) => layer.name);
      throw new TypeError(`a layer cannot stand in its own fields, but here are ${names.join(' > ')}`);
    }
    settling.push(this);
    try {
      const fields = fieldsOf(this, isLayer);
      if (fields.length > 0) this.#adopt(made, fields);
      this.#fields = fields;
      this.#unsettled = null;
    } finally {
      settling.pop();
    }
  }

  /** Makes the layer again, with these fields. */
  #adopt({ kind, options }: Unsettled, fields: readonly Field<Layer>[]): void {
    if (kind !== 'Layer') {
      throw new TypeError(`${this.name} cannot have a layer in a field, as in \`${fields[0]!.path}\`: extend tl.Layer`);
    }
    const owns = this.initWeightsAndState !== Layer.prototype.initWeightsAndState;
    const made = constructLayer(kind, { ...options, owns, fields: fields.map(({ layer }) => layer) });
    handles.delete(this.#id);
    native.releaseLayer(this.#id);
    this.#id = made.id;
    this.#parts = made.parts;
    handles.set(made.id, new WeakRef(this));
    const { instances } = native.layerInfo(made.id);
    instances.forEach((instance) => creationSites.set(instance, new WeakRef(this.#site)));
    Object.assign(this.#collected, { id: made.id, instances: [...this.#collected.instances, ...instances] });
  }

  /** Refuses other layers in the fields than those that were there at the first use: they would not be trained or saved. */
  #checkFields(): void {
    if (this.#fields === null) return;
    const now = (): Field<Layer>[] => fieldsOf(this, isLayer).filter(({ layer }) => this.#owners?.has(layer) !== true);
    if (difference(this.#fields, now()) === undefined) return;
    // A field may refer to a model that this layer is a part of.
    for (const { layer } of now()) {
      if (native.layerRuns(layer.#live(), this.#id)) (this.#owners ??= new WeakSet()).add(layer);
    }
    const changed = difference(this.#fields, now());
    if (changed !== undefined) {
      const what = `${this.name}: the layer in the field \`${changed}\` is another than at the first use`;
      throw new TypeError(`${what}; set fields that are layers in the constructor, and leave them`);
    }
  }

  /** The layer's id, for what the program does with it by itself. */
  #use(): number {
    // What a method does with the layers in its fields, their owner does.
    this.#used ||= methods.running === 0;
    return this.#live();
  }

  /** Forgets what the addon has ended. */
  #end(): void {
    handles.delete(this.#id);
    this.#id = 0;
    for (let frame = scope.frame; frame !== null; frame = frame.parent) frame.layers?.delete(this);
  }

  /** Whether the layer was disposed. */
  get isDisposed(): boolean {
    return this.#id === 0;
  }

  /**
   * Gives back what the layer holds now. A second call does nothing; any other use throws a {@link DisposedError}.
   *
   * The layers that were made for it go with it, unless another layer runs them too or the program used them by themselves. Weights and
   * state are freed when no layer holds them: a copy in another mode keeps the weights.
   */
  dispose(): void {
    if (this.#id === 0) return;
    const below: Layer[] = [];
    const seen = new Set<Layer>([this]);
    for (const layer of seen) {
      for (const part of layer.#parts) {
        if (isLayer(part) && !part.#used && !seen.has(part)) {
          seen.add(part);
          below.push(part);
        }
      }
    }
    native.disposeLayer(this.#id);
    this.#end();
    Layer.#endAtRest(below);
  }
  /** `dispose()`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Calls `f` with handles of the inputs, and a number that stands for the layer while a gradient to come may call its functions. */
  #called<T>(inputs: LayerInputs, f: (ids: number[], keep: number | null) => T): T {
    return this.#withInputs(inputs, (ids) => (this.#callsHost ? holding(this, (keep) => f(ids, keep)) : f(ids, null)));
  }

  /** Calls `f` with handles of the inputs; tensors made of plain data are disposed afterwards. */
  #withInputs<T>(inputs: LayerInputs, f: (ids: number[]) => T): T {
    const several = isList(inputs) && (this.#nIn !== 1 || inputs[0] instanceof Tensor);
    const items = several ? (inputs as readonly TensorLike[]) : [inputs as TensorLike];
    return withTensors(items, f);
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
    const { weights, state, rng, signal } = optionsOf(`${this.name}.callAsync`, options, CALL_ASYNC);
    checkSignal('callAsync: signal', signal);
    signal?.throwIfAborted();
    const id = this.#use();
    const cancel = signal === undefined ? null : native.newCancel();
    const onAbort = (): void => native.cancel(cancel!);
    signal?.addEventListener('abort', onAbort, { once: true });
    const keep = this.#callsHost ? hold(this) : null;
    let outputs: Tensor[] = [];
    try {
      const made = await this.#withInputs(inputs, (ids) =>
        native.layerCallAsync(id, ids, lent(weights, 'weights'), lent(state, 'state'), words(rng), cancel, keep),
      );
      outputs = decode(made) as Tensor[];
      signal?.throwIfAborted();
      return unwrap(outputs);
    } catch (error) {
      unhold(keep);
      outputs.forEach((output) => output.dispose());
      signal?.throwIfAborted();
      throw error;
    } finally {
      signal?.removeEventListener('abort', onAbort);
      if (cancel !== null) native.dropCancel(cancel);
      letGo();
    }
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
    const { useCache = false } = optionsOf(`${this.name}.pureFn`, options, PURE);
    flag('pureFn: useCache', useCache);
    const id = this.#use();
    const [ys, newState] = this.#called(inputs, (ids, keep) =>
      native.layerPure(id, ids, encode(weights, 'weights'), encode(state, 'state'), words(rng), keep),
    ) as [unknown, unknown];
    const kept = decode(newState, GET_STATE_FROM_CACHE) as Nest;
    if (useCache) {
      this.weights = weights;
      this.state = kept;
    }
    return [unwrap(decode(ys) as Tensor[]), kept];
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
    const made = native.layerInit(this.#use(), inputs, words(rng), flag('init: useCache', useCache));
    const [weights, state] = made as [unknown, unknown];
    return [decode(weights, GET_WEIGHTS_FROM_CACHE) as Nest, decode(state, GET_STATE_FROM_CACHE) as Nest];
  }

  /** Signatures of the outputs for inputs of a signature; needs no weights. */
  outputSignature<D extends string = DType>(
    signature: SignatureLike<D> | readonly SignatureLike<D>[],
  ): OutputSignature<Out> {
    const outputs = native.outputSignature(this.#use(), checked(signature)) as Signature[];
    return (outputs.length === 1 ? outputs[0] : outputs) as OutputSignature<Out>;
  }

  /** Signatures of the weights and state for inputs of a signature. */
  weightsAndStateSignature<D extends string = DType>(
    signature: SignatureLike<D> | readonly SignatureLike<D>[],
  ): [weights: Tree<Signature>, state: Tree<Signature>] {
    const [weights, state] = native.weightsAndStateSignature(this.#use(), checked(signature)) as [unknown, unknown];
    return [
      decode(weights, GET_WEIGHTS_FROM_CACHE) as Tree<Signature>,
      decode(state, GET_STATE_FROM_CACHE) as Tree<Signature>,
    ];
  }

  /** The same layer in another mode: the same weights, not copied; state of its own. */
  withMode(mode: Mode): Layer<Out, NIn> {
    const id = native.withMode(this.#use(), text('withMode: mode', mode));
    return wrapLayer({ id, parts: [], callsHost: this.#callsHost }, this) as Layer<Out, NIn>;
  }

  /**
   * How the layer behaves: in a method of a class, the mode it runs in. A class is made in `'train'` unless it is given another mode, and
   * `withMode` of whatever it stands in reaches it.
   */
  get mode(): Mode {
    return this.#runsIn ?? (native.layerMode(this.#use()) as Mode);
  }
  set mode(mode: Mode) {
    native.setLayerMode(this.#use(), text('mode', mode));
  }

  /** The random key of calls that are not given one; `null` if none was set. */
  get rng(): Key | null {
    return this.#running === null ? (native.layerKey(this.#use()) as [number, number] | null) : this.#running.rng;
  }
  set rng(rng: Key) {
    native.setLayerKey(this.#use(), keyWords(rng));
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
    const { weightsOnly = false, inputSignature } = optionsOf(`${this.name}.saveToFile`, options, FILE);
    native.saveLayer(
      this.#use(),
      text('saveToFile: path', path),
      flag('saveToFile: weightsOnly', weightsOnly),
      given(inputSignature),
    );
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
    const { weightsOnly = false, inputSignature } = optionsOf(`${this.name}.initFromFile`, options, FILE);
    native.loadLayer(
      this.#use(),
      text('initFromFile: path', path),
      flag('initFromFile: weightsOnly', weightsOnly),
      given(inputSignature),
    );
    return [this.weights, this.state];
  }

  /** The layers this one runs. */
  get sublayers(): Layer[] {
    return native.sublayers(this.#use()).map((id) => wrapLayer({ id, parts: [], callsHost: this.#callsHost }, this));
  }

  /** Whether the layer brings its own backward pass. */
  get hasBackward(): boolean {
    return this.#hasBackward;
  }

  /** Computes outputs; the method that a class of its own defines. In it, `this.weights`, `this.state`, `this.rng` and `this.mode` are those of the call. */
  forward(inputs: LayerOutputs): Out | readonly Tensor[] {
    if (this.#running !== null) {
      throw new TypeError(`${this.name} does not define forward(inputs)`);
    }
    return invoke(this, inputs, {});
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

  #inMode<T>(mode: Mode, f: () => T): T {
    const outer = this.#runsIn;
    this.#runsIn = mode;
    try {
      return f();
    } finally {
      this.#runsIn = outer;
    }
  }

  #run<T>(running: Running, f: () => T): T {
    const outer = this.#running;
    this.#running = running;
    methods.running += 1;
    try {
      const result = f();
      if (isThenable(result)) {
        throw new TypeError(`the methods of ${this.name} must be synchronous, but one returned a promise`);
      }
      return result;
    } finally {
      methods.running -= 1;
      this.#running = outer;
    }
  }

  /** Runs a method of the class for the addon. */
  #drive(method: string, args: unknown[]): unknown {
    this.#checkFields();
    const own = this.driven(method, args);
    if (own !== undefined) return own;
    if (method === 'init') {
      const [signatures, rng] = args as [Signature[], Key];
      const running: Running = { weights: [], state: [], rng };
      this.#run(running, () => this.initWeightsAndState((this.#nIn === 1 ? signatures[0] : signatures) as never));
      return [running.weights, running.state];
    }
    if (method === 'forward') {
      const [inputs, weights, state, rng] = args as [Tensor[], unknown, unknown, Key];
      const running: Running = { weights, state, rng };
      const outputs = this.#run(running, () => this.forward(unwrap(inputs)));
      return [listOf(outputs as Tensor | readonly Tensor[]), running.state];
    }
    const driver = drivers[method];
    if (driver !== undefined) {
      return driver(this, args, (running, f) => this.#run(running, f));
    }
    const [inputs, outputs, grads, ...rest] = args as [Tensor[], Tensor[], Tensor[], Nest, Nest, Nest, Key];
    const [weights, state, , rng] = rest;
    return this.#run({ weights, state, rng }, () => {
      const result = this.backward(unwrap(inputs), unwrap(outputs), unwrap(grads), ...rest);
      const [inputGrads, weightGrads] = result;
      return [listOf(inputGrads), weightGrads];
    });
  }

  /** What a method that only a subclass has returns to the addon; `undefined` for the methods of every layer. @internal */
  protected driven(method: string, args: readonly unknown[]): unknown {
    void [method, args];
    return undefined;
  }

  /** The layer's structure, in Trax's printed form. */
  override toString(): string {
    return this.#id === 0 ? `${this.name} (disposed)` : native.layerText(this.#live());
  }
  /** What `console.log` prints. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString();
  }
  /** What this is a copy or a part of. @internal */
  protected get origin(): Layer | null {
    return this.#origin;
  }
}

/** A new layer of a registered kind, whose arity `Made` is what the registry says of that kind: a test holds it to that. */
export function makeLayer<Made extends Layer = Layer>(kind: string, options: object): Made {
  return wrapLayer(constructLayer(kind, options)) as Made;
}

/** The layers that a registered function makes. */
export function makeLayers(name: string, options: object): Layer[] {
  return constructLayers(name, options).map((made) => wrapLayer(made));
}
