/**
 * Tensors: handles of values that live in Rust, with the operations as methods.
 *
 * @module
 */
import { Handle } from './handle.js';
import { dtypeCode, native, type DType } from './native.js';
import { where } from './ops.js';

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
/** The native id of a tensor. */
export let idOf: (x: Tensor) => number;

/** Whether `x` is a number or a bigint. */
export function isNumeric(x: unknown): x is number | bigint {
  return typeof x === 'number' || typeof x === 'bigint';
}

function axisOf(argument: AxisArgument | undefined): number | null {
  return typeof argument === 'object' ? (argument.axis ?? null) : (argument ?? null);
}

function reduceOptions(argument: ReduceArgument | undefined): ReduceOptions {
  return typeof argument === 'number' || Array.isArray(argument)
    ? { axis: argument as number | readonly number[] }
    : ((argument as ReduceOptions | undefined) ?? {});
}

function axesOf(argument: ReduceArgument | undefined): number | readonly number[] | null {
  return reduceOptions(argument).axis ?? null;
}

function keepdimsOf(argument: ReduceArgument | undefined): boolean {
  return reduceOptions(argument).keepdims ?? false;
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
    idOf = (x) => {
      if (!(x instanceof Tensor)) {
        throw new TypeError(`expected a Tensor, got ${x === null ? 'null' : typeof x}; tl.tensor(data) makes one`);
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
      isNumeric(other) ? native.addScalar(this.id, other) : native.add(this.id, idOf(other)),
    );
  }
  /** Difference. */
  sub(other: Operand): Tensor {
    return new Tensor(
      isNumeric(other) ? native.subScalar(this.id, other) : native.sub(this.id, idOf(other)),
    );
  }
  /** Product, element by element. */
  mul(other: Operand): Tensor {
    return new Tensor(
      isNumeric(other) ? native.mulScalar(this.id, other) : native.mul(this.id, idOf(other)),
    );
  }
  /** Quotient; integers divide to float32. */
  div(other: Operand): Tensor {
    return new Tensor(
      isNumeric(other) ? native.divScalar(this.id, other) : native.div(this.id, idOf(other)),
    );
  }
  /** Power. */
  pow(other: Operand): Tensor {
    return new Tensor(
      isNumeric(other) ? native.powScalar(this.id, other) : native.pow(this.id, idOf(other)),
    );
  }
  /** Remainder with the sign of the divisor, as `jnp.mod`. */
  mod(other: Operand): Tensor {
    return new Tensor(
      isNumeric(other) ? native.remScalar(this.id, other) : native.rem(this.id, idOf(other)),
    );
  }
  /** The larger of two, element by element. */
  maximum(other: Operand): Tensor {
    return new Tensor(
      isNumeric(other) ? native.maximumScalar(this.id, other) : native.maximum(this.id, idOf(other)),
    );
  }
  /** The smaller of two, element by element. */
  minimum(other: Operand): Tensor {
    return new Tensor(
      isNumeric(other) ? native.minimumScalar(this.id, other) : native.minimum(this.id, idOf(other)),
    );
  }
  /** Where equal. */
  eq(other: Operand): Tensor {
    return new Tensor(
      isNumeric(other) ? native.eqScalar(this.id, other) : native.eq(this.id, idOf(other)),
    );
  }
  /** Where different. */
  ne(other: Operand): Tensor {
    return new Tensor(
      isNumeric(other) ? native.neScalar(this.id, other) : native.ne(this.id, idOf(other)),
    );
  }
  /** Where less. */
  lt(other: Operand): Tensor {
    return new Tensor(
      isNumeric(other) ? native.ltScalar(this.id, other) : native.lt(this.id, idOf(other)),
    );
  }
  /** Where less or equal. */
  le(other: Operand): Tensor {
    return new Tensor(
      isNumeric(other) ? native.leScalar(this.id, other) : native.le(this.id, idOf(other)),
    );
  }
  /** Where greater. */
  gt(other: Operand): Tensor {
    return new Tensor(
      isNumeric(other) ? native.gtScalar(this.id, other) : native.gt(this.id, idOf(other)),
    );
  }
  /** Where greater or equal. */
  ge(other: Operand): Tensor {
    return new Tensor(
      isNumeric(other) ? native.geScalar(this.id, other) : native.ge(this.id, idOf(other)),
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
    return new Tensor(native.logicalAnd(this.id, idOf(other)));
  }
  /** Where either is nonzero. */
  logicalOr(other: Tensor): Tensor {
    return new Tensor(native.logicalOr(this.id, idOf(other)));
  }
  /** Where exactly one is nonzero. */
  logicalXor(other: Tensor): Tensor {
    return new Tensor(native.logicalXor(this.id, idOf(other)));
  }
  /** Matrix product, batched over leading axes, as `jnp.matmul`. */
  matmul(other: Tensor): Tensor {
    return new Tensor(native.matmul(this.id, idOf(other)));
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
    return new Tensor(native.cast(this.id, dtypeCode(dtype)));
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
    return new Tensor(native.maskFill(this.id, idOf(mask), value));
  }
  /** Sum over axes. */
  sum(options?: ReduceArgument): Tensor {
    return new Tensor(native.sum(this.id, axesOf(options), keepdimsOf(options)));
  }
  /** Mean over axes. */
  mean(options?: ReduceArgument): Tensor {
    return new Tensor(native.mean(this.id, axesOf(options), keepdimsOf(options)));
  }
  /** Largest value over axes. */
  max(options?: ReduceArgument): Tensor {
    return new Tensor(native.max(this.id, axesOf(options), keepdimsOf(options)));
  }
  /** Smallest value over axes. */
  min(options?: ReduceArgument): Tensor {
    return new Tensor(native.min(this.id, axesOf(options), keepdimsOf(options)));
  }
  /** Product over axes. */
  prod(options?: ReduceArgument): Tensor {
    return new Tensor(native.prod(this.id, axesOf(options), keepdimsOf(options)));
  }
  /** Population variance over axes. */
  variance(options?: ReduceArgument): Tensor {
    return new Tensor(native.variance(this.id, axesOf(options), keepdimsOf(options)));
  }
  /** `log(sum(exp(x)))` over axes, without overflow. */
  logSumExp(options?: ReduceArgument): Tensor {
    return new Tensor(native.logsumexp(this.id, axesOf(options), keepdimsOf(options)));
  }
  /** Whether any is nonzero. */
  any(options?: ReduceArgument): Tensor {
    return new Tensor(native.any(this.id, axesOf(options), keepdimsOf(options)));
  }
  /** Whether all are nonzero. */
  all(options?: ReduceArgument): Tensor {
    return new Tensor(native.all(this.id, axesOf(options), keepdimsOf(options)));
  }
  /** Where the largest value is, counted along the axis; without one, in the flattened values. */
  argmax(options?: ReduceArgument): Tensor {
    return new Tensor(native.argmax(this.id, axesOf(options) as number | null, keepdimsOf(options)));
  }
  /** Where the smallest value is, counted along the axis; without one, in the flattened values. */
  argmin(options?: ReduceArgument): Tensor {
    return new Tensor(native.argmin(this.id, axesOf(options) as number | null, keepdimsOf(options)));
  }
  /** Running sum along an axis; without one, of the flattened values. */
  cumsum(options?: AxisArgument): Tensor {
    const axis = axisOf(options);
    return axis === null ? this.#flat((x) => x.cumsum(0)) : new Tensor(native.cumsum(this.id, axis));
  }
  /** Softmax along an axis, the last if none is given. */
  softmax(options: AxisArgument = -1): Tensor {
    return new Tensor(native.softmax(this.id, axisOf(options) ?? -1));
  }
  /** Logarithm of softmax along an axis, the last if none is given. */
  logSoftmax(options: AxisArgument = -1): Tensor {
    return new Tensor(native.logSoftmax(this.id, axisOf(options) ?? -1));
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
    return new Tensor(native.squeeze(this.id, axesOf(options)));
  }
  /** Repeated to a larger shape without copying. */
  broadcastTo(shape: readonly number[]): Tensor {
    return new Tensor(native.broadcastTo(this.id, shape));
  }
  /** One slice along an axis, without that axis. */
  index(i: number, options: AxisArgument = 0): Tensor {
    return new Tensor(native.index(this.id, axisOf(options) ?? 0, i));
  }
  /** A part, axis by axis, as NumPy's `[start:end:step]`; `null` is the end of the axis on that side. */
  slice(
    starts: readonly (number | null)[],
    ends: readonly (number | null)[],
    steps: readonly number[] = starts.map(() => 1),
  ): Tensor {
    const open = (i: number, last: boolean): number => (last === (steps[i] ?? 1) > 0 ? 1 : -1) * Number.MAX_SAFE_INTEGER;
    const from = starts.map((s, i) => s ?? open(i, false));
    const to = ends.map((e, i) => e ?? open(i, true));
    return new Tensor(native.slice(this.id, from, to, steps));
  }
  /** Equal parts along an axis, or parts that begin at the given places. */
  split(parts: number | readonly number[], options: AxisArgument = 0): Tensor[] {
    const axis = axisOf(options) ?? 0;
    const ids = typeof parts === 'number' ? native.split(this.id, parts, axis) : native.splitAt(this.id, parts, axis);
    return ids.map(wrap);
  }
  /** With `[before, after]` more elements on each axis. */
  pad(widths: readonly (readonly [number, number])[], options: number | bigint | { value?: number | bigint } = 0): Tensor {
    const value = isNumeric(options) ? options : (options.value ?? 0);
    return new Tensor(native.pad(this.id, widths.flat(), value));
  }
  /** In reverse order along axes, all if none are given. */
  flip(options?: ReduceArgument): Tensor {
    return new Tensor(native.flip(this.id, axesOf(options)));
  }
  /** Shifted along an axis, what falls off the end comes back at the start; without an axis, in the flattened values. */
  roll(shift: number, options?: AxisArgument): Tensor {
    const axis = axisOf(options);
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
    return new Tensor(native.repeat(this.id, n, axisOf(options) ?? 0));
  }
  /** Slices by index along an axis, as `jnp.take`; without an axis, from the flattened values. */
  take(indices: Tensor, options?: AxisArgument): Tensor {
    const axis = axisOf(options);
    return axis === null ? this.#flat((x) => x.take(indices, 0)) : new Tensor(native.take(this.id, idOf(indices), axis));
  }
  /** Elements by index along an axis, one index for each: `jnp.take_along_axis`. */
  takeAlongAxis(indices: Tensor, options: AxisArgument): Tensor {
    return new Tensor(native.gather(this.id, idOf(indices), axisOf(options) ?? -1));
  }
  /** The same as {@link Tensor.takeAlongAxis}. */
  gather(indices: Tensor, options: AxisArgument = -1): Tensor {
    return this.takeAlongAxis(indices, options);
  }
  /** With `updates` added at `indices` along an axis; indices that repeat add up. */
  scatterAdd(indices: Tensor, updates: Tensor, options: AxisArgument = 0): Tensor {
    return new Tensor(native.scatterAdd(this.id, idOf(indices), idOf(updates), axisOf(options) ?? 0));
  }
  /** With `updates` written at `indices` along an axis; of indices that repeat the last wins. */
  scatter(indices: Tensor, updates: Tensor, options: AxisArgument = 0): Tensor {
    return new Tensor(native.scatter(this.id, idOf(indices), idOf(updates), axisOf(options) ?? 0));
  }
  /** Each id as a row of `n` zeros with a one; ids out of range give zeros. */
  oneHot(n: number, options: { dtype?: DType } = {}): Tensor {
    return new Tensor(native.oneHot(this.id, n, dtypeCode(options.dtype ?? 'float32')));
  }
  /** In ascending (or descending) order along an axis, the last if none is given; equal ones keep their order, NaN comes last. */
  sort(options: number | { axis?: number; descending?: boolean } = -1): Tensor {
    const { axis = -1, descending = false } = typeof options === 'number' ? { axis: options } : options;
    return new Tensor(native.sort(this.id, axis, descending));
  }
  /** The indices that sort along an axis, the last if none is given. */
  argsort(options: number | { axis?: number; descending?: boolean } = -1): Tensor {
    const { axis = -1, descending = false } = typeof options === 'number' ? { axis: options } : options;
    return new Tensor(native.argsort(this.id, axis, descending));
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
