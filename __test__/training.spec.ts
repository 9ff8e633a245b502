import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import * as tl from '../src/index.js';
import { f32, values, one } from './support/values.js';
import { instanceOf, wrong } from './support/types.js';

const [depth, rows] = [8, 16];

/** A regression with its loss and some dropout, initialized alike each time. */
function model(rate = 0.1): tl.Layer {
  const layer = tl.Serial(
    tl.Parallel(tl.Serial(tl.Dense(16), tl.Tanh(), tl.Dropout({ rate }), tl.Dense(1)), null),
    tl.L2Loss(),
  );
  layer.init([f32([rows, depth]), f32([rows, 1]), f32([rows, 1])], { rng: [0, 1] });
  return layer;
}

function batch(i: number): tl.Tensor[] {
  const x = tl.random.normal([1, i], [rows, depth]);
  return [x, x.sum({ axis: 1, keepdims: true }).sin(), tl.ones([rows, 1])];
}

async function* batches(n: number): AsyncGenerator<tl.Tensor[]> {
  for (let i = 0; i < n; i++) {
    await Promise.resolve();
    yield batch(i);
  }
}

const adam = (): tl.Optimizer => tl.optimizers.Adam({ learningRate: 0.01 });
const rng: tl.Key = [0, 5];
const rates = (step: number): number => 0.01 / (step + 1);

test('oneStep lowers the loss and says what it measured', (t) => {
  const trainer = new tl.Trainer(model(), adam());
  const steps = Array.from({ length: 60 }, (_, step) => trainer.oneStep(batch(0), [0, step], { step }));
  const losses = steps.map(([loss]) => loss);
  t.true(losses.at(-1)! < losses[0]! / 2, `from ${losses[0]} to ${losses.at(-1)}`);
  const [loss, stats] = steps[0]!;
  t.is(stats.loss, loss);
  t.true(stats.gradientsL2 > 0 && stats.weightsL2 > 0);
  t.is(trainer.slots.length, 4);
});

test('the loss of a step is what the layer gives before it; a rate of 0 without decay changes nothing', (t) => {
  const layer = model();
  const trainer = new tl.Trainer(layer, tl.optimizers.Adam({ weightDecayRate: 0 }));
  const before = values(layer.weights);
  const expected = one(layer.pureFn(batch(3), layer.weights, layer.state, rng)[0]).item();
  const [loss] = trainer.oneStep(batch(3), rng, { learningRate: 0 });
  t.is(loss, expected);
  t.deepEqual(values(layer.weights), before);
});

test('fit takes batches from an async iterator, reports, and ends with the steps or the batches', async (t) => {
  const trainer = new tl.Trainer(model(), adam());
  const seen: tl.TrainingProgress[] = [];
  const report = await trainer.fit(batches(100), { steps: 40, rng, onProgress: (p) => seen.push(p) });
  t.is(report.steps, 40);
  t.is(report.losses.length, 40);
  t.true(report.losses.at(-1)! < report.losses[0]!);
  t.true(seen.length > 0);
  t.deepEqual(
    seen.map((p) => p.step),
    seen.map((p) => p.step).toSorted((a, b) => a - b),
  );
  const last = seen.at(-1)!;
  t.is(last.loss, report.losses[last.done - 1]!);
  t.is(last.items, last.done * rows * depth);
  const short = await trainer.fit(batches(3), { steps: 40, rng, firstStep: 40 });
  t.is(short.steps, 3);
});

test('fit does the same as oneStep, bit for bit', async (t) => {
  const [a, b] = [model(), model()];
  const { losses } = await new tl.Trainer(a, adam()).fit(batches(5), { steps: 5, rng, schedule: rates });
  const trainer = new tl.Trainer(b, adam());
  const expected = Array.from(
    { length: 5 },
    (_, step) => trainer.oneStep(batch(step), tl.random.foldIn(rng, step), { step, learningRate: rates(step) })[0],
  );
  t.deepEqual(losses, expected);
  t.deepEqual(values(a.weights), values(b.weights));
});

test('a signal stops fit with its reason; finished steps stay', async (t) => {
  const layer = model();
  const trainer = new tl.Trainer(layer, adam());
  const before = values(layer.weights);
  const controller = new AbortController();
  const reason = new Error('enough');
  const done: number[] = [];
  const running = trainer.fit(batches(1e6), {
    steps: 1e6,
    rng,
    signal: controller.signal,
    onProgress: (p) => {
      done.push(p.done);
      if (p.done >= 3) controller.abort(reason);
    },
  });
  t.is(await t.throwsAsync(running), reason);
  t.true(done.length > 0 && done.at(-1)! < 1e6);
  t.notDeepEqual(values(layer.weights), before);
  t.is((await trainer.fit(batches(2), { steps: 2, rng })).steps, 2);
  t.is(await t.throwsAsync(trainer.fit(batches(2), { steps: 2, rng, signal: AbortSignal.abort(reason) })), reason);
});

