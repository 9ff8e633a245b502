/**
 * How many tensors layers take and give, for the compiler: types that follow the data stack through combinators.
 *
 * @module
 */
import { type Signature } from '../tensor/ops.js';
import { type Tensor } from '../tensor/tensor.js';
import { numberOfLayer } from './given.js';
import { type Layer } from './layer.js';
import { type LayerOutputs } from './options.js';
import { type LayerNest } from './types.js';

/** A tuple of `N` tensors; an array where `N` is not known. */
export type Tensors<N extends number, Made extends Tensor[] = []> = number extends N
  ? Tensor[]
  : Made['length'] extends N
    ? Made
    : Made['length'] extends 16
      ? Tensor[]
      : Tensors<N, [...Made, Tensor]>;

/** What a layer of `N` outputs returns: the tensor itself if it is one. */
export type Outputs<N extends number> = number extends N ? LayerOutputs : N extends 1 ? Tensor : Tensors<N>;

/** The signatures of the outputs of a layer, arranged as the outputs are. */
export type OutputSignature<Out extends LayerOutputs> = Out extends Tensor
  ? Signature
  : { [I in keyof Out]: Signature };

/** What a layer gives whose function returns `Result`. */
export type OutputsOf<Result> = Result extends Tensor
  ? Tensor
  : Result extends readonly [Tensor]
    ? Tensor
    : Result extends readonly Tensor[]
      ? number extends Result['length']
        ? LayerOutputs
        : Tensors<Result['length']>
      : LayerOutputs;

/** How many inputs a function with these parameters takes. */
export type InputsOf<Parameters extends readonly unknown[]> = Count<Parameters['length']>;

/** A length, `number` unless it is one number. */
type Count<N extends number, All = N> = N extends number ? ([All] extends [N] ? N : number) : never;

/** The outputs of a layer as a list; `null` where their number is not known. */
type Listed<Out> = [Out] extends [Tensor]
  ? [Tensor]
  : [Out] extends [Tensor[]]
    ? number extends Out['length']
      ? null
      : Out
    : null;

/** A list of tensors as a layer gives it. */
type Given<List extends Tensor[]> = List extends [Tensor] ? Tensor : List;

/** What a part of a stack takes from it and gives back. */
interface Part {
  readonly takes: Tensor[];
  readonly gives: Tensor[];
}

/** A part after another: what was taken from below both, and what lies on the stack now. */
type After<Before extends Part, Next extends Part> = Before['gives'] extends [
  ...Next['takes'],
  ...infer Below extends Tensor[],
]
  ? { takes: Before['takes']; gives: [...Next['gives'], ...Below] }
  : Next['takes'] extends [...Before['gives'], ...infer Deeper extends Tensor[]]
    ? { takes: [...Before['takes'], ...Deeper]; gives: Next['gives'] }
    : null;

/** One layer as a part; `null` where its arity is not known. */
type PartOf<L> =
  L extends Layer<infer Out, infer N>
    ? number extends N
      ? null
      : Listed<Out> extends infer Gives extends Tensor[]
        ? { takes: Tensors<N>; gives: Gives }
        : null
    : null;

/** One tensor for one. */
interface One extends Part {
  readonly takes: [Tensor];
  readonly gives: [Tensor];
}

/** Layers one after another behind the part `Before`, in a list of any length too if they are of one input and one output each. */
type Run<Layers, Before extends Part | null> = Before extends Part
  ? Layers extends null
    ? Before
    : Layers extends Layer<LayerOutputs, number>
      ? PartOf<Layers> extends infer Next extends Part
        ? After<Before, Next>
        : null
      : Layers extends readonly []
        ? Before
        : Layers extends readonly [infer First, ...infer Rest]
          ? Run<Rest, Run<First, Before>>
          : Layers extends readonly [...infer Start, infer Last]
            ? Run<Last, Run<Start, Before>>
            : Layers extends readonly (infer Each)[]
              ? Repeated<Each, Before>
              : null
  : null;

/** A layer any number of times: known where it is of one input and one output, and something is there for it. */
type Repeated<Each, Before extends Part> = [LayerNest] extends [Each]
  ? null
  : Run<Each, One> extends infer Made
    ? [Made] extends [One]
      ? Before extends { takes: []; gives: [] }
        ? One
        : Before['gives'] extends [Tensor, ...Tensor[]]
          ? Before
          : null
      : null
    : null;

/** What is known of layers one after another; `null` where it is not. */
type Chain<Layers> = Run<Layers, { takes: []; gives: [] }>;

