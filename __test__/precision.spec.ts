/** Trainings in bfloat16: their weights, losses and gradients stay float32. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test from 'ava';
import * as tl from '../src/index.js';
import { tensorOf, wrong } from './support/types.js';
import { values } from './support/values.js';

const STEPS = 100;
const vocabSize = 12;

/** Sequences in which each token follows from the one before it. */
const ids = tl.tensor(
  Array.from({ length: 4 }, (_, i) => Array.from({ length: 16 }, (_, t) => 1 + ((i + 3 * t) % 11))),
);
const inputs = tl.random.normal(tl.random.key(2), [16, 6]);
const outputs = inputs.square().sum({ axis: 1, keepdims: true });

const options = { dModel: 16, dFf: 32, nHeads: 2, nLayers: 2, maxLen: 16, dropout: 0 };
const languageLoss = () => tl.CategoryCrossEntropy();
const models: Record<string, () => [tl.Layer, tl.Tensor[]]> = {
  MLP: () => [tl.Serial(tl.Dense(32), tl.Relu(), tl.Dense(1), tl.MeanSquaredError()), [inputs, outputs]],
  'a network with BatchNorm': () => [
    tl.Serial(tl.Dense(32), tl.BatchNorm({ axis: 0 }), tl.Relu(), tl.Dense(1), tl.MeanSquaredError()),
    [inputs, outputs],
  ],
  LSTM: () => [
    tl.Serial(
      tl.ShiftRight(),
      tl.Embedding(vocabSize, 16),
      tl.Dense(16),
      tl.LSTM(16),
      tl.Dense(vocabSize),
      languageLoss(),
    ),
    [ids, ids],
  ],
  TransformerLM: () => [tl.Serial(tl.models.TransformerLM(vocabSize, options), languageLoss()), [ids, ids]],
  ReformerLM: () => [
    tl.Serial(tl.models.ReformerLM(vocabSize, { ...options, attentionType: tl.SelfAttention }), languageLoss()),
    [ids, ids],
  ],
  'a loss with its output layer': () => [
    tl.Serial(
      tl.ShiftRight(),
      tl.models.TransformerDecoder({ ...options, vocabSize }),
      tl.LinearCrossEntropy(vocabSize),
    ),
    [ids, ids],
  ],
};

type Policy = Pick<tl.TrainerOptions, 'policy' | 'lossScale'>;

function train(name: string, policy: Policy): { trainer: tl.Trainer; losses: number[] } {
  const [model, batch] = models[name]!();
  model.init(tl.signature(batch), { rng: tl.random.key(1) });
  const trainer = new tl.Trainer(model, tl.optimizers.Adam({ learningRate: 1e-2 }), policy);
  const losses = Array.from({ length: STEPS }, (_, step) => trainer.oneStep(batch, [0, step], { step })[0]);
  return { trainer, losses };
}

const last = (losses: number[]): number => losses.slice(-5).reduce((sum, loss) => sum + loss, 0) / 5;

for (const name of Object.keys(models)) {
  test(`${name} trains in bfloat16 as in float32`, (t) => {
    const [plain, narrow] = [train(name, {}), train(name, { policy: 'bfloat16', lossScale: 'dynamic' })];
    const first = plain.losses[0]!;
    t.true(last(plain.losses) < first / 2, `${first} to ${last(plain.losses)}`);
    t.not(narrow.losses[0], first);
    t.true(Math.abs(narrow.losses[0]! - first) < 0.02 * first, `${narrow.losses[0]} and ${first}`);
    // Of the way down, a few per cent may be lost.
    t.true(
      Math.abs(last(narrow.losses) - last(plain.losses)) < 0.03 * first,
      `${last(narrow.losses)}, ${last(plain.losses)}`,
    );
    const leaves = tl.tree.leaves([narrow.trainer.modelWithLoss.weights, narrow.trainer.slots]);
    t.true(leaves.length > 0 && leaves.every((x) => x.dtype === 'float32'));
  });
}

test('a power of two as the scale of the loss changes no bit', (t) => {
  const [plain, scaled] = [train('MLP', {}), train('MLP', { lossScale: 1024 })];
  t.deepEqual(scaled.losses, plain.losses);
});

