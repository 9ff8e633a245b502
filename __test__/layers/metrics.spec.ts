import test, { type ExecutionContext } from 'ava';
import * as tl from '../../src/index.js';
import { close, floats, one } from '../support/values.js';
import { instanceOf } from '../support/types.js';

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

type Metric = readonly [make: () => tl.Layer, weighted: boolean];

/** Metrics of scores `[..., N]` and the category of each item. */
const ofCategories: Readonly<Record<string, Metric>> = {
  CategoryAccuracy: [tl.CategoryAccuracy, false],
  WeightedCategoryAccuracy: [tl.WeightedCategoryAccuracy, true],
  CategoryCrossEntropy: [tl.CategoryCrossEntropy, false],
  'CategoryCrossEntropy, smoothed': [() => tl.CategoryCrossEntropy({ labelSmoothing: 0.2 }), false],
  WeightedCategoryCrossEntropy: [tl.WeightedCategoryCrossEntropy, true],
  'WeightedCategoryCrossEntropy, cut off': [
    () => tl.WeightedCategoryCrossEntropy({ cutoff: 0.3, labelSmoothing: 0.1 }),
    true,
  ],
  MaskedSequenceAccuracy: [tl.MaskedSequenceAccuracy, true],
  Accuracy: [tl.Accuracy, true],
  SequenceAccuracy: [tl.SequenceAccuracy, true],
  CrossEntropyLoss: [tl.CrossEntropyLoss, true],
  CrossEntropyLossWithLogSoftmax: [tl.CrossEntropyLossWithLogSoftmax, true],
  CrossEntropySum: [tl.CrossEntropySum, true],
  MacroAveragedFScore: [tl.MacroAveragedFScore, false],
  WeightedFScore: [tl.WeightedFScore, false],
  TopKAccuracy: [() => tl.TopKAccuracy(2), false],
  'TopKAccuracy, weighted': [() => tl.TopKAccuracy(2, { weighted: true }), true],
  Perplexity: [tl.Perplexity, false],
  'Perplexity, weighted': [() => tl.Perplexity({ weighted: true }), true],
  BitsPerByte: [tl.BitsPerByte, true],
  ConfusionMatrix: [() => tl.Serial(tl.ConfusionMatrix(), tl.Max({ axis: null })), false],
  'ConfusionMatrix, weighted': [() => tl.Serial(tl.ConfusionMatrix({ weighted: true }), tl.Max({ axis: null })), true],
  Precision: [() => tl.Serial(tl.Precision(), tl.Mean()), false],
  'Precision, weighted': [() => tl.Serial(tl.Precision({ weighted: true }), tl.Mean()), true],
  'Recall, weighted': [() => tl.Serial(tl.Recall({ weighted: true }), tl.Mean()), true],
  'FScore, weighted': [() => tl.Serial(tl.FScore({ weighted: true }), tl.Mean()), true],
};

/** The value of a metric of five items of four categories, and the gradient of the scores. */
function measure([make, weighted]: Metric, target: tl.Tensor, weight: tl.Tensor = tl.ones([5])): [number, unknown] {
  const logits = tl.random.normal([0, 3], [5, 4]).logSoftmax();
  const metric = make();
  const inputs = (x: tl.Tensor): tl.Tensor[] => (weighted ? [x, target, weight] : [x, target]);
  metric.init(tl.signature(inputs(logits)), { rng: [0, 1] });
  const gradient = tl.grad((x: tl.Tensor) => one(metric(inputs(x))))(logits);
  return [one(metric(inputs(logits))).item(), gradient.array()];
}

/** The code and the sentence of what a metric refuses. */
function refusal(
  t: ExecutionContext,
  name: string,
  metric: Metric,
  target: tl.Tensor,
  weight?: tl.Tensor,
): [string, string] {
  const error = t.throws(() => measure(metric, target, weight), { instanceOf: tl.LayerError }, name);
  return [error?.code ?? '', error?.message ?? ''];
}

const labels = [3, 0, 1, 2, 1];
const asFloats = (values: readonly number[], shape: readonly number[] | null = null): tl.Tensor =>
  tl.tensor(values, shape, { dtype: 'float32' });

