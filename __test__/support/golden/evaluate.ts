/** The expressions of cases. */
import * as tl from '../../../src/index.js';
import { type Case, type Json, Missing, type Module, type Names } from './case.js';
import { different, flat } from './compare.js';
import { tensorOf } from '../types.js';

type Operand = tl.Tensor | number;

const binary: Record<string, (a: tl.Tensor, b: Operand) => tl.Tensor> = {
  add: (a, b) => a.add(b),
  sub: (a, b) => a.sub(b),
  mul: (a, b) => a.mul(b),
  div: (a, b) => a.div(b),
  maximum: (a, b) => a.maximum(b),
  minimum: (a, b) => a.minimum(b),
  less: (a, b) => a.lt(b),
  greater: (a, b) => a.gt(b),
  matmul: (a, b) => a.matmul(tensorOf(b)),
  sum: (a, axis) => a.sum(axis as number),
  mean: (a, axis) => a.mean(axis as number),
  max: (a, axis) => a.max(axis as number),
};

const unary: Record<string, (a: tl.Tensor) => tl.Tensor> = {
  neg: (a) => a.neg(),
  square: (a) => a.square(),
  exp: (a) => a.exp(),
  log: (a) => a.log(),
  tanh: (a) => a.tanh(),
  abs: (a) => a.abs(),
  sum: (a) => a.sum(),
  mean: (a) => a.mean(),
  max: (a) => a.max(),
};

/** The operation with a number first. */
const reversed: Record<string, (b: tl.Tensor, a: number) => tl.Tensor> = {
  add: (b, a) => b.add(a),
  sub: (b, a) => b.rsub(a),
  mul: (b, a) => b.mul(a),
  div: (b, a) => b.rdiv(a),
  maximum: (b, a) => b.maximum(a),
  minimum: (b, a) => b.minimum(a),
  less: (b, a) => b.gt(a),
  greater: (b, a) => b.lt(a),
};

function body(expr: Json, scope: ReadonlyMap<string, tl.Tensor>): Operand {
  if (typeof expr === 'number') return expr;
  if (typeof expr === 'string') return scope.get(expr)!;
  const [op, ...args] = expr as [string, ...Json[]];
  const [a, b] = args.map((arg) => body(arg, scope)) as [Operand, Operand?];
  if (b === undefined) return unary[op]!(tensorOf(a));
  return typeof a === 'number' ? reversed[op]!(tensorOf(b), a) : binary[op]!(a, b);
}

/** A JavaScript function of as many parameters as the lambda names. */
function lambda(expr: { readonly [key: string]: Json }): (...xs: tl.Tensor[]) => tl.Tensor | tl.Tensor[] {
  const names = expr['lambda'] as readonly string[];
  const run = (...xs: tl.Tensor[]): tl.Tensor | tl.Tensor[] => {
    const scope = new Map(names.map((name, i) => [name, xs[i]!]));
    const bodies = expr['bodies'] as readonly Json[] | undefined;
    return bodies === undefined ? tensorOf(body(expr['body']!, scope)) : bodies.map((b) => tensorOf(body(b, scope)));
  };
  return Object.defineProperty(run, 'length', { value: names.length });
}

/** Looks a name such as `random.uniform` up in what the package exports. */
function named(name: string): (...args: unknown[]) => unknown {
  let found: unknown = tl;
  for (const part of name.split('.')) {
    found = (found as Record<string, unknown>)[part];
    if (found === undefined) throw new Missing(name);
  }
  const isClass = found === tl.Layer;
  return isClass ? (...args) => new tl.Layer(...(args as [])) : (found as (...args: unknown[]) => unknown);
}

/** Evaluates the expressions of a case; `tensors` replaces arrays of the case by others. */
export class Evaluator {
  readonly #shared = new Map<string, unknown>();

  constructor(
    readonly module: Module,
    readonly it: Case,
    readonly tensors: ReadonlyMap<string, tl.Tensor> = new Map(),
  ) {
    for (const [name, expr] of Object.entries(it.shared ?? {})) {
      this.#shared.set(name, this.evaluate(expr));
    }
  }

  array(name: string): tl.Tensor {
    return this.tensors.get(name) ?? this.module.arrays!.tensor(`${this.it.id}/${name}`);
  }

  arrays(names: Names | undefined): tl.Tensor[] {
    return flat(names).map((name) => this.array(name!));
  }

  evaluate(expr: Json): unknown {
    if (Array.isArray(expr)) return expr.map((e) => this.evaluate(e));
    if (typeof expr !== 'object' || expr === null) return expr;
    const map = expr as { readonly [key: string]: Json };
    const field = (name: string): string => map[name] as string;
    if ('tensor' in map) return this.array(field('tensor'));
    if ('share' in map) return this.#shared.get(field('share'));
    if ('lambda' in map) return lambda(map);
    if ('thunk' in map) return () => this.evaluate(map['thunk']!);
    const args = (map['args'] as readonly Json[] | undefined)?.map((arg) => this.evaluate(arg)) ?? [];
    const options = Object.entries(map['options'] ?? {}).map(([key, value]) => [key, this.evaluate(value)]);
    const given: object[] = options.length > 0 ? [Object.fromEntries(options)] : [];
    if ('ref' in map) {
      const factory = named(field('ref'));
      if (given.length === 0) return factory;
      // A function of tensors takes its options after them.
      if (/^[a-z]/u.test(field('ref'))) return (...inputs: unknown[]) => factory(...inputs, given[0]);
      return (more: object) => factory({ ...given[0], ...more });
    }
    const callee =
      'call' in map ? (this.evaluate(map['call']!) as (...args: unknown[]) => unknown) : named(field('fn'));
    return callee(...args, ...given);
  }

  layer(): tl.Layer {
    const layer = this.evaluate(this.it.expr);
    return layer instanceof tl.Layer ? layer : different(`the expression gives ${String(layer)}, not a layer`);
  }
}
