/**
 * Arguments of operations on tensors, as the addon takes them.
 *
 * @module
 */
import { isList, list } from '../bridge/found.js';
import { type DType, dtypeCode } from '../bridge/native.js';
import { MOST_AXES } from './data.js';
import { type Handle, idOf } from './handle.js';
import { type Names, optionsOf } from './rest.js';
import type { Tensor } from './tensor.js';

export { optionsOf } from './rest.js';

/** An axis, given as a number or as `{axis}`; negative ones count from the end. */
export type AxisArgument =
  | number
  | {
      /** The axis; `null` as if left out. */
      readonly axis?: number | null;
    };
/** Axes to reduce over, all if left out, and whether they stay with size 1. */
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
/** Element type and place of a new tensor. */
export interface TensorOptions {
  /** Element type; by default what suits the values. */
  readonly dtype?: DType;
  /** `cpu`, `cuda:0`, `metal:0`; by default that of {@link setDefaultDevice}, at first the CPU. */
  readonly device?: string;
}
/** How values are sorted. */
interface SortOptions {
  readonly axis?: number;
  readonly descending?: boolean;
}
/** What is put around a tensor. */
interface PadOptions {
  readonly value?: number | bigint;
}

const AXIS: Names<{ axis?: number | null }> = { axis: true };
const REDUCE: Names<ReduceOptions> = { axis: true, keepdims: true };
const PAD: Names<PadOptions> = { value: true };
const SORT: Names<SortOptions> = { axis: true, descending: true };
/** The options of what makes a tensor of a shape. */
export const MAKER: Names<TensorOptions> = { dtype: true, device: true };
/** The options of what makes a tensor beside another. */
export const DTYPE: Names<{ dtype?: DType }> = { dtype: true };

/** Dtype and device of what `what` makes; `null` where they are left out. */
export function placed(what: string, options: TensorOptions): [dtype: number | null, device: string | null] {
  const { dtype, device } = optionsOf(what, options, MAKER);
  return [dtype === undefined ? null : dtypeCode(dtype, `${what}: dtype`), device ?? null];
}

/** Whether `x` is a number or a bigint. */
export function isNumeric(x: unknown): x is number | bigint {
  return typeof x === 'number' || typeof x === 'bigint';
}

/** The axis given to the method `what`; `null` if it is left out. */
export function axisOf(what: string, argument: AxisArgument | undefined): number | null {
  return typeof argument === 'number' ? argument : (optionsOf(what, argument, AXIS).axis ?? null);
}

/** The axes given to the method `what`, and whether they stay. */
export function axesOf(what: string, argument: ReduceArgument | undefined): ReduceOptions {
  return typeof argument === 'number' || isAxes(argument) ? { axis: argument } : optionsOf(what, argument, REDUCE);
}

const isAxes = (x: unknown): x is readonly number[] => isList(x);

/** What a reduction is given: the axes, `null` for all, and whether they stay. */
export function reduced(
  what: string,
  argument: ReduceArgument | undefined,
  given: number,
): [axes: number | readonly number[] | null, keepdims: boolean] {
  oneArgument(what, given);
  const { axis, keepdims } = axesOf(what, argument);
  return [axis ?? null, keepdims ?? false];
}

/** What a reduction over one axis is given. The addon refuses several. */
export function reducedOne(
  what: string,
  argument: ReduceArgument | undefined,
  given: number,
): [axis: number | null, keepdims: boolean] {
  const [axis, keepdims] = reduced(what, argument, given);
  return [axis as number | null, keepdims];
}

/** What a sort is given. */
export function sorted(
  what: string,
  argument: number | SortOptions,
  given: number,
): [axis: number, descending: boolean] {
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

/** The value that `pad` puts around a tensor. */
export function paddingOf(options: number | bigint | PadOptions): number | bigint {
  return isNumeric(options) ? options : (optionsOf('pad', options, PAD).value ?? 0);
}

/** How many elements `pad` puts before and after each axis. */
export function widthsOf(widths: readonly (readonly [number, number])[]): [before: number, after: number][] {
  return Array.from(list('pad: widths', widths), (pair, i) => {
    if (list(`pad: widths[${i}]`, pair).length !== 2) {
      throw new TypeError(`pad: widths[${i}] must be [before, after], got ${pair.length} numbers`);
    }
    return [pair[0], pair[1]];
  });
}

/** What `slice` is given; an end of an axis, `null`, as a place beyond it. */
export function sliced(
  x: Handle,
  starts: readonly (number | null)[],
  ends: readonly (number | null)[],
  steps: readonly number[] | undefined,
): [starts: number[], ends: number[], steps: readonly number[]] {
  list('slice: starts', starts);
  list('slice: ends', ends);
  if (steps !== undefined) list('slice: steps', steps);
  if (starts.length > MOST_AXES) {
    throw new RangeError(`slice: starts names ${starts.length} axes, there are ${x.rank}`);
  }
  const by = steps ?? starts.map(() => 1);
  const open = (i: number, last: boolean): number => (last === (by[i] ?? 1) > 0 ? 1 : -1) * Number.MAX_SAFE_INTEGER;
  return [starts.map((s, i) => s ?? open(i, false)), ends.map((e, i) => e ?? open(i, true)), by];
}

/** Handles of tensors; anything else is refused, by its place in the list `what`. */
export function ids(what: string, tensors: readonly Tensor[]): number[] {
  return Array.from(list(what, tensors), (t, i) => idOf(t, `${what}[${i}]`));
}

/** A tensor or a number as `where` takes it. */
export function operand(x: Operand, what: string): [value: number | bigint, isNumber: boolean] {
  return isNumeric(x) ? [x, true] : [idOf(x, what), false];
}
