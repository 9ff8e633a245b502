/** What TensorBoard is given by a loop. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import * as tl from '../../src/index.js';
import { bytesOf, eventsOf } from '../support/events.js';
import { batches, folder, loopOf } from '../support/loops.js';

const evalTasks = (): tl.training.EvalTask =>
  new tl.training.EvalTask(batches(100), tl.L2Loss(), { metricNames: ['loss'] });

/** All values in the event files of a folder, from the oldest file on. */
async function written(dir: string): Promise<[step: number, tag: string, value: number][][]> {
  const files = (await readdir(dir)).filter((name) => name.startsWith('events.out.tfevents.'));
  const ordered = files.toSorted((a, b) => a.localeCompare(b, 'en', { numeric: true }));
  return ordered.map((name) =>
    eventsOf(join(dir, name)).map(({ step, tag, value }) => [step, tag, bytesOf(value, 2).readFloatLE()]),
  );
}

/** The same, as the history of a loop has them. */
const remembered = (loop: tl.training.Loop, mode: string, after = 0): [number, string, number][] =>
  loop.history
    .metricsForMode(mode)
    .flatMap((metric) =>
      loop.history
        .get(mode, metric)
        .map(({ step, value }): [number, string, number] => [step, metric, Math.fround(value)]),
    )
    .filter(([step]) => step > after)
    .toSorted(([a], [b]) => a - b);

test('losses and learning rates go to train, metrics to eval, behind each evaluation', async (t) => {
  const outputDir = await folder(t);
  const loop = loopOf({ outputDir, evalTasks: evalTasks(), callbacks: [new tl.training.TensorBoard()] });
  await loop.run(8);
  const [train, ...others] = await written(join(outputDir, 'train'));
  t.deepEqual(others, []);
  t.deepEqual(train, remembered(loop, 'train'));
  t.deepEqual(
    train!.filter(([, tag]) => tag === 'metrics/L2Loss').map(([step]) => step),
    [1, 4, 8],
  );
  t.deepEqual(
    train!.filter(([, tag]) => tag === 'training/learning_rate').map(([, , rate]) => rate),
    [0.01, 0.01, 0.01].map(Math.fround),
  );
  const evaluated = loop.history
    .get('eval', 'metrics/loss')
    .map(({ step, value }) => [step, 'metrics/loss', Math.fround(value)]);
  t.is(evaluated.length, 3);
  t.deepEqual(await written(join(outputDir, 'eval')), [evaluated]);
});

test('a run that goes on adds a file, with the values of its own steps', async (t) => {
  const [outputDir, dir] = [await folder(t), join(await folder(t), 'board')];
  const make = (): tl.training.Loop =>
    loopOf({ outputDir, evalTasks: evalTasks(), callbacks: [new tl.training.TensorBoard(dir)] });
  await make().run(6);
  const again = make();
  await again.run(4);
  t.is(again.step, 8);
  await again.run(4);
  const [first, ...later] = await written(join(dir, 'train'));
  t.deepEqual(
    first,
    remembered(again, 'train').filter(([step]) => step <= 4),
  );
  t.deepEqual(later.flat(), remembered(again, 'train', 4));
  t.deepEqual([later.length, (await written(join(dir, 'eval'))).flat()], [2, remembered(again, 'eval')]);
});

test('what was measured is there while the run goes on, and when it fails', async (t) => {
  const outputDir = await folder(t);
  const seen: number[] = [];
  const reader: tl.training.Callback = {
    onEval: async (_loop, { step }) => {
      seen.push((await written(join(outputDir, 'eval')))[0]!.length);
      if (step === 4) throw new Error('enough');
    },
  };
  const board = new tl.training.TensorBoard();
  const loop = loopOf({ outputDir, evalTasks: evalTasks(), callbacks: [board, reader] });
  await t.throwsAsync(loop.run(8), { message: 'enough' });
  t.deepEqual(seen, [1, 2]);
  // The file is closed: the next run writes another.
  await loop.run(4);
  t.deepEqual(
    (await written(join(outputDir, 'eval'))).map((file) => file.map(([step]) => step)),
    [[1, 4], [8]],
  );
});

test('a folder is needed, but for a run without files', async (t) => {
  const callbacks = [new tl.training.TensorBoard()];
  await t.throwsAsync(loopOf({ callbacks }).run(1), {
    code: 'InvalidOption',
    message: /TensorBoard: there is no folder to write to: give it `dir`, or the loop an `outputDir`/,
  });
  const outputDir = await folder(t);
  await loopOf({ callbacks, outputDir, fastDevRun: true }).run(1);
  t.deepEqual(await readdir(outputDir), []);
  // @ts-expect-error a path is wanted
  t.throws(() => new tl.training.TensorBoard(5), { instanceOf: TypeError, message: /TensorBoard: dir must be/ });
});
