import test from 'ava';
import * as tl from '../../src/index.js';
import { close, f32 } from '../support/values.js';
import { tensorOf } from '../support/types.js';

const x = tl.tensor([1, 5, 2, 2, 7], [1, 5, 1], { dtype: 'float32' });

/** The output of a layer on `x`, flat. */
const run = (layer: tl.Layer): tl.Tensor => tensorOf(layer(x)).reshape([-1]);

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
  const g = tl.grad((x: tl.Tensor) => pool(x).sum())(x);
  close(t, g.reshape([5]), [0, 1, 0, 0, 1], 0);
  const ties = tl.grad((x: tl.Tensor) => pool(x).sum())(tl.ones([1, 3, 1]));
  close(t, ties.reshape([3]), [1, 0, 0], 0);
});

test('what does not fit is refused', (t) => {
  t.throws(() => tl.MaxPool({ poolSize: [2, 2], strides: [2] }), { message: /`strides` must have 2 entries/ });
  t.throws(() => tl.MaxPool()(x), { message: /windows of shape \[2, 2\] need 2 spatial axes, the input has 1/ });
  t.throws(() => tl.SumPool({ poolSize: [6] })(x), { message: /a window of \[6\] does not fit in \[5\]/ });
  t.throws(() => tl.AvgPool({ poolSize: [2] })(x.cast('bool')), { message: /AvgPool takes numbers, got bool/ });
  const bytes = tl.full([1, 2, 2, 1], 200, { dtype: 'uint8' });
  t.throws(() => tl.SumPool()(bytes), {
    instanceOf: tl.LayerError,
    message: /a window does not fit uint8; cast the input/,
  });
});

test('integers keep their type, but means are float32', (t) => {
  // Trax gives these for int32.
  const x = tl.tensor([
    [
      [
        [3, -2],
        [9, -8],
      ],
      [
        [-5, 4],
        [0, 1],
      ],
      [
        [7, 6],
        [2, -9],
      ],
    ],
  ]);
  for (const dtype of ['int32', 'int64'] as const) {
    const [max, sum, mean] = [tl.MaxPool(), tl.SumPool(), tl.AvgPool({ padding: 'SAME' })].map((layer) =>
      layer(x.cast(dtype)),
    );
    t.deepEqual([max!.dtype, sum!.dtype, mean!.dtype], [dtype, dtype, 'float32']);
    t.deepEqual(max!.array(), [[[[9, 4]], [[7, 6]]]]);
    t.deepEqual(sum!.array(), [[[[7, -5]], [[4, 2]]]]);
    t.deepEqual(mean!.array(), [
      [
        [
          [1.75, -1.25],
          [4.5, -3.5],
        ],
        [
          [1, 0.5],
          [1, -4],
        ],
        [
          [4.5, -1.5],
          [2, -9],
        ],
      ],
    ]);
  }
  t.deepEqual(tl.AvgPool().outputSignature({ shape: [1, 3, 2, 2], dtype: 'uint8' }), {
    shape: [1, 2, 1, 2],
    dtype: 'float32',
  });
  t.deepEqual(
    tl
      .MaxPool()(tl.tensor(Uint8Array.of(1, 255, 3, 4), [1, 2, 2, 1]))
      .array(),
    [[[[255]]]],
  );
});
