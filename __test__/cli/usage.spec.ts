/** How the program answers what is typed: help, versions, mistakes, pipes that close, terminals. */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import pkg from '../../package.json';
import { javascriptIsFresh } from '../../scripts/lib/javascript.mjs';
import * as tl from '../../src/index.js';
import { hasStack, program, tallow } from '../support/program.js';
import { run } from '../support/process.js';

const folder = mkdtempSync(join(tmpdir(), 'tallow-usage-'));
test.before((t) => {
  t.true(javascriptIsFresh(), 'dist/ is older than src/: npm run build');
  const many = Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`tensor ${i}`, [i]]));
  tl.saveNpz(join(folder, 'many.npz'), many);
});
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

test('help lists every command, and each shows examples and exits with 0', async (t) => {
  const { code, out, err } = await tallow(['--help']);
  t.deepEqual([code, err], [0, '']);
  const names = [...out.matchAll(/^ {2}(\w+)(?:\|\w+)? (?:\[|<)/gm)].map(([, name]) => name!);
  t.deepEqual(names, ['train', 'eval', 'generate', 'serve', 'inspect', 'convert', 'bench', 'info']);
  t.regex(out, /Exit codes: 0 done, 1 it failed, 2 /);
  const helps = await Promise.all(names.map((name) => tallow([name, '--help'])));
  for (const [i, help] of helps.entries()) {
    t.is(help.code, 0);
    t.regex(help.out, new RegExp(`Usage: tallow ${names[i]}`));
    t.regex(help.out, /\nExamples:\n {2}tallow /);
    t.regex(help.out, /--json/);
  }
});

test('the version is that of the package', async (t) => {
  t.deepEqual(await tallow(['--version']), { code: 0, out: `${pkg.version}\n`, err: '' });
});

const mistakes: Readonly<Record<string, readonly [words: string[], says: RegExp]>> = {
  'no command': [[], /Usage: tallow/],
  'an unknown command': [['inspekt', 'x'], /unknown command 'inspekt'.*\n.*Did you mean inspect/],
  'an unknown option': [['inspect', 'x', '--sorted'], /unknown option '--sorted'/],
  'no file': [['inspect'], /missing required argument 'file'/],
  'a word too many': [['inspect', 'a', 'b'], /too many arguments/],
  'a choice that there is not': [['inspect', 'a', '--sort', 'size'], /Allowed choices are name, bytes, file/],
  'a number that is none': [['bench', '--threads', 'two'], /must be a whole number of at least 1/],
  'a setting without a value': [['train', 'a.json', '--set', 'seed'], /It must be key=value/],
};
for (const [what, [words, says]] of Object.entries(mistakes)) {
  test(`${what} is a mistake: exit code 2, a sentence and no stack`, async (t) => {
    const { code, out, err } = await tallow(words);
    t.is(code, 2, err);
    t.is(out, '');
    t.regex(err, says);
    t.false(hasStack(err), err);
  });
}

test('a mistake is JSON where that was asked for', async (t) => {
  const { code, err } = await tallow(['inspect', 'absent.npz', '--json']);
  t.is(code, 2);
  t.deepEqual(JSON.parse(err), {
    error: { kind: 'mistake', code: null, message: 'cannot read absent.npz: there is no such file' },
  });
});

for (const [what, [words, message]] of Object.entries({
  'an unknown option': [['inspect', 'x', '--sorted'], "unknown option '--sorted' (Did you mean --sort?)"],
  'an unknown command': [['inspct', 'x'], "unknown command 'inspct' (Did you mean inspect?)"],
  'no file': [['inspect'], "missing required argument 'file'"],
} satisfies Record<string, [string[], string]>)) {
  test(`${what} is one value of JSON where that was asked for`, async (t) => {
    const { code, out, err } = await tallow([...words, '--json']);
    t.deepEqual([code, out], [2, '']);
    t.deepEqual(JSON.parse(err), { error: { kind: 'mistake', code: null, message } });
  });
}

const onFullDisk = existsSync('/dev/full') ? test : test.skip;
for (const words of [['--help'], ['info', '--json'], ['inspect', join(folder, 'many.npz')]]) {
  onFullDisk(`tallow ${words[0]}: an output on a full disk is a failure in one line`, async (t) => {
    const shown = [process.execPath, program, ...words].map((word) => `'${word}'`).join(' ');
    const { code, output } = await run('/bin/sh', ['-c', `${shown} > /dev/full`]);
    t.deepEqual([code, output], [1, 'error: the output cannot be written: there is no room left on its disk\n']);
  });
}

test('--stack shows where an error comes from', async (t) => {
  const { code, err } = await tallow(['inspect', 'absent.npz', '--stack']);
  t.is(code, 2);
  t.true(hasStack(err), err);
});

test('an output that is closed early ends the program at once, without a word', async (t) => {
  const ended = await new Promise<{ code: number | null; err: string }>((resolve) => {
    const child = spawn(process.execPath, [program, 'inspect', join(folder, 'many.npz')], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let err = '';
    child.stdout.once('data', () => child.stdout.destroy());
    child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
    child.on('close', (code) => resolve({ code, err }));
  });
  t.deepEqual(ended, { code: 0, err: '' });
});

test('all of a long output arrives in a pipe', async (t) => {
  const { out } = await tallow(['inspect', join(folder, 'many.npz')]);
  t.is(out.match(/^tensor \d+ /gm)?.length, 5000);
  t.true(out.trimEnd().endsWith('20 kB'), out.slice(-200));
});

const inTerminal = existsSync('/usr/bin/script') && process.platform === 'linux' ? test : test.skip;
inTerminal('a terminal gets colour, unless NO_COLOR is set; a pipe gets none', async (t) => {
  writeFileSync(join(folder, 'empty'), '');
  const escape = String.fromCharCode(27);
  const words = `${process.execPath} ${program} inspect ${join(folder, 'many.npz')}`;
  // Each of these has a say in whether Node finds colours.
  const unset = ['CI', 'FORCE_COLOR', 'NO_COLOR', 'NODE_DISABLE_COLORS', 'TEAMCITY_VERSION', 'TMUX'];
  const env = { ...Object.fromEntries(unset.map((name) => [name, undefined])), TERM: 'xterm-256color' };
  const coloured = await run('/usr/bin/script', ['-qec', words, '/dev/null'], { env });
  t.true(coloured.output.includes(`${escape}[1m`), coloured.output.slice(0, 400));
  const plain = await run('/usr/bin/script', ['-qec', words, '/dev/null'], { env: { ...env, NO_COLOR: '1' } });
  t.false(plain.output.includes(`${escape}[`), plain.output.slice(0, 400));
  const { out } = await tallow(['inspect', join(folder, 'many.npz')], { env });
  t.false(out.includes(escape));
});

test('info tells of the machine, and that nothing is wrong', async (t) => {
  const { code, out } = await tallow(['info', '--json']);
  t.is(code, 0);
  const said = JSON.parse(out) as {
    version: string;
    system: { platform: string; arch: string; node: string };
    addon: { version: string; path: string; kernels: string; threads: number };
    devices: string[];
    missingDevices: string[];
    optional: string[];
    problems: string[];
  };
  t.deepEqual(said.optional, Object.keys(pkg.peerDependencies), 'development has all of them');
  t.is(said.version, pkg.version);
  t.is(said.addon.version, pkg.version);
  t.deepEqual(
    [said.system.platform, said.system.arch, said.system.node],
    [process.platform, process.arch, process.version],
  );
  t.true(existsSync(said.addon.path));
  t.true(['AVX-512', 'AVX2', 'portable'].includes(said.addon.kernels));
  t.is(said.addon.threads, tl.numThreads());
  t.deepEqual(said.devices, ['cpu']);
  t.deepEqual(
    said.missingDevices.map((why) => why.split(';')[0]),
    ['this build has no CUDA', 'this build has no Metal'],
  );
  t.deepEqual(said.problems, []);
  const doctor = await tallow(['doctor']);
  t.is(doctor.code, 0);
  t.regex(doctor.out, /\nNothing is wrong\.\n$/);
  t.regex(
    doctor.out,
    /devices +cpu\n +this build has no CUDA; build the addon with `npm run build -- --features cuda`/,
  );
  for (const name of said.optional) t.true(doctor.out.includes(` ${name} is there\n`), name);
});

test('info says when more threads are asked for than there are processors', async (t) => {
  const { code, out } = await tallow(['info'], { env: { TALLOW_NUM_THREADS: '600' } });
  t.is(code, 0);
  t.regex(out, /1 problem:\n- 600 threads share \d+ processors/);
});

test('bench measures products, memory and a step, with units', async (t) => {
  const { code, out } = await tallow(['bench', '--threads', '1', '--json']);
  t.is(code, 0);
  const rows = JSON.parse(out) as { threads: number; ms: number; value: number; unit: string }[];
  t.deepEqual(
    rows.map(({ unit, threads }) => [unit, threads]),
    [
      ['GFLOP/s', 1],
      ['GB/s', 1],
      ['tokens/s', 1],
    ],
  );
  for (const { ms, value } of rows) t.true(ms > 0 && value > 0 && Number.isFinite(value));
});
