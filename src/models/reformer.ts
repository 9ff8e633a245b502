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
  Fn,
  LayerNorm,
  PaddingMask,
  ReversibleSerial,
  Select,
  Serial,
  ShiftRight,
} from '../generated/index.js';
import { type FilledReformerOptions } from '../generated/models.js';
import { EncoderBlock, EncoderDecoderBlock } from '../generated/reformerBlocks.js';
import { type Layer, type Mode } from '../layer/layer.js';
import { type Tensor } from '../tensor/tensor.js';
import { embedder, positionalEncoder, several } from './blocks.js';

/** The mean of two tensors. */
const xyAvg = (): Layer => Fn('XYAvg', (x: Tensor, y: Tensor) => x.add(y).div(2));

/** The layers of a `Reformer`. */
export function reformer(all: FilledReformerOptions): Layer {
  const { inputVocabSize, outputVocabSize, dModel, nEncoderLayers, nDecoderLayers, dropout, epsilon, mode } = all;
  const { nHeads, maxLen, encoderAttentionType, encoderDecoderAttentionType } = all;
  const { dFf, ffActivation, ffDropout, ffUseSru, ffChunkSize, ffSparsity, centerLayernorm, useBfloat16 } = all;
  const parts = { dFf, dropout, ffActivation, ffDropout, ffUseSru, ffChunkSize, ffSparsity };
  const block = { ...parts, centerLayernorm, epsilon, useBfloat16, mode, nHeads };
  const encoderMode = mode === 'predict' ? 'eval' : mode;

  const inEmbedder = embedder(inputVocabSize, dModel, dropout, encoderMode);
  const outEmbedder = outputVocabSize === null ? inEmbedder : embedder(outputVocabSize, dModel, dropout, mode);
  const positioned = (embedder: Layer[], mode: Mode): Layer =>
    Serial(AssertShape('...'), embedder, positionalEncoder(mode, dropout, all), AssertShape('...d'));

  const encoder = Serial(
    positioned(inEmbedder, encoderMode),
    Dup(),
    ReversibleSerial(
      several(nEncoderLayers, () => EncoderBlock(dModel, { ...block, attentionType: encoderAttentionType })),
    ),
    xyAvg(),
    LayerNorm({ epsilon }),
  );
  const removeAxes = Fn('RemoveAxes12', (mask: Tensor) => mask.squeeze([1, 2]));
  return Serial(
    Select([0, 1, 1]),
    Branch([], [PaddingMask(), removeAxes]),
    Cache(encoder, { mode }),
    Select([2, 0, 1]),
    ShiftRight({ mode }),
    positioned(outEmbedder, mode),
    Dup(),
    ReversibleSerial(
      several(nDecoderLayers, () =>
        EncoderDecoderBlock(dModel, { ...block, attentionType: encoderDecoderAttentionType, maxLen }),
      ),
    ),
    xyAvg(),
    LayerNorm({ epsilon }),
    Select([0], { nIn: 3 }),
    Dense(outputVocabSize ?? inputVocabSize),
  );
}
