/**
 * The Hourglass of "Hierarchical Transformers Are More Efficient Language Models" (https://arxiv.org/abs/2110.13711): a language model
 * whose inner blocks see a shorter sequence, whose inner blocks may see a shorter one yet.
 *
 * @module
 */
import {
  Add,
  AttentionResampling,
  AveragePooling,
  Dense,
  Dropout,
  Dup,
  FastGelu,
  FeedForwardBlock,
  getRelAttInputs,
  LayerNorm,
  LinearUpsampling,
  RelativeAttentionWrapper,
  Residual,
  Serial,
  ShiftRight,
} from '../generated/index.js';
import { type Layer, type Mode, wholeSequences } from '../layer/layer.js';
import { ofArity } from './arity.js';
import { type Tensor } from '../tensor/tensor.js';
import { type LayerFactory, type LayerNest, type ResamplingFactory } from '../layer/types.js';
import {
  applyAttention,
  attentionOptions,
  type AttentionType,
  embedder,
  filledIn,
  several,
  shared,
  shown,
} from './blocks.js';

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

/** Options of {@link HourglassLM}. */
export interface HourglassLMOptions {
  /** Depth of the activations between blocks; even, and a multiple of `nHeads`. @defaultValue `512` */
  readonly dModel?: number;
  /** Depth inside the feed-forward part of a block. @defaultValue `2048` */
  readonly dFf?: number;
  /** Number of blocks that see every token, before and after those that see a shorter sequence. @defaultValue `[1, 1]` */
  readonly vanillaLayers?: readonly [before: number, after: number];
  /**
   * Blocks and how many tokens are one position to them, `'blocks@tokens'`, for each level on the way in and out: `'1@2 4@6 1@2'`. It reads the same
   * backwards, and each level is a multiple of the one around it. @defaultValue `'6@3'`
   */
  readonly hierarchy?: string;
  /** Number of attention heads. @defaultValue `8` */
  readonly nHeads?: number;
  /** Probability of dropping an activation, in training. @defaultValue `0.1` */
  readonly dropout?: number;
  /** Axes along which a dropout mask is shared. @defaultValue `null` */
  readonly dropoutSharedAxes?: readonly number[] | null;
  /** Positions cannot be computed one after another, as several of them are one. @defaultValue `'train'` */
  readonly mode?: Exclude<Mode, 'predict'>;
  /** Makes the activation of the feed-forward part. @defaultValue `FastGelu` */
  readonly ffActivation?: LayerFactory;
  /** Makes the attention of blocks that see every token. @defaultValue `RelativeAttentionWrapper` */
  readonly vanillaAttnType?: AttentionType;
  /** Makes the attention of blocks that see a shorter sequence. @defaultValue `RelativeAttentionWrapper` */
  readonly middleAttnType?: AttentionType;
  /** Makes the layers that shorten the sequence. @defaultValue `AttentionResampling` */
  readonly downsamplingFn?: ResamplingType;
  /** Makes the layers that lengthen it again. @defaultValue `AttentionResampling` */
  readonly upsamplingFn?: ResamplingType;
  /** Makes what `AttentionResampling` shortens with. @defaultValue `AveragePooling` */
  readonly attentionDownsamplingFn?: ResamplingFactory;
  /** Makes what `AttentionResampling` lengthens with. @defaultValue `LinearUpsampling` */
  readonly attentionUpsamplingFn?: ResamplingFactory;
}

const defaults: Required<HourglassLMOptions> = {
  dModel: 512,
  dFf: 2048,
  vanillaLayers: [1, 1],
  hierarchy: '6@3',
  nHeads: 8,
  dropout: 0.1,
  dropoutSharedAxes: null,
  mode: 'train',
  ffActivation: FastGelu,
  vanillaAttnType: RelativeAttentionWrapper,
  middleAttnType: RelativeAttentionWrapper,
  downsamplingFn: AttentionResampling,
  upsamplingFn: AttentionResampling,
  attentionDownsamplingFn: AveragePooling,
  attentionUpsamplingFn: LinearUpsampling,
};

/** One level of a hierarchy. */
interface Level {
  /** Number of blocks. */
  readonly blocks: number;
  /** By how much it is shorter than the level around it. */
  readonly factor: number;
}

