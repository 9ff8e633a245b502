/**
 * Plain networks of dense layers.
 *
 * @module
 */
import { Dense, Flatten, Relu, Serial } from '../generated/index.js';
import { list } from '../bridge/found.js';
import { type Layer, type Mode } from '../layer/layer.js';
import { ofArity } from './arity.js';
import { type Tensor } from '../tensor/tensor.js';
import { type LayerFactory } from '../layer/types.js';
import { filledIn } from './blocks.js';

/** Options of {@link MLP}. */
export interface MLPOptions {
  /** Depths of the layers, first to last. @defaultValue `[128, 64]` */
  readonly layerWidths?: readonly number[];
  /** Makes the activation between layers. @defaultValue `Relu` */
  readonly activationFn?: LayerFactory;
  /** Whether an activation follows the last layer too. @defaultValue `false` */
  readonly outActivation?: boolean;
  /** Whether all axes but the first become one, before everything else. @defaultValue `true` */
  readonly flatten?: boolean;
  /** Changes nothing: all layers behave alike in every mode. @defaultValue `'train'` */
  readonly mode?: Mode;
}

const defaults: Required<MLPOptions> = {
  layerWidths: [128, 64],
  activationFn: Relu,
  outActivation: false,
  flatten: true,
  mode: 'train',
};

/**
 * A multilayer perceptron: dense layers with an activation between them.
 *
 * Input `float32[batch, ...]`, or with `flatten: false` `float32[..., depth]`; output as deep as the last layer is wide.
 * The same in every mode. Memory: the activations of every layer are kept for the backward pass.
 *
 * @param options - See the options type.
 */
export function MLP(options: MLPOptions = {}): Layer<Tensor, 1> {
  const { layerWidths, activationFn, outActivation, flatten } = filledIn('MLP', defaults, options);
  const layers = list('MLP: `layerWidths`', layerWidths).flatMap((width) => [Dense(width), activationFn()]);
  return ofArity(Serial(flatten ? Flatten() : [], outActivation ? layers : layers.slice(0, -1)), 1, 1);
}
