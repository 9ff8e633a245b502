/** Files that are read or written in part: what fits, what stands below a layer, and weights by the patterns of their names. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import * as tl from '../src/index.js';
import { f32, floats, values } from './support/values.js';
import { instanceOf, treesOf } from './support/types.js';

const folder = mkdtempSync(join(tmpdir(), 'tallow-partial-files-'));
test.after.always(() => rmSync(folder, { recursive: true }));

let count = 0;
const scratch = (): string => join(folder, `${count++}.safetensors`);

const body = (): tl.Layer<tl.Tensor, 1> => tl.Serial(tl.Dense(3), tl.BatchNorm({ axis: [0] }), tl.Dense(4));
const classifier = (classes = 2): tl.Layer<tl.Tensor, 1> => tl.Serial(body(), tl.Dense(classes));
const withLoss = (model: tl.Layer<tl.Tensor, 1>): tl.Layer =>
  tl.Serial(
    model,
    tl.Fn('loss', (x: tl.Tensor) => x.sub(3).square().mean()),
  );

const x = (): tl.Tensor => tl.random.normal([5, 5], [6, 2]);
const made = <L extends tl.Layer>(layer: L, seed: number): L => {
  layer.init(f32([6, 2]), { rng: [seed, seed] });
  return layer;
};
const names = (path: string): string[] => Object.keys(tl.loadSafetensors(path));
const held = (layer: tl.Layer): unknown[] => [values(layer.weights), values(layer.state)];

/** A trainer's file after a few steps. */
async function trained(path: string, classes = 2): Promise<tl.Layer<tl.Tensor, 1>> {
  const model = classifier(classes);
  const trainer = new tl.Trainer(made(withLoss(model), 1), tl.optimizers.Adam());
  for (const step of [0, 1, 2]) trainer.oneStep([x()], [0, step], { step });
  await trainer.save(path, 3, { note: 'kept' });
  return model;
}

test("a trainer's file is read by the model without its loss, made and not made yet", async (t) => {
  const path = scratch();
  const model = await trained(path);
  const bare = made(classifier(), 2);
  bare.initFromFile(path);
  t.deepEqual(held(bare), held(model));
  const fresh = classifier();
  fresh.initFromFile(path, { inputSignature: f32([6, 2]) });
  t.deepEqual(held(fresh), held(model));
  t.deepEqual(values(bare(x())), values(model(x())));
  // A layer by itself, whose own name is nowhere in the names of its tensors.
  const dense = tl.Dense(3);
  made(withLoss(dense), 3).saveToFile(path);
  const alone = made(tl.Dense(3), 4);
  alone.initFromFile(path);
  t.deepEqual(held(alone), held(dense));
  t.throws(() => made(tl.Dense(4), 4).initFromFile(path), {
    code: 'WeightsMismatch',
    message:
      /no tensor weights\/0; was it saved from another model\? There are 3 more differences: .*weights\/0\.Dense_3\/0 is in the file alone/,
  });
  // The same shapes in a layer of another name are other weights.
  made(withLoss(tl.LayerNorm()), 3).saveToFile(path);
  const other = tl.BatchNorm({ axis: [0] });
  t.throws(() => made(other, 4).initFromFile(path, { weightsOnly: true }), { code: 'WeightsMismatch' });
});

test('a file of another model is refused with a list of the differences, and nothing changes', (t) => {
  const path = scratch();
  made(classifier(), 1).saveToFile(path);
  const other = made(
    tl.Serial(tl.Serial(tl.Dense(3), tl.LayerNorm(), tl.Dense(5)), tl.Dense(2), tl.Relu(), tl.Dense(7)),
    2,
  );
  const before = held(other);
  const error = instanceOf(
    tl.LayerError,
    t.throws(() => other.initFromFile(path)),
  );
  t.is(error.code, 'WeightsMismatch');
  t.regex(
    error.message,
    /the file has no tensor weights\/0\.Serial\/1\.LayerNorm\/0, but weights\/0\.Serial\/1\.BatchNorm\/0/,
  );
  t.regex(error.message, /[tT]here are 13 more differences: /);
  t.regex(error.message, /; weights\/3\.Dense_7\/0 is missing in the file; /);
  t.regex(error.message, /and 4 more$/);
  t.deepEqual(held(other), before);
  // All that differs is told, where it is few.
  const wider = made(classifier(3), 2);
  t.throws(() => wider.initFromFile(path), {
    code: 'WeightsMismatch',
    message:
      /no tensor weights\/1\.Dense_3\/0, but weights\/1\.Dense_2\/0: .* is Dense_2 in the file.*; there are 3 more differences: weights\/1\.Dense_3\/1 is missing in the file; weights\/1\.Dense_2\/0 is in the file alone; weights\/1\.Dense_2\/1 is in the file alone$/,
  });
});

