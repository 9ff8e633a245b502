/** `npm start` as a newcomer meets it: flags, mistakes, a whole small run, Ctrl-C. */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { root, run } from './support/process.js';

const program = ['--import=tsx', join(root, 'examples', 'moby-dick', 'main.ts')];
const start = (...args: string[]): ReturnType<typeof run> => run(process.execPath, [...program, ...args]);

const folder = (t: ExecutionContext): string => {
  const path = mkdtempSync(join(tmpdir(), 'tallow-start-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
};

/** A text with enough order in it for a small model to learn. */
const verses = Array.from({ length: 400 }, (_, i) => `${i % 7} whales swim by, ${i % 3} boats follow.`).join('\n');
const small = ['--d-model', '16', '--layers', '1', '--heads', '2', '--length', '32', '--batch', '4'];

test('npm start -- --help lists the flags', async (t) => {
  const { code, output } = await start('--help');
  t.is(code, 0);
  for (const flag of [
    'model',
    'hashes',
    'chunk',
    'text',
    'steps',
    'd-model',
    'layers',
    'heads',
    'length',
    'batch',
    'seed',
    'out',
  ])
    t.regex(output, new RegExp(`--${flag} `));
});

test('npm start reads the flags before it builds anything', async (t) => {
  const started = await run(process.execPath, [join('scripts', 'start.mjs'), '--nope']);
  t.deepEqual([started.code, started.output.trim()], [1, `unknown option '--nope'`]);
});

const mistakes: readonly (readonly [string, readonly string[], string])[] = [
  ['an unknown flag', ['--nope'], `unknown option '--nope'`],
  [
    'a number that is none',
    ['--steps', 'ten'],
    `option '--steps <n>' argument 'ten' is invalid. It must be a whole number of at least 1.`,
  ],
  [
    'no steps',
    ['--steps', '0'],
    `option '--steps <n>' argument '0' is invalid. It must be a whole number of at least 1.`,
  ],
  ['a flag without its value', ['--seed'], `option '--seed <n>' argument missing`],
  [
    'heads that do not divide the width',
    ['--d-model', '10', '--heads', '4'],
    '--heads must divide --d-model, but 4 does not divide 10',
  ],
  [
    'a model that is none',
    ['--model', 'lstm'],
    `option '--model <name>' argument 'lstm' is invalid. It must be transformer or reformer.`,
  ],
  ['hashes for a model without', ['--hashes', '2'], '--hashes is for --model reformer'],
  [
    'a length that chunks do not divide',
    ['--model', 'reformer', '--length', '1000'],
    '--length must be a multiple of --chunk, but 1000 is none of 64; try 1024',
  ],
  [
    'a length beyond the text',
    ['--model', 'reformer', '--length', '131072'],
    '--length must be at most 105049, the characters held out of Moby-Dick, but it is 131072',
  ],
  ['a missing file', ['--text', 'no/such.txt'], '--text: there is no file no/such.txt'],
  ['a folder', ['--text', 'src'], '--text: src is not a file'],
];
for (const [what, args, line] of mistakes) {
  test(`npm start: ${what} is one line and a failure`, async (t) => {
    const { code, output } = await start(...args);
    t.is(code, 1);
    t.is(output.trim(), line);
  });
}

test('npm start: an empty text and one that is too short are one line and a failure', async (t) => {
  const path = join(folder(t), 'text.txt');
  for (const [text, line] of [
    [' \n', `--text: ${path} is empty`],
    ['a short text', `--text: ${path} has 12 characters; sequences of 64 need at least 640, or a smaller --length`],
  ] as const) {
    writeFileSync(path, text);
    const { code, output } = await start('--text', path);
    t.is(code, 1);
    t.is(output.trim(), line);
  }
});

test('npm start: a folder that cannot be written is one line and a failure', async (t) => {
  const path = join(folder(t), 'file');
  writeFileSync(path, '');
  const { code, output } = await start('--out', join(path, 'below'));
  t.is(code, 1);
  t.is(output.trim().split('\n').length, 1);
  t.true(output.includes(path));
});

test('npm start: a small run ends with scores, a sample, weights and a picture; the same seed gives the same run', async (t) => {
  const at = folder(t);
  const text = join(at, 'text.txt');
  writeFileSync(text, verses);
  const go = async (seed: string, out: string): Promise<string> => {
    const { code, output } = await start(
      '--text',
      text,
      '--steps',
      '500',
      ...small,
      '--seed',
      seed,
      '--out',
      join(at, out),
    );
    t.is(code, 0, output);
    return output;
  };
  const output = await go('1', 'a');
  for (const part of [
    'Unigram',
    'Trigram',
    'Transformer',
    'A sample',
    'step 500/500',
    'tokens/s',
    join(at, 'a', 'model.safetensors'),
  ])
    t.true(output.includes(part), `${part}: ${output}`);

  interface Results {
    readonly bitsPerCharacter: Record<'unigram' | 'trigram' | 'transformer', number>;
    readonly sample: string;
  }
  const results = (out: string): Results => JSON.parse(readFileSync(join(at, out, 'results.json'), 'utf8')) as Results;
  const { bitsPerCharacter: bits, sample } = results('a');
  t.is(Array.from(sample).length, 300);
  t.true(bits.trigram < bits.unigram);
  // Well below what the frequency of characters alone gives: it has learnt.
  t.true(bits.transformer < 0.8 * bits.unigram, JSON.stringify(bits));
  t.regex(readFileSync(join(at, 'a', 'loss.svg'), 'utf8'), /^<svg/);

  await go('1', 'b');
  t.deepEqual(results('b').bitsPerCharacter, bits);
  t.is(results('b').sample, sample);
  // Compared tensor by tensor: the order of a file's metadata is not part of the promise.
  const weights = (out: string): Map<string, string> => {
    const file = readFileSync(join(at, out, 'model.safetensors'));
    const begin = 8 + Number(file.readBigUInt64LE(0));
    const header = JSON.parse(file.toString('utf8', 8, begin)) as Record<string, { data_offsets?: [number, number] }>;
    const tensors = Object.entries(header).filter(([name]) => name !== '__metadata__');
    return new Map(
      tensors.map(([name, { data_offsets: [from, to] = [0, 0] }]) => [
        name,
        file.toString('base64', begin + from, begin + to),
      ]),
    );
  };
  t.true(weights('a').size > 10);
  t.deepEqual(weights('a'), weights('b'));
});

test('npm start -- --model reformer: a small run learns, and says how it does beside the others', async (t) => {
  const at = folder(t);
  const text = join(at, 'text.txt');
  writeFileSync(text, verses);
  const sizes = ['--length', '128', '--chunk', '16', '--batch', '2', '--d-model', '16', '--heads', '2'];
  const { code, output } = await start('--model', 'reformer', '--text', text, '--steps', '200', ...sizes, '--out', at);
  t.is(code, 0, output);
  for (const part of [
    '200 steps of 2 × 128',
    'Reformer     ',
    'Reformer predicts better than Unigram',
    'A sample, written at',
  ])
    t.true(output.includes(part), `${part}: ${output}`);
  const { bitsPerCharacter: bits } = JSON.parse(readFileSync(join(at, 'results.json'), 'utf8')) as {
    bitsPerCharacter: Record<'unigram' | 'reformer', number>;
  };
  t.true(bits.reformer < 0.9 * bits.unigram, JSON.stringify(bits));
  t.true(readFileSync(join(at, 'loss.svg'), 'utf8').includes('Reformer'));
});

test('npm start: Ctrl-C stops it, saves, and says so', async (t) => {
  const at = folder(t);
  const text = join(at, 'text.txt');
  writeFileSync(text, verses);
  const child = spawn(process.execPath, [...program, '--text', text, '--steps', '1000000', ...small, '--out', at], {
    cwd: root,
  });
  let output = '';
  let interrupted = 0;
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    output += chunk;
    if (interrupted === 0 && output.includes('Ctrl-C stops and saves')) {
      interrupted = performance.now();
      child.kill('SIGINT');
    }
  });
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (output += chunk));
  const code = await new Promise((resolve) => child.on('close', resolve));
  t.is(code, 130, output);
  // A second is the promise; the rest is for a busy machine.
  t.true(performance.now() - interrupted < 5000);
  t.true(output.includes(`Stopped`) && output.includes(join(at, 'model.safetensors')), output);
  t.true(existsSync(join(at, 'model.safetensors')));
});
