/** What `tallow generate` writes, and how it ends. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import * as tl from '../../src/index.js';
import { hasStack, type Said, tallow } from '../support/program.js';

const folder = mkdtempSync(join(tmpdir(), 'tallow-generate-'));
const at = (...names: string[]): string => join(folder, ...names);
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

const inputSignature = { shape: [1, 8], dtype: 'int32' } as const;
const encoder = tl.data.characterEncoder('abcdefgh ,.\n');
const sizes = { dModel: 16, dFf: 32, nLayers: 1, nHeads: 2 };
const config = (maxLen: number): tl.models.LayerConfig => ['TransformerLM', encoder.vocabSize, { ...sizes, maxLen }];

function made(maxLen: number): tl.Layer {
  const model = tl.models.fromConfig(config(maxLen));
  model.init(inputSignature, { rng: tl.random.key(5) });
  return model;
}
const model = made(64);
const save = (name: string, options: Partial<tl.models.ModelToSave> = {}): Promise<void> =>
  tl.models.saveFolder(at(name), { model, config: config(64), inputSignature, task: 'generate', encoder, ...options });

test.before(async () => {
  await save('lm', { generation: { maxTokens: 12 } });
  await save('ids', { encoder: null });
  await save('long', { model: made(20_000), config: config(20_000), generation: { maxTokens: 19_000 } });
  await save('points', { task: 'predict' });
});

/** What a request writes in this process. */
const written = async (prompt: string, options: tl.decoding.GenerateOptions): Promise<tl.decoding.Sample> =>
  tl.decoding.sample(model, prompt, { encoder, maxTokens: 12, ...options });

const ran = async (t: ExecutionContext, ...words: string[]): Promise<string> => {
  const { code, out, err } = await tallow(['generate', ...words]);
  t.is(code, 0, err);
  t.is(err, '');
  return out;
};

test('the text is that of the library, with what the model says and what the command says', async (t) => {
  const { text } = await written('abc', { temperature: 0 });
  t.is(await ran(t, at('lm'), 'abc', '--temperature', '0'), `${text}\n`);
  const short = await written('abc', { temperature: 0, maxTokens: 3 });
  t.is(await ran(t, at('lm'), 'abc', '--temperature', '0', '--max-tokens', '3'), `${short.text}\n`);
});

test('options of sampling arrive, and a seed writes the same text', async (t) => {
  const rng = tl.random.foldIn(tl.random.key(7), 0);
  const { text } = await written('ab', { rng, temperature: 0.5, topK: 4, topP: 0.9, minP: 0.01 });
  const words = ['--seed', '7', '--temperature', '0.5', '--top-k', '4', '--top-p', '0.9', '--min-p', '0.01'];
  t.is(await ran(t, at('lm'), 'ab', ...words), `${text}\n`);
  const [first, second] = (await ran(t, at('lm'), 'ab', ...words, '--n', '2')).split('\n---\n');
  t.is(first, text);
  const other = tl.random.foldIn(tl.random.key(7), 1);
  t.is(second, `${(await written('ab', { rng: other, temperature: 0.5, topK: 4, topP: 0.9, minP: 0.01 })).text}\n`);
});

test('a string to stop at ends the text', async (t) => {
  const rng = tl.random.foldIn(tl.random.key(1), 0);
  const whole = await written('ab', { rng });
  const stop = whole.text!.slice(4, 6);
  const cut = await written('ab', { rng, stop: [stop] });
  t.true(cut.text!.length < whole.text!.length);
  t.is(await ran(t, at('lm'), 'ab', '--seed', '1', '--stop', 'hhhh', '--stop', stop), `${cut.text}\n`);
});

test('the prompt comes from standard input where the command has none', async (t) => {
  const { text } = await written('ab c', { temperature: 0 });
  const { code, out, err } = await tallow(['generate', at('lm'), '--temperature', '0'], { input: 'ab c\n' });
  t.is(code, 0, err);
  t.is(out, `${text}\n`);
});

interface Event {
  readonly event: string;
  readonly index: number;
  readonly seed?: number;
  readonly token?: number;
  readonly tokens?: number[];
  readonly text?: string;
  readonly logProb?: number;
  readonly topLogProbs?: { token: number; logProb: number }[];
  readonly finishReason?: string;
}
const events = (out: string): Event[] =>
  out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Event);

test('--json writes a line for each token', async (t) => {
  const rng = tl.random.foldIn(tl.random.key(3), 0);
  const { text, tokens, logProbs, topLogProbs } = await written('ab', { rng, logProbs: 2 });
  const all = events(await ran(t, at('lm'), 'ab', '--seed', '3', '--json', '--logprobs', '2'));
  t.deepEqual([all[0]!.event, all[0]!.seed], ['start', 3]);
  const found = all.filter(({ event }) => event === 'token');
  t.deepEqual(
    found.map(({ token, logProb, topLogProbs }) => ({ token, logProb, topLogProbs })),
    tokens.map((token, i) => ({ token, logProb: logProbs[i], topLogProbs: topLogProbs![i] as Event['topLogProbs'] })),
  );
  const { event: _, ...end } = all.at(-1)!;
  t.deepEqual(end, { index: 0, tokens, text, finishReason: 'length' });
  const lines = (await ran(t, at('lm'), 'ab', '--seed', '3', '--logprobs', '2')).trimEnd().split('\n');
  t.is(lines.length, 12);
  t.regex(lines[0]!, /^"[^\t]*"\t-\d+\.\d{3}\t"[^\t]*" -\d+\.\d{3}\t"[^\t]*" -\d+\.\d{3}$/);
});

