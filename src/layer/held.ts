/**
 * The weights and state that a layer holds, as its properties.
 *
 * @module
 */
import { native } from '../bridge/native.js';
import { HANDLE, type Handled, idOfLayer } from './handle.js';
import { decode, encode, GET_STATE_FROM_CACHE, GET_WEIGHTS_FROM_CACHE, scoped } from './wire.js';

/** Gives the prototype of layers `weights` and `state`: in a method of a class those of its call, elsewhere those in the addon. */
export function defineHeld(prototype: object): void {
  Object.defineProperties(prototype, {
    weights: {
      get(this: Handled) {
        return this[HANDLE].running?.weights ?? decode(native.layerWeights(idOfLayer(this)), GET_WEIGHTS_FROM_CACHE);
      },
      set(this: Handled, weights: unknown) {
        const { running } = this[HANDLE];
        if (running !== null) running.weights = weights;
        else scoped(() => native.setLayerWeights(idOfLayer(this), encode(weights, 'weights')));
      },
      configurable: true,
    },
    state: {
      get(this: Handled) {
        return this[HANDLE].running?.state ?? decode(native.layerState(idOfLayer(this)), GET_STATE_FROM_CACHE);
      },
      set(this: Handled, state: unknown) {
        const { running } = this[HANDLE];
        if (running !== null) running.state = state;
        else scoped(() => native.setLayerState(idOfLayer(this), encode(state, 'state')));
      },
      configurable: true,
    },
  });
}
