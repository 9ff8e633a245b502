/**
 * Transformers whose attention, feed-forward parts, positions and last layer are chosen by options.
 *
 * @module
 */
import {
  AssertShape,
  Attention,
  AttentionQKV,
  type AttentionQKVOptions,
  Branch,
  Cache,
  CausalAttention,
  Dense,
  Dropout,
  EncoderDecoderMask,
  LayerNorm,
  Mean,
  PaddingMask,
  Relu,
  Residual,
  Select,
  SelfAttention,
  Serial,
  ShiftRight,
} from '../generated/index.js';
import { type Layer, type Mode, wholeSequences } from '../layer/layer.js';
import { ofArity } from './arity.js';
import { type Tensor } from '../tensor/tensor.js';
import { type LayerNest } from '../layer/types.js';
import {
  applyAttention,
  type AttentionOptions,
  attentionOptions,
  type AttentionType,
  embedder,
  feedForward,
  feedForwardDefaults,
  type FeedForwardKind,
  type FeedForwardOptions,
  type FeedForwardSparsity,
  filledIn,
  logits,
  lossDefaults,
  type LossOptions,
  positionalEncoder,
  positionDefaults,
  type PositionOptions,
  remembering,
  several,
  shared,
  shown,
} from './blocks.js';

/** Options that all configurable Transformers have. */
export interface ConfigurableCommonOptions
  extends
    Omit<FeedForwardOptions, 'centerLayernorm' | 'epsilon' | 'useBfloat16' | 'ffDropout' | 'mode'>,
    Omit<PositionOptions, 'posStartFromZeroProb' | 'posMaxOffsetToAdd'> {
  /** Depth of the activations between blocks. @defaultValue `512` */
  readonly dModel?: number;
  /** Number of attention heads; it divides `dModel`. @defaultValue `8` */
  readonly nHeads?: number;
  /** Axes along which a dropout mask is shared. @defaultValue `null` */
  readonly dropoutSharedAxes?: readonly number[] | null;
  /** `'predict'` computes one position after another, and keeps what is past in its state. @defaultValue `'train'` */
  readonly mode?: Mode;
  /** Probability of dropping what goes into the activation of the feed-forward part; `null`: as `dropout`. @defaultValue `0.1` */
  readonly ffDropout?: number | null;
  /**
   * What `ffSparsity` makes of the feed-forward part: a `SparseFF`, a `BlockSparseFF` or a `SwitchSparseFF`; the last two have `ffSparsity` experts.
   * @defaultValue `'1inN'`
   */
  readonly ffSparsityType?: FeedForwardSparsity;
  /** Computes attention in chunks of this many positions, which do not see each other; 0: no chunks. @defaultValue `0` */
  readonly attentionChunkSize?: number;
}

const { posStartFromZeroProb, posMaxOffsetToAdd, ...positions } = positionDefaults;
const { centerLayernorm, epsilon, useBfloat16, ...feedForwards } = feedForwardDefaults;

const common: Required<ConfigurableCommonOptions> = {
  ...positions,
  ...feedForwards,
  ffActivation: Relu,
  ffDropout: 0.1,
  dModel: 512,
  nHeads: 8,
  dropoutSharedAxes: null,
  ffSparsityType: '1inN',
  attentionChunkSize: 0,
};

/** How far sparse projections in attention to the encoder go, see `AttentionQKV`. */
type Sparsity = AttentionQKVOptions['qSparsity'];

/** The parts of a model. */
class Parts {
  constructor(
    readonly model: string,
    readonly options: Required<ConfigurableCommonOptions>,
  ) {}

  drop(): Layer {
    const { dropout: rate, dropoutSharedAxes: sharedAxes, mode } = this.options;
    return Dropout({ rate, sharedAxes, mode });
  }

