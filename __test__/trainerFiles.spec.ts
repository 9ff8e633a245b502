/** Checkpoints beside a running loop, and steps that are not finite. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import * as tl from '../src/index.js';
import { f32, floats, values } from './support/values.js';
import { tensorsOf, treesOf } from './support/types.js';

const folder = mkdtempSync(join(tmpdir(), 'tallow-trainer-files-'));
test.after.always(() => rmSync(folder, { recursive: true }));

const rng: tl.Key = [3, 1];
const shape = [6, 3];
const adam = (): tl.Optimizer => tl.optimizers.Adam({ learningRate: 0.05 });

function model(): tl.Layer {
  const layer = tl.Serial(
    tl.Dense(5),
    tl.BatchNorm({ axis: [0] }),
    tl.Dropout({ rate: 0.2 }),
    tl.Dense(1),
    tl.Fn('loss', (x: tl.Tensor) => x.sub(3).square().mean()),
  );
  layer.init(f32(shape), { rng: [7, 7] });
  return layer;
}

const batch = (i: number): tl.Tensor[] => [tl.random.normal([9, i], shape)];
function* batches(): Generator<tl.Tensor[]> {
  for (let i = 0; ; i++) yield batch(i);
}

/** Weights, state and slots after so many steps without a break. */
async function after(steps: number): Promise<unknown[]> {
  const layer = model();
  const trainer = new tl.Trainer(layer, adam());
  await trainer.fit(batches(), { steps, rng });
  return [values(layer.weights), values(layer.state), values(trainer.slots)];
}

async function inFile(path: string): Promise<[step: number, ...unknown[]]> {
  const layer = model();
  const trainer = new tl.Trainer(layer, adam());
  const step = await trainer.load(path);
  return [step, values(layer.weights), values(layer.state), values(trainer.slots)];
}

test('a file asked for in onProgress holds the step that was told of, whole', async (t) => {
  const trainer = new tl.Trainer(model(), adam());
  const saves: Promise<void>[] = [];
  await trainer.fit(batches(), {
    steps: 12,
    rng,
    onProgress: ({ step }) => {
      if (step === 2) saves.push(trainer.save(join(folder, 'third'), step + 1));
      if (step === 6) saves.push(trainer.save(join(folder, 'seventh')));
    },
  });
  t.is(saves.length, 2);
  await Promise.all(saves);
  t.deepEqual(await inFile(join(folder, 'third')), [3, ...(await after(3))]);
  t.deepEqual(await inFile(join(folder, 'seventh')), [7, ...(await after(7))]);
});

test('a file asked for at any other time holds one step whole, under its number', async (t) => {
  const trainer = new tl.Trainer(model(), adam());
  const path = join(folder, 'any');
  let last = 0;
  let saving: Promise<void> | undefined;
  const early = trainer.save(join(folder, 'before'), 0);
  const running = trainer.fit(batches(), {
    steps: 400,
    rng,
    onProgress: ({ step }) => {
      last = step;
      if (step === 20) setImmediate(() => void (saving = trainer.save(path, last + 1)));
    },
  });
  const begun = trainer.save(join(folder, 'begun'));
  await running;
  await Promise.all([early, begun, saving]);
  const [step, ...rest] = await inFile(path);
  t.true(step > 20 && step < 400, `step ${step}`);
  t.deepEqual(rest, await after(step));
  t.is((await inFile(join(folder, 'begun')))[0], 0);
  t.deepEqual(values((await inFile(join(folder, 'before')))[1]), values((await inFile(join(folder, 'begun')))[1]));
});

test('a file asked for while the loop waits for a batch is written at once', async (t) => {
  const trainer = new tl.Trainer(model(), adam());
  let go!: () => void;
  const gate = new Promise<void>((resolve) => (go = resolve));
  async function* slow(): AsyncGenerator<tl.Tensor[]> {
    yield batch(0);
    yield batch(1);
    await gate;
    yield batch(2);
  }
  let heard!: () => void;
  const second = new Promise<void>((resolve) => (heard = resolve));
  const running = trainer.fit(slow(), {
    steps: 3,
    rng,
    onProgress: ({ step }) => {
      if (step === 1) heard();
    },
  });
  await second;
  await trainer.save(join(folder, 'waiting'));
  go();
  await running;
  t.deepEqual(await inFile(join(folder, 'waiting')), [2, ...(await after(2))]);
});

