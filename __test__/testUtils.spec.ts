/** The checks for users' tests: what holds passes, what does not is told with its values; and the model that says what it is told to. */
import { AssertionError } from 'node:assert';
import test from 'ava';
import * as tl from '../src/index.js';
import { one } from './support/values.js';
import { wrong } from './support/types.js';

const {
  MockTransformerLM,
  testEvalEqualsPredict,
  testEvalEqualsPredictConfigs,
  testEvalEqualsPredictDiscrete,
  testEvalIsDeterministic,
} = tl.testUtils;

const sizes = { dModel: 8, dFf: 12, nLayers: 1, nHeads: 2, maxLen: 16 };
const ids = tl.tensor([
  [4, 1, 3, 7, 7, 2, 9],
  [5, 5, 1, 0, 2, 8, 6],
]);
const lm = (options: tl.models.TransformerLMOptions): tl.Layer => tl.models.TransformerLM(10, { ...sizes, ...options });

/** Adds to what comes in by how much `by` says for the mode. */
const adding =
  (by: (mode: tl.Mode) => number) =>
  ({ mode }: { mode: tl.Mode }): tl.Layer =>
    tl.Fn('Add', (x: tl.Tensor) => x.add(by(mode)));

/** Predicts of shifted tokens what the model says at once: the model of these checks shifts its input inside. */
const unshifted = ({ mode }: { mode: tl.Mode }): tl.Layer =>
  tl.Serial(
    tl.Embedding(10, 8),
    tl.PositionalEncoding({ maxLen: 16, mode }),
    tl.CausalAttention(8, { nHeads: 2, mode }),
    tl.Dense(4),
  );

const translator = ({ mode }: { mode: tl.Mode }): tl.Layer =>
  tl.models.ConfigurableTransformer(10, {
    dModel: 8,
    dFf: 8,
    nHeads: 2,
    nEncoderLayers: 1,
    nDecoderLayers: 1,
    maxLen: 16,
    mode,
  });
const checked = (options: tl.testUtils.EvalEqualsPredictOptions) => (): void =>
  testEvalEqualsPredict(
    tl.ones([2, 4]),
    adding(() => 1),
    options,
  );
const other = ({ mode }: { mode: tl.Mode }): tl.Layer => tl.Serial(tl.Dense(2), mode === 'eval' ? [] : tl.Dense(2));
const added = ({ mode, by }: { mode: tl.Mode; by: number; f: () => tl.Layer }): tl.Layer =>
  adding((m) => (m === 'predict' ? by : 2))({ mode });
const forgets = ({ mode, vocabSize }: { mode: tl.Mode; vocabSize: number }): tl.Layer =>
  tl.models.TransformerLM(vocabSize, { ...sizes, mode: mode === 'predict' ? 'eval' : mode });
const addedInPredict =
  (...bys: number[]) =>
  (): void =>
    testEvalEqualsPredictConfigs(
      tl.ones([2, 5]),
      added,
      bys.map((by) => ({ by, f: tl.Relu })),
      { message: '!' },
    );
const mock = (f: tl.testUtils.SequenceFunction): tl.Layer => MockTransformerLM(f, 'predict', 4);

test('testEvalIsDeterministic: a model with dropout that is off in eval passes', (t) => {
  t.notThrows(() => testEvalIsDeterministic(ids, ({ mode }) => lm({ mode, dropout: 0.4 })));
  t.notThrows(() =>
    testEvalIsDeterministic([ids, ids], ({ mode }) =>
      tl.models.Transformer(10, { dModel: 8, dFf: 8, nHeads: 2, nEncoderLayers: 1, nDecoderLayers: 1, mode }),
    ),
  );
});

test('testEvalIsDeterministic: a model that differs from one time to the next is told with place, values and message', (t) => {
  let calls = 0;
  const model = (): tl.Layer =>
    tl.Fn('Counts', (x: tl.Tensor) => tl.concat([x, x.slice([0], [1]).add((calls += 1))], 0));
  const error = t.throws(() => testEvalIsDeterministic([0.5, 2], model, { message: ' (first)' }), {
    instanceOf: AssertionError,
  });
  t.regex(
    error.message,
    /^testEvalIsDeterministic: output 0 of the second model \(first\) is [\d.]+ at \[2\], expected [\d.]+; 1 of 3 values differ$/u,
  );
  t.deepEqual(
    [(error.actual as number[]).slice(0, 2), (error.expected as number[]).slice(0, 2)],
    [
      [0.5, 2],
      [0.5, 2],
    ],
  );
});

