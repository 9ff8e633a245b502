/**
 * The Reformer: a Transformer whose memory for activations does not grow with depth (https://arxiv.org/abs/2001.04451).
 *
 * @module
 */
import {
  AssertShape,
  Branch,
  Cache,
  Dense,
  Dup,
  EncDecAttention,
  Fn,
  LayerNorm,
  PaddingMask,
  ReversibleSerial,
  Select,
  SelfAttention,
  Serial,
  ShiftRight,
} from '../generated/index.js';
import { type Layer, type Mode } from '../layer/layer.js';
import { ofArity } from './arity.js';
import { type Tensor } from '../tensor/tensor.js';
import {
  type AttentionType,
  embedder,
  feedForwardDefaults,
  type FeedForwardOptions,
  filledIn,
  positionalEncoder,
  positionDefaults,
  type PositionOptions,
  several,
} from './blocks.js';
import { EncoderBlock, EncoderDecoderBlock } from './reformerBlocks.js';

export {
  DecoderBlock,
  type DecoderBlockOptions,
  EncoderBlock,
  type EncoderBlockOptions,
  EncoderDecoderBlock,
  type EncoderDecoderBlockOptions,
} from './reformerBlocks.js';
export { ReformerLM, type ReformerLMOptions, ReformerShortenLM, type ReformerShortenLMOptions } from './reformerLM.js';

/** Options of {@link Reformer}. */
export interface ReformerOptions extends PositionOptions, FeedForwardOptions {
  /** Number of different tokens of the target; `null`: those of the source, with the same embedding. @defaultValue `null` */
  readonly outputVocabSize?: number | null;
  /** Depth of each part of the activations between blocks. @defaultValue `512` */
  readonly dModel?: number;
  /** Number of encoder blocks. @defaultValue `6` */
  readonly nEncoderLayers?: number;
  /** Number of decoder blocks. @defaultValue `6` */
  readonly nDecoderLayers?: number;
  /** Number of attention heads, each `dModel / nHeads` deep. @defaultValue `8` */
  readonly nHeads?: number;
  /** Makes the attention of the encoder, which takes a mask. @defaultValue `SelfAttention` */
  readonly encoderAttentionType?: AttentionType;
  /** Makes the attention of the decoder to the encoder's vectors, such as `AttentionQKV`. @defaultValue `EncDecAttention` */
  readonly encoderDecoderAttentionType?: AttentionType;
}

const defaults: Required<ReformerOptions> = {
  ...positionDefaults,
  ...feedForwardDefaults,
  outputVocabSize: null,
  dModel: 512,
  nEncoderLayers: 6,
  nDecoderLayers: 6,
  nHeads: 8,
  encoderAttentionType: SelfAttention,
  encoderDecoderAttentionType: EncDecAttention,
};

/** The mean of two tensors. */
const xyAvg = (): Layer => Fn('XYAvg', (x: Tensor, y: Tensor) => x.add(y).div(2));

/**
 * An encoder and a decoder of reversible blocks, with exact attention: from a source and a target, the logits of every token of the target
 * given the source and the tokens before it.
 *
 * Inputs `(source, target)`, `int32[batch, source length]` and `int32[batch, length]`, 0 for padding; outputs `float32[batch, length, vocabulary]` and
 * the target, for a loss. The target is shifted to the right inside. An encoder of `EncoderBlock`s makes vectors of the source, a decoder of
 * `EncoderDecoderBlock`s reads them; each begins with its vectors twice and ends with the mean of the two.
 * Memory: activations of one block and what its attention keeps, whatever `nEncoderLayers` and `nDecoderLayers`.
 * Mode: dropout only in `'train'`; in `'predict'` the source is encoded once, by the first call, and the target comes one position at a time.
 * `init` begins with another source.
 * As in Trax, `EncDecAttention` adds up all positions of the source that are no padding, unweighed; `AttentionQKV` weighs them.
 * Source: Kitaev et al. 2020, arXiv:2001.04451.
 *
 * @param inputVocabSize - Number of different tokens of the source.
 * @param options - See the options type.
 */
export function Reformer(inputVocabSize: number, options: ReformerOptions = {}): Layer<[Tensor, Tensor], 2> {
  const all = filledIn('Reformer', defaults, options);
  const { outputVocabSize, dModel, nEncoderLayers, nDecoderLayers, nHeads, maxLen, dropout, mode } = all;
  const { encoderAttentionType, encoderDecoderAttentionType } = all;
  const { dFf, ffActivation, ffDropout, ffUseSru, ffChunkSize, ffSparsity, centerLayernorm, epsilon, useBfloat16 } =
    all;
  const parts = { dFf, dropout, ffActivation, ffDropout, ffUseSru, ffChunkSize, ffSparsity };
  const block = { ...parts, centerLayernorm, epsilon, useBfloat16, mode, nHeads };
  const encoderMode = mode === 'predict' ? 'eval' : mode;

  const inEmbedder = embedder(inputVocabSize, dModel, dropout, encoderMode);
  const outEmbedder = outputVocabSize === null ? inEmbedder : embedder(outputVocabSize, dModel, dropout, mode);
  const positioned = (embedder: Layer[], mode: Mode): Layer =>
    Serial(AssertShape('...'), embedder, positionalEncoder('Reformer', mode, dropout, all), AssertShape('...d'));

  const encoder = Serial(
    positioned(inEmbedder, encoderMode),
    Dup(),
    ReversibleSerial(
      several('Reformer', 'nEncoderLayers', nEncoderLayers, () =>
        EncoderBlock(dModel, { ...block, attentionType: encoderAttentionType }),
      ),
    ),
    xyAvg(),
    LayerNorm({ epsilon }),
  );
  const removeAxes = Fn('RemoveAxes12', (mask: Tensor) => mask.squeeze([1, 2]));
  return ofArity(
    Serial(
      Select([0, 1, 1]),
      Branch([], [PaddingMask(), removeAxes]),
      Cache(encoder, { mode }),
      Select([2, 0, 1]),
      ShiftRight({ mode }),
      positioned(outEmbedder, mode),
      Dup(),
      ReversibleSerial(
        several('Reformer', 'nDecoderLayers', nDecoderLayers, () =>
          EncoderDecoderBlock(dModel, { ...block, attentionType: encoderDecoderAttentionType, maxLen }),
        ),
      ),
      xyAvg(),
      LayerNorm({ epsilon }),
      Select([0], { nIn: 3 }),
      Dense(outputVocabSize ?? inputVocabSize),
    ),
    2,
    2,
  );
}
