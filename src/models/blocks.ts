/**
 * Parts that several models are made of.
 *
 * @module
 */
import {
  AssertFunction,
  AxialPositionalEncoding,
  BatchLeadingAxes,
  BlockSparseFF,
  Chunk,
  Dense,
  Dropout,
  Embedding,
  FixedBasePositionalEncoding,
  InfinitePositionalEncoding,
  LayerNorm,
  PositionalEncoding,
  Relu,
  Residual,
  SelfAttention,
  Serial,
  SinCosPositionalEncoding,
  SparseDenseWithOptions,
  type SparseDenseWithOptionsOptions,
  SparseFF,
  SRU,
  SwitchSparseFF,
} from '../generated/index.js';
import { type Layer, type Mode } from '../layer/layer.js';
import { callable, flag, found, isList } from '../bridge/found.js';
import { namedOptions } from '../tensor/rest.js';
import { type LayerFactory, type LayerNest } from '../layer/types.js';

/**
 * How positions are told apart: by a trainable table (`null` or `''`), by an encoding of the module `positionEncodings`, or not at all
 * (`'no'`).
 */
export type PositionType = 'sin-cos' | 'fixed-base' | 'infinite' | 'infinite-affine' | 'axial' | 'no' | '' | null;

/** Options of models that encode positions. */
export interface PositionOptions {
  /** The most positions that a table can encode. @defaultValue `2048` */
  readonly maxLen?: number;
  /** How positions are told apart. @defaultValue `null` */
  readonly posType?: PositionType;
  /** Size of the grid, for `'axial'`. @defaultValue `null` */
  readonly posAxialShape?: readonly number[] | null;
  /** Features that each axis of the grid gives, for `'axial'`; they add up to the depth. @defaultValue `null` */
  readonly posDAxialEmbs?: readonly number[] | null;
  /** Probability of starting at position 0 in training, for a table. @defaultValue `1` */
  readonly posStartFromZeroProb?: number;
  /** Random starts lie below this position, for a table. @defaultValue `0` */
  readonly posMaxOffsetToAdd?: number;
}

/** What {@link PositionOptions} are if left out. */
export const positionDefaults: Required<PositionOptions> = {
  maxLen: 2048,
  posType: null,
  posAxialShape: null,
  posDAxialEmbs: null,
  posStartFromZeroProb: 1,
  posMaxOffsetToAdd: 0,
};

/** Options with those that are left out filled in. Refuses what a model does not have, as its layers do. */
export function filledIn<T extends object>(model: string, defaults: T, options: Partial<T>): T {
  const given = Object.entries(namedOptions(model, options) ?? {}).filter(([, value]) => value !== undefined);
  const unknown = given.find(([name]) => !Object.hasOwn(defaults, name))?.[0];
  if (unknown !== undefined) {
    const names = Object.keys(defaults).map((name) => `\`${name}\``);
    throw new TypeError(`${model}: unknown option \`${unknown}\`: it takes ${names.join(', ')}`);
  }
  const all = { ...defaults, ...Object.fromEntries(given) };
  for (const [name, value] of given) checkKind(`${model}: \`${name}\``, Reflect.get(defaults, name), value);
  return all;
}

const isPlain = (x: unknown): boolean => x === null || ['number', 'string', 'boolean'].includes(typeof x);

/** Refuses what is of another kind than the default, where a model uses it itself; the rest is checked by the layers it goes to. */
function checkKind(what: string, usual: unknown, value: unknown): void {
  if (typeof usual === 'boolean') {
    if (value !== null) flag(what, value);
  } else if (typeof usual === 'number' || typeof usual === 'string') {
    // Some may also be lists. What numbers and strings are possible is checked where they are used.
    if (!isPlain(value) && !(isList(value) && Array.from(value).every(isPlain))) {
      throw new TypeError(`${what} must be a ${typeof usual}, got ${found(value)}`);
    }
  } else if (typeof usual === 'function') {
    // Kinds of attention may be given layer by layer.
    for (const make of isList(value) && /attentionType/.test(what) ? value : [value]) callable(what, make);
  }
}

/** A value as the messages of layers show it, if JSON has it. */
export function shown(x: unknown): string {
  try {
    const json: string | undefined = JSON.stringify(x);
    return json === undefined || json.length > 80 ? found(x) : json;
  } catch {
    return found(x);
  }
}

/** Refuses what is no whole number of at least 0. */
export function whole(model: string, option: string, count: number): number {
  if (!Number.isSafeInteger(count) || count < 0) {
    throw new RangeError(`${model}: \`${option}\` must be a whole number of at least 0, got ${shown(count)}`);
  }
  return count;
}

