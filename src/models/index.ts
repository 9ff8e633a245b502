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
export { type ResamplingOptions, type ResamplingType } from './hourglass.js';
export * as reformer from './reformerNames.js';
