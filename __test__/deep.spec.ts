/** Layers deep in each other, and workers that come and go: whatever happens, the process lives. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import test from 'ava';
import * as tl from '../src/index.js';
import { root } from './support/process.js';

const dist = join(root, 'dist', 'index.js');

/** Runs `source` in a worker with a stack of 1 MB, where `tl` is the package; what it posts. */
function inWorker(source: string): Promise<unknown> {
  const worker = new Worker(`const tl = require(${JSON.stringify(dist)}); ${source}`, {
    eval: true,
    resourceLimits: { stackSizeMb: 1 },
  });
  return new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
    worker.once('exit', (code) => reject(new Error(`ended with ${code}`)));
  });
}

/** What became of each step: `true`, or the name of the error. */
const steps = `
  const ended = {};
  const step = (name, f) => {
    try {
      f();
      ended[name] = true;
    } catch (error) {
      ended[name] = error.name;
    }
  };
  const post = () => require('node:worker_threads').parentPort.postMessage(ended);
`;

const everything = (inner: string, around: string, levels: number): string => `
  ${steps}
  let model = ${inner};
  const around = ${around};
  step('build', () => { for (let i = 0; i < ${levels}; i++) model = around(model); });
  step('init', () => model.init({ shape: [1, 2], dtype: 'float32' }));
  step('call', () => model([[1, 2]]));
  step('print', () => String(model));
  step('weights', () => { model.weights = model.weights; });
  step('pure', () => model.pureFn([[1, 2]], model.weights, model.state));
  step('mode', () => model.withMode('eval')([[1, 2]]));
  step('gradient', () => tl.grad((x) => model(x).sum())(tl.ones([1, 2])));
  step('error', () => model([[1, 2, 3]]));
  step('tidy', () => tl.tidy(() => { let other = tl.Dense(2); for (let i = 0; i < ${levels}; i++) other = around(other); }));
  step('dispose', () => model.dispose());
  step('after', () => tl.Dense(2).init({ shape: [1, 2], dtype: 'float32' }));
  post();
`;

/** A step of JavaScript that recurses into nested arrays may end with the `RangeError` of its stack, and nothing else. */
const worked = (t: { deepEqual: (a: unknown, b: unknown, m?: string) => void }, ended: unknown): void => {
  const { weights, pure, ...rest } = ended as Record<string, true | string>;
  t.deepEqual(
    [weights, pure].filter((x) => x !== true && x !== 'RangeError'),
    [],
  );
  t.deepEqual(rest, {
    build: true,
    init: true,
    call: true,
    print: true,
    mode: true,
    gradient: true,
    error: 'LayerError',
    tidy: true,
    dispose: true,
    after: true,
  });
};

if (existsSync(dist)) {
  test.serial('5,000 levels of Serial in a worker with a stack of 1 MB', async (t) => {
    worked(t, await inWorker(everything('tl.Dense(2)', '(l) => tl.Serial(l)', 5000)));
  });

  test.serial('Residual and Branch in each other', async (t) => {
    worked(t, await inWorker(everything('tl.Dense(2)', '(l) => tl.Residual(l)', 900)));
    worked(t, await inWorker(everything('tl.Dense(2)', '(l) => tl.Serial(tl.Branch(l, null), tl.Add())', 900)));
  });

  test.serial('functions of JavaScript below more levels than the stack has throw its RangeError', async (t) => {
    const ended = (await inWorker(
      everything("tl.Fn('Twice', (x) => x.mul(2))", '(l) => tl.Serial(l)', 4000),
    )) as Record<string, unknown>;
    t.is(ended['build'], true);
    t.deepEqual(
      Object.values(ended).filter((x) => x !== true && x !== 'RangeError' && x !== 'LayerError'),
      [],
    );
    t.is(ended['after'], true);
  });

  test.serial('more than 10,000 levels, and lists in lists, are refused', async (t) => {
    const ended = await inWorker(`${steps}
      let weights = [];
      for (let i = 0; i < 1500; i++) weights = [weights];
      const dense = tl.Dense(2);
      step('weights', () => { dense.weights = weights; });
      let model = tl.Relu();
      step('build', () => { for (let i = 0; i < 12000; i++) model = tl.Serial(model); });
      let lists = tl.Relu();
      for (let i = 0; i < 500; i++) lists = [lists];
      step('lists', () => tl.Serial(lists));
      step('print', () => String(model).length);
      step('print again', () => String(tl.Serial(tl.Relu())));
      post();
    `);
    t.deepEqual(ended, {
      weights: 'RangeError',
      build: 'LayerError',
      lists: 'RangeError',
      print: true,
      'print again': true,
    });
  });

  test.serial('workers that end in the middle of their work leave nothing behind', async (t) => {
    const source = `
      const tl = require(${JSON.stringify(dist)});
      const { parentPort } = require('node:worker_threads');
      const model = tl.Serial(tl.Dense(32), tl.Fn('Peek', (x) => (void model, x)), tl.Dense(1));
      const loss = tl.Serial(model, tl.Fn('Loss', (x) => x.mean()));
      loss.init({ shape: [8, 32], dtype: 'float32' });
      function* batches() { for (;;) yield tl.ones([8, 32]); }
      const trainer = new tl.Trainer(loss, tl.optimizers.Adam());
      const other = tl.Serial(tl.LSTM(32, { mode: 'predict' }), tl.Fn('Same', (x) => x));
      other.init({ shape: [8, 1, 32], dtype: 'float32' });
      const calls = () => Promise.all([1, 2, 3].map(() => other.callAsync(tl.ones([8, 1, 32]))));
      (async () => { for (;;) { await calls(); other(tl.ones([8, 1, 32])); parentPort.postMessage(0); } })();
      trainer.fit(batches(), { steps: 3, rng: [0, 1], onProgress: () => parentPort.postMessage(1) });
    `;
    const before = tl.memory().bytes;
    for (let i = 0; i < 10; i++) {
      const workers = [0, 1].map(() => new Worker(source, { eval: true }));
      await Promise.all(
        workers.map(async (worker, k) => {
          let messages = 0;
          await new Promise((resolve, reject) => {
            worker.on('message', () => ++messages > i + k && resolve(null));
            worker.once('error', reject);
          });
          await worker.terminate();
        }),
      );
    }
    // What is on its way on the compute thread is dropped there.
    for (let i = 0; i < 1000 && tl.memory().bytes > before; i++)
      await new Promise((resolve) => setTimeout(resolve, 20));
    t.is(tl.memory().bytes, before);
  });
} else {
  test('deep layers are tested in workers, which need dist/', (t) => t.log('run `npm run build` first'));
}
