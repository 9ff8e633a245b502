/* oxlint-disable typescript/no-unsafe-declaration-merging -- a call signature can be declared in no other way */
/**
 * Layers: callable handles, and the class to extend.
 *
 * @module
 */
import { creationSites, type CreationSite } from './errors.js';
import { hold, letGo } from './held.js';
import { flag, text } from './found.js';
import { isThenable } from './memory.js';
import { native } from './native.js';
import { type Signature, type TensorLike, withTensors } from './ops.js';
import { constructLayer, constructLayers } from './options.js';
import { keyWords, type Key } from './random.js';
import { type Names, optionsOf } from './rest.js';
import {
  type AsyncCallOptions,
  type CallOptions,
  type FileOptions,
  type LayerInputs,
  type LayerOptions,
  type LayerOutputs,
  type Mode,
} from './layerOptions.js';
import { checked } from './signature.js';
import { checkSignal } from './types.js';
import { Tensor, wrap } from './tensor.js';
import { decode, encode, GET_STATE_FROM_CACHE, GET_WEIGHTS_FROM_CACHE, layers, scoped, type Nest } from './wire.js';

export type { AsyncCallOptions, CallOptions, FileOptions, LayerInputs, LayerOptions, LayerOutputs, Mode } from './layerOptions.js';

const CALL: Names<CallOptions> = { weights: true, state: true, rng: true };
const CALL_ASYNC: Names<AsyncCallOptions> = { ...CALL, signal: true };
const PURE: Names<{ useCache?: boolean }> = { useCache: true };
const INIT: Names<{ rng?: Key | null; useCache?: boolean }> = { rng: true, useCache: true };
const FILE: Names<FileOptions> = { weightsOnly: true, inputSignature: true };

/** A layer that exists in the addon already, as the handles of factories are made from. */
export class Adopted {
  constructor(
    readonly id: number,
    /** What lives as long as the handle. */
    readonly parts: unknown,
    /** Whether the addon runs it through its handle. */
    readonly driven = false,
  ) {}
}

/** What `forward` and `initWeightsAndState` of a class see as `this.weights` and so on, while they run. */
export interface Running {
  weights: unknown;
  state: unknown;
  rng: Key | null;
}

/** Wraps the native id of a layer: the handle it has, or a new one. `parts` are kept alive with it. */
export let wrapLayer: (id: number, parts?: unknown) => Layer;

/** Calls `f` with handles of a layer's inputs; tensors made of plain data are disposed afterwards. */
export let withInputs: <T>(layer: Layer, inputs: LayerInputs, f: (ids: number[]) => T) => T;
/** The native id of a layer. */
export let idOfLayer: (layer: Layer) => number;

let invoke: (layer: Layer, inputs: LayerInputs, options: CallOptions) => LayerOutputs;

/** Runs further methods of classes for the addon; `run` sets what they see as `this.weights` and so on. @internal */
export const drivers: Record<string, (layer: Layer, args: unknown[], run: <T>(running: Running, f: () => T) => T) => unknown> = {};

/** What layers of the addon that have more methods than others are handles of. @internal */
export const classes: { reversible?: new (options: Adopted) => Layer } = {};

/** Methods `backward` that replace no automatic differentiation. @internal */
export const backwards = new Set<unknown>();

let drive: (layer: Layer, method: string, args: unknown[]) => unknown;

/** Runs the methods of a class without holding its object. */
function driverOf(place: { layer?: WeakRef<Layer> }): (method: string, ...args: unknown[]) => unknown {
  return (method, ...args) => drive(place.layer!.deref()!, method, args);
}

/** A function that calls the layer it is, with the prototype of a class. */
// oxlint-disable-next-line no-extraneous-class -- a constructor that returns a function must belong to a class to be extended
class Callable {
  constructor(prototype: object) {
    const self = (inputs: LayerInputs, options: CallOptions = {}): LayerOutputs => invoke(self as Layer, inputs, options);
    return Object.setPrototypeOf(self, prototype) as Callable;
  }
}

const handles = new Map<number, WeakRef<Layer>>();

interface Collected {
  id: number;
  instances: number[];
}

