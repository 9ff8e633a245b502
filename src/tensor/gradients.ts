/**
 * Gradients of functions of tensors, as in JAX.
 *
 * @module
 */
import { TensorError } from '../bridge/errors.js';
import { isTypedArray, type TensorData } from './data.js';
import { Nesting } from '../bridge/nesting.js';
import { native } from '../bridge/native.js';
import { callable, flag, found, isList, isRecord, isThenable, list } from '../bridge/found.js';
import { onesLike } from '../generated/tensorFunctions.js';
import { ids } from './arguments.js';
import { asTensor, tensor, type TensorLike } from './ops.js';
import { type Key } from './random.js';
import { type Names, optionsOf } from './rest.js';
import { idOf, Tensor, wrap } from './tensor.js';
import { flattenNamed, unflatten, type Tree } from './tree.js';

/** An argument of a differentiated function: a tree of tensors; a random key or `null` may stand where nothing is differentiated. */
export type Argument = Tree<Tensor> | Key | null;

/** The gradient with respect to an argument, arranged as the argument is: a tensor for what is float, `null` for what is not. */
export type GradientOf<A> = [Tree<Tensor>] extends [A]
  ? Tree<Tensor | null>
  : A extends Tensor
    ? Tensor | null
    : A extends ArrayBufferView
      ? null
      : A extends object
        ? { -readonly [K in keyof A]: GradientOf<A[K]> }
        : null;

/** What the pullback of {@link vjp} takes for outputs `R`: the same arrangement of tensors or their data, `null` for zeros. */
export type CotangentOf<R> = [Tree<Tensor>] extends [R]
  ? Tree<TensorLike | null>
  : R extends Tensor
    ? TensorLike | null
    : R extends object
      ? { readonly [K in keyof R]: CotangentOf<R[K]> }
      : null;

/** The place of an argument, or places of several. */
type Places = number | readonly number[];

/** The argument in a place; a negative one counts from the end. */
type At<A extends readonly unknown[], N extends number> = number extends A['length']
  ? A[number]
  : `${N}` extends keyof A
    ? A[`${N}`]
    : A[number];

/** Gradients with respect to the arguments in these places, which are all float. */
type GradientsAt<A extends readonly unknown[], N extends Places> = N extends readonly number[]
  ? { -readonly [I in keyof N]: At<A, N[I] & number> }
  : N extends number
    ? At<A, N>
    : never;

/** A tree of tensors that may be given as plain data, too. */
type Plain<A> = [Tree<Tensor>] extends [A]
  ? Tree<TensorLike>
  : A extends Tensor
    ? TensorLike
    : A extends object
      ? { readonly [K in keyof A]: Plain<A[K]> }
      : A;

/** What a differentiated function is called with: plain data may stand for the arguments to differentiate by. */
type Given<A extends readonly unknown[], N extends Places> = number extends A['length']
  ? N extends 0
    ? readonly [Plain<A[0]>, ...A]
    : A
  : { [I in keyof A]: I extends `${N extends readonly number[] ? N[number] : N & number}` ? Plain<A[I]> : A[I] };

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

/** Whether `x` is data of one tensor: a number, a typed array, or an array of nothing but these. An empty array is a tree without leaves. */
function isData(x: unknown, nesting: Nesting): x is TensorData {
  if (typeof x === 'number' || isTypedArray(x)) return true;
  return isList(x) && x.length > 0 && nesting.within(x, () => x.every((item) => isData(item, nesting)));
}

/** A tree whose data became tensors, of floats where plain numbers do not say what they are; the new ones are added to `made`. */
function withoutData(x: unknown, nesting: Nesting, made: Tensor[]): unknown {
  if (isData(x, nesting)) {
    const t = isTypedArray(x) ? tensor(x) : tensor(x, null, { dtype: 'float32' });
    made.push(t);
    return t;
  }
  if (isList(x)) return nesting.items(x, (item) => withoutData(item, nesting, made));
  if (!isRecord(x)) return x;
  return nesting.within(x, () =>
    Object.fromEntries(Object.entries(x).map(([key, value]) => [key, withoutData(value, nesting, made)])),
  );
}

/** Runs `f` with variables for the float tensors of the arguments in the places `which`, where plain data stand for tensors too if `plain`. */
function trace<R>(
  what: string,
  f: (...args: never[]) => R,
  args: readonly unknown[],
  which: (i: number) => boolean,
  plain: boolean,
): Traced<R> {
  const made: Tensor[] = [];
  try {
    const trees = args.map((arg, i) =>
      plain && which(i) ? withoutData(arg, new Nesting(`${what}: argument ${i}`), made) : arg,
    );
    return traceTrees(what, f, trees, which);
  } finally {
    made.forEach((t) => t.dispose());
  }
}

