/** The callbacks that come with loops. */
import { appendFile, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import test from 'ava';
import * as tl from '../../src/index.js';
import { batch, batches, folder, loopOf, model, ROWS, task } from '../support/loops.js';
import { values } from '../support/values.js';
import { wrong } from '../support/types.js';

/** A metric that takes these values, one at each evaluation. */
function evaluating(metric: readonly number[]): tl.training.EvalTask {
  const data = metric.map((value) => [batch(0)[0]!, tl.ones([ROWS, 1]).mul(value)]);
  return new tl.training.EvalTask(
    data,
    tl.Fn('Second', (_: tl.Tensor, y: tl.Tensor) => y.mean()),
    { metricNames: ['m'] },
  );
}
const always = { evalAt: () => true };

test('EarlyStopping stops when a metric no longer gets better', async (t) => {
  const stopsAt = async (
    metric: number[],
    options: Partial<tl.training.EarlyStoppingOptions> = {},
  ): Promise<number> => {
    const stopper = new tl.training.EarlyStopping({ metric: 'm', patience: 2, ...options });
    const loop = loopOf({ evalTasks: evaluating(metric), ...always, callbacks: [stopper] });
    const { stopped } = await loop.run(6);
    t.is(stopper.stoppedAt, stopped ? loop.step : null);
    return loop.step;
  };
  t.is(await stopsAt([5, 4, 4, 4, 1, 1]), 4);
  t.is(await stopsAt([5, 4, 3, 2, 1, 0]), 6);
  t.is(await stopsAt([1, 2, 3, 3, 3, 3], { mode: 'max' }), 5);
  t.is(await stopsAt([5, 4.9, 4.8, 4.7, 1, 1], { minDelta: 0.5 }), 3);
  t.is(await stopsAt([NaN, 4, NaN, NaN, 1, 1]), 4);
  await t.throwsAsync(stopsAt([1, 1], wrong({ metric: 'n' })), {
    code: 'InvalidOption',
    message: /EarlyStopping: no evaluation gives the metric "n": there are "m"/,
  });
  t.throws(() => new tl.training.EarlyStopping(wrong({})), { code: 'InvalidOption', message: /`metric` is required/ });
});

test('BestCheckpoint and LastCheckpoints keep what they are to keep', async (t) => {
  const outputDir = await folder(t);
  const best = new tl.training.BestCheckpoint({ metric: 'm' });
  const last = new tl.training.LastCheckpoints({ count: 2, nSteps: 2 });
  const loop = loopOf({
    evalTasks: evaluating([5, 2, 3, 4, 2.5, 6, 7]),
    outputDir,
    ...always,
    checkpointAt: () => false,
    callbacks: [best, last],
  });
  await loop.run(7);
  t.deepEqual((await readdir(outputDir)).toSorted(), ['best.safetensors', 'last_4.safetensors', 'last_6.safetensors']);
  t.is((await tl.training.checkpointInfo(best.path!)).step, 3);
  t.is((await tl.training.checkpointInfo(join(outputDir, 'last_6.safetensors'))).step, 7);
  t.deepEqual(last.names, ['last_4', 'last_6']);
  // The steps are those of a run that nothing was saved of.
  const plain = loopOf();
  await plain.run(7);
  t.deepEqual(values(loop.model.weights), values(plain.model.weights));
});

test('LastCheckpoints goes along with the checkpoints of the loop', async (t) => {
  const outputDir = await folder(t);
  await loopOf({ outputDir, callbacks: [new tl.training.LastCheckpoints({ count: 2 })] }).run(9);
  t.deepEqual((await readdir(outputDir)).toSorted(), ['last_4.safetensors', 'last_8.safetensors', 'model.safetensors']);
});

test('LearningRateFinder suggests a rate and leaves no trace', async (t) => {
  const plain = loopOf();
  await plain.run(3);
  const finder = new tl.training.LearningRateFinder({ minRate: 1e-4, maxRate: 1e6, nSteps: 30 });
  const loop = loopOf({ callbacks: [finder] });
  await loop.run(3);
  t.deepEqual(values(loop.model.weights), values(plain.model.weights));
  t.deepEqual(values(loop.model.state), values(plain.model.state));
  t.is(finder.rates[0], 1e-4);
  t.true(finder.losses.length > 3 && finder.losses.length === finder.rates.length);
  t.true(finder.suggestion! >= 1e-5 && finder.suggestion! < 1e6, `${finder.suggestion}`);
  const lowest = finder.rates[finder.losses.indexOf(Math.min(...finder.losses))]!;
  t.is(finder.suggestion, lowest / 10);
});

test('StopAt stops behind the first step after a time', async (t) => {
  for (const options of [{ seconds: 0 }, { date: new Date(0) }]) {
    const loop = loopOf({ callbacks: [new tl.training.StopAt(options)] });
    t.like(await loop.run(1000), { steps: 1, stopped: true });
  }
  const later = loopOf({ callbacks: [new tl.training.StopAt({ date: new Date(Date.now() + 1e9) })] });
  t.like(await later.run(3), { steps: 3, stopped: false });
  t.throws(() => new tl.training.StopAt({}), { code: 'InvalidOption' });
  t.throws(() => new tl.training.StopAt({ seconds: 1, date: new Date() }), { code: 'InvalidOption' });
  t.throws(() => new tl.training.StopAt({ date: new Date('never') }), { instanceOf: TypeError });
  t.throws(() => new tl.training.StopAt({ seconds: -1 }), { code: 'InvalidOption', message: /StopAt: `seconds`/ });
});

test('Throughput counts items and steps', async (t) => {
  const throughput = new tl.training.Throughput();
  const loop = loopOf({ callbacks: [throughput] });
  await loop.run(8);
  t.true(throughput.stepsPerSecond > 0);
  t.true(Math.abs(throughput.itemsPerSecond / throughput.stepsPerSecond - 32) < 1e-9);
  t.deepEqual(
    loop.history.get('train', 'training/items per second').map(({ step }) => step),
    [4, 8],
  );
});

test('CsvLog and JsonlLog write a line for each evaluation, and go on after a break', async (t) => {
  const outputDir = await folder(t);
  const [csv, jsonl] = [join(outputDir, 'logs', 'log.csv'), join(outputDir, 'logs', 'log.jsonl')];
  const make = (): tl.training.Loop =>
    loopOf({
      outputDir,
      evalTasks: new tl.training.EvalTask([batch(9)], tl.L2Loss(), { metricNames: ['a, "b"'] }),
      evalAt: (step) => step % 2 === 0,
      callbacks: [new tl.training.CsvLog(csv), new tl.training.JsonlLog(jsonl)],
    });
  // Its checkpoint is of step 4; it is killed while it writes a line.
  await make().run(6);
  await appendFile(csv, '8,0.12');
  await appendFile(jsonl, '{"step":8,"train/me');
  await make().run(4);
  const lines = (await readFile(jsonl, 'utf8')).trimEnd().split('\n');
  const rows = lines.map((line) => JSON.parse(line) as Record<string, number>);
  t.deepEqual(
    rows.map(({ step }) => step),
    [2, 4, 6, 8],
  );
  const table = (await readFile(csv, 'utf8')).split('\n');
  t.is(table.pop(), '');
  t.regex(table[0]!, /^step,train\/metrics\/L2Loss,.*,"eval\/metrics\/a, ""b"""$/);
  t.deepEqual(
    table.slice(1).map((line) => Number(line.split(',')[0])),
    [2, 4, 6, 8],
  );
  t.is(Number(table[2]!.split(',').at(-1)), rows[1]!['eval/metrics/a, "b"']!);
  await writeFile(csv, 'step,other\n');
  await t.throwsAsync(make().run(4), { code: 'InvalidArgument', message: /CsvLog: .* has the columns step,other/ });
  const nowhere = loopOf({ callbacks: [new tl.training.JsonlLog(join(csv, 'log.jsonl'))] });
  await t.throwsAsync(nowhere.run(1), { code: 'Io', message: /JsonlLog: .* cannot be written/ });
  t.is(nowhere.step, 0);
});

test('Progress writes a line at every tenth where there is no terminal', async (t) => {
  let text = '';
  const stream = new Writable({
    write(chunk, _, done) {
      text += String(chunk);
      done();
    },
  });
  await loopOf({ callbacks: [new tl.training.Progress({ stream, everyMs: 0 })] }).run(20);
  t.is(text.trimEnd().split('\n').length, 10);
  t.regex(text, /^step 2\/20 · loss \d.* items\/s · /);
  t.throws(() => new tl.training.Progress({ everyMs: -1 }), { code: 'InvalidOption' });
});

test('progress shows the metrics of the last evaluation', async (t) => {
  let text = '';
  const stream = { write: (line: string) => void (text += line) };
  const evalTasks = new tl.training.EvalTask([batch(1)], [tl.L2Loss(), tl.SmoothL1Loss()], { metricNames: ['a', 'b'] });
  const loop = loopOf({
    evalTasks,
    evalAt: (step) => step === 4 || step === 8,
    callbacks: [new tl.training.Progress({ stream, everyMs: 0 })],
  });
  await loop.run(10);
  const at = (metric: string, i: number): string =>
    loop.history.get('eval', `metrics/${metric}`)[i]!.value.toPrecision(4);
  const lines = text.trimEnd().split('\n');
  t.is(lines.length, 10);
  t.false(lines[3]!.includes('eval'));
  for (const [line, i] of [
    [4, 0],
    [7, 0],
    [8, 1],
    [9, 1],
  ] as const) {
    t.true(lines[line]!.includes(` · eval a ${at('a', i)} · eval b ${at('b', i)} · `), lines[line]);
  }
});

/** The losses that a run of 12 steps with these callbacks remembers. */
async function lossesWith(callbacks: tl.training.Callback[]): Promise<unknown> {
  const loop = loopOf({ callbacks, evalAt: (step) => step === 5 || step === 12, checkpointAt: () => false });
  await loop.run(12);
  return loop.history.get('train', 'metrics/L2Loss');
}

test('a callback that wants few steps is told of the first and the last of each stretch, and all losses count', async (t) => {
  const [few, each]: number[][] = [[], []];
  const rare = { everyMs: 1e6, onStep: (_: tl.training.Loop, { step }: tl.training.StepEvent) => void few!.push(step) };
  const losses = await lossesWith([rare]);
  t.deepEqual(few, [1, 5, 6, 12]);
  few!.length = 0;
  t.deepEqual(await lossesWith([rare, { onStep: (_, { step }) => void each!.push(step) }]), losses);
  t.deepEqual(each, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
  t.deepEqual(few, [1, 5, 6, 12]);
  t.deepEqual(await lossesWith([]), losses);
  for (const everyMs of [-1, Number.NaN, '5']) {
    const make = (): unknown => loopOf({ callbacks: [wrong({ everyMs, onStep: () => {} })] });
    t.throws(make, { instanceOf: TypeError, message: /everyMs of a callback must be a number of at least 0, got / });
  }
});

test('callbacks are called in order, and are told what happened', async (t) => {
  const outputDir = await folder(t);
  const heard: unknown[] = [];
  const loop = new tl.training.Loop(model(), task(batches()), {
    randomSeed: 0,
    outputDir,
    evalTasks: new tl.training.EvalTask([batch(1)], tl.L2Loss(), { metricNames: ['loss'] }),
    evalAt: (step) => step === 2,
    checkpointAt: (step) => step === 2,
    callbacks: [
      {
        onStart: (_, run) => void heard.push(['start', run]),
        onStep: (loop, { step, done, task, items, learningRate }) =>
          void heard.push(['step', step, done, task, items, learningRate, loop.step]),
        onEval: (_, { step, metrics }) => void heard.push(['eval', step, Object.keys(metrics)]),
        onCheckpoint: (_, checkpoint) => void heard.push(['checkpoint', checkpoint]),
        onEnd: (_, { steps, stopped }) => void heard.push(['end', steps, stopped]),
      },
    ],
  });
  await loop.run(2);
  await loop.run(1);
  t.deepEqual(heard, [
    ['start', { steps: 2 }],
    ['step', 1, 1, 0, 32, 0.01, 1],
    ['step', 2, 2, 0, 64, 0.01, 2],
    ['eval', 2, ['loss']],
    ['checkpoint', { step: 2, name: 'model', path: join(outputDir, 'model.safetensors') }],
    ['end', 2, false],
    ['start', { steps: 1 }],
    ['step', 3, 1, 0, 32, 0.01, 3],
    ['end', 1, false],
  ]);
});
