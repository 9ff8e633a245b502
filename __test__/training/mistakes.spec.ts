/** What goes wrong in a loop: typed errors, and the weights and checkpoints of the last step that was done stay whole. */
import { chmod, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import * as tl from '../../src/index.js';
import { adam, batch, batches, folder, loopOf, model, ROWS, task } from '../support/loops.js';
import { run } from '../support/process.js';
import { values } from '../support/values.js';
import { wrong } from '../support/types.js';

const mine = new Error('mine');
const fails = (): never => {
  throw mine;
};

/** Makes a loop of options and tasks that may be wrong. */
const make =
  (options: object, tasks: unknown = task()) =>
  () =>
    new tl.training.Loop(model(), wrong(tasks), wrong(options));

const invalid = (message: RegExp): object => ({ instanceOf: tl.LayerError, code: 'InvalidOption', message });

/** Makes a task of arguments that may be wrong. */
const train =
  (data: unknown, ...rest: unknown[]) =>
  () =>
    new tl.training.TrainTask(
      wrong(data),
      wrong(rest[0] ?? tl.L2Loss()),
      wrong(rest[1] ?? adam()),
      wrong(rest[2] ?? {}),
    );

/** Two batches, and a third that leads to NaN. */
function* withNaN(): Generator<tl.Tensor[]> {
  yield* [batch(0), batch(1)];
  const [x, y, w] = batch(2) as [tl.Tensor, tl.Tensor, tl.Tensor];
  yield [x, y.mul(NaN), w];
}

/** Two batches, and then another, if one is given. */
const then = function* (last: unknown): Generator<tl.Tensor[]> {
  yield* [batch(0), batch(1)];
  if (last !== undefined) yield wrong(last);
};

const belowZero = (step: number): number => (step === 3 ? -1 : 0.01);

test('options that are wrong are refused where the loop is made', (t) => {
  t.throws(make({}), invalid(/give `randomSeed`, a whole number, or `rng`, a random key, got neither/));
  t.throws(make({ rng: [0, 1], randomSeed: 0 }), invalid(/got both/));
  t.throws(make({ randomSeed: 0 }, []), invalid(/`tasks` must be a task or some tasks, got none/));
  t.throws(make({ randomSeed: 0 }, [5]), { instanceOf: TypeError, message: /Loop: tasks must be of TrainTask, got 5/ });
  t.throws(make({ randomSeed: 0, stepsPerEval: 3 }), invalid(/unknown option `stepsPerEval`/));
  t.throws(make({ randomSeed: 0, overfitBatches: 0 }), invalid(/Loop: `overfitBatches` must be a whole number/));
  t.throws(make({ randomSeed: 0, evalAt: 5 }), { instanceOf: TypeError, message: /Loop: evalAt must be a function/ });
  t.throws(make({ randomSeed: 0, callbacks: [{}] }), {
    instanceOf: TypeError,
    message: /a callback must be an object/,
  });
  t.throws(make({ randomSeed: 0, callbacks: [{ onStep: 3 }] }), { instanceOf: TypeError, message: /onStep/ });
  const evalTasks = new tl.training.EvalTask([batch(0)], [tl.L2Loss(), tl.L2Loss()]);
  t.throws(make({ randomSeed: 0, evalTasks }), invalid(/two metrics of `evalTasks` are named "L2Loss"/));
  t.throws(() => new tl.training.Loop(wrong(5), task(), { randomSeed: 0 }), { instanceOf: TypeError });

  t.throws(train(5), {
    instanceOf: TypeError,
    message: /TrainTask: labeledData must be an \(async\) iterable of batches, got 5/,
  });
  t.throws(train([], 5), { instanceOf: TypeError, message: /lossLayer must be a layer/ });
  t.throws(train([], tl.L2Loss(), {}), { instanceOf: TypeError, message: /optimizer must be an optimizer/ });
  t.throws(train([], tl.L2Loss(), adam(), { nStepsPerCheckpoint: 0 }), invalid(/TrainTask: `nStepsPerCheckpoint`/));
  t.throws(train([], tl.L2Loss(), adam(), 5), { instanceOf: TypeError, message: /options are given by name/ });
  t.throws(() => tl.optimizers.Adam({ learningRate: -1 }), invalid(/learningRate/));
  t.throws(() => new tl.training.EvalTask([], []), invalid(/`metrics` must be a layer or some layers/));
  t.throws(
    () => new tl.training.EvalTask([], tl.L2Loss(), { metricNames: ['a', 'b'] }),
    invalid(/2 names for 1 metrics/),
  );
  t.throws(() => new tl.training.EvalTask([], tl.L2Loss(), { nEvalBatches: 0 }), invalid(/EvalTask: `nEvalBatches`/));
});

test('a loss that is not finite ends the run behind the step before it', async (t) => {
  const outputDir = await folder(t);
  const failures: unknown[] = [];
  const callbacks = [{ onError: (_: tl.training.Loop, failure: object) => void failures.push(failure) }];
  const loop = loopOf({ outputDir, callbacks, checkpointAt: () => true }, withNaN());
  const error = await t.throwsAsync(loop.run(5), { instanceOf: tl.LayerError, code: 'NotFinite' });
  t.deepEqual(failures, [{ error, step: 2, task: 0 }]);
  t.is(loop.step, 2);
  const plain = loopOf();
  await plain.run(2);
  t.deepEqual(values(loop.model.weights), values(plain.model.weights));
  t.is((await tl.training.checkpointInfo(join(outputDir, 'model.safetensors'))).step, 3);
});

test('batches of another structure, iterators that throw or end, come out as errors', async (t) => {
  const run = async (data: tl.training.LabeledData): Promise<number> => {
    const loop = loopOf({}, data);
    try {
      await loop.run(5);
    } finally {
      t.is(loop.step, 2);
      const plain = loopOf();
      await plain.run(2);
      t.deepEqual(values(loop.model.weights), values(plain.model.weights));
    }
    return loop.step;
  };
  await t.throwsAsync(run(then([tl.ones([ROWS, 4])])), { code: 'ArityMismatch' });
  await t.throwsAsync(run(then([tl.ones([ROWS, 9]), tl.ones([ROWS, 1]), tl.ones([ROWS, 1])])), {
    code: 'ShapeMismatch',
  });
  await t.throwsAsync(run(then(null)), { instanceOf: TypeError });
  await t.throwsAsync(run(then(undefined)), {
    code: 'InvalidArgument',
    message: /labeledData ended after 2 batches: /,
  });
  async function* broken(): AsyncGenerator<tl.Tensor[]> {
    yield* then(undefined);
    fails();
  }
  t.is(await t.throwsAsync(run(broken())), mine);
  await t.throwsAsync(loopOf({}, []).run(1), {
    code: 'InvalidArgument',
    message: /TrainTask 0: labeledData gave no batch/,
  });
});

test('an iterator that never gives anything ends with the signal, and its batch is not lost', async (t) => {
  let give!: () => void;
  async function* slow(): AsyncGenerator<tl.Tensor[]> {
    yield batch(0);
    await new Promise<void>((resolve) => (give = resolve));
    yield* batches(1);
  }
  const controller = new AbortController();
  const loop = loopOf({ callbacks: [{ onStep: () => void setTimeout(() => controller.abort(mine), 1) }] }, slow());
  t.is(await t.throwsAsync(loop.run(3, { signal: controller.signal })), mine);
  t.is(loop.step, 1);
  const rest = loop.run(2);
  give();
  await rest;
  const plain = loopOf();
  await plain.run(3);
  t.deepEqual(values(loop.model.weights), values(plain.model.weights));
  await t.throwsAsync(loop.run(1, { signal: AbortSignal.abort(mine) }), { is: mine });
  t.throwsAsync(loop.run(1, { signal: wrong(5) }), { instanceOf: TypeError });
});

test('what a callback throws ends the run with it, behind the step it was told of', async (t) => {
  for (const hook of ['onStart', 'onStep', 'onEval', 'onCheckpoint', 'onEnd'] as const) {
    for (const f of [fails, () => Promise.reject(mine)]) {
      const failures: unknown[] = [];
      const loop = loopOf({
        outputDir: await folder(t),
        evalTasks: new tl.training.EvalTask([batch(0)], tl.L2Loss()),
        callbacks: [{ [hook]: f }, { onError: (_, { error }) => void failures.push(error) }],
      });
      t.is(await t.throwsAsync(loop.run(3)), mine, hook);
      t.is(loop.step, hook === 'onStart' ? 0 : hook === 'onEnd' ? 3 : 1);
      t.deepEqual(failures, hook === 'onEnd' ? [] : [mine]);
    }
  }
  const other = new Error('other');
  const loop = loopOf({
    callbacks: [
      { onStep: fails },
      {
        onError: () => {
          throw other;
        },
      },
    ],
  });
  t.is(await t.throwsAsync(loop.run(1)), other);
});

test('functions of the program that throw or answer wrongly end the run', async (t) => {
  const which = new tl.training.Loop(model(), task(), { randomSeed: 0, whichTask: () => 1 });
  await t.throwsAsync(which.run(1), {
    code: 'InvalidArgument',
    message: /whichTask\(1\) must return a whole number from 0 to 0.* it returned 1/,
  });
  await t.throwsAsync(loopOf({ evalAt: wrong(() => 'no') }).run(1), {
    instanceOf: TypeError,
    message: /what evalAt\(1\) returns/,
  });
  t.is(await t.throwsAsync(loopOf({ checkpointAt: fails }).run(1)), mine);
  const loop = new tl.training.Loop(model(), task(batches(), { lrSchedule: belowZero }), { randomSeed: 0 });
  await t.throwsAsync(loop.run(5), { code: 'InvalidOption', message: /at step 3 it returned -1/ });
  t.is(loop.step, 2);
});

test('evaluations that cannot be: no data, no single number; what was learnt is saved', async (t) => {
  const vector = tl.Fn('Vector', (y: tl.Tensor, x: tl.Tensor) => y.sub(x).sum({ axis: 1 }));
  const cases: [tl.training.EvalTask, RegExp, string][] = [
    [new tl.training.EvalTask([], tl.L2Loss()), /EvalTask 0: labeledData gave no batch/, 'InvalidArgument'],
    [new tl.training.EvalTask([batch(0)], vector), /must give one number; they gave float32\[8\]/, 'ShapeMismatch'],
  ];
  for (const [evalTasks, message, code] of cases) {
    const outputDir = await folder(t);
    const loop = loopOf({ outputDir, evalTasks });
    await t.throwsAsync(loop.run(1), { code, message });
    t.is((await tl.training.checkpointInfo(join(outputDir, 'model.safetensors'))).step, 2);
  }
});

test('a loop does one thing at a time', async (t) => {
  const loop = loopOf();
  const running = loop.run(50);
  await t.throwsAsync(loop.run(1), { code: 'Busy', message: /Loop.run: the loop runs/ });
  await running;
  await t.throwsAsync(loop.run(-1), { code: 'InvalidOption', message: /Loop.run: `nSteps`/ });
  await t.throwsAsync(loop.run(1, wrong({ sinal: 1 })), { instanceOf: TypeError, message: /unknown option `sinal`/ });
  await t.throwsAsync(loop.run({ until: 1.5 }), { code: 'InvalidOption', message: /Loop.run: `until`/ });
  await t.throwsAsync(loop.run(wrong({ unitl: 5 })), { code: 'InvalidOption', message: /unknown option `unitl`/ });
  const neither = { code: 'InvalidOption', message: /give a number of steps or `\{ until \}`, got / };
  for (const steps of [null, {}, { nSteps: 1, until: 2 }]) await t.throwsAsync(loop.run(wrong(steps)), neither);
  await t.throwsAsync(loop.run(wrong('5')), { code: 'InvalidOption', message: /Loop.run: `nSteps`/ });
  await t.throwsAsync(loop.evaluate(wrong([])), {
    instanceOf: TypeError,
    message: /task must be an EvalTask, got an array/,
  });
  const nothing = new tl.training.EvalTask([], tl.L2Loss());
  await t.throwsAsync(loop.evaluate(nothing), { code: 'InvalidArgument', message: /Loop.evaluate.* gave no batch/ });
  t.like(await loop.run(0), { steps: 0 });
  await t.throwsAsync(loop.saveCheckpoint('a'), { code: 'InvalidOption', message: /give the loop an `outputDir`/ });
});

test('folders that cannot be used; the checkpoint before stays', async (t) => {
  const outer = await folder(t);
  await writeFile(join(outer, 'file'), '');
  await t.throwsAsync(loopOf({ outputDir: join(outer, 'file', 'run') }).run(1), { code: 'Io', message: /outputDir/ });
  const outputDir = join(outer, 'run');
  const loop = loopOf({ outputDir, checkpointAt: () => true });
  await loop.run(2);
  const path = join(outputDir, 'model.safetensors');
  const before = await readFile(path);
  // The name of the checkpoint is taken by a folder.
  await mkdir(join(outputDir, 'model_3.safetensors', 'inner'), { recursive: true });
  await t.throwsAsync(loop.saveCheckpoint('model_3'), { code: 'Io' });
  t.deepEqual(await readFile(path), before);
  await rm(outputDir, { recursive: true });
  await t.throwsAsync(loop.run(1), { code: 'Io' });
  t.is(loop.step, 3);
});

test('a signal that comes while a checkpoint is written ends the run with a whole checkpoint', async (t) => {
  const outputDir = await folder(t);
  const controller = new AbortController();
  const loop = loopOf({
    outputDir,
    checkpointAt: (step) => {
      // Asked again behind the step, right before the file is written.
      if (loop.step === 3 && step === 3) setImmediate(() => controller.abort(mine));
      return true;
    },
  });
  t.is(await t.throwsAsync(loop.run(9, { signal: controller.signal })), mine);
  await tl.training.verifyCheckpoint(join(outputDir, 'model.safetensors'));
  const { step } = await tl.training.checkpointInfo(join(outputDir, 'model.safetensors'));
  t.true(step === loop.step || step === loop.step + 1);
});

test('a pattern that matches no weight is refused before anything is trained', async (t) => {
  const loop = loopOf({ groups: [{ weights: '**/Dence_*', frozen: true }] });
  await t.throwsAsync(loop.run(1), { code: 'InvalidOption', message: /Dence_\*/ });
  t.is(loop.step, 0);
});

const onUnix = process.platform === 'win32' ? test.skip : test;

onUnix('a folder that is read-only ends the run, and the checkpoint in it stays', async (t) => {
  const outputDir = join(await folder(t), 'run');
  const loop = loopOf({ outputDir, checkpointAt: () => true });
  await loop.run(2);
  const path = join(outputDir, 'model.safetensors');
  const before = await readFile(path);
  await chmod(outputDir, 0o555);
  // Nothing is locked to the superuser, but what the kernel shows as files.
  const superuser = process.getuid?.() === 0;
  const locked = superuser ? loopOf({ outputDir: '/proc/tallow', checkpointAt: () => true }) : loop;
  await t.throwsAsync(locked.run(1), { instanceOf: tl.LayerError, code: 'Io' });
  await chmod(outputDir, 0o755);
  t.deepEqual(await readFile(path), before);
  await loop.run(1);
  t.is((await tl.training.checkpointInfo(path)).step, loop.step + 1);
});

onUnix('a disk that is full while a loop saves leaves the old checkpoint and the steps that were done', async (t) => {
  const outputDir = await folder(t);
  const index = join(__dirname, '..', '..', 'src', 'index.ts');
  const script = `
    const tl = require(${JSON.stringify(index)});
    const data = [[tl.ones([4, 64]), tl.ones([4, 128]), tl.ones([4, 128])]];
    const task = new tl.training.TrainTask(data, tl.L2Loss(), tl.optimizers.Adam());
    const outputDir = ${JSON.stringify(outputDir)};
    const loop = new tl.training.Loop(tl.Dense(128), task, { outputDir, randomSeed: 0, checkpointAt: () => true });
    loop.run(2).then(() => 'done', ({ code }) => code).then((said) => console.log(JSON.stringify([said, loop.step])));`;
  const trained = async (limit: string): Promise<unknown> => {
    const command = `ulimit -f ${limit}; exec "$0" --require=tsx/cjs -e "$1"`;
    const { code, output } = await run('sh', ['-c', command, process.execPath, script]);
    t.is(code, 0, output);
    return JSON.parse(output);
  };
  t.deepEqual(await trained('unlimited'), ['done', 2]);
  const path = join(outputDir, 'model.safetensors');
  const before = await readFile(path);
  // No file may become longer than 64 blocks of 512 bytes; the weights alone are as long.
  t.deepEqual(await trained('64'), ['Io', 3]);
  t.deepEqual(await readFile(path), before);
  t.deepEqual(await readdir(outputDir), ['model.safetensors']);
  await tl.training.verifyCheckpoint(path);
  t.deepEqual(await trained('unlimited'), ['done', 4]);
});