/** The levels of a hierarchy, outermost first. */
function levelsOf(hierarchy: string): Level[] {
  const refuse = (why: string): never => {
    throw new RangeError(`HourglassLM: \`hierarchy\` ${why}, got ${shown(hierarchy)}`);
  };
  const written = typeof hierarchy === 'string' ? hierarchy.split(' ') : refuse('must be a string');
  if (written.join() !== written.toReversed().join()) refuse("must read the same backwards, as '1@2 4@6 1@2'");
  const levels = written.slice(0, Math.floor(written.length / 2) + 1).map((level) => {
    const [, blocks, tokens] =
      /^(\d+)@(\d+)$/u.exec(level) ?? refuse("must hold levels of blocks and tokens, as '4@6'");
    return { blocks: Number(blocks), tokens: Number(tokens) };
  });
  return levels.map(({ blocks, tokens }, i) => {
    const factor = tokens / (levels[i - 1]?.tokens ?? 1);
    if (!Number.isSafeInteger(factor) || factor < 2)
      refuse('must have more tokens in each level, and a multiple of those in the one around it');
    return { blocks, factor };
  });
}

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

  constructor(readonly options: Required<HourglassLMOptions>) {
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
  blocks(option: string, count: number, totalPooling: number, type: AttentionType): LayerNest {
    const { dModel, dFf, dropout: rate, dropoutSharedAxes: sharedAxes, mode, ffActivation } = this.options;
    const around = (inner: LayerNest): Layer => Residual(LayerNorm(), inner, Dropout({ rate, sharedAxes, mode }));
    const block = (): LayerNest => [
      around(this.#attention(type, totalPooling)),
      around(FeedForwardBlock(dModel, dFf, rate, sharedAxes, mode, ffActivation)),
    ];
    return [several('HourglassLM', option, count, block), LayerNorm()];
  }

  /** What sees the sequence shortened, level by level, added to the sequence; so many tokens are one position before it. */
  valley([level, ...inner]: readonly Level[], totalPooling: number): LayerNest {
    if (level === undefined) return [];
    const { dModel, middleAttnType, downsamplingFn, upsamplingFn, attentionDownsamplingFn, attentionUpsamplingFn } =
      this.options;
    const { dFf, nHeads, dropout, dropoutSharedAxes, mode, ffActivation } = this.options;
    const { factor } = level;
    const given = { dFf, nHeads, dropout, dropoutSharedAxes, mode, ffActivation, ...this.#biases, totalPooling };
    const blocks = (): LayerNest => this.blocks('hierarchy', level.blocks, totalPooling * factor, middleAttnType);
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

/**
 * A language model of blocks with relative attention, the inner ones of which see groups of tokens as one position: from each sequence of tokens, the
 * logits of every token given those before it.
 *
 * Input `int32[batch, length]`, ids below `vocabSize`, 0 for padding; output `float32[batch, length, vocabSize]`. The input is shifted to
 * the right inside, so position `t` of the output rests on positions before `t` only. The innermost level's number of tokens divides the length.
 * Memory: the activations of every block are kept for the backward pass, those of inner blocks for a shorter sequence; relative attention makes matrices of
 * queries × keys. Mode: dropout only in `'train'`; there is no mode `'predict'`.
 * Errors: `LayerError` for a length that the levels do not divide. Source: Nawrot et al. 2021, arXiv:2110.13711.
 *
 * @param vocabSize - Number of different tokens.
 * @param options - See the options type.
 */
export function HourglassLM(vocabSize: number, options: HourglassLMOptions = {}): Layer<Tensor, 1> {
  const all = filledIn('HourglassLM', defaults, options);
  const { dModel, dropout, dropoutSharedAxes, vanillaAttnType, vanillaLayers, hierarchy, mode } = all;
  const noPredict = "HourglassLM: `mode` cannot be 'predict', as several positions are computed as one";
  if ((mode as Mode) === 'predict') {
    throw new RangeError(noPredict);
  }
  if (!Array.isArray(vanillaLayers) || vanillaLayers.length !== 2) {
    throw new RangeError(`HourglassLM: \`vanillaLayers\` must be two numbers of blocks, got ${shown(vanillaLayers)}`);
  }
  const [before, after] = vanillaLayers;
  const levels = levelsOf(hierarchy);
  const parts = new Parts(all);
  const model = Serial(
    ShiftRight({ mode }),
    embedder(vocabSize, dModel, dropout, mode, dropoutSharedAxes),
    parts.blocks('vanillaLayers', before, 1, vanillaAttnType),
    parts.valley(levels, 1),
    parts.blocks('vanillaLayers', after, 1, vanillaAttnType),
    Dense(vocabSize),
  );
  return ofArity(wholeSequences(model, noPredict), 1, 1);
}
