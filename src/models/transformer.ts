/**
 * The Transformer of "Attention Is All You Need" (https://arxiv.org/abs/1706.03762): each part of a block adds to its input what layers
 * make of it, normalized.
 *
 * @module
 */
import {
  Attention,
  AttentionQKV,
  Branch,
  Cache,
  CausalAttention,
  Dense,
  Dropout,
  Embedding,
  EncoderDecoderMask,
  LayerNorm,
  Mean,
  PaddingMask,
  PositionalEncoding,
  Relu,
  Residual,
  Select,
  Serial,
  ShiftRight,
} from '../generated/index.js';
import { type Layer, type Mode, wholeSequences } from '../layer/layer.js';
import { ofArity } from './arity.js';
import { type Tensor } from '../tensor/tensor.js';
import { type LayerFactory, type LayerNest } from '../layer/types.js';
import { filledIn, several } from './blocks.js';

/** Options that all Transformers have. */
export interface TransformerCommonOptions {
  /** Depth of the activations between blocks. @defaultValue `512` */
  readonly dModel?: number;
  /** Depth inside the feed-forward part of a block. @defaultValue `2048` */
  readonly dFf?: number;
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

const common: Required<TransformerCommonOptions> = {
  dModel: 512,
  dFf: 2048,
  nHeads: 8,
  maxLen: 2048,
  dropout: 0.1,
  dropoutSharedAxes: null,
  mode: 'train',
  ffActivation: Relu,
};

/** The parts of the blocks. */
class Parts {
  constructor(readonly options: Required<TransformerCommonOptions>) {}

  drop(): Layer {
    const { dropout: rate, dropoutSharedAxes: sharedAxes, mode } = this.options;
    return Dropout({ rate, sharedAxes, mode });
  }

  /** A residual around normalization, layers and dropout. */
  around(...layers: LayerNest[]): Layer {
    return Residual(LayerNorm(), layers, this.drop());
  }

  feedForward(): Layer {
    const { dFf, dModel, ffActivation } = this.options;
    return this.around(Dense(dFf), ffActivation(), this.drop(), Dense(dModel));
  }

  /** From `(vectors, mask)` to the same. */
  encoderBlock(): LayerNest {
    const { dModel, nHeads, dropout, mode } = this.options;
    return [this.around(Attention(dModel, { nHeads, dropout, mode })), this.feedForward()];
  }

  /** From vectors to vectors. */
  decoderBlock(): LayerNest {
    const { dModel, nHeads, dropout, mode } = this.options;
    return [this.around(CausalAttention(dModel, { nHeads, dropout, mode })), this.feedForward()];
  }

