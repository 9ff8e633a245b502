/**
 * The Hourglass of "Hierarchical Transformers Are More Efficient Language Models" (https://arxiv.org/abs/2110.13711): a language model
 * whose inner blocks see a shorter sequence, whose inner blocks may see a shorter one yet.
 *
 * @module
 */
import {
  Add,
  type AttentionResampling,
  Dense,
  Dropout,
  Dup,
  FeedForwardBlock,
  getRelAttInputs,
  LayerNorm,
  RelativeAttentionWrapper,
  Residual,
  Serial,
  ShiftRight,
  WholeSequences,
} from '../generated/index.js';
import { type FilledHourglassLMOptions } from '../generated/models.js';
import { type Layer, type Mode } from '../layer/layer.js';
import { type LayerFactory, type LayerNest, type ResamplingFactory } from '../layer/types.js';
import { applyAttention, attentionOptions, type AttentionType, embedder, several, shared } from './blocks.js';

/** What a way of resampling is made with beside the factor and the depth. */
export interface ResamplingOptions {
  /** Whether the sequence is lengthened. */
  readonly isUpsampling: boolean;
  /** Depth inside feed-forward parts. */
  readonly dFf: number;
  /** Number of attention heads. */
  readonly nHeads: number;
  /** Probability of dropping an activation, in training. */
  readonly dropout: number;
  /** Axes along which a dropout mask is shared. */
  readonly dropoutSharedAxes: readonly number[] | null;
  /** How the layers behave. */
  readonly mode: Mode;
  /** Makes the activation of feed-forward parts. */
  readonly ffActivation: LayerFactory;
  /** The context bias of relative attention, the same in all layers. */
  readonly contextBiasLayer: Layer;
  /** The location bias of relative attention, the same in all layers. */
  readonly locationBiasLayer: Layer;
  /** How many positions of the model's input are one position of the longer sequence. */
  readonly totalPooling: number;
  /** What `AttentionResampling` resamples with. */
  readonly resamplingFn: ResamplingFactory;
}

/** Makes layers that shorten or lengthen a sequence: `AttentionResampling`, or what takes the rest by name, as `LinearPooling`. */
export type ResamplingType =
  typeof AttentionResampling | ((shortenFactor: number, dModel: number, options: ResamplingOptions) => LayerNest);

/** Levels of blocks, outermost first: how many blocks, and by how much the level is shorter than the one around it. */
type Levels = FilledHourglassLMOptions['hierarchy'];

/** Whether all arguments go by place. */
function isByPlace(type: ResamplingType): type is typeof AttentionResampling {
  return type.length > 3;
}

function resample(type: ResamplingType, factor: number, dModel: number, options: ResamplingOptions): LayerNest {
  if (!isByPlace(type)) return type(factor, dModel, options);
  const { isUpsampling, dFf, nHeads, dropout, dropoutSharedAxes, mode, ffActivation } = options;
  const { contextBiasLayer, locationBiasLayer, totalPooling, resamplingFn } = options;
  const biases = [contextBiasLayer, locationBiasLayer] as const;
  return type(
    factor,
    dModel,
    isUpsampling,
    dFf,
    nHeads,
    dropout,
    dropoutSharedAxes,
    mode,
    ffActivation,
    ...biases,
    totalPooling,
    resamplingFn,
  );
}

/** The parts of a model, which share the biases of relative attention. */
class Parts {
  readonly #biases: Pick<ResamplingOptions, 'contextBiasLayer' | 'locationBiasLayer'>;

  constructor(readonly options: FilledHourglassLMOptions) {
    const [contextBiasLayer, locationBiasLayer] = getRelAttInputs(options.dModel, options.nHeads) as [Layer, Layer];
    this.#biases = { contextBiasLayer, locationBiasLayer };
  }

  /** Causal attention, where so many tokens are one position. */
  #attention(type: AttentionType, totalPooling: number): Layer {
    const { dModel, nHeads, dropout, mode } = this.options;
    if (type === RelativeAttentionWrapper) {
      return RelativeAttentionWrapper(dModel, { nHeads, dropout, mode, ...this.#biases, totalPooling });
    }
    const given = attentionOptions(nHeads, dropout, mode, shared(dModel, nHeads));
    return applyAttention(type, dModel, 0, { ...given, causal: true, masked: false });
  }

  /** So many blocks, and a normalization behind them. */
  blocks(count: number, totalPooling: number, type: AttentionType): LayerNest {
    const { dModel, dFf, dropout: rate, dropoutSharedAxes: sharedAxes, mode, ffActivation } = this.options;
    const around = (inner: LayerNest): Layer => Residual(LayerNorm(), inner, Dropout({ rate, sharedAxes, mode }));
    const block = (): LayerNest => [
      around(this.#attention(type, totalPooling)),
      around(FeedForwardBlock(dModel, dFf, rate, sharedAxes, mode, ffActivation)),
    ];
    return [several(count, block), LayerNorm()];
  }

  /** What sees the sequence shortened, level by level, added to the sequence; so many tokens are one position before it. */
  valley([level, ...inner]: Levels, totalPooling: number): LayerNest {
    if (level === undefined) return [];
    const { dModel, middleAttnType, downsamplingFn, upsamplingFn, attentionDownsamplingFn, attentionUpsamplingFn } =
      this.options;
    const { dFf, nHeads, dropout, dropoutSharedAxes, mode, ffActivation } = this.options;
    const [count, factor] = level;
    const given = { dFf, nHeads, dropout, dropoutSharedAxes, mode, ffActivation, ...this.#biases, totalPooling };
    const blocks = (): LayerNest => this.blocks(count, totalPooling * factor, middleAttnType);
    return [
      Dup(),
      // A group must not see its own positions: shifted by one in all, its last would.
      ShiftRight({ nPositions: factor - 1, mode }),
      resample(downsamplingFn, factor, dModel, {
        ...given,
        isUpsampling: false,
        resamplingFn: attentionDownsamplingFn,
      }),
      blocks(),
      inner.length === 0 ? [] : [this.valley(inner, totalPooling * factor), blocks()],
      resample(upsamplingFn, factor, dModel, { ...given, isUpsampling: true, resamplingFn: attentionUpsamplingFn }),
      LayerNorm(),
      Add(),
    ];
  }
}

/** The layers of an `HourglassLM`. */
export function hourglassLM(all: FilledHourglassLMOptions): Layer {
  const { vocabSize, dModel, dropout, dropoutSharedAxes, vanillaAttnType, vanillaLayers, hierarchy, mode } = all;
  const [before, after] = vanillaLayers;
  const parts = new Parts(all);
  const model = Serial(
    ShiftRight({ mode }),
    embedder(vocabSize, dModel, dropout, mode, dropoutSharedAxes),
    parts.blocks(before, 1, vanillaAttnType),
    parts.valley(hierarchy, 1),
    parts.blocks(after, 1, vanillaAttnType),
    Dense(vocabSize),
  );
  return WholeSequences(model, {
    refusal: "HourglassLM: `mode` cannot be 'predict', as several positions are computed as one",
  });
}
