import test from 'ava';
import * as tl from '../../src/index.js';
import { f32, values } from '../support/values.js';

const key: tl.Key = [0, 7];

/** Two inputs, two outputs, weights in two levels, a backward of its own. */
class Mix extends tl.Layer {
  constructor() {
    super({ nIn: 2, nOut: 2, name: 'Mixed' });
  }
  override initWeightsAndState(signatures: tl.Signature & tl.Signature[]): void {
    const [first] = signatures as tl.Signature[];
    this.weights = [tl.full(first!.shape, 2, { dtype: 'float32' }), [tl.ones([])]];
    this.state = tl.tensor(0);
  }
  override forward(inputs: tl.LayerOutputs): tl.Tensor[] {
    const [x, y] = inputs as tl.Tensor[];
    const [w, [b]] = this.weights as unknown as [tl.Tensor, [tl.Tensor]];
    this.state = (this.state as tl.Tensor).add(1);
    return [x!.mul(w), y!.add(b)];
  }
  override backward(
    inputs: tl.LayerOutputs,
    _outputs: tl.LayerOutputs,
    grads: tl.LayerOutputs,
    weights: tl.Nest,
  ): [tl.Tensor[], tl.Nest] {
    const [x] = inputs as tl.Tensor[];
    const [gx, gy] = grads as tl.Tensor[];
    const [w] = weights as [tl.Tensor];
    // The gradient of y is doubled, to be told from what differentiation gives.
    return [[gx!.mul(w), gy!.mul(2)], [gx!.mul(x!), [gy!.sum()]]];
  }
}

test('PureLayer and Fn apply JavaScript functions; parameters are inputs', (t) => {
  const negate = tl.PureLayer((x: tl.Tensor) => x.neg(), { name: 'Negate' });
  t.is(String(negate), 'Negate');
  t.deepEqual(negate(tl.tensor([1.5])).array(), [-1.5]);
  const both = tl.Fn('Both', (x: tl.Tensor, y: tl.Tensor) => [x.add(y), x.sub(y)], { nOut: 2 });
  t.is(String(both), 'Both_in2_out2');
  t.deepEqual([both.nIn, both.nOut], [2, 2]);
  t.deepEqual(both([tl.tensor([3.5]), tl.tensor([1])]).map((y) => y.array()), [[4.5], [2.5]]);
  const joined = tl.PureLayer((xs: tl.Tensor[]) => tl.concat(xs), { nIn: 2 });
  t.deepEqual(joined([tl.tensor([3.5]), tl.tensor([1.5])]).array(), [3.5, 1.5]);
});

test('an output signature needs neither weights nor values', (t) => {
  const layer = tl.Serial(tl.Dense(7), tl.Fn('Pair', (x: tl.Tensor) => [x, x.sum({ axis: -1 })], { nOut: 2 }));
  t.deepEqual(layer.outputSignature(f32([2, 3])), [f32([2, 7]), f32([2])]);
  const [weights, state] = tl.Dense(7).weightsAndStateSignature(f32([2, 3]));
  t.deepEqual(weights, [f32([3, 7]), f32([7])]);
  t.deepEqual(state, []);
});

test('a class with nested weights, state and several inputs', (t) => {
  const layer = new Mix();
  t.deepEqual([layer.name, layer.nIn, layer.nOut, layer.hasBackward], ['Mixed', 2, 2, true]);
  t.is(String(layer), 'Mixed_in2_out2');
  layer.init([f32([2]), f32([2])], { rng: key });
  t.deepEqual(values(layer.weights), [[2, 2], [1]]);
  const [a, b] = layer([tl.tensor([1.5, 1]), tl.tensor([0.5, 1])]);
  t.deepEqual([a!.array(), b!.array()], [[3, 2], [1.5, 2]]);
  t.is((layer.state as tl.Tensor).item(), 1);
});

test('a backward of its own is what vjp takes, for inputs and weights, alone and inside of others', (t) => {
  const inner = new Mix();
  const layer = tl.Serial(inner, tl.Add());
  const [weights, state] = layer.init([f32([2]), f32([2])], { rng: key });
  const f = (x: tl.Tensor, y: tl.Tensor, w: tl.Tensor): tl.Tensor => layer.pureFn([x, y], w, state)[0];
  const [, pullback] = tl.vjp(f, tl.tensor([1.5, 3]), tl.tensor([0.5, 1]), weights as tl.Tensor);
  const found = pullback(tl.tensor([1, 10], null, { dtype: 'float32' }));
  t.deepEqual(found.map(values), [[2, 20], [2, 20], [[[1.5, 30], [11]], []]]);
});

test('a class is trained like any other layer', (t) => {
  class Scale extends tl.Layer {
    override initWeightsAndState(): void {
      this.weights = tl.ones([1]);
    }
    override forward(x: tl.Tensor): tl.Tensor {
      return x.mul(this.weights as tl.Tensor);
    }
  }
  const scale = new Scale();
  const model = tl.Serial(tl.Parallel(scale, null), tl.L2Loss());
  model.init([f32([4]), f32([4]), f32([4])], { rng: key });
  const trainer = new tl.Trainer(model, tl.optimizers.Adam({ learningRate: 0.1, weightDecayRate: 0 }));
  const x = tl.tensor([1.5, -1, 2, 0.5]);
  for (let step = 0; step < 150; step++) {
    trainer.oneStep([x, x.mul(3), tl.ones([4])], [0, step], { step });
  }
  const [learnt] = (scale.weights as tl.Tensor).array() as number[];
  t.true(Math.abs(learnt! - 3) < 0.05, `learnt ${learnt}`);
});

test('this.rng of a class is the key of the call', (t) => {
  class Noise extends tl.Layer {
    override forward(x: tl.Tensor): tl.Tensor {
      return x.add(tl.random.uniform(this.rng!, x.shape));
    }
  }
  const layer = new Noise();
  const run = (rng: tl.Key): unknown => layer.pureFn(tl.zeros([3]), [], [], rng)[0].array();
  t.deepEqual(run([1, 2]), tl.random.uniform([1, 2], [3]).array());
  t.notDeepEqual(run([1, 3]), run([1, 2]));
});

test('a layer that calls itself is refused, and the process lives on', (t) => {
  class Endless extends tl.Layer {
    override forward(x: tl.Tensor): tl.Tensor {
      return this(x);
    }
  }
  t.throws(() => new Endless()(tl.ones([1])), { instanceOf: RangeError, message: /does a layer call itself\?$/ });
  t.deepEqual(tl.Relu()([-1, 2]).array(), [0, 2]);
});

test('callAsync of JavaScript functions gives what the call gives', async (t) => {
  const layer = tl.Serial(tl.Fn('Twice', (x: tl.Tensor) => x.mul(2)), new (class Plus extends tl.Layer {
    override forward(x: tl.Tensor): tl.Tensor {
      return x.add(0.5);
    }
  })());
  t.deepEqual((await layer.callAsync([1, 2])).array(), layer([1, 2]).array());
});
