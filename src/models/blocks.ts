/**
 * Parts that several models are made of.
 *
 * @module
 */
import {
  AssertFunction,
  AxialPositionalEncoding,
  BatchLeadingAxes,
  Chunk,
  Dense,
  Dropout,
  FixedBasePositionalEncoding,
  InfinitePositionalEncoding,
  LayerNorm,
  PositionalEncoding,
  Serial,
  SinCosPositionalEncoding,
} from '../generated/index.js';
import { type Layer, type Mode } from '../layer.js';
import { type LayerFactory, type LayerNest } from '../types.js';

/** How positions are told apart: by a trainable table (`null`), one of the encodings of `positionEncodings`, or not at all. */
export type PositionType = 'sin-cos' | 'fixed-base' | 'infinite' | 'infinite-affine' | 'axial' | 'no' | '' | null;

/** Options of models that encode positions. */
export interface PositionOptions {
  /** The most positions that a table can encode. @defaultValue `2048` */
  readonly maxLen?: number;
  /** How positions are told apart. @defaultValue `null` */
  readonly posType?: PositionType;
  /** Size of the grid, for `'axial'`. @defaultValue `[]` */
  readonly posAxialShape?: readonly number[] | null;
  /** Features that each axis of the grid gives, for `'axial'`; they add up to the depth. @defaultValue `null` */
  readonly posDAxialEmbs?: readonly number[] | null;
  /** Probability of starting at position 0 in training, for a table. @defaultValue `1` */
  readonly posStartFromZeroProb?: number;
  /** Random starts lie below this position, for a table. @defaultValue `0` */
  readonly posMaxOffsetToAdd?: number;
}

/** What attention is made with in `applyAttention`. */
export interface AttentionOptions {
  /** Number of heads. */
  readonly nHeads: number;
  /** Depth of queries and keys in each head. */
  readonly dQk: number;
  /** Depth of values in each head. */
  readonly dV: number;
  /** Whether a position sees those before it only. */
  readonly causal: boolean;
  /** Whether a mask comes as a second input. */
  readonly masked: boolean;
  /** Probability of dropping an attention weight. */
  readonly attentionDropout: number;
  /** Probability of dropping an output. */
  readonly outputDropout: number;
  /** How the layer behaves. */
  readonly mode: Mode;
}

/** What `applyAttention` gives layers that are made with their depth first, such as `CausalAttention`. */
export type PlainAttentionOptions = Pick<AttentionOptions, 'nHeads' | 'mode'> & {
  /** Rate at which attention weights are dropped. */
  readonly dropout: number;
};

/**
 * Makes an attention layer: of its options, as `SelfAttention`; or, if it takes two arguments, of the depth of the model and
 * fewer options, as `CausalAttention`.
 */
export type AttentionType = ((options: AttentionOptions) => Layer) | ((dModel: number, options: PlainAttentionOptions) => Layer);

/** The layer that adds positions. */
export function positionalEncoder(mode: Mode, dropout: number, options: PositionOptions): Layer {
  const { maxLen = 2048, posType = null, posAxialShape = [], posDAxialEmbs = null } = options;
  const { posStartFromZeroProb: startFromZeroProb = 1, posMaxOffsetToAdd: maxOffsetToAdd = 0 } = options;
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
      default: {
        const shape = posAxialShape ?? [];
        const dropoutBroadcastDims = shape.map((_, axis) => axis + 1);
        return AxialPositionalEncoding({ shape, dEmbs: posDAxialEmbs ?? [], dropoutBroadcastDims, dropout, mode });
      }
    }
  };
  return AssertFunction('...d->...d', encoder());
}

/** An attention layer of a type, in chunks of `chunkSize` positions if that is above 0. */
export function applyAttention(type: AttentionType, dModel: number, chunkSize: number, options: AttentionOptions): Layer {
  const { nHeads, mode, attentionDropout: dropout } = options;
  const attention =
    type.length < 2
      ? (type as (options: AttentionOptions) => Layer)(options)
      : (type as (dModel: number, options: PlainAttentionOptions) => Layer)(dModel, { nHeads, dropout, mode });
  return Chunk(attention, chunkSize);
}

/** Options of `feedForward`. */
export interface FeedForwardOptions {
  /** Depth inside. */
  readonly dFf: number;
  /** Probability of dropping an output. */
  readonly dropout: number;
  /** Probability of dropping what goes into the activation; `null`: as for outputs. */
  readonly ffDropout?: number | null;
  /** Makes the activation. */
  readonly ffActivation: LayerFactory;
  /** Computes this many positions at once, to save memory; 0: all. */
  readonly ffChunkSize: number;
  /** How the layers behave. */
  readonly mode: Mode;
}

/** A block of two dense layers, with layer normalization at its start. */
export function feedForward(dModel: number, options: FeedForwardOptions): LayerNest {
  const { dFf, dropout, ffActivation, ffChunkSize, mode } = options;
  const drop = (rate: number): Layer => Dropout({ rate, sharedAxes: [-2], mode });
  const inner = [Dense(dFf), drop(options.ffDropout ?? dropout), ffActivation(), Dense(dModel)];
  const block = [LayerNorm(), ...inner, drop(dropout)];
  return ffChunkSize > 0 ? BatchLeadingAxes(Chunk(Serial(block), ffChunkSize)) : block;
}