test('a model without encoder reads and writes ids', async (t) => {
  const { tokens } = await tl.decoding.sample(model, [3, 1, 4], { temperature: 0, maxTokens: 5 });
  const words = ['--temperature', '0', '--max-tokens', '5'];
  t.is(await ran(t, at('ids'), '3 1 4', ...words), `${tokens.join(' ')}\n`);
});

test('--beams looks for the likeliest outputs', async (t) => {
  const beams = await tl.decoding.beamSearch(model, 'ab', { encoder, nBeams: 3, maxLength: 6, eosId: null });
  const words = ['--beams', '3', '--max-tokens', '6'];
  t.is(await ran(t, at('lm'), 'ab', ...words), `${beams[0]!.text}\n`);
  const all = events(await ran(t, at('lm'), 'ab', ...words, '--n', '2', '--json'));
  t.deepEqual(
    all.map(({ tokens }) => tokens),
    beams.slice(0, 2).map(({ tokens }) => tokens),
  );
});

const onPosix = process.platform === 'win32' ? test.skip : test;
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  onPosix(`${signal} ends with what there is, and with ${code}`, async (t) => {
    let isSent = false;
    const said: Said = await tallow(['generate', at('long'), 'ab', '--json', '--seed', '1'], {
      onOutput: (kill, out) => {
        if (isSent || !out.includes('"token"')) return;
        isSent = true;
        kill(signal);
      },
    });
    t.is(said.code, code, said.err);
    t.is(said.err, '');
    const all = events(said.out);
    const end = all.at(-1)!;
    t.deepEqual([end.event, end.finishReason], ['end', 'cancelled']);
    t.deepEqual(
      all.flatMap(({ token }) => token ?? []),
      end.tokens!,
    );
    t.true(end.tokens!.length > 0 && end.tokens!.length < 19_000);
  });
}

test('the text comes while it is written', async (t) => {
  let pieces = 0;
  await tallow(['generate', at('long'), 'ab', '--seed', '1'], {
    onOutput: (kill) => {
      pieces += 1;
      if (pieces === 5) kill('SIGKILL');
    },
  });
  t.true(pieces >= 5);
});

onPosix('a reader that goes away ends the work, and is no failure', async (t) => {
  const said = await tallow(['generate', at('long'), 'ab', '--seed', '1'], { closeOutput: true });
  t.is(said.code, 0, said.err);
  t.is(said.err, '');
});

const refused = async (t: ExecutionContext, code: number, says: RegExp, ...words: string[]): Promise<void> => {
  const said = await tallow(['generate', ...words]);
  t.is(said.code, code, `${said.out}${said.err}`);
  t.regex(said.err, says);
  t.is(said.out, '');
  t.false(hasStack(said.err));
};

test('what is wrong with a request is a mistake in one sentence', async (t) => {
  writeFileSync(at('file'), '');
  await refused(t, 2, /^error: there is no folder \S+absent; `tallow train` makes one/, at('absent'), 'a');
  await refused(t, 2, /file is no folder; name the folder of a model/, at('file'), 'a');
  await refused(t, 2, /has no model\.json; `tallow train` with a JSON config writes it/, folder, 'a');
  await refused(t, 2, /holds a model that writes nothing: its task is 'predict'/, at('points'), 'a');
  await refused(t, 2, /the prompt: \S+ids has no encoder; give ids of tokens, as `3 1 4`/, at('ids'), 'abc');
  await refused(t, 2, /id 99 is outside the vocabulary of 12/, at('ids'), '99');
  await refused(t, 2, /the character 'x' at byte 0 is not among the 12 of the text/, at('lm'), 'xyz');
  await refused(t, 2, /`temperature` must be a number of at least 0, got -1/, at('lm'), 'a', '--temperature', '-1');
  await refused(
    t,
    2,
    /'--temperature <t>' argument 'hot' is invalid\. It must be a number/,
    at('lm'),
    'a',
    '--temperature',
    'hot',
  );
  await refused(t, 2, /`topP` must be above 0 and at most 1, got 7/, at('lm'), 'a', '--top-p', '7');
  await refused(t, 2, /'--top-k <k>' argument '0' is invalid/, at('lm'), 'a', '--top-k', '0');
  await refused(
    t,
    2,
    /'--beams <n>' cannot be used with option '--temperature <t>'/,
    at('lm'),
    'a',
    '--beams',
    '2',
    '--temperature',
    '1',
  );
  await refused(t, 2, /`nBeams` is 13, but the model has 12 tokens; give at most 12/, at('lm'), 'a', '--beams', '13');
  await refused(t, 2, /unknown option '--temprature'/, at('lm'), 'a', '--temprature', '1');
  await refused(t, 2, /the prompt fills 81 positions, but the model has 64; shorten it/, at('lm'), 'a'.repeat(80));
});

test('what is wrong with a folder is a mistake, a damaged file a failure', async (t) => {
  await save('broken');
  const json = readFileSync(at('broken', 'model.json'), 'utf8');
  writeFileSync(at('broken', 'model.json'), json.replace('"task"', '"tasks"'));
  await refused(t, 2, /model\.json: unknown key `tasks`; did you mean `task`\?/, at('broken'), 'a');
  await save('flipped');
  const bytes = readFileSync(at('flipped', 'model.safetensors'));
  bytes[bytes.length - 1]! ^= 1;
  writeFileSync(at('flipped', 'model.safetensors'), bytes);
  await refused(t, 1, /the checksum of its bytes is wrong/, at('flipped'), 'a');
});
