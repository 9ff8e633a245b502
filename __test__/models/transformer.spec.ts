/** The Transformers and MLP, beyond what Trax's numbers tell. */
import test from 'ava';
import * as tl from '../../src/index.js';
import { treesOf } from '../support/types.js';
import { several } from '../support/values.js';

const sizes = { dModel: 8, dFf: 16, nHeads: 2, maxLen: 16 };
const key = tl.random.key(3);
const ids = tl.tensor([
  [4, 1, 12, 7, 7, 2, 9],
  [5, 0, 3, 3, 1, 8, 6],
]);

const far = (a: tl.Tensor, b: tl.Tensor): number => a.sub(b).abs().max().item();
/** What a model in mode 'predict' says of positions that come one by one. */
const stepwise = (step: (x: tl.Tensor) => tl.Tensor, x: tl.Tensor): tl.Tensor =>
  tl.concat(
    Array.from({ length: x.shape[1]! }, (_, i) => step(x.slice([0, i], [null, i + 1]))),
    1,
  );
/** What a model that shifts its inputs is given, shifted already. */
const shifted = (x: tl.Tensor): tl.Tensor =>
  x
    .pad([
      [0, 0],
      [1, 0],
    ])
    .slice([0, 0], [null, -1]);

test('an activation of the caller', (t) => {
  for (const model of [
    tl.models.TransformerLM(11, { nLayers: 1, ffActivation: tl.Tanh }),
    tl.models.TransformerEncoder(11, { nLayers: 1, ffActivation: tl.Tanh }),
    tl.models.TransformerDecoder({ nLayers: 1, ffActivation: tl.Tanh }),
    tl.models.Transformer(11, { nEncoderLayers: 1, nDecoderLayers: 0, ffActivation: tl.Tanh }),
    tl.models.MLP({ activationFn: tl.Tanh }),
  ]) {
    t.regex(`${model}`, /\bTanh\b/);
    t.notRegex(`${model}`, /\bRelu\b/);
  }
});

test('TransformerLM and TransformerDecoder: step by step they compute what they compute at once', (t) => {
  const lm = tl.models.TransformerLM(13, { ...sizes, nLayers: 2, mode: 'eval' });
  const decoder = tl.models.TransformerDecoder({ ...sizes, vocabSize: 13, nLayers: 2, mode: 'eval' });
  for (const [model, x] of [
    [lm, shifted(ids)],
    [decoder, ids],
  ] as const) {
    model.init(tl.signature(ids), { rng: key });
    t.true(far(stepwise(model.withMode('predict'), x), model(ids)) < 1e-4, model.name);
  }
});

test('TransformerDecoder without a vocabulary takes vectors', (t) => {
  const decoder = tl.models.TransformerDecoder({ ...sizes, nLayers: 1, mode: 'eval' });
  const x = tl.random.normal(key, [2, 5, 3]);
  decoder.init(tl.signature(x), { rng: key });
  const y = decoder(x);
  t.deepEqual(y.shape, [2, 5, 8]);
  // Position 3 of the output rests on position 3 of the input, position 2 does not.
  const moved = decoder(
    tl.concat([x.slice([0, 0, 0], [null, 3, null]), x.slice([0, 3, 0], [null, null, null]).neg()], 1),
  )
    .sub(y)
    .abs()
    .max({ axis: [0, 2] });
  const [, , before, at] = moved.array() as number[];
  t.is(before, 0);
  t.true(at! > 1e-3);
});

test('TransformerEncoder: vectors of tokens do not depend on the padding behind them', (t) => {
  const model = tl.models.TransformerEncoder(13, { ...sizes, nLayers: 2, nClasses: 3, mode: 'eval' });
  model.init(tl.signature(ids), { rng: key });
  t.deepEqual(model(ids).shape, [2, 3]);
  const blocks = tl.Serial(model.sublayers.slice(0, -4));
  const padded = tl.concat([ids, tl.zeros([2, 2], { dtype: 'int32' })], 1);
  const [short, long] = [ids, padded].map((x) => several(blocks(x))[0]!);
  t.true(far(short!, long!.slice([0, 0, 0], [null, 7, null])) < 1e-5);
});

test('Transformer: step by step it predicts what it predicts at once, and encodes the source once', (t) => {
  const options = { ...sizes, nEncoderLayers: 2, nDecoderLayers: 2 };
  const model = tl.models.Transformer(13, { ...options, mode: 'eval' });
  const source = tl.tensor([
    [3, 4, 5, 0],
    [6, 7, 8, 9],
  ]);
  const [weights] = model.init(
    [source, ids].map((x) => tl.signature(x)),
    { rng: key },
  );
  const [atOnce, target] = model([source, ids]);
  t.deepEqual(target.array(), ids.array());

  const predict = tl.models.Transformer(13, { ...options, mode: 'predict' });
  const leaves = tl.tree.leaves(weights);
  const first = ids.slice([0, 0], [null, 1]);
  const [like] = predict.init(
    [source, first].map((x) => tl.signature(x)),
    { rng: key },
  );
  let next = 0;
  predict.weights = tl.tree.map<tl.Tensor, tl.Tensor>(() => leaves[next++]!, like);
  t.is(next, leaves.length);
  let read = source;
  const steps = stepwise((x) => {
    const [y] = predict([read, x]);
    read = tl.zerosLike(source);
    return y!;
  }, shifted(ids));
  t.true(far(steps, atOnce!) < 1e-4);
});

