/**
 * Parts that several models are made of.
 *
 * @module
 */
import { native } from '../bridge/native.js';
import {
  AssertFunction,
  AxialPositionalEncoding,
  BatchLeadingAxes,
  BlockSparseFF,
  CausalAttention,
  Chunk,
  ConvCausalAttention,
  Dense,
  Dropout,
  Embedding,
  FixedBasePositionalEncoding,
  InfinitePositionalEncoding,
  LayerNorm,
  LowRankCausalAttention,
  ModularCausalAttention,
  MultiplicativeCausalAttention,
  MultiplicativeConvCausalAttention,
  MultiplicativeModularCausalAttention,
  PositionalEncoding,
  Residual,
  SelfAttention,
  Serial,
  SinCosPositionalEncoding,
  SparseDenseWithOptions,
  SparseFF,
  SRU,
  SwitchSparseFF,
} from '../generated/index.js';
import {
  type FilledBlockOptions,
  type FilledConfigurableOptions,
  type FilledFeedForwardOptions,
  type FilledLossOptions,
  type FilledPositionOptions,
  type FilledPositionStartOptions,
} from '../generated/models.js';
import { type Layer, type Mode } from '../layer/layer.js';
import { type LayerFactory, type LayerNest } from '../layer/types.js';

/**
 * How positions are told apart: by a trainable table (`null` or `''`), by an encoding of the module `positionEncodings`, or not at all
 * (`'no'`).
 */
export type PositionType = FilledPositionOptions['posType'];

/** As many of what `make` gives as asked for. */
export function several<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index));
}

/** What an attention layer is made with by a model. */
export interface AttentionOptions {
  /** Number of heads. */
  readonly nHeads: number;
  /** Depth of queries and keys in each head. */
  readonly dQk: number;
  /** Depth of values in each head. */
  readonly dV: number;
  /** Whether a position sees those before it only; left out for attention to other vectors. */
  readonly causal?: boolean;
  /** Whether a mask comes as the last input. */
  readonly masked: boolean;
  /** Probability of dropping an attention weight. */
  readonly attentionDropout: number;
  /** Probability of dropping an output. */
  readonly outputDropout: number;
  /** How the layer behaves. */
  readonly mode: Mode;
}

/** What layers that are made with their depth first, such as `CausalAttention`, are made with by a model. */
export type PlainAttentionOptions = Pick<AttentionOptions, 'nHeads' | 'mode'> & {
  /** Rate at which attention weights are dropped. */
  readonly dropout: number;
};

/**
 * Makes an attention layer: of its options, as `SelfAttention`; or, if it has two parameters, of the depth of the model and
 * fewer options, as `CausalAttention`.
 */
export type AttentionType =
  ((options: AttentionOptions) => Layer) | ((dModel: number, options: PlainAttentionOptions) => Layer);

/** The layer that adds positions. */
export function positionalEncoder(
  mode: Mode,
  dropout: number,
  options: FilledPositionOptions & Partial<FilledPositionStartOptions>,
): Layer {
  const { maxLen, posType, posAxialShape, posDAxialEmbs } = options;
  const { posStartFromZeroProb: startFromZeroProb, posMaxOffsetToAdd: maxOffsetToAdd } = options;
  const encoder = (): Layer => {
    switch (posType) {
      case null:
      case '':
        return PositionalEncoding({ maxLen, dropout, startFromZeroProb, maxOffsetToAdd, mode });
      case 'sin-cos':
        return SinCosPositionalEncoding({ mode });
      case 'fixed-base':
        return FixedBasePositionalEncoding({ mode });
      case 'infinite':
        return InfinitePositionalEncoding({ affine: false, mode });
      case 'infinite-affine':
        return InfinitePositionalEncoding({ mode });
      case 'no':
        return Serial();
      case 'axial': {
        const shape = posAxialShape ?? [];
        const dropoutBroadcastDims = shape.map((_, axis) => axis + 1);
        return AxialPositionalEncoding({ shape, dEmbs: posDAxialEmbs ?? [], dropoutBroadcastDims, dropout, mode });
      }
    }
  };
  return AssertFunction('...d->...d', encoder());
}

