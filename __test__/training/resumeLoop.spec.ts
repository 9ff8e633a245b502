/** Loops that stop and go on: with the same bits as if they had never stopped. */
import { copyFile, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import * as tl from '../../src/index.js';
import { adam, batch, batches, folder, loopOf, model, task } from '../support/loops.js';
import { values } from '../support/values.js';

const STEPS = 12;
const evalTasks = (): tl.training.EvalTask => new tl.training.EvalTask(batches(100), tl.L2Loss(), { nEvalBatches: 2 });
const at = (...steps: number[]) => ({ checkpointAt: (step: number) => steps.includes(step) });

const twoTasks = (): tl.training.TrainTask[] => [
  task(),
  new tl.training.TrainTask(batches(50), tl.SmoothL1Loss(), adam(), { nStepsPerCheckpoint: 4 }),
];

/** Everything a loop has come to, but for times. */
function result(loop: tl.training.Loop, trainer: tl.Trainer): unknown {
  const { train, eval: evaluated } = loop.history.toJSON();
  const { 'training/steps per second': _, ...others } = train!;
  return [
    loop.step,
    values(loop.model.weights),
    values(loop.model.state),
    values(trainer.slots),
    others,
    evaluated,
    loop.newRng(),
  ];
}

async function whole(t: ExecutionContext, tasks = (): tl.training.TrainTask | tl.training.TrainTask[] => task()) {
  const loop = new tl.training.Loop(model(), tasks(), {
    randomSeed: 3,
    evalTasks: evalTasks(),
    outputDir: await folder(t),
  });
  await loop.run(STEPS);
  return result(loop, (await loop.prepare())[0]!);
}

test('a loop of the same folder goes on with the same bits, wherever it was cut', async (t) => {
  const expected = await whole(t);
  for (const cut of [1, 2, 5, 8, 11]) {
    const outputDir = await folder(t);
    const first = loopOf({ outputDir, evalTasks: evalTasks(), ...at(cut) });
    // It is a few steps ahead of its checkpoint when it ends.
    await first.run(Math.min(cut + 2, STEPS));
    const second = loopOf({ outputDir, evalTasks: evalTasks(), ...at() });
    const [trainer] = await second.prepare();
    t.is(second.step, cut);
    await second.run(STEPS - cut);
    t.deepEqual(result(second, trainer!), expected, `cut at ${cut}`);
  }
});

test('several tasks go on with their own slots and data', async (t) => {
  const expected = await whole(t, twoTasks);
  const outputDir = await folder(t);
  const make = (options: Partial<tl.training.LoopOptions>): tl.training.Loop =>
    new tl.training.Loop(model(), twoTasks(), { randomSeed: 3, evalTasks: evalTasks(), outputDir, ...options });
  await make(at(2, 5)).run(7);
  // The files of the first checkpoint are gone.
  t.deepEqual((await readdir(outputDir)).toSorted(), ['model.5.task1.safetensors', 'model.safetensors']);
  const second = make(at());
  const [trainer] = await second.prepare();
  await second.run(STEPS - 5);
  t.deepEqual(result(second, trainer!), expected);
});

test('data that tells its state is asked for it, and goes back to it', async (t) => {
  /** Counts, and can be told where to go on. */
  class Counter implements AsyncIterable<tl.Tensor[]> {
    next = 0;
    restored: unknown = null;
    state(): { next: number } {
      return { next: this.next };
    }
    restore(state: { next: number }): void {
      this.restored = state;
      this.next = state.next;
    }
    async *[Symbol.asyncIterator](): AsyncGenerator<tl.Tensor[]> {
      for (;;) yield batch(this.next++);
    }
  }
  const outputDir = await folder(t);
  const straight = loopOf({}, new Counter());
  await straight.run(9);
  await loopOf({ outputDir, ...at(6) }, new Counter()).run(7);
  const data = new Counter();
  const second = loopOf({ outputDir, ...at() }, data);
  await second.run(3);
  t.deepEqual(data.restored, { next: 6 });
  t.deepEqual(values(second.model.weights), values(straight.model.weights));
});

test('a run that is aborted or stopped within a step, or saved by a callback, loses nothing', async (t) => {
  const straight = loopOf();
  await straight.run(STEPS);
  const expected = [values(straight.model.weights), values(straight.model.state)];
  const outputDir = await folder(t);
  const controller = new AbortController();
  const reason = new Error('enough');
  let saved: Promise<string> | undefined;
  const loop = loopOf({
    outputDir,
    ...at(),
    callbacks: [
      {
        onStep: (loop, { step }) => {
          if (step === 3) controller.abort(reason);
          if (step === 5) return 'stop';
          if (step === 7) loop.stop();
          if (step === 9) saved = loop.saveCheckpoint('nine');
          return undefined;
        },
      },
    ],
  });
  t.is(await t.throwsAsync(loop.run(STEPS, { signal: controller.signal })), reason);
  t.is(loop.step, 3);
  t.like(await loop.run(STEPS), { steps: 2, stopped: true });
  t.like(await loop.run(STEPS), { steps: 2, stopped: true });
  t.is(loop.step, 7);
  t.like(await loop.run(STEPS - 7), { steps: 5, stopped: false });
  t.deepEqual([values(loop.model.weights), values(loop.model.state)], expected);
  // What is saved within a run is that very step.
  const path = await saved!;
  t.is((await tl.training.checkpointInfo(path)).step, 10);
  const nine = loopOf();
  await nine.loadCheckpoint(path);
  t.is(nine.step, 9);
  await nine.run(3);
  t.deepEqual([values(nine.model.weights), values(nine.model.state)], expected);
});

test('a callback that answers with a promise is waited for behind its step', async (t) => {
  const straight = loopOf();
  await straight.run(6);
  const steps: number[] = [];
  const loop = loopOf({
    outputDir: await folder(t),
    ...at(),
    callbacks: [
      {
        onStep: async (loop, { step }) => {
          await new Promise((resolve) => setTimeout(resolve, 1));
          if (step === 2) await loop.saveCheckpoint('two');
          steps.push(loop.step);
        },
      },
    ],
  });
  await loop.run(6);
  t.deepEqual(steps, [1, 2, 3, 4, 5, 6]);
  t.deepEqual(values(loop.model.weights), values(straight.model.weights));
});

test('a checkpoint goes back to where it was written, if the data can', async (t) => {
  const three = [batch(0), batch(1), batch(2)];
  const loop = loopOf({ outputDir: await folder(t), ...at(4) }, three);
  await loop.run(4);
  const path = join(loop.outputDir!, 'model.safetensors');
  await loop.run(3);
  const expected = values(loop.model.weights);
  await loop.loadCheckpoint(path);
  t.is(loop.step, 4);
  await loop.run(3);
  t.deepEqual(values(loop.model.weights), expected);
  const endless = loopOf({ outputDir: await folder(t), ...at(2) });
  await endless.run(4);
  await t.throwsAsync(endless.loadCheckpoint(join(endless.outputDir!, 'model.safetensors')), {
    code: 'InvalidArgument',
    message: /runs forward only/,
  });
});

test('a checkpoint of another model, a file of a trainer, a damaged file: errors, and nothing is changed', async (t) => {
  const outputDir = await folder(t);
  await loopOf({ outputDir, ...at(2) }).run(2);
  const path = join(outputDir, 'model.safetensors');
  const other = new tl.training.Loop(tl.Serial(tl.Dense(3), tl.Dense(1)), task(), { randomSeed: 0 });
  await other.run(1);
  const before = values(other.model.weights);
  await t.throwsAsync(other.loadCheckpoint(path), { code: 'WeightsMismatch' });
  t.deepEqual(values(other.model.weights), before);
  t.is(other.step, 1);

  const loop = loopOf();
  const [trainer] = await loop.prepare();
  const ofTrainer = join(outputDir, 'trainer.safetensors');
  await trainer!.save(ofTrainer, 5);
  await t.throwsAsync(loop.loadCheckpoint(ofTrainer), { code: 'Io', message: /not written by a loop/ });
  const two = new tl.training.Loop(model(), [task(), task()], { randomSeed: 0 });
  await t.throwsAsync(two.loadCheckpoint(path), { code: 'Io', message: /a loop with 1 tasks, and this one has 2/ });

  const bytes = await readFile(path);
  bytes[bytes.length - 3]! ^= 4;
  await writeFile(join(outputDir, 'damaged.safetensors'), bytes);
  const weights = values(loop.model.weights);
  await t.throwsAsync(loop.loadCheckpoint(join(outputDir, 'damaged.safetensors')), { code: 'Io' });
  t.deepEqual(values(loop.model.weights), weights);
  await copyFile(join(outputDir, 'damaged.safetensors'), path);
  await t.throwsAsync(loopOf({ outputDir }).run(1), { code: 'Io' });
});
