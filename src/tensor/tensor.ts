/**
 * Tensors: handles of values that live in Rust, with the operations as methods.
 *
 * @module
 */
import { Handle } from './handle.js';
import { MOST_AXES } from './data.js';
import { found, list } from '../bridge/found.js';
import { dtypeCode, native, type DType } from '../bridge/native.js';
import { where } from './ops.js';
import { type Names, optionsOf } from './rest.js';

/** An axis, given as a number or as `{axis}`; negative ones count from the end. */
export type AxisArgument =
  | number
  | {
      /** The axis; `null` as if left out. */
      readonly axis?: number | null;
    };
/** Axes to reduce over, and whether they stay with size 1. Without `axis`: all of them. */
export type ReduceArgument = number | readonly number[] | ReduceOptions;
/** Axes to reduce over, and whether they stay with size 1. */
export interface ReduceOptions {
  /** One axis, several, or all if left out. */
  readonly axis?: number | readonly number[] | null;
  /** Whether reduced axes stay with size 1. */
  readonly keepdims?: boolean;
}
/** A tensor, or a number that takes the other operand's dtype; a bigint meets integers only. */
export type Operand = Tensor | number | bigint;

/** Wraps a native id. */
export let wrap: (id: number) => Tensor;
/** The native id of a tensor; `what` names it where it is none. */
export let idOf: (x: Tensor, what?: string) => number;

/** Whether `x` is a number or a bigint. */
export function isNumeric(x: unknown): x is number | bigint {
  return typeof x === 'number' || typeof x === 'bigint';
}

/** Where values are padded, and what with. */
interface PadOptions {
  readonly value?: number | bigint;
}
/** How values are sorted. */
interface SortOptions {
  readonly axis?: number;
  readonly descending?: boolean;
}
/** The element type of what is made. */
interface DTypeOptions {
  readonly dtype?: DType;
}

const AXIS: Names<{ axis?: number | null }> = { axis: true };
const REDUCE: Names<ReduceOptions> = { axis: true, keepdims: true };
const PAD: Names<PadOptions> = { value: true };
const SORT: Names<SortOptions> = { axis: true, descending: true };
const DTYPE: Names<DTypeOptions> = { dtype: true };

/** The axis given to the method `what`; `null` if it is left out. */
export function axisOf(what: string, argument: AxisArgument | undefined): number | null {
  return typeof argument === 'number' ? argument : (optionsOf(what, argument, AXIS).axis ?? null);
}

function axesOf(what: string, argument: ReduceArgument | undefined): ReduceOptions {
  return typeof argument === 'number' || Array.isArray(argument)
    ? { axis: argument as number | readonly number[] }
    : optionsOf(what, argument as ReduceOptions | undefined, REDUCE);
}

/** What a reduction is given: the axes, `null` for all, and whether they stay. */
function reduced(
  what: string,
  argument: ReduceArgument | undefined,
  given: number,
): [axes: number | readonly number[] | null, keepdims: boolean] {
  oneArgument(what, given);
  const { axis, keepdims } = axesOf(what, argument);
  return [axis ?? null, keepdims ?? false];
}

function sortOptions(what: string, argument: number | SortOptions, given: number): [axis: number, descending: boolean] {
  oneArgument(what, given);
  const { axis = -1, descending = false } =
    typeof argument === 'number' ? { axis: argument } : optionsOf(what, argument, SORT);
  return [axis, descending];
}

/** Refuses options by place, as in `sum(0, true)`, which would be passed over in silence. */
function oneArgument(what: string, given: number): void {
  if (given > 1) {
    throw new TypeError(`${what} takes one argument, an axis or options by name as in {axis: 0}; got ${given}`);
  }
}

/**
 * An immutable array of numbers or booleans. Operations are methods; all that make sense are differentiable
 * (see {@link vjp}, {@link grad}). The other operand may be a number; shapes broadcast as in NumPy.
 *
 * Values are freed when the tensor is collected or disposed, or when its {@link tidy} scope ends.
 */
