/** The types of gradients follow from those of the arguments. */
import { expectTypeOf } from 'expect-type';
import * as tl from '../../src/index.js';

const x = tl.ones([2]);
const key: tl.Key = [0, 1];

expectTypeOf(tl.grad((a) => a.square().sum())([1.5, 2])).toEqualTypeOf<tl.Tensor>();
expectTypeOf(tl.grad((a: tl.Tensor) => a.sum())(x)).toEqualTypeOf<tl.Tensor>();
expectTypeOf(tl.grad((a: tl.Tensor) => a.sum())(3)).toEqualTypeOf<tl.Tensor>();
expectTypeOf(tl.grad((a, b) => a.mul(b).sum())(x, x)).toEqualTypeOf<tl.Tensor>();
expectTypeOf(tl.grad((w: { a: tl.Tensor; b: [tl.Tensor] }) => w.a.sum())({ a: x, b: [x] })).toEqualTypeOf<{
  a: tl.Tensor;
  b: [tl.Tensor];
}>();
expectTypeOf(tl.grad((w: { a: tl.Tensor }) => w.a.sum())({ a: [1, 2] })).toEqualTypeOf<{ a: tl.Tensor }>();

// Which arguments, and how many.
const f = (a: tl.Tensor, w: { b: tl.Tensor }, _key: tl.Key): tl.Tensor => a.mul(w.b).sum();
expectTypeOf(tl.grad(f)(x, { b: x }, key)).toEqualTypeOf<tl.Tensor>();
expectTypeOf(tl.grad(f, { argnums: 1 })(x, { b: 2 }, key)).toEqualTypeOf<{ b: tl.Tensor }>();
expectTypeOf(tl.grad(f, { argnums: [1, 0] })(x, { b: x }, key)).toEqualTypeOf<[{ b: tl.Tensor }, tl.Tensor]>();
expectTypeOf(tl.valueAndGrad(f)(x, { b: x }, key)).toEqualTypeOf<[value: tl.Tensor, gradient: tl.Tensor]>();
// @ts-expect-error: an argument that nothing is differentiated by is as the function has it
tl.grad(f)(x, { b: 2 }, key);
// @ts-expect-error: an argument is missing
tl.grad(f)(x, { b: x });
// @ts-expect-error: a string is no argument of tensors
tl.grad((s: string) => tl.tensor(s.length));
// @ts-expect-error: a function returns a tensor
tl.grad((a: tl.Tensor) => a.shape);
// @ts-expect-error: an option misspelt
tl.grad(f, { argnum: 1 });

// What else the function returns.
const withAux = (a: tl.Tensor): [tl.Tensor, { kept: number }] => [a.sum(), { kept: 3 }];
expectTypeOf(tl.grad(withAux, { hasAux: true })(x)).toEqualTypeOf<[gradient: tl.Tensor, aux: { kept: number }]>();
expectTypeOf(tl.valueAndGrad(withAux, { hasAux: true })(x)).toEqualTypeOf<
  [[value: tl.Tensor, aux: { kept: number }], gradient: tl.Tensor]
>();
// @ts-expect-error: two things are returned, and it is not said
tl.grad(withAux);

// Weights are a tree, and so are their gradients.
const model = tl.Serial(tl.Dense(4), tl.L2Loss());
const loss = (weights: tl.Nest): tl.Tensor => model.pureFn([x, x, x], weights, model.state)[0];
const [value, gradient] = tl.valueAndGrad(loss)(model.weights);
expectTypeOf(value).toEqualTypeOf<tl.Tensor>();
expectTypeOf(tl.tree.leaves(gradient)).toEqualTypeOf<tl.Tensor[]>();
model.weights = tl.tree.map((w, g) => w.sub(g.mul(0.1)), model.weights, gradient);

// A pullback takes what the outputs are, and gives `null` for what is not float.
const [outputs, pullback] = tl.vjp((a: tl.Tensor, w: { b: tl.Tensor }) => [a, w.b] as const, x, { b: x });
expectTypeOf(outputs).toEqualTypeOf<readonly [tl.Tensor, tl.Tensor]>();
expectTypeOf(pullback([x, null])).toEqualTypeOf<[tl.Tensor | null, { b: tl.Tensor | null }]>();
// @ts-expect-error: two outputs, one cotangent
pullback([x]);
expectTypeOf(tl.vjp((a) => a.square(), x)[1](1)).toEqualTypeOf<[tl.Tensor | null]>();
