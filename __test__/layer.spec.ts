import { inspect } from 'node:util';
import test from 'ava';
import * as tl from '../src/index.js';
import { one } from './support/values.js';
import { makeLayer } from '../src/layer/layer.js';
import { tensorOf, treesOf, wrong } from './support/types.js';

/** Multiplies by a weight and counts its calls in its state. */
class Scale extends tl.Layer {
  override initWeightsAndState(signature: tl.Signature): void {
    this.weights = tl.full(signature.shape.slice(-1), 2, { dtype: 'float32' });
    this.state = tl.tensor(0);
  }
  override forward(x: tl.Tensor): tl.Tensor {
    this.state = tensorOf(this.state).add(1);
    return x.mul(tensorOf(this.weights));
  }
}

const signature: tl.Signature = { shape: [1, 2], dtype: 'float32' };
const x = (): tl.Tensor => tl.tensor([[1.5, -1]]);

test('a class of its own: init, call, weights and state', (t) => {
  const layer = new Scale();
  t.is(layer.name, 'Scale');
  t.deepEqual([layer.nIn, layer.nOut, layer.hasBackward], [1, 1, false]);
  const [weights, state] = layer.init(signature);
  t.deepEqual(tensorOf(weights).array(), [2, 2]);
  t.is(tensorOf(state).item(), 0);
  t.deepEqual(one(layer(x())).array(), [[3, -2]]);
  t.deepEqual(one(layer([[1, 2]])).array(), [[2, 4]]);
  t.is(tensorOf(layer.state).item(), 2);
  layer.weights = tl.tensor([1.5, 10]);
  t.deepEqual(one(layer(x())).array(), [[2.25, -10]]);
  t.is(inspect(layer), 'Scale');
});

test('pureFn keeps nothing', (t) => {
  const layer = new Scale();
  const [y, state] = layer.pureFn(x(), tl.tensor([3.5, 1]), tl.tensor(41), tl.random.key(0));
  t.deepEqual(one(y).array(), [[5.25, -1]]);
  t.is(tensorOf(state).item(), 42);
  t.deepEqual(layer.state, []);
});

test('gradients pass through a layer to its inputs and weights', (t) => {
  const layer = new Scale();
  const f = (input: tl.Tensor, w: tl.Tensor): tl.Tensor =>
    one(layer.pureFn(input, w, tl.tensor(0))[0])
      .square()
      .sum();
  const [dx, dw] = tl.grad(f, { argnums: [0, 1] })(x(), tl.tensor([3, 2], null, { dtype: 'float32' }));
  t.deepEqual(dx.array(), [[27, -8]]);
  t.deepEqual(dw.array(), [13.5, 4]);
});

test('a backward of its own replaces automatic differentiation', (t) => {
  class Straight extends tl.Layer {
    override forward(input: tl.Tensor): tl.Tensor {
      return input.sign();
    }
    override backward(_inputs: tl.Tensor, _output: tl.Tensor, grad: tl.Tensor): [tl.Tensor, null] {
      return [grad.mul(7), null];
    }
  }
  const layer = new Straight();
  t.true(layer.hasBackward);
  const g = tl.grad((input: tl.Tensor) => one(layer.pureFn(input, [], [])[0]).sum())(x());
  t.deepEqual(g.array(), [[7, 7]]);
});

test('what a callback throws comes out as the same object; a promise is refused; the next call is right', (t) => {
  const mine = new Error('mine');
  let mode = 'throw';
  class Moody extends tl.Layer {
    override forward(input: tl.Tensor): tl.Tensor {
      if (mode === 'throw') throw mine;
      if (mode === 'promise') return wrong(Promise.resolve(input));
      if (mode === 'string') throw 'text';
      return input.neg();
    }
  }
  const layer = new Moody();
  t.is(
    t.throws(() => layer(x())),
    mine,
  );
  mode = 'promise';
  t.throws(() => layer(x()), { instanceOf: TypeError, message: /promise/ });
  mode = 'string';
  t.is(t.throws(() => layer(x()))?.cause, 'text');
  mode = 'fine';
  t.deepEqual(one(layer(x())).array(), [[-1.5, 1]]);
});

test.serial('tensors made in a callback are disposed when it returns', (t) => {
  const layer = new Scale();
  layer.init(signature);
  const input = x();
  const before = tl.memory().tensors;
  one(layer(input)).dispose();
  t.is(tl.memory().tensors, before);
});

test('callAsync runs on the compute thread, and calls back into JavaScript', async (t) => {
  const layer = new Scale();
  layer.init(signature);
  const [a, b] = await Promise.all([layer.callAsync(x()), layer.callAsync([[4, 5]])]);
  t.deepEqual(one(a).array(), [[3, -2]]);
  t.deepEqual(one(b).array(), [[8, 10]]);
  const mine = new Error('mine');
  class Fails extends tl.Layer {
    override forward(): never {
      throw mine;
    }
  }
  t.is(await t.throwsAsync(new Fails().callAsync(x())), mine);
});