/** As many of what `make` gives as asked for. */
export function several<T>(model: string, option: string, count: number, make: (index: number) => T): T[] {
  return Array.from({ length: whole(model, option, count) }, (_, index) => make(index));
}

/** What attention is made with in `applyAttention`. */
export interface AttentionOptions {
  /** Number of heads. */
  readonly nHeads: number;
  /** Depth of queries and keys in each head. */
  readonly dQk: number;
  /** Depth of values in each head. */
  readonly dV: number;
  /** Whether a position sees those before it only; left out for attention to other vectors. */
  readonly causal?: boolean;
  /** Whether a mask comes as the last input. */
  readonly masked: boolean;
  /** Probability of dropping an attention weight. */
  readonly attentionDropout: number;
  /** Probability of dropping an output. */
  readonly outputDropout: number;
  /** How the layer behaves. */
  readonly mode: Mode;
}

/** What `applyAttention` gives layers that are made with their depth first, such as `CausalAttention`. */
export type PlainAttentionOptions = Pick<AttentionOptions, 'nHeads' | 'mode'> & {
  /** Rate at which attention weights are dropped. */
  readonly dropout: number;
};

/**
 * Makes an attention layer: of its options, as `SelfAttention`; or, if it has two parameters, of the depth of the model and
 * fewer options, as `CausalAttention`.
 */
export type AttentionType =
  ((options: AttentionOptions) => Layer) | ((dModel: number, options: PlainAttentionOptions) => Layer);

/** The layer that adds positions. */
export function positionalEncoder(
  model: string,
  mode: Mode,
  dropout: number,
  options: Required<PositionOptions>,
): Layer {
  const { maxLen, posType, posAxialShape, posDAxialEmbs } = options;
  const { posStartFromZeroProb: startFromZeroProb, posMaxOffsetToAdd: maxOffsetToAdd } = options;
  const encoder = (): Layer => {
    switch (posType) {
      case null:
      case '':
        return PositionalEncoding({ maxLen, dropout, startFromZeroProb, maxOffsetToAdd, mode });
      case 'sin-cos':
        return SinCosPositionalEncoding({ mode });
      case 'fixed-base':
        return FixedBasePositionalEncoding({ mode });
      case 'infinite':
        return InfinitePositionalEncoding({ affine: false, mode });
      case 'infinite-affine':
        return InfinitePositionalEncoding({ mode });
      case 'no':
        return Serial();
      case 'axial': {
        const shape = posAxialShape ?? [];
        const dropoutBroadcastDims = shape.map((_, axis) => axis + 1);
        return AxialPositionalEncoding({ shape, dEmbs: posDAxialEmbs ?? [], dropoutBroadcastDims, dropout, mode });
      }
      default: {
        const types = "null, 'sin-cos', 'fixed-base', 'infinite', 'infinite-affine', 'axial' or 'no'";
        throw new RangeError(`${model}: \`posType\` must be ${types}, got ${shown(posType satisfies never)}`);
      }
    }
  };
  return AssertFunction('...d->...d', encoder());
}

/** What turns tokens into vectors: an embedding and dropout. */
export function embedder(
  vocabSize: number,
  dModel: number,
  dropout: number,
  mode: Mode,
  sharedAxes: readonly number[] | null = [-2],
): Layer[] {
  return [Embedding(vocabSize, dModel), Dropout({ rate: dropout, sharedAxes, mode })];
}

/** Options that attention of every kind takes. */
export function attentionOptions(
  nHeads: number,
  dropout: number,
  mode: Mode,
  depths: Pick<AttentionOptions, 'dQk' | 'dV'>,
) {
  return { nHeads, ...depths, attentionDropout: dropout, outputDropout: dropout, mode };
}

/** Depths of heads that together are as deep as the model. */
export function shared(dModel: number, nHeads: number): Pick<AttentionOptions, 'dQk' | 'dV'> {
  const depth = Math.floor(dModel / nHeads);
  return { dQk: depth, dV: depth };
}

/** An attention layer of a type. */
function attention(type: AttentionType, dModel: number, options: AttentionOptions): Layer {
  callable('attentionType', type);
  const { nHeads, mode, attentionDropout: dropout } = options;
  const byName = (): Layer => (type as (options: AttentionOptions) => Layer)(options);
  const byPlace = (): Layer =>
    (type as (dModel: number, options: PlainAttentionOptions) => Layer)(dModel, { nHeads, dropout, mode });
  if (type.length > 0) return type.length < 2 ? byName() : byPlace();
  // A function of rest parameters does not say which it is; Trax tries all in this way.
  try {
    return byName();
  } catch (error) {
    try {
      return byPlace();
    } catch {
      throw error;
    }
  }
}