/** A layer of the arity of a part. */
type LayerOf<P> = [P] extends [{ takes: []; gives: [] }]
  ? Layer
  : [P] extends [Part]
    ? Layer<Given<P['gives']>, P['takes']['length']>
    : Layer;

/** The layer that {@link Serial} makes of these. */
export type SerialOf<Layers extends readonly LayerNest[]> = LayerOf<Chain<Layers>>;

/** The layer that {@link Residual} makes of these: of one output where they are of one. */
export type ResidualOf<Layers extends readonly LayerNest[]> =
  Chain<Layers> extends { takes: [Tensor, ...Tensor[]]; gives: [Tensor] } ? SerialOf<Layers> : Layer;

/** All parts side by side on inputs of their own. */
type Beside<
  Layers extends readonly LayerNest[],
  Sum extends Part = { takes: []; gives: [] },
> = Layers extends readonly []
  ? Sum
  : Layers extends readonly [infer First, ...infer Rest extends readonly LayerNest[]]
    ? PartIn<First> extends infer P extends Part
      ? Beside<Rest, { takes: [...Sum['takes'], ...P['takes']]; gives: [...Sum['gives'], ...P['gives']] }>
      : null
    : null;

/** All parts on the same inputs, of which each takes as many as it needs. */
type Branched<
  Layers extends readonly LayerNest[],
  Sum extends Part = { takes: []; gives: [] },
> = Layers extends readonly []
  ? Sum
  : Layers extends readonly [infer First, ...infer Rest extends readonly LayerNest[]]
    ? PartIn<First> extends infer P extends Part
      ? Branched<
          Rest,
          {
            takes: Sum['takes'] extends [...P['takes'], ...Tensor[]] ? Sum['takes'] : P['takes'];
            gives: [...Sum['gives'], ...P['gives']];
          }
        >
      : null
    : null;

/** What one of several parts is by itself: one tensor for one where it is nothing. */
type PartIn<L> = [L] extends [null]
  ? One
  : Chain<[L]> extends infer P
    ? P extends { takes: []; gives: [] }
      ? One
      : P
    : null;

/** The layer that {@link Parallel} makes of these. */
export type ParallelOf<Layers extends readonly LayerNest[]> = LayerOf<Beside<Layers>>;

/** The layer that {@link Branch} makes of these. */
export type BranchOf<Layers extends readonly LayerNest[]> = LayerOf<Branched<Layers>>;

/** How many inputs a choice of these needs: one more than the largest. */
type Reach<Indices extends readonly number[], Needed extends Tensor[] = [Tensor]> = number extends Indices['length']
  ? number
  : number extends Indices[number]
    ? number
    : Needed['length'] extends 16
      ? number
      : Exclude<Indices[number], Below<Needed>> extends never
        ? Needed['length']
        : Reach<Indices, [...Needed, Tensor]>;

/** The numbers from 0 up to the length of a list. */
type Below<List extends Tensor[], Numbers = never> = List extends [Tensor, ...infer Rest extends Tensor[]]
  ? Below<Rest, Numbers | Rest['length']>
  : Numbers;

/** The layer that {@link Select} makes of these indices, where the number of inputs follows from them. */
export type SelectOf<Indices extends readonly number[], NIn = null> = Layer<
  Outputs<Indices['length']>,
  NIn extends number ? NIn : Reach<Indices>
>;

/** A layer of the arity of another. */
export type AsLayer<L extends Layer> = L extends Layer<infer Out, infer N> ? Layer<Out, N> : Layer;

/**
 * Tells whether a layer takes and gives so many tensors; where it does, its type says so from there on.
 *
 * Most factories make layers of a type that says it. What is made of a list of layers, or loaded, is of the plain type `Layer`, whose
 * outputs may be one tensor or several.
 *
 * @param layer - The layer.
 * @param nIn - Number of inputs.
 * @param nOut - Number of outputs.
 * @returns Whether it has as many.
 * @throws `TypeError`: `layer` is no layer.
 * @example
 * ```ts
 * const model: tl.Layer = tl.Serial([tl.Dense(4), tl.Relu()]);
 * model.init({ shape: [1, 2], dtype: 'float32' });
 * if (tl.hasArity(model, 1, 1)) model([[1, 2]]).shape;
 * // → [1, 4]
 * ```
 */
export function hasArity<NIn extends number, NOut extends number>(
  layer: Layer,
  nIn: NIn,
  nOut: NOut,
): layer is Layer<Outputs<NOut>, NIn> {
  numberOfLayer('hasArity: layer', layer);
  return layer.nIn === nIn && layer.nOut === nOut;
}
