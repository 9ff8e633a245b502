/** LoRA: around layers of a model, trained alone, merged, and in files of its own. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import * as tl from '../../src/index.js';
import { tensorOf, wrong } from '../support/types.js';
import { f32, one, values } from '../support/values.js';

const { withLora, mergeLora, saveLora, loadLora } = tl.training;
const folder = mkdtempSync(join(tmpdir(), 'tallow-lora-'));
test.after.always(() => rmSync(folder, { recursive: true }));

const rng: tl.Key = [3, 1];
const ADAPTERS_ONLY = [{ weights: '!**/*.LoRA*', frozen: true }] as const;
const adam = (): tl.Optimizer => tl.optimizers.AdamW({ learningRate: 0.05, weightDecay: 0.3 });
const loss = (): tl.Layer<tl.Tensor, 1> => tl.Fn('loss', (y: tl.Tensor) => y.sub(3).square().mean());
const batch = (i: number): tl.Tensor => tl.random.normal([9, i], [6, 3]);
function* batches(): Generator<tl.Tensor> {
  for (let i = 0; ; i += 1) yield batch(i);
}

function model(): tl.Layer<tl.Tensor, 1> {
  const layer = tl.Serial(tl.Serial(tl.Dense(5), tl.LayerNorm()), tl.Relu(), tl.Dense(4, { useBias: false }));
  layer.init(f32([6, 3]), { rng: [7, 7] });
  return layer;
}

/** Trains what LoRA adds to a model. */
async function trained(
  adapted: tl.Layer<tl.Tensor, 1>,
  steps = 30,
): Promise<{ losses: readonly number[]; slots: number[] }> {
  const trainer = new tl.Trainer(tl.Serial(adapted, loss()), adam(), { groups: ADAPTERS_ONLY });
  const { losses } = await trainer.fit(batches(), { steps, rng });
  return { losses, slots: trainer.slots.map((slots) => slots.length) };
}

/** Asserts that the largest difference is within a millionth of the largest value. */
function near(t: ExecutionContext, got: tl.Tensor, want: tl.Tensor): void {
  const most = 1e-6 * Math.max(1, want.abs().max().item());
  const difference = got.sub(want).abs().max().item();
  t.true(difference <= most, `${difference} is more than ${most}`);
}

test('LoRA is the layer at first, and then the sum of the formula', (t) => {
  const dense = tl.Dense(4);
  const layer = tl.LoRA(dense, { rank: 2, alpha: 6 });
  layer.init(f32([5, 3]), { rng });
  t.deepEqual(layer.weightNames, ['0.Dense_4/0', '0.Dense_4/1', '2.LoRADown', '3.LoRAUp']);
  const x = batch(1);
  t.deepEqual(values(layer(x)), values(dense(x)), 'b begins with zeros');
  const [, , down, up] = layer.sublayers;
  const [a, b] = [tl.random.normal([1, 1], [3, 2]), tl.random.normal([2, 2], [2, 4])];
  [down!.weights, up!.weights] = [a, b];
  near(t, layer(x), dense(x).add(x.matmul(a).matmul(b).mul(3)));
});

test('gradients of all four weights and of the input are those of differences', (t) => {
  const layer = tl.LoRA(tl.Dense(4), { rank: 2, alpha: 3, mode: 'eval' });
  layer.init(f32([5, 3]), { rng });
  layer.sublayers[3]!.weights = tl.random.normal([2, 2], [2, 4]);
  t.true(tl.checkGradients(layer, batch(1)).ok);
});

