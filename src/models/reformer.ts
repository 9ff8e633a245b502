/**
 * The Reformer: a Transformer whose memory for activations does not grow with depth (https://arxiv.org/abs/2001.04451).
 *
 * @module
 */
import {
  AssertFunction,
  Concatenate,
  Dense,
  Dropout,
  Dup,
  Embedding,
  FastGelu,
  LayerNorm,
  ReversibleHalfResidual,
  ReversibleSerial,
  ReversibleSwap,
  Serial,
  ShiftRight,
} from '../generated/index.js';
import { type Layer, makeLayer, type Mode } from '../layer.js';
import { type LayerFactory, type LayerNest } from '../types.js';
import { applyAttention, type AttentionOptions, type AttentionType, feedForward, positionalEncoder, type PositionOptions } from './blocks.js';

/** Options of {@link ReformerLM}. */
export interface ReformerLMOptions extends PositionOptions {
  /** Depth of each half of the activations between blocks. @defaultValue `512` */
  readonly dModel?: number;
  /** Depth inside the feed-forward part of a block. @defaultValue `2048` */
  readonly dFf?: number;
  /** Depth of queries and keys in each head. @defaultValue `64` */
  readonly dAttentionKey?: number;
  /** Depth of values in each head. @defaultValue `64` */
  readonly dAttentionValue?: number;
  /** Number of decoder blocks. @defaultValue `6` */
  readonly nLayers?: number;
  /** Number of attention heads. @defaultValue `8` */
  readonly nHeads?: number;
  /** Probability of dropping an activation, in training. @defaultValue `0.1` */
  readonly dropout?: number;
  /** Makes the attention of a block, such as `SelfAttention` or `CausalAttention`; several take turns. @defaultValue `SelfAttention` */
  readonly attentionType?: AttentionType | readonly AttentionType[];
  /** Makes the activation of the feed-forward part. @defaultValue `FastGelu` */
  readonly ffActivation?: LayerFactory;
  /** Computes this many positions of the feed-forward part at once, to save memory; 0: all. @defaultValue `0` */
  readonly ffChunkSize?: number;
  /** Computes attention in chunks of this many positions, which do not see each other; 0: no chunks. @defaultValue `0` */
  readonly attentionChunkSize?: number;
  /** `'predict'` computes one position after another, and keeps what is past in its state. @defaultValue `'train'` */
  readonly mode?: Mode;
}

/** The attention of the Reformer's plain blocks. */
const selfAttention = (options: AttentionOptions): Layer => makeLayer('SelfAttention', options);

/** Reversible decoder blocks: attention, then feed-forward, each into the half that the other reads. */
function decoderBlocks(options: ReformerLMOptions): LayerNest[] {
  const { dModel = 512, dFf = 2048, dAttentionKey = 64, dAttentionValue = 64, nLayers = 6, nHeads = 8 } = options;
  const { dropout = 0.1, ffActivation = FastGelu, ffChunkSize = 0, attentionChunkSize = 0, mode = 'train' } = options;
  const types = ([] as AttentionType[]).concat(options.attentionType ?? selfAttention);
  if (types.length === 0 || nLayers % types.length !== 0) {
    throw new RangeError(`nLayers must be a multiple of the ${types.length} attention types, got ${nLayers}`);
  }
  const attention = (type: AttentionType): Layer =>
    applyAttention(type, dModel, attentionChunkSize, {
      nHeads,
      dQk: dAttentionKey,
      dV: dAttentionValue,
      causal: true,
      masked: false,
      attentionDropout: dropout,
      outputDropout: dropout,
      mode,
    });
  return Array.from({ length: nLayers }, (_, i) => [
    ReversibleHalfResidual(LayerNorm(), {
      attentionLayer: attention(types[i % types.length]!),
      name: 'ReversibleHalfResidualDecoderAttn',
    }),
    ReversibleSwap(),
    ReversibleHalfResidual(feedForward(dModel, { dFf, dropout, ffActivation, ffChunkSize, mode }), {
      name: 'ReversibleHalfResidualDecoderFF',
    }),
    ReversibleSwap(),
  ]);
}

/**
 * A language model of reversible blocks: from each sequence of tokens, the logits of every token given those before it.
 *
 * Input `int32[batch, length]`, ids below `vocabSize`, 0 for padding; output `float32[batch, length, vocabSize]`. The input is shifted to
 * the right inside, so position `t` of the output rests on positions before `t` only.
 *
 * @param vocabSize - Number of different tokens.
 * @param options - See the options type.
 */
export function ReformerLM(vocabSize: number, options: ReformerLMOptions = {}): Layer {
  const { dModel = 512, dropout = 0.1, mode = 'train' } = options;
  const drop = (): Layer => Dropout({ rate: dropout, sharedAxes: [-2], mode });
  return Serial(
    ShiftRight({ mode }),
    Embedding(vocabSize, dModel),
    drop(),
    positionalEncoder(mode, dropout, options),
    Dup(),
    ReversibleSerial(decoderBlocks(options)),
    Concatenate(),
    LayerNorm(),
    drop(),
    AssertFunction('...a->...b', Dense(vocabSize)),
  );
}
