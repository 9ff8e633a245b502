/** The desktop app of the template, walked through in its own files: window, preload script and training process, with a stand-in for Electron. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import anyTest, { type TestFn } from 'ava';
import type { Command, LabEvent } from '../../packages/create-tallow/templates/parts/page/page/protocol.js';
import * as tl from '../../src/index.js';
import { makeProject } from './support/project.js';

const test = anyTest as TestFn<{ folder: string; project: string }>;

/** Steps of a run, with checkpoints at 25 and 50. */
const STEPS = 60;
const PATIENCE_MS = 60_000;

type Kind = LabEvent['type'];
type Of<K extends Kind> = Extract<LabEvent, { readonly type: K }>;
interface Told {
  readonly name: string;
  readonly value: unknown;
}

/** An app that runs, seen by the one who sits before it. */
class App {
  readonly process: ChildProcess;
  readonly heard: LabEvent[] = [];
  readonly #told: Told[] = [];
  #wake: (() => void)[] = [];

  constructor(project: string, data: string) {
    const env = { ...process.env, STAND_IN_PARENT_PORT: join(__dirname, 'support', 'parentPort.cjs') };
    this.process = fork(join(project, 'dist', 'main.js'), [project, data], {
      env: { ...env, STAND_IN_STEPS: String(STEPS) },
      serialization: 'advanced',
    });
    this.process.on('message', ({ event, told }: { event?: LabEvent; told?: Told }) => {
      if (event !== undefined) this.heard.push(event);
      if (told !== undefined) this.#told.push(told);
      this.#wake.splice(0).forEach((wake) => wake());
    });
  }
  send(command: Command): void {
    this.process.send({ command });
  }
  does(...does: readonly string[]): void {
    this.process.send({ does });
  }
  async #until<T>(find: () => T | undefined, what: string): Promise<T> {
    const end = Date.now() + PATIENCE_MS;
    for (;;) {
      const found = find();
      if (found !== undefined) return found;
      if (Date.now() > end) throw new Error(`no ${what} came; heard ${JSON.stringify(this.heard.slice(-5))}`);
      // oxlint-disable-next-line no-await-in-loop
      await new Promise<void>((resolve) => {
        this.#wake.push(resolve);
        global.setTimeout(resolve, 1000);
      });
    }
  }
  /** The first event of a kind that the page hears, from number `from` of those heard. */
  hear<K extends Kind>(type: K, is: (event: Of<K>) => boolean = () => true, from = 0): Promise<Of<K>> {
    const isWanted = (event: LabEvent): event is Of<K> => event.type === type && is(event as Of<K>);
    return this.#until(() => this.heard.slice(from).find(isWanted), type);
  }
  /** What Electron was asked for, the `n`-th time. */
  async told(name: string, n = 0): Promise<unknown> {
    return (await this.#until(() => this.#told.filter((told) => told.name === name)[n], name)).value;
  }
  /** The number of the training process that runs, the `n`-th one. */
  async trainer(n: number): Promise<number> {
    return ((await this.told('fork', n)) as { pid: number }).pid;
  }
  /** What came of a text. */
  textOf(id: number): string {
    return this.heard.map((event) => (event.type === 'text' && event.id === id ? event.text : '')).join('');
  }
}

test.before('a project, in which `electron` is the stand-in', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tallow-app-'));
  const project = await makeProject(join(folder, 'app'), 'electron');
  const standIn = join(project, 'node_modules', 'electron');
  // It was compiled with the types of the real one, to which this is a link.
  rmSync(standIn);
  mkdirSync(standIn);
  writeFileSync(join(standIn, 'package.json'), '{"name":"electron","main":"index.cjs"}');
  copyFileSync(join(__dirname, 'support', 'electronStandIn.cjs'), join(standIn, 'index.cjs'));
  t.context = { folder, project };
});
test.after.always((t) => rmSync(t.context.folder, { recursive: true, force: true }));

/** Waits until a process is gone. */
async function over(pid: number): Promise<void> {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    try {
      process.kill(pid, 0);
    } catch {
      return;
    }
    if (Date.now() > end) throw new Error(`process ${pid} is still there`);
    // oxlint-disable-next-line no-await-in-loop
    await setTimeout(50);
  }
}

const ask = { type: 'write' as const, prompt: 'The whale ', temperature: 0.7, seed: 1 };

