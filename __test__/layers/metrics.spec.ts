import test from 'ava';
import * as tl from '../../src/index.js';
import { close } from '../support/values.js';

const scores = (): tl.Tensor => tl.tensor([[2, 1, 0], [0, 3, 1], [0.5, 0, 0]]);
const targets = (): tl.Tensor => tl.tensor([0, 1, 2]);
const weights = (): tl.Tensor => tl.tensor([1, 1, 0.5]);

/** Cross-entropy of each row. */
const entropies = (scores().array() as number[][]).map((row, i) => Math.log(row.reduce((sum, v) => sum + Math.exp(v), 0)) - row[i]!);

test('cross-entropy: mean, weighted mean and sum', (t) => {
  const [a, b, c] = entropies as [number, number, number];
  close(t, tl.CategoryCrossEntropy()([scores(), targets()]), (a + b + c) / 3, 1e-6);
  close(t, tl.WeightedCategoryCrossEntropy()([scores(), targets(), weights()]), (a + b + c / 2) / 2.5, 1e-6);
  close(t, tl.CrossEntropyLossWithLogSoftmax()([scores(), targets(), weights()]), (a + b + c / 2) / 2.5, 1e-6);
});

test('accuracy: mean and weighted mean', (t) => {
  close(t, tl.CategoryAccuracy()([scores(), targets()]), 2 / 3);
  close(t, tl.WeightedCategoryAccuracy()([scores(), targets(), weights()]), 2 / 2.5);
});

test('squared errors weighed', (t) => {
  const [x, y, w] = [tl.tensor([1.5, 2, 3]), tl.tensor([1, 2, 5]), tl.tensor([2, 1, 1])];
  close(t, tl.L2Loss()([x, y, w]), (2 * 0.25 + 4) / 4);
  close(t, tl.SmoothL1Loss()([x, y, w]), (2 * 0.125 + 1.5) / 4);
});

test('the gradient of cross-entropy is the softmax less the target', (t) => {
  const loss = tl.CategoryCrossEntropy();
  const g = tl.grad((s: tl.Tensor) => loss.pureFn([s, targets()], [], [])[0])(scores()) as tl.Tensor;
  const expected = scores().softmax().sub(tl.oneHot(targets(), 3)).div(3);
  close(t, g, expected.array(), 1e-6);
});

test('a metric after a model shares the stack with its targets', (t) => {
  const model = tl.Serial(tl.Dense(3), tl.CategoryCrossEntropy());
  t.deepEqual([model.nIn, model.nOut], [2, 1]);
  model.init([{ shape: [4, 2], dtype: 'float32' }, { shape: [4], dtype: 'int32' }], { rng: [0, 1] });
  t.deepEqual(model([tl.ones([4, 2]), tl.tensor([0, 1, 2, 0])]).shape, []);
});
