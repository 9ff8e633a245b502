/**
 * LoRA: a model with few weights that adapt it.
 *
 * @module
 */
import { list, text } from '../bridge/found.js';
import { native } from '../bridge/native.js';
import { withPlain } from '../layer/construct.js';
import { HANDLE } from '../layer/handle.js';
import { numberOfLayer } from '../layer/given.js';
import { type Layer, wrapLayer } from '../layer/layer.js';
import { type LayerOutputs } from '../layer/options.js';
import { type Key, keyWords } from '../tensor/random.js';
import { type LoRAAdapterOptions } from '../generated/core.js';

/** Options of {@link training.withLora}. */
export interface WithLoraOptions extends LoRAAdapterOptions {
  /** Random key that the new weights are drawn with. */
  readonly rng: Key;
}

/** A model that was made of another: it takes and gives what that one does. */
function madeOf<Out extends LayerOutputs, NIn extends number>(model: Layer<Out, NIn>, id: number): Layer<Out, NIn> {
  return wrapLayer({ id, parts: [], callsHost: model[HANDLE].callsHost }, model) as Layer<Out, NIn>;
}

/**
 * Adapts `Dense` layers of a model with {@link LoRA}: gives a copy of the model in which each chosen one stands within a `LoRA`.
 *
 * The copy shares all weights with the model, and computes what it does until it is trained. Where a group of the {@link Trainer} freezes all other weights,
 * as in the example, what is new is trained alone: the weights of the model keep their bits.
 *
 * @param model - An initialized layer.
 * @param weights - Patterns of names of weights, as in groups of a {@link Trainer}: `Dense` layers that have one of them are adapted.
 * @param options - Options by name:
 * - `rng`: Random key that the new weights are drawn with.
 * - `rank`: Rank of what is added. Default: `8`.
 * - `alpha`: What is added is scaled by `alpha / rank`. Default: `8`.
 * - `dropout`: Probability with which a value is dropped on the way. Default: `0`.
 * @returns The copy.
 * @throws `TypeError`: `model` is not a layer, or `weights` not strings.
 * @throws {@link LayerError} `InvalidOption`: a pattern matches no weight of a `Dense` layer that is not adapted yet, `rank` is larger than a side of
 * its matrix, or an option is unknown or outside its bounds.
 * @throws {@link LayerError} `NotInitialized`: the model has no weights yet.
 * @see {@link training.mergeLora}, {@link training.saveLora}
 * @example
 * ```ts
 * const model = tl.Serial(tl.Dense(8), tl.Relu(), tl.Dense(2));
 * model.init({ shape: [4, 3], dtype: 'float32' });
 * const adapted = tl.training.withLora(model, '*.Dense_8/*', { rank: 2, rng: tl.random.key(0) });
 * adapted.sublayers.map((layer) => layer.name); // → [ 'LoRA_2_8', 'Serial', 'Dense_2' ]
 * // All weights but those that LoRA adds.
 * const groups = [{ weights: '!**\/*.LoRA*', frozen: true }] as const;
 * const trainer = new tl.Trainer(tl.Serial(adapted, tl.L2Loss()), tl.optimizers.Adam(), { groups });
 * ```
 */
export function withLora<Out extends LayerOutputs, NIn extends number>(
  model: Layer<Out, NIn>,
  weights: string | readonly string[],
  options: WithLoraOptions,
): Layer<Out, NIn> {
  const id = numberOfLayer('withLora: model', model);
  const what = 'withLora: weights';
  const patterns = (typeof weights === 'string' ? [weights] : list(what, weights)).map((pattern) =>
    text(what, pattern),
  );
  const { rng, ...rest }: Partial<WithLoraOptions> = options ?? {};
  const key = keyWords(rng);
  const made = withPlain('withLora', { ...rest, rng: key }, (value) => native.withLora(id, patterns, value));
  return madeOf(model, made);
}