test('chosen layers are adapted, and what is new is trained alone: the model keeps its bits', async (t) => {
  const plain = model();
  const x = batch(4);
  const [before, own] = [values(plain(x)), values(plain.weights)];
  const adapted = withLora(plain, ['**/0.Dense_5/*', '2.*'], { rank: 2, dropout: 0.1, rng });
  t.deepEqual(adapted.weightNames, [
    '0.Serial/0.LoRA_2_8/0.Dense_5/0',
    '0.Serial/0.LoRA_2_8/0.Dense_5/1',
    '0.Serial/0.LoRA_2_8/2.LoRADown',
    '0.Serial/0.LoRA_2_8/3.LoRAUp',
    '0.Serial/1.LayerNorm/0',
    '0.Serial/1.LayerNorm/1',
    '2.LoRA_2_8/0.Dense_4',
    '2.LoRA_2_8/2.LoRADown',
    '2.LoRA_2_8/3.LoRAUp',
  ]);
  const evaluated = adapted.withMode('eval');
  t.deepEqual(values(evaluated(x)), before);
  const { losses, slots } = await trained(adapted);
  t.true(losses.at(-1)! < losses[0]! / 2, `from ${losses[0]} to ${losses.at(-1)}`);
  t.deepEqual(slots, [0, 0, 2, 2, 0, 0, 0, 2, 2]);
  t.deepEqual(values(plain.weights), own);
  t.deepEqual(values(plain(x)), before);
  t.notDeepEqual(values(evaluated(x)), before);
});

test('merging gives a plain model with the same outputs, and leaves both others as they are', async (t) => {
  const plain = model();
  const adapted = withLora(plain, '**', { rank: 3, alpha: 5, rng });
  await trained(adapted);
  const [x, own, learned] = [batch(4), values(plain.weights), values(adapted.weights)];
  const merged = mergeLora(adapted);
  t.deepEqual(merged.weightNames, plain.weightNames);
  near(t, merged(x), adapted(x));
  t.true(merged(x).sub(plain(x)).abs().max().item() > 0.1);
  t.deepEqual([values(plain.weights), values(adapted.weights)], [own, learned]);
  near(t, mergeLora(adapted)(x), adapted(x));
  merged.saveToFile(join(folder, 'merged.safetensors'));
  const again = model();
  again.initFromFile(join(folder, 'merged.safetensors'));
  t.deepEqual(values(again(x)), values(merged(x)), 'its file is one of the plain model');
  t.throws(() => mergeLora(merged), { code: 'InvalidArgument', message: /it was merged already, or never adapted/ });
  t.throws(() => mergeLora(plain), { code: 'InvalidArgument' });
  t.throws(() => mergeLora(tl.LoRA(tl.Dense(2))), { code: 'NotInitialized', message: /call init\(signature\) first/ });
});

test('what LoRA adds is saved and loaded apart', async (t) => {
  const path = join(folder, 'task.safetensors');
  const adapt = (options: Partial<tl.training.WithLoraOptions> = {}, weights = '**') =>
    withLora(model(), weights, { rank: 2, rng: [8, 8], ...options });
  const first = withLora(model(), '**', { rank: 2, rng });
  await trained(first);
  saveLora(first, path);
  t.deepEqual(Object.keys(tl.loadSafetensors(path)).toSorted(), [
    'weights/0.Serial/0.LoRA_2_8/2.LoRADown',
    'weights/0.Serial/0.LoRA_2_8/3.LoRAUp',
    'weights/2.LoRA_2_8/2.LoRADown',
    'weights/2.LoRA_2_8/3.LoRAUp',
  ]);
  const second = adapt();
  const x = batch(5);
  t.notDeepEqual(values(second(x)), values(first(x)));
  loadLora(second, path);
  t.deepEqual(values(second(x)), values(first(x)));
  const refused = (layer: tl.Layer, message: RegExp): void => {
    const before = values(layer.weights);
    t.throws(() => loadLora(layer, path), { code: 'WeightsMismatch', message });
    t.deepEqual(values(layer.weights), before);
  };
  refused(adapt({ alpha: 16 }), /the file has no tensor weights\/0\.Serial\/0\.LoRA_2_16\/2\.LoRADown/);
  refused(adapt({ rank: 1 }), /LoRA_1_8/);
  refused(
    adapt({}, '2.*'),
    /the file has a tensor weights\/0\.Serial\/0\.LoRA_2_8\/2\.LoRADown that the model has not/,
  );
  model().saveToFile(join(folder, 'model.safetensors'));
  t.throws(() => loadLora(second, join(folder, 'model.safetensors')), { code: 'WeightsMismatch' });
  for (const f of [saveLora, loadLora]) {
    t.throws(() => f(model(), path), { code: 'InvalidArgument', message: /there is no LoRA in Serial/ });
    t.throws(() => f(tl.Dense(1), path), { code: 'NotInitialized' });
    t.throws(() => f(wrong(5), path), { instanceOf: TypeError });
  }
  const bytes = readFileSync(path);
  bytes[bytes.length - 1]! ^= 1;
  writeFileSync(path, bytes);
  const kept = values(second.weights);
  t.throws(() => loadLora(second, path), { code: 'Io' });
  t.throws(() => loadLora(second, join(folder, 'nothing')), { code: 'Io' });
  t.deepEqual(values(second.weights), kept);
});