test('a file asked for before a loop is stopped is written all the same', async (t) => {
  const trainer = new tl.Trainer(model(), adam());
  const [controller, reason] = [new AbortController(), new Error('enough')];
  let saving: Promise<void> | undefined;
  const running = trainer.fit(batches(), {
    steps: 100,
    rng,
    signal: controller.signal,
    onProgress: ({ step }) => {
      if (step !== 2) return;
      saving = trainer.save(join(folder, 'stopped'));
      controller.abort(reason);
    },
  });
  t.is(await t.throwsAsync(running), reason);
  await saving;
  const [step, ...rest] = await inFile(join(folder, 'stopped'));
  t.deepEqual(rest, await after(3));
  t.is(step, 3);
});

test('what cannot be done beside a loop is refused in words', async (t) => {
  const trainer = new tl.Trainer(model(), adam());
  const path = join(folder, 'busy');
  await trainer.save(path, 1);
  const busy = { code: 'Busy', message: /loop/ };
  const refusals: Promise<unknown>[] = [];
  await trainer.fit(batches(), {
    steps: 3,
    rng,
    onProgress: ({ step }) => {
      if (step !== 0) return;
      refusals.push(t.throwsAsync(trainer.load(path), busy));
      t.throws(() => trainer.slots, busy);
      t.throws(() => trainer.oneStep(batch(0), rng), busy);
    },
  });
  await Promise.all(refusals);
  t.is(refusals.length, 1);
  t.is(await trainer.load(path), 1);
  t.deepEqual(trainer.slots, [], 'the file was saved before the first step');
});

/** Adds what it has seen, each device for itself. */
class Seen extends tl.Layer {
  override initWeightsAndState(): void {
    this.state = [tl.zeros([])];
  }
  override forward(x: tl.Tensor): tl.Tensor {
    const [seen] = tensorsOf(this.state, 1);
    this.state = [seen.add(x.mean())];
    return x.add(seen.mul(0.1));
  }
}

function seeing(): tl.Layer {
  const layer = tl.Serial(
    tl.Dense(3),
    new Seen(),
    tl.Fn('loss', (x: tl.Tensor) => x.square().mean()),
  );
  layer.init(f32([4, 2]), { rng: [1, 1] });
  return layer;
}

const pairs = (i: number): tl.Tensor[] => [tl.random.normal([8, i], [4, 2])];

const run = (trainer: tl.Trainer, steps: readonly number[]): number[] =>
  steps.map((step) => trainer.oneStep(pairs(step), [5, step], { step })[0]);

test('the states of several devices are saved, and a run on as many goes on as if it had not stopped', async (t) => {
  const whole = run(new tl.Trainer(seeing(), adam(), { nDevices: 2 }), [0, 1, 2, 3, 4]);
  const first = new tl.Trainer(seeing(), adam(), { nDevices: 2 });
  const begun = run(first, [0, 1, 2]);
  const path = join(folder, 'devices');
  await first.save(path, 3);
  const second = new tl.Trainer(seeing(), adam(), { nDevices: 2 });
  run(second, [7]);
  t.is(await second.load(path), 3);
  t.deepEqual([...begun, ...run(second, [3, 4])], whole);
  // One device goes on with what the first of them had come to.
  const single = seeing();
  t.is(await new tl.Trainer(single, adam()).load(path), 3);
  t.deepEqual(values(single.state), values(first.modelWithLoss.state));
});

/** A model whose loss is finite where its gradient is not: the square root of zero. */
function rooted(): tl.Layer {
  const layer = tl.Serial(
    tl.Dense(4),
    tl.Dense(2, { useBias: false, kernelInitializer: tl.RandomUniformInitializer({ lim: 0.5 }) }),
    tl.Fn('rms', (x: tl.Tensor) => x.square().mean().sqrt()),
  );
  layer.init(f32([2, 3]), { rng: [0, 4] });
  return layer;
}

