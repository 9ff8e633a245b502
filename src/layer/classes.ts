/**
 * Layers that are objects of a class: their methods, which the addon calls, and the layers in their fields.
 *
 * @module
 */
import { isThenable, text } from '../bridge/found.js';
import { native } from '../bridge/native.js';
import { type Signature } from '../tensor/ops.js';
import { type Key } from '../tensor/random.js';
import { type Tensor } from '../tensor/tensor.js';
import { constructLayer, type Made } from './construct.js';
import { difference, type Field, fieldsOf } from './fields.js';
import { HANDLE, type Handled, inMethod, isHandled, type Running } from './handle.js';
import { type LayerOptions, type LayerOutputs, type Mode } from './options.js';
import { listOf, unwrap } from './parts.js';
import { type Nest } from './wire.js';

/** Calls `f`, in which a layer's methods see `running` as their weights and so on. */
export type Run = <T>(running: Running, f: () => T) => T;

/** What the addon may ask of an object of a class. */
export interface Methods extends Handled {
  forward(inputs: LayerOutputs): Tensor | readonly Tensor[];
  initWeightsAndState(signature: Signature | Signature[]): void;
  backward(
    inputs: LayerOutputs,
    output: LayerOutputs,
    grad: LayerOutputs,
    weights: Nest,
    state: Nest,
    newState: Nest,
    rng: Key,
  ): [inputGrads: unknown, weightGrads: unknown];
  driven(method: string, args: readonly unknown[], run: Run): unknown;
}

/** A class of layers. */
interface LayerClass {
  readonly name: string;
  readonly kind: string;
  readonly layerName: string | undefined;
}

/** The printed name of objects of a class: the one that it states, or its own. */
function nameOf(made: LayerClass): string {
  const stated: unknown = Object.hasOwn(made, 'layerName') ? made.layerName : undefined;
  if (stated === undefined) return made.name;
  return text(`${made.name}.layerName`, stated);
}

/** Calls `f`, in which the layer's `mode` is the one given. */
export function inMode<T>(layer: Handled, mode: Mode, f: () => T): T {
  const handle = layer[HANDLE];
  const outer = handle.runsIn;
  handle.runsIn = mode;
  try {
    return f();
  } finally {
    handle.runsIn = outer;
  }
}

/** Calls `f`, a method of the layer that sees `running` as its weights and so on. */
function run<T>(layer: Handled, running: Running, f: () => T): T {
  const handle = layer[HANDLE];
  const outer = handle.running;
  handle.running = running;
  try {
    const result = inMethod(f);
    if (isThenable(result)) {
      throw new TypeError(`the methods of ${layer.name} must be synchronous, but one returned a promise`);
    }
    return result;
  } finally {
    handle.running = outer;
  }
}

/** Runs a method of the class for the addon. */
function drive(layer: Methods, method: string, args: unknown[]): unknown {
  const own = layer.driven(method, args, (running, f) => run(layer, running, f));
  if (own !== undefined) return own;
  if (method === 'init') {
    const [signatures, rng] = args as [Signature[], Key];
    const running: Running = { weights: [], state: [], rng };
    const [first] = signatures;
    const one = layer[HANDLE].nIn === 1 && first !== undefined;
    run(layer, running, () => layer.initWeightsAndState(one ? first : signatures));
    return [running.weights, running.state];
  }
  if (method === 'forward') {
    const [inputs, weights, state, rng] = args as [Tensor[], unknown, unknown, Key];
    const running: Running = { weights, state, rng };
    const outputs = run(layer, running, () => layer.forward(unwrap(inputs)));
    return [listOf(outputs), running.state];
  }
  const [inputs, outputs, grads, ...rest] = args as [Tensor[], Tensor[], Tensor[], Nest, Nest, Nest, Key];
  const [weights, state, , rng] = rest;
  return run(layer, { weights, state, rng }, () => {
    const result = layer.backward(unwrap(inputs), unwrap(outputs), unwrap(grads), ...rest);
    const [inputGrads, weightGrads] = result;
    return [listOf(inputGrads), weightGrads];
  });
}

/** Objects whose fields are being looked at, outermost first. */
const settling: Handled[] = [];

/** The layers in the fields of an object, which are its sublayers. They are set after the constructor of `Layer`. */
class Fields {
  /** `null` until the first use. */
  #known: readonly Field<Handled>[] | null = null;
  /** Models that the object is a part of, and that fields refer to. */
  #owners: WeakSet<Handled> | null = null;
  /** Fields with much in them that is no layer. */
  readonly #data = new Map<string, unknown>();

  /** Makes the layers in the fields sublayers, at the first use. */
  settle(layer: Methods, base: Methods, kind: string, options: object): void {
    const circle = settling.indexOf(layer);
    if (circle >= 0) {
      const names = [...settling.slice(circle), layer].map(({ name }) => name);
      throw new TypeError(`a layer cannot stand in its own fields, but here are ${names.join(' > ')}`);
    }
    settling.push(layer);
    try {
      const fields = this.#found(layer);
      const [first] = fields;
      if (first !== undefined && kind !== 'Layer') {
        throw new TypeError(`${layer.name} cannot have a layer in a field, as in \`${first.path}\`: extend tl.Layer`);
      }
      if (first !== undefined) {
        const owns = layer.initWeightsAndState !== base.initWeightsAndState;
        const sublayers = fields.map((field) => field.layer);
        layer[HANDLE].replace(layer, constructLayer(kind, { ...options, owns, fields: sublayers }));
      }
      this.#known = fields;
      layer[HANDLE].settle = null;
    } finally {
      settling.pop();
    }
  }

  #found(layer: Handled): Field<Handled>[] {
    return fieldsOf(layer, isHandled, this.#data).filter((field) => this.#owners?.has(field.layer) !== true);
  }

  /** Refuses other layers in the fields than those that were there at the first use: they would not be trained or saved. */
  check(layer: Handled): void {
    if (this.#known === null) return;
    if (difference(this.#known, this.#found(layer)) === undefined) return;
    // A field may refer to a model that this layer is a part of.
    for (const field of this.#found(layer)) {
      const other = field.layer[HANDLE].live(field.layer);
      if (native.layerRuns(other, layer[HANDLE].id)) (this.#owners ??= new WeakSet()).add(field.layer);
    }
    const changed = difference(this.#known, this.#found(layer));
    if (changed !== undefined) {
      const what = `${layer.name}: the layer in the field \`${changed}\` is another than at the first use`;
      throw new TypeError(`${what}; set fields that are layers in the constructor, and leave them`);
    }
  }
}

/**
 * Makes the layer of the addon that an object of a class stands for.
 *
 * @param layer - the object
 * @param base - what objects inherit that define no methods
 * @returns What the addon made, and what is to be done before the first use.
 */
export function constructObject(
  layer: Methods,
  base: Methods,
  made: LayerClass,
  options: LayerOptions,
): { made: Made; settle: () => void } {
  const fields = new Fields();
  // The addon does not hold the object.
  const place = new WeakRef(layer);
  const driver = (method: string, mode: Mode, ...args: unknown[]): unknown => {
    const object = place.deref()!;
    return inMode(object, mode, () => {
      fields.check(object);
      return drive(object, method, args);
    });
  };
  const { kind } = made;
  const named = { name: nameOf(made), ...options, driver };
  const all = kind === 'Layer' ? { hasBackward: layer.backward !== base.backward, ...named } : named;
  return { made: constructLayer(kind, all), settle: () => fields.settle(layer, base, kind, all) };
}
