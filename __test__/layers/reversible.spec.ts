import test from 'ava';
import * as tl from '../../src/index.js';
import { f32, values, one, several } from '../support/values.js';
import { instanceOf, tensorOf, tensorsOf, treesOf } from '../support/types.js';

const key: tl.Key = [0, 7];
const pair = [f32([2, 5, 8]), f32([2, 5, 8])];

/** Half residuals of feed-forward blocks, swapped after each. */
function layers(depth: number, rate = 0.3): tl.Layer[] {
  return Array.from({ length: depth }, () => [
    tl.ReversibleHalfResidual(tl.LayerNorm(), tl.Dense(16), tl.Relu(), tl.Dropout({ rate }), tl.Dense(8)),
    tl.ReversibleSwap(),
  ]).flat();
}

/** Two inputs. */
function inputs(): [tl.Tensor, tl.Tensor] {
  return [tl.random.normal([0, 1], [2, 5, 8]), tl.random.normal([0, 2], [2, 5, 8])];
}

/** A loss of both outputs. */
function squared(ys: readonly tl.Tensor[]): tl.Tensor {
  return ys[0]!.mul(ys[1]!).square().sum();
}

/** What two half residuals of one dense layer compute, written out. */
function byHand(x: tl.Tensor, y: tl.Tensor, w: tl.Tensor, b: tl.Tensor): tl.Tensor {
  const first = x.add(y.matmul(w).add(b));
  return squared([y.add(first.matmul(w).add(b).tanh()), first]);
}

/** The most bytes alive in a forward and a backward pass, beyond those before. */
function peak(make: (stack: tl.Layer[]) => tl.Layer, depth: number): number {
  const half = tl.ReversibleHalfResidual(tl.Dense(64), tl.Tanh());
  const layer = make(Array.from({ length: depth }, () => [half, tl.ReversibleSwap()]).flat());
  const x = tl.ones([64, 64]);
  const [weights, state] = layer.init([f32([64, 64]), f32([64, 64])], { rng: key });
  return tl.tidy(() => {
    const before = tl.memory().bytes;
    tl.resetPeakMemory();
    const [ys, pullback] = tl.vjp((a: tl.Tensor) => layer.pureFn([a, x], weights, state, key)[0], x);
    pullback(ys);
    return tl.memory().peakBytes - before;
  });
}

test('ReversibleSerial computes what Serial computes, with the same weights, keys and state', (t) => {
  const stack = layers(3);
  const reversible = tl.ReversibleSerial(stack);
  const [weights, state] = reversible.init(pair, { rng: key });
  const plain = tl.Serial(stack);
  t.deepEqual(values(plain.weights), values(weights));
  t.deepEqual(
    values(reversible.pureFn(inputs(), weights, state, key)),
    values(plain.pureFn(inputs(), weights, state, key)),
  );
  t.is(`${reversible}`.split('\n')[0], 'ReversibleSerial_in2_out2[');
  t.true(reversible.hasBackward);
});

test('gradients of a reversible stack are those of a loss written out', (t) => {
  const dense = tl.Dense(8);
  dense.init(f32([2, 5, 8]), { rng: key });
  const stack = tl.ReversibleSerial(
    tl.ReversibleHalfResidual(dense),
    tl.ReversibleSwap(),
    tl.ReversibleHalfResidual(dense, tl.Tanh()),
  );
  const [w, b] = tensorsOf(dense.weights, 2);
  const state = stack.init(pair, { rng: key })[1];
  const nested = [[[[w, b]]], [], [[tl.GET_WEIGHTS_FROM_CACHE, []]]];
  const byLayers = (x: tl.Tensor, y: tl.Tensor, w: tl.Tensor, b: tl.Tensor): tl.Tensor => {
    nested[0] = [[[w, b]]];
    return squared(several(stack.pureFn([x, y], nested, state, key)[0]));
  };
  const argnums = [0, 1, 2, 3];
  const [got, want] = [byLayers, byHand].map((f) => tl.grad(f, { argnums })(...inputs(), w, b));
  got!.forEach((g, i) =>
    t.true(g.sub(want![i]!).abs().max().item() < 1e-4 * want![i]!.abs().max().item(), `argument ${i}`),
  );
});

