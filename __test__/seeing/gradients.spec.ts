import test from 'ava';
import * as tl from '../../src/index.js';
import { f32 } from '../support/values.js';

const KEY = tl.random.key(7);

/** The square of its input times a weight, with a backward that may be wrong. */
class Squares extends tl.Layer<tl.Tensor> {
  declare weights: tl.Tensor;
  constructor(readonly factor: number) {
    super();
  }
  override initWeightsAndState(): void {
    this.weights = tl.tensor([0.5]);
  }
  override forward(x: tl.Tensor): tl.Tensor {
    return x.mul(x).mul(this.weights);
  }
  override backward(x: tl.Tensor, _output: tl.Tensor, grad: tl.Tensor, weights: tl.Tensor): [tl.Tensor, tl.Tensor] {
    const ofWeights = grad.mul(x).mul(x).sum().reshape([1]);
    return [
      grad
        .mul(x)
        .mul(2 * this.factor)
        .mul(weights),
      ofWeights,
    ];
  }
}

test('layers with right gradients pass, in float64, by inputs and weights', (t) => {
  const model = tl.Serial(tl.Dense(40), tl.Tanh(), tl.LayerNorm(), tl.Dense(3), tl.LogSoftmax());
  model.init(f32([5, 7]), { rng: tl.random.key(0) });
  const report = tl.checkGradients(model, tl.random.normal(KEY, [5, 7]));
  t.true(report.ok, JSON.stringify(report));
  t.true(report.maxError < 1e-6);
  t.is(report.precision, 'float64');
  // Sixteen elements of each, and a direction where there are more: the input, two kernels, two biases, a scale and an offset.
  t.is(report.compared, 17 + 17 + 17 + 17 + 17 + 17 + 3);
  const few = tl.checkGradients(model, tl.random.normal(KEY, [5, 7]), { coordinates: 1, rng: tl.random.key(2) });
  t.true(few.ok);
  t.is(few.compared, 7 * 2);
});

test('a wrong backward of a class is found, and told where', (t) => {
  const x = tl.tensor([0.5, -1.5, 2]);
  const right = new Squares(1);
  right.init(f32([3]));
  t.true(tl.checkGradients(right, x).ok);
  const wrong = new Squares(1.01);
  wrong.init(f32([3]));
  const report = tl.checkGradients(wrong, x);
  t.false(report.ok);
  t.is(report.worst.path, 'inputs/0');
  t.true(Math.abs(report.worst.analytic / report.worst.numeric - 1.01) < 1e-4, JSON.stringify(report));
  t.true(tl.checkGradients(wrong, x, { tolerance: 0.1 }).ok);
});

test('functions of tensors, of several too', (t) => {
  const report = tl.checkGradients(
    (a: tl.Tensor, b: tl.Tensor) => [a.mul(b), a.exp()],
    [tl.tensor([0.5, 1.5]), tl.tensor([2, 3], null, { dtype: 'float32' })],
  );
  t.true(report.ok, JSON.stringify(report));
  t.is(report.compared, 4);
  // A gradient that is cut off.
  const cut = tl.checkGradients((a: tl.Tensor) => a.mul(a.stopGradient()), tl.tensor([1.5, 2.5]));
  t.false(cut.ok);
  // One of the two factors is missing.
  t.true(Math.abs(cut.worst.numeric / cut.worst.analytic - 2) < 1e-4);
  const rounded = tl.checkGradients((a: tl.Tensor) => a.cast('float32').mul(2), tl.tensor([1.5, 2.5]));
  t.is(rounded.precision, 'float32');
  t.true(rounded.ok);
});

test('randomness is that of one key, and state stays', (t) => {
  const model = tl.Serial(tl.Dense(4), tl.Dropout({ rate: 0.5 }), tl.BatchNorm({ axis: 0 }));
  model.init(f32([6, 3]), { rng: tl.random.key(0) });
  const before = JSON.stringify(tl.tree.leaves(model.state as tl.Tree<tl.Tensor>).map((leaf) => leaf.array()));
  t.true(tl.checkGradients(model, tl.random.normal(KEY, [6, 3])).ok);
  t.is(JSON.stringify(tl.tree.leaves(model.state as tl.Tree<tl.Tensor>).map((leaf) => leaf.array())), before);
});

test('what has no gradient, and wrong arguments, are refused', (t) => {
  const code = (f: () => unknown): string | undefined => t.throws(f, { instanceOf: tl.LayerError }).code;
  t.is(
    code(() => tl.checkGradients(tl.Relu(), tl.tensor([1, 2]))),
    'InvalidArgument',
  );
  t.is(
    code(() => tl.checkGradients((x: tl.Tensor) => x.argmax(), tl.tensor([1.5, 2]))),
    'InvalidArgument',
  );
  t.is(
    code(() => tl.checkGradients(tl.Dense(2), tl.ones([1, 2]))),
    'NotInitialized',
  );
  t.is(
    code(() => tl.checkGradients(tl.Tanh(), [0.5], { eps: 0 })),
    'InvalidOption',
  );
  t.is(
    code(() => tl.checkGradients(tl.Tanh(), [0.5], { coordinates: 0.5 })),
    'InvalidOption',
  );
  const unknown: object = { epsilon: 1 };
  t.is(
    code(() => tl.checkGradients(tl.Tanh(), [0.5], unknown)),
    'InvalidOption',
  );
  // @ts-expect-error a layer or function is wanted
  t.throws(() => tl.checkGradients('Dense', [0.5]), { instanceOf: TypeError });
  t.throws(
    () =>
      tl.checkGradients(() => {
        throw new RangeError('own');
      }, [0.5]),
    { instanceOf: RangeError, message: 'own' },
  );
});