/** An attention layer of a type, in chunks of `chunkSize` positions if that is above 0. */
export function applyAttention(
  type: AttentionType,
  dModel: number,
  chunkSize: number,
  options: AttentionOptions,
): Layer {
  return Chunk(attention(type, dModel, options), whole('attention', 'attentionChunkSize', chunkSize));
}

/** Causal self-attention that remembers so many positions in predict mode; by itself it remembers what chunks can see, and needs chunks. */
export function remembering(positions: number): (options: AttentionOptions) => Layer {
  return (options) => SelfAttention({ ...options, predictMemLen: positions, predictDropLen: 1 });
}

/** Options of the feed-forward part of a block. */
export interface FeedForwardOptions {
  /** Depth inside the feed-forward part of a block. @defaultValue `2048` */
  readonly dFf?: number;
  /** Probability of dropping an activation, in training. @defaultValue `0.1` */
  readonly dropout?: number;
  /** Makes the activation of the feed-forward part. @defaultValue `Relu`; `FastGelu` in `ReformerLM` and its like */
  readonly ffActivation?: LayerFactory;
  /** Probability of dropping what goes into that activation; `null`: as `dropout`. @defaultValue `null` */
  readonly ffDropout?: number | null;
  /**
   * Adds to the feed-forward part what this many `SRU` layers make of its input; a pair tells their units too, which are 32 otherwise.
   * @defaultValue `0`
   */
  readonly ffUseSru?: number | readonly [layers: number, units: number];
  /** Computes this many positions of the feed-forward part at once, to save memory; 0: all. @defaultValue `0` */
  readonly ffChunkSize?: number;
  /**
   * Replaces the feed-forward part by a `SparseFF` with blocks of this many units, of which one is active; a list tells its `dLowrank` too, which
   * is `dFf / ffSparsity` otherwise, and a longer one its `temperature` and `quantProb`; a string holds such a list. Its activation is `Relu`, and
   * it drops outputs only. 0: dense.
   * @defaultValue `0`
   */
  readonly ffSparsity?:
    | number
    | string
    | readonly [nElementsInBlock: number, dLowrank: number]
    | readonly [nElementsInBlock: number, dLowrank: number, temperature: number, quantProb: number];
  /** Whether the layer normalization of blocks moves the mean to 0. @defaultValue `true` */
  readonly centerLayernorm?: boolean;
  /** What layer normalization adds to the variance; `null`: what `LayerNorm` adds by itself. @defaultValue `null` */
  readonly epsilon?: number | null;
  /** Whether the dense layers of the feed-forward part, or the sparse one, have bfloat16 weights. @defaultValue `false` */
  readonly useBfloat16?: boolean;
  /** How the layers behave. @defaultValue `'train'` */
  readonly mode?: Mode;
}

/** What {@link FeedForwardOptions} are if left out. */
export const feedForwardDefaults: Required<FeedForwardOptions> = {
  dFf: 2048,
  dropout: 0.1,
  ffActivation: Relu,
  ffDropout: null,
  ffUseSru: 0,
  ffChunkSize: 0,
  ffSparsity: 0,
  centerLayernorm: true,
  epsilon: null,
  useBfloat16: false,
  mode: 'train',
};

/** What stands in for a dense feed-forward part: units or experts of which few are active, chosen in three ways. */
export type FeedForwardSparsity = '1inN' | 'Block' | 'Switch';

/** What a feed-forward part of some models is made with, and is always the same in others. */
export interface FeedForwardKind {
  /** Axes along which the dropout mask of its result is shared. */
  readonly dropoutSharedAxes: readonly number[] | null;
  /** What `ffSparsity` makes of it. */
  readonly ffSparsityType: FeedForwardSparsity;
}

const reformerKind: FeedForwardKind = { dropoutSharedAxes: [-2], ffSparsityType: '1inN' };

/** The sparse feed-forward layer of {@link FeedForwardOptions.ffSparsity}. */
function sparseFF(options: Required<FeedForwardOptions>, dropoutSharedAxes: readonly number[] | null): Layer {
  const { dFf, dropout: dropoutRate, ffSparsity, ffChunkSize, useBfloat16, mode } = options;
  const listed = typeof ffSparsity === 'string' ? ffSparsity.trim().split(/\s+/u).map(Number) : ffSparsity;
  const given =
    typeof listed === 'number' ? [whole('feedForward', 'ffSparsity', listed), Math.floor(dFf / listed)] : listed;
  if (!Array.isArray(given) || (given.length !== 2 && given.length !== 4)) {
    throw new RangeError(
      `feedForward: \`ffSparsity\` must be a number or a list of 2 or 4 numbers, got ${shown(ffSparsity)}`,
    );
  }
  const [nElementsInBlock, dLowrank, temperature, quantProb] = given as readonly number[];
  const noise = { temperature, quantProb };
  return SparseFF(dFf, {
    nElementsInBlock,
    dLowrank,
    ...noise,
    useBfloat16,
    mode,
    dropoutRate,
    dropoutSharedAxes,
    ffChunkSize,
  });
}