test('memory for activations does not grow with the number of layers', (t) => {
  const [shallow, deep] = [4, 32].map((depth) => peak((stack) => tl.ReversibleSerial(stack), depth));
  t.true(deep! <= 1.05 * shallow!, `${shallow} bytes, then ${deep}`);
});

test('a stack trains', (t) => {
  const model = tl.Serial(tl.Dense(8), tl.Dup(), tl.ReversibleSerial(layers(2, 0)), tl.Add(), tl.Dense(1), tl.L2Loss());
  const x = tl.random.normal(key, [16, 3]);
  const batch = [x, x.sum({ axis: 1, keepdims: true }), tl.ones([16, 1])];
  model.init(tl.signature(batch), { rng: key });
  const trainer = new tl.Trainer(model, tl.optimizers.Adam({ learningRate: 0.02 }));
  const losses = Array.from({ length: 60 }, (_, step) => trainer.oneStep(batch, [0, step], { step })[0]);
  t.true(losses.at(-1)! < 0.2 * losses[0]!, `${losses[0]}, then ${losses.at(-1)}`);
});

test('ReversibleSelect, ReversibleSwap, ReversibleConcatenatePair, ReversibleReshape', (t) => {
  const [x, y] = [tl.tensor([[1, 2]]), tl.tensor([[3, 4]])];
  t.deepEqual(values(tl.ReversibleSwap()([x, y])), [[[3, 4]], [[1, 2]]]);
  t.deepEqual(values(tl.ReversibleSelect([1, 0, 1])([x, y])), [[[3, 4]], [[1, 2]], [[3, 4]]]);
  t.deepEqual(values(tl.ReversibleConcatenatePair()([x, y])), [[[1, 2, 3, 4]], [[1, 2, 3, 4]]]);
  t.deepEqual(tl.ReversibleReshape([1, 2], [2])(x).array(), [1, 2]);
  t.is(`${tl.ReversibleReshape([2, 3], [6])}`, 'ReversibleReshape_(2, 3)_(6,)');
  t.throws(() => tl.ReversibleSelect([0, 0], { nIn: 2 }), {
    code: 'InvalidOption',
    message: /input 1 .* would be lost/,
  });
  t.throws(() => tl.ReversibleReshape([2], [3])(x), { code: 'ShapeMismatch' });
});

test('what is not reversible is refused where it stands', (t) => {
  t.throws(() => tl.ReversibleSerial(tl.ReversibleSwap(), tl.Dense(3)), {
    instanceOf: tl.LayerError,
    code: 'InvalidOption',
    message: /ReversibleSerial > Dense_3 .*sublayer 1: Dense_3 is not reversible; put it into a ReversibleHalfResidual/,
  });
  const half = tl.ReversibleHalfResidual(tl.Dense(3));
  t.throws(() => half.init(pair), { code: 'ShapeMismatch', message: /the residual is float32\[2,5,3\]/ });
});

/** Turns a pair by a quarter and scales it: reversible without keeping anything. */
class Rotate extends tl.ReversibleLayer {
  reversed = 0;
  constructor() {
    super({ nIn: 2, nOut: 2 });
  }
  override initWeightsAndState(): void {
    this.weights = tl.full([1], 2, { dtype: 'float32' });
  }
  override forward([x, y]: tl.Tensor[]): tl.Tensor[] {
    const w = tensorOf(this.weights);
    return [y!.neg().mul(w), x!.mul(w)];
  }
  override reverse([x, y]: tl.Tensor[]): tl.Tensor[] {
    this.reversed += 1;
    const w = tensorOf(this.weights);
    return [y!.div(w), x!.neg().div(w)];
  }
}

/** The same with gradients of its own. */
class RotateAtOnce extends Rotate {
  override reverseAndGrad(
    output: tl.LayerOutputs,
    grad: tl.LayerOutputs,
    weights: tl.Nest,
  ): [tl.Tensor[], [tl.Tensor[], tl.Tensor]] {
    const inputs = this.reverse(tensorsOf(output));
    const [x, y] = tensorsOf(inputs, 2);
    const [a, b] = grad;
    const w = tensorOf(weights);
    return [inputs, [[b!.mul(w), a!.neg().mul(w)], b!.mul(x).sum().sub(a!.mul(y).sum()).reshape([1])]];
  }
}