test('testEvalEqualsPredict: causal layers pass along any axis; what differs is told by its positions', (t) => {
  for (const initTokens of [1, 3, 5]) t.notThrows(() => testEvalEqualsPredict(ids, unshifted, { initTokens }));
  t.notThrows(() =>
    testEvalEqualsPredict(
      tl.ones([7, 2]),
      adding(() => 2),
      { seqAxis: 0 },
    ),
  );
  t.notThrows(() =>
    testEvalEqualsPredict(
      tl.ones([2, 7]),
      adding(() => 2),
      { seqAxis: -1 },
    ),
  );
  const error = t.throws(
    () =>
      testEvalEqualsPredict(
        tl.ones([2, 6]),
        adding((mode) => (mode === 'eval' ? 1 : 1.0001)),
      ),
    { instanceOf: AssertionError },
  );
  t.regex(
    error.message,
    /^testEvalEqualsPredict: output 0 for positions 0 to 2 of 6 in mode 'predict' is 2.0001\d* at \[0,0\], expected 2; 6 of 6 values differ$/u,
  );
  // Less than a unit of the fifth digit behind the point is no difference.
  t.notThrows(() =>
    testEvalEqualsPredict(
      tl.ones([2, 6]),
      adding((mode) => (mode === 'eval' ? 1 : 1.00001)),
    ),
  );
});

test('testEvalEqualsPredict: one of several inputs is the sequence', (t) => {
  // Position 0 of the target is what comes before it: zeros, which the model puts there itself in eval.
  const target = tl.zeros([2, 7], { dtype: 'int32' });
  t.notThrows(() => testEvalEqualsPredict([ids.maximum(1), target], translator, { seqTensor: 1 }));
});

test('testEvalEqualsPredict: sequences that are too short, axes that are not there, and models of other weights are refused', (t) => {
  t.throws(checked({}), {
    instanceOf: RangeError,
    message: 'testEvalEqualsPredict: `initTokens` must be from 1 to two less than the length 4, got 3',
  });
  t.throws(checked({ initTokens: 0 }), { instanceOf: RangeError });
  t.throws(checked({ seqAxis: 2 }), { instanceOf: RangeError, message: /there is no axis 2 of input 0/u });
  t.throws(checked(wrong({ initToken: 2 })), { instanceOf: TypeError, message: /unknown option `initToken`/u });
  t.throws(() => testEvalEqualsPredict(tl.ones([1, 6, 2]), other), {
    instanceOf: AssertionError,
    message: /have 2 and 4 weights/u,
  });
});

test('testEvalEqualsPredictConfigs: the configuration that fails is named', (t) => {
  t.notThrows(addedInPredict(2, 2));
  const error = t.throws(addedInPredict(2, 3), { instanceOf: AssertionError });
  t.true(
    error.message.includes(`in mode 'predict' with {"by":3,"f":"Relu"}! is 4 at [0,0], expected 3`),
    error.message,
  );
});

test('testEvalEqualsPredictDiscrete: language models pass; one that forgets does not', (t) => {
  t.notThrows(() =>
    testEvalEqualsPredictDiscrete(({ mode, vocabSize }) => tl.models.TransformerLM(vocabSize, { ...sizes, mode }), {
      vocabSize: 7,
      length: 6,
      batchSize: 2,
    }),
  );
  t.notThrows(() =>
    testEvalEqualsPredictDiscrete(({ mode, vocabSize }) =>
      MockTransformerLM((x) => x.index(-1).add(3).mod(10), mode, vocabSize),
    ),
  );
  t.throws(() => testEvalEqualsPredictDiscrete(forgets), {
    instanceOf: AssertionError,
    message: /what is said of position \d in mode 'predict'/u,
  });
});

/** The tokens that logits are certain of. */
const said = (logits: tl.Tensor): unknown => logits.argmax(-1).array();
const next = (tokens: tl.Tensor): tl.Tensor => tokens.index(-1).add(1).mod(10);

test('MockTransformerLM: predicts one token after another, and remembers those it was given', (t) => {
  const model = MockTransformerLM(next, 'predict', 10);
  t.true(model instanceof tl.Layer);
  t.notThrows(() => model.assertPredictionBuffersEqual(tl.zeros([2, 0])));
  t.deepEqual(said(one(model([[0], [7]]))), [[1], [8]]);
  t.deepEqual(said(one(model([[1], [8]]))), [[2], [9]]);
  model.assertPredictionBuffersEqual([
    [0, 1],
    [7, 8],
  ]);
  const error = t.throws(
    () =>
      model.assertPredictionBuffersEqual([
        [0, 1],
        [7, 7],
      ]),
    { instanceOf: AssertionError },
  );
  t.is(error.message, 'assertPredictionBuffersEqual: the model was given [[0,1],[7,8]], expected [[0,1],[7,7]]');
  // A prompt comes at once; what comes of it is one position.
  t.deepEqual(
    one(
      model([
        [2, 3, 4],
        [9, 0, 1],
      ]),
    ).array(),
    [5, 2].map((token) => [Array.from({ length: 10 }, (_, i) => (i === token ? 1000 : 0))]),
  );
});

