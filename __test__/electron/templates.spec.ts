/** Projects of the templates `train` and `server`, compiled and run; the page of `server` in a browser. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import anyTest, { type TestFn } from 'ava';
import { type Browser, chromium } from 'playwright-core';
import { run } from '../support/process.js';
import { makeProject, tsc } from './support/project.js';

const test = anyTest as TestFn<{ folder: string; server: string; child: ChildProcess; address: string }>;

/** Debian's and others' places of Chromium. */
const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) =>
  existsSync(path),
);
const inBrowser = CHROMIUM === undefined ? test.serial.skip : test.serial;
/** Where a picture of the page goes, which shows a model that has learnt more. */
const PICTURE = process.env['TALLOW_SCREENSHOT'];
const STEPS = PICTURE === undefined ? 30 : 2000;
/** The last checkpoint with measurements. */
const LAST = STEPS - (STEPS % 25);

/** Starts the server of a project. @returns its process, and where it listens */
async function start(server: string): Promise<{ child: ChildProcess; address: string }> {
  const child = spawn(process.execPath, ['dist/server.js', '--port', '0'], { cwd: server });
  let output = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output += text));
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  while (!output.includes('Listening')) {
    // oxlint-disable-next-line no-await-in-loop
    await Promise.race([once(child.stdout, 'data'), once(child, 'exit')]);
    if (child.exitCode !== null) throw new Error(output);
  }
  return { child, address: /http:\S+/.exec(output)![0] };
}

test.before('a server of a model that has learnt a little', async (t) => {
  t.timeout(600_000);
  const folder = mkdtempSync(join(tmpdir(), 'tallow-templates-'));
  const server = await makeProject(join(folder, 'server'), 'server');
  const early = await run(process.execPath, ['dist/server.js'], { cwd: server });
  t.is(early.code, 1);
  t.is(early.output.trim(), `There is no model in ${join('runs', 'model')} yet: npm run train`);
  const trained = await run(process.execPath, ['dist/train.js', '--steps', String(STEPS)], { cwd: server });
  t.is(trained.code, 0, trained.output);
  t.context = { folder, server, ...(await start(server)) };
});
test.after.always((t) => {
  t.context.child?.kill('SIGKILL');
  if (t.context.folder !== undefined) rmSync(t.context.folder, { recursive: true, force: true });
});

test('the pages of the templates hold their types', async (t) => {
  await t.notThrowsAsync(tsc(t.context.server, '-p', 'page'));
});

test('train: goes on where it stopped, and writes samples', async (t) => {
  const train = await makeProject(join(t.context.folder, 'train'), 'train');
  const first = await run(process.execPath, ['dist/train.js', '--steps', '3'], { cwd: train });
  t.is(first.code, 0, first.output);
  t.regex(first.output, /Done at step 3\n/);
  const second = await run(process.execPath, ['dist/train.js', '--steps', '5'], { cwd: train });
  t.is(second.code, 0, second.output);
  t.regex(second.output, /^Going on from step 3\n/);
  t.regex(second.output, /Done at step 5\n\nThe [^]{200}\n\nThe [^]{200}\n\nThe [^]{200}\n$/);
  const [head, row] = readFileSync(join(train, 'runs', 'history.csv'), 'utf8').split('\n');
  t.true(head!.startsWith('step,') && row!.startsWith('1,'), head);
});

test.serial('server: answers by OpenAI’s interface', async (t) => {
  const { address } = t.context;
  const models = (await (await fetch(`${address}/v1/models`)).json()) as { data: { id: string }[] };
  t.is(models.data[0]?.id, 'model');
  const body = JSON.stringify({ model: 'model', prompt: 'The whale ', max_tokens: 20, seed: 1 });
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(`${address}/v1/completions`, { method: 'POST', headers, body });
  const { choices } = (await answer.json()) as { choices: { text: string; finish_reason: string }[] };
  t.is(choices[0]?.text.length, 20);
  t.is(choices[0]?.finish_reason, 'length');
  t.is((await fetch(`${address}/tsconfig.json`)).status, 404, 'what is no part of the page is not served');
});

inBrowser('server: the page shows the curve and writes, under its rules for scripts', async (t) => {
  t.timeout(120_000);
  const browser: Browser = await chromium.launch({ executablePath: CHROMIUM!, args: ['--no-sandbox'] });
  t.teardown(() => browser.close());
  const page = await browser.newPage({ viewport: { width: 900, height: 760 } });
  const wrong: string[] = [];
  page.on('console', (message) => void (message.type() === 'error' && wrong.push(message.text())));
  page.on('pageerror', (error) => void wrong.push(error.message));
  await page.goto(t.context.address);
  /** Waits until an element has a text; a function in the page would be made of a string, which its rules refuse. */
  const has = (selector: string, hasText: RegExp): Promise<void> => page.locator(selector, { hasText }).waitFor();
  await has('#status', /^step /);
  t.regex((await page.textContent('#status'))!, new RegExp(`^step ${LAST} of ${LAST} · loss \\d\\.\\d{3}$`));
  t.regex((await page.getAttribute('#curve path', 'd'))!, /^M[\d.]+ [\d.]+L/);
  t.false(await page.isVisible('#train'), 'a server does not train');

  await page.fill('#prompt', 'Call me ');
  await page.click('#write');
  await has('#text', /[^]{60}/);
  t.is(await page.textContent('#write'), 'Stop');
  await has('#write', /Write/);
  const text = (await page.textContent('#text'))!;
  t.is(text.length, 'Call me '.length + 400);
  t.true(text.startsWith('Call me '));

  if (PICTURE !== undefined) await page.screenshot({ path: PICTURE });

  await page.fill('#prompt', 'Ωμέγα');
  await page.click('#write');
  await page.waitForSelector('#notice:not([hidden])');
  t.true((await page.textContent('#notice'))!.length > 10, 'what cannot be written is told');
  await page.fill('#prompt', 'The ');
  await page.click('#write');
  await has('#text', /^The [^]{380}/);
  t.false(await page.isVisible('#notice'));

  // The page's rules: no script but its files.
  const inline = `const script = document.createElement('script'); script.textContent = 'window.ran = 1'; document.head.append(script);`;
  t.false(await page.evaluate(`(() => { ${inline} return 'ran' in window; })()`));
  t.deepEqual(
    wrong.filter((text) => !/status of 400|Content Security Policy/.test(text)),
    [],
  );
});

test.serial('server: SIGTERM ends it', async (t) => {
  const { child } = t.context;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  t.deepEqual(await ended, [0, null]);
});
