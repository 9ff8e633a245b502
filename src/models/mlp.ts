/**
 * Plain networks of dense layers.
 *
 * @module
 */
import { Dense, Flatten, Serial } from '../generated/index.js';
import { type FilledMLPOptions } from '../generated/models.js';
import { type Layer } from '../layer/layer.js';

/** The layers of an `MLP`. */
export function mlp({ layerWidths, activationFn, outActivation, flatten }: FilledMLPOptions): Layer {
  const layers = layerWidths.flatMap((width) => [Dense(width), activationFn()]);
  return Serial(flatten ? Flatten() : [], outActivation ? layers : layers.slice(0, -1));
}
