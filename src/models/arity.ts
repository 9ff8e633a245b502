/**
 * How many tensors a model takes and gives, made sure of once, where it is made.
 *
 * @module
 */
import { hasArity, type Outputs } from '../layer/arity.js';
import { type Layer } from '../layer/layer.js';

/**
 * The model, known to be of that arity.
 *
 * @throws `TypeError` if it is not
 */
export function ofArity<NIn extends number, NOut extends number>(
  model: Layer,
  nIn: NIn,
  nOut: NOut,
): Layer<Outputs<NOut>, NIn> {
  if (!hasArity(model, nIn, nOut)) {
    throw new TypeError(
      `the model ${model.name} takes ${model.nIn} and gives ${model.nOut} tensors, not ${nIn} and ${nOut}: the layers given to it do not fit`,
    );
  }
  return model;
}
