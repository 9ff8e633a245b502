import test from 'ava';
import * as tl from '../../src/index.js';
import { close, floats, one } from '../support/values.js';

const scores = (): tl.Tensor =>
  tl.tensor([
    [2, 1, 0],
    [0, 3, 1],
    [0.5, 0, 0],
  ]);
const targets = (): tl.Tensor => tl.tensor([0, 1, 2]);
const weights = (): tl.Tensor => tl.tensor([1, 1, 0.5]);

/** Cross-entropy of each row. */
const entropies = (scores().array() as number[][]).map(
  (row, i) => Math.log(row.reduce((sum, v) => sum + Math.exp(v), 0)) - row[i]!,
);

test('cross-entropy: mean, weighted mean and sum', (t) => {
  const [a, b, c] = entropies as [number, number, number];
  close(t, tl.CategoryCrossEntropy()([scores(), targets()]), (a + b + c) / 3, 1e-6);
  close(t, tl.WeightedCategoryCrossEntropy()([scores(), targets(), weights()]), (a + b + c / 2) / 2.5, 1e-6);
  close(t, tl.CrossEntropyLossWithLogSoftmax()([scores(), targets(), weights()]), (a + b + c / 2) / 2.5, 1e-6);
});

test('a loss with its output layer in it is the loss behind a Dense layer', (t) => {
  const x = tl.random.normal(tl.random.key(5), [2, 3, 8]);
  const [target, w] = [tl.tensor([[1, 0, 4], [2, 2, 3]]), tl.tensor([[1, 0, 2], [0.5, 1, 1]])]; // prettier-ignore
  const [dense, apart] = [tl.Dense(5), tl.WeightedCategoryCrossEntropy({ labelSmoothing: 0.1 })];
  const plain = tl.Serial(dense, apart);
  const fused = tl.WeightedLinearCrossEntropy(5, { labelSmoothing: 0.1 });
  plain.init(tl.signature([x, target, w]), { rng: tl.random.key(1) });
  fused.init(tl.signature([x, target, w]), { rng: tl.random.key(2) });
  fused.weights = dense.weights;
  close(t, fused([x, target, w]), plain([x, target, w]).item(), 1e-6);
  const unweighted = tl.LinearCrossEntropy(5, { labelSmoothing: 0.1 });
  unweighted.init(tl.signature([x, target]));
  unweighted.weights = dense.weights;
  const ones = tl.onesLike(w);
  close(t, unweighted([x, target]), plain([x, target, ones]).item(), 1e-6);
  t.is(`${fused}`, 'WeightedLinearCrossEntropy_5_in3');
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

test('errors without weights are means over all elements, and nothing broadcasts', (t) => {
  const [x, y] = [tl.tensor([1.5, 2, 3]), tl.tensor([1, 2, 5])];
  close(t, tl.MeanSquaredError()([x, y]), 4.25 / 3);
  close(t, tl.MeanAbsoluteError()([x, y]), 2.5 / 3);
  const gradient = (loss: tl.Layer): tl.Tensor => tl.grad((v: tl.Tensor) => one(loss([v, y])))(x);
  close(t, gradient(tl.MeanSquaredError()), [1 / 3, 0, -4 / 3]);
  close(t, gradient(tl.MeanAbsoluteError()), [1 / 3, 0, -1 / 3]);
  for (const loss of [tl.MeanSquaredError(), tl.MeanAbsoluteError()]) {
    const error = t.throws(() => loss([x.reshape([3, 1]), y]), { instanceOf: tl.LayerError });
    t.is(error.code, 'ShapeMismatch');
    t.regex(error.message, /targets must have shape \[3, 1\], that of the model's output, got \[3\]/);
  }
});

test('counts and shares of each category are those of scikit-learn', (t) => {
  // sklearn.metrics 1.9.1: confusion_matrix, precision_score, recall_score, fbeta_score (beta=2); average=None, zero_division=0.
  const predicted = tl.tensor([0, 2, 1, 1, 0, 2, 2, 1, 0, 1]);
  const actual = tl.tensor([0, 2, 2, 1, 1, 2, 0, 1, 0, 2]);
  const weight = tl.tensor([1, 2, 0.5, 1, 3, 0, 1, 2, 1, 0.25]);
  const activations = tl.oneHot(predicted, 4).cast('float32');
  const plain = [activations, actual];
  close(t, tl.ConfusionMatrix()(plain), [
    [2, 0, 1, 0],
    [1, 2, 0, 0],
    [0, 2, 2, 0],
    [0, 0, 0, 0],
  ]);
  close(t, tl.Precision()(plain), [2 / 3, 0.5, 2 / 3, 0]);
  close(t, tl.Recall()(plain), [2 / 3, 2 / 3, 0.5, 0]);
  close(t, tl.FScore({ beta: 2 })(plain), [0.6666666666666666, 0.625, 0.5263157894736842, 0]);
  const [weighted, byWeight] = [[...plain, weight], { weighted: true }];
  close(t, one(tl.ConfusionMatrix(byWeight)(weighted)), [
    [2, 0, 1, 0],
    [3, 3, 0, 0],
    [0, 0.75, 2, 0],
    [0, 0, 0, 0],
  ]);
  close(t, one(tl.Precision(byWeight)(weighted)), [0.4, 0.8, 0.6666666666666666, 0]);
  close(t, one(tl.Recall(byWeight)(weighted)), [0.6666666666666666, 0.5, 0.7272727272727273, 0]);
  close(
    t,
    one(tl.FScore({ beta: 2, ...byWeight })(weighted)),
    [0.5882352941176471, 0.5405405405405406, 0.7142857142857143, 0],
  );
  // Nothing is left of a batch in which no item counts: zeros, not NaN.
  close(t, tl.Recall({ ignoreLabel: 1 })([activations, tl.ones([10]).cast('int32')]), [0, 0, 0, 0]);
  close(t, one(tl.Precision(byWeight)([...plain, tl.zeros([10])])), [0, 0, 0, 0]);
});

test('accuracy among the k best is that of scikit-learn', (t) => {
  const best = tl.tensor([
    [0.5, 0.2, 0.2, 0.1],
    [0.3, 0.4, 0.2, 0.05],
    [0.2, 0.4, 0.3, 0.15],
    [0.7, 0.2, 0.15, 0.05],
    [0.1, 0.25, 0.3, 0.6],
  ]);
  const [target, weight] = [tl.tensor([0, 1, 2, 2, 1]), tl.tensor([1, 2, 3, 4, 5])];
  // sklearn.metrics.top_k_accuracy_score 1.9.1
  const wanted = [
    [1, 0.4, 0.2],
    [2, 0.6, 0.4],
    [3, 1, 1],
  ] as const;
  for (const [k, mean, weighted] of wanted) {
    close(t, tl.TopKAccuracy(k)([best, target]), mean);
    close(t, one(tl.TopKAccuracy(k, { weighted: true })([best, target, weight])), weighted);
  }
  // Equal activations: the first is larger, as for `CategoryAccuracy`.
  const equal = [tl.zeros([4, 4]), tl.tensor([0, 1, 2, 3])];
  for (const k of [1, 2, 3, 4]) close(t, tl.TopKAccuracy(k)(equal), k / 4);
  close(t, tl.CategoryAccuracy()(equal), 1 / 4);
  // A model of NaN is right in nothing.
  close(t, tl.TopKAccuracy(4)([tl.full([4, 4], NaN), tl.tensor([0, 1, 2, 3])]), 0);
  close(t, tl.TopKAccuracy(1)([tl.tensor([[NaN, 1]]), tl.tensor([1])]), 0);
  const error = t.throws(() => tl.TopKAccuracy(5)(equal), { instanceOf: tl.LayerError });
  t.is(error.code, 'ShapeMismatch');
  t.regex(error.message, /`k` is 5, but there are 4 categories/);
});

test('perplexity and bits per byte are those of the mean cross-entropy', (t) => {
  const [a, b, c] = entropies as [number, number, number];
  close(t, tl.Perplexity()([scores(), targets()]), Math.exp((a + b + c) / 3), 1e-6);
  close(t, one(tl.Perplexity({ weighted: true })([scores(), targets(), weights()])), Math.exp((a + b + c / 2) / 2.5));
  // The second token is a special one of no bytes; the third is ignored by its label.
  close(t, tl.BitsPerByte()([scores(), targets(), tl.tensor([3, 0, 2])]), (a + c) / Math.LN2 / 5, 1e-6);
  close(t, tl.BitsPerByte({ ignoreLabel: 2 })([scores(), targets(), tl.tensor([3, 1, 2])]), (a + b) / Math.LN2 / 4);
  for (const wrong of [-1, NaN, Infinity]) {
    const error = t.throws(() => tl.BitsPerByte()([scores(), targets(), floats([1, wrong, 1])]), {
      instanceOf: tl.LayerError,
    });
    t.is(error.code, 'InvalidArgument');
    t.regex(
      error.message,
      /the bytes of a target must be a number of at least 0, got \S+; give 0 to leave a target out/,
    );
  }
});

test('a masked mean leaves out what is masked: its values, its gradients, NaN', (t) => {
  const x = tl.tensor([
    [
      [1, 2],
      [3, 6],
      [NaN, Infinity],
    ],
    [
      [NaN, 1],
      [2, 3],
      [4, 5],
    ],
    [
      [1, 1],
      [1, 1],
      [1, 1],
    ],
  ]);
  const mask = tl.tensor([
    [true, true, false],
    [false, false, true],
    [false, false, false],
  ]);
  const wanted = [
    [2, 4],
    [4, 5],
    [0, 0],
  ];
  for (const m of [mask, mask.cast('int32'), mask.cast('float32')]) close(t, tl.MaskedMean()([x, m]), wanted);
  const gradient = tl.grad((v: tl.Tensor) => tl.MaskedMean()([v, mask]).sum())(x);
  close(t, gradient.sum({ axis: 2 }), [
    [1, 1, 0],
    [0, 0, 2],
    [0, 0, 0],
  ]);
  close(t, tl.MaskedMean()([tl.tensor([1, 2, 6]), tl.tensor([1, 1, 2])]), 15 / 4);
  const error = t.throws(() => tl.MaskedMean()([x, tl.ones([2])]), { instanceOf: tl.LayerError });
  t.is(error.code, 'ShapeMismatch');
  t.regex(
    error.message,
    /the mask must have one number for each position.*got input float32\[3,3,2\] and mask float32\[2\]/,
  );
});

test('the gradient of cross-entropy is the softmax less the target', (t) => {
  const loss = tl.CategoryCrossEntropy();
  const g = tl.grad((s: tl.Tensor) => loss.pureFn([s, targets()], [], [])[0])(scores());
  const expected = scores().softmax().sub(tl.oneHot(targets(), 3)).div(3);
  close(t, g, expected.array(), 1e-6);
});

test('a metric after a model shares the stack with its targets', (t) => {
  const model = tl.Serial(tl.Dense(3), tl.CategoryCrossEntropy());
  t.deepEqual([model.nIn, model.nOut], [2, 1]);
  model.init(
    [
      { shape: [4, 2], dtype: 'float32' },
      { shape: [4], dtype: 'int32' },
    ],
    { rng: [0, 1] },
  );
  t.deepEqual(model([tl.ones([4, 2]), tl.tensor([0, 1, 2, 0])]).shape, []);
});