test('metrics take one category for each item: integers of any type, whole floats, a column', (t) => {
  for (const [name, metric] of Object.entries(ofCategories)) {
    const wanted = measure(metric, tl.tensor(labels));
    t.true(Number.isFinite(wanted[0]), name);
    for (const dtype of ['int64', 'uint8', 'uint32', 'float32', 'float64'] as const) {
      t.deepEqual(measure(metric, tl.tensor(labels).cast(dtype)), wanted, `${name} of ${dtype}`);
    }
    t.deepEqual(measure(metric, tl.tensor(labels, [5, 1])), wanted, `${name} of a column`);
    if (metric[1]) t.deepEqual(measure(metric, tl.tensor(labels), tl.ones([5, 1])), wanted, `${name} by a column`);
    if (metric[1]) t.deepEqual(measure(metric, tl.tensor(labels), tl.tensor([true])), wanted, `${name} by one bool`);
  }
});

test('metrics refuse targets of another shape, also where it would broadcast, and name the one they want', (t) => {
  const shapes = [[], [1], [4], [1, 5], [5, 5], [5, 1, 1]];
  for (const [name, metric] of Object.entries(ofCategories)) {
    for (const shape of shapes) {
      const [code, sentence] = refusal(t, name, metric, tl.zeros(shape).cast('int32'));
      t.is(code, 'ShapeMismatch', `${name} of ${shape}`);
      t.regex(sentence, /targets must have shape \[5\]/, name);
      t.true(sentence.includes(`[${shape.join(', ')}]`), sentence);
    }
    const [code, sentence] = refusal(t, name, metric, tl.oneHot(tl.tensor(labels), 4));
    t.deepEqual(
      [code, /one-hot vectors become categories by argmax/.test(sentence)],
      ['ShapeMismatch', true],
      sentence,
    );
  }
});

test('metrics refuse targets that are no category, and name them', (t) => {
  for (const [name, metric] of Object.entries(ofCategories)) {
    // A classifier of one's own may give any category, so others are wrong, and no more.
    const open = ['Accuracy', 'SequenceAccuracy'].includes(name);
    for (const wrong of [-1, 4, 255]) {
      const target = tl.tensor([3, 0, wrong, 2, 1]);
      if (open) {
        t.true(measure(metric, target)[0] <= measure(metric, tl.tensor(labels))[0], name);
        continue;
      }
      const [code, sentence] = refusal(t, name, metric, target);
      t.is(code, 'IndexOutOfRange', name);
      t.true(sentence.includes(`target ${wrong} is none of the 4 categories, the whole numbers from 0 to 3`), sentence);
    }
    for (const wrong of [0.5, 2.999, NaN, Infinity]) {
      const [code, sentence] = refusal(t, name, metric, asFloats([3, 0, wrong, 2, 1]));
      t.is(code, 'InvalidArgument', name);
      t.regex(sentence, wrong === 0.5 ? /target 0\.5 is/ : /target \S+ is/);
    }
  }
});

test('an item of weight 0 may have any target', (t) => {
  const weight = tl.tensor([1, 1, 0, 1, 1]);
  for (const [name, metric] of Object.entries(ofCategories)) {
    if (!metric[1]) continue;
    const [wanted] = measure(metric, tl.tensor(labels), weight);
    for (const target of [tl.tensor([3, 0, -100, 2, 1]), asFloats([3, 0, NaN, 2, 1]), asFloats([3, 0, 1.5, 2, 1])]) {
      t.is(measure(metric, target, weight)[0], wanted, name);
    }
  }
});

test('weights broadcast to the items, and to nothing larger', (t) => {
  for (const [name, metric] of Object.entries(ofCategories)) {
    if (!metric[1]) continue;
    // As many weights as items: a mean by equal weights is the mean, whatever they are.
    const [all] = measure(metric, tl.tensor(labels));
    for (const weight of [tl.tensor(1), tl.ones([1])]) t.is(measure(metric, tl.tensor(labels), weight)[0], all, name);
    for (const shape of [[4], [2, 5], [5, 5], [1, 5]]) {
      const [code, sentence] = refusal(t, name, metric, tl.tensor(labels), tl.ones(shape));
      t.is(code, 'ShapeMismatch', `${name} by ${shape}`);
      t.regex(sentence, /weights must have shape \[5\], one for each item, or broadcast to it/);
    }
  }
  const sequences = [
    tl.random.normal([0, 1], [2, 3, 4]),
    tl.tensor([
      [0, 1, 2],
      [3, 3, 3],
    ]),
  ] as const;
  const byExample = tl
    .WeightedCategoryCrossEntropy()([...sequences, tl.tensor([[1], [3]])])
    .item();
  const byItem = tl
    .WeightedCategoryCrossEntropy()([
      ...sequences,
      tl.tensor([
        [1, 1, 1],
        [3, 3, 3],
      ]),
    ])
    .item();
  t.is(byExample, byItem);
});