test('callAsync obeys its signal', async (t) => {
  const layer = new Scale();
  layer.init(signature);
  const reason = new Error('enough');
  t.is(await t.throwsAsync(layer.callAsync(x(), { signal: AbortSignal.abort(reason) })), reason);
  const controller = new AbortController();
  const running = layer.callAsync(x(), { signal: controller.signal });
  controller.abort(reason);
  t.is(await t.throwsAsync(running), reason);
  t.deepEqual(one(await layer.callAsync(x())).array(), [[3, -2]]);
});

test('callAsync is stopped in the middle of one long operation', async (t) => {
  // Minutes of work, in pieces of less than a tenth of a second.
  const x = tl.ones([1, 2 ** 18, 16]);
  const layer = tl.DotProductCausalAttention();
  layer.init(tl.signature([x, x, x]));
  const controller = new AbortController();
  const reason = new Error('enough');
  const running = layer.callAsync([x, x, x], { signal: controller.signal });
  setTimeout(() => controller.abort(reason), 20);
  t.is(await t.throwsAsync(running), reason);
  const short = x.slice([0, 0, 0], [1, 3, 16]);
  t.deepEqual((await layer.callAsync([short, short, short])).array(), short.array());
});

test('a cancelled callAsync stops before the next sublayer', async (t) => {
  const controller = new AbortController();
  const reason = new Error('enough');
  const ran: string[] = [];
  const note = (name: string, then = (): void => {}): tl.Layer =>
    tl.Fn(name, (input: tl.Tensor) => {
      ran.push(name);
      then();
      return input.add(1);
    });
  const layer = tl.Serial(
    note('First', () => controller.abort(reason)),
    tl.Relu(),
    note('Second'),
  );
  t.is(await t.throwsAsync(layer.callAsync([1, 2], { signal: controller.signal })), reason);
  t.deepEqual(ran, ['First']);
  t.deepEqual(one(await layer.callAsync([1, 2])).array(), [3, 4]);
});

test('errors name the layer, where it was made, and the inputs', (t) => {
  const layer = new Scale();
  layer.init(signature);
  const error = t.throws(() => layer([x(), x()]), { instanceOf: tl.LayerError });
  t.is(error?.code, 'ArityMismatch');
  t.deepEqual(error?.path, ['Scale']);
  t.is(error?.phase, 'forward');
  t.deepEqual(error?.inputs, ['float32[1,2]', 'float32[1,2]']);
  t.regex(error?.createdAt ?? '', /layer\.spec\.ts:\d+:\d+$/);
  t.regex(error?.message ?? '', /Scale \(forward\): .*created at .*layer\.spec\.ts/);
});

test('unknown kinds and options are refused in the words of the caller', (t) => {
  t.throws(() => makeLayer('Nonesuch', {}), { instanceOf: tl.LayerError, code: 'InvalidOption' });
  t.throws(() => new tl.Layer(wrong({ nInn: 2 })), { code: 'InvalidOption', message: /nInn/ });
});

test('sublayers are the same handles; a layer keeps its functions alive', (t) => {
  const inner = new Scale();
  const outer = makeLayer('Serial', {
    sublayers: [inner, makeLayer('Fn', { name: 'Add', f: (a: tl.Tensor) => a.add(1) })],
  });
  t.is(outer.sublayers[0], inner);
  outer.init(signature);
  t.deepEqual(one(outer(x())).array(), [[4, -1]]);
  t.deepEqual(tensorOf(treesOf(outer.weights)[0]).array(), [2, 2]);
  t.deepEqual(outer.outputSignature(signature), signature);
});

test('a layer cannot be cloned or sent', (t) => {
  t.throws(() => structuredClone(new Scale()), { any: true, name: 'DataCloneError' });
});

test('pureFn keeps nothing, unless asked to', (t) => {
  const layer = tl.Dense(2, { useBias: false });
  const weights = tl.tensor([1, 2, 3, 4], [2, 2], { dtype: 'float32' });
  const x = tl.tensor([1, 1], [1, 2], { dtype: 'float32' });
  t.deepEqual(layer.pureFn(x, weights, [])[0].array(), [[4, 6]]);
  t.deepEqual(layer.weights, []);
  t.deepEqual(layer.pureFn(x, weights, [], null, { useCache: true })[0].array(), [[4, 6]]);
  t.deepEqual(tensorOf(layer.weights).array(), [
    [1, 2],
    [3, 4],
  ]);
  t.deepEqual(layer(x).array(), [[4, 6]]);
});

test('hasArity tells layers of one tensor from those of several', (t) => {
  const layers: readonly tl.Layer[] = [tl.Dense(2), tl.Dup(), tl.Add(), tl.Drop()];
  t.deepEqual(
    layers.map((layer) => tl.hasArity(layer, 1, 1)),
    [true, false, false, false],
  );
  t.true(tl.hasArity(tl.Dup(), 1, 2));
  t.true(tl.hasArity(tl.Drop(), 1, 0));
});
