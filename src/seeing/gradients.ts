/**
 * Gradients held against differences.
 *
 * @module
 */
import { callable, isList, list } from '../bridge/found.js';
import { native } from '../bridge/native.js';
import { withPlain } from '../layer/construct.js';
import { idOfLayer, Layer, type LayerInputs } from '../layer/layer.js';
import { withInputs } from '../layer/calls.js';
import { crossing, hostFunction } from '../layer/wire.js';
import { type TensorLike, withTensors } from '../tensor/ops.js';
import { type Key } from '../tensor/random.js';
import { type Tensor } from '../tensor/tensor.js';

/** Options of {@link checkGradients}. */
export interface CheckGradientsOptions {
  /** How far an input or weight is moved to either side; left out: 1e-5 in float64, 1e-2 in float32. */
  readonly eps?: number | null | undefined;
  /** The greatest error that is right, relative to derivatives above 1; left out: 1e-4 in float64, 2e-2 in float32. */
  readonly tolerance?: number | null | undefined;
  /** The most elements of an input or weight that are moved one by one, 16 if left out. A larger one is moved in a random direction, too. */
  readonly coordinates?: number | null | undefined;
  /** Random key of the calls and of the random directions; left out: that of the layer. */
  readonly rng?: Key | null | undefined;
}

/** How gradients compare with differences. */
export interface GradientCheck {
  /** Whether no error is above the tolerance. */
  readonly ok: boolean;
  /** The greatest error: the difference of the derivatives, divided by that by differences where this is above 1. */
  readonly maxError: number;
  /** The derivative with that error. */
  readonly worst: {
    /** Of what: `inputs/0`, or `weights/` and the name of the weight. */
    readonly path: string;
    /** The element that was moved; `null` for a random direction. */
    readonly index: readonly number[] | null;
    /** By the backward pass. */
    readonly analytic: number;
    /** By central differences. */
    readonly numeric: number;
  };
  /** How many derivatives were compared. */
  readonly compared: number;
  /** What was computed in: `'float64'` where the layer or function stays in it, else `'float32'`. */
  readonly precision: 'float64' | 'float32';
}

/**
 * Holds the gradients of a layer or function, by its inputs and weights, against central differences.
 *
 * It computes in float64 where the layer or function gives float64 for it, else in float32, where only coarse mistakes can be told from rounding.
 * Several outputs are weighted at random. Inputs at a kink, such as 0 for `Relu`, have no derivative that could be held against anything. A layer
 * keeps its weights and state.
 *
 * @param layerOrFn - An initialized layer, or a function of tensors that returns a tensor or an array of them.
 * @param inputs - The inputs of the layer, or an array of the arguments of the function.
 * @param options - Options by name:
 * - `eps`: How far an input or weight is moved. Default: `1e-5` in float64.
 * - `tolerance`: The greatest error that is right. Default: `1e-4` in float64.
 * - `coordinates`: The most elements that are moved one by one. Default: `16`.
 * - `rng`: Random key of the calls and directions.
 * @returns Whether they agree, and where they differ most.
 * @throws {@link LayerError} `InvalidOption`: an option is unknown, of a wrong type or outside its bounds.
 * @throws {@link LayerError} `InvalidArgument`: no input or weight, or no output, is a tensor of floats.
 * @throws {@link LayerError} The errors of a call.
 * @throws `TypeError`: `layerOrFn` is neither a layer nor a function, or `inputs` are no tensors.
 * @see {@link grad}
 * @example
 * ```ts
 * const layer = tl.Serial(tl.Dense(3), tl.Tanh());
 * layer.init({ shape: [2, 4], dtype: 'float32' });
 * tl.checkGradients(layer, tl.random.normal(tl.random.key(0), [2, 4])).ok; // → true
 *
 * const half = (x: tl.Tensor) => x.mul(x.stopGradient()); // the gradient of one factor is cut off
 * tl.checkGradients(half, [[1.5, 2.5]]).ok; // → false
 * ```
 */
export function checkGradients(
  layerOrFn: Layer | ((...inputs: Tensor[]) => Tensor | readonly Tensor[]),
  inputs: LayerInputs,
  options: CheckGradientsOptions = {},
): GradientCheck {
  return withPlain('checkGradients', options, (plain) => {
    if (layerOrFn instanceof Layer) {
      const layer = { $layer: idOfLayer(layerOrFn) };
      return withInputs(layerOrFn, inputs, (ids) => native.checkGradients(layer, ids, plain) as GradientCheck);
    }
    callable('checkGradients: layerOrFn', layerOrFn);
    const called = hostFunction('the function of checkGradients', layerOrFn);
    const f = crossing(called, layerOrFn.length);
    return withTensors(
      list('checkGradients: inputs', isList(inputs) ? inputs : [inputs]) as readonly TensorLike[],
      (ids) => native.checkGradients(f, ids, plain) as GradientCheck,
    );
  });
}