test('what cannot be adapted is refused', (t) => {
  const plain = model();
  const option = (f: () => unknown, message: RegExp): unknown => t.throws(f, { code: 'InvalidOption', message });
  option(() => withLora(plain, '9.*', { rng }), /no weight matches the pattern '9\.\*'; the nearest are/);
  option(
    () => withLora(plain, ['**', '**/*LayerNorm/*'], { rng, rank: 2 }),
    /matches 0\.Serial\/1\.LayerNorm\/0, but no weight of a Dense/,
  );
  option(() => withLora(plain, [], { rng }), /at least one pattern/);
  option(() => withLora(plain, '**', { rng }), /withLora: Dense_5: `rank` 8 is larger than .* \[3,5\]; give at most 3/);
  option(() => withLora(plain, '**', { rng, rank: 0 }), /`rank` must be a whole number/);
  option(() => withLora(plain, '**', { rng, alpha: -1 }), /`alpha` must be/);
  option(() => withLora(plain, '**', wrong({ rng, rnk: 2 })), /`rnk`/);
  t.throws(() => withLora(plain, '**', wrong({ rank: 2 })), { message: /rng|key/i });
  t.throws(() => withLora(tl.Dense(2), '**', { rng }), {
    code: 'NotInitialized',
    message: /call init\(signature\) first/,
  });
  t.throws(() => withLora(wrong(5), '**', { rng }), { instanceOf: TypeError });
  t.throws(() => withLora(plain, wrong(5), { rng }), { instanceOf: TypeError });
  const adapted = withLora(plain, '2.*', { rng, rank: 2 });
  option(() => withLora(adapted, '2.*/**', { rng, rank: 2 }), /not adapted yet/);
  option(() => tl.LoRA(tl.Embedding(4, 2)), /`layer` must be a Dense layer, got Embedding_4_2/);
  option(() => tl.LoRA(plain), /`layer` must be a Dense layer, got Serial/);
  option(() => tl.LoRA(tl.Dense(2), { rank: 0 }), /`rank` must be a whole number/);
  t.throws(() => tl.LoRA(tl.Dense(2), { rank: 3 }).init(f32([4, 5])), {
    code: 'InvalidOption',
    message: /`rank` 3 is larger than that of any matrix of shape \[5,2\]; give at most 2/,
  });
});

test('a shared layer is adapted once, in all its places', async (t) => {
  const shared = tl.Dense(3);
  const plain = tl.Serial(shared, tl.Tanh(), shared);
  plain.init(f32([6, 3]), { rng });
  const adapted = withLora(plain, '0.*/*', { rank: 2, rng });
  const [first, , last] = adapted.sublayers;
  t.is(first, last);
  t.is(adapted.weightNames.length, 4);
  await trained(adapted, 5);
  const merged = mergeLora(adapted);
  t.is(merged.sublayers[0], merged.sublayers[2]);
  near(t, merged(batch(2)), adapted(batch(2)));
});

