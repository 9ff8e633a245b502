/** The training process of the template `electron`: it trains beside a page, writes, saves, and goes on where a process that was killed stood. */
import { createHash } from 'node:crypto';
import { type ChildProcess } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import anyTest, { type TestFn } from 'ava';
import type { Command } from '../../packages/create-tallow/templates/parts/page/page/protocol.js';
import { supervise } from '../../packages/create-tallow/templates/electron/src/supervise.js';
import * as tl from '../../src/index.js';
import { makeProject } from './support/project.js';
import { forkTrainer, Page } from './support/trainer.js';

const test = anyTest as TestFn<{ folder: string; project: string }>;

/** Steps of a run, with a checkpoint at 25 on the way. */
const STEPS = 32;

test.before('a project', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tallow-electron-'));
  t.context = { folder, project: await makeProject(join(folder, 'app'), 'electron') };
});
test.after.always((t) => rmSync(t.context.folder, { recursive: true, force: true }));

/** Weights and slots of a checkpoint, to the last bit. */
function digest(data: string): string {
  const tensors = tl.loadSafetensors(join(data, 'run', 'model.safetensors'));
  const hash = createHash('sha256');
  for (const name of Object.keys(tensors).toSorted()) {
    const values = tensors[name]!.dataSync();
    if (!Array.isArray(values))
      hash.update(name).update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }
  return hash.digest('hex');
}

/** What came of a text. */
const textOf = ({ heard }: Page, id: number): string =>
  heard.map((event) => (event.type === 'text' && event.id === id ? event.text : '')).join('');

/** What a command comes to that cannot be done. */
async function failure(page: Page, command: Command): Promise<string> {
  const from = page.heard.length;
  page.send(command);
  return (await page.hear('failed', () => true, from)).message;
}

test.serial(
  'a run whose process is killed in mid-training ends with the bits of one that was left alone',
  async (t) => {
    const { folder, project } = t.context;
    const fork = (data: string): ChildProcess => {
      const child = forkTrainer(project, data, { steps: STEPS });
      t.teardown(() => child.kill('SIGKILL'));
      return child;
    };
    const [alone, killed] = [join(folder, 'alone'), join(folder, 'killed')];

    const whole = fork(alone);
    const watcher = new Page(whole);
    watcher.send({ type: 'train' });
    await watcher.hear('paused', ({ step }) => step === STEPS);

    const first = fork(killed);
    const page = new Page(first);
    page.send({ type: 'train' });
    await page.hear('step', ({ step }) => step > 26);
    const ended = once(first, 'exit');
    first.kill('SIGKILL');
    t.deepEqual(await ended, [null, 'SIGKILL']);

    const second = fork(killed);
    const again = new Page(second);
    const ready = await again.hear('ready');
    t.is(ready.step, 25, 'it goes on from the last checkpoint');
    t.deepEqual(
      ready.losses.map(([step]) => step),
      [1, 25],
      'and brings the curve along',
    );
    again.send({ type: 'train' });
    await again.hear('paused', ({ step }) => step === STEPS);
    t.is(digest(killed), digest(alone));
  },
);

test.serial('a page hears text while the model learns, ends it, and is told what is wrong', async (t) => {
  const { folder, project } = t.context;
  const child = forkTrainer(project, join(folder, 'writing'));
  t.teardown(() => child.kill('SIGKILL'));
  const page = new Page(child);
  const { step, training } = await page.hear('ready');
  t.deepEqual({ step, training }, { step: 0, training: false });
  page.send({ type: 'train' });
  await page.hear('step');

  const ask = { type: 'write' as const, prompt: 'The whale ', temperature: 0.7, seed: 1 };
  page.send({ ...ask, id: 1 });
  await page.hear('text', ({ id }) => id === 1);
  page.send({ type: 'stop', id: 1 });
  await page.hear('written', ({ id }) => id === 1);
  t.true(textOf(page, 1).length < 400, 'it was ended on the way');

  // A page that is loaded anew: the process is the same, and so is the run.
  const reloaded = new Page(child);
  t.true((await reloaded.hear('ready')).training);
  reloaded.send({ type: 'pause' });
  const paused = await reloaded.hear('paused');
  t.true(paused.step > 0 && paused.step < 2000);
  const heard = page.heard.length;
  reloaded.send({ ...ask, id: 2 });
  await reloaded.hear('written', ({ id }) => id === 2);
  t.is(textOf(reloaded, 2).length, 400);
  t.is(page.heard.length, heard, 'the page before hears nothing more');

  t.regex(await failure(reloaded, { ...ask, id: 3, prompt: 'Ωμέγα' }), /Ω/);
  t.regex(await failure(reloaded, { ...ask, id: 4, temperature: -1 }), /temperature/);
  reloaded.send({ ...ask, id: 5 });
  await reloaded.hear('written', ({ id }) => id === 5);
  t.is(textOf(reloaded, 5).length, 400, 'and the next request is answered');

  reloaded.send({ type: 'save' });
  const { path } = await reloaded.hear('saved');
  const saved = await tl.models.openFolder(path);
  const options = {
    ...saved.generation,
    encoder: saved.encoder,
    rng: tl.random.key(1),
    temperature: 0.7,
    maxTokens: 400,
  };
  const { text } = await tl.decoding.sample(saved.model, 'The whale ', options);
  t.is(text, textOf(reloaded, 2), 'the saved model writes what the page was shown');
});

test.serial('a process that is killed is started again, and goes on from its checkpoint', async (t) => {
  const { folder, project } = t.context;
  const data = join(folder, 'supervised');
  let starts = 0;
  const started = new EventEmitter<{ start: [ChildProcess, number | null] }>();
  const first = once(started, 'start');
  const end = supervise(() => forkTrainer(project, data, { steps: STEPS }), {
    onStart: (child, ended) => {
      starts += 1;
      // A listener may come behind this call.
      setImmediate(() => started.emit('start', child, ended));
    },
    onGiveUp: (code) => t.fail(`given up, code ${code}`),
  });
  t.teardown(end);
  const [child, before] = (await first) as [ChildProcess, number | null];
  t.is(before, null);
  const page = new Page(child);
  page.send({ type: 'train' });
  await page.hear('step', ({ step }) => step > 2);
  const again = once(started, 'start');
  child.kill('SIGKILL');
  const [next, ended] = (await again) as [ChildProcess, number | null];
  t.is(ended, -1, 'a signal has no code');
  t.is((await new Page(next).hear('ready')).step, 1, 'the checkpoint of the first step');

  const over = once(next, 'exit');
  end();
  await over;
  t.is(starts, 2, 'what is ended stays ended');
});

test('a process that ends again and again is given up', (t) => {
  class Failing extends EventEmitter {
    kill(): boolean {
      return true;
    }
  }
  const started: (number | null)[] = [];
  const givenUp: number[] = [];
  const processes: Failing[] = [];
  supervise(
    () => {
      const process = new Failing();
      processes.push(process);
      return process;
    },
    { onStart: (_, ended) => started.push(ended), onGiveUp: (code) => givenUp.push(code) },
  );
  for (let i = 0; i < 5; i += 1) processes[i]!.emit('exit', i + 1);
  t.deepEqual(started, [null, 1, 2, 3, 4]);
  t.deepEqual(givenUp, [5]);
  t.is(processes.length, 5);
});