/** The layer of experts of {@link FeedForwardOptions.ffSparsity}. */
function experts(options: Required<FeedForwardOptions>, type: 'Block' | 'Switch'): Layer {
  const { dFf, ffSparsity: nExperts, mode } = options;
  if (typeof nExperts !== 'number') {
    throw new RangeError(
      `feedForward: \`ffSparsity\` must be the number of experts where \`ffSparsityType\` is '${type}', got ${shown(nExperts)}`,
    );
  }
  return type === 'Block' ? BlockSparseFF(dFf, { nExperts, mode }) : SwitchSparseFF(dFf, { nExperts, mode });
}

/** The feed-forward part of a block, and beside it recurrent layers, where asked for. */
export function feedForward(
  dModel: number,
  options: Required<FeedForwardOptions>,
  kind: FeedForwardKind = reformerKind,
): LayerNest {
  const { ffUseSru, centerLayernorm: center, epsilon, mode } = options;
  const block = feedForwardBlock(dModel, options, kind);
  if (ffUseSru === 0) return block;
  const [layers, units] = isList(ffUseSru) ? ffUseSru : [ffUseSru, 32];
  const recurrent = several('feedForward', 'ffUseSru', layers, () => SRU(units, { mode }));
  return Residual(LayerNorm({ center, epsilon }), Dense(units), recurrent, Dense(dModel), { shortcut: block });
}

/** Layer normalization, what is between two depths, dropout. */
function feedForwardBlock(dModel: number, options: Required<FeedForwardOptions>, kind: FeedForwardKind): LayerNest {
  const { dropout: rate, ffSparsity, ffChunkSize, centerLayernorm: center, epsilon, mode } = options;
  const { ffSparsityType: type, dropoutSharedAxes: sharedAxes } = kind;
  if (!['1inN', 'Block', 'Switch'].includes(type)) {
    throw new RangeError(`feedForward: \`ffSparsityType\` must be '1inN', 'Block' or 'Switch', got ${shown(type)}`);
  }
  if (ffSparsity !== 0 && type === '1inN') return [LayerNorm({ center, epsilon }), sparseFF(options, sharedAxes)];
  const inner = ffSparsity === 0 || type === '1inN' ? dense(dModel, options) : experts(options, type);
  const block = [LayerNorm({ center, epsilon }), inner, Dropout({ rate, sharedAxes, mode })];
  return whole('feedForward', 'ffChunkSize', ffChunkSize) === 0
    ? block
    : BatchLeadingAxes(Chunk(Serial(block), ffChunkSize));
}

/** Two dense layers with an activation between them; nested as in the reference, which shows where the list is printed. */
function dense(dModel: number, options: Required<FeedForwardOptions>): LayerNest {
  const { dFf, dropout, ffActivation, ffDropout, useBfloat16, mode } = options;
  const drop = Dropout({ rate: ffDropout ?? dropout, sharedAxes: [-2], mode });
  return [Dense(dFf, { useBfloat16 }), drop, ffActivation(), Dense(dModel, { useBfloat16 })];
}

/** Options of the layer that makes the logits. */
export interface LossOptions {
  /** What stands in for the dense layer that makes the logits, as in `SparseDenseWithOptions`; it needs a `lossSparsity`. @defaultValue `'mult'` */
  readonly lossSparsityType?: Exclude<SparseDenseWithOptionsOptions['sparsityType'], undefined>;
  /** Modules that the logits are divided into by it; 0: the layer is dense. @defaultValue `0` */
  readonly lossSparsity?: number;
  /** Size of its inner axis, for `'lowrank'`. @defaultValue `0` */
  readonly lossDLowrank?: number;
  /** Probability that it makes the logits of a training step, and not a dense layer beside it; `null`: always. @defaultValue `null` */
  readonly lossSparsityProb?: number | null;
}

/** What {@link LossOptions} are if left out. */
export const lossDefaults: Required<LossOptions> = {
  lossSparsityType: 'mult',
  lossSparsity: 0,
  lossDLowrank: 0,
  lossSparsityProb: null,
};

/** The layer that makes logits of vectors that are `dInput` deep. */
export function logits(vocabSize: number, dInput: number, mode: Mode, options: Required<LossOptions>): Layer {
  return SparseDenseWithOptions(vocabSize, {
    dInput,
    sparsityType: options.lossSparsityType,
    sparsity: options.lossSparsity,
    dLowrank: options.lossDLowrank,
    probSparse: options.lossSparsityProb,
    mode,
  });
}