const collected = new FinalizationRegistry<Collected>(({ id, instances }) => {
  native.releaseLayer(id);
  if (handles.get(id)?.deref() === undefined) {
    handles.delete(id);
  }
  instances.forEach((instance) => creationSites.delete(instance));
  letGo();
});

/** One tensor by itself, several in an array. @internal */
export function unwrap(outputs: Tensor[]): LayerOutputs {
  return (outputs.length === 1 ? outputs[0] : outputs) as LayerOutputs;
}

/** Inverse of {@link unwrap}. @internal */
export function listOf<T>(x: T | readonly T[]): readonly T[] {
  return Array.isArray(x) ? (x as readonly T[]) : [x as T];
}

export interface Layer {
  /**
   * Computes outputs with the weights and state the layer holds, and keeps the new state.
   *
   * @throws `LayerError` if the inputs do not fit or the layer was not initialized
   */
  (inputs: LayerInputs, options?: CallOptions): LayerOutputs;
}

/**
 * A layer: call it with its inputs. Make layers with factories such as `tl.Dense(4)`, or extend this class with `forward`
 * (and `initWeightsAndState`, `backward` where needed).
 *
 * @example
 * ```ts
 * class Scale extends tl.Layer {
 *   override initWeightsAndState() { this.weights = tl.ones([1]); }
 *   override forward(x: tl.Tensor) { return x.mul(this.weights as tl.Tensor); }
 * }
 * ```
 */
export class Layer extends Callable {
  /** What instances are to the addon. @internal */
  static readonly kind: string = 'Layer';
  #id = 0;
  #parts: unknown;
  /** Whether the addon runs the layer through this handle. */
  readonly #driven: boolean = true;
  /** Where the layer was made; {@link creationSites} finds it. */
  readonly #site: CreationSite;
  #nIn = 1;
  #hasBackward = false;
  #running: Running | null = null;
  /** Printed name. */
  declare readonly name: string;
  /** Number of inputs. */
  declare readonly nIn: number;
  /** Number of outputs. */
  declare readonly nOut: number;

