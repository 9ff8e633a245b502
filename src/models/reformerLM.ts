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
} from '../generated/index.js';
import { type Layer, type Mode, wholeSequences } from '../layer/layer.js';
import { ofArity } from './arity.js';
import { type Tensor } from '../tensor/tensor.js';
import { type LayerNest } from '../layer/types.js';
import {
  type AttentionType,
  embedder,
  filledIn,
  logits,
  lossDefaults,
  type LossOptions,
  positionalEncoder,
  positionDefaults,
  type PositionOptions,
  several,
  whole,
} from './blocks.js';
import { decoderBlock, decoderBlockDefaults, type DecoderBlockOptions } from './reformerBlocks.js';

/** Options that both language models take. */
interface CommonOptions extends PositionOptions, Omit<DecoderBlockOptions, 'attentionType'> {
  /** Depth of each part of the activations between blocks. @defaultValue `512` */
  readonly dModel?: number;
  /** Number of decoder blocks. @defaultValue `6` */
  readonly nLayers?: number;
  /** Makes the attention of a block, such as `SelfAttention` or `LSHSelfAttention`; several take turns. @defaultValue `SelfAttention` */
  readonly attentionType?: AttentionType | readonly AttentionType[];
}

/** Options of {@link ReformerLM}. */
export interface ReformerLMOptions extends CommonOptions, LossOptions {}

const commonDefaults: Required<CommonOptions> = {
  ...positionDefaults,
  ...decoderBlockDefaults,
  dModel: 512,
  nLayers: 6,
};

const defaults: Required<ReformerLMOptions> = { ...commonDefaults, ...lossDefaults };

/** The decoder blocks of a model, one after another. */
function decoder(model: string, options: Required<CommonOptions>): Layer {
  const { dModel, nLayers } = options;
  const types = ([] as AttentionType[]).concat(options.attentionType);
  if (types.length === 0 || whole(model, 'nLayers', nLayers) % types.length !== 0) {
    throw new RangeError(
      `${model}: \`nLayers\` must be a multiple of the ${types.length} attention types, got ${nLayers}`,
    );
  }
  const block = (i: number): LayerNest => decoderBlock(dModel, { ...options, attentionType: types[i % types.length]! });
  return ReversibleSerial(several(model, 'nLayers', nLayers, block));
}

/**
 * A language model of reversible blocks: from each sequence of tokens, the logits of every token given those before it.
 *
 * Input `int32[batch, length]`, ids below `vocabSize`, 0 for padding; output `float32[batch, length, vocabSize]`. The input is shifted to
 * the right inside, so position `t` of the output rests on positions before `t` only. Embedding and positions go twice through
 * `DecoderBlock`s; the two parts are joined, normalized and projected to logits.
 * Memory: activations of one block and what its attention keeps, whatever `nLayers`; only weights and their gradients grow.
 * Mode: dropout only in `'train'`; in `'predict'` each call goes on where the last one ended.
 * Source: Kitaev et al. 2020, arXiv:2001.04451.
 *
 * @param vocabSize - Number of different tokens.
 * @param options - See the options type.
 */
export function ReformerLM(vocabSize: number, options: ReformerLMOptions = {}): Layer<Tensor, 1> {
  const all = filledIn('ReformerLM', defaults, options);
  const { dModel, dropout, epsilon, mode } = all;
  return ofArity(
    Serial(
      ShiftRight({ mode }),
      embedder(vocabSize, dModel, dropout, mode),
      positionalEncoder('ReformerLM', mode, dropout, all),
      Dup(),
      decoder('ReformerLM', all),
      Concatenate(),
      LayerNorm({ epsilon }),
      Dropout({ rate: dropout, sharedAxes: [-2], mode }),
      // The two parts of the activations, joined.
      logits(vocabSize, 2 * dModel, mode, all),
    ),
    1,
    1,
  );
}

/** Options of {@link ReformerShortenLM}. */
export interface ReformerShortenLMOptions extends Omit<CommonOptions, 'mode'> {
  /** How many positions become one; it divides the length. @defaultValue `1` */
  readonly shortenFactor?: number;
  /** Depth of the embedding, and of what the logits come from. @defaultValue `256` */
  readonly dEmbedding?: number;
  /** Positions cannot be computed one after another, as several of them are one. @defaultValue `'train'` */
  readonly mode?: Exclude<Mode, 'predict'>;
}

const shortenDefaults: Required<ReformerShortenLMOptions> = {
  ...commonDefaults,
  shortenFactor: 1,
  dEmbedding: 256,
  mode: 'train',
};

/**
 * A language model whose reversible blocks see a shorter sequence: groups of `shortenFactor` positions are joined before them and
 * taken apart after them, when a convolution and a recurrent layer see to what is within a group.
 *
 * Input `int32[batch, length]`, ids below `vocabSize`, 0 for padding; output `float32[batch, length, vocabSize]`. The input is shifted to
 * the right inside, so position `t` of the output rests on positions before `t` only.
 * Memory: as of `ReformerLM` at `length / shortenFactor` positions, and a few vectors for each position before and after the blocks.
 * Mode: dropout only in `'train'`. Errors: `RangeError` for a length that `shortenFactor` does not divide.
 * Source: Kitaev et al. 2020, arXiv:2001.04451.
 *
 * @param vocabSize - Number of different tokens.
 * @param options - See the options type.
 */
export function ReformerShortenLM(vocabSize: number, options: ReformerShortenLMOptions = {}): Layer<Tensor, 1> {
  const all = filledIn('ReformerShortenLM', shortenDefaults, options);
  const { shortenFactor, dEmbedding, dModel, dropout, epsilon, mode } = all;
  const noPredict = "ReformerShortenLM: `mode` cannot be 'predict', as several positions are computed as one";
  if ((mode as Mode) === 'predict') {
    throw new RangeError(noPredict);
  }
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
    positionalEncoder('ReformerShortenLM', mode, dropout, all),
    Dup(),
    // A group must not see its own positions: shifted by one in all, its last would.
    shortenFactor > 1 ? ShiftRight({ nPositions: shortenFactor - 1 }) : [],
    Fn('Shorten', grouped),
    Dense(dModel),
    Dup(),
    decoder('ReformerShortenLM', all),
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
  return ofArity(wholeSequences(model, noPredict), 1, 1);
}
