/**
 * Stacking elements: numbers, arrays and tensors, in tuples and records, become tensors with one axis more.
 *
 * @module
 */
import { found, isKeyed, isList, typedKind } from '../bridge/found.js';
import { dtypeName, native, type DType } from '../bridge/native.js';
import { stack as stackTensors } from '../generated/tensorFunctions.js';
import {
  allocate,
  bytesOf,
  flattenNested,
  flattenTyped,
  type HalfArray,
  isTypedArray,
  type TypedArray,
} from '../tensor/data.js';
import { tensor } from '../tensor/ops.js';
import { Tensor } from '../tensor/tensor.js';
import { flattenNamed, type Tree, type TreeStructure, unflatten } from '../tensor/tree.js';
import { disposeOwned, own } from './owned.js';

/** A number, as it stands in elements. */
export type Scalar = number | boolean | bigint;

/** What is stacked as one: a number, a list of such, a typed array, a tensor. */
export type Stackable = Scalar | TypedArray | HalfArray | Tensor | readonly Scalar[];

/** A field of a record of elements that are stacked: lists are arrays of numbers there. */
export type StackedField<T> = T extends Stackable | readonly unknown[]
  ? Tensor
  : T extends object
    ? { [Name in keyof T]: StackedField<T[Name]> }
    : never;

/** What elements of a type become when they are stacked: a tensor for each number or array, in the same tuples and records. */
export type Batched<T> = T extends Stackable
  ? Tensor
  : T extends readonly unknown[]
    ? { -readonly [Item in keyof T]: Tensor }
    : T extends object
      ? { [Name in keyof T]: StackedField<T[Name]> }
      : never;

/** How arrays of different lengths are stacked. */
export interface Padding {
  /** What shorter ones are filled with; `null`: all must have one shape. */
  readonly pad: number | null;
  /** The length of the first axis, for the longest length in the batch; that length itself if left out. */
  readonly lengthOf?: ((longest: number) => number) | undefined;
}

const isScalar = (x: unknown): boolean => typeof x === 'number' || typeof x === 'boolean' || typeof x === 'bigint';

/** A value of an element, which is no branch of its structure. */
class Leaf {
  constructor(readonly value: unknown) {}
}

/** An element with its values marked: lists within its own list, or within a record, are arrays of numbers. */
function marked(x: unknown, outermost: boolean): Tree<Leaf> {
  if (isList(x) && outermost && x.some((item) => !isScalar(item))) return x.map((item) => marked(item, false));
  if (isList(x) || isTypedArray(x) || x instanceof Tensor || !isKeyed(x)) return new Leaf(x);
  return Object.fromEntries(Object.entries(x).map(([name, value]) => [name, marked(value, false)]));
}

/** One value as it is stored. */
interface Stored {
  readonly values: TypedArray | HalfArray;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Whether it came as plain numbers, whose type is not said. */
  readonly plain: boolean;
}

function stored(x: unknown): Stored {
  if (x instanceof Tensor) return { values: x.dataSync(), dtype: x.dtype, shape: x.shape, plain: false };
  const flat = isTypedArray(x) ? flattenTyped(x, undefined) : flattenNested(x, undefined);
  const { values } = flat;
  if (!isTypedArray(values))
    throw new TypeError(`elements of a batch hold numbers, arrays and tensors, got ${found(x)}`);
  let inner = x;
  while (isList(inner)) inner = inner[0];
  const plain = typeof inner === 'number' || inner === undefined;
  return { values, dtype: flat.dtype, shape: flat.shape, plain };
}

/** The type that all values of a place have: plain numbers are float32 where a fraction is among them, or was in a batch before. */
function commonType(all: readonly Stored[], before: DType | undefined): DType {
  const types = new Set(all.map(({ dtype }) => dtype));
  const plain = all.every((x) => x.plain);
  if (plain && before === 'int32' && types.has('float32')) {
    throw new TypeError(
      'numbers that were all whole in the batches before, so int32, have fractions now: give Float32Array or tensors',
    );
  }
  const number = [...types].every((type) => type === 'int32' || type === 'float32');
  if (plain && number && (types.size > 1 || before === 'float32')) return 'float32';
  const [dtype, other] = types;
  if (dtype === undefined) throw new RangeError('there is nothing to stack');
  if (other !== undefined) throw new TypeError(`values of one batch must have one type, got ${dtype} and ${other}`);
  if (before !== undefined && before !== dtype) {
    throw new TypeError(`values must have one type in all batches, got ${dtype} after ${before}`);
  }
  return dtype;
}

/** The shape that holds all of them. */
function commonShape(all: readonly (readonly number[])[], { pad, lengthOf }: Padding): number[] {
  const [first = [], ...rest] = all;
  const odd = rest.find((shape) => shape.length !== first.length);
  if (odd !== undefined)
    throw new RangeError(`values of one batch must have as many axes, got [${first}] and [${odd}]`);
  const longest = first.map((_, axis) => all.reduce((most, shape) => Math.max(most, shape[axis]!), 0));
  const short = all.find((shape) => shape.some((size, axis) => size !== longest[axis]));
  if (short !== undefined && pad === null) {
    const other = all.find((shape) => shape.some((size, axis) => size !== short[axis]))!;
    throw new RangeError(
      `values of one batch must have one shape, got [${short}] and [${other}]: give \`pad\` to fill up the shorter ones, or bring them to one length`,
    );
  }
  return longest.map((size, axis) => (axis === 0 && lengthOf !== undefined ? lengthOf(size) : size));
}