test('with strict: false what fits is taken, the rest stays, and the report says which is which', async (t) => {
  const path = scratch();
  const model = await trained(path);
  // Another head, and one layer more.
  const other = made(tl.Serial(body(), tl.Dense(2), tl.Dense(7)), 2);
  const before = treesOf(values(other.weights) as tl.Tree<tl.Tensor>);
  const report = other.initFromFile(path, { strict: false });
  t.deepEqual(report, {
    taken: [
      ...[0, 1].map((i) => `weights/0.Serial/0.Dense_3/${i}`),
      ...[0, 1].map((i) => `weights/0.Serial/1.BatchNorm/${i}`),
      ...[0, 1].map((i) => `weights/0.Serial/2.Dense_4/${i}`),
      ...[0, 1].map((i) => `weights/1.Dense_2/${i}`),
      ...[0, 1, 2].map((i) => `state/0.Serial/1.BatchNorm/${i}`),
    ],
    missing: [0, 1].map((i) => `weights/2.Dense_7/${i}`),
    unused: [],
    mismatched: [],
  });
  const after = treesOf(values(other.weights) as tl.Tree<tl.Tensor>);
  t.deepEqual(after[2], before[2]);
  t.deepEqual(after.slice(0, 2), treesOf(values(model.weights) as tl.Tree<tl.Tensor>));
  t.deepEqual(values(treesOf(other.state)[0]), values(treesOf(model.state)[0]));
});

test('tensors of another shape stay, and those that the model lacks are unused', (t) => {
  const path = scratch();
  const file = made(tl.Serial(tl.Dense(3), tl.BatchNorm({ axis: [0] }), tl.Dense(2)), 1);
  file.saveToFile(path);
  const model = made(tl.Serial(tl.Dense(5), tl.BatchNorm({ axis: [0] })), 2);
  const before = held(model);
  const report = model.initFromFile(path, { strict: false });
  const norm = [0, 1].map((i) => ({
    name: `weights/1.BatchNorm/${i}`,
    file: { shape: [3], dtype: 'float32' },
    model: { shape: [5], dtype: 'float32' },
  }));
  t.deepEqual(report.taken, []);
  t.deepEqual(report.missing, ['weights/0.Dense_5/0', 'weights/0.Dense_5/1']);
  t.deepEqual(report.mismatched.slice(0, 2), norm);
  t.deepEqual(
    report.mismatched.slice(2).map(({ name, file: { shape } }) => [name, shape]),
    [0, 1].map((i) => [`state/1.BatchNorm/${i}`, [1, 3]]),
  );
  t.deepEqual(
    report.unused,
    [0, 2].flatMap((l) => [0, 1].map((i) => `weights/${l}.Dense_${3 - l / 2}/${i}`)),
  );
  t.deepEqual(held(model), before);
  t.deepEqual(model.initFromFile(path, { strict: false, weightsOnly: true }).mismatched, norm);
});

test('a part of a file goes into a layer, and a file into a part of a model', (t) => {
  const [whole, encoder] = [scratch(), scratch()];
  const model = made(classifier(), 1);
  model.saveToFile(whole);
  const alone = made(body(), 2);
  alone.initFromFile(whole, { prefix: '0.Serial' });
  t.deepEqual(held(alone), [values(treesOf(model.weights)[0]), values(treesOf(model.state)[0])]);
  const dense = made(tl.Dense(4), 3);
  dense.init(f32([6, 3]), { rng: [3, 3] });
  dense.initFromFile(whole, { prefix: '0.Serial/2.Dense_4' });
  t.deepEqual(values(dense.weights), values(treesOf(treesOf(model.weights)[0]!)[2]));

  alone.saveToFile(encoder);
  const other = made(classifier(5), 4);
  const head = values(treesOf(other.weights)[1]);
  other.initFromFile(encoder, { into: '0.Serial' });
  t.deepEqual(values(treesOf(other.weights)[0]), values(alone.weights));
  t.deepEqual(values(treesOf(other.weights)[1]), head);
  // Both, in a model that is made now, whose other layers get weights of their own.
  const fresh = classifier(5);
  fresh.rng = [8, 8];
  const report = fresh.initFromFile(whole, {
    prefix: '0.Serial/0.Dense_3',
    into: '0.Serial/0.Dense_3',
    strict: false,
    inputSignature: f32([6, 2]),
  });
  t.deepEqual(report, {
    taken: ['weights/0.Serial/0.Dense_3/0', 'weights/0.Serial/0.Dense_3/1'],
    missing: [],
    unused: [],
    mismatched: [],
  });
  const [own, kept] = [treesOf(treesOf(fresh.weights)[0]!), treesOf(treesOf(model.weights)[0]!)];
  t.deepEqual(values(own[0]), values(kept[0]));
  t.notDeepEqual(values(own[2]), values(kept[2]));
  t.deepEqual(fresh(x()).shape, [6, 5]);
});