test.serial('the window is shut off from Node and the web, and serves its page and no other files', async (t) => {
  const { folder, project } = t.context;
  const app = new App(project, join(folder, 'window'));
  t.teardown(() => app.process.kill('SIGKILL'));
  t.deepEqual(await app.told('window'), { contextIsolation: true, sandbox: true, nodeIntegration: false });
  const page = (await app.told('page')) as { url: string; status: number; type: string; text: string };
  t.deepEqual([page.url, page.status, page.type], ['app://tallow/index.html', 200, 'app']);
  t.regex(page.text, /Content-Security-Policy/);
  t.deepEqual(await app.told('exposed'), { name: 'lab', keys: ['send', 'onEvent'] });
  const asks = ['main.js', '..%2ftext.txt', '%2e%2e%2fdist%2fmain.js', '..%2f..%2f..%2fetc%2fpasswd'];
  for (const path of asks) app.does('request', `app://tallow/${path}`);
  const answers = await Promise.all(asks.map((_, i) => app.told('answer', i)));
  t.deepEqual(answers, [200, 404, 404, 404]);
  app.does('navigate');
  app.does('open', 'https://example.com');
  app.does('permission', 'media');
  t.deepEqual(
    [await app.told('navigated'), await app.told('opened'), await app.told('granted')],
    [false, 'deny', false],
  );
});

test.serial('a page trains, hears text as it is written, saves, is loaded anew, and closes', async (t) => {
  const { folder, project } = t.context;
  const data = join(folder, 'walk');
  const app = new App(project, data);
  t.teardown(() => app.process.kill('SIGKILL'));
  const ready = await app.hear('ready');
  t.deepEqual([ready.step, ready.steps, ready.training, ready.canTrain], [0, STEPS, false, true]);
  app.send({ type: 'train' });
  await app.hear('step');
  app.send({ ...ask, id: 1 });
  await app.hear('text', ({ id }) => id === 1);
  t.true(app.textOf(1).length < 400, 'it comes as it is written');
  await app.hear('written', ({ id }) => id === 1);
  t.is(app.textOf(1).length, 400);
  await app.hear('paused', ({ step }) => step === STEPS);

  app.send({ ...ask, id: 2 });
  await app.hear('written', ({ id }) => id === 2);
  app.send({ type: 'save' });
  const { path } = await app.hear('saved');
  t.is(path, join(data, 'userData', 'model'));
  const { model, encoder, generation } = await tl.models.openFolder(path);
  const options = { ...generation, encoder, rng: tl.random.key(1), temperature: 0.7, maxTokens: 400 };
  t.is((await tl.decoding.sample(model, 'The whale ', options)).text, app.textOf(2));

  const from = app.heard.length;
  app.does('reload');
  const again = await app.hear('ready', () => true, from);
  t.is(again.step, STEPS);
  t.true(again.losses.length > 1, 'the new page gets the curve');
  app.send({ ...ask, id: 3 });
  await app.hear('written', ({ id }) => id === 3);
  t.is(app.textOf(3), app.textOf(2));
  t.deepEqual(
    app.heard.filter(({ type }) => type === 'restarted' || type === 'gone'),
    [],
  );

  const ended = once(app.process, 'exit');
  app.does('close');
  t.deepEqual(await ended, [0, null]);
  t.is(await app.told('quit'), undefined);
  await over(await app.trainer(0));
});

test.serial('a training process that crashes is started again: the page is told, and the run goes on', async (t) => {
  const { folder, project } = t.context;
  const app = new App(project, join(folder, 'crash'));
  t.teardown(() => app.process.kill('SIGKILL'));
  await app.hear('ready');
  app.send({ type: 'train' });
  await app.hear('step', ({ step }) => step > 26);
  const from = app.heard.length;
  process.kill(await app.trainer(0), 'SIGKILL');
  t.is((await app.hear('restarted')).code, 9);
  const ready = await app.hear('ready', () => true, from);
  t.true(ready.step === 25 || ready.step === 50, `it stands at its checkpoint, not ${ready.step}`);
  t.false(ready.training);
  app.send({ type: 'train' });
  await app.hear('paused', ({ step }) => step === STEPS, from);

  // Again and again: it is given up, and the window stays.
  for (let n = 1; n < 5; n += 1) {
    // oxlint-disable-next-line no-await-in-loop
    process.kill(await app.trainer(n), 'SIGKILL');
  }
  t.is((await app.hear('gone')).code, 9);
  t.is(app.process.exitCode, null);
  app.send({ type: 'train' });
  app.does('navigate');
  t.is(await app.told('navigated'), false, 'it goes on answering');
});