/** A fill value as an array of a type holds it. */
function filling(array: TypedArray, dtype: DType, pad: number): void {
  if (array instanceof BigInt64Array || array instanceof BigUint64Array) {
    if (!Number.isInteger(pad)) throw new RangeError(`\`pad\` ${pad} does not fit ${dtype}`);
    array.fill(BigInt(pad));
    return;
  }
  array.fill(pad);
  const holds = dtype === 'float32' || dtype === 'float64' || array.length === 0 || array[0] === pad;
  if (!holds) throw new RangeError(`\`pad\` ${pad} does not fit ${dtype}`);
}

function set(into: TypedArray, values: TypedArray | HalfArray, from: number, to: number, length: number): void {
  if (typedKind(into) === typedKind(values)) {
    const size = into.BYTES_PER_ELEMENT;
    bytesOf(into).set(bytesOf(values).subarray(from * size, (from + length) * size), to * size);
    return;
  }
  // Whole numbers among fractions.
  for (let i = 0; i < length; i += 1) into[to + i] = values[from + i]!;
}

/** Copies values of one shape into a place of another that holds it. */
function place(into: TypedArray, at: number, outer: readonly number[], x: Stored): void {
  const row = (axis: number, from: number, to: number): void => {
    const inner = x.shape.slice(axis + 1).reduce((a, b) => a * b, 1);
    const outerInner = outer.slice(axis + 1).reduce((a, b) => a * b, 1);
    if (axis >= x.shape.length - 1 || inner === outerInner) {
      set(into, x.values, from, to, inner * (x.shape[axis] ?? 1));
      return;
    }
    for (let i = 0; i < x.shape[axis]!; i += 1) row(axis + 1, from + i * inner, to + i * outerInner);
  };
  row(0, 0, at);
}

/** A tensor, and whether it tells the type of its place: empty lists do not. */
interface Stacked {
  readonly made: Tensor;
  readonly told: boolean;
}

/** Values of one place as one tensor. */
function stackValues(values: readonly unknown[], padding: Padding, before: DType | undefined): Stacked {
  const tensors = values.filter((x): x is Tensor => x instanceof Tensor);
  if (tensors.length === values.length) {
    const shape = commonShape(
      tensors.map((x) => x.shape),
      padding,
    );
    const even = tensors.every((x) => x.shape.every((size, axis) => size === shape[axis]));
    if (even) return { made: stackTensors(tensors), told: true };
  }
  const all = values.map(stored);
  // Empty lists do not tell a type.
  const telling = all.filter((x) => !x.plain || x.values.length > 0);
  const dtype = telling.length > 0 ? commonType(telling, before) : (before ?? 'float32');
  const shape = commonShape(
    all.map((x) => x.shape),
    padding,
  );
  const size = shape.reduce((a, b) => a * b, 1);
  const out = allocate(dtype, size * all.length);
  if (all.some((x) => x.values.length < size)) filling(out, dtype, padding.pad ?? 0);
  all.forEach((x, i) => place(out, i * size, shape, x));
  return { made: tensor(out, [all.length, ...shape], { dtype }), told: telling.length > 0 };
}

const DTYPES = Array.from(native.dtypeNames(), (_, code) => dtypeName(code));

const structureOf = (structure: TreeStructure): string => JSON.stringify(structure);

/** Stacks elements, and remembers of what types they were: those of a place must not change from one batch to the next. */
export class Stacking {
  readonly #dtypes: (DType | undefined)[];

  /** @param names - what {@link Stacking.types} gave */
  constructor(names: readonly string[] = []) {
    const known = new Map<string, DType>(DTYPES.map((dtype) => [dtype, dtype]));
    this.#dtypes = names.map((name) => known.get(name));
  }

  /** The type of each place, in order; empty where it is not known yet. */
  get types(): string[] {
    return Array.from(this.#dtypes, (dtype) => dtype ?? '');
  }

  /** A batch of elements. */
  stack<T>(elements: readonly T[], padding: Padding): Batched<T> {
    const parts = elements.map((x) => flattenNamed<Leaf>('an element of a batch', marked(x, true)));
    const [, structure] = parts[0]!;
    const odd = parts.findIndex(([, other]) => structureOf(other) !== structureOf(structure));
    if (odd >= 0) {
      throw new TypeError(
        `elements of one batch must have one structure; those number 0 and ${odd} of it are ${found(elements[0])} and ${found(elements[odd])}`,
      );
    }
    const made: Tensor[] = [];
    try {
      parts[0]![0].forEach((_, place) => {
        const values = parts.map(([leaves]) => leaves[place]!.value);
        const stacked = stackValues(values, padding, this.#dtypes[place]);
        made.push(stacked.made);
        if (stacked.told) this.#dtypes[place] = stacked.made.dtype;
      });
    } catch (error) {
      made.forEach((x) => x.dispose());
      throw error;
    }
    made.forEach(own);
    disposeOwned(elements);
    return unflatten<Tensor>(structure, made) as Batched<T>;
  }
}