  /** From `(vectors, mask, the encoder's vectors)` to the same. */
  encoderDecoderBlock(): LayerNest {
    const { dModel, nHeads, dropout, mode } = this.options;
    return [
      this.around(CausalAttention(dModel, { nHeads, mode })),
      this.around(Select([0, 2, 2, 1, 2]), AttentionQKV(dModel, { nHeads, dropout, mode, cacheKVInPredict: true })),
      this.feedForward(),
    ];
  }
}

/** Options of {@link TransformerEncoder}. */
export interface TransformerEncoderOptions extends TransformerCommonOptions {
  /** Number of classes. @defaultValue `10` */
  readonly nClasses?: number;
  /** Number of encoder blocks. @defaultValue `6` */
  readonly nLayers?: number;
}

/**
 * A classifier of token sequences: blocks of attention to all tokens, whose mean gives the logits of the classes.
 *
 * Input `int32[batch, length]`, ids below `vocabSize`, 0 for padding, which attention does not see; output `float32[batch, nClasses]`.
 * Memory: the activations of every block are kept for the backward pass, `nLayers · batch · length` vectors of each kind; attention never
 * makes a matrix of length × length. Mode: dropout only in `'train'`; in `'predict'` it takes whole sequences as in `'eval'`.
 * Source: Vaswani et al. 2017, arXiv:1706.03762.
 *
 * @param vocabSize - Number of different tokens.
 * @param options - See the options type.
 */
export function TransformerEncoder(vocabSize: number, options: TransformerEncoderOptions = {}): Layer<Tensor, 1> {
  const all = filledIn('TransformerEncoder', { ...common, nClasses: 10, nLayers: 6 }, options);
  const { nClasses, nLayers, dModel, maxLen } = all;
  const parts = new Parts(all);
  const classifier = Serial(
    Branch([], PaddingMask()),
    Embedding(vocabSize, dModel),
    parts.drop(),
    PositionalEncoding({ maxLen }),
    several('TransformerEncoder', 'nLayers', nLayers, () => parts.encoderBlock()),
    Select([0], { nIn: 2 }),
    LayerNorm(),
    Mean({ axis: 1 }),
    Dense(nClasses),
  );
  return ofArity(wholeSequences(classifier), 1, 1);
}

/** Options of {@link TransformerDecoder}. */
export interface TransformerDecoderOptions extends TransformerCommonOptions {
  /** Number of different tokens; `null`: the input is vectors, not tokens. @defaultValue `null` */
  readonly vocabSize?: number | null;
  /** Number of decoder blocks. @defaultValue `6` */
  readonly nLayers?: number;
}

/**
 * From sequences of tokens, or of vectors, sequences of vectors, each made of those up to its position.
 *
 * Input `int32[batch, length]`, ids below `vocabSize`, or without `vocabSize` `float32[batch, length, depth]`; output
 * `float32[batch, length, dModel]`. Nothing is shifted: position `t` of the output rests on position `t` of the input too.
 * Memory: the activations of every block are kept for the backward pass. Mode: dropout only in `'train'`; in `'predict'` each call goes on where
 * the last one ended. Source: Vaswani et al. 2017, arXiv:1706.03762.
 *
 * @param options - See the options type.
 */
export function TransformerDecoder(options: TransformerDecoderOptions = {}): Layer<Tensor, 1> {
  const defaults: Required<TransformerDecoderOptions> = { ...common, vocabSize: null, nLayers: 6 };
  const all = filledIn('TransformerDecoder', defaults, options);
  const { vocabSize, nLayers, dModel, maxLen, mode } = all;
  const parts = new Parts(all);
  return ofArity(
    Serial(
      vocabSize === null ? Dense(dModel) : Embedding(vocabSize, dModel),
      parts.drop(),
      PositionalEncoding({ maxLen, mode }),
      several('TransformerDecoder', 'nLayers', nLayers, () => parts.decoderBlock()),
      LayerNorm(),
    ),
    1,
    1,
  );
}

/** Options of {@link TransformerLM}. */
export interface TransformerLMOptions extends TransformerCommonOptions {
  /** Number of decoder blocks. @defaultValue `6` */
  readonly nLayers?: number;
}

/**
 * A language model: from each sequence of tokens, the logits of every token given those before it.
 *
 * Input `int32[batch, length]`, ids below `vocabSize`, 0 for padding; output `float32[batch, length, vocabSize]`. The input is shifted to
 * the right inside, so position `t` of the output rests on positions before `t` only.
 * Memory: the activations of every block are kept for the backward pass. Mode: dropout only in `'train'`; in `'predict'` each call goes on where
 * the last one ended. Source: Vaswani et al. 2017, arXiv:1706.03762.
 *
 * @param vocabSize - Number of different tokens.
 * @param options - See the options type.
 */
export function TransformerLM(vocabSize: number, options: TransformerLMOptions = {}): Layer<Tensor, 1> {
  const all = filledIn('TransformerLM', { ...common, nLayers: 6 }, options);
  const { nLayers, dModel, maxLen, mode } = all;
  const parts = new Parts(all);
  return ofArity(
    Serial(
      ShiftRight({ mode }),
      Embedding(vocabSize, dModel),
      parts.drop(),
      PositionalEncoding({ maxLen, mode }),
      several('TransformerLM', 'nLayers', nLayers, () => parts.decoderBlock()),
      LayerNorm(),
      Dense(vocabSize),
    ),
    1,
    1,
  );
}

/** Options of {@link Transformer}. */
export interface TransformerOptions extends TransformerCommonOptions {
  /** Number of different tokens of the target; `null`: those of the source, with the same embedding. @defaultValue `null` */
  readonly outputVocabSize?: number | null;
  /** Number of encoder blocks. @defaultValue `6` */
  readonly nEncoderLayers?: number;
  /** Number of decoder blocks. @defaultValue `6` */
  readonly nDecoderLayers?: number;
}

/**
 * An encoder and a decoder: from a source and a target, the logits of every token of the target given the source and the tokens before it.
 *
 * Inputs `(source, target)`, `int32[batch, source length]` and `int32[batch, length]`, 0 for padding, which attention does not see; outputs
 * `float32[batch, length, vocabulary]` and the target, for a loss. The target is shifted to the right inside.
 * Memory: the activations of every block are kept for the backward pass. Mode: dropout only in `'train'`; in `'predict'` the source is encoded
 * once, by the first call, and the target comes one position at a time; `init` begins with another source.
 * Source: Vaswani et al. 2017, arXiv:1706.03762.
 *
 * @param inputVocabSize - Number of different tokens of the source.
 * @param options - See the options type.
 */
export function Transformer(inputVocabSize: number, options: TransformerOptions = {}): Layer<[Tensor, Tensor], 2> {
  const counts: Required<Omit<TransformerOptions, keyof TransformerCommonOptions>> = {
    outputVocabSize: null,
    nEncoderLayers: 6,
    nDecoderLayers: 6,
  };
  const all = filledIn('Transformer', { ...common, ...counts }, options);
  const { outputVocabSize, nEncoderLayers, nDecoderLayers, dModel, maxLen, mode } = all;
  const parts = new Parts(all);
  const encoderMode = mode === 'predict' ? 'eval' : mode;
  const encoderParts = new Parts({ ...all, mode: encoderMode });
  const inEmbedder = Embedding(inputVocabSize, dModel);
  const outEmbedder = outputVocabSize === null ? inEmbedder : Embedding(outputVocabSize, dModel);
  const encoder = Serial(
    inEmbedder,
    encoderParts.drop(),
    PositionalEncoding({ maxLen, mode: encoderMode }),
    several('Transformer', 'nEncoderLayers', nEncoderLayers, () => encoderParts.encoderBlock()),
    LayerNorm(),
  );
  return ofArity(
    Serial(
      Select([0, 1, 1]),
      Branch([], PaddingMask()),
      Cache(encoder, { mode }),
      Select([2, 1, 0]),
      ShiftRight({ mode }),
      outEmbedder,
      parts.drop(),
      PositionalEncoding({ maxLen, mode }),
      Branch([], EncoderDecoderMask()),
      several('Transformer', 'nDecoderLayers', nDecoderLayers, () => parts.encoderDecoderBlock()),
      LayerNorm(),
      Select([0], { nIn: 3 }),
      Dense(outputVocabSize ?? inputVocabSize),
    ),
    2,
    2,
  );
}
