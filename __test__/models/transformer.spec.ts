/** TransformerLM beside Trax's own: printed form, initial weights, outputs in every mode. */
import test from 'ava';
import * as tl from '../../src/index.js';
import cases from './transformer.golden.json';

interface Case {
  readonly id: string;
  readonly vocabSize: number;
  readonly options: tl.models.TransformerLMOptions;
  readonly text: string;
  readonly signature: tl.Signature;
  readonly tolerance: { readonly rtol: number; readonly atol: number };
  readonly initKey: [number, number];
  readonly weights: readonly { readonly shape: readonly number[]; readonly sumAbs: number; readonly sumSquares: number }[];
  readonly steps: readonly {
    readonly key: [number, number];
    readonly inputs: { readonly shape: number[]; readonly values: number[] };
    readonly outputs: { readonly shape: number[]; readonly values: number[] };
  }[];
}

const weightsOf = (layer: tl.Layer): tl.Tensor[] => tl.tree.leaves(layer.weights as tl.Tree<tl.Tensor>);

for (const golden of cases as unknown as Case[]) {
  const made = (): tl.Layer => tl.models.TransformerLM(golden.vocabSize, golden.options);

  test(`${golden.id}: printed as Trax prints it`, t => {
    t.is(`${made()}`, golden.text);
  });

  test(`${golden.id}: the same key gives the same weights`, t => {
    const model = made();
    model.init(golden.signature, { rng: golden.initKey });
    const weights = weightsOf(model);
    t.deepEqual(weights.map(w => w.shape), golden.weights.map(w => [...w.shape]));
    weights.forEach((w, i) => {
      const { sumAbs, sumSquares } = golden.weights[i]!;
      const [abs, squares] = [w.abs().sum().item(), w.square().sum().item()];
      t.true(Math.abs(abs - sumAbs) <= 1e-4 * (1 + sumAbs), `weight ${i}: ${abs}, Trax ${sumAbs}`);
      t.true(Math.abs(squares - sumSquares) <= 1e-4 * (1 + sumSquares), `weight ${i}: ${squares}, Trax ${sumSquares}`);
    });
  });

  test(`${golden.id}: the same outputs`, t => {
    const model = made();
    model.init(golden.signature, { rng: golden.initKey });
    const { rtol, atol } = golden.tolerance;
    golden.steps.forEach(({ key, inputs, outputs }, step) => {
      const y = model(tl.tensor(inputs.values, inputs.shape, { dtype: 'int32' }), { rng: key });
      t.deepEqual(y.shape, outputs.shape);
      const got = y.dataSync() as Float32Array;
      const wrong = outputs.values.filter((want, i) => !(Math.abs(got[i]! - want) <= 10 * atol + 10 * rtol * Math.abs(want)));
      t.is(wrong.length, 0, `step ${step}: ${wrong.length} of ${outputs.values.length} differ`);
    });
  });
}

test('TransformerLM: an activation of the caller', t => {
  t.true(`${tl.models.TransformerLM(11, { nLayers: 1, ffActivation: tl.Tanh })}`.includes('Tanh'));
});

test('TransformerLM: step by step it predicts what it predicts at once', t => {
  const model = tl.models.TransformerLM(13, { dModel: 8, dFf: 16, nLayers: 2, nHeads: 2, maxLen: 16, mode: 'eval' });
  model.init({ shape: [1, 7], dtype: 'int32' }, { rng: tl.random.key(3) });
  const ids = [4, 1, 12, 7, 7, 2, 9];
  const atOnce = model(tl.tensor(ids, [1, ids.length])).array() as number[][][];
  const stepper = model.withMode('predict');
  // At once, inputs are shifted inside; step by step the caller begins with 0.
  [0, ...ids.slice(0, -1)].forEach((id, position) => {
    const [[logits]] = stepper(tl.tensor([id], [1, 1])).array() as [[number[]]];
    logits.forEach((logit, i) => t.true(Math.abs(logit - atOnce[0]![position]![i]!) < 1e-4, `position ${position}, token ${i}`));
  });
});
