/**
 * Samples of a batch as Trax makes them.
 *
 * @module
 */
import { native } from '../bridge/native.js';
import { concat } from '../generated/tensorFunctions.js';
import { withCancel } from '../layer/cancel.js';
import { numberOfLayer } from '../layer/given.js';
import { type Layer } from '../layer/layer.js';
import { type CancelSignal } from '../layer/types.js';
import { tensor, type TensorLike } from '../tensor/ops.js';
import { type Key } from '../tensor/random.js';
import { Tensor, wrap } from '../tensor/tensor.js';
import { crossing } from './crossing.js';

/** Options of {@link autoregressiveSampleStream}. */
export interface AutoregressiveSampleStreamOptions {
  /** What the model sees first, `[batchSize, length]`: the beginning of its tokens, or the source of a model that takes two inputs. */
  readonly inputs?: TensorLike | null | undefined;
  /** How many sequences are made; 1 if left out. */
  readonly batchSize?: number | undefined;
  /** How even the choice is: 1 draws by the model's probabilities, 0 takes the likeliest token; 1 if left out. */
  readonly temperature?: number | undefined;
  /** The random key of the draws; needed unless `temperature` is 0. */
  readonly rng?: Key | null | undefined;
  /** The token that a model which shifts its input begins with, or one for each row; `null` for a model that does not shift. 0 if left out. */
  readonly startId?: number | readonly number[] | Tensor | null | undefined;
  /** Whether the model runs in mode `'eval'` and reads all tokens each time, which any model can; `false` if left out. */
  readonly evalMode?: boolean | undefined;
  /** With `evalMode`: the least length that tokens are filled up to; 1 if left out. */
  readonly evalMinLength?: number | undefined;
  /** Ends the work; its promise is rejected with the signal's reason. */
  readonly signal?: CancelSignal | undefined;
}

/** Options of {@link autoregressiveSample}. */
export interface AutoregressiveSampleOptions extends AutoregressiveSampleStreamOptions {
  /** The token that ends a sequence; 1 if left out. */
  readonly eosId?: number | undefined;
  /** The most tokens; 100 if left out. */
  readonly maxLength?: number | undefined;
}

/** The tokens of a batch, a column at a time. */
async function* columns(
  what: string,
  model: Layer,
  { inputs, ...options }: AutoregressiveSampleOptions,
  ends: boolean,
): AsyncGenerator<Tensor, undefined, undefined> {
  const made = inputs === undefined || inputs === null || inputs instanceof Tensor ? null : tensor(inputs);
  let samples;
  try {
    const given = { ...options, inputs: made ?? inputs };
    samples = crossing(what, null, given, (all) =>
      native.newSamples(numberOfLayer(`${what}: model`, model), all.inputs, all.options, ends),
    );
  } finally {
    made?.dispose();
  }
  const step = (cancel: number | null): ReturnType<typeof samples.next> => samples.next(cancel);
  for (;;) {
    const column = await withCancel(`${what}: signal`, options.signal, step);
    if (column === null) return;
    yield wrap(column.$tensor);
  }
}

/**
 * Samples a model without end, one token of each sequence at a time, as `autoregressive_sample_stream` of Trax does.
 *
 * @param model - The model, in any mode: from tokens to logits, or from a source and a target.
 * @param options - Options by name:
 * - `inputs`: What the model sees first, `[batchSize, length]`. Default: none.
 * - `batchSize`: How many sequences are made. Default: `1`.
 * - `temperature`: How even the choice is; 0 takes the likeliest token. Default: `1`.
 * - `rng`: The random key of the draws; needed unless `temperature` is 0.
 * - `startId`: The token that a model which shifts its input begins with, or one for each row; `null` for a model that does not. Default: `0`.
 * - `evalMode`: Whether the model reads all tokens each time, in mode `'eval'`. Default: `false`.
 * - `evalMinLength`: With `evalMode`: the least length that tokens are filled up to. Default: `1`.
 * - `signal`: Ends the work.
 * @returns The tokens of one position after the other, each `int32[batchSize, 1]`, which are yours to dispose.
 * @throws {@link LayerError} `InvalidArgument`: `inputs` or `startId` are not of `batchSize` rows.
 * @throws {@link LayerError} `InvalidOption`: an option is unknown, missing or outside its bounds.
 * @example
 * ```ts
 * const model = tl.models.TransformerLM(32, { dModel: 16, dFf: 32, nLayers: 1, nHeads: 2, maxLen: 64 });
 * model.init({ shape: [1, 8], dtype: 'int32' }, { rng: tl.random.key(0) });
 * const shapes: number[][] = [];
 * for await (const tokens of tl.decoding.autoregressiveSampleStream(model, { batchSize: 2, rng: tl.random.key(1) })) {
 *   shapes.push(tokens.shape);
 *   if (shapes.length === 3) break;
 * }
 * shapes; // → [ [ 2, 1 ], [ 2, 1 ], [ 2, 1 ] ]
 * ```
 */
export function autoregressiveSampleStream(
  model: Layer,
  options: AutoregressiveSampleStreamOptions = {},
): AsyncGenerator<Tensor, undefined, undefined> {
  return columns('autoregressiveSampleStream', model, options, false);
}

/**
 * Samples a model until each sequence has seen its end, as `autoregressive_sample` of Trax does.
 *
 * @param model - The model, in any mode: from tokens to logits, or from a source and a target.
 * @param options - Options by name, beside those of {@link autoregressiveSampleStream}:
 * - `eosId`: The token that ends a sequence. Default: `1`.
 * - `maxLength`: The most tokens. Default: `100`.
 * @returns The tokens, `int32[batchSize, length]`. A sequence that has ended goes on until all have.
 * @throws {@link LayerError} `InvalidArgument`: `inputs` or `startId` are not of `batchSize` rows.
 * @throws {@link LayerError} `InvalidOption`: an option is unknown, missing or outside its bounds.
 * @example
 * ```ts
 * const model = tl.models.TransformerLM(32, { dModel: 16, dFf: 32, nLayers: 1, nHeads: 2, maxLen: 64 });
 * model.init({ shape: [1, 8], dtype: 'int32' }, { rng: tl.random.key(0) });
 * const tokens = await tl.decoding.autoregressiveSample(model, { batchSize: 2, temperature: 0, maxLength: 5 });
 * tokens.shape; // → [ 2, 5 ]
 * ```
 */
export async function autoregressiveSample(model: Layer, options: AutoregressiveSampleOptions = {}): Promise<Tensor> {
  const all: Tensor[] = [];
  try {
    for await (const column of columns('autoregressiveSample', model, options, true)) all.push(column);
    return concat(all, 1);
  } finally {
    all.forEach((column) => column.dispose());
  }
}
