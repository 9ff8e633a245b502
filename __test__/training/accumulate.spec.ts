/** Loops whose steps take several batches. */
import { join } from 'node:path';
import test from 'ava';
import * as tl from '../../src/index.js';
import { batch, batches, folder, loopOf, task } from '../support/loops.js';
import { values } from '../support/values.js';

const [EACH, STEPS] = [3, 8];
const accumulate = { accumulate: EACH };
const result = (loop: tl.training.Loop): unknown => [values(loop.model.weights), values(loop.model.state)];

const line = (): tl.Layer => tl.Dense(1);
const plainTask = (data: tl.training.LabeledData): tl.training.TrainTask =>
  new tl.training.TrainTask(data, tl.L2Loss(), tl.optimizers.SGD({ learningRate: 0.1 }));

async function straight(): Promise<unknown> {
  const loop = loopOf(accumulate);
  await loop.run(STEPS);
  return result(loop);
}

/** Asserts that the loop takes the batch behind those of its steps next. */
async function isBehindItsSteps(
  t: { deepEqual(a: unknown, b: unknown): unknown },
  loop: tl.training.Loop,
): Promise<void> {
  t.deepEqual(values((await loop.peekBatches(1))[0]), values(batch(EACH * loop.step)));
}

test('a step is made with the mean of its batches, and takes each of them once', async (t) => {
  const loop = new tl.training.Loop(line(), plainTask(batches()), { randomSeed: 3, ...accumulate });
  t.is(loop.batchesPerStep, EACH);
  await loop.run(STEPS);
  // The mean over three batches is that over one which has the rows of all three.
  const joined = Array.from({ length: STEPS }, (_, step) => {
    const parts = [0, 1, 2].map((i) => batch(EACH * step + i));
    return [0, 1, 2].map((i) => tl.concat(parts.map((part) => part[i]!)));
  });
  const whole = new tl.training.Loop(line(), plainTask(joined), { randomSeed: 3 });
  t.is(whole.batchesPerStep, 1);
  await whole.run(STEPS);
  const [got, want] = [loop, whole].map(({ model }) =>
    tl.tree.leaves(model.weights as tl.Tree<tl.Tensor>).flatMap((w) => Array.from(w.dataSync() as Float32Array)),
  );
  t.is(got!.length, 5);
  got!.forEach((w, i) => t.true(Math.abs(w - want![i]!) < 1e-5, `${i}: ${w}, not ${want![i]}`));
  await isBehindItsSteps(t, loop);
});

test('checkpoints count all batches of the steps, and a loop goes on from them with the same bits', async (t) => {
  const expected = await straight();
  for (const cut of [1, 4, 5]) {
    const outputDir = await folder(t);
    const at = (step: number): boolean => step === cut;
    await loopOf({ ...accumulate, outputDir, checkpointAt: at }).run(cut + 2);
    const { notes } = await tl.training.checkpointInfo(join(outputDir, 'model.safetensors'));
    t.like(notes, { loop: { step: cut, data: [{ used: EACH * cut }] } });
    const again = loopOf({ ...accumulate, outputDir, checkpointAt: () => false });
    await again.prepare();
    t.is(again.step, cut);
    await isBehindItsSteps(t, again);
    await again.run(STEPS - cut);
    t.deepEqual(result(again), expected, `cut at ${cut}`);
  }
});

test('a run that is aborted loses no batch of a step that was not done', async (t) => {
  const expected = await straight();
  for (const last of [0, 4, 7, 11]) {
    const controller = new AbortController();
    const reason = new Error(`behind batch ${last}`);
    const data = (function* (): Generator<tl.Tensor[]> {
      for (let seed = 0; ; seed += 1) {
        if (seed === last + 1) controller.abort(reason);
        yield batch(seed);
      }
    })();
    const loop = loopOf(accumulate, data);
    t.is(await t.throwsAsync(loop.run(STEPS, { signal: controller.signal })), reason);
    t.true(EACH * loop.step <= last + 1, `${loop.step} steps of ${last + 1} batches`);
    await isBehindItsSteps(t, loop);
    await loop.run(STEPS - loop.step);
    t.deepEqual(result(loop), expected, reason.message);
  }
});

test('a run that a callback stops, or that a batch fails, goes on with the batches of its next step', async (t) => {
  const expected = await straight();
  const stopper: tl.training.Callback = { onStep: (_loop, { step }) => (step % 3 === 2 ? 'stop' : undefined) };
  const stopped = loopOf({ ...accumulate, callbacks: [stopper] });
  t.like(await stopped.run(STEPS), { steps: 2, stopped: true });
  await isBehindItsSteps(t, stopped);
  t.like(await stopped.run(STEPS - 2), { steps: 3, stopped: true });
  await isBehindItsSteps(t, stopped);
  await stopped.run(STEPS - 5);
  t.deepEqual(result(stopped), expected);
  // The second batch of step 2 cannot be read at first.
  let isBroken = true;
  const data: AsyncIterator<tl.Tensor[]> & AsyncIterable<tl.Tensor[]> & { seed: number } = {
    seed: 0,
    next() {
      if (this.seed === 4 && isBroken) return Promise.reject(new Error('cannot be read'));
      return Promise.resolve({ done: false, value: batch(this.seed++) });
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
  const failed = new tl.training.Loop(loopOf().model, task(data), { randomSeed: 3, ...accumulate });
  await t.throwsAsync(failed.run(STEPS), { message: 'cannot be read' });
  isBroken = false;
  await isBehindItsSteps(t, failed);
  await failed.run(STEPS - failed.step);
  t.deepEqual(result(failed), expected);
});
