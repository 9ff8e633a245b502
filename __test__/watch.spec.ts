/** `npm run watch` and `npm run ready`: which tests belong to a file, one round after another, and nothing is left running. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { spawn } from 'node:child_process';
import test from 'ava';
import { run } from '../scripts/lib/run.mjs';
import { specsFor, specsNamed } from '../scripts/lib/specs.mjs';
import { watch } from '../scripts/lib/watch.mjs';
import { root } from './support/process.js';

const specs = [
  '__test__/docs.spec.ts',
  '__test__/layer.spec.ts',
  '__test__/layers/rel_attention.spec.ts',
  '__test__/training.spec.ts',
];

const of = (...files: string[]): string[] => specsFor(files, specs);

test('the tests of a file are those called as it or as its folder', (t) => {
  t.deepEqual(of('__test__/layer.spec.ts'), ['__test__/layer.spec.ts']);
  t.deepEqual(of('src/training/trainer.ts'), ['__test__/training.spec.ts']);
  t.deepEqual(of('crates/layers/src/research/rel_attention/mod.rs'), ['__test__/layers/rel_attention.spec.ts']);
  t.deepEqual(of('README.md', 'src/layer/handle.ts'), ['__test__/docs.spec.ts', '__test__/layer.spec.ts']);
  t.deepEqual(of('src/index.ts', 'Cargo.toml'), []);
  t.deepEqual(of(), []);
});

test('tests are chosen by a part of their path, and a misspelt one is refused', (t) => {
  t.deepEqual(specsNamed(['rel_', 'docs'], specs), ['__test__/docs.spec.ts', '__test__/layers/rel_attention.spec.ts']);
  t.deepEqual(specsNamed([], specs), []);
  t.throws(() => specsNamed(['layer', 'trainig'], specs), {
    message: 'no file of tests has `trainig` in its path',
  });
});

/** Resolves once `held` does; a deadline only ends a test that has failed. */
async function until(held: () => boolean): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!held()) {
    if (Date.now() > deadline) throw new Error('did not come true');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test('watch: one round for what was saved, the next for what was saved meanwhile; an error does not end it', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tallow-watch-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(join(folder, 'src', 'node_modules'), { recursive: true });
  const save = (name: string): void => writeFileSync(join(folder, 'src', name), String(Math.random()));
  save('a.ts');
  const stop = new AbortController();
  const rounds: string[][] = [];
  let atOnce = 0;
  let started = false;
  const work = async (files: string[]): Promise<void> => {
    atOnce += 1;
    t.is(atOnce, 1);
    rounds.push(files);
    if (rounds.length === 1) {
      save('b.ts');
      // Long enough for the watcher to see the file while this round goes on.
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
    atOnce -= 1;
    if (rounds.length === 2) throw new Error('planted');
  };
  const printed = console.error;
  const errors: unknown[] = [];
  console.error = (error) => errors.push(error);
  t.teardown(() => (console.error = printed));
  const ended = watch(['src'], work, { cwd: folder, signal: stop.signal, started: () => (started = true) });
  await until(() => started);
  t.deepEqual(rounds, [], 'nothing was saved yet');
  save('node_modules/c.ts');
  save('.a.ts.swp');
  save('a.ts');
  await until(() => rounds.length === 2 && atOnce === 0);
  save('a.ts');
  await until(() => rounds.length === 3 && atOnce === 0);
  stop.abort();
  await ended;
  t.deepEqual(rounds, [['src/a.ts'], ['src/b.ts'], ['src/a.ts']]);
  t.deepEqual(errors.map(String), ['Error: planted']);
});

const alive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

test('a command that is ended takes along what it has started', async (t) => {
  const stop = new AbortController();
  let pids: number[] = [];
  const child = `setInterval(() => {}, 1000)`;
  const parent = `const { spawn } = require('node:child_process');
    const { pid } = spawn(process.execPath, ['-e', ${JSON.stringify(child)}], { stdio: 'inherit' });
    console.log(process.pid + ' ' + pid);
    setInterval(() => {}, 1000);`;
  const onLine = (line: string): void => void (pids = line.split(' ').map(Number));
  const ended = run(process.execPath, ['-e', parent], { signal: stop.signal, onLine });
  await until(() => pids.length === 2);
  t.deepEqual(pids.map(alive), [true, true]);
  stop.abort();
  const { signal } = await ended;
  if (process.platform !== 'win32') t.is(signal, 'SIGTERM');
  await until(() => !pids.some(alive));
  const late = await run(process.execPath, ['-e', 'console.log("ran")'], { signal: stop.signal });
  t.deepEqual(late, { code: 1, signal: 'SIGTERM', output: '' });
});

test('npm run watch ends at an interruption, without an error', async (t) => {
  const child = spawn(process.execPath, ['scripts/watch.mjs'], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  const closed = new Promise<number | null>((resolve) => child.on('close', resolve));
  await until(() => output.includes('waiting for a save'));
  child.kill('SIGINT');
  const code = await closed;
  if (process.platform !== 'win32') t.is(code, 0, output);
  t.true(output.endsWith('waiting for a save; Ctrl-C ends\n'), output);
});