test('weights that sum to zero make NaN of a mean', (t) => {
  const means: readonly (() => tl.Layer)[] = [
    tl.WeightedCategoryAccuracy,
    tl.WeightedCategoryCrossEntropy,
    tl.Accuracy,
    tl.CrossEntropyLoss,
    tl.BitsPerByte,
    () => tl.TopKAccuracy(1, { weighted: true }),
    () => tl.Perplexity({ weighted: true }),
  ];
  for (const make of means) {
    t.is(measure([make, true], tl.tensor(labels), tl.zeros([5]))[0], NaN);
  }
});

test('items of an ignored label do not count', (t) => {
  const [logits, target] = [tl.random.normal([0, 3], [5, 4]), tl.tensor([3, -100, 1, -100, 1])];
  const kept = [logits.take(tl.tensor([0, 2, 4]), { axis: 0 }), tl.tensor([3, 1, 1])] as const;
  const [weight, few] = [tl.tensor([1, 2, 3, 4, 5]), tl.tensor([1, 3, 5])];
  const options = { ignoreLabel: -100 };
  close(
    t,
    tl.CategoryAccuracy(options)([logits, target]),
    tl
      .CategoryAccuracy()([...kept])
      .item(),
  );
  close(
    t,
    tl.WeightedCategoryAccuracy(options)([logits, target, weight]),
    tl
      .WeightedCategoryAccuracy()([...kept, few])
      .item(),
  );
  for (const labelSmoothing of [null, 0.3]) {
    const [own, plain] = [
      tl.CategoryCrossEntropy({ labelSmoothing, ...options }),
      tl.CategoryCrossEntropy({ labelSmoothing }),
    ];
    close(t, own([logits, target]), plain([...kept]).item());
    const [g] = [tl.grad((x: tl.Tensor) => own([x, target]))(logits)];
    const wanted = tl.grad((x: tl.Tensor) => plain([x, kept[1]]))(kept[0]);
    close(t, g.take(tl.tensor([0, 2, 4]), { axis: 0 }), wanted.array());
    t.is(
      g
        .take(tl.tensor([1, 3]), { axis: 0 })
        .abs()
        .max()
        .item(),
      0,
    );
    const weighted = [
      tl.WeightedCategoryCrossEntropy({ labelSmoothing, ...options }),
      tl.WeightedCategoryCrossEntropy({ labelSmoothing }),
    ] as const;
    close(t, weighted[0]([logits, target, weight]), weighted[1]([...kept, few]).item());
  }
  // A category may be ignored too; then NaN of its scores is no harm, and nothing is left of a batch that has no other.
  const padded = [tl.concat([logits, tl.full([1, 4], NaN)]), tl.tensor([3, 2, 1, 2, 1, 0])];
  t.true(Number.isFinite(tl.CategoryCrossEntropy({ ignoreLabel: 0 })(padded).item()));
  t.is(
    tl
      .CategoryAccuracy({ ignoreLabel: 0 })([logits, tl.zeros([5]).cast('int32')])
      .item(),
    NaN,
  );
  t.throws(() => tl.CategoryAccuracy(options)([logits, tl.tensor([3, -1, 1, 1, 1])]), {
    message: /target -1 is none of the 4 categories/,
  });
  t.throws(() => tl.CategoryAccuracy({ ignoreLabel: 0.5 }), {
    message: /`ignoreLabel` must be a whole number, got 0.5/,
  });
});

