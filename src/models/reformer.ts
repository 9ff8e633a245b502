/**
 * The Reformer: a Transformer whose memory for activations does not grow with depth (https://arxiv.org/abs/2001.04451).
 *
 * @module
 */
import {
  AssertFunction,
  CausalConv,
  Concatenate,
  Dense,
  Dropout,
  Dup,
  Embedding,
  FastGelu,
  Fn,
  LayerNorm,
  Relu,
  ReversibleHalfResidual,
  ReversibleSerial,
  ReversibleSwap,
  Select,
  SelfAttention,
  Serial,
  ShiftRight,
  SRU,
} from '../generated/index.js';
import { type Layer, type Mode } from '../layer.js';
import { type Tensor } from '../tensor.js';
import { type LayerFactory, type LayerNest } from '../types.js';
import { applyAttention, type AttentionType, feedForward, positionalEncoder, type PositionOptions } from './blocks.js';

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

/** Reversible decoder blocks: attention, then feed-forward, each into the half that the other reads. */
function decoderBlocks(options: ReformerLMOptions): LayerNest[] {
  const { dModel = 512, dFf = 2048, dAttentionKey = 64, dAttentionValue = 64, nLayers = 6, nHeads = 8 } = options;
  const { dropout = 0.1, ffActivation = FastGelu, ffChunkSize = 0, attentionChunkSize = 0, mode = 'train' } = options;
  const types = ([] as AttentionType[]).concat(options.attentionType ?? SelfAttention);
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

/** Options of {@link ReformerShortenLM}. */
export interface ReformerShortenLMOptions extends Omit<ReformerLMOptions, 'mode'> {
  /** How many positions become one; it divides the length. @defaultValue `1` */
  readonly shortenFactor?: number;
  /** Depth of the embedding, and of what the logits come from. @defaultValue `256` */
  readonly dEmbedding?: number;
  /** Positions cannot be computed one after another, as several of them are one. @defaultValue `'train'` */
  readonly mode?: Exclude<Mode, 'predict'>;
}

/**
 * A language model whose reversible blocks see a shorter sequence: groups of `shortenFactor` positions are joined before them and
 * taken apart after them, when a convolution and a recurrent layer see to what is within a group.
 *
 * Input `int32[batch, length]`, ids below `vocabSize`, 0 for padding; output `float32[batch, length, vocabSize]`. The input is shifted to
 * the right inside, so position `t` of the output rests on positions before `t` only.
 *
 * @param vocabSize - Number of different tokens.
 * @param options - See the options type.
 */
export function ReformerShortenLM(vocabSize: number, options: ReformerShortenLMOptions = {}): Layer {
  const { shortenFactor = 1, dEmbedding = 256, dModel = 512, dropout = 0.1, mode = 'train' } = options;
  const drop = (): Layer => Dropout({ rate: dropout, sharedAxes: [-2], mode });
  const grouped = (x: Tensor): Tensor => x.reshape([x.shape[0]!, x.shape[1]! / shortenFactor, shortenFactor * x.shape[2]!]);
  const apart = (x: Tensor): Tensor => x.reshape([x.shape[0]!, x.shape[1]! * shortenFactor, x.shape[2]! / shortenFactor]);
  return Serial(
    ShiftRight({ mode }),
    Embedding(vocabSize, dEmbedding),
    drop(),
    positionalEncoder(mode, dropout, options),
    Dup(),
    // A group must not see its own positions: shifted by one in all, its last would.
    shortenFactor > 1 ? ShiftRight({ nPositions: shortenFactor - 1 }) : [],
    Fn('Shorten', grouped),
    Dense(dModel),
    Dup(),
    ReversibleSerial(decoderBlocks(options)),
    Select([0], { nIn: 2 }),
    LayerNorm(),
    drop(),
    Dense(shortenFactor * dEmbedding),
    Fn('ProlongBack', apart),
    Concatenate(),
    CausalConv(dEmbedding),
    Relu(),
    SRU(dEmbedding),
    Dense(vocabSize),
  );
}
