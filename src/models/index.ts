/**
 * Models of several layers, composed of the same factories that users have.
 *
 * @module
 */
export {
  type AttentionOptions,
  type AttentionType,
  type FeedForwardOptions,
  type FeedForwardSparsity,
  type LossOptions,
  type PlainAttentionOptions,
  type PositionOptions,
  type PositionType,
} from './blocks.js';
export * as reformer from './reformer.js';
export {
  Reformer,
  ReformerLM,
  type ReformerLMOptions,
  type ReformerOptions,
  ReformerShortenLM,
  type ReformerShortenLMOptions,
} from './reformer.js';
export {
  Transformer,
  type TransformerCommonOptions,
  TransformerDecoder,
  type TransformerDecoderOptions,
  TransformerEncoder,
  type TransformerEncoderOptions,
  TransformerLM,
  type TransformerLMOptions,
  type TransformerOptions,
} from './transformer.js';
export { MLP, type MLPOptions } from './mlp.js';
export {
  type ConfigurableCommonOptions,
  ConfigurableTransformer,
  ConfigurableTransformerEncoder,
  type ConfigurableTransformerEncoderOptions,
  ConfigurableTransformerLM,
  type ConfigurableTransformerLMOptions,
  type ConfigurableTransformerOptions,
} from './configurableTransformer.js';
export { HourglassLM, type HourglassLMOptions, type ResamplingOptions, type ResamplingType } from './hourglass.js';
