/**
 * Gradients of functions of tensors, as in JAX.
 *
 * @module
 */
import { TensorError } from '../bridge/errors.js';
import { isThenable } from './memory.js';
import { native } from '../bridge/native.js';
import { callable, flag, found, list } from '../bridge/found.js';
import { onesLike } from '../generated/tensorFunctions.js';
import { ids } from './arguments.js';
import { asTensor, type TensorLike } from './ops.js';
import { type Names, optionsOf } from './rest.js';
import { idOf, Tensor, wrap } from './tensor.js';
import { flattenNamed, unflatten, type Tree } from './tree.js';

/** A gradient: a tensor for what is float, `null` for what is not. */
export type Gradient = Tree<Tensor | null>;

/** An argument of a differentiated function. */
export type Argument = Tree<Tensor>;

function isFloat(x: unknown): x is Tensor {
  return x instanceof Tensor && /^b?float/.test(x.dtype);
}

/** A function run with its float arguments marked as variables. */
interface Traced<R> {
  result: R;
  /** The variables of each argument, leaf by leaf; `null` where there is none. */
  variables: (Tensor | null)[][];
  structures: ReturnType<typeof flattenNamed>[1][];
}

function trace<A extends readonly Argument[], R>(
  what: string,
  f: (...args: A) => R,
  args: A,
  which: (i: number) => boolean,
): Traced<R> {
  const flat = args.map((arg, i) => flattenNamed<Tensor>(`${what}: argument ${i}`, arg));
  const variables = flat.map(([leaves], i) =>
    leaves.map((leaf) => (which(i) && isFloat(leaf) ? wrap(native.variable(idOf(leaf))) : null)),
  );
  const marked = flat.map(([leaves, structure], i) =>
    unflatten(
      structure,
      leaves.map((leaf, j) => variables[i]![j] ?? leaf),
    ),
  );
  const before = native.beginRecording();
  let result: R;
  try {
    result = f(...(marked as unknown as A));
  } finally {
    native.endRecording(before);
  }
  if (isThenable(result)) {
    throw new TypeError('a differentiated function must be synchronous, but it returned a promise');
  }
  return { result, variables, structures: flat.map(([, structure]) => structure) };
}

/** Gradients of the variables, arranged as the arguments were. */
function pull(traced: Traced<unknown>, outputs: readonly Tensor[], cotangents: readonly Tensor[]): Gradient[] {
  const wrt = traced.variables.flat().filter((v) => v !== null);
  const grads = native
    .backward(ids('outputs', outputs), ids('cotangents', cotangents), ids('variables', wrt))
    .map(wrap);
  let next = 0;
  return traced.structures.map((structure, i) =>
    unflatten<Tensor | null>(
      structure,
      traced.variables[i]!.map((v) => (v === null ? null : grads[next++]!)),
    ),
  );
}

/** The outputs for the caller: constants, unless a differentiation outside of this one needs them. */
function release<R>(traced: Traced<unknown>, result: R): R {
  const [leaves, structure] = flattenNamed<unknown>('what the function returned', result as Tree<unknown>);
  const wrt = ids(
    'variables',
    traced.variables.flat().filter((v) => v !== null),
  );
  const tensors = leaves.filter((leaf) => leaf instanceof Tensor);
  const released = native.detachFrom(ids('outputs', tensors), wrt).map(wrap);
  let next = 0;
  return unflatten(
    structure,
    leaves.map((leaf) => (leaf instanceof Tensor ? released[next++] : leaf)),
  ) as R;
}

/**
 * Runs `f` and returns its outputs and the function that pulls cotangents of the outputs back to the arguments.
 *
 * Arguments and outputs are tensors, or arrays and objects of them. The pullback takes cotangents in the structure of
 * the outputs (`null` counts as zeros) and returns one gradient per argument, `null` for leaves that are not float.
 *
 * @example
 * ```ts
 * const [y, pullback] = tl.vjp((x: tl.Tensor) => x.square().sum(), tl.tensor([1.5, 2]));
 * pullback(1)[0];
 * // → Tensor float32[2] [3,4]
 * ```
 */
export function vjp<A extends readonly Argument[], R extends Tree<Tensor>>(
  f: (...args: A) => R,
  ...args: A
): [outputs: R, pullback: (cotangents: Tree<TensorLike | null>) => Gradient[]] {
  const traced = trace('vjp', callable('vjp: f', f), args, () => true);
  const [outputs, structure] = flattenNamed<Tensor>('what the function returned', traced.result);
  ids('what the function returned', outputs);
  const pullback = (cotangents: Tree<TensorLike | null>): Gradient[] => {
    const single = structure.kind === 'leaf' && !isTensorOrNull(cotangents);
    const given = single
      ? [asTensor(cotangents as TensorLike)]
      : flattenNamed('cotangents', cotangents as Tree<TensorLike | null>)[0];
    if (given.length !== outputs.length) {
      throw new RangeError(`there are ${outputs.length} outputs, got ${given.length} cotangents`);
    }
    const pairs = outputs.map((output, i): [Tensor, TensorLike | null] => [output, given[i]!]);
    const used = pairs.filter(([output, ct]) => ct !== null && isFloat(output));
    return pull(
      traced,
      used.map(([output]) => output),
      used.map(([output, ct]) => (typeof ct === 'number' ? onesLike(output).mul(ct) : asTensor(ct as TensorLike))),
    );
  };
  return [release(traced, traced.result), pullback];
}

