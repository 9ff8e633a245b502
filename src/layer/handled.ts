/**
 * What a layer is beside what it computes: a function with a handle, a name, a mode and a key, which lives until it is disposed.
 *
 * @module
 */
import { text } from '../bridge/found.js';
import { native } from '../bridge/native.js';
import { keyWords, type Key } from '../tensor/random.js';
import { call } from './calls.js';
import { HANDLE, type Handled, idOfLayer, type LayerHandle } from './handle.js';
import { type Layer } from './layer.js';
import { type CallOptions, type LayerInputs, type LayerOutputs, type Mode } from './options.js';

/** A function that calls the layer it is, with the prototype of a class. */
// oxlint-disable-next-line no-extraneous-class -- a constructor that returns a function must belong to a class to be extended
class Callable {
  constructor(prototype: object) {
    const self = (inputs: LayerInputs, options: CallOptions = {}): LayerOutputs => call(self as Layer, inputs, options);
    return Object.setPrototypeOf(self, prototype);
  }
}

/** A layer without what it computes: {@link Layer} extends it. */
export class HandledLayer extends Callable implements Handled {
  /** @internal */
  declare readonly [HANDLE]: LayerHandle;
  /** Printed name. */
  declare readonly name: string;

  /**
   * The names of the layer's weights, as files have them behind `weights/`.
   *
   * A name tells where a weight stands, layer by layer. They are those that a {@link Trainer} of the layer trains, in its order; weights that are
   * no floats have none, and a layer that was not initialized has none yet. A weight of a layer that occurs twice has one name, that of the first place.
   *
   * @example
   * ```ts
   * const model = tl.Serial(tl.Embedding(9, 4), tl.Dense(2));
   * model.init({ shape: [1, 3], dtype: 'int32' });
   * model.weightNames; // → [ '0.Embedding_9_4', '1.Dense_2/0', '1.Dense_2/1' ]
   * ```
   */
  get weightNames(): readonly string[] {
    return native.layerWeightNames(idOfLayer(this));
  }

  /**
   * Whether the layer was disposed.
   */
  get isDisposed(): boolean {
    return this[HANDLE].id === 0;
  }

  /**
   * Frees what the layer holds now.
   *
   * The layers that were made for it go with it, unless another layer runs them too or the program used them by themselves. Weights and state are
   * freed when no layer holds them: a copy in another mode keeps the weights. A second call does nothing. Any other use of the layer is a
   * {@link DisposedError} from now on.
   *
   * @see {@link tidy}, which disposes all layers that a function made
   * @example
   * ```ts
   * const layer = tl.Dense(2);
   * layer.dispose();
   * layer.isDisposed; // → true
   * ```
   */
  dispose(): void {
    this[HANDLE].dispose(this);
  }
  /**
   * Frees what the layer holds where a `using` declaration ends.
   *
   * @example
   * ```ts
   * const before = tl.memory().layers;
   * {
   *   using layer = tl.Dense(2);
   *   layer.init({ shape: [1, 3], dtype: 'float32' });
   * }
   * tl.memory().layers - before; // → 0
   * ```
   */
  [Symbol.dispose](): void {
    this.dispose();
  }

  /**
   * How the layer behaves; in a method of a class the mode that it runs in.
   *
   * A class is made in `'train'` unless it is given another mode, and `withMode` of whatever it stands in reaches it.
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
    return running === null ? native.layerKey(idOfLayer(this)) : running.rng;
  }
  set rng(rng: Key) {
    native.setLayerKey(idOfLayer(this), keyWords(rng));
  }

  /** Whether the layer brings its own backward pass. */
  get hasBackward(): boolean {
    return this[HANDLE].hasBackward;
  }

  /**
   * Writes the structure of the layer, in Trax's printed form.
   *
   * @returns The text.
   * @example
   * ```ts
   * String(tl.Serial(tl.Dense(2), tl.LayerNorm())); // → 'Serial[\n  Dense_2\n  LayerNorm\n]'
   * ```
   */
  override toString(): string {
    return this.isDisposed ? `${this.name} (disposed)` : native.layerText(this[HANDLE].live(this));
  }
  /**
   * The text that `console.log` prints: that of `toString`.
   */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString();
  }
}