  /** A residual around normalization, layers and dropout. */
  #around(...layers: LayerNest[]): Layer {
    return Residual(LayerNorm(), layers, this.drop());
  }

  #feedForward(): Layer {
    const { dropoutSharedAxes, ffSparsityType } = this.options;
    const kind: FeedForwardKind = { dropoutSharedAxes, ffSparsityType };
    return Residual(feedForward(this.options.dModel, { ...this.options, centerLayernorm, epsilon, useBfloat16 }, kind));
  }

  #attention(type: AttentionType, sees: Pick<AttentionOptions, 'causal' | 'masked'>): Layer {
    const { dModel, nHeads, dropout, mode, maxLen, attentionChunkSize } = this.options;
    const known = type === SelfAttention && sees.causal === true ? remembering(maxLen) : type;
    const given = attentionOptions(nHeads, dropout, mode, shared(dModel, nHeads));
    return applyAttention(known, dModel, attentionChunkSize, { ...given, ...sees });
  }

  /** Tokens to vectors with positions; `embedding` may be one that other tokens have too. */
  encoder(
    mode: Mode,
    embedding: LayerNest,
    more: Pick<PositionOptions, 'posStartFromZeroProb' | 'posMaxOffsetToAdd'> = {},
  ): LayerNest[] {
    const options = { ...this.options, posStartFromZeroProb, posMaxOffsetToAdd, ...more };
    return [embedding, positionalEncoder(this.model, mode, this.options.dropout, options)];
  }

  embedder(vocabSize: number, mode: Mode = this.options.mode): Layer[] {
    return embedder(vocabSize, this.options.dModel, this.options.dropout, mode, this.options.dropoutSharedAxes);
  }

  /** From `(vectors, mask)` to the same. */
  encoderBlock(type: AttentionType): LayerNest {
    return [this.#around(this.#attention(type, { causal: false, masked: true })), this.#feedForward()];
  }

  decoderBlock(type: AttentionType): LayerNest {
    return [this.#around(this.#attention(type, { causal: true, masked: false })), this.#feedForward()];
  }

  /** From `(target vectors, mask, source vectors)` to the same. */
  encoderDecoderBlock(type: AttentionType, qSparsity: Sparsity, resultSparsity: Sparsity): LayerNest {
    const { dModel, nHeads, dropout, mode } = this.options;
    const across = AttentionQKV(dModel, { nHeads, dropout, mode, cacheKVInPredict: true, qSparsity, resultSparsity });
    return [
      this.#around(this.#attention(type, { causal: true, masked: true })),
      this.#around(Select([0, 2, 2, 1, 2]), across),
      this.#feedForward(),
    ];
  }
}

/** Layers whose result has an axis of features more than their input of tokens, which is checked. */
function addingFeatures(layers: LayerNest): Layer {
  return Serial(AssertShape('...'), layers, AssertShape('...d'));
}

/** Options of {@link ConfigurableTransformerEncoder}. */
export interface ConfigurableTransformerEncoderOptions extends ConfigurableCommonOptions {
  /** Number of classes. @defaultValue `10` */
  readonly nClasses?: number;
  /** Number of encoder blocks. @defaultValue `6` */
  readonly nLayers?: number;
  /** Makes the attention of a block, from vectors and a mask to both. @defaultValue `Attention` */
  readonly attentionType?: AttentionType;
}

/**
 * A classifier of token sequences: blocks of attention to all tokens, whose mean gives the logits of the classes.
 *
 * Input `int32[batch, length]`, ids below `vocabSize`, 0 for padding, which attention does not see; output `float32[batch, nClasses]`.
 * Memory: the activations of every block are kept for the backward pass. Mode: dropout only in `'train'`; in `'predict'` it takes whole sequences as in `'eval'`.
 * Source: Vaswani et al. 2017, arXiv:1706.03762.
 *
 * @param vocabSize - Number of different tokens.
 * @param options - See the options type.
 */
export function ConfigurableTransformerEncoder(
  vocabSize: number,
  options: ConfigurableTransformerEncoderOptions = {},
): Layer {
  const defaults: Required<ConfigurableTransformerEncoderOptions> = {
    ...common,
    nClasses: 10,
    nLayers: 6,
    attentionType: Attention,
  };
  const given = filledIn('ConfigurableTransformerEncoder', defaults, options);
  const all: typeof given = { ...given, mode: given.mode === 'predict' ? 'eval' : given.mode };
  const parts = new Parts('ConfigurableTransformerEncoder', all);
  const classifier = Serial(
    Branch(addingFeatures(parts.encoder(all.mode, parts.embedder(vocabSize))), PaddingMask()),
    several(parts.model, 'nLayers', all.nLayers, () => parts.encoderBlock(all.attentionType)),
    Select([0], { nIn: 2 }),
    LayerNorm(),
    Mean({ axis: 1 }),
    Dense(all.nClasses),
  );
  return wholeSequences(classifier);
}

/** Options of {@link ConfigurableTransformerLM}. */
export interface ConfigurableTransformerLMOptions
  extends ConfigurableCommonOptions, LossOptions, Pick<PositionOptions, 'posStartFromZeroProb' | 'posMaxOffsetToAdd'> {
  /** Number of decoder blocks. @defaultValue `6` */
  readonly nLayers?: number;
  /** Makes the attention of a block. @defaultValue `CausalAttention` */
  readonly attentionType?: AttentionType;
}

/**
 * A language model: from each sequence of tokens, the logits of every token given those before it.
 *
 * Input `int32[batch, length]`, ids below `vocabSize`, 0 for padding; output `float32[batch, length, vocabSize]`. The input is shifted to
 * the right inside, so position `t` of the output rests on positions before `t` only.
 * Memory: the activations of every block are kept for the backward pass. Mode: dropout only in `'train'`; in `'predict'` each call goes on where
 * the last one ended. Source: Vaswani et al. 2017, arXiv:1706.03762; sparsity: Jaszczur et al. 2021, arXiv:2111.12763.
 *
 * @param vocabSize - Number of different tokens.
 * @param options - See the options type.
 */
export function ConfigurableTransformerLM(
  vocabSize: number,
  options: ConfigurableTransformerLMOptions = {},
): Layer<Tensor, 1> {
  const defaults: Required<ConfigurableTransformerLMOptions> = {
    ...common,
    ...lossDefaults,
    posStartFromZeroProb,
    posMaxOffsetToAdd,
    nLayers: 6,
    attentionType: CausalAttention,
  };
  const all = filledIn('ConfigurableTransformerLM', defaults, options);
  const { mode, dModel, nLayers, attentionType } = all;
  const parts = new Parts('ConfigurableTransformerLM', all);
  return ofArity(
    Serial(
      ShiftRight({ mode }),
      parts.encoder(mode, parts.embedder(vocabSize), all),
      several(parts.model, 'nLayers', nLayers, () => parts.decoderBlock(attentionType)),
      LayerNorm(),
      logits(vocabSize, dModel, mode, all),
    ),
    1,
    1,
  );
}

/** Options of {@link ConfigurableTransformer}. */
export interface ConfigurableTransformerOptions extends ConfigurableCommonOptions, LossOptions {
  /** Number of different tokens of the target; `null`: those of the source, with the same embedding. @defaultValue `null` */
  readonly outputVocabSize?: number | null;
  /** Number of encoder blocks. @defaultValue `6` */
  readonly nEncoderLayers?: number;
  /** Number of decoder blocks. @defaultValue `6` */
  readonly nDecoderLayers?: number;
  /** Makes the attention of an encoder block, from vectors and a mask to both. @defaultValue `Attention` */
  readonly encoderAttentionType?: AttentionType;
  /** Makes the causal attention of a decoder block. @defaultValue `CausalAttention` */
  readonly encoderDecoderAttentionType?: AttentionType;
  /**
   * Modules of the sparse projection of queries in attention to the encoder, whose result then has no projection; a pair tells the modules of both, as
   * `qSparsity` and `resultSparsity` of `AttentionQKV`. 0: both are dense. @defaultValue `0`
   */
  readonly encDecAttentionSparsity?:
    number | readonly [qSparsity: number | 'noop' | null, resultSparsity: number | 'noop' | null];
}

/**
 * An encoder and a decoder: from a source and a target, the logits of every token of the target given the source and the tokens before it.
 *
 * Inputs `(source, target)`, `int32[batch, source length]` and `int32[batch, length]`, 0 for padding, which attention does not see; outputs
 * `float32[batch, length, vocabulary]` and the target, for a loss. The target is shifted to the right inside.
 * Memory: the activations of every block are kept for the backward pass. Mode: dropout only in `'train'`; in `'predict'` the source is encoded
 * once, by the first call, and the target comes one position at a time; `init` begins with another source.
 * Source: Vaswani et al. 2017, arXiv:1706.03762; sparsity: Jaszczur et al. 2021, arXiv:2111.12763.
 *
 * @param inputVocabSize - Number of different tokens of the source.
 * @param options - See the options type.
 */
export function ConfigurableTransformer(
  inputVocabSize: number,
  options: ConfigurableTransformerOptions = {},
): Layer<[Tensor, Tensor], 2> {
  const defaults: Required<ConfigurableTransformerOptions> = {
    ...common,
    ...lossDefaults,
    outputVocabSize: null,
    nEncoderLayers: 6,
    nDecoderLayers: 6,
    encoderAttentionType: Attention,
    encoderDecoderAttentionType: CausalAttention,
    encDecAttentionSparsity: 0,
  };
  const all = filledIn('ConfigurableTransformer', defaults, options);
  const { mode, dModel, outputVocabSize, encDecAttentionSparsity: sparsity } = all;
  if (Array.isArray(sparsity) ? sparsity.length !== 2 : typeof sparsity !== 'number') {
    const got = shown(sparsity);
    throw new RangeError(
      `ConfigurableTransformer: \`encDecAttentionSparsity\` must be a number or a pair of numbers, 'noop' or null, got ${got}`,
    );
  }
  const [query, result]: readonly [Sparsity, Sparsity] =
    typeof sparsity === 'object' ? sparsity : sparsity === 0 ? [null, null] : [sparsity, 'noop'];
  const parts = new Parts('ConfigurableTransformer', all);
  // The source is read at once in every mode.
  const encoderMode = mode === 'predict' ? 'eval' : mode;
  const inEmbedder = parts.embedder(inputVocabSize, encoderMode);
  const outEmbedder = outputVocabSize === null ? inEmbedder : parts.embedder(outputVocabSize);
  const encoder = Serial(
    addingFeatures(parts.encoder(encoderMode, inEmbedder)),
    several(parts.model, 'nEncoderLayers', all.nEncoderLayers, () => parts.encoderBlock(all.encoderAttentionType)),
    LayerNorm(),
  );
  return ofArity(
    Serial(
      Select([0, 1, 1]),
      Branch([], PaddingMask()),
      Cache(encoder, { mode }),
      Select([2, 1, 0]),
      ShiftRight({ mode }),
      addingFeatures(parts.encoder(mode, outEmbedder)),
      Branch([], EncoderDecoderMask()),
      several(parts.model, 'nDecoderLayers', all.nDecoderLayers, () =>
        parts.encoderDecoderBlock(all.encoderDecoderAttentionType, query, result),
      ),
      LayerNorm(),
      Select([0], { nIn: 3 }),
      logits(outputVocabSize ?? inputVocabSize, dModel, mode, all),
    ),
    2,
    2,
  );
}
