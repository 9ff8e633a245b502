/**
 * The Transformer of "Attention Is All You Need" (https://arxiv.org/abs/1706.03762).
 *
 * @module
 */
import {
  CausalAttention,
  Dense,
  Dropout,
  Embedding,
  LayerNorm,
  PositionalEncoding,
  Relu,
  Residual,
  Serial,
  ShiftRight,
} from '../generated/index.js';
import { type Layer, type Mode } from '../layer.js';
import { type LayerFactory } from '../types.js';

/** Options of {@link TransformerLM}. */
export interface TransformerLMOptions {
  /** Depth of the activations between blocks. @defaultValue `512` */
  readonly dModel?: number;
  /** Depth inside the feed-forward part of a block. @defaultValue `2048` */
  readonly dFf?: number;
  /** Number of decoder blocks. @defaultValue `6` */
  readonly nLayers?: number;
  /** Number of attention heads; it divides `dModel`. @defaultValue `8` */
  readonly nHeads?: number;
  /** The most positions that can be encoded. @defaultValue `2048` */
  readonly maxLen?: number;
  /** Probability of dropping an activation, in training. @defaultValue `0.1` */
  readonly dropout?: number;
  /** Axes along which a dropout mask is shared. @defaultValue `null` */
  readonly dropoutSharedAxes?: readonly number[] | null;
  /** `'predict'` computes one position after another, and keeps what is past in its state. @defaultValue `'train'` */
  readonly mode?: Mode;
  /** Makes the activation of the feed-forward part. @defaultValue `Relu` */
  readonly ffActivation?: LayerFactory;
}

/**
 * A language model: from each sequence of tokens, the logits of every token given those before it.
 *
 * Input `int32[batch, length]`, ids below `vocabSize`, 0 for padding; output `float32[batch, length, vocabSize]`. The input is shifted to
 * the right inside, so position `t` of the output rests on positions before `t` only.
 *
 * @param vocabSize - Number of different tokens.
 * @param options - See the options type.
 */
export function TransformerLM(vocabSize: number, options: TransformerLMOptions = {}): Layer {
  const { dModel = 512, dFf = 2048, nLayers = 6, nHeads = 8, maxLen = 2048, dropout = 0.1 } = options;
  const { dropoutSharedAxes = null, mode = 'train', ffActivation = Relu } = options;

  const drop = (): Layer => Dropout({ rate: dropout, sharedAxes: dropoutSharedAxes, mode });
  const attention = (): Layer => Residual(LayerNorm(), CausalAttention(dModel, { nHeads, dropout, mode }), drop());
  const feedForward = (): Layer => Residual(LayerNorm(), Dense(dFf), ffActivation(), drop(), Dense(dModel), drop());

  return Serial(
    ShiftRight({ mode }),
    Embedding(vocabSize, dModel),
    drop(),
    PositionalEncoding({ maxLen, mode }),
    Array.from({ length: nLayers }, () => [attention(), feedForward()]),
    LayerNorm(),
    Dense(vocabSize),
  );
}