export class Tensor extends Handle implements Iterable<Tensor> {
  private constructor(id: number) {
    super(id);
  }

  static {
    wrap = (id) => new Tensor(id);
    idOf = (x, what = 'x') => {
      if (!(x instanceof Tensor)) {
        throw new TypeError(`${what} must be a Tensor, got ${found(x)}; tl.tensor(data) makes one`);
      }
      return x.id;
    };
  }

  /** The slices along the first axis. */
  *[Symbol.iterator](): Iterator<Tensor> {
    const [length] = this.shape;
    if (length === undefined) {
      throw new TypeError('a tensor without axes cannot be iterated');
    }
    for (let i = 0; i < length; i++) {
      yield this.index(i);
    }
  }
  /** Sum. */
  add(other: Operand): Tensor {
    return new Tensor(
      isNumeric(other) ? native.addScalar(this.id, other) : native.add(this.id, idOf(other, 'add: other')),
    );
  }
  /** Difference. */
  sub(other: Operand): Tensor {
    return new Tensor(
      isNumeric(other) ? native.subScalar(this.id, other) : native.sub(this.id, idOf(other, 'sub: other')),
    );
  }
  /** Product, element by element. */
  mul(other: Operand): Tensor {
    return new Tensor(
      isNumeric(other) ? native.mulScalar(this.id, other) : native.mul(this.id, idOf(other, 'mul: other')),
    );
  }
  /** Quotient; integers divide to float32. */
  div(other: Operand): Tensor {
    return new Tensor(
      isNumeric(other) ? native.divScalar(this.id, other) : native.div(this.id, idOf(other, 'div: other')),
    );
  }
  /** Power. */
  pow(other: Operand): Tensor {
    return new Tensor(
      isNumeric(other) ? native.powScalar(this.id, other) : native.pow(this.id, idOf(other, 'pow: other')),
    );
  }
  /** Remainder with the sign of the divisor, as `jnp.mod`. */
  mod(other: Operand): Tensor {
    return new Tensor(
      isNumeric(other) ? native.remScalar(this.id, other) : native.rem(this.id, idOf(other, 'mod: other')),
    );
  }
  /** The larger of two, element by element. */
  maximum(other: Operand): Tensor {
    return new Tensor(
      isNumeric(other) ? native.maximumScalar(this.id, other) : native.maximum(this.id, idOf(other, 'maximum: other')),
    );
  }
  /** The smaller of two, element by element. */
  minimum(other: Operand): Tensor {
    return new Tensor(
      isNumeric(other) ? native.minimumScalar(this.id, other) : native.minimum(this.id, idOf(other, 'minimum: other')),
    );
  }
  /** Where equal. */
  eq(other: Operand): Tensor {
    return new Tensor(
      isNumeric(other) ? native.eqScalar(this.id, other) : native.eq(this.id, idOf(other, 'eq: other')),
    );
  }
  /** Where different. */
  ne(other: Operand): Tensor {
    return new Tensor(
      isNumeric(other) ? native.neScalar(this.id, other) : native.ne(this.id, idOf(other, 'ne: other')),
    );
  }
  /** Where less. */
  lt(other: Operand): Tensor {
    return new Tensor(
      isNumeric(other) ? native.ltScalar(this.id, other) : native.lt(this.id, idOf(other, 'lt: other')),
    );
  }
  /** Where less or equal. */
  le(other: Operand): Tensor {
    return new Tensor(
      isNumeric(other) ? native.leScalar(this.id, other) : native.le(this.id, idOf(other, 'le: other')),
    );
  }
  /** Where greater. */
  gt(other: Operand): Tensor {
    return new Tensor(
      isNumeric(other) ? native.gtScalar(this.id, other) : native.gt(this.id, idOf(other, 'gt: other')),
    );
  }
  /** Where greater or equal. */
  ge(other: Operand): Tensor {
    return new Tensor(
      isNumeric(other) ? native.geScalar(this.id, other) : native.ge(this.id, idOf(other, 'ge: other')),
    );
  }
  /** `value - this`. */
  rsub(value: number | bigint): Tensor {
    return new Tensor(native.rsubScalar(this.id, value));
  }
  /** `value / this`. */
  rdiv(value: number | bigint): Tensor {
    return new Tensor(native.rdivScalar(this.id, value));
  }
  /** `value ** this`. */
  rpow(value: number | bigint): Tensor {
    return new Tensor(native.rpowScalar(this.id, value));
  }
  /** Where both are nonzero. */
  logicalAnd(other: Tensor): Tensor {
    return new Tensor(native.logicalAnd(this.id, idOf(other, 'logicalAnd: other')));
  }
  /** Where either is nonzero. */
  logicalOr(other: Tensor): Tensor {
    return new Tensor(native.logicalOr(this.id, idOf(other, 'logicalOr: other')));
  }
  /** Where exactly one is nonzero. */
  logicalXor(other: Tensor): Tensor {
    return new Tensor(native.logicalXor(this.id, idOf(other, 'logicalXor: other')));
  }
  /** Matrix product, batched over leading axes, as `jnp.matmul`. */
  matmul(other: Tensor): Tensor {
    return new Tensor(native.matmul(this.id, idOf(other, 'matmul: other')));
  }
  /** Negative. */
  neg(): Tensor {
    return new Tensor(native.neg(this.id));
  }
  /** Absolute value. */
  abs(): Tensor {
    return new Tensor(native.abs(this.id));
  }
  /** −1, 0 or 1. */
  sign(): Tensor {
    return new Tensor(native.sign(this.id));
  }
  /** e to the power. */
  exp(): Tensor {
    return new Tensor(native.exp(this.id));
  }
  /** `exp(x) - 1`, exact near 0. */
  expm1(): Tensor {
    return new Tensor(native.expm1(this.id));
  }
  /** Natural logarithm. */
  log(): Tensor {
    return new Tensor(native.log(this.id));
  }
  /** `log(1 + x)`, exact near 0. */
  log1p(): Tensor {
    return new Tensor(native.log1P(this.id));
  }
  /** Square root. */
  sqrt(): Tensor {
    return new Tensor(native.sqrt(this.id));
  }
  /** One over the square root. */
  rsqrt(): Tensor {
    return new Tensor(native.rsqrt(this.id));
  }
  /** Square. */
  square(): Tensor {
    return new Tensor(native.square(this.id));
  }
  /** One over. */
  reciprocal(): Tensor {
    return new Tensor(native.recip(this.id));
  }
  /** Sine. */
  sin(): Tensor {
    return new Tensor(native.sin(this.id));
  }
  /** Cosine. */
  cos(): Tensor {
    return new Tensor(native.cos(this.id));
  }
  /** Hyperbolic tangent. */
  tanh(): Tensor {
    return new Tensor(native.tanh(this.id));
  }
  /** `1 / (1 + exp(-x))`. */
  sigmoid(): Tensor {
    return new Tensor(native.sigmoid(this.id));
  }
  /** Error function. */
  erf(): Tensor {
    return new Tensor(native.erf(this.id));
  }
  /** `max(x, 0)`. */
  relu(): Tensor {
    return new Tensor(native.relu(this.id));
  }
  /** `log(1 + exp(x))`. */
  softplus(): Tensor {
    return new Tensor(native.softplus(this.id));
  }
  /** `x * sigmoid(x)`. */
  swish(): Tensor {
    return new Tensor(native.swish(this.id));
  }
  /** Rounded down. */
  floor(): Tensor {
    return new Tensor(native.floor(this.id));
  }
  /** Rounded up. */
  ceil(): Tensor {
    return new Tensor(native.ceil(this.id));
  }
  /** Rounded to the nearest whole number, halves to even. */
  round(): Tensor {
    return new Tensor(native.round(this.id));
  }
  /** Where not a number. */
  isNaN(): Tensor {
    return new Tensor(native.isnan(this.id));
  }
  /** Where finite. */
  isFinite(): Tensor {
    return new Tensor(native.isfinite(this.id));
  }
  /** Where zero. */
  logicalNot(): Tensor {
    return new Tensor(native.logicalNot(this.id));
  }
  /** The same values, a constant to differentiation. */
  stopGradient(): Tensor {
    return new Tensor(native.stopGradient(this.id));
  }
  /** Gaussian error linear unit; `approximate` uses tanh. */
  gelu(approximate = true): Tensor {
    return new Tensor(native.gelu(this.id, approximate));
  }
  /** Values below `lo` become `lo`, above `hi` become `hi`; `null` is no bound. */
  clip(lo: number | bigint | null, hi: number | bigint | null): Tensor {
    return new Tensor(native.clip(this.id, lo, hi));
  }
  /**
   * The same values as another dtype: floats rounded once, halves to even. For integers floats are cut off towards zero, stop at the
   * least and largest number, and NaN is 0; integers keep the lowest bits, as in NumPy.
   */
  cast(dtype: DType): Tensor {
    return new Tensor(native.cast(this.id, dtypeCode(dtype, 'cast: dtype')));
  }
  /** The same values on another device: `cpu`, `cuda:0`, `metal:0`. */
  to(device: string): Tensor {
    return new Tensor(native.toDevice(this.id, device));
  }
  /** `this` where nonzero picks from `a`, elsewhere from `b`. */
  where(a: Operand, b: Operand): Tensor {
    return where(this, a, b);
  }
  /** `value` where `mask` is nonzero, elsewhere `this`. */
  maskFill(mask: Tensor, value: number | bigint): Tensor {
    return new Tensor(native.maskFill(this.id, idOf(mask, 'maskFill: mask'), value));
  }
  /** Sum over axes. */
  sum(options?: ReduceArgument): Tensor {
    return new Tensor(native.sum(this.id, ...reduced('sum', options, arguments.length)));
  }
  /** Mean over axes. */
  mean(options?: ReduceArgument): Tensor {
    return new Tensor(native.mean(this.id, ...reduced('mean', options, arguments.length)));
  }
  /** Largest value over axes. */
  max(options?: ReduceArgument): Tensor {
    return new Tensor(native.max(this.id, ...reduced('max', options, arguments.length)));
  }
  /** Smallest value over axes. */
  min(options?: ReduceArgument): Tensor {
    return new Tensor(native.min(this.id, ...reduced('min', options, arguments.length)));
  }
  /** Product over axes. */
  prod(options?: ReduceArgument): Tensor {
    return new Tensor(native.prod(this.id, ...reduced('prod', options, arguments.length)));
  }
  /** Population variance over axes. */
  variance(options?: ReduceArgument): Tensor {
    return new Tensor(native.variance(this.id, ...reduced('variance', options, arguments.length)));
  }
  /** `log(sum(exp(x)))` over axes, without overflow. */
  logSumExp(options?: ReduceArgument): Tensor {
    return new Tensor(native.logsumexp(this.id, ...reduced('logSumExp', options, arguments.length)));
  }
  /** Whether any is nonzero. */
  any(options?: ReduceArgument): Tensor {
    return new Tensor(native.any(this.id, ...reduced('any', options, arguments.length)));
  }
  /** Whether all are nonzero. */
  all(options?: ReduceArgument): Tensor {
    return new Tensor(native.all(this.id, ...reduced('all', options, arguments.length)));
  }
  /** Where the largest value is, counted along the axis; without one, in the flattened values. */
  argmax(options?: ReduceArgument): Tensor {
    const [axis, keepdims] = reduced('argmax', options, arguments.length);
    return new Tensor(native.argmax(this.id, axis as number | null, keepdims));
  }
  /** Where the smallest value is, counted along the axis; without one, in the flattened values. */
  argmin(options?: ReduceArgument): Tensor {
    const [axis, keepdims] = reduced('argmin', options, arguments.length);
    return new Tensor(native.argmin(this.id, axis as number | null, keepdims));
  }
  /** Running sum along an axis; without one, of the flattened values. */
  cumsum(options?: AxisArgument): Tensor {
    const axis = axisOf('cumsum', options);
    return axis === null ? this.#flat((x) => x.cumsum(0)) : new Tensor(native.cumsum(this.id, axis));
  }
  /** Softmax along an axis, the last if none is given. */
  softmax(options: AxisArgument = -1): Tensor {
    return new Tensor(native.softmax(this.id, axisOf('softmax', options) ?? -1));
  }
  /** Logarithm of softmax along an axis, the last if none is given. */
  logSoftmax(options: AxisArgument = -1): Tensor {
    return new Tensor(native.logSoftmax(this.id, axisOf('logSoftmax', options) ?? -1));
  }
  /** The same values in another shape; one size may be −1. */
  reshape(shape: readonly number[]): Tensor {
    return new Tensor(native.reshapeInfer(this.id, shape));
  }
  /** Axes in another order; without one, reversed. */
  transpose(perm?: readonly number[] | null): Tensor {
    return new Tensor(native.transpose(this.id, perm ?? null));
  }
  /** Two axes exchanged. */
  swapAxes(a: number, b: number): Tensor {
    return new Tensor(native.swapAxes(this.id, a, b));
  }
  /** An axis moved to another place. */
  moveAxis(from: number, to: number): Tensor {
    return new Tensor(native.moveAxis(this.id, from, to));
  }
  /** A new axis of size 1. */
  expandDims(axis: number): Tensor {
    return new Tensor(native.expandDims(this.id, axis));
  }
  /** Without axes of size 1; all of them, or those given. */
  squeeze(options?: ReduceArgument): Tensor {
    return new Tensor(native.squeeze(this.id, axesOf('squeeze', options).axis ?? null));
  }
  /** Repeated to a larger shape without copying. */
  broadcastTo(shape: readonly number[]): Tensor {
    return new Tensor(native.broadcastTo(this.id, shape));
  }
  /** One slice along an axis, without that axis. */
  index(i: number, options: AxisArgument = 0): Tensor {
    return new Tensor(native.index(this.id, axisOf('index', options) ?? 0, i));
  }
  /** A part, axis by axis, as NumPy's `[start:end:step]`; `null` is the end of the axis on that side. */
  slice(starts: readonly (number | null)[], ends: readonly (number | null)[], steps?: readonly number[]): Tensor {
    list('slice: starts', starts);
    list('slice: ends', ends);
    if (steps !== undefined) list('slice: steps', steps);
    if (starts.length > MOST_AXES) {
      throw new RangeError(`slice: starts names ${starts.length} axes, there are ${this.rank}`);
    }
    const by = steps ?? starts.map(() => 1);
    const open = (i: number, last: boolean): number => (last === (by[i] ?? 1) > 0 ? 1 : -1) * Number.MAX_SAFE_INTEGER;
    const from = starts.map((s, i) => s ?? open(i, false));
    const to = ends.map((e, i) => e ?? open(i, true));
    return new Tensor(native.slice(this.id, from, to, by));
  }
  /** Equal parts along an axis, or parts that begin at the given places. */
  split(parts: number | readonly number[], options: AxisArgument = 0): Tensor[] {
    const axis = axisOf('split', options) ?? 0;
    const ids = typeof parts === 'number' ? native.split(this.id, parts, axis) : native.splitAt(this.id, parts, axis);
    return ids.map(wrap);
  }
  /** With `[before, after]` more elements on each axis. */
  pad(
    widths: readonly (readonly [number, number])[],
    options: number | bigint | { value?: number | bigint } = 0,
  ): Tensor {
    const value = isNumeric(options) ? options : (optionsOf('pad', options, PAD).value ?? 0);
    const pairs = Array.from(list('pad: widths', widths), (pair, i) => {
      if (list(`pad: widths[${i}]`, pair).length !== 2) {
        throw new TypeError(`pad: widths[${i}] must be [before, after], got ${pair.length} numbers`);
      }
      return [pair[0], pair[1]];
    });
    return new Tensor(native.pad(this.id, pairs.flat(), value));
  }
  /** In reverse order along axes, all if none are given. */
  flip(options?: ReduceArgument): Tensor {
    return new Tensor(native.flip(this.id, axesOf('flip', options).axis ?? null));
  }
  /** Shifted along an axis, what falls off the end comes back at the start; without an axis, in the flattened values. */
  roll(shift: number, options?: AxisArgument): Tensor {
    const axis = axisOf('roll', options);
    return axis === null
      ? this.#flat((x) => x.roll(shift, 0)).reshape(this.shape)
      : new Tensor(native.roll(this.id, shift, axis));
  }
  /** The whole repeated, so many times along each axis. */
  tile(repeats: readonly number[]): Tensor {
    return new Tensor(native.tile(this.id, repeats));
  }
  /** Each element repeated along an axis. */
  repeat(n: number, options: AxisArgument = 0): Tensor {
    return new Tensor(native.repeat(this.id, n, axisOf('repeat', options) ?? 0));
  }
  /** Slices by index along an axis, as `jnp.take`; without an axis, from the flattened values. */
  take(indices: Tensor, options?: AxisArgument): Tensor {
    const axis = axisOf('take', options);
    return axis === null
      ? this.#flat((x) => x.take(indices, 0))
      : new Tensor(native.take(this.id, idOf(indices, 'take: indices'), axis));
  }
  /** Elements by index along an axis, one index for each: `jnp.take_along_axis`. */
  takeAlongAxis(indices: Tensor, options: AxisArgument): Tensor {
    return new Tensor(
      native.gather(this.id, idOf(indices, 'takeAlongAxis: indices'), axisOf('takeAlongAxis', options) ?? -1),
    );
  }
  /** The same as {@link Tensor.takeAlongAxis}. */
  gather(indices: Tensor, options: AxisArgument = -1): Tensor {
    return this.takeAlongAxis(indices, options);
  }
  /** With `updates` added at `indices` along an axis; indices that repeat add up. */
  scatterAdd(indices: Tensor, updates: Tensor, options: AxisArgument = 0): Tensor {
    return new Tensor(
      native.scatterAdd(
        this.id,
        idOf(indices, 'scatterAdd: indices'),
        idOf(updates, 'scatterAdd: updates'),
        axisOf('scatterAdd', options) ?? 0,
      ),
    );
  }
  /** With `updates` written at `indices` along an axis; of indices that repeat the last wins. */
  scatter(indices: Tensor, updates: Tensor, options: AxisArgument = 0): Tensor {
    return new Tensor(
      native.scatter(
        this.id,
        idOf(indices, 'scatter: indices'),
        idOf(updates, 'scatter: updates'),
        axisOf('scatter', options) ?? 0,
      ),
    );
  }
  /** Each id as a row of `n` zeros with a one; ids out of range give zeros. */
  oneHot(n: number, options: { dtype?: DType } = {}): Tensor {
    const { dtype = 'float32' } = optionsOf('oneHot', options, DTYPE);
    return new Tensor(native.oneHot(this.id, n, dtypeCode(dtype, 'oneHot: dtype')));
  }
  /** In ascending (or descending) order along an axis, the last if none is given; equal ones keep their order, NaN comes last. */
  sort(options: number | { axis?: number; descending?: boolean } = -1): Tensor {
    return new Tensor(native.sort(this.id, ...sortOptions('sort', options, arguments.length)));
  }
  /** The indices that sort along an axis, the last if none is given. */
  argsort(options: number | { axis?: number; descending?: boolean } = -1): Tensor {
    return new Tensor(native.argsort(this.id, ...sortOptions('argsort', options, arguments.length)));
  }
  /** The `k` largest values along the last axis in descending order, and their indices. */
  topK(k: number): [values: Tensor, indices: Tensor] {
    return native.topK(this.id, k).map(wrap) as [Tensor, Tensor];
  }
  #flat(f: (x: Tensor) => Tensor): Tensor {
    using flat = this.reshape([-1]);
    return f(flat);
  }
}
