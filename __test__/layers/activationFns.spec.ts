import test from 'ava';
import * as tl from '../../src/index.js';
import { close, one } from '../support/values.js';

const inputs = [-2, -0.5, 0, 0.5, 3];
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** Activations by what they are. */
const activations: readonly [string, tl.Layer, (x: number) => number][] = [
  ['Relu', tl.Relu(), (x) => Math.max(x, 0)],
  ['LeakyRelu', tl.LeakyRelu({ a: 0.1 }), (x) => (x >= 0 ? x : 0.1 * x)],
  ['Elu', tl.Elu({ a: 2 }), (x) => (x > 0 ? x : 2 * Math.expm1(x))],
  ['Sigmoid', tl.Sigmoid(), sigmoid],
  ['Tanh', tl.Tanh(), Math.tanh],
  ['HardTanh', tl.HardTanh(), (x) => Math.min(1, Math.max(-1, x))],
  ['Softplus', tl.Softplus(), (x) => Math.log1p(Math.exp(x))],
  ['Swish', tl.Swish(), (x) => x * sigmoid(x)],
  ['Exp', tl.Exp(), Math.exp],
];

for (const [name, layer, f] of activations) {
  test(`${name}: values, and gradients like differences`, (t) => {
    const x = tl.tensor(Float32Array.from(inputs));
    close(t, one(layer(x)), inputs.map(f), 2e-6);
    // 0 is where some of them have a corner.
    const smooth = inputs.filter((v) => v !== 0);
    const g = tl.grad((v: tl.Tensor) => one(layer.pureFn(v, [], [])[0]).sum())(tl.tensor(Float32Array.from(smooth)));
    close(
      t,
      g,
      smooth.map((v) => (f(v + 1e-4) - f(v - 1e-4)) / 2e-4),
      1e-4,
    );
  });
}

test('activations have no weights and keep shape and type', (t) => {
  const x = tl.ones([2, 3, 1]);
  for (const [, layer] of activations) {
    t.deepEqual(tl.tree.leaves(layer.init(tl.signature(x))), []);
    t.deepEqual(layer.outputSignature(tl.signature(x)), tl.signature(x));
  }
});

test('ParametricRelu and Glu', (t) => {
  close(t, tl.ParametricRelu({ a: 2 })([-1.5, 1.5]), [0, 3]);
  close(t, tl.Glu()([[1.5, 2, 0, 0]]), [[0.75, 1]]);
});
