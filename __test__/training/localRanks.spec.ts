/** Ranks that are workers of this process: a loop on several gives what it gives on one. */
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import test from 'ava';
import * as tl from 'tallow';
import { root } from '../support/process.js';

/** What each rank does: `own` is a program of its own. */
const program = (own: string): string => `
  const tl = require(${JSON.stringify(join(root, 'dist', 'index.js'))});
  const { parentPort, workerData: { communicator, dir } } = require('node:worker_threads');
  function* batches() {
    for (let seed = 1; ; seed += 1) {
      const x = tl.random.normal(tl.random.key(seed), [12, 4]);
      yield [x, x.sum({ axis: 1, keepdims: true }), tl.ones([12, 1])];
    }
  }
  const rank = communicator?.rank ?? 0;
  const made = (options = {}) => {
    const model = tl.Serial(tl.Dense(8), tl.BatchNorm({ axis: [0] }), tl.Relu(), tl.Dropout({ rate: 0.2 }), tl.Dense(1));
    const task = new tl.training.TrainTask(batches(), tl.L2Loss(), tl.optimizers.Adam({ learningRate: 0.01 }), { nStepsPerCheckpoint: 10 });
    const evalTasks = new tl.training.EvalTask([batches().next().value], tl.L2Loss(), { metricNames: ['loss'] });
    return new tl.training.Loop(model, task, { randomSeed: 3, evalTasks, gradientShards: 6, communicator, ...options });
  };
  const held = (loop) => [tl.tree.leaves(loop.model.weights), tl.tree.leaves(loop.model.state)].flat().map((x) => [...x.dataSync()].map(String));
  const work = async () => { ${own} };
  work().then(
    (value) => parentPort.postMessage({ value }),
    (error) => parentPort.postMessage({ error: error.code + ': ' + error.message }),
  );`;

interface Ended {
  readonly value?: unknown;
  readonly error?: string;
}

/** How the program ends on each of `n` ranks; 0: without a communicator. */
async function onRanks(n: number, own: string, dir = ''): Promise<Ended[]> {
  const ranks = n === 0 ? [undefined] : tl.training.localRanks(n);
  const workers = ranks.map(
    (communicator) => new Worker(program(own), { eval: true, workerData: { communicator, dir } }),
  );
  try {
    const ended = async (worker: Worker): Promise<Ended> => {
      const exit = once(worker, 'exit').then(() => ({}));
      return Promise.race([once(worker, 'message').then(([message]) => message as Ended), exit]);
    };
    return await Promise.all(workers.map(ended));
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

const valuesOf = (ends: readonly Ended[]): unknown[] =>
  ends.map(({ value, error }) => {
    if (error !== undefined) throw new Error(error);
    return value;
  });

async function inFolder(f: (dir: string) => Promise<void>): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'tallow-ranks-'));
  try {
    await f(dir);
  } finally {
    rmSync(dir, { recursive: true });
  }
}

test('a loop has the same bits on any number of ranks, and only the chief writes', async (t) => {
  const own = `
    const loop = made({ outputDir: dir === '' ? null : dir, callbacks: dir === '' ? [] : [new tl.training.JsonlLog(dir + '/log.jsonl')] });
    const { steps } = await loop.run(25);
    return [steps, loop.isChief === (rank === 0), held(loop), loop.history.get('train', 'metrics/L2Loss'), loop.history.get('eval', 'metrics/loss')];`;
  const [alone] = valuesOf(await onRanks(0, own));
  for (const n of [1, 2, 3]) {
    await inFolder(async (dir) => {
      for (const one of valuesOf(await onRanks(n, own, dir))) t.deepEqual(one, alone);
      t.true(existsSync(join(dir, 'model.safetensors')));
      const lines = readFileSync(join(dir, 'log.jsonl'), 'utf8').trim().split('\n');
      t.deepEqual(
        lines.map((line) => (JSON.parse(line) as { step: number }).step),
        [1, 10, 20],
      );
    });
  }
});

/** Trains until so many steps are done. */
const trainsTo = (steps: number): string => `
    const loop = made({ outputDir: dir, checkpointAt: (step) => step % 10 === 0 });
    await loop.run({ until: ${steps} });
    return held(loop);`;

test('any number of ranks goes on from the checkpoint of another', async (t) => {
  const [never] = valuesOf(await onRanks(0, `const loop = made(); await loop.run(30); return held(loop);`));
  await inFolder(async (dir) => {
    await onRanks(3, trainsTo(10), dir);
    await onRanks(1, trainsTo(20), dir);
    for (const one of valuesOf(await onRanks(2, trainsTo(30), dir))) t.deepEqual(one, never);
    t.deepEqual(readdirSync(dir), ['model.safetensors']);
  });
});