test('Transformer: a copy in predict mode is the model made in it', (t) => {
  const source = tl.tensor([
    [3, 4, 5, 0],
    [6, 7, 8, 9],
  ]);
  for (const outputVocabSize of [null, 9]) {
    for (const mode of ['train', 'eval'] as const) {
      const model = tl.models.Transformer(13, {
        ...sizes,
        nEncoderLayers: 1,
        nDecoderLayers: 1,
        dropout: 0,
        outputVocabSize,
        mode,
      });
      const targets = ids.minimum(8);
      model.init(
        [source, targets].map((x) => tl.signature(x)),
        { rng: key },
      );
      const [atOnce] = model([source, targets]);
      const predict = model.withMode('predict');
      const steps = (): tl.Tensor => stepwise((x) => predict([source, x])[0]!, shifted(targets));
      t.true(far(steps(), atOnce!) < 1e-4, mode);
      const made = tl.models.Transformer(13, {
        ...sizes,
        nEncoderLayers: 1,
        nDecoderLayers: 1,
        outputVocabSize,
        mode: 'predict',
      });
      t.is(`${predict}`, `${made}`);
      t.is(`${predict.withMode(mode)}`, `${model}`);
      t.deepEqual(predict.withMode('eval')([source, targets])[0]!.array(), atOnce!.array());
    }
  }
});

test('Transformer in predict mode, initialized again, reads the new source', (t) => {
  const model = tl.models.Transformer(13, { ...sizes, nEncoderLayers: 1, nDecoderLayers: 1, mode: 'predict' });
  const [one, two] = [tl.full([1, 3], 2, { dtype: 'int32' }), tl.tensor([[7, 1, 9]])];
  const begin = (source: tl.Tensor): tl.Tensor => {
    model.init(
      [source, [[0]]].map((x) => tl.signature(x)),
      { rng: key },
    );
    const step = (): tl.Tensor => model([source, [[0]]])[0]!;
    return tl.concat([step(), step()], 1);
  };
  const [a, b] = [begin(one), begin(two)];
  t.true(far(a, b) > 1e-3);
  t.is(far(begin(one), a), 0);
  // Another number of sources than those that are under way.
  t.throws(() => model([tl.concat([one, two], 0), [[0], [0]]]), {
    code: 'ShapeMismatch',
    message: /Cache.*2 sequences.*1/,
  });
});

test('TransformerEncoder takes whole sequences in every mode', (t) => {
  const model = tl.models.TransformerEncoder(13, { ...sizes, nLayers: 1, mode: 'eval' });
  model.init(tl.signature(ids), { rng: key });
  const predict = model.withMode('predict');
  for (let call = 0; call < 2; call++) t.is(far(predict(ids), model(ids)), 0);
  t.is(far(predict.withMode('eval')(ids), model(ids)), 0);
  t.is(`${predict}`, `${model}`);
});

test('MLP: widths, the last activation, inputs of any rank', (t) => {
  const x = tl.ones([2, 3, 4]);
  const shape = (options: tl.models.MLPOptions): number[] => {
    const model = tl.models.MLP(options);
    model.init(tl.signature(x), { rng: key });
    return model(x).shape;
  };
  t.deepEqual(shape({}), [2, 64]);
  t.deepEqual(shape({ layerWidths: [5], flatten: false }), [2, 3, 5]);
  t.is(
    `${tl.models.MLP({ layerWidths: [5], outActivation: true, flatten: false })}`,
    'Serial[\n  Dense_5\n  Serial[\n    Relu\n  ]\n]',
  );
});

test('packed sequences get the logits that each gets alone', (t) => {
  const options = { ...sizes, nLayers: 2, mode: 'eval' } as const;
  const [packed, plain] = [tl.models.PackedTransformerLM(13, options), tl.models.TransformerLM(13, options)];
  const segments = tl.tensor([
    [1, 1, 1, 2, 2, 2, 2],
    [5, 5, 7, 7, 7, 0, 0],
  ]);
  packed.init(tl.signature([ids, segments]), { rng: key });
  const weights = treesOf(packed.weights);
  t.deepEqual(tl.tree.leaves(weights.at(-1)!), []);
  plain.init(tl.signature(ids), { rng: key });
  plain.weights = weights.slice(0, -1);
  const together = packed([ids, segments]);
  for (const [row, from, to] of [
    [0, 0, 3],
    [0, 3, 7],
    [1, 0, 2],
    [1, 2, 5],
    [1, 5, 7],
  ] as const) {
    // prettier-ignore
    const part = (x: tl.Tensor) => x.slice([row, from], [row + 1, to]);
    t.true(far(plain(part(ids)), part(together)) < 1e-5, `row ${row} from ${from}`);
  }
});