test('state that is learned stays float32', (t) => {
  const model = tl.Serial(tl.BatchNorm({ axis: [0] }), tl.Dense(8), tl.Relu(), tl.Dense(1), tl.MeanSquaredError());
  model.init(tl.signature([inputs, outputs]), { rng: tl.random.key(1) });
  const before = tl.tree.leaves(model.state).map((x) => x.dtype);
  const trainer = new tl.Trainer(model, tl.optimizers.Adam(), { policy: 'bfloat16' });
  trainer.oneStep([inputs, outputs], [0, 1]);
  t.deepEqual(
    tl.tree.leaves(model.state).map((x) => x.dtype),
    before,
  );
});

test('nonsense is refused', (t) => {
  const model = tl.Serial(tl.Dense(1), tl.MeanSquaredError());
  model.init(tl.signature([inputs, outputs]));
  const make = (o: object) => () => new tl.Trainer(model, tl.optimizers.Adam(), wrong(o));
  t.throws(make({ policy: 'float16' }), { message: /`policy` must be 'float32' or 'bfloat16', got "float16"/ });
  t.throws(make({ lossScale: 0 }), { message: /`lossScale` must be a number above 0, or 'dynamic', got 0/ });
});

test('BatchNorm takes bfloat16 and hands it on, with statistics in float32', (t) => {
  const x = tl.random
    .normal([1, 2], [64, 3])
    .mul(5)
    .add(tl.tensor([100, 0, -3]));
  const [narrow, wide] = [x.cast('bfloat16'), x.cast('bfloat16').cast('float32')];
  const [a, b] = [tl.BatchNorm({ axis: 0, momentum: 0.5 }), tl.BatchNorm({ axis: 0, momentum: 0.5 })];
  a.init(tl.signature(narrow));
  b.init(tl.signature(wide));
  for (const mode of ['train', 'eval'] as const) {
    const [y, want] = [a.withMode(mode)(narrow), b.withMode(mode)(wide)];
    t.is(y.dtype, 'bfloat16', mode);
    t.deepEqual(y.array(), want.cast('bfloat16').array(), mode);
    t.deepEqual(values(a.state), values(b.state), mode);
  }
  t.true(tl.tree.leaves([a.weights, a.state]).every((leaf) => tensorOf(leaf).dtype !== 'bfloat16'));
  t.throws(() => tl.BatchNorm().init({ shape: [2, 2, 2, 2], dtype: 'int32' }), {
    code: 'DTypeMismatch',
    message: /BatchNorm takes floats, got int32/,
  });
});

/** What a step measures, and what it leaves behind. */
function step(trainer: tl.Trainer, i: number): [loss: number, weights: unknown] {
  const [loss] = trainer.oneStep(inputs, [0, i], { step: i });
  return [loss, values(trainer.modelWithLoss.weights)];
}

test('a dynamic scale of the loss is saved, and a run that goes on has the same bits', async (t) => {
  const path = join(mkdtempSync(join(tmpdir(), 'tallow-scale-')), 'run.safetensors');
  t.teardown(() => rmSync(dirname(path), { recursive: true }));
  // Gradients that overflow at the scale which is begun with: how often, depends on where the scale is.
  const huge = tl.Fn('huge', (y: tl.Tensor) => y.square().mean().mul(1e36));
  const begin = (lossScale: number | 'dynamic' = 'dynamic'): tl.Trainer => {
    const model = tl.Serial(tl.Dense(1), huge);
    model.init(tl.signature(inputs), { rng: tl.random.key(1) });
    return new tl.Trainer(model, tl.optimizers.SGD({ learningRate: 1e-37 }), { lossScale });
  };
  const [whole, cut] = [begin(), begin()];
  for (let i = 0; i < 3; i += 1) t.deepEqual(step(cut, i), step(whole, i));
  t.is(cut.updates, 0, 'the scale is on its way down');
  await cut.save(path, 3);
  const again = begin();
  t.is(await again.load(path), 3);
  for (let i = 3; i < 16; i += 1) t.deepEqual(step(again, i), step(whole, i), `step ${i}`);
  t.true(whole.updates > 0 && whole.updates < 13, `${whole.updates}`);
  // A scale that is fixed is the trainer's own, and a trainer that was fixed tells none.
  const fixed = begin(1);
  await fixed.load(path);
  const own = begin(1);
  t.deepEqual(step(fixed, 3), step(own, 3));
  await fixed.save(path, 4);
  await again.load(path);
  const fresh = begin();
  fresh.modelWithLoss.weights = again.modelWithLoss.weights;
  for (let i = 4; i < 16; i += 1) t.deepEqual(step(again, i), step(fresh, i), 'the scale begins anew');
});