/**
 * Puts what {@link LoRA} has learned into the weights themselves: gives a copy of the model without `LoRA`.
 *
 * Each adapted layer is a new one in it, with the weights `w + (alpha / rank) · a · b`; all others share their weights with the model. The copy computes
 * what the model does, but for rounding: float32 outputs differ by about a millionth of the largest. The model that is given stays as it is.
 *
 * @param model - The model with LoRA.
 * @returns The copy.
 * @throws `TypeError`: `model` is not a layer.
 * @throws {@link LayerError} `InvalidArgument`: there is no LoRA in the model, as where it was merged already.
 * @throws {@link LayerError} `NotInitialized`: the model has no weights yet.
 * @example
 * ```ts
 * const model = tl.Serial(tl.Dense(8), tl.Relu(), tl.Dense(2));
 * model.init({ shape: [4, 3], dtype: 'float32' });
 * const adapted = tl.training.withLora(model, '**', { rank: 2, rng: tl.random.key(0) });
 * const merged = tl.training.mergeLora(adapted);
 * merged.sublayers.map((layer) => layer.name); // → [ 'Dense_8', 'Serial', 'Dense_2' ]
 * ```
 */
export function mergeLora<Out extends LayerOutputs, NIn extends number>(model: Layer<Out, NIn>): Layer<Out, NIn> {
  return madeOf(model, native.mergeLora(numberOfLayer('mergeLora: model', model)));
}

/**
 * Writes the weights that {@link LoRA} adds to a model, and nothing else, to a safetensors file.
 *
 * @param model - The model with LoRA.
 * @param path - Path of the file, which always holds a whole file.
 * @throws `TypeError`: `model` is not a layer.
 * @throws {@link LayerError} `InvalidArgument`: there is no LoRA in the model.
 * @throws {@link LayerError} `NotInitialized`: the model has no weights yet.
 * @throws {@link LayerError} `Io`: the file cannot be written.
 * @see {@link training.loadLora}
 * @example
 * ```ts
 * const model = tl.Serial(tl.Dense(8), tl.Relu(), tl.Dense(2));
 * model.init({ shape: [4, 3], dtype: 'float32' });
 * const adapted = tl.training.withLora(model, '0.*\/*', { rank: 2, rng: tl.random.key(0) });
 * tl.training.saveLora(adapted, 'task.safetensors');
 * Object.keys(tl.loadSafetensors('task.safetensors')); // → [ 'weights/0.LoRA_2_8/2.LoRADown', 'weights/0.LoRA_2_8/3.LoRAUp' ]
 * ```
 */
export function saveLora(model: Layer, path: string): void {
  native.saveLora(numberOfLayer('saveLora: model', model), text('saveLora: path', path));
}

/**
 * Reads what {@link training.saveLora} wrote into a model with the same {@link LoRA}.
 *
 * It takes all of it or nothing. The model's other weights stay as they are.
 *
 * @param model - The model with LoRA around the same layers, of the same rank and alpha.
 * @param path - Path of the file.
 * @throws `TypeError`: `model` is not a layer.
 * @throws {@link LayerError} `InvalidArgument`: there is no LoRA in the model.
 * @throws {@link LayerError} `WeightsMismatch`: the file is of other layers, of another rank or of another alpha.
 * @throws {@link LayerError} `Io`: the file is missing or damaged.
 * @throws {@link LayerError} `Busy`: {@link Trainer.fit} runs on the weights.
 * @example
 * ```ts
 * const model = tl.Serial(tl.Dense(8), tl.Relu(), tl.Dense(2));
 * model.init({ shape: [4, 3], dtype: 'float32' });
 * const adapt = () => tl.training.withLora(model, '0.*\/*', { rank: 2, rng: tl.random.key(0) });
 * tl.training.saveLora(adapt(), 'task.safetensors');
 * tl.training.loadLora(adapt(), 'task.safetensors');
 * ```
 */
export function loadLora(model: Layer, path: string): void {
  native.loadLora(numberOfLayer('loadLora: model', model), text('loadLora: path', path));
}