test('MockTransformerLM: setting the state rewinds', (t) => {
  const model = new MockTransformerLM((tokens) => Number(tokens.sum().item()) % 6, 'predict', 6);
  model([[1, 2]]);
  const { state } = model;
  t.deepEqual(said(one(model([[2]]))), [[5]]);
  t.deepEqual(said(one(model([[5]]))), [[4]]);
  model.state = state;
  t.deepEqual(said(one(model([[1]]))), [[4]]);
  model.assertPredictionBuffersEqual([[1, 2, 1]]);
});

test('MockTransformerLM: in other modes the input is shifted, and nothing is remembered', (t) => {
  const seen: unknown[] = [];
  const model = MockTransformerLM(
    (tokens) => {
      seen.push(tokens.array());
      return tokens.shape[0]!;
    },
    'eval',
    5,
  );
  const logits = model([[3, 1, 4]]);
  t.deepEqual([one(logits).shape, one(logits).dtype, said(one(logits))], [[1, 3, 5], 'float32', [[1, 2, 3]]]);
  t.deepEqual(seen, [[0], [0, 3], [0, 3, 1]]);
  t.deepEqual(said(one(model([[1]]))), [[1]]);
  t.deepEqual(model.weights, []);
});

test('MockTransformerLM: what is no token is refused', (t) => {
  for (const token of [4, -1, 0.5, NaN]) {
    t.throws(() => mock(() => token)([[1]]), {
      instanceOf: RangeError,
      message: `MockTransformerLM: the function must give a token from 0 to 3, got ${token}`,
    });
  }
  t.throws(() => mock(() => 1)([[0.5]]), {
    instanceOf: TypeError,
    message: /takes tokens \(batch, length\) of whole numbers, got float32\[1,1\]/u,
  });
  t.throws(() => mock(() => 1)([1, 2]), { instanceOf: TypeError });
  const predict = mock(() => 1);
  predict([[1], [2]]);
  t.throws(() => predict([[1]]), { instanceOf: RangeError, message: /was given 2 sequences before, now 1/u });
});

const refusals: readonly [f: () => unknown, message: string][] = [
  [() => testEvalIsDeterministic(ids, wrong(3)), 'testEvalIsDeterministic: modelFn must be a function, got 3'],
  [
    () => testEvalIsDeterministic(ids, unshifted, { message: wrong(1) }),
    'testEvalIsDeterministic: message must be a string, got 1',
  ],
  [
    () =>
      testEvalEqualsPredict(
        ids,
        wrong(() => 'model'),
      ),
    'testEvalEqualsPredict: modelFn must make a layer, got the string "model"',
  ],
  [
    () => testEvalEqualsPredict(ids, unshifted, { seqTensor: wrong('length') }),
    'testEvalEqualsPredict: seqTensor must be a whole number, got the string "length"',
  ],
  [
    () => testEvalEqualsPredict(ids, unshifted, { seqAxis: 0.5 }),
    'testEvalEqualsPredict: seqAxis must be a whole number, got 0.5',
  ],
  [
    () => testEvalEqualsPredictConfigs(ids, unshifted, wrong(null)),
    'testEvalEqualsPredictConfigs: configs must be an array, got null',
  ],
  [
    () => testEvalEqualsPredictDiscrete(wrong({})),
    'testEvalEqualsPredictDiscrete: modelFn must be a function, got an empty object',
  ],
  [() => MockTransformerLM(wrong(1), 'predict', 4), 'MockTransformerLM: sequenceFn must be a function, got 1'],
  [
    () => MockTransformerLM(next, wrong('predicts'), 4),
    `MockTransformerLM: mode must be 'train', 'eval', 'predict' or 'viz', got the string "predicts"`,
  ],
  [
    () => mock(wrong(() => [1]))([[1]]),
    'MockTransformerLM: the function must give a number or a tensor of one, got an array',
  ],
];

test('arguments of another kind are refused in words', (t) => {
  for (const [f, message] of refusals) t.throws(f, { instanceOf: TypeError, message });
  t.throws(() => MockTransformerLM(next, 'eval', 0), {
    instanceOf: RangeError,
    message: 'MockTransformerLM: vocabSize must be a whole number of at least 1, got 0',
  });
});
