/** What came out beside what is recorded. */
import * as tl from '../../../src/index.js';
import { Different, type GivenTolerance, type Names } from './case.js';

export function different(text: string): never {
  throw new Different(text);
}

export function equal(what: string, got: unknown, want: unknown): void {
  const [g, w] = [got, want].map((x) => JSON.stringify(x));
  if (g !== w) different(`${what} is ${g}, Trax says ${w}`);
}

export function close(what: string, got: unknown, want: tl.Tensor, tolerance: GivenTolerance): void {
  if (!(got instanceof tl.Tensor)) return different(`${what} is ${String(got)}, not a tensor`);
  equal(`type of ${what}`, tl.signature(got), tl.signature(want));
  const isFloat = /float/.test(want.dtype);
  const [g, w] = [got, want].map((x) => (isFloat ? x.cast('float32') : x).dataSync());
  w!.forEach((b, i) => closeNumber(`${what}[${i}]`, Number(g![i]), Number(b), isFloat ? tolerance : 0));
}

export function closeNumber(what: string, got: number, want: number, tolerance: GivenTolerance): void {
  const { rtol, atol } = tolerance === 0 ? { rtol: 0, atol: 0 } : tolerance;
  if (Object.is(got, want) || got === want) return;
  if (!(Math.abs(got - want) <= atol + rtol * Math.abs(want))) different(`${what} is ${got}, Trax says ${want}`);
}

export function flat(names: Names | undefined): (string | null)[] {
  return Array.isArray(names) ? names.flatMap(flat) : names === undefined ? [] : [names as string | null];
}

export function isTensor(x: unknown): x is tl.Tensor {
  return x instanceof tl.Tensor;
}

export function tensorsIn(tree: unknown): tl.Tensor[] {
  return tl.tree.leaves(tree).filter(isTensor);
}

/** The same nesting with other tensors. */
export function refilled(tree: tl.Nest, values: readonly tl.Tensor[]): tl.Nest {
  equal('number of arrays', tensorsIn(tree).length, values.length);
  let next = 0;
  return tl.tree.map((leaf: unknown) => (isTensor(leaf) ? values[next++] : leaf), tree) as tl.Nest;
}

/** Structure with shapes and dtypes, as the cases write it. */
export function described(x: unknown): unknown {
  if (isTensor(x)) return { shape: x.shape, dtype: x.dtype };
  if (Array.isArray(x)) return x.map(described);
  if (x === tl.GET_WEIGHTS_FROM_CACHE) return { cached: 'weights' };
  if (x === tl.GET_STATE_FROM_CACHE) return { cached: 'state' };
  const fields = Object.entries(x as object).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return { dict: Object.fromEntries(fields.map(([key, value]) => [key, described(value)])) };
}

export function list<T>(x: T | readonly T[]): readonly T[] {
  return Array.isArray(x) ? x : [x as T];
}
