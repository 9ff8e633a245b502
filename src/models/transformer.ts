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
  Residual,
  Select,
  Serial,
  ShiftRight,
  WholeSequences,
} from '../generated/index.js';
import {
  type FilledPackedTransformerLMOptions,
  type FilledTransformerCommonOptions,
  type FilledTransformerDecoderOptions,
  type FilledTransformerEncoderOptions,
  type FilledTransformerLMOptions,
  type FilledTransformerOptions,
} from '../generated/models.js';
import { type Layer } from '../layer/layer.js';
import { type LayerNest } from '../layer/types.js';
import { roomFor, several } from './blocks.js';

/** The parts of the blocks. */
class Parts {
  constructor(readonly options: FilledTransformerCommonOptions) {}

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

  /** From vectors to vectors; with segments from `(vectors, segments)` to the same. */
  decoderBlock(useSegments = false): LayerNest {
    const { dModel, nHeads, dropout, mode, maxLen } = this.options;
    const attention = CausalAttention(dModel, { nHeads, dropout, mode, useSegments, ...roomFor(maxLen) });
    return [this.around(attention), this.feedForward()];
  }

  /** From tokens, behind which segments may stand, to logits, and to the segments where there are some. */
  languageModel(vocabSize: number, nLayers: number, useSegments: boolean): LayerNest[] {
    const { dModel, maxLen, mode } = this.options;
    return [
      ShiftRight({ mode, useSegments }),
      Embedding(vocabSize, dModel),
      this.drop(),
      PositionalEncoding({ maxLen, mode, useSegments }),
      several(nLayers, () => this.decoderBlock(useSegments)),
      LayerNorm(),
      Dense(vocabSize),
    ];
  }

  /** From `(vectors, mask, the encoder's vectors)` to the same. */
  encoderDecoderBlock(): LayerNest {
    const { dModel, nHeads, dropout, mode, maxLen } = this.options;
    return [
      this.around(CausalAttention(dModel, { nHeads, mode, ...roomFor(maxLen) })),
      this.around(Select([0, 2, 2, 1, 2]), AttentionQKV(dModel, { nHeads, dropout, mode, cacheKVInPredict: true })),
      this.feedForward(),
    ];
  }
}

/** The layers of a `TransformerEncoder`. */
export function transformerEncoder(all: FilledTransformerEncoderOptions): Layer {
  const { vocabSize, nClasses, nLayers, dModel, maxLen } = all;
  const parts = new Parts(all);
  const classifier = Serial(
    Branch([], PaddingMask()),
    Embedding(vocabSize, dModel),
    parts.drop(),
    PositionalEncoding({ maxLen }),
    several(nLayers, () => parts.encoderBlock()),
    Select([0], { nIn: 2 }),
    LayerNorm(),
    Mean({ axis: 1 }),
    Dense(nClasses),
  );
  return WholeSequences(classifier);
}

/** The layers of a `TransformerDecoder`. */
export function transformerDecoder(all: FilledTransformerDecoderOptions): Layer {
  const { vocabSize, nLayers, dModel, maxLen, mode } = all;
  const parts = new Parts(all);
  return Serial(
    vocabSize === null ? Dense(dModel) : Embedding(vocabSize, dModel),
    parts.drop(),
    PositionalEncoding({ maxLen, mode }),
    several(nLayers, () => parts.decoderBlock()),
    LayerNorm(),
  );
}

/** The layers of a `TransformerLM`. */
export function transformerLM(all: FilledTransformerLMOptions): Layer {
  return Serial(...new Parts(all).languageModel(all.vocabSize, all.nLayers, false));
}

/** The layers of a `PackedTransformerLM`. */
export function packedTransformerLM(all: FilledPackedTransformerLMOptions): Layer {
  return Serial(...new Parts(all).languageModel(all.vocabSize, all.nLayers, true), Select([0], { nIn: 2 }));
}

/** The layers of a `Transformer`. */
export function transformer(all: FilledTransformerOptions): Layer {
  const { inputVocabSize, outputVocabSize, nEncoderLayers, nDecoderLayers, dModel, maxLen, mode } = all;
  const parts = new Parts(all);
  const encoderMode = mode === 'predict' ? 'eval' : mode;
  const encoderParts = new Parts({ ...all, mode: encoderMode });
  const inEmbedder = Embedding(inputVocabSize, dModel);
  const outEmbedder = outputVocabSize === null ? inEmbedder : Embedding(outputVocabSize, dModel);
  const encoder = Serial(
    inEmbedder,
    encoderParts.drop(),
    PositionalEncoding({ maxLen, mode: encoderMode }),
    several(nEncoderLayers, () => encoderParts.encoderBlock()),
    LayerNorm(),
  );
  return Serial(
    Select([0, 1, 1]),
    Branch([], PaddingMask()),
    Cache(encoder, { mode }),
    Select([2, 1, 0]),
    ShiftRight({ mode }),
    outEmbedder,
    parts.drop(),
    PositionalEncoding({ maxLen, mode }),
    Branch([], EncoderDecoderMask()),
    several(nDecoderLayers, () => parts.encoderDecoderBlock()),
    LayerNorm(),
    Select([0], { nIn: 3 }),
    Dense(outputVocabSize ?? inputVocabSize),
  );
}
