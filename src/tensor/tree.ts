/**
 * Trees: arrays and plain objects, nested to any depth. Everything else is a leaf.
 *
 * @module
 */
import { callable, found, isList, isRecord, list } from '../bridge/found.js';
import { Nesting } from '../bridge/nesting.js';

/** A value of type `T`, or arrays and objects of such, nested to any depth. */
export type Tree<T> = T | readonly Tree<T>[] | { readonly [key: string]: Tree<T> };

/** The structure of a tree without its leaves, as {@link flatten} gives it. */
export type TreeStructure = LeafStructure | ArrayStructure | ObjectStructure;

/** The place of a leaf. */
export interface LeafStructure {
  /** What it is. */
  readonly kind: 'leaf';
}

/** The structure of an array. */
export interface ArrayStructure {
  /** What it is. */
  readonly kind: 'array';
  /** Structures of its items. */
  readonly items: readonly TreeStructure[];
}

/** The structure of an object. */
export interface ObjectStructure {
  /** What it is. */
  readonly kind: 'object';
  /** Its keys. */
  readonly keys: readonly string[];
  /** Structures of their values. */
  readonly items: readonly TreeStructure[];
}

function collect(x: unknown, out: unknown[], nesting: Nesting): TreeStructure {
  if (isList(x)) {
    return { kind: 'array', items: nesting.items(x, (item) => collect(item, out, nesting)) };
  }
  if (isRecord(x)) {
    const keys = Object.keys(x);
    return { kind: 'object', keys, items: nesting.within(x, () => keys.map((key) => collect(x[key], out, nesting))) };
  }
  out.push(x);
  return { kind: 'leaf' };
}

/** {@link flatten} of what messages call `what`. @internal */
export function flattenNamed<T>(what: string, tree: Tree<T>): [leaves: T[], structure: TreeStructure] {
  const out: unknown[] = [];
  const structure = collect(tree, out, new Nesting(what));
  return [out as T[], structure];
}

/**
 * Takes a tree apart into its leaves, in order, and its structure.
 *
 * @param tree - Arrays and plain objects, nested to any depth; everything else is a leaf.
 * @returns `[leaves, structure]`, of which {@link unflatten} builds the tree again.
 * @throws `RangeError`: the tree holds itself.
 * @example
 * ```ts
 * const [leaves, structure] = tl.tree.flatten({ a: 1, b: [2, 3] });
 * leaves; // → [1, 2, 3]
 * ```
 */
export function flatten<T>(tree: Tree<T>): [leaves: T[], structure: TreeStructure] {
  return flattenNamed('the tree', tree);
}

/**
 * Lists the leaves of a tree, in order.
 *
 * @param tree - Arrays and plain objects, nested to any depth; everything else is a leaf.
 * @returns The leaves.
 * @throws `RangeError`: the tree holds itself.
 * @example
 * ```ts
 * tl.tree.leaves({ a: 1, b: [2, 3] }); // → [1, 2, 3]
 * ```
 */
export function leaves<T>(tree: Tree<T>): T[] {
  return flatten(tree)[0];
}

function build(structure: TreeStructure, next: () => unknown): unknown {
  switch (structure.kind) {
    case 'leaf':
      return next();
    case 'array':
      return structure.items.map((item) => build(item, next));
    case 'object':
      return Object.fromEntries(structure.keys.map((key, i) => [key, build(structure.items[i]!, next)]));
  }
}

/** How many leaves a structure has; refuses what is none. */
function count(structure: TreeStructure, nesting: Nesting): number {
  if (!isRecord(structure) || !['leaf', 'array', 'object'].includes(structure.kind)) {
    throw new TypeError(`unflatten: structure must be what flatten gives, got ${found(structure)}`);
  }
  if (structure.kind === 'leaf') return 1;
  const items = list('unflatten: structure.items', structure.items);
  if (structure.kind === 'object' && list('unflatten: structure.keys', structure.keys).length !== items.length) {
    throw new TypeError(`unflatten: the structure has ${structure.keys.length} keys for ${items.length} items`);
  }
  return nesting.within(structure, () => items.reduce((n, item) => n + count(item, nesting), 0));
}

/**
 * Builds a tree of a structure and leaves: the inverse of {@link flatten}.
 *
 * @param structure - What `flatten` gave.
 * @param leaves - As many leaves as the structure has.
 * @returns The tree.
 * @throws `RangeError`: there are too few or too many leaves.
 * @throws `TypeError`: `structure` is not what `flatten` gives.
 * @example
 * ```ts
 * const [leaves, structure] = tl.tree.flatten({ a: 1, b: [2, 3] });
 * tl.tree.unflatten(structure, leaves.map((x) => 10 * x)); // → { a: 10, b: [ 20, 30 ] }
 * ```
 */
export function unflatten<T>(structure: TreeStructure, leaves: readonly T[]): Tree<T> {
  const needed = count(structure, new Nesting('unflatten: structure'));
  if (needed !== list('unflatten: leaves', leaves).length) {
    throw new RangeError(`the structure has ${needed} leaves, got ${leaves.length}`);
  }
  let i = 0;
  return build(structure, () => leaves[i++]) as Tree<T>;
}

/**
 * Applies a function to each leaf of a tree.
 *
 * Further trees of the same structure give the function further arguments.
 *
 * @param f - Function of a leaf, and of the leaves at its place in the other trees.
 * @param tree - The tree.
 * @param rest - Trees of the same structure.
 * @returns A tree of that structure, of what `f` returns.
 * @throws `TypeError`: the trees have different structures.
 * @example
 * ```ts
 * tl.tree.map((a, b) => a + b, { w: 1, b: [2] }, { w: 10, b: [20] }); // → { w: 11, b: [ 22 ] }
 * ```
 */
export function map<T, U>(f: (leaf: T, ...rest: T[]) => U, tree: Tree<T>, ...rest: Tree<T>[]): Tree<U> {
  callable('map: f', f);
  const [first, structure] = flatten(tree);
  const others = rest.map((other) => {
    const [values, found] = flatten(other);
    if (JSON.stringify(found) !== JSON.stringify(structure)) {
      throw new TypeError('map() takes trees of the same structure');
    }
    return values;
  });
  return unflatten(
    structure,
    first.map((leaf, i) => f(leaf, ...others.map((values) => values[i]!))),
  );
}