for (const Class of [Rotate, RotateAtOnce]) {
  test(`class ${Class.name} extends ReversibleLayer`, (t) => {
    const [rotate, other] = [new Class(), new Class()];
    const stack = tl.ReversibleSerial(rotate, tl.ReversibleHalfResidual(tl.Dense(8)), other);
    const [weights, state] = stack.init(pair, { rng: key });
    const plain = tl.Serial(tl.Fn('Rotate', (x: tl.Tensor, y: tl.Tensor) => [y.neg().mul(2), x.mul(2)], { nOut: 2 }));
    const [x, y] = inputs();
    t.deepEqual(values(rotate([x, y])), values(plain([x, y])));
    const loss = (x: tl.Tensor, y: tl.Tensor, w: tl.Tensor): tl.Tensor => {
      const [, dense, last] = treesOf(weights, 3);
      const ys = tensorsOf(stack.pureFn([x, y], [w, dense, last], state, key)[0]);
      return ys[0]!.mul(ys[1]!).sum();
    };
    const w = tl.full([1], 2, { dtype: 'float32' });
    const before = rotate.reversed;
    const grads = tl.grad(loss, { argnums: [0, 1, 2] })(x, y, w);
    t.is(rotate.reversed, before + 1);
    const step = 1e-2;
    const slope = (loss(x, y, w.add(step)).item() - loss(x, y, w.sub(step)).item()) / (2 * step);
    t.true(
      Math.abs(grads[2]!.item() - slope) < 1e-2 * Math.abs(slope),
      `${grads[2]!.item()}, differences say ${slope}`,
    );
    const direction = tl.random.normal([0, 3], [2, 5, 8]);
    const along =
      (loss(x.add(direction.mul(step)), y, w).item() - loss(x.sub(direction.mul(step)), y, w).item()) / (2 * step);
    t.true(Math.abs(grads[0]!.mul(direction).sum().item() - along) < 1e-2 * Math.abs(along));
    t.true(rotate.hasBackward);
  });
}

test('built-in reversible layers reverse, and are ReversibleLayers', (t) => {
  const stack = instanceOf(tl.ReversibleLayer, tl.ReversibleSerial(layers(3)));
  t.true(stack instanceof tl.ReversibleLayer);
  t.true(stack.sublayers.every((layer) => layer instanceof tl.ReversibleLayer));
  t.false(tl.Dense(3) instanceof tl.ReversibleLayer);
  t.is(tl.reversible.ReversibleLayer, tl.ReversibleLayer);
  const [weights, state] = stack.init(pair, { rng: key });
  const [outputs, newState] = stack.pureFn(inputs(), weights, state, key);
  const back = tensorsOf(stack.reverse(outputs, weights, state, newState, key));
  back.forEach((x, i) => t.true(x.sub(inputs()[i]!).abs().max().item() < 1e-5));
  const [xs, [grads]] = stack.reverseAndGrad(outputs, outputs, weights, state, newState, key) as [
    tl.Tensor[],
    [tl.Tensor[], unknown],
  ];
  xs.forEach((x, i) => t.deepEqual(x.array(), back[i]!.array()));
  const [, pullback] = tl.vjp(
    (a: tl.Tensor, b: tl.Tensor) => several(stack.pureFn([a, b], weights, state, key)[0]),
    ...inputs(),
  );
  t.deepEqual(values(pullback(several(outputs))), values(grads));
});

test('a reversible class must bring its methods, and they what they promise', (t) => {
  class Half extends tl.ReversibleLayer {
    override forward(x: tl.Tensor): tl.Tensor {
      return x.mul(0.5);
    }
  }
  const f = (x: tl.Tensor): tl.Tensor => one(tl.ReversibleSerial(new Half())(x)).sum();
  t.deepEqual(f(tl.ones([2])).item(), 1);
  t.throws(() => tl.grad(f)(tl.ones([2])), { message: /Half does not define reverse/ });
  class Two extends Half {
    override reverse(x: tl.Tensor): tl.Tensor[] {
      return [x, x];
    }
  }
  t.throws(() => tl.grad((x: tl.Tensor) => one(new Two()(x)).sum())(tl.ones([2])), {
    code: 'ArityMismatch',
    message: /reverse of Two returned 2 tensors, but nIn is 1/,
  });
});