test('a signal stops fit within a step, which then changes nothing', async (t) => {
  const controller = new AbortController();
  const reason = new Error('enough');
  let calls = 0;
  const stop = tl.Fn('Stop', (x: tl.Tensor) => {
    controller.abort(reason);
    return x;
  });
  const layer = tl.Serial(
    tl.Dense(1),
    stop,
    tl.Fn('Count', (x: tl.Tensor) => (calls++, x.sum())),
  );
  layer.init(f32([rows, depth]), { rng });
  const [before, counted] = [values(layer.weights), calls];
  const trainer = new tl.Trainer(layer, adam());
  const one = [[tl.ones([rows, depth])]];
  t.is(await t.throwsAsync(trainer.fit(one, { steps: 1, rng, signal: controller.signal })), reason);
  t.is(calls, counted);
  t.deepEqual(values(layer.weights), before);
});

test('a fit that is stopped before it begins lets go of its batches', async (t) => {
  const big = tl.Serial(tl.Dense(1024), tl.Dense(1024), tl.Dense(1024));
  big.init(f32([1024, 1024]));
  const controller = new AbortController();
  const reason = new Error('enough');
  let end!: (how: string) => void;
  const ended = new Promise<string>((resolve) => (end = resolve));
  async function* endless(): AsyncGenerator<tl.Tensor[]> {
    try {
      for (let step = 0; ; step++) yield batch(step % 4);
    } finally {
      end('ended');
    }
  }
  // Jobs run one after another: the loop cannot begin while this one runs.
  const before = big.callAsync(tl.ones([1024, 1024]));
  const running = new tl.Trainer(model(), adam()).fit(endless(), { steps: 1e6, rng, signal: controller.signal });
  await new Promise((resolve) => setImmediate(resolve));
  controller.abort(reason);
  t.is(await t.throwsAsync(running), reason);
  await before;
  const late = new Promise<string>((resolve) => setTimeout(resolve, 5000, 'waits for ever'));
  t.is(await Promise.race([ended, late]), 'ended');
});

function refused(key: string): object {
  return { instanceOf: tl.LayerError, code: 'InvalidOption', message: new RegExp(`\`${key}\``) };
}

test('options of the trainer are checked', async (t) => {
  const trainer = new tl.Trainer(model(), adam());
  await t.throwsAsync(trainer.fit(batches(1), { steps: -1, rng }), refused('steps'));
  await t.throwsAsync(trainer.fit(batches(1), { steps: 1, rng, firstStep: 0.5 }), refused('firstStep'));
  await t.throwsAsync(trainer.fit(batches(1), wrong({ steps: 1, rng, firststep: 2 })), refused('firststep'));
  t.throws(() => trainer.oneStep(batch(0), rng, { step: -1 }), refused('step'));
  await t.throwsAsync(trainer.save(join(tmpdir(), 'unwritten'), -1), refused('step'));
});

test('what the iterator, a callback or a schedule throws comes out, and the next run is right', async (t) => {
  const trainer = new tl.Trainer(model(), adam());
  const mine = new Error('mine');
  const fails = (): never => {
    throw mine;
  };
  async function* broken(): AsyncGenerator<tl.Tensor[]> {
    yield* batches(2);
    fails();
  }
  t.is(await t.throwsAsync(trainer.fit(broken(), { steps: 10, rng })), mine);
  t.is(await t.throwsAsync(trainer.fit(batches(10), { steps: 10, rng, onProgress: fails })), mine);
  t.is(await t.throwsAsync(trainer.fit(batches(10), { steps: 10, rng, schedule: fails })), mine);
  const wrong = await t.throwsAsync(trainer.fit([[tl.ones([rows, depth])]], { steps: 1, rng }), {
    instanceOf: tl.LayerError,
  });
  t.is(wrong?.code, 'ArityMismatch');
  t.is((await trainer.fit(batches(2), { steps: 2, rng })).steps, 2);
});

test('a run that is saved and loaded goes on bit for bit as if it had not stopped', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'tallow-training-'));
  const path = join(folder, 'run.safetensors');
  try {
    const whole = model();
    const expected = (await new tl.Trainer(whole, adam()).fit(batches(6), { steps: 6, rng })).losses;
    const first = new tl.Trainer(model(), adam());
    const begun = (await first.fit(batches(3), { steps: 3, rng })).losses;
    await first.save(path, 3);
    const resumed = model();
    const second = new tl.Trainer(resumed, adam());
    const step = await second.load(path);
    t.is(step, 3);
    const rest = Array.from({ length: 3 }, (_, i) => batch(3 + i));
    const ended = (await second.fit(rest, { steps: 3, rng, firstStep: step })).losses;
    t.deepEqual([...begun, ...ended], [...expected]);
    t.deepEqual(values(resumed.weights), values(whole.weights));
    const narrow = tl.Serial(tl.Parallel(tl.Dense(1), null), tl.L2Loss());
    narrow.init([f32([rows, depth]), f32([rows, 1]), f32([rows, 1])], { rng });
    const untouched = values(narrow.weights);
    await t.throwsAsync(new tl.Trainer(narrow, adam()).load(path));
    t.deepEqual(values(narrow.weights), untouched);
    await t.throwsAsync(second.load(join(folder, 'absent')), { message: /absent/ });
  } finally {
    await rm(folder, { recursive: true });
  }
});

