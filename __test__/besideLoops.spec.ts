/** What runs beside a training loop: calls between two of its steps, other loops in turn with it. Steps are counted, not seconds. */
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import test, { type ExecutionContext } from 'ava';
import * as tl from '../src/index.js';
import { root } from './support/process.js';
import { f32, floats, one, values } from './support/values.js';

const x = floats([
  [1, 2, 0.5],
  [3, 5, -1],
]);
const loss = (): tl.Layer<tl.Tensor, 1> => tl.Fn('Loss', (y: tl.Tensor) => y.sub(1).square().mean());

function initialized<L extends tl.Layer>(layer: L): L {
  layer.init(f32([2, 3]), { rng: [4, 4] });
  return layer;
}

function* endless(): Generator<tl.Tensor> {
  for (;;) yield x.add(0);
}

/** Steps of a loop of 1e9, after which a call beside it has not waited for its end. */
const SOON = 100;

/** A loop that goes on until `stop` is called, and the steps that JavaScript heard of. */
function training(
  t: ExecutionContext,
  model: tl.Layer,
  onStep: () => void = () => {},
): { steps: () => number; started: Promise<void>; stop: () => Promise<void> } {
  const trainer = new tl.Trainer(model, tl.optimizers.SGD({ learningRate: 1e-3 }));
  const controller = new AbortController();
  let steps = 0;
  let begin: () => void;
  const started = new Promise<void>((resolve) => (begin = resolve));
  const run = trainer.fit(endless(), {
    steps: 1e9,
    rng: tl.random.key(0),
    signal: controller.signal,
    onProgress: ({ done }) => {
      steps = done;
      onStep();
      begin();
    },
  });
  const ended = run.then(
    () => t.fail('it has no end'),
    (error: Error) => t.is(error.message, 'enough'),
  );
  const stop = async (): Promise<void> => {
    controller.abort(new Error('enough'));
    await ended;
  };
  return { steps: () => steps, started, stop };
}

test('a call beside a loop waits for the step that is being made, of the same model or of another', async (t) => {
  const body = tl.Serial(tl.Dense(64), tl.Tanh(), tl.Dropout({ rate: 0.5 }), tl.Dense(1));
  const model = initialized(tl.Serial(body, loss()));
  const evaluating = body.withMode('eval');
  const other = initialized(tl.Serial(tl.Dense(4), tl.Dense(2)));
  const seen = new Set<string>([String(values(evaluating(x)))]);
  const loop = training(t, model, () => seen.add(String(values(evaluating(x)))));
  await loop.started;
  for (let i = 0; i < 20; i += 1) {
    const before = loop.steps();
    // oxlint-disable-next-line no-await-in-loop -- one after another is what is tested
    const y = await evaluating.callAsync(x);
    // Steps this small go by while threads wake. That a job that waits goes before the next step is tested in the addon (`turn.rs`).
    t.true(loop.steps() - before <= SOON, `${loop.steps() - before} steps`);
    const between = loop.steps();
    // oxlint-disable-next-line no-await-in-loop
    const z = await other.callAsync(x);
    t.true(loop.steps() - between <= SOON, `${loop.steps() - between} steps`);
    t.deepEqual(one(z).shape, [2, 2]);
    // A step may have been made that JavaScript has not heard of yet.
    while (!seen.has(String(values(y))) && loop.steps() < before + SOON) {
      // oxlint-disable-next-line no-await-in-loop
      await new Promise(setImmediate);
    }
    t.true(seen.has(String(values(y))), 'the weights are those after one of the steps');
  }
  await loop.stop();
});

test('a call that would change what a loop trains is refused, as if it were made at once', async (t) => {
  const norm = tl.BatchNorm({ axis: [0] });
  const body = tl.Serial(tl.Dense(3), norm);
  const model = initialized(tl.Serial(body, loss()));
  const loop = training(t, model);
  await loop.started;
  await t.throwsAsync(body.callAsync(x), { code: 'Busy', message: /a call changes state, but a training loop runs/ });
  await t.throwsAsync(body.callAsync(x, { weights: body.weights }), { code: 'Busy', message: /a call sets weights/ });
  const y = one(await body.withMode('eval').callAsync(x));
  t.deepEqual(y.shape, [2, 3]);
  await loop.stop();
  t.deepEqual(one(await body.callAsync(x)).shape, [2, 3]);
});

/** What two trainers of the same weights come to, one after another. */
const twice = async (together: boolean): Promise<unknown> => {
  const model = initialized(tl.Serial(tl.Dense(1), loss()));
  const trainers = [0.1, 0.01].map((learningRate) => new tl.Trainer(model, tl.optimizers.Momentum({ learningRate })));
  const losses: (readonly number[])[] = [];
  const runs: Promise<unknown>[] = [];
  for (const trainer of trainers) {
    const ended = trainer.fit(endless(), { steps: 5, rng: tl.random.key(1) }).then((r) => losses.push(r.losses));
    runs.push(ended);
    // oxlint-disable-next-line no-await-in-loop
    if (!together) await ended;
  }
  await Promise.all(runs);
  return [losses, values(model.weights)];
};

test('a second loop on the same weights begins when the first has ended', async (t) => {
  t.deepEqual(await twice(true), await twice(false));
});

test('the batches of a loop may come from another model, on the same thread', async (t) => {
  const teacher = initialized(tl.Dense(3));
  const model = initialized(tl.Serial(tl.Dense(1), loss()));
  async function* taught(): AsyncGenerator<tl.Tensor> {
    for (;;) yield one(await teacher.callAsync(x));
  }
  const trainer = new tl.Trainer(model, tl.optimizers.SGD());
  t.is((await trainer.fit(taught(), { steps: 5, rng: tl.random.key(1) })).steps, 5);
});

test('the loops of two workers advance together', async (t) => {
  const dist = JSON.stringify(join(root, 'dist', 'index.js'));
  const source = `
    const tl = require(${dist});
    const { workerData: { counts, own } } = require('node:worker_threads');
    const model = tl.Serial(tl.Dense(32), tl.Dense(1), tl.Fn('Loss', (y) => y.square().mean()));
    model.init({ shape: [8, 4], dtype: 'float32' });
    const trainer = new tl.Trainer(model, tl.optimizers.SGD({ learningRate: 1e-3 }));
    function* batches() { for (;;) yield tl.ones([8, 4]); }
    const stop = new AbortController();
    const onProgress = ({ done }) => {
      Atomics.store(counts, own, done);
      // It goes on until the other one has come far enough too, which it never would if it had to wait for the end of this one.
      if (Atomics.load(counts, 0) >= 20 && Atomics.load(counts, 1) >= 20) stop.abort(new Error('enough'));
    };
    trainer.fit(batches(), { steps: 1e9, rng: tl.random.key(own), signal: stop.signal, onProgress }).catch((error) => {
      if (error.message !== 'enough') throw error;
    });`;
  const counts = new Int32Array(new SharedArrayBuffer(8));
  const workers = [0, 1].map((own) => new Worker(source, { eval: true, workerData: { counts, own } }));
  const ends = workers.map(
    (worker) => new Promise<number>((resolve, reject) => worker.on('exit', resolve).on('error', reject)),
  );
  t.deepEqual(await Promise.all(ends), [0, 0]);
  t.true(
    counts.every((steps) => steps >= 20),
    String(counts),
  );
});
