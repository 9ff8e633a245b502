import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import * as tl from '../../src/index.js';
import { f32 } from '../support/values.js';

function mlp(): tl.Layer<tl.Tensor, 1> {
  const model = tl.Serial(tl.Dense(16), tl.Serial(tl.Softmax(), tl.Dense(4)));
  model.init(f32([8, 5]), { rng: tl.random.key(0) });
  return model;
}

const PATHS = [
  'Serial',
  'Serial/0.Dense_16',
  'Serial/1.Serial',
  'Serial/1.Serial/0.Softmax',
  'Serial/1.Serial/1.Dense_4',
];

interface Event {
  readonly ph: string;
  readonly name: string;
  readonly cat: string;
  readonly ts: number;
  readonly dur: number;
}
const spansOf = (trace: string): Event[] =>
  (JSON.parse(trace) as { traceEvents: Event[] }).traceEvents.filter(({ ph }) => ph === 'X');

// One after another: one profile is taken at a time.
test.serial('a call: each layer once, with what is in it', (t) => {
  const model = mlp();
  const x = tl.ones([8, 5]);
  const { result, rows, complete } = tl.profile(() => model(x));
  t.deepEqual(result.array(), model(x).array());
  t.true(complete);
  t.deepEqual(
    rows.map(({ path, depth, calls }) => [path, depth, calls]),
    PATHS.map((path) => [path, path.split('/').length - 1, 1]),
  );
  t.deepEqual(
    rows.map(({ outputBytes }) => outputBytes),
    [128, 512, 128, 512, 128],
  );
  for (const row of rows) {
    t.true(row.forwardMs >= row.forwardSelfMs && row.forwardSelfMs >= 0, row.path);
    t.is(row.backwardMs, 0);
  }
  t.true(Math.abs(rows[0]!.forwardMs - rows.reduce((sum, row) => sum + row.forwardSelfMs, 0)) < 1e-9);
  t.true(rows[0]!.peakBytes >= 512 + 128);
});

test.serial('gradients: the backward passes of the layers, and what lies outside', (t) => {
  const model = mlp();
  const x = tl.ones([8, 5]);
  const loss = (v: tl.Tensor): tl.Tensor => model(v).sum();
  const taken = tl.profile(() => tl.grad(loss)(x));
  t.deepEqual(taken.result.array(), tl.grad(loss)(x).array());
  t.deepEqual(
    taken.rows.map(({ path }) => path),
    [...PATHS, '(no layer)'],
  );
  const backward = new Map(taken.rows.map((row) => [row.path, row.backwardSelfMs]));
  for (const path of [PATHS[1]!, PATHS[3]!, PATHS[4]!, '(no layer)']) t.true(backward.get(path)! > 0, path);
  t.is(backward.get('Serial'), 0);
  const spans = spansOf(taken.toChromeTrace());
  t.is(spans.filter(({ cat }) => cat === 'forward').length, 5);
  t.true(spans.some(({ name, cat }) => name === 'backward of Dense_4' && cat === 'backward'));
  const file = join(mkdtempSync(join(tmpdir(), 'tallow-profile-')), 'trace.json');
  taken.writeChromeTrace(file);
  t.is(readFileSync(file, 'utf8'), taken.toChromeTrace());
  const table = `${taken}`.split('\n');
  t.regex(table[0]!, /^layer +calls +forward +self +backward +self +output +kept +peak$/);
  t.regex(table[3]!, /^ {2}Dense_16 +1 +[\d.]+ ms/);
  t.is(table.length, 8);
});

test.serial('what is awaited: calls on the compute thread, and the steps of a fit', async (t) => {
  const model = mlp();
  const x = tl.ones([8, 5]);
  const taken = await tl.profile(async () => {
    await model.callAsync(x);
    return model.callAsync(x);
  });
  t.deepEqual(taken.result.array(), model(x).array());
  t.deepEqual(
    taken.rows.map(({ path, calls }) => [path, calls]),
    PATHS.map((path) => [path, 2]),
  );
  const learner = tl.Serial(model, tl.MeanSquaredError());
  learner.init([f32([8, 5]), f32([8, 4])], { rng: tl.random.key(0) });
  const trainer = new tl.Trainer(learner, tl.optimizers.Adam());
  const batches = Array.from({ length: 3 }, () => [tl.ones([8, 5]), tl.zeros([8, 4])]);
  const { rows, result } = await tl.profile(() => trainer.fit(batches, { steps: 3, rng: tl.random.key(1) }));
  t.is(result.steps, 3);
  const dense = rows.find(({ path }) => path === 'Serial/0.Serial/0.Dense_16');
  t.is(dense?.calls, 3);
  t.true(dense!.backwardMs > 0);
});

test.serial('layers of classes stand below them, on either thread', async (t) => {
  class Block extends tl.Layer<tl.Tensor> {
    readonly dense = tl.Dense(4);
    override forward(x: tl.Tensor): tl.Tensor {
      return this.dense(x).relu();
    }
  }
  const model = tl.Serial(new Block(), tl.Softmax());
  model.init(f32([2, 4]), { rng: tl.random.key(0) });
  const paths = ['Serial', 'Serial/0.Block', 'Serial/0.Block/0.Dense_4', 'Serial/1.Softmax'];
  t.deepEqual(
    tl.profile(() => model(tl.ones([2, 4]))).rows.map(({ path }) => path),
    paths,
  );
  const awaited = await tl.profile(() => model.callAsync(tl.ones([2, 4])));
  t.deepEqual(
    awaited.rows.map(({ path }) => path),
    paths,
  );
});

test.serial('a shared layer has a row for each place', (t) => {
  const shared = tl.Dense(3);
  const model = tl.Serial(shared, tl.Softmax(), shared);
  model.init(f32([2, 3]), { rng: tl.random.key(0) });
  t.deepEqual(
    tl.profile(() => model(tl.ones([2, 3]))).rows.map(({ path }) => path),
    ['Serial', 'Serial/0.Dense_3', 'Serial/1.Softmax', 'Serial/2.Dense_3'],
  );
});

test.serial('what throws is thrown, a second profile is refused, and afterwards one can be taken again', async (t) => {
  const model = mlp();
  t.throws(() => tl.profile(() => model(tl.ones([8, 6]))), { instanceOf: tl.LayerError });
  await t.throwsAsync(
    tl.profile(() => model.callAsync(tl.ones([8, 6]))),
    { instanceOf: tl.LayerError },
  );
  const error = t.throws(() => tl.profile(() => tl.profile(() => model(tl.ones([8, 5])))), {
    instanceOf: tl.LayerError,
  });
  t.is(error.code, 'InvalidArgument');
  t.regex(error.message, /a profile is being taken/);
  t.is(tl.profile(() => model(tl.ones([8, 5]))).rows.length, 5);
  t.deepEqual(tl.profile(() => 5).rows, []);
  // @ts-expect-error a function is wanted
  t.throws(() => tl.profile(5), { instanceOf: TypeError, message: /profile: f must be a function, got 5/ });
});
