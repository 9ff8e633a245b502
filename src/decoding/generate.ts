/**
 * Outputs of language models, one at a time.
 *
 * @module
 */
import { type Layer } from '../layer/layer.js';
import { Decoder } from './decoder.js';
import { type GeneratedToken, type GenerateOptions, type Prompt, type Sample } from './options.js';

/**
 * Lets a language model write on from a prompt, token by token.
 *
 * It computes on the compute thread: the event loop stays free. The prompt is read in one pass. For several outputs at once, make a {@link Decoder}.
 *
 * @param model - The model, in any mode: from tokens to logits, or from a source and a target. It is run in mode `'predict'`, on its own weights.
 * @param prompt - Ids of tokens, or text if there is an `encoder`.
 * @param options - Options by name, beside those of {@link SamplingOptions}:
 * - `rng`: The random key of the draws; needed unless `temperature` is 0.
 * - `encoder`: The encoder of prompts and outputs. Special tokens that it puts around texts are left out of prompts. Ids that it does
 *   not have are never chosen.
 * - `inputs`: The source, for a model that takes a source and a target.
 * - `startId`: The token that a model which shifts its input begins with; `null` for a model that does not shift. Default: `0`.
 * - `eosId`, `stopTokens`: Tokens that end the output. Default: none.
 * - `stop`: Strings that end the output and are not part of its text. Default: none.
 * - `maxTokens`: The most tokens. Default: `100`.
 * - `logProbs`: For how many of the likeliest tokens to tell log-probabilities too. Default: `0`.
 * - `window`: How many positions the model sees at most; then it goes on from the last half. Default: the output ends at the last position.
 * - `timeoutMs`: Milliseconds after which the output ends with what it has. Default: none.
 * - `signal`: Ends the work. The next token is then its reason, thrown.
 * @returns The tokens as they come. A `break` out of the loop ends the work.
 * @throws `TypeError`: an argument is of another kind.
 * @throws {@link LayerError} `InvalidArgument`: the prompt has what is no id, is beyond the model's positions, or there is nothing to go on from.
 * @throws {@link LayerError} `InvalidOption`: an option is unknown, missing or outside its bounds.
 * @throws {@link LayerError} `IndexOutOfRange`, while it is read: the model or the encoder does not have a token.
 * @throws {@link LayerError} `NotFinite`, while it is read: the model's logits are NaN.
 * @example
 * ```ts
 * const model = tl.models.TransformerLM(256, { dModel: 16, dFf: 32, nLayers: 1, nHeads: 2, maxLen: 64 });
 * model.init({ shape: [1, 8], dtype: 'int32' }, { rng: tl.random.key(0) });
 * const encoder = tl.data.byteEncoder();
 * const tokens: number[] = [];
 * for await (const { token } of tl.decoding.generate(model, 'whale', { encoder, temperature: 0, maxTokens: 4 })) {
 *   tokens.push(token);
 * }
 * tokens.length; // → 4
 * ```
 */
export function generate(
  model: Layer,
  prompt: Prompt,
  options: GenerateOptions = {},
): AsyncIterableIterator<GeneratedToken> {
  return new Decoder(model).generate(prompt, options);
}

/**
 * Lets a language model write on from a prompt, and gives the whole output.
 *
 * @param model - The model, as for {@link generate}.
 * @param prompt - Ids of tokens, or text if there is an `encoder`.
 * @param options - As for {@link generate}.
 * @returns The output: its tokens, their log-probabilities, its text if there is an encoder, and why it ended.
 * @throws {@link LayerError} As {@link generate}.
 * @example
 * ```ts
 * const model = tl.models.TransformerLM(32, { dModel: 16, dFf: 32, nLayers: 1, nHeads: 2, maxLen: 64 });
 * model.init({ shape: [1, 8], dtype: 'int32' }, { rng: tl.random.key(0) });
 * const { tokens } = await tl.decoding.sample(model, [3, 1, 4], { rng: tl.random.key(7), topK: 5, maxTokens: 4 });
 * tokens.length; // → 4
 * ```
 */
export async function sample(model: Layer, prompt: Prompt, options: GenerateOptions = {}): Promise<Sample> {
  return new Decoder(model).sample(prompt, options);
}
