/**
 * Language models of the Reformer's decoder blocks.
 *
 * @module
 */
import {
  CausalConv,
  Concatenate,
  Dense,
  Dropout,
  Dup,
  Fn,
  LayerNorm,
  Relu,
  ReversibleSerial,
  Select,
  Serial,
  ShiftRight,
  SRU,
  WholeSequences,
} from '../generated/index.js';
import { type FilledReformerLMOptions, type FilledReformerShortenLMOptions } from '../generated/models.js';
import { type Layer } from '../layer/layer.js';
import { type Tensor } from '../tensor/tensor.js';
import { type LayerNest } from '../layer/types.js';
import { type AttentionType, embedder, logits, positionalEncoder, several } from './blocks.js';
import { decoderBlock } from './reformerBlocks.js';

/** The decoder blocks of a model, one after another. */
function decoder(options: FilledReformerLMOptions | FilledReformerShortenLMOptions): Layer {
  const { dModel, nLayers } = options;
  const types = ([] as AttentionType[]).concat(options.attentionType);
  const block = (i: number): LayerNest => decoderBlock({ ...options, dModel, attentionType: types[i % types.length]! });
  return ReversibleSerial(several(nLayers, block));
}

/** The layers of a `ReformerLM`. */
export function reformerLM(all: FilledReformerLMOptions): Layer {
  const { vocabSize, dModel, dropout, epsilon, mode } = all;
  return Serial(
    ShiftRight({ mode }),
    embedder(vocabSize, dModel, dropout, mode),
    positionalEncoder(mode, dropout, all),
    Dup(),
    decoder(all),
    Concatenate(),
    LayerNorm({ epsilon }),
    Dropout({ rate: dropout, sharedAxes: [-2], mode }),
    // The two parts of the activations, joined.
    logits(vocabSize, 2 * dModel, mode, all),
  );
}

/** The layers of a `ReformerShortenLM`. */
export function reformerShortenLM(all: FilledReformerShortenLMOptions): Layer {
  const { vocabSize, shortenFactor, dEmbedding, dModel, dropout, epsilon, mode } = all;
  const grouped = (x: Tensor): Tensor => {
    const [batch, length, depth] = x.shape as [number, number, number];
    if (length % shortenFactor !== 0) {
      throw new RangeError(
        `ReformerShortenLM: the length must be a multiple of \`shortenFactor\`, which is ${shortenFactor}, got ${length}`,
      );
    }
    return x.reshape([batch, length / shortenFactor, shortenFactor * depth]);
  };
  const apart = (x: Tensor): Tensor =>
    x.reshape([x.shape[0]!, x.shape[1]! * shortenFactor, x.shape[2]! / shortenFactor]);
  const model = Serial(
    ShiftRight({ mode }),
    embedder(vocabSize, dEmbedding, dropout, mode),
    positionalEncoder(mode, dropout, all),
    Dup(),
    // A group must not see its own positions: shifted by one in all, its last would.
    shortenFactor > 1 ? ShiftRight({ nPositions: shortenFactor - 1 }) : [],
    Fn('Shorten', grouped),
    Dense(dModel),
    Dup(),
    decoder(all),
    Select([0], { nIn: 2 }),
    LayerNorm({ epsilon }),
    Dropout({ rate: dropout, sharedAxes: [-2], mode }),
    Dense(shortenFactor * dEmbedding),
    Fn('ProlongBack', apart),
    Concatenate(),
    CausalConv(dEmbedding),
    Relu(),
    SRU(dEmbedding),
    Dense(vocabSize),
  );
  return WholeSequences(model, {
    refusal: "ReformerShortenLM: `mode` cannot be 'predict', as several positions are computed as one",
  });
}
