/**
 * Outputs of language models: token by token, whole, the likeliest ones, for many requests at once.
 *
 * @module
 */
export {
  autoregressiveSample,
  type AutoregressiveSampleOptions,
  autoregressiveSampleStream,
  type AutoregressiveSampleStreamOptions,
} from './autoregressive.js';
export { type Beam, beamSearch, type BeamSearchOptions } from './beamSearch.js';
export { Decoder, type DecoderLoad } from './decoder.js';
export { generate, sample } from './generate.js';
export {
  type DecoderOptions,
  type FinishReason,
  type GeneratedToken,
  type GenerateOptions,
  type Prompt,
  type PromptOptions,
  type Sample,
  type SamplingOptions,
  type TokenLogProb,
} from './options.js';
export { Prefix, type PrefixOptions } from './prefix.js';