/** A class whose method calls the layers in its fields. */
class Block extends tl.Layer<tl.Tensor, 1> {
  readonly dense = tl.Dense(3);
  readonly body = tl.Serial(tl.Dense(4), tl.Relu());
  override forward(x: tl.Tensor): tl.Tensor {
    return one(this.dense(this.body(x)));
  }
}

test('layers in the fields of a class are adapted, merged and carried into other modes', async (t) => {
  const plain = new Block();
  plain.init(f32([6, 3]), { rng });
  const x = batch(3);
  const before = values(plain(x));
  const adapted = withLora(plain, '**', { rank: 2, rng });
  t.deepEqual(values(adapted(x)), before);
  const { losses } = await trained(adapted);
  t.true(losses.at(-1)! < losses[0]! / 2, `from ${losses[0]} to ${losses.at(-1)}`);
  t.deepEqual(values(plain(x)), before);
  t.notDeepEqual(values(adapted(x)), before);
  t.deepEqual(values(adapted.withMode('eval')(x)), values(adapted(x)));
  near(t, mergeLora(adapted)(x), adapted(x));
});

const options = { dModel: 8, dFf: 16, nLayers: 2, nHeads: 2, maxLen: 16, dropout: 0.1 };
const ids = tl.tensor([
  [5, 3, 9, 1, 7, 2],
  [4, 4, 8, 6, 2, 9],
]);

for (const [name, language] of [
  ['TransformerLM', () => tl.models.TransformerLM(12, options)],
  [
    'ReformerLM',
    () =>
      tl.models.ReformerLM(12, { ...options, attentionType: tl.SelfAttention, dAttentionKey: 4, dAttentionValue: 4 }),
  ],
] as const) {
  test(`a ${name} is adapted in all modes`, async (t) => {
    const plain = language();
    plain.init(tl.signature(ids), { rng });
    const atFirst = values(plain.withMode('eval')(ids));
    const adapted = withLora(plain, '**/*Dense*/*', { rank: 2, dropout: 0.2, rng });
    t.deepEqual(values(adapted.withMode('eval')(ids)), atFirst);
    const own = values(plain.weights);
    const trainer = new tl.Trainer(tl.Serial(adapted, tl.CategoryCrossEntropy()), adam(), { groups: ADAPTERS_ONLY });
    const { losses } = await trainer.fit(
      Array.from({ length: 30 }, () => [ids, ids]).map((b) => b.map((x) => x.reshape(x.shape))),
      {
        steps: 30,
        rng,
      },
    );
    t.true(losses.at(-1)! < losses[0]!, `from ${losses[0]} to ${losses.at(-1)}`);
    t.deepEqual(values(plain.weights), own);
    const merged = mergeLora(adapted).withMode('eval');
    const atOnce = one(adapted.withMode('eval')(ids));
    near(t, one(merged(ids)), atOnce);
    t.notDeepEqual(values(atOnce), atFirst);
    // Position by position, as where text is made.
    const predict = adapted.withMode('predict');
    const shifted = tl.concat([tl.zeros([2, 1], { dtype: 'int32' }), ids.slice([0, 0], [2, 5])], { axis: 1 });
    const steps = Array.from({ length: 6 }, (_, i) => one(predict(shifted.slice([0, i], [2, i + 1]))));
    const together = tl.concat(steps, { axis: 1 });
    const difference = together.sub(atOnce).abs().max().item();
    t.true(difference < 1e-4, `${difference}`);
  });
}

test('LoRA is trained in bfloat16, with float32 weights', (t) => {
  const adapted = withLora(model(), '**', { rank: 2, rng });
  const trainer = new tl.Trainer(tl.Serial(adapted, loss()), adam(), { groups: ADAPTERS_ONLY, policy: 'bfloat16' });
  const losses = Array.from({ length: 30 }, (_, step) => trainer.oneStep(batch(0), [0, step], { step })[0]);
  t.true(losses.at(-1)! < losses[0]! / 2, `from ${losses[0]} to ${losses.at(-1)}`);
  t.true(tl.tree.leaves(adapted.weights).every((w) => tensorOf(w).dtype === 'float32'));
});
