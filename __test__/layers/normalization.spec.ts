import test from 'ava';
import * as tl from '../../src/index.js';
import { close, f32, floats, values } from '../support/values.js';
import { tensorsOf } from '../support/types.js';

const key: tl.Key = [0, 7];

test('LayerNorm: scale, then bias; each row has mean 0 and variance 1', (t) => {
  const layer = tl.LayerNorm();
  const [weights] = layer.init(f32([2, 4]), { rng: key });
  t.deepEqual(values(weights), [
    [1, 1, 1, 1],
    [0, 0, 0, 0],
  ]);
  const y = layer(
    floats([
      [1, 2, 3, 4],
      [10, 10, 30, 30],
    ]),
  );
  close(t, y.mean({ axis: -1 }), [0, 0], 1e-5);
  close(t, y.variance({ axis: -1 }), [1, 1], 1e-4);
  layer.weights = [tl.full([4], 2, { dtype: 'float32' }), tl.full([4], 0.5)];
  close(t, layer(floats([[1, 1, 3, 3]])), [[-1.5, -1.5, 2.5, 2.5]], 1e-4);
});

test('BatchNorm learns averages in training and uses them in evaluation', (t) => {
  const layer = tl.BatchNorm({ axis: [0], momentum: 0 });
  const [, state] = layer.init(f32([4, 1]), { rng: key });
  t.is(tensorsOf(state).length, 3);
  const y = layer(floats([[1], [1], [5], [5]]));
  close(t, y, [[-1], [-1], [1], [1]], 1e-4);
  const [mean, variance, batches] = tensorsOf(layer.state);
  close(t, mean!.reshape([1]), [3], 1e-5);
  close(t, variance!.reshape([1]), [4], 1e-4);
  t.is(batches!.item(), 1);
  const evaluated = layer.withMode('eval');
  evaluated.state = layer.state;
  close(t, evaluated(floats([[7]])), [[2]], 1e-3);
  t.deepEqual(values(evaluated.state), values(layer.state));
});

test('FilterResponseNorm keeps the shape and has no state', (t) => {
  const layer = tl.FilterResponseNorm();
  const [weights, state] = layer.init(f32([2, 3, 4]), { rng: key });
  t.is(tl.tree.leaves(weights).length, 2);
  t.deepEqual(state, []);
  t.deepEqual(layer(tl.random.normal(key, [2, 3, 4])).shape, [2, 3, 4]);
});

test('gradients of a normalization do not depend on the scale of its input', (t) => {
  const layer = tl.LayerNorm({ epsilon: 1e-12 });
  const [weights, state] = layer.init(f32([1, 3]), { rng: key });
  const f = (x: tl.Tensor): tl.Tensor =>
    layer
      .pureFn(x, weights, state)[0]
      .mul(tl.tensor([1, 2, -1]))
      .sum();
  const g = tl.grad(f)(tl.tensor([[1, 2, 4.5]]));
  close(t, g.mul(tl.tensor([[1, 2, 4.5]])).sum(), 0, 1e-5);
  close(t, g.sum(), 0, 1e-5);
});
