import test from 'ava';
import * as tl from '../../src/index.js';
import { f32, floats, values, one, several } from '../support/values.js';
import { tensorOf, tensorsOf, treesOf } from '../support/types.js';

const key: tl.Key = [0, 7];
const add = (n: number): tl.Layer => tl.Fn(`Add${n}`, (x: tl.Tensor) => x.add(n));
const double = (): tl.Layer => tl.Fn('Double', (x: tl.Tensor) => x.mul(2));

test('Serial runs layers over a stack; lists flatten; the printed form is that of Trax', (t) => {
  const layer = tl.Serial([add(1), [double()]], tl.Dup(), tl.Add(), { name: 'Twice' });
  t.is(layer.name, 'Twice');
  t.deepEqual(
    layer.sublayers.map((l) => l.name),
    ['Add1', 'Double', 'Dup', 'Add'],
  );
  t.is(layer.toString(), 'Twice[\n  Add1\n  Double\n  Dup_out2\n  Add_in2\n]');
  t.deepEqual(one(layer(tl.tensor([1.5]))).array(), [10]);
});

test('Serial without layers, and with null alone, passes one input on', (t) => {
  for (const layer of [tl.Serial(), tl.Serial(null), tl.Serial([])]) {
    t.deepEqual([layer.nIn, layer.nOut], [1, 1]);
    t.deepEqual(one(layer(tl.tensor([1.5]))).array(), [1.5]);
  }
});

test('Branch, Parallel, Select, Concatenate: where inputs and outputs go', (t) => {
  const [x, y] = [tl.tensor([1.5]), tl.tensor([10.5])];
  t.deepEqual(
    several(tl.Branch(add(1), double())(x)).map((v) => v.array()),
    [[2.5], [3]],
  );
  t.deepEqual(
    several(tl.Parallel(add(1), null)([x, y])).map((v) => v.array()),
    [[2.5], [10.5]],
  );
  t.deepEqual(
    tl
      .Select([1, 0, 1])([x, y])
      .map((v) => v.array()),
    [[10.5], [1.5], [10.5]],
  );
  t.deepEqual(tl.Concatenate()([x, y]).array(), [1.5, 10.5]);
  t.deepEqual(
    tl
      .Swap()([x, y])
      .map((v) => v.array()),
    [[10.5], [1.5]],
  );
  t.deepEqual(one(tl.Serial(tl.Drop(), add(1))([x, y])).array(), [11.5]);
});

test('inputs a layer does not take stay on the stack', (t) => {
  const layer = tl.Serial(add(1), tl.Add());
  t.is(layer.nIn, 2);
  t.deepEqual(one(layer([tl.tensor([1.5]), tl.tensor([10])])).array(), [12.5]);
});

test('Residual adds the input; a shortcut replaces it', (t) => {
  t.deepEqual(one(tl.Residual(double(), add(1))(tl.tensor([1.5]))).array(), [5.5]);
  t.deepEqual(one(tl.Residual(double(), { shortcut: add(100) })(tl.tensor([1.5]))).array(), [104.5]);
});

test('Cond runs one of two layers', (t) => {
  const layer = tl.Cond(
    tl.Fn('Positive', (x: tl.Tensor) => x.sum().gt(0)),
    double(),
    { false: add(100) },
  );
  t.deepEqual(one(layer([tl.tensor([1.5]), tl.tensor([3.5])])).array(), [7]);
  t.deepEqual(one(layer([tl.tensor([-1.5]), tl.tensor([3.5])])).array(), [103.5]);
});

test('Scan carries a value from slice to slice through a JavaScript function', (t) => {
  const step = tl.Fn('Step', (x: tl.Tensor, sum: tl.Tensor) => [sum.add(x), sum.add(x)], { nOut: 2 });
  const [partial, total] = tl.Scan(step)([
    tl.tensor([
      [1, 10],
      [2, 20],
      [3.5, 30],
    ]),
    tl.zeros([2]),
  ]);
  t.deepEqual(partial!.array(), [
    [1, 10],
    [3, 30],
    [6.5, 60],
  ]);
  t.deepEqual(total!.array(), [6.5, 60]);
});

test('a shared layer has one set of weights, and a marker where it occurs again', (t) => {
  const shared = tl.Dense(2, { useBias: false });
  const model = tl.Serial(shared, shared);
  const [weights, state] = model.init(f32([1, 2]), { rng: key });
  t.is(treesOf(weights)[1], tl.GET_WEIGHTS_FROM_CACHE);
  t.is(treesOf(state)[1], tl.GET_STATE_FROM_CACHE);
  model.weights = [
    tl.tensor([
      [2, 0],
      [0, 3.5],
    ]),
    tl.GET_WEIGHTS_FROM_CACHE,
  ];
  t.deepEqual(model([[1, 1]]).array(), [[4, 12.25]]);
  t.deepEqual(values(shared.weights), [
    [2, 0],
    [0, 3.5],
  ]);
  t.is(model.sublayers[0], shared);
  t.is(model.sublayers[1], shared);
});