function traceTrees<R>(
  what: string,
  f: (...args: never[]) => R,
  args: readonly unknown[],
  which: (i: number) => boolean,
): Traced<R> {
  const flat = args.map((arg, i) => flattenNamed<Tensor>(`${what}: argument ${i}`, arg as Tree<Tensor>));
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
    result = f(...(marked as never[]));
  } finally {
    native.endRecording(before);
  }
  if (isThenable(result)) {
    throw new TypeError('a differentiated function must be synchronous, but it returned a promise');
  }
  return { result, variables, structures: flat.map(([, structure]) => structure) };
}

/** Gradients of the variables, arranged as the arguments were. */
function pull(
  traced: Traced<unknown>,
  outputs: readonly Tensor[],
  cotangents: readonly Tensor[],
): Tree<Tensor | null>[] {
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
  const [leaves, structure] = flattenNamed<unknown>('what the function returned', result);
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
 * Runs `f`, and returns its outputs and the function that pulls cotangents of the outputs back to the arguments.
 *
 * Arguments and outputs are tensors, or arrays and objects of them. The pullback takes cotangents in the structure of
 * the outputs (`null` counts as zeros). It returns one gradient for each argument, `null` for leaves that are not float.
 *
 * **Formula**: `gradient[i] = Σⱼ cotangent[j] · ∂output[j] / ∂argument[i]`.
 *
 * @param f - A function of trees of tensors that returns a tree of tensors.
 * @param args - Its arguments.
 * @returns `[outputs, pullback]`.
 * @throws `TypeError`: `f` is no function, or returns a promise or something that is no tree of tensors.
 * @throws `RangeError`: the pullback is given another number of cotangents than there are outputs.
 * @see {@link grad}, {@link valueAndGrad}
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
): [outputs: R, pullback: (cotangents: CotangentOf<R>) => { -readonly [I in keyof A]: GradientOf<A[I]> }];
export function vjp(f: (...args: never[]) => Tree<Tensor>, ...args: readonly unknown[]): unknown {
  const traced = trace('vjp', callable('vjp: f', f), args, () => true, false);
  const [outputs, structure] = flattenNamed<Tensor>('what the function returned', traced.result);
  ids('what the function returned', outputs);
  const pullback = (cotangents: Tree<TensorLike | null>): Tree<Tensor | null>[] => {
    const single = structure.kind === 'leaf' && !isTensorOrNull(cotangents);
    const given = single ? [asTensor(cotangents as TensorLike)] : flattenNamed('cotangents', cotangents)[0];
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
export interface GradOptions<N extends Places = Places, Aux extends boolean = boolean> {
  /** The place of the argument, or places of several; 0 if left out. */
  readonly argnums?: N;
  /** Whether `f` returns `[value, aux]`, of which only the value is differentiated. */
  readonly hasAux?: Aux;
}

const GRAD: Names<GradOptions> = { argnums: true, hasAux: true };

/** The value that is differentiated: by what the function returned, or the first of it. */
function valueOf(result: unknown, hasAux: boolean): Tensor {
  const value: unknown = hasAux && Array.isArray(result) ? result[0] : result;
  if (hasAux && !(Array.isArray(result) && result.length === 2)) {
    throw new TypeError('with hasAux the function must return [value, aux]');
  }
  if (!(value instanceof Tensor)) {
    throw new TypeError(
      `the function must return a float tensor, it returned ${found(value)}; for more outputs use vjp()`,
    );
  }
  if (!isFloat(value as unknown)) {
    throw new TensorError(
      'DTypeMismatch',
      `the function must return a float tensor, it returned ${value.dtype}[${value.shape.join(',')}]`,
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

/** A function with any arguments, differentiated: their values and gradients as the types of the public functions tell them. */
type Differentiated = (...args: readonly unknown[]) => [value: unknown, gradient: unknown];

/** What {@link valueAndGrad} returns; `what` is the function that was called, for messages. */
function differentiated(
  what: string,
  f: (...args: never[]) => unknown,
  options: GradOptions,
): [both: Differentiated, hasAux: boolean] {
  callable(`${what}: f`, f);
  const given = optionsOf(what, options, GRAD);
  const argnums = given.argnums ?? 0;
  const places = placesOf(what, argnums);
  const hasAux = flag(`${what}: hasAux`, given.hasAux ?? false);
  const both: Differentiated = (...args) => {
    const at = places.map((p) => (p < 0 ? p + args.length : p));
    const missing = at.find((p) => p < 0 || p >= args.length);
    if (missing !== undefined) {
      throw new RangeError(`argnums names argument ${missing}, but there are ${args.length}`);
    }
    const traced = trace(what, f, args, (i) => at.includes(i), true);
    if (at.some((p) => traced.variables[p]!.includes(null))) {
      throw new TypeError('gradients are taken with respect to float tensors only; use vjp() where some are not');
    }
    const value = valueOf(traced.result, hasAux);
    const grads = pull(traced, [value], [onesLike(value)]);
    const wanted = at.map((p) => grads[p]!);
    return [release(traced, traced.result), typeof argnums === 'number' ? wanted[0]! : wanted];
  };
  return [both, hasAux];
}

/**
 * Makes a function that returns the value of `f` and its gradient with respect to one argument (or several, `argnums`).
 *
 * The arguments to differentiate by may be plain data, which become tensors, as a layer's inputs do; numbers are float32 then, whole ones too.
 * The value may have any shape: the gradient is that of the sum of its elements, as in tfjs.
 *
 * **Formula**: `gradient[i] = ∂(Σⱼ value[j]) / ∂argument[i]`.
 *
 * @param f - A function of tensors that returns one float tensor, or with `hasAux` `[value, aux]`.
 * @param options - Options by name:
 * - `argnums`: The place of the argument to differentiate by, or a list of places. Negative ones count from the end. Default: `0`.
 * - `hasAux`: Whether `f` returns `[value, aux]`, of which only the value is differentiated. Default: `false`.
 * @returns `(...args) => [value, gradient]`, with `hasAux` `[[value, aux], gradient]`; with a list of `argnums` a list of gradients.
 * @throws `TypeError`: `f` is no function; or when called, `f` returns no tensor or a promise, or an argument to differentiate by is not float.
 * @throws `RangeError`: `argnums` are no whole numbers; or when called, one names an argument that is not there.
 * @throws {@link TensorError} `DTypeMismatch`: when called, `f` returns a tensor that is not float.
 * @see {@link grad}, {@link vjp}
 * @example
 * ```ts
 * const both = tl.valueAndGrad((x) => x.square().sum());
 * both([1.5, 2]); // → [Tensor float32[] 6.25, Tensor float32[2] [3,4]]
 * ```
 */
export function valueAndGrad<A extends readonly Argument[] = Tensor[], const N extends Places = 0>(
  f: (...args: A) => Tensor,
  options?: GradOptions<N, false>,
): (...args: Given<A, N>) => [value: Tensor, gradient: GradientsAt<A, N>];
/** The same for a function that returns `[value, aux]`. */
export function valueAndGrad<Aux, A extends readonly Argument[] = Tensor[], const N extends Places = 0>(
  f: (...args: A) => readonly [value: Tensor, aux: Aux],
  options: GradOptions<N, true> & { readonly hasAux: true },
): (...args: Given<A, N>) => [[value: Tensor, aux: Aux], gradient: GradientsAt<A, N>];
export function valueAndGrad(f: (...args: never[]) => unknown, options: GradOptions = {}): unknown {
  return differentiated('valueAndGrad', f, options)[0];
}

/**
 * Makes a function that returns the gradient of `f`.
 *
 * The value may have any shape: the gradient is that of the sum of its elements.
 *
 * **Formula**: `gradient[i] = ∂(Σⱼ value[j]) / ∂argument[i]`.
 *
 * @param f - A function of tensors that returns one float tensor, or with `hasAux` `[value, aux]`.
 * @param options - Options by name, as those of {@link valueAndGrad}.
 * @returns `(...args) => gradient`, with `hasAux` `[gradient, aux]`; with a list of `argnums` a list of gradients.
 * @throws `TypeError`, `RangeError`, {@link TensorError}: as {@link valueAndGrad}.
 * @see {@link valueAndGrad}, {@link vjp}
 * @example
 * ```ts
 * tl.grad((x) => x.square())([1.5, 2]); // → Tensor float32[2] [3,4]
 * ```
 */
export function grad<A extends readonly Argument[] = Tensor[], const N extends Places = 0>(
  f: (...args: A) => Tensor,
  options?: GradOptions<N, false>,
): (...args: Given<A, N>) => GradientsAt<A, N>;
/** The same for a function that returns `[value, aux]`. */
export function grad<Aux, A extends readonly Argument[] = Tensor[], const N extends Places = 0>(
  f: (...args: A) => readonly [value: Tensor, aux: Aux],
  options: GradOptions<N, true> & { readonly hasAux: true },
): (...args: Given<A, N>) => [gradient: GradientsAt<A, N>, aux: Aux];
export function grad(f: (...args: never[]) => unknown, options: GradOptions = {}): unknown {
  const [both, hasAux] = differentiated('grad', f, options);
  return (...args: readonly unknown[]) => {
    const [value, gradient] = both(...args);
    return hasAux ? [gradient, (value as readonly unknown[])[1]] : gradient;
  };
}