test.serial('the event loop stays free while fit runs', async (t) => {
  const wide = tl.Serial(
    tl.Parallel(tl.Serial(tl.Dense(512), tl.Relu(), tl.Dense(512), tl.Relu(), tl.Dense(1)), null),
    tl.L2Loss(),
  );
  wide.init([f32([256, 512]), f32([256, 1]), f32([256, 1])], { rng });
  const one = [tl.random.normal(rng, [256, 512]), tl.zeros([256, 1]), tl.ones([256, 1])];
  async function* many(): AsyncGenerator<tl.Tensor[]> {
    for (;;) yield one.map((x) => x.add(0));
  }
  const waits: number[] = [];
  let last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    waits.push(now - last);
    last = now;
  }, 5);
  const controller = new AbortController();
  const enough = new Error('enough');
  try {
    const running = new tl.Trainer(wide, adam()).fit(many(), {
      steps: 1e6,
      rng,
      signal: controller.signal,
      onProgress: () => {
        if (waits.length >= 100) controller.abort(enough);
      },
    });
    t.is(await t.throwsAsync(running), enough);
  } finally {
    clearInterval(timer);
  }
  // Other processes may hold the core now and then; a loop that ran on the event loop would make every wait long.
  const long = waits.filter((ms) => ms > 50).length;
  t.true(waits.length >= 100, `${waits.length} ticks`);
  t.true(long <= waits.length / 10, `${long} of ${waits.length} waits were longer than 50 ms`);
});

test('a step does not depend on the number of devices', (t) => {
  const losses = [1, 2, 4].map((nDevices) => {
    const trainer = new tl.Trainer(model(0), adam(), { nDevices });
    return Array.from({ length: 5 }, (_, step) => trainer.oneStep(batch(step), [0, step], { step })[0]);
  });
  for (const other of losses.slice(1))
    other.forEach((loss, i) => t.true(Math.abs(loss - losses[0]![i]!) < 1e-5 * losses[0]![i]!));
  t.throws(() => new tl.Trainer(model(0), adam(), { nDevices: 0 }), {
    message: /Trainer: `nDevices` must be a whole number of at least 1, got 0/,
  });
  t.throws(() => new tl.Trainer(model(0), adam(), { nDevices: 3 }).oneStep(batch(0), rng), {
    message: /`nDevices` 3 does not divide the 16 items/,
  });
});

/** Tags and scalars of an event file, by its own framing: length, checksum, message, checksum. */
async function events(folder: string): Promise<Buffer[]> {
  const files = await readdir(folder);
  const bytes = await readFile(join(folder, files[0]!));
  const records: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = Number(bytes.readBigUInt64LE(at));
    records.push(bytes.subarray(at + 12, at + 12 + length));
    at += 16 + length;
  }
  return records;
}

test('fit writes an event file for TensorBoard into outputDir', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'tallow-events-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const layer = tl.Serial(
    tl.Parallel(
      tl.Serial(tl.Dense(4), tl.SummaryScalar('height'), tl.SummaryImage('row', 1, { numSummaries: 1 }), tl.Dense(1)),
      null,
    ),
    tl.L2Loss(),
  );
  layer.init([f32([rows, depth]), f32([rows, 1]), f32([rows, 1])], { rng: [0, 1] });
  const outputDir = join(folder, 'run');
  const { losses } = await new tl.Trainer(layer, adam()).fit(batches(3), { steps: 3, rng, outputDir });
  const [first, ...steps] = await events(outputDir);
  t.true(first!.includes('brain.Event:2'));
  t.is(steps.length, 3);
  steps.forEach((record, step) => {
    for (const tag of [
      'metrics/loss',
      'training/learning_rate',
      'training/gradients_l2',
      'training/weights_l2',
      'summary_height',
      'summary_row0',
      'PNG',
    ]) {
      t.true(record.includes(tag), `${step}: ${tag}`);
    }
    const at = record.indexOf('metrics/loss') + 'metrics/loss'.length;
    t.is(record[at], 0x15, 'a float field follows');
    t.is(record.readFloatLE(at + 1), Math.fround(losses[step]!));
  });
});

test('an outputDir that cannot be made is an error before the first step', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'tallow-events-'));
  t.teardown(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, 'file'), '');
  const layer = model();
  const before = values(layer.weights);
  const trainer = new tl.Trainer(layer, adam());
  const error = await t.throwsAsync(trainer.fit(batches(3), { steps: 3, rng, outputDir: join(folder, 'file', 'run') }));
  t.is(instanceOf(tl.LayerError, error).code, 'Io');
  t.deepEqual(values(layer.weights), before);
});
