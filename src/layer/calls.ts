/**
 * Calls of layers.
 *
 * @module
 */
import { flag, isList } from '../bridge/found.js';
import { hold, holding, letGo, unhold } from '../bridge/held.js';
import { native } from '../bridge/native.js';
import { type TensorLike, withTensors } from '../tensor/ops.js';
import { type Key } from '../tensor/random.js';
import { type Names, optionsOf } from '../tensor/rest.js';
import { Tensor, wrap } from '../tensor/tensor.js';
import { withCancel } from './cancel.js';
import { HANDLE, type Handled } from './handle.js';
import {
  type AsyncCallOptions,
  type CallOptions,
  type LayerInputs,
  type LayerOutputs,
  type NestLike,
} from './options.js';
import { lent, unwrap, words } from './parts.js';
import { decode, encode, GET_STATE_FROM_CACHE, type Nest } from './wire.js';

const CALL: Names<CallOptions> = { weights: true, state: true, rng: true };
const CALL_ASYNC: Names<AsyncCallOptions> = { ...CALL, signal: true };
const PURE: Names<{ useCache?: boolean }> = { useCache: true };

/** The inputs of a layer, one by one. */
export function itemsOf(layer: Handled, inputs: LayerInputs): readonly TensorLike[] {
  const several = isList(inputs) && (layer[HANDLE].nIn !== 1 || inputs[0] instanceof Tensor);
  return several ? inputs : [inputs as TensorLike];
}

/** Calls `f` with handles of a layer's inputs; tensors made of plain data are disposed afterwards. */
export function withInputs<T>(layer: Handled, inputs: LayerInputs, f: (ids: number[]) => T): T {
  return withTensors(itemsOf(layer, inputs), f);
}

/** {@link withInputs}, with a number that stands for the layer while a gradient to come may call its functions. */
function called<T>(layer: Handled, inputs: LayerInputs, f: (ids: number[], keep: number | null) => T): T {
  return withInputs(layer, inputs, (ids) =>
    layer[HANDLE].callsHost ? holding(layer, (keep) => f(ids, keep)) : f(ids, null),
  );
}

/** Calls a layer. */
export function call<Out extends LayerOutputs>(layer: Handled, inputs: LayerInputs, options: CallOptions): Out {
  const { weights, state, rng } = optionsOf(layer.name, options, CALL);
  const id = layer[HANDLE].use(layer);
  return called(layer, inputs, (ids, keep) =>
    unwrap<Out>(native.layerCall(id, ids, lent(weights, 'weights'), lent(state, 'state'), words(rng), keep).map(wrap)),
  );
}

/** Calls a layer on the compute thread. */
export async function callAsync<Out extends LayerOutputs>(
  layer: Handled,
  inputs: LayerInputs,
  options: AsyncCallOptions,
): Promise<Out> {
  const { weights, state, rng, signal } = optionsOf(`${layer.name}.callAsync`, options, CALL_ASYNC);
  return withCancel('callAsync: signal', signal, async (cancel) => {
    const id = layer[HANDLE].use(layer);
    const keep = layer[HANDLE].callsHost ? hold(layer) : null;
    let outputs: Tensor[] = [];
    try {
      const made = await withInputs(layer, inputs, (ids) =>
        native.layerCallAsync(id, ids, lent(weights, 'weights'), lent(state, 'state'), words(rng), cancel, keep),
      );
      outputs = decode(made) as Tensor[];
      signal?.throwIfAborted();
      return unwrap<Out>(outputs);
    } catch (error) {
      unhold(keep);
      outputs.forEach((output) => output.dispose());
      signal?.throwIfAborted();
      throw error;
    } finally {
      letGo();
    }
  });
}

/** Calls a layer as a pure function; with `useCache` it keeps what it was given and the new state, which `keep` does. */
export function pureFn<Out extends LayerOutputs>(
  layer: Handled,
  [inputs, weights, state, rng]: readonly [LayerInputs, NestLike, NestLike, Key | null],
  options: { readonly useCache?: boolean },
  keep: (weights: NestLike, state: Nest) => void,
): [outputs: Out, newState: Nest] {
  const { useCache = false } = optionsOf(`${layer.name}.pureFn`, options, PURE);
  flag('pureFn: useCache', useCache);
  const id = layer[HANDLE].use(layer);
  const [ys, newState] = called(layer, inputs, (ids, held) =>
    native.layerPure(id, ids, encode(weights, 'weights'), encode(state, 'state'), words(rng), held),
  ) as [unknown, unknown];
  const kept = decode(newState, GET_STATE_FROM_CACHE) as Nest;
  if (useCache) keep(weights, kept);
  return [unwrap<Out>(decode(ys) as Tensor[]), kept];
}