test('binary metrics: targets of one shape with what predicts them, from 0 to 1', (t) => {
  const [x, y] = [asFloats([1.5, -2, 0.25]), tl.tensor([1, 0, 1])];
  const wanted = tl.BinaryCrossEntropy()([x, y]).item();
  for (const inputs of [
    [x.reshape([3, 1]), y],
    [x, y.reshape([3, 1])],
    [x, y.cast('bool')],
    [x, y.cast('float64')],
  ]) {
    t.true(Math.abs(tl.BinaryCrossEntropy()(inputs).item() - wanted) < 1e-6);
  }
  const code = (make: () => tl.Layer, ...inputs: tl.Tensor[]): string | undefined =>
    t.throws(() => make()(inputs), { instanceOf: tl.LayerError })?.code;
  for (const shape of [[], [1], [1, 3], [3, 3], [2]])
    t.is(code(tl.BinaryCrossEntropy, x, tl.zeros(shape)), 'ShapeMismatch', `${shape}`);
  const q = x.sigmoid();
  for (const wrong of [-1, 2, 1.001, NaN]) {
    const targets = asFloats([1, wrong, 0]);
    t.is(code(tl.BinaryCrossEntropy, x, targets), 'InvalidArgument', `${wrong}`);
    t.is(code(tl.BinaryCrossEntropySum, q, targets, tl.ones([3])), 'InvalidArgument');
    t.is(code(tl.BinaryCrossEntropyLoss, q, targets, tl.ones([3])), 'InvalidArgument');
  }
  const left = tl
    .BinaryCrossEntropyLoss()([q, tl.tensor([1, -1, 1]), tl.tensor([1, 0, 1])])
    .item();
  t.is(
    left,
    tl
      .BinaryCrossEntropyLoss()([q, y, tl.tensor([1, 0, 1])])
      .item(),
  );
  t.throws(() => tl.BinaryCrossEntropy()([x, tl.tensor([0, 1, 2])]), {
    message: /a binary target must be 0, 1 or a share between them, got 2/,
  });
  t.is(code(tl.BinaryCrossEntropyLoss, q, y, tl.ones([3, 3])), 'ShapeMismatch');
  t.is(code(tl.WeightedSum, tl.ones([4, 1]), tl.ones([4])), 'ShapeMismatch');
  t.is(
    tl
      .WeightedSum()([tl.ones([4, 2]), tl.tensor([1, 2])])
      .item(),
    12,
  );
});

/** The signature that comes of something, or the code of its error. */
function attempt(f: () => tl.Signature): tl.Signature | string {
  try {
    return f();
  } catch (error) {
    return instanceOf(tl.LayerError, error).code;
  }
}

test('what a metric declares of inputs it also takes, and what it takes it declares', (t) => {
  const shapes = [[], [1], [3], [2, 3], [2, 1], [2, 3, 1], [2, 3, 4], [2, 3, 0], [0, 3], [2, 0], [2, 0, 3]];
  const all = {
    ...ofCategories,
    BinaryCrossEntropy: [tl.BinaryCrossEntropy, false],
    BinaryCrossEntropyLoss: [tl.BinaryCrossEntropyLoss, true],
    BinaryCrossEntropySum: [tl.BinaryCrossEntropySum, true],
    L2Loss: [tl.L2Loss, true],
    MeanSquaredError: [tl.MeanSquaredError, false],
    MeanAbsoluteError: [tl.MeanAbsoluteError, false],
    MaskedMean: [tl.MaskedMean, false],
    SmoothL1Loss: [tl.SmoothL1Loss, true],
    WeightedSum: [tl.WeightedSum, false],
  } as const;
  for (const [name, [make, weighted]] of Object.entries(all)) {
    let taken = 0;
    for (const x of shapes)
      for (const y of shapes)
        for (const w of weighted ? shapes : [[]])
          for (const dtype of ['int32', 'bool', 'float32'] as const) {
            const inputs = [tl.ones(x), tl.zeros(y).cast(dtype), ...(weighted ? [tl.ones(w).cast(dtype)] : [])];
            tl.tidy(() => {
              const layer = make();
              const declared = attempt(() => layer.outputSignature(tl.signature(inputs)));
              const given = attempt(() => tl.signature(layer(inputs)));
              taken += typeof given === 'object' ? 1 : 0;
              const what = `${name} of ${JSON.stringify([x, y, w, dtype])}: ${JSON.stringify([declared, given])}`;
              if (typeof declared === 'string' || typeof given === 'string') t.is(typeof declared, typeof given, what);
              else t.deepEqual(declared, given, what);
              t.not(given, 'Internal', what);
            });
          }
    t.true(taken > 0, name);
  }
});
