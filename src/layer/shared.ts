/**
 * Layers on the weights of a layer of another thread.
 *
 * @module
 */
import { found, isRecord } from '../bridge/found.js';
import { native } from '../bridge/native.js';
import { type Layer } from './layer.js';
import { wrapLayer } from './make.js';
import { type LayerOutputs } from './options.js';

/** What `share` of a layer gives: a plain object that can be sent to a worker, for {@link fromShared} to make a layer of there. */
export interface SharedLayer<Out extends LayerOutputs = LayerOutputs, NIn extends number = number> {
  /** A number of the process, which no other has. */
  readonly process: number;
  /** The number of the layer in it. */
  readonly layer: number;
  /** What is made of it, for the compiler alone: it is never there. */
  readonly made?: Layer<Out, NIn>;
}

/**
 * Makes a layer on the weights of a layer that another thread of the process shares, without a copy of them.
 *
 * It has the structure and the mode of that layer, and state of its own, which begins with that of the other. Its weights can be read, called and
 * saved, but not set, initialized or trained. They stay as they were when they were shared, whatever becomes of the other layer, and their memory is freed
 * with the last layer that has them.
 *
 * @param token - What `share` of the layer gave.
 * @returns The layer.
 * @throws {@link DisposedError} The layer that was shared is gone: it was disposed or collected, or its thread has ended.
 * @throws `RangeError` with code `InvalidArgument`: the token is of another process, or of no layer.
 * @throws `TypeError`: `token` is none.
 * @example
 * ```ts
 * const model = tl.Dense(2);
 * model.init({ shape: [1, 3], dtype: 'float32' });
 * const token = model.share(); // and, in a worker that got it:
 * const same = tl.fromShared(token);
 * same([[1, 2, 3]]).shape; // → [1, 2]
 * ```
 */
export function fromShared<Out extends LayerOutputs = LayerOutputs, NIn extends number = number>(
  token: SharedLayer<Out, NIn>,
): Layer<Out, NIn> {
  const given: unknown = token;
  const [process, layer] = isRecord(given) ? [given['process'], given['layer']] : [];
  if (typeof process !== 'number' || typeof layer !== 'number') {
    throw new TypeError(`fromShared: token must be what layer.share() gave, got ${found(given)}`);
  }
  return wrapLayer({ id: native.layerFromShared({ process, layer }), parts: [], callsHost: false }) as Layer<Out, NIn>;
}