test('paths that lead nowhere are refused with the nearest, and names are not asked of a file without', (t) => {
  const path = scratch();
  const model = made(classifier(), 1);
  model.saveToFile(path);
  const before = held(model);
  t.throws(() => model.initFromFile(path, { prefix: '0.Seriel' }), {
    code: 'InvalidOption',
    message: /`prefix` must be the path of a layer in the file, and '0\.Seriel' is none; the nearest are 0\.Serial, /,
  });
  t.throws(() => model.initFromFile(path, { into: '1.Dense_3' }), {
    code: 'InvalidOption',
    message: /`into` must be the path of a layer in Serial, and '1\.Dense_3' is none; the nearest are 1\.Dense_2, /,
  });
  t.throws(() => tl.Dense(2).initFromFile(path, { into: '0.Serial' }), {
    code: 'InvalidOption',
    message: /no sublayers/,
  });
  t.throws(() => classifier().initFromFile(path, { into: '0.Serial' }), { code: 'NotInitialized' });
  t.throws(() => model.initFromFile(path, JSON.parse('{"strict": 1}')), { message: /`strict` must be true or false/ });
  t.throws(() => model.initFromFile(path, JSON.parse('{"strickt": false}')), { message: /unknown option `strickt`/ });
  const trax = join(__dirname, 'checkpoints', 'layer.pkl.gz');
  t.throws(() => model.initFromFile(trax, { strict: false, inputSignature: f32([4, 2]) }), {
    code: 'InvalidOption',
    message: /checkpoints of Trax have no names/,
  });
  t.deepEqual(held(model), before);
});

/** What `layer.pkl.gz` is a checkpoint of. */
const part = (): tl.Layer<tl.Tensor, 1> =>
  tl.Serial(tl.Dense(3), tl.BatchNorm({ axis: [0] }), tl.Dropout({ rate: 0.1 }), tl.Dense(2, { useBfloat16: true }));

test("a checkpoint of Trax goes into a part of a model, in the part's order", (t) => {
  const trax = join(__dirname, 'checkpoints', 'layer.pkl.gz');
  const alone = part();
  alone.initFromFile(trax);
  const model = tl.Serial(part(), tl.Dense(5));
  model.init(f32([4, 2]), { rng: [1, 2] });
  const head = values(treesOf(model.weights)[1]);
  model.initFromFile(trax, { into: '0.Serial' });
  t.deepEqual(values(treesOf(model.weights)[0]), values(alone.weights));
  t.deepEqual(values(treesOf(model.weights)[1]), head);
});

test('weights are saved by patterns of their names, and read again beside the others', (t) => {
  const [path, model] = [scratch(), made(classifier(), 1)];
  model.saveToFile(path, { weights: '**/*Dense_*/0' });
  t.deepEqual(names(path), ['weights/0.Serial/0.Dense_3/0', 'weights/0.Serial/2.Dense_4/0', 'weights/1.Dense_2/0']);
  model.saveToFile(path, { weights: ['1.*/**', '0.Serial/1.BatchNorm/*'] });
  const chosen = ['weights/0.Serial/1.BatchNorm/0', 'weights/0.Serial/1.BatchNorm/1', 'weights/1.Dense_2/0'];
  t.deepEqual(names(path), [...chosen, 'weights/1.Dense_2/1']);
  const other = made(classifier(), 2);
  const { taken, missing, unused } = other.initFromFile(path, { strict: false, weightsOnly: true });
  t.deepEqual([taken, unused], [[...chosen, 'weights/1.Dense_2/1'], []]);
  t.is(missing.length, 4);
  t.deepEqual(values(treesOf(other.weights)[1]), values(treesOf(model.weights)[1]));
  t.throws(() => other.initFromFile(path), { code: 'WeightsMismatch' });
  t.throws(() => model.saveToFile(path, { weights: ['**', '2.Dense_2/*'] }), {
    code: 'InvalidOption',
    message: /saveToFile: `weights`: no weight matches the pattern '2\.Dense_2\/\*'; the nearest are 1\.Dense_2\/0, /,
  });
  t.throws(() => model.saveToFile(path, { weights: [] }), { code: 'InvalidOption', message: /at least one pattern/ });
  t.is(names(path).length, 4);
});

test('shared weights are read once, and a copy in another mode sees them', (t) => {
  const shared = tl.Dense(2);
  const path = scratch();
  const model = made(tl.Serial(shared, tl.Tanh(), shared), 1);
  model.saveToFile(path);
  t.deepEqual(names(path), ['weights/0.Dense_2/0', 'weights/0.Dense_2/1']);
  const again = tl.Dense(2);
  const other = made(tl.Serial(again, tl.Tanh(), again), 2);
  const evaluating = other.withMode('eval');
  const { taken } = other.initFromFile(path, { strict: false });
  t.is(taken.length, 2);
  const input = floats([[1, 2]]);
  t.deepEqual(values(evaluating(input)), values(model(input)));
});