/** What turns tokens into vectors: an embedding and dropout. */
export function embedder(
  vocabSize: number,
  dModel: number,
  dropout: number,
  mode: Mode,
  sharedAxes: readonly number[] | null = [-2],
): Layer[] {
  return [Embedding(vocabSize, dModel), Dropout({ rate: dropout, sharedAxes, mode })];
}

/** Options that attention of every kind takes. */
export function attentionOptions(
  nHeads: number,
  dropout: number,
  mode: Mode,
  depths: Pick<AttentionOptions, 'dQk' | 'dV'>,
) {
  return { nHeads, ...depths, attentionDropout: dropout, outputDropout: dropout, mode };
}

/** Depths of heads that together are as deep as the model. */
export function shared(dModel: number, nHeads: number): Pick<AttentionOptions, 'dQk' | 'dV'> {
  const depth = Math.floor(dModel / nHeads);
  return { dQk: depth, dV: depth };
}

/** An attention layer of a type. */
function attention(type: AttentionType, dModel: number, options: AttentionOptions): Layer {
  const { nHeads, mode, attentionDropout: dropout } = options;
  const byName = (): Layer => (type as (options: AttentionOptions) => Layer)(options);
  const byPlace = (): Layer =>
    (type as (dModel: number, options: PlainAttentionOptions) => Layer)(dModel, { nHeads, dropout, mode });
  if (type.length > 0) return type.length < 2 ? byName() : byPlace();
  // A function of rest parameters does not say which it is; Trax tries all in this way.
  try {
    return byName();
  } catch (error) {
    try {
      return byPlace();
    } catch {
      throw error;
    }
  }
}

/** An attention layer of a type, in chunks of `chunkSize` positions if that is above 0. */
export function applyAttention(
  type: AttentionType,
  dModel: number,
  chunkSize: number,
  options: AttentionOptions,
): Layer {
  return Chunk(attention(type, dModel, options), chunkSize);
}

/** Causal self-attention that remembers so many positions in predict mode; by itself it remembers what chunks can see, and needs chunks. */
export function remembering(positions: number): (options: AttentionOptions) => Layer {
  return (options) => SelfAttention({ ...options, predictMemLen: positions, predictDropLen: 1 });
}

/** What stands in for a dense feed-forward part: units or experts of which few are active, chosen in three ways. */
export type FeedForwardSparsity = FilledConfigurableOptions['ffSparsityType'];

/** What the feed-forward part of a block is made with; what is left out is as the layers have it. */
export interface FeedForwardParts extends FilledFeedForwardOptions, Partial<FilledBlockOptions> {
  /** Makes the activation. */
  readonly ffActivation: LayerFactory;
  /** How the layers behave. */
  readonly mode: Mode;
}

/** What a feed-forward part of some models is made with, and is always the same in others. */
export interface FeedForwardKind {
  /** Axes along which the dropout mask of its result is shared. */
  readonly dropoutSharedAxes: readonly number[] | null;
  /** What `ffSparsity` makes of it. */
  readonly ffSparsityType: FeedForwardSparsity;
}

const reformerKind: FeedForwardKind = { dropoutSharedAxes: [-2], ffSparsityType: '1inN' };

/** The sparse feed-forward layer of `ffSparsity`. */
function sparseFF(options: FeedForwardParts, dropoutSharedAxes: readonly number[] | null): Layer {
  const { dFf, dropout: dropoutRate, ffSparsity, ffChunkSize, useBfloat16, mode } = options;
  const given: readonly number[] =
    typeof ffSparsity === 'number' ? [ffSparsity, Math.floor(dFf / ffSparsity)] : ffSparsity;
  const [nElementsInBlock, dLowrank, temperature, quantProb] = given;
  const noise = { temperature, quantProb };
  return SparseFF(dFf, {
    nElementsInBlock,
    dLowrank,
    ...noise,
    useBfloat16,
    mode,
    dropoutRate,
    dropoutSharedAxes,
    ffChunkSize,
  });
}

