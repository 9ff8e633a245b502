/**
 * Whether a model has all ids of its encoder.
 *
 * @module
 */
import { refusal } from '../../bridge/errors.js';
import { type Encoder } from '../../data/encoder.js';
import { type Layer } from '../../layer/layer.js';
import { type Signature } from '../../tensor/ops.js';
import { type ModelTask } from './description.js';

/** Refuses an encoder with ids that a model which writes does not have. Models may have more: they are often padded, and what the encoder has not is never written. */
export function checkVocabulary(
  where: string,
  task: ModelTask,
  model: Layer,
  inputs: Signature | Signature[],
  encoder: Encoder | null,
): void {
  if (encoder === null || task !== 'generate') return;
  const outputs = model.outputSignature(inputs);
  const logits = 'shape' in outputs ? outputs : outputs[0];
  const size = logits?.shape.at(-1);
  if (size !== undefined && size !== null && size >= encoder.vocabSize) return;
  const what = `the encoder has ${encoder.vocabSize} ids, and the model gives logits of ${String(size)}`;
  throw refusal('InvalidArgument', `${where}: ${what}; give the model at least as many`);
}
