import test from 'ava';
import * as tl from '../../src/index.js';
import { close, f32 } from '../support/values.js';

const x = tl.tensor([1, 5, 2, 2, 7], [1, 5, 1], { dtype: 'float32' });

/** The output of a layer on `x`, flat. */
const run = (layer: tl.Layer): tl.Tensor => (layer(x) as tl.Tensor).reshape([-1]);

test('MaxPool, SumPool and AvgPool reduce windows; padding does not count', (t) => {
  close(t, run(tl.MaxPool({ poolSize: [2], strides: [2] })), [5, 2], 0);
  close(t, run(tl.MaxPool({ poolSize: [2], strides: [2], padding: 'SAME' })), [5, 2, 7], 0);
  close(t, run(tl.SumPool({ poolSize: [3] })), [8, 9, 11], 1e-6);
  close(t, run(tl.AvgPool({ poolSize: [2], strides: [2], padding: 'SAME' })), [3, 2, 7], 1e-6);
  close(t, run(tl.AvgPool({ poolSize: [2], strides: [3], padding: [[1, 1]] })), [1, 2], 1e-6);
});

test('pooling is named by its window and keeps items and channels', (t) => {
  t.is(tl.MaxPool().name, 'MaxPool(2,2)');
  t.is(tl.AvgPool({ poolSize: [3] }).name, 'AvgPool(3,)');
  t.deepEqual(tl.MaxPool({ strides: [2, 2] }).outputSignature(f32([3, 7, 6, 4])), f32([3, 3, 3, 4]));
  t.deepEqual(tl.SumPool({ strides: [2, 2] })(tl.ones([0, 4, 4, 2])).shape, [0, 2, 2, 2]);
});

test('the gradient of MaxPool goes to the first of equal values', (t) => {
  const pool = tl.MaxPool({ poolSize: [3], strides: [2] });
  const g = tl.grad((x: tl.Tensor) => (pool(x) as tl.Tensor).sum())(x) as tl.Tensor;
  close(t, g.reshape([5]), [0, 1, 0, 0, 1], 0);
  const ties = tl.grad((x: tl.Tensor) => (pool(x) as tl.Tensor).sum())(tl.ones([1, 3, 1])) as tl.Tensor;
  close(t, ties.reshape([3]), [1, 0, 0], 0);
});

test('what does not fit is refused', (t) => {
  t.throws(() => tl.MaxPool({ poolSize: [2, 2], strides: [2] }), { message: /`strides` must have 2 entries/ });
  t.throws(() => tl.MaxPool()(x), { message: /windows of shape \[2, 2\] need 2 spatial axes, the input has 1/ });
  t.throws(() => tl.SumPool({ poolSize: [6] })(x), { message: /a window of \[6\] does not fit in \[5\]/ });
  t.throws(() => tl.AvgPool({ poolSize: [2] })(x.cast('int32')), { message: /AvgPool takes floats, got int32/ });
});