/** The feed-forward part of a block, and beside it recurrent layers, where asked for. */
export function feedForward(
  dModel: number,
  options: FeedForwardParts,
  kind: FeedForwardKind = reformerKind,
): LayerNest {
  const { ffUseSru, centerLayernorm: center, epsilon, mode } = options;
  const block = feedForwardBlock(dModel, options, kind);
  const [layers, units] = ffUseSru;
  if (layers === 0) return block;
  const recurrent = several(layers, () => SRU(units, { mode }));
  return Residual(LayerNorm({ center, epsilon }), Dense(units), recurrent, Dense(dModel), { shortcut: block });
}

/** Layer normalization, what is between two depths, dropout. */
function feedForwardBlock(dModel: number, options: FeedForwardParts, kind: FeedForwardKind): LayerNest {
  const { dFf, dropout: rate, ffSparsity, ffChunkSize, centerLayernorm: center, epsilon, mode } = options;
  const { ffSparsityType: type, dropoutSharedAxes: sharedAxes } = kind;
  const inner = (): LayerNest => {
    if (ffSparsity === 0 || typeof ffSparsity !== 'number') return dense(dModel, options);
    const make = type === 'Block' ? BlockSparseFF : SwitchSparseFF;
    return make(dFf, { nExperts: ffSparsity, mode });
  };
  if (ffSparsity !== 0 && type === '1inN') return [LayerNorm({ center, epsilon }), sparseFF(options, sharedAxes)];
  const block = [LayerNorm({ center, epsilon }), inner(), Dropout({ rate, sharedAxes, mode })];
  return ffChunkSize === 0 ? block : BatchLeadingAxes(Chunk(Serial(block), ffChunkSize));
}

/** Two dense layers with an activation between them; nested as in the reference, which shows where the list is printed. */
function dense(dModel: number, options: FeedForwardParts): LayerNest {
  const { dFf, dropout, ffActivation, ffDropout, useBfloat16, mode } = options;
  const drop = Dropout({ rate: ffDropout ?? dropout, sharedAxes: [-2], mode });
  return [Dense(dFf, { useBfloat16 }), drop, ffActivation(), Dense(dModel, { useBfloat16 })];
}

/** The layer that makes logits of vectors that are `dInput` deep. */
export function logits(vocabSize: number, dInput: number, mode: Mode, options: FilledLossOptions): Layer {
  return SparseDenseWithOptions(vocabSize, {
    dInput,
    sparsityType: options.lossSparsityType,
    sparsity: options.lossSparsity,
    dLowrank: options.lossDLowrank,
    probSparse: options.lossSparsityProb,
    mode,
  });
}

/** Options of causal attention that a model of so many positions has beside others: room for all of them in predict mode. */
export function roomFor(maxLen: number): { maxInferenceLength: number } {
  return { maxInferenceLength: native.roomOfModel(maxLen) };
}

/** Types of attention that have room for a given number of positions in predict mode. */
const ROOMY: ((dFeature: number, options: PlainAttentionOptions & { maxInferenceLength: number }) => Layer)[] = [
  CausalAttention,
  ModularCausalAttention,
  ConvCausalAttention,
  LowRankCausalAttention,
  MultiplicativeCausalAttention,
  MultiplicativeModularCausalAttention,
  MultiplicativeConvCausalAttention,
];

/** The type itself, or where it has room for a given number of positions in predict mode, with room for all of a model. */
export function withRoom(type: AttentionType, maxLen: number): AttentionType {
  const roomy = ROOMY.find((known) => known === type);
  if (roomy === undefined) return type;
  return (dModel: number, options: PlainAttentionOptions) => roomy(dModel, { ...options, ...roomFor(maxLen) });
}