for (const nDevices of [1, 2]) {
  test(`a gradient that is not finite changes nothing and is named, on ${nDevices} device(s)`, async (t) => {
    const layer = rooted();
    const trainer = new tl.Trainer(layer, tl.optimizers.Adam({ clipGradNorm: 1 }), { nDevices });
    trainer.oneStep([tl.ones([2, 3])], rng);
    const path = join(folder, `good-${nDevices}`);
    await trainer.save(path, 1);
    const before = [values(layer.weights), values(trainer.slots)];
    const bytes = readFileSync(path);
    // Zero inputs leave only the bias, which one step of Adam has moved: it is put back.
    const [dense, ...others] = treesOf(layer.weights, 3);
    layer.weights = [[tensorsOf(dense)[0]!, tl.zeros([4])], ...others];
    const zeroed = values(layer.weights);
    const wrong = {
      code: 'NotFinite',
      message: /the gradient of weights\/0\.Dense_4\/0 is NaN at step 1, though the loss is 0/,
    };
    t.throws(() => trainer.oneStep([tl.zeros([2, 3])], rng, { step: 1 }), wrong);
    await t.throwsAsync(trainer.fit([[tl.zeros([2, 3])]], { steps: 1, rng, firstStep: 1 }), wrong);
    t.deepEqual([values(layer.weights), values(trainer.slots)], [zeroed, before[1]]);
    t.deepEqual(readFileSync(path), bytes);
  });
}

test('a loss, a weight, a state or a learning rate that is not finite stops a step, and NaN is not saved', async (t) => {
  const layer = model();
  const trainer = new tl.Trainer(layer, adam());
  trainer.oneStep(batch(0), rng);
  const path = join(folder, 'finite');
  await trainer.save(path, 1);
  const [weights, state] = [layer.weights, layer.state];
  const unchanged = (): boolean =>
    t.deepEqual([values(layer.weights), values(layer.state)], [values(weights), values(state)]);
  t.throws(() => trainer.oneStep([tl.full(shape, Number.NaN)], rng, { step: 1 }), {
    code: 'NotFinite',
    message: /the loss is NaN at step 1/,
  });
  unchanged();
  await t.throwsAsync(trainer.fit([batch(1)], { steps: 1, rng, schedule: () => Number.NaN }), {
    code: 'InvalidOption',
    message: /schedule must return a finite number, at step 0/,
  });
  unchanged();

  const side = tl.Serial(
    tl.Branch(tl.BatchNorm({ axis: [0] }), tl.Dense(1)),
    tl.Select([1], { nIn: 2 }),
    tl.Fn('loss', (x: tl.Tensor) => x.mean()),
  );
  side.init(f32(shape), { rng });
  const started = values(side.state);
  const large = new tl.Trainer(side, adam());
  t.throws(
    () =>
      large.oneStep(
        [
          floats([
            [1e30, 1, 1],
            [-1e30, 1, 1],
            [1, 1, 1],
            [1, 1, 1],
            [1, 1, 1],
            [1, 1, 1],
          ]),
        ],
        rng,
      ),
    { code: 'NotFinite', message: /state\/.*BatchNorm\/\d would become (Infinity|inf|NaN) at step 0/ },
  );
  t.deepEqual(values(side.state), started);

  const kernel = tl.full([3, 5], Number.NaN);
  const [dense, ...others] = treesOf(weights);
  layer.weights = [[kernel, tensorsOf(dense)[1]!], ...others];
  t.throws(() => trainer.oneStep(batch(1), rng, { step: 1 }), {
    code: 'NotFinite',
    message: /as weights\/0\.Dense_5\/0 is NaN/,
  });
  const bytes = readFileSync(path);
  await t.throwsAsync(trainer.save(path, 2), { code: 'NotFinite', message: /weights\/0\.Dense_5\/0 is NaN/ });
  t.deepEqual(readFileSync(path), bytes);
  t.is(await trainer.load(path), 1);
  unchanged();
});

test('slots of another optimizer or model leave everything as it was', async (t) => {
  const layer = model();
  const trainer = new tl.Trainer(layer, adam());
  trainer.oneStep(batch(0), rng);
  const path = join(folder, 'slots');
  await trainer.save(path, 1);
  // The same weights, but slots of other shapes.
  const file = tl.loadSafetensors(path);
  file['slots/00000/1'] = tl.zeros([2]);
  tl.saveSafetensors(file, path);
  const fresh = model();
  const before = values(fresh.weights);
  await t.throwsAsync(new tl.Trainer(fresh, adam()).load(path), { code: 'WeightsMismatch', message: /slots/ });
  t.deepEqual(values(fresh.weights), before);
});
