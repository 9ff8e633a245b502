/**
 * The reversible blocks of the Reformer, as lists of layers for a `ReversibleSerial`.
 *
 * Activations are a pair of equal parts: each layer adds to one what it makes of the other, so its inputs follow from its outputs, and
 * none need be kept for the backward pass. Sources: Kitaev et al. 2020, arXiv:2001.04451; Gomez et al. 2017, arXiv:1707.04585.
 *
 * @module
 */
import {
  EncDecAttention,
  FastGelu,
  Fn,
  LayerNorm,
  Parallel,
  ReversibleHalfResidual,
  ReversibleSwap,
  Select,
  SelfAttention,
  Serial,
} from '../generated/index.js';
import { type Layer } from '../layer/layer.js';
import { type Tensor } from '../tensor/tensor.js';
import { type LayerNest } from '../layer/types.js';
import {
  applyAttention,
  attentionOptions,
  type AttentionType,
  feedForward,
  feedForwardDefaults,
  type FeedForwardOptions,
  filledIn,
  remembering,
  several,
  shared,
} from './blocks.js';

/** Options of {@link DecoderBlock}. */
export interface DecoderBlockOptions extends FeedForwardOptions {
  /** Depth of queries and keys in each head. @defaultValue `64` */
  readonly dAttentionKey?: number;
  /** Depth of values in each head. @defaultValue `64` */
  readonly dAttentionValue?: number;
  /** Number of attention heads. @defaultValue `8` */
  readonly nHeads?: number;
  /** Makes the attention. @defaultValue `SelfAttention`, which remembers `maxLen` positions in predict mode */
  readonly attentionType?: AttentionType;
  /** How many positions there may be. @defaultValue `2048` */
  readonly maxLen?: number;
  /** Computes attention in chunks of this many positions, which do not see each other; 0: no chunks. @defaultValue `0` */
  readonly attentionChunkSize?: number;
  /** How many attention layers come first in a block. @defaultValue `1` */
  readonly nAttentionLayers?: number;
  /** How many feed-forward parts come after them. @defaultValue `1` */
  readonly nFeedforwardLayers?: number;
}

/** What {@link DecoderBlockOptions} are if left out. */
export const decoderBlockDefaults: Required<DecoderBlockOptions> = {
  ...feedForwardDefaults,
  dAttentionKey: 64,
  dAttentionValue: 64,
  nHeads: 8,
  attentionType: SelfAttention,
  maxLen: 2048,
  ffActivation: FastGelu,
  attentionChunkSize: 0,
  nAttentionLayers: 1,
  nFeedforwardLayers: 1,
};

/** {@link DecoderBlock} with all options given. */
export function decoderBlock(dModel: number, options: Required<DecoderBlockOptions>): LayerNest[] {
  const { dAttentionKey: dQk, dAttentionValue: dV, nHeads, attentionType, attentionChunkSize, dropout, mode } = options;
  const { maxLen, nAttentionLayers, nFeedforwardLayers, centerLayernorm: center, epsilon } = options;
  const type = attentionType === SelfAttention ? remembering(maxLen) : attentionType;
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
  return [
    ...several('DecoderBlock', 'nAttentionLayers', nAttentionLayers, attention),
    ...several('DecoderBlock', 'nFeedforwardLayers', nFeedforwardLayers, dense),
  ];
}

/**
 * A block of a reversible decoder: causal attention, then feed-forward.
 *
 * Formula: `a' = a + attention(norm(b))`, `b' = b + feedForward(norm(a'))`, from `(a, b)` to `(a', b')`, both `(batch, length, dModel)`.
 *
 * @param dModel - Depth of each part of the activations.
 * @param options - See the options type.
 */
export function DecoderBlock(dModel: number, options: DecoderBlockOptions = {}): LayerNest[] {
  return decoderBlock(dModel, filledIn('DecoderBlock', decoderBlockDefaults, options));
}

