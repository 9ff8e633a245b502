/**
 * Names of Trax's module `models.reformer`.
 *
 * @module
 */
export * from '../generated/reformerBlocks.js';
export {
  Reformer,
  ReformerLM,
  type ReformerLMOptions,
  type ReformerOptions,
  ReformerShortenLM,
  type ReformerShortenLMOptions,
} from '../generated/models.js';