  constructor(options: LayerOptions | Adopted = {}) {
    super(new.target.prototype);
    if (options instanceof Adopted) {
      this.#id = options.id;
      this.#parts = options.parts;
      this.#driven = options.driven;
    } else {
      const driver = driverOf({ layer: new WeakRef(this) });
      const hasBackward = !backwards.has(new.target.prototype.backward);
      const common = { name: new.target.name, ...options, driver };
      const { kind } = new.target;
      this.#id = constructLayer(kind, kind === 'Layer' ? { ...common, hasBackward } : common);
    }
    const info = native.layerInfo(this.#id);
    this.#nIn = info.nIn;
    this.#hasBackward = info.hasBackward;
    for (const [key, value] of Object.entries({ name: info.name, nIn: info.nIn, nOut: info.nOut })) {
      Object.defineProperty(this, key, { value, configurable: true });
    }
    handles.set(this.#id, new WeakRef(this));
    this.#site = {};
    collected.register(this, { id: this.#id, instances: rememberSite(this.#site, info.instances) });
  }

  static {
    backwards.add(Layer.prototype.backward);
    wrapLayer = (id, parts) => {
      const known = handles.get(id)?.deref();
      if (known !== undefined) {
        native.releaseLayer(id);
        return known;
      }
      const made = native.layerInfo(id).reversible ? classes.reversible : Layer;
      return new made!(new Adopted(id, parts));
    };
    withInputs = (layer, inputs, f) => layer.#withInputs(inputs, f);
    idOfLayer = (layer) => layer.#handOver();
    layers.wrap = (id) => wrapLayer(id);
    layers.idOf = (x) => (typeof x === 'function' && #id in x ? x.#handOver() : undefined);
    drive = (layer, method, args) => layer.#drive(method, args);
    invoke = (layer, inputs, options) => {
      const { weights, state, rng } = optionsOf(layer.name, options, CALL);
      return layer.#called(inputs, (ids) =>
        unwrap(native.layerCall(layer.#id, ids, lent(weights, 'weights'), lent(state, 'state'), words(rng)).map(wrap)),
      );
    };
  }

  /** The layer's id for the addon to hold it by. */
  #handOver(): number {
    if (this.#driven) hold(this.#id, this);
    return this.#id;
  }

  /** Calls `f` with handles of the inputs; a gradient to come may hold the layer afterwards. */
  #called<T>(inputs: LayerInputs, f: (ids: number[]) => T): T {
    this.#handOver();
    try {
      return this.#withInputs(inputs, f);
    } finally {
      if (this.#driven) letGo([this.#id]);
    }
  }

  /** Calls `f` with handles of the inputs; tensors made of plain data are disposed afterwards. */
  #withInputs<T>(inputs: LayerInputs, f: (ids: number[]) => T): T {
    const several = Array.isArray(inputs) && (this.#nIn !== 1 || inputs.some((x) => x instanceof Tensor));
    const items = several ? (inputs as readonly TensorLike[]) : [inputs as TensorLike];
    return withTensors(items, f);
  }

  /** Calls the layer on the compute thread; the event loop stays free. Calls run one after another. */
  async callAsync(inputs: LayerInputs, options: AsyncCallOptions = {}): Promise<LayerOutputs> {
    const { weights, state, rng, signal } = optionsOf(`${this.name}.callAsync`, options, CALL_ASYNC);
    checkSignal('callAsync: signal', signal);
    signal?.throwIfAborted();
    const cancel = signal === undefined ? null : native.newCancel();
    const onAbort = (): void => native.cancel(cancel!);
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      const outputs = await this.#withInputs(inputs, (ids) =>
        native.layerCallAsync(this.#handOver(), ids, lent(weights, 'weights'), lent(state, 'state'), words(rng), cancel),
      );
      signal?.throwIfAborted();
      return unwrap(decode(outputs) as Tensor[]);
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    } finally {
      signal?.removeEventListener('abort', onAbort);
      if (cancel !== null) native.dropCancel(cancel);
      if (this.#driven) letGo([this.#id]);
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
    weights: unknown,
    state: unknown,
    rng: Key | null = null,
    options: { readonly useCache?: boolean } = {},
  ): [outputs: LayerOutputs, newState: Nest] {
    const { useCache = false } = optionsOf(`${this.name}.pureFn`, options, PURE);
    flag('pureFn: useCache', useCache);
    const [ys, newState] = this.#called(inputs, (ids) =>
      native.layerPure(this.#id, ids, encode(weights, 'weights'), encode(state, 'state'), words(rng)),
    ) as [unknown, unknown];
    const kept = decode(newState, GET_STATE_FROM_CACHE) as Nest;
    if (useCache) {
      this.weights = weights;
      this.state = kept;
    }
    return [unwrap(decode(ys) as Tensor[]), kept];
  }

  /**
   * Makes weights and state for inputs of a signature, keeps and returns them.
   *
   * @param signature - `{shape, dtype}`, or an array of such for several inputs
   * @param options - `rng`: the key (the layer's own if left out); `useCache`: gives the markers of cached values if the layer has weights already
   */
  init(
    signature: Signature | readonly Signature[],
    options: { readonly rng?: Key | null; readonly useCache?: boolean } = {},
  ): [weights: Nest, state: Nest] {
    const { rng, useCache = false } = optionsOf(`${this.name}.init`, options, INIT);
    const made = native.layerInit(this.#id, checked(signature), words(rng), flag('init: useCache', useCache));
    const [weights, state] = made as [unknown, unknown];
    return [decode(weights, GET_WEIGHTS_FROM_CACHE) as Nest, decode(state, GET_STATE_FROM_CACHE) as Nest];
  }

  /** Signatures of the outputs for inputs of a signature; needs no weights. */
  outputSignature(signature: Signature | readonly Signature[]): Signature | Signature[] {
    const outputs = native.outputSignature(this.#id, checked(signature)) as Signature[];
    return outputs.length === 1 ? outputs[0]! : outputs;
  }

  /** Signatures of the weights and state for inputs of a signature. */
  weightsAndStateSignature(signature: Signature | readonly Signature[]): [weights: unknown, state: unknown] {
    const [weights, state] = native.weightsAndStateSignature(this.#id, checked(signature)) as [unknown, unknown];
    return [decode(weights, GET_WEIGHTS_FROM_CACHE), decode(state, GET_STATE_FROM_CACHE)];
  }

  /** The same layer in another mode: the same weights, not copied; state of its own. */
  withMode(mode: Mode): Layer {
    return wrapLayer(native.withMode(this.#handOver(), text('withMode: mode', mode)), this);
  }

  /** The weights the layer holds, nested as Trax nests them. */
  get weights(): Nest {
    return (this.#running?.weights ?? decode(native.layerWeights(this.#id), GET_WEIGHTS_FROM_CACHE)) as Nest;
  }
  set weights(weights: unknown) {
    if (this.#running !== null) {
      this.#running.weights = weights;
    } else {
      scoped(() => native.setLayerWeights(this.#id, encode(weights, 'weights')));
    }
  }

  /** The state the layer holds, nested as Trax nests it. */
  get state(): Nest {
    return (this.#running?.state ?? decode(native.layerState(this.#id), GET_STATE_FROM_CACHE)) as Nest;
  }
  set state(state: unknown) {
    if (this.#running !== null) {
      this.#running.state = state;
    } else {
      scoped(() => native.setLayerState(this.#id, encode(state, 'state')));
    }
  }

  /** The random key of calls that are not given one; `null` if none was set. */
  get rng(): Key | null {
    return this.#running === null ? (native.layerKey(this.#id) as [number, number] | null) : this.#running.rng;
  }
  set rng(rng: Key) {
    native.setLayerKey(this.#id, keyWords(rng));
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
  saveToFile(path: string, options: FileOptions = {}): void {
    const { weightsOnly = false, inputSignature } = optionsOf(`${this.name}.saveToFile`, options, FILE);
    native.saveLayer(this.#id, text('saveToFile: path', path), flag('saveToFile: weightsOnly', weightsOnly), given(inputSignature));
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
  initFromFile(path: string, options: FileOptions = {}): [weights: Nest, state: Nest] {
    const { weightsOnly = false, inputSignature } = optionsOf(`${this.name}.initFromFile`, options, FILE);
    native.loadLayer(this.#id, text('initFromFile: path', path), flag('initFromFile: weightsOnly', weightsOnly), given(inputSignature));
    return [this.weights, this.state];
  }

  /** The layers this one runs. */
  get sublayers(): Layer[] {
    return native.sublayers(this.#id).map((id) => wrapLayer(id, this));
  }

  /** Whether the layer brings its own backward pass. */
  get hasBackward(): boolean {
    return this.#hasBackward;
  }

  /** Computes outputs; the method that a class of its own defines. In it, `this.weights`, `this.state` and `this.rng` are those of the call. */
  forward(inputs: LayerOutputs): Tensor | readonly Tensor[] {
    if (this.#running !== null) {
      throw new TypeError(`${this.name} does not define forward(inputs)`);
    }
    return invoke(this, inputs, {});
  }

  /** Sets `this.weights` and `this.state` for inputs of a signature; the method that a class with weights defines. */
  initWeightsAndState(_signature: Signature & Signature[]): void {}

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

  #run<T>(running: Running, f: () => T): T {
    const outer = this.#running;
    this.#running = running;
    try {
      const result = f();
      if (isThenable(result)) {
        throw new TypeError(`the methods of ${this.name} must be synchronous, but one returned a promise`);
      }
      return result;
    } finally {
      this.#running = outer;
    }
  }

  /** Runs a method of the class for the addon. */
  #drive(method: string, args: unknown[]): unknown {
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
    return native.layerText(this.#id);
  }
  /** What `console.log` prints. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString();
  }
  /** What is kept alive with this handle. @internal */
  protected get parts(): unknown {
    return this.#parts;
  }
}

function lent(x: unknown, what: string): unknown {
  return x === undefined ? null : encode(x, what);
}

function given(signature: Signature | readonly Signature[] | undefined): unknown {
  return signature === undefined ? null : checked(signature);
}

/** The words of a key for the addon. @internal */
export function words(rng: Key | null | undefined): number[] | null {
  return rng === undefined || rng === null ? null : keyWords(rng);
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

/** A new layer of a registered kind. */
export function makeLayer(kind: string, options: object): Layer {
  return wrapLayer(constructLayer(kind, options), options);
}

/** The layers that a registered function makes. */
export function makeLayers(name: string, options: object): Layer[] {
  return constructLayers(name, options).map((id) => wrapLayer(id, options));
}
