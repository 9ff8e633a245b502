/**
 * Models of several layers, composed of the same factories that users have.
 *
 * @module
 */
export * from '../generated/models.js';
export {
  type AttentionOptions,
  type AttentionType,
  type FeedForwardSparsity,
  type PlainAttentionOptions,
  type PositionType,
} from './blocks.js';
export { type GenerationDefaults, type ModelTask } from './folder/description.js';
export { fromConfig, type ModelToSave, openFolder, type OpenedModel, saveFolder } from './folder/folder.js';
export { type LayerConfig } from './folder/layerConfig.js';
export { type ResamplingOptions, type ResamplingType } from './hourglass.js';
export * as reformer from './reformerNames.js';
