/**
 * Models of several layers, composed of the same factories that users have.
 *
 * @module
 */
export { TransformerLM, type TransformerLMOptions } from './transformer.js';
