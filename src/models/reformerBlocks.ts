/**
 * The reversible blocks of the Reformer, as lists of layers for a `ReversibleSerial`.
 *
 * Activations are a pair of equal parts: each layer adds to one what it makes of the other, so its inputs follow from its outputs, and
 * none need be kept for the backward pass. Sources: Kitaev et al. 2020, arXiv:2001.04451; Gomez et al. 2017, arXiv:1707.04585.
 *
 * @module
 */
import {
  Fn,
  LayerNorm,
  Parallel,
  ReversibleHalfResidual,
  ReversibleSwap,
  Select,
  SelfAttention,
  Serial,
} from '../generated/index.js';
import {
  type FilledDecoderBlockOptions,
  type FilledEncoderBlockOptions,
  type FilledEncoderDecoderBlockOptions,
} from '../generated/reformerBlocks.js';
import { type Layer } from '../layer/layer.js';
import { type Tensor } from '../tensor/tensor.js';
import { type LayerNest } from '../layer/types.js';
import { applyAttention, attentionOptions, feedForward, remembering, several, shared, withRoom } from './blocks.js';

/** The layers of a `DecoderBlock`. */
export function decoderBlock(options: FilledDecoderBlockOptions): LayerNest[] {
  const { dModel } = options;
  const { dAttentionKey: dQk, dAttentionValue: dV, nHeads, attentionType, attentionChunkSize, dropout, mode } = options;
  const { maxLen, nAttentionLayers, nFeedforwardLayers, centerLayernorm: center, epsilon } = options;
  const type = attentionType === SelfAttention ? remembering(maxLen) : withRoom(attentionType, maxLen);
  const given = { ...attentionOptions(nHeads, dropout, mode, { dQk, dV }), causal: true, masked: false };
  const attention = (): LayerNest => [
    ReversibleHalfResidual(LayerNorm({ center, epsilon }), {
      attentionLayer: applyAttention(type, dModel, attentionChunkSize, given),
      name: 'ReversibleHalfResidualDecoderAttn',
    }),
    ReversibleSwap(),
  ];
  const dense = (): LayerNest => [
    ReversibleHalfResidual(feedForward(dModel, options), { name: 'ReversibleHalfResidualDecoderFF' }),
    ReversibleSwap(),
  ];
  return [...several(nAttentionLayers, attention), ...several(nFeedforwardLayers, dense)];
}

/** Gives the mask of the tokens the axes that attention of the module `attention` wants, and drops the mask it returns. */
function withoutMask(attention: Layer): Layer {
  if (attention.nOut !== 2) return attention;
  const insertAxes = Fn('InsertAxes12', (mask: Tensor) => mask.expandDims(1).expandDims(2));
  const inputs = attention.nIn === 2 ? Parallel([], insertAxes) : [Parallel([], [], insertAxes), Select([0, 1, 1, 2])];
  return Serial(inputs, attention, Select([0], { nIn: 2 }));
}

/** The layers of an `EncoderBlock`. */
export function encoderBlock(all: FilledEncoderBlockOptions): LayerNest[] {
  const { dModel, nHeads, attentionType, attentionChunkSize, useTwoSwapsPerBlock, dropout, epsilon } = all;
  const { centerLayernorm: center } = all;
  const mode = all.mode === 'predict' ? 'eval' : all.mode;
  const given = { ...attentionOptions(nHeads, dropout, mode, shared(dModel, nHeads)), causal: false, masked: true };
  const attention = applyAttention(attentionType, dModel, attentionChunkSize, given);
  return [
    ReversibleHalfResidual(LayerNorm({ center, epsilon }), {
      attentionLayer: withoutMask(attention),
      name: 'ReversibleHalfResidualEncoderAttn',
    }),
    ReversibleSwap(),
    ReversibleHalfResidual(feedForward(dModel, { ...all, mode }), { name: 'ReversibleHalfResidualEncoderFF' }),
    useTwoSwapsPerBlock ? ReversibleSwap() : [],
  ];
}

/** The layers of an `EncoderDecoderBlock`. */
export function encoderDecoderBlock(all: FilledEncoderDecoderBlockOptions): LayerNest[] {
  const { dModel, nHeads, attentionType, maxLen, dropout, centerLayernorm: center, epsilon, mode } = all;
  const given = attentionOptions(nHeads, dropout, mode, shared(dModel, nHeads));
  const half = (attentionLayer: Layer): Layer =>
    ReversibleHalfResidual(LayerNorm({ center, epsilon }), { attentionLayer });
  return [
    half(remembering(maxLen)({ ...given, causal: true, masked: false })),
    ReversibleSwap(),
    half(withoutMask(applyAttention(attentionType, dModel, 0, { ...given, masked: true }))),
    ReversibleSwap(),
    ReversibleHalfResidual(feedForward(dModel, all)),
    ReversibleSwap(),
  ];
}