test('where one rank stops, saves or waits, all come to the same steps', async (t) => {
  const own = `
    const stops = { onStep: (loop, { step }) => (rank === 1 && step === 14 ? 'stop' : undefined) };
    const waits = { onStep: (loop, { step }) => (rank === 2 && step === 5 ? new Promise((done) => setTimeout(done, 30)) : undefined) };
    const saves = { chiefOnly: true, onStep: async (loop, { step }) => { if (step === 8) await loop.saveCheckpoint('eighth'); } };
    const loop = made({ outputDir: dir, callbacks: [stops, waits, saves] });
    const { steps, stopped } = await loop.run(100);
    return [steps, stopped, held(loop)];`;
  await inFolder(async (dir) => {
    const all = valuesOf(await onRanks(3, own, dir)) as [number, boolean, unknown][];
    t.is(all[0]![0], 14);
    t.true(all[0]![1]);
    for (const one of all) t.deepEqual(one, all[0]);
    t.true(existsSync(join(dir, 'eighth.safetensors')));
    t.is((await tl.training.checkpointInfo(join(dir, 'eighth.safetensors'))).step, 9);
  });
});

test('a rank that fails ends the others, which name it', async (t) => {
  const own = `
    const throws = { onStep: (loop, { step }) => { if (rank === 1 && step === 4) throw new Error('no more room on the shelf'); } };
    await made({ callbacks: [throws] }).run(50);`;
  const ends = await onRanks(3, own);
  t.regex(ends[1]!.error!, /no more room on the shelf/);
  for (const rank of [0, 2]) {
    t.regex(ends[rank]!.error!, /^RankFailed: .*.*rank 1 .*no more room on the shelf/);
  }
});

test('a rank ends the work of all while a loop runs', async (t) => {
  const own = `
    const loop = made();
    const [trainer] = await loop.prepare();
    if (rank === 1) setTimeout(() => trainer.abortRanks('the budget is spent'), 50);
    await loop.run(1_000_000);`;
  for (const { error } of await onRanks(2, own)) {
    t.regex(error!, /RankFailed.*rank 1 ended the work of all ranks: the budget is spent/);
  }
});

test('a worker that ends is named by the others', async (t) => {
  const own = `
    const loop = made();
    await loop.prepare();
    if (rank === 1) process.exit();
    await loop.run(5);`;
  const [first] = await onRanks(2, own);
  t.regex(first!.error!, /^RankFailed: .*rank 1 has ended/);
});

test('ranks that take other batches or other options are refused at the start', async (t) => {
  const options = await onRanks(2, 'await made({ accumulate: rank + 1 }).run(1);');
  for (const { error } of options) {
    t.regex(
      error!,
      /^RankFailed: .*ranks do not begin alike: `accumulate` is 1 on rank 0, and `accumulate` is 2 on rank 1/,
    );
  }
  const seeds = await onRanks(2, 'await made({ randomSeed: rank }).run(1);');
  for (const { error } of seeds) t.regex(error!, /^RankFailed: .*ranks do not begin alike: weights\//);
});

test('ranks are made, checked and joined', async (t) => {
  t.throws(() => tl.training.localRanks(0), { code: 'InvalidArgument', message: /from 1 to 1024, got 0/ });
  const model = tl.Serial(tl.Dense(1), tl.L2Loss());
  model.init(
    [
      [8, 3],
      [8, 1],
      [8, 1],
    ].map((shape) => ({ shape, dtype: 'float32' as const })),
  );
  const trainer = (options: tl.TrainerOptions): tl.Trainer => new tl.Trainer(model, tl.optimizers.SGD(), options);
  t.throws(() => trainer({ communicator: { rank: 0, size: 2, id: 123_456_789 } }), {
    code: 'InvalidOption',
    message: /is none that this process has offered; see training\.localRanks/,
  });
  const [first] = tl.training.localRanks(3);
  t.throws(() => trainer({ communicator: first!, gradientShards: 2 }), {
    code: 'InvalidOption',
    message: /`gradientShards` 2 are fewer than the 3 ranks/,
  });
  t.deepEqual(await trainer({}).tellRanks('alone'), ['alone']);
  t.notThrows(() => trainer({ communicator: 'auto' }).abortRanks('there is nobody'));
});
