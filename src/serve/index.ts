/**
 * A server of models that speaks OpenAI's interface.
 *
 * @module
 */
export { ServeError, type ServeErrorCode } from './errors.js';
export { type ModelSource, type ServedModel, type ServerLimits, type ServerOptions } from './options.js';
export { createServer, type ListenOptions, Server } from './server.js';
