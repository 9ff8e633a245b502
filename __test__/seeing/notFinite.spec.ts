import test from 'ava';
import * as tl from '../../src/index.js';
import { f32 } from '../support/values.js';

const log = (): tl.Layer<tl.Tensor, 1> => tl.Fn('Log', (x: tl.Tensor) => x.log());

test('the first tensor that is not finite: an input, a weight, an output', (t) => {
  const inner = tl.Serial(tl.Dense(2, { useBias: false }), log(), tl.Relu());
  const model = tl.Serial(tl.Relu(), inner);
  model.init(f32([3, 2]), { rng: tl.random.key(0) });
  // The logarithm of 0.
  t.deepEqual(tl.firstNotFinite(model, tl.zeros([3, 2])), { path: '1.Serial/1.Log', what: 'output 0', shape: [3, 2] });
  t.deepEqual(tl.firstNotFinite(model, tl.full([3, 2], NaN)), { path: '', what: 'input 0', shape: [3, 2] });
  inner.sublayers[0]!.weights = tl.full([2, 2], Infinity);
  t.deepEqual(tl.firstNotFinite(model, tl.ones([3, 2])), {
    path: '1.Serial/0.Dense_2',
    what: 'weight',
    shape: [2, 2],
  });
  const fine = tl.Serial(tl.Relu(), tl.Tanh());
  t.is(tl.firstNotFinite(fine, [1, -1]), null);
  const embedding = tl.Embedding(3, 2);
  embedding.init(null);
  t.is(tl.firstNotFinite(embedding, [1, 2]), null);
});

test('it finds them through classes of JavaScript, in spite of errors behind them, and changes nothing', (t) => {
  class Root extends tl.Layer<tl.Tensor> {
    readonly log = log();
    override forward(x: tl.Tensor): tl.Tensor {
      return this.log(x);
    }
  }
  const norm = tl.BatchNorm({ axis: 0 });
  const picky = tl.Fn('Picky', (x: tl.Tensor) => {
    if (!Number.isFinite(x.sum().item())) throw new Error('not finite');
    return x;
  });
  const model = tl.Serial(norm, new Root(), picky);
  model.init(f32([4, 2]), { rng: tl.random.key(0) });
  const before = tl.tree.map((leaf: unknown) => (leaf instanceof tl.Tensor ? leaf.array() : leaf), norm.state);
  t.deepEqual(tl.firstNotFinite(model, tl.random.normal(tl.random.key(1), [4, 2])), {
    path: '1.Root/0.Log',
    what: 'output 0',
    shape: [4, 2],
  });
  const after = tl.tree.map((leaf: unknown) => (leaf instanceof tl.Tensor ? leaf.array() : leaf), norm.state);
  t.deepEqual(after, before);
});

test('the key of the call is given, and errors without such a number are errors', (t) => {
  const noisy = tl.Serial(tl.Dropout({ rate: 0.5 }), log());
  noisy.init(f32([64]), { rng: tl.random.key(0) });
  const found = tl.firstNotFinite(noisy, tl.ones([64]), { rng: tl.random.key(3) });
  t.is(found?.path, '1.Log');
  const error = t.throws(() => tl.firstNotFinite(tl.Dense(2), [1, 2]), { instanceOf: tl.LayerError });
  t.is(error.code, 'NotInitialized');
  // @ts-expect-error a layer is wanted
  t.throws(() => tl.firstNotFinite(5, [1]), {
    instanceOf: TypeError,
    message: /firstNotFinite: layer must be a layer/,
  });
  // @ts-expect-error an unknown option
  t.throws(() => tl.firstNotFinite(tl.Relu(), [1], { key: 1 }), { message: /unknown option `key`/ });
});
