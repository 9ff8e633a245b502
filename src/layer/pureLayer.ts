/**
 * Layers of a function, as a class.
 *
 * @module
 */
import { Layer, type LayerInputs, type Mode } from './layer.js';
import { inMode } from './classes.js';
import { fieldsOf } from './fields.js';
import { isHandled } from './handle.js';
import { Adopted } from './parts.js';
import { constructLayer, registerFactory } from './construct.js';
import { type Tensor } from '../tensor/tensor.js';
import { type TensorFunction } from './types.js';

/** Options of {@link PureLayer}. */
export interface PureLayerOptions {
  /** Number of inputs; 1 if left out. */
  readonly nIn?: number | null | undefined;
  /** Number of outputs; 1 if left out. */
  readonly nOut?: number | null | undefined;
  /** Printed name; `'PureLayer'` if left out. */
  readonly name?: string | null | undefined;
  /** How the layer behaves, which the `forward` of a class sees as `this.mode`; `'train'` if left out. */
  readonly mode?: Mode | null | undefined;
}

/** Finds the layer that a function is given before there is one. */
interface Place {
  layer?: WeakRef<Pure>;
}

class Pure extends Layer {
  constructor(forwardFn: TensorFunction, options: PureLayerOptions = {}) {
    const place: Place = {};
    const overridden = new.target.prototype.forward !== Layer.prototype.forward;
    const f = overridden ? forwardOf(place) : forwardFn;
    super(new Adopted(constructLayer('PureLayer', { ...options, forwardFn: f, takesMode: overridden })));
    place.layer = new WeakRef(this);
  }
}

/** Runs the `forward` of a class without holding its object. */
function forwardOf(place: Place): TensorFunction {
  return (inputs: LayerInputs, mode: Mode) => {
    const layer = place.layer!.deref()!;
    const [field] = fieldsOf(layer, isHandled);
    if (field !== undefined) {
      const what = `the field \`${field.path}\` of ${layer.name} is a layer, but a PureLayer has no weights`;
      throw new TypeError(`${what}: extend tl.Layer, which trains and saves the layers in its fields`);
    }
    return inMode(layer, mode, () => layer.forward(inputs as never));
  };
}

/**
 * A layer without weights, of a function that takes all inputs in one argument: a class to extend, which can also be called without `new`.
 *
 * **Shapes**: those of the function's argument → those of what it returns.
 *
 * No weights, no state; the same in every mode.
 *
 * @throws {@link LayerError} `ArityMismatch`: the function returns another number of tensors than `nOut`.
 * @see {@link Fn}, {@link Layer}
 * @example
 * ```ts
 * const double = tl.PureLayer((x: tl.Tensor) => x.mul(2));
 * double([1, 2]); // → Tensor int32[2] [2,4]
 *
 * class Shift extends tl.PureLayer {
 *   constructor(by: number) {
 *     super((x: tl.Tensor) => x.add(by), { name: 'Shift' });
 *   }
 * }
 * new Shift(10)([1, 2]); // → Tensor int32[2] [11,12]
 * ```
 */
export interface PureLayer extends Layer {
  /**
   * Computes outputs from the inputs alone: the method that a class may define.
   *
   * @param inputs - One tensor, or an array if there are several inputs.
   * @returns One tensor, or an array if there are several outputs.
   * @throws What the function throws that the layer was made of.
   * @example
   * ```ts
   * class Triple extends tl.PureLayer {
   *   constructor() {
   *     super((x: tl.Tensor) => x);
   *   }
   *   override forward(x: tl.Tensor) {
   *     return x.mul(3);
   *   }
   * }
   * new Triple()([1, 2]); // → Tensor int32[2] [3,6]
   * ```
   */
  forward(inputs: never): Tensor | readonly Tensor[];
}

/** What makes a {@link PureLayer}. */
export interface PureLayerClass {
  /** The class's own prototype. */
  readonly prototype: PureLayer;
  /**
   * @param forwardFn - function of the input, or of the array of inputs if there are several, to the output or the array of outputs
   */
  new (forwardFn: TensorFunction, options?: PureLayerOptions): PureLayer;
  /** The same without `new`. */
  (forwardFn: TensorFunction, options?: PureLayerOptions): PureLayer;
}

/** See the interface of the same name. */
export const PureLayer: PureLayerClass = registerFactory(
  new Proxy(Pure, {
    apply: (make, _this, args: [TensorFunction, PureLayerOptions?]) => new make(...args),
  }) as unknown as PureLayerClass,
  'PureLayer',
);