function isTensorOrNull(x: unknown): boolean {
  return x === null || x instanceof Tensor;
}

/** Which arguments to differentiate by, and whether the function returns more than the value. */
export interface GradOptions {
  /** The place of the argument, or places of several; 0 if left out. */
  readonly argnums?: number | readonly number[];
  /** Whether `f` returns `[value, aux]`, of which only the value is differentiated. */
  readonly hasAux?: boolean;
}

const GRAD: Names<GradOptions> = { argnums: true, hasAux: true };

function scalarValue(result: unknown, hasAux: boolean): Tensor {
  const value: unknown = hasAux && Array.isArray(result) ? result[0] : result;
  if (hasAux && !(Array.isArray(result) && result.length === 2)) {
    throw new TypeError('with hasAux the function must return [value, aux]');
  }
  if (!isFloat(value) || value.rank !== 0) {
    const got = value instanceof Tensor ? `${value.dtype}[${value.shape.join(',')}]` : found(value);
    throw new TensorError(
      'ShapeMismatch',
      `the function must return one float without axes, it returned ${got}; reduce it with sum() or mean()`,
    );
  }
  return value;
}

/** The places of the arguments to differentiate by. */
function placesOf(what: string, argnums: number | readonly number[]): readonly number[] {
  const places = typeof argnums === 'number' ? [argnums] : list(`${what}: argnums`, argnums);
  const wrong = places.findIndex((p) => !Number.isSafeInteger(p));
  if (wrong >= 0) {
    throw new RangeError(`${what}: argnums must be whole numbers, got ${found(places[wrong])}`);
  }
  return places;
}

/** What {@link valueAndGrad} returns; `what` is the function that was called, for messages. */
function differentiated<A extends readonly Argument[], R>(
  what: string,
  f: (...args: A) => R,
  options: GradOptions,
): [both: (...args: A) => [value: R, gradient: Gradient | Gradient[]], hasAux: boolean] {
  callable(`${what}: f`, f);
  const given = optionsOf(what, options, GRAD);
  const argnums = given.argnums ?? 0;
  const places = placesOf(what, argnums);
  const hasAux = flag(`${what}: hasAux`, given.hasAux ?? false);
  const both = (...args: A): [R, Gradient | Gradient[]] => {
    const at = places.map((p) => (p < 0 ? p + args.length : p));
    const missing = at.find((p) => p < 0 || p >= args.length);
    if (missing !== undefined) {
      throw new RangeError(`argnums names argument ${missing}, but there are ${args.length}`);
    }
    const traced = trace(what, f, args, (i) => at.includes(i));
    if (at.some((p) => traced.variables[p]!.includes(null))) {
      throw new TypeError('gradients are taken with respect to float tensors only; use vjp() where some are not');
    }
    const value = scalarValue(traced.result, hasAux);
    const grads = pull(traced, [value], [onesLike(value)]);
    const wanted = at.map((p) => grads[p]!);
    return [release(traced, traced.result), typeof argnums === 'number' ? wanted[0]! : wanted];
  };
  return [both, hasAux];
}

/**
 * A function that returns the value of `f` and its gradient with respect to one argument (or several, `argnums`).
 *
 * @returns `(...args) => [value, gradient]`, with `hasAux` `[[value, aux], gradient]`; with a list of `argnums` a list of gradients
 * @throws `TensorError` when called, if the value of `f` is not a float without axes
 */
export function valueAndGrad<A extends readonly Argument[], R>(
  f: (...args: A) => R,
  options: GradOptions = {},
): (...args: A) => [value: R, gradient: Gradient | Gradient[]] {
  return differentiated('valueAndGrad', f, options)[0];
}

/**
 * A function that returns the gradient of `f`; with `hasAux` `[gradient, aux]`. See {@link valueAndGrad}.
 *
 * @example
 * ```ts
 * tl.grad((x: tl.Tensor) => x.square())(tl.tensor(1.5));
 * // → Tensor float32[] 3
 * ```
 */
export function grad<A extends readonly Argument[], R>(
  f: (...args: A) => R,
  options: GradOptions = {},
): (...args: A) => Gradient | Gradient[] | [gradient: Gradient | Gradient[], aux: unknown] {
  const [both, hasAux] = differentiated('grad', f, options);
  return (...args) => {
    const [value, gradient] = both(...args);
    return hasAux ? [gradient, (value as readonly unknown[])[1]] : gradient;
  };
}
