/**
 * Trees: arrays and plain objects, nested to any depth. Everything else is a leaf.
 *
 * @module
 */

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

function isRecord(x: unknown): x is Record<string, unknown> {
  if (typeof x !== 'object' || x === null) {
    return false;
  }
  const prototype: unknown = Object.getPrototypeOf(x);
  return prototype === Object.prototype || prototype === null;
}

function collect(x: unknown, out: unknown[]): TreeStructure {
  if (Array.isArray(x)) {
    return { kind: 'array', items: x.map((item) => collect(item, out)) };
  }
  if (isRecord(x)) {
    const keys = Object.keys(x);
    return { kind: 'object', keys, items: keys.map((key) => collect(x[key], out)) };
  }
  out.push(x);
  return { kind: 'leaf' };
}

/** The leaves of `tree` in order, and its structure, from which {@link unflatten} builds it again. */
export function flatten<T>(tree: Tree<T>): [leaves: T[], structure: TreeStructure] {
  const out: unknown[] = [];
  const structure = collect(tree, out);
  return [out as T[], structure];
}

/** The leaves of `tree`, in order. */
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

function count(structure: TreeStructure): number {
  return structure.kind === 'leaf' ? 1 : structure.items.reduce((n, item) => n + count(item), 0);
}

/** The tree of that structure with those leaves. */
export function unflatten<T>(structure: TreeStructure, leaves: readonly T[]): Tree<T> {
  const needed = count(structure);
  if (needed !== leaves.length) {
    throw new RangeError(`the structure has ${needed} leaves, got ${leaves.length}`);
  }
  let i = 0;
  return build(structure, () => leaves[i++]) as Tree<T>;
}

/** The same tree with `f` applied to each leaf; further trees of the same structure give `f` further arguments. */
export function map<T, U>(f: (leaf: T, ...rest: T[]) => U, tree: Tree<T>, ...rest: Tree<T>[]): Tree<U> {
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
