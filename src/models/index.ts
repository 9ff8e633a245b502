/**
 * Models of several layers, composed of the same factories that users have.
 *
 * @module
 */
export { type AttentionOptions, type AttentionType, type PlainAttentionOptions, type PositionOptions, type PositionType } from './blocks.js';
export { ReformerLM, type ReformerLMOptions, ReformerShortenLM, type ReformerShortenLMOptions } from './reformer.js';
export { TransformerLM, type TransformerLMOptions } from './transformer.js';
