/**
 * Where a number stops being one.
 *
 * @module
 */
import { native } from '../bridge/native.js';
import { withInputs } from '../layer/calls.js';
import { type Layer, type LayerInputs } from '../layer/layer.js';
import { words } from '../layer/parts.js';
import { type Key } from '../tensor/random.js';
import { type Names, optionsOf } from '../tensor/rest.js';
import { numberOfLayer } from '../layer/given.js';

/** A tensor with numbers that are not finite, as {@link firstNotFinite} finds it. */
export interface NotFinite {
  /** Positions and names of the layers around and of the layer: `1.Serial/0.Root`. Empty for the layer that was called. */
  readonly path: string;
  /** What it is to that layer: `input 0`, `weight/1` or `weight` where there is one, `output 0`. */
  readonly what: string;
  /** Its shape. */
  readonly shape: readonly number[];
}

/** Options of {@link firstNotFinite}. */
export interface NotFiniteOptions {
  /** Random key of the call; the layer's own if left out. */
  readonly rng?: Key | null | undefined;
}

const OPTIONS: Names<NotFiniteOptions> = { rng: true };

/**
 * Calls a layer once, and tells the first tensor with NaN or an infinity in it: an input, a weight, or what a layer made of finite numbers.
 *
 * The state that the call leads to is not kept, so nothing changes.
 *
 * @param layer - The layer, which is initialized.
 * @param inputs - Its inputs.
 * @param options - Options by name:
 * - `rng`: Random key of the call; the layer's own if left out.
 * @returns Where it is; `null` if all numbers are finite.
 * @throws {@link LayerError} The errors of a call; not those that come after such a number was found.
 * @throws `TypeError`: `layer` is not a layer.
 * @example
 * ```ts
 * const model = tl.Serial(tl.Softmax(), tl.Fn('Root', (x: tl.Tensor) => x.sub(0.5).sqrt()));
 * tl.firstNotFinite(model, [1]); // → null
 * tl.firstNotFinite(model, [1, 2]); // → { path: '1.Root', what: 'output 0', shape: [2] }
 * ```
 */
export function firstNotFinite(layer: Layer, inputs: LayerInputs, options: NotFiniteOptions = {}): NotFinite | null {
  const { rng } = optionsOf('firstNotFinite', options, OPTIONS);
  const id = numberOfLayer('firstNotFinite: layer', layer);
  return withInputs(layer, inputs, (ids) => native.firstNotFinite(id, ids, words(rng)) as NotFinite | null);
}