test('the gradient of a shared layer is the sum over its uses', (t) => {
  const shared = tl.Dense(1, { useBias: false });
  const model = tl.Serial(shared, shared);
  const f = (w: tl.Tensor): tl.Tensor =>
    model
      .pureFn(
        tl.tensor([[5]], null, { dtype: 'float32' }),
        [w, tl.GET_WEIGHTS_FROM_CACHE],
        [[], tl.GET_STATE_FROM_CACHE],
      )[0]
      .sum();
  const gradient = tl.grad(f)(tl.tensor([[3.0]], null, { dtype: 'float32' }));
  t.deepEqual(gradient.array(), [[30]]);
});

test('a shared layer is trained in both its uses at once', (t) => {
  const shared = tl.Dense(2, { useBias: false });
  const model = tl.Serial(tl.Parallel(tl.Serial(shared, shared), null), tl.L2Loss());
  model.init([f32([4, 2]), f32([4, 2]), f32([4, 2])], { rng: key });
  const x = tl.random.normal([0, 1], [4, 2]);
  const trainer = new tl.Trainer(model, tl.optimizers.Adam({ learningRate: 0.05, weightDecayRate: 0 }));
  const losses = Array.from(
    { length: 200 },
    (_, step) => trainer.oneStep([x, x.mul(4), tl.ones([4, 2])], [0, step], { step })[0],
  );
  t.true(losses.at(-1)! < losses[0]! * 0.01, `from ${losses[0]} to ${losses.at(-1)}`);
  const w = tensorOf(shared.weights);
  const square = w.matmul(w).array() as number[][];
  t.true(
    Math.abs(square[0]![0]! - 4) < 0.4 && Math.abs(square[1]![1]! - 4) < 0.4,
    `the square is ${JSON.stringify(square)}`,
  );
});

test('useCache gives the markers to a layer that has weights already', (t) => {
  const layer = tl.Dense(2);
  const [first] = layer.init(f32([1, 2]), { rng: key, useCache: true });
  t.deepEqual(
    tensorsOf(first).map((w) => w.shape),
    [[2, 2], [2]],
  );
  t.deepEqual(layer.init(f32([1, 2]), { rng: [0, 8], useCache: true }), [
    tl.GET_WEIGHTS_FROM_CACHE,
    tl.GET_STATE_FROM_CACHE,
  ]);
});

test('Cond refuses branches that return different things, when it is initialized', (t) => {
  const layer = tl.Serial(
    tl.Cond(
      tl.Fn('Positive', (x: tl.Tensor) => x.sum().gt(0)),
      tl.Dense(3),
      { false: tl.Dense(4) },
    ),
  );
  const error = t.throws(() => layer.init([f32([2, 3]), f32([2, 3])]), {
    instanceOf: tl.LayerError,
    code: 'ShapeMismatch',
  });
  t.deepEqual(error?.path, ['Serial', 'Cond']);
  t.regex(error?.message ?? '', /`true` returns float32\[2,3\], but `false` float32\[2,4\]/);
  t.throws(() => tl.Cond(tl.Relu(), tl.Dup(), { false: tl.Relu() }), { code: 'InvalidOption' });
});

/** Multiplies by a weight, and counts its calls. */
class Counting extends tl.Layer {
  constructor(readonly factor: number) {
    super();
  }
  override initWeightsAndState(): void {
    this.weights = tl.full([1], this.factor, { dtype: 'float32' });
    this.state = tl.tensor(0);
  }
  override forward(x: tl.Tensor): tl.Tensor {
    this.state = tensorOf(this.state).add(1);
    return x.mul(tensorOf(this.weights));
  }
}

test('only the branch of Cond that ran has gradients and new state; what it does not take passes by', (t) => {
  const layer = tl.Cond(
    tl.Fn('Positive', (x: tl.Tensor) => x.sum().gt(0)),
    new Counting(2),
    { false: new Counting(5) },
  );
  const [weights, state] = layer.init([f32([1]), f32([2])]);
  const run = (decision: number): unknown[] => {
    const f = (y: tl.Tensor, w: tl.Nest): tl.Tensor[] =>
      several(layer.pureFn([floats([decision]), y, tl.tensor([9])], w, state)[0]);
    const [outputs, pullback] = tl.vjp(f, floats([1.5, 1]), weights);
    const counted = layer.pureFn([floats([decision]), tl.zeros([2]), tl.tensor([9])], weights, state)[1];
    return [outputs, pullback([tl.ones([2]), null]), counted].map(values);
  };
  t.deepEqual(run(1), [
    [[3, 2], [9]],
    [
      [2, 2],
      [[], [2.5], [0]],
    ],
    [[], 1, 0],
  ]);
  t.deepEqual(run(-1), [
    [[7.5, 5], [9]],
    [
      [5, 5],
      [[], [0], [2.5]],
    ],
    [[], 0, 1],
  ]);
});