/** Options of {@link EncoderBlock}. */
export interface EncoderBlockOptions extends FeedForwardOptions {
  /** Number of attention heads. @defaultValue `8` */
  readonly nHeads?: number;
  /** Makes the attention, which takes a mask. @defaultValue `SelfAttention` */
  readonly attentionType?: AttentionType;
  /** Computes attention in chunks of this many positions, which do not see each other; 0: no chunks. @defaultValue `0` */
  readonly attentionChunkSize?: number;
  /** Whether the parts are swapped after the feed-forward part too, and not after attention only. @defaultValue `true` */
  readonly useTwoSwapsPerBlock?: boolean;
}

const encoderBlockDefaults: Required<EncoderBlockOptions> = {
  ...feedForwardDefaults,
  nHeads: 8,
  attentionType: SelfAttention,
  attentionChunkSize: 0,
  useTwoSwapsPerBlock: true,
};

/** Gives the mask of the tokens the axes that attention of the module `attention` wants, and drops the mask it returns. */
function withoutMask(attention: Layer): Layer {
  if (attention.nOut !== 2) return attention;
  const insertAxes = Fn('InsertAxes12', (mask: Tensor) => mask.expandDims(1).expandDims(2));
  const inputs = attention.nIn === 2 ? Parallel([], insertAxes) : [Parallel([], [], insertAxes), Select([0, 1, 1, 2])];
  return Serial(inputs, attention, Select([0], { nIn: 2 }));
}

/**
 * A block of a reversible encoder: attention to all positions that a mask shows, then feed-forward.
 *
 * Formula: `a' = a + attention(norm(b), mask)`, `b' = b + feedForward(norm(a'))`, from `(a, b, mask)` to `(a', b', mask)`, where `a` and `b` are
 * `(batch, length, dModel)`, and `mask` is `(batch, length)`, true for what is no padding. Heads are `dModel / nHeads` deep. An encoder never
 * works step by step, so the mode `'predict'` is `'eval'`.
 *
 * @param dModel - Depth of each part of the activations.
 * @param options - See the options type.
 */
export function EncoderBlock(dModel: number, options: EncoderBlockOptions = {}): LayerNest[] {
  const all = filledIn('EncoderBlock', encoderBlockDefaults, options);
  const {
    nHeads,
    attentionType,
    attentionChunkSize,
    useTwoSwapsPerBlock,
    dropout,
    centerLayernorm: center,
    epsilon,
  } = all;
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

/** Options of {@link EncoderDecoderBlock}. */
export interface EncoderDecoderBlockOptions extends FeedForwardOptions {
  /** Number of attention heads. @defaultValue `8` */
  readonly nHeads?: number;
  /** Makes the attention to the encoder's vectors, such as `AttentionQKV`. @defaultValue `EncDecAttention` */
  readonly attentionType?: AttentionType;
  /** How many positions there may be. @defaultValue `2048` */
  readonly maxLen?: number;
}

const encoderDecoderBlockDefaults: Required<EncoderDecoderBlockOptions> = {
  ...feedForwardDefaults,
  nHeads: 8,
  attentionType: EncDecAttention,
  maxLen: 2048,
};

/**
 * A block of a reversible decoder that reads what an encoder made: causal attention, attention to the encoder's vectors, feed-forward.
 *
 * Formula: `a' = a + attention(norm(b))`, `b' = b + encDecAttention(norm(a'), e, mask)`, `a'' = a' + feedForward(norm(b'))`, from `(a, b, e, mask)` to
 * `(b', a'', e, mask)`, where `a` and `b` are `(batch, length, dModel)`, `e` is `(batch, source length, dModel)` and `mask` `(batch, source length)`, true
 * for what is no padding. Heads are `dModel / nHeads` deep.
 * As in Trax, `EncDecAttention` adds up all vectors of `e` that are no padding, unweighed; `AttentionQKV` weighs them.
 *
 * @param dModel - Depth of each part of the activations.
 * @param options - See the options type.
 */
export function EncoderDecoderBlock(dModel: number, options: EncoderDecoderBlockOptions = {}): LayerNest[] {
  const all = filledIn('EncoderDecoderBlock', encoderDecoderBlockDefaults, options);
  const { nHeads, attentionType, maxLen, dropout, centerLayernorm: center, epsilon, mode } = all;
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
