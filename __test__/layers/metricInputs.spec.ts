/** What metrics take: categories, weights, labels that are ignored, and what is refused. */
import test, { type ExecutionContext } from 'ava';
import * as tl from '../../src/index.js';
import { instanceOf } from '../support/types.js';
import { close, one } from '../support/values.js';

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
