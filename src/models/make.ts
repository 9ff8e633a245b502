/**
 * What makes a model of its options and of a function that composes its layers.
 *
 * @module
 */
import { inLayers } from '../bridge/errors.js';
import * as factories from '../generated/index.js';
import { type Outputs } from '../layer/arity.js';
import { HANDLE } from '../layer/handle.js';
import { type Layer } from '../layer/layer.js';
import { native } from '../bridge/native.js';
import { modelOptions } from '../layer/construct.js';
import { type LayerNest } from '../layer/types.js';
import { ofArity } from './arity.js';

/** Composes what a model is made of. An error of one of its layers is told as the model's. */
function composed<Options, Made>(model: string, compose: (options: Options) => Made, given: object): Made {
  const options = modelOptions<Options>(model, given, factories);
  try {
    return compose(options);
  } catch (error) {
    throw inLayers(error, [model]);
  }
}

/** A layer that is a model, of this arity: its name stands before the names of layers in the paths of errors. */
export function makeModel<Options, NIn extends number, NOut extends number>(
  model: string,
  compose: (options: Options) => Layer,
  given: object,
  nIn: NIn,
  nOut: NOut,
): Layer<Outputs<NOut>, NIn> {
  const layer = ofArity(composed(model, compose, given), nIn, nOut);
  native.nameModel(layer[HANDLE].live(layer), model);
  return layer;
}

/** Layers that are a part of models. */
export function makeBlock<Options>(
  block: string,
  compose: (options: Options) => LayerNest[],
  given: object,
): LayerNest[] {
  return composed(block, compose, given);
}
