/**
 * Transformers whose attention, feed-forward parts, positions and last layer are chosen by options.
 *
 * @module
 */
import {
  AssertShape,
  AttentionQKV,
  Branch,
  Cache,
  Dense,
  Dropout,
  EncoderDecoderMask,
  LayerNorm,
  Mean,
  PaddingMask,
  Residual,
  Select,
  SelfAttention,
  Serial,
  ShiftRight,
  WholeSequences,
} from '../generated/index.js';
import {
  type FilledConfigurableOptions,
  type FilledConfigurableTransformerEncoderOptions,
  type FilledConfigurableTransformerLMOptions,
  type FilledConfigurableTransformerOptions,
  type FilledFeedForwardOptions,
  type FilledPositionOptions,
  type FilledPositionStartOptions,
} from '../generated/models.js';
import { type Layer, type Mode } from '../layer/layer.js';
import { type LayerNest } from '../layer/types.js';
import {
  applyAttention,
  type AttentionOptions,
  attentionOptions,
  type AttentionType,
  embedder,
  feedForward,
  logits,
  positionalEncoder,
  remembering,
  several,
  shared,
  withRoom,
} from './blocks.js';

/** What the blocks are made with. */
type PartOptions = FilledConfigurableOptions & FilledFeedForwardOptions & FilledPositionOptions;

/** How far a sparse projection in attention to the encoder goes, see `AttentionQKV`. */
type Sparsity = FilledConfigurableTransformerOptions['encDecAttentionSparsity'][number];

/** The parts of a model. */
class Parts {
  constructor(readonly options: PartOptions) {}

  drop(): Layer {
    const { dropout: rate, dropoutSharedAxes: sharedAxes, mode } = this.options;
    return Dropout({ rate, sharedAxes, mode });
  }

  /** A residual around normalization, layers and dropout. */
  #around(...layers: LayerNest[]): Layer {
    return Residual(LayerNorm(), layers, this.drop());
  }

  #feedForward(): Layer {
    const { dModel, dropoutSharedAxes, ffSparsityType } = this.options;
    return Residual(feedForward(dModel, this.options, { dropoutSharedAxes, ffSparsityType }));
  }

  #attention(type: AttentionType, sees: Pick<AttentionOptions, 'causal' | 'masked'>): Layer {
    const { dModel, nHeads, dropout, mode, maxLen, attentionChunkSize } = this.options;
    const known = type === SelfAttention && sees.causal === true ? remembering(maxLen) : withRoom(type, maxLen);
    const given = attentionOptions(nHeads, dropout, mode, shared(dModel, nHeads));
    return applyAttention(known, dModel, attentionChunkSize, { ...given, ...sees });
  }

  /** Tokens to vectors with positions; `embedding` may be one that other tokens have too. */
  encoder(mode: Mode, embedding: LayerNest, start: Partial<FilledPositionStartOptions> = {}): LayerNest[] {
    return [embedding, positionalEncoder(mode, this.options.dropout, { ...this.options, ...start })];
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

/** The layers of a `ConfigurableTransformerEncoder`. */
export function configurableTransformerEncoder(given: FilledConfigurableTransformerEncoderOptions): Layer {
  const all: typeof given = { ...given, mode: given.mode === 'predict' ? 'eval' : given.mode };
  const parts = new Parts(all);
  const classifier = Serial(
    Branch(addingFeatures(parts.encoder(all.mode, parts.embedder(all.vocabSize))), PaddingMask()),
    several(all.nLayers, () => parts.encoderBlock(all.attentionType)),
    Select([0], { nIn: 2 }),
    LayerNorm(),
    Mean({ axis: 1 }),
    Dense(all.nClasses),
  );
  return WholeSequences(classifier);
}

/** The layers of a `ConfigurableTransformerLM`. */
export function configurableTransformerLM(all: FilledConfigurableTransformerLMOptions): Layer {
  const { vocabSize, mode, dModel, nLayers, attentionType, posStartFromZeroProb, posMaxOffsetToAdd } = all;
  const parts = new Parts(all);
  return Serial(
    ShiftRight({ mode }),
    parts.encoder(mode, parts.embedder(vocabSize), { posStartFromZeroProb, posMaxOffsetToAdd }),
    several(nLayers, () => parts.decoderBlock(attentionType)),
    LayerNorm(),
    logits(vocabSize, dModel, mode, all),
  );
}

/** The layers of a `ConfigurableTransformer`. */
export function configurableTransformer(all: FilledConfigurableTransformerOptions): Layer {
  const { mode, dModel, inputVocabSize, outputVocabSize } = all;
  const [query, result] = all.encDecAttentionSparsity;
  const parts = new Parts(all);
  // The source is read at once in every mode.
  const encoderMode = mode === 'predict' ? 'eval' : mode;
  const inEmbedder = parts.embedder(inputVocabSize, encoderMode);
  const outEmbedder = outputVocabSize === null ? inEmbedder : parts.embedder(outputVocabSize);
  const encoder = Serial(
    addingFeatures(parts.encoder(encoderMode, inEmbedder)),
    several(all.nEncoderLayers, () => parts.encoderBlock(all.encoderAttentionType)),
    LayerNorm(),
  );
  return Serial(
    Select([0, 1, 1]),
    Branch([], PaddingMask()),
    Cache(encoder, { mode }),
    Select([2, 1, 0]),
    ShiftRight({ mode }),
    addingFeatures(parts.encoder(mode, outEmbedder)),
    Branch([], EncoderDecoderMask()),
    several(all.nDecoderLayers, () => parts.encoderDecoderBlock(all.encoderDecoderAttentionType, query, result)),
    LayerNorm(),
    Select([0], { nIn: 3 }),
    logits(outputVocabSize ?? inputVocabSize, dModel, mode, all),
  );
}
