/** `tallow serve`: folders of models by HTTP, and how it ends. */
import { createServer } from 'node:http';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import * as tl from '../../src/index.js';
import { bodyOf, post } from '../serve/support/running.js';
import { hasStack, tallow } from '../support/program.js';

const folder = mkdtempSync(join(tmpdir(), 'tallow-serve-'));
const at = (name: string): string => join(folder, name);
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

const encoder = tl.data.byteEncoder();
const config: tl.models.LayerConfig = [
  'TransformerLM',
  256,
  { dModel: 16, dFf: 32, nLayers: 1, nHeads: 2, maxLen: 64 },
];
const inputSignature = { shape: [1, 8], dtype: 'int32' } as const;
const model = tl.models.fromConfig(config);
test.before(async () => {
  model.init(inputSignature, { rng: tl.random.key(0) });
  await tl.models.saveFolder(at('whale'), { model, config, inputSignature, task: 'generate', encoder });
});

interface Event {
  readonly event: string;
  readonly url?: string;
}

test('a folder is served until SIGTERM, for those who have the key', async (t) => {
  const { text } = await tl.decoding.sample(model, 'whale', { encoder, maxTokens: 9, rng: tl.random.key(4) });
  let asked: ReturnType<typeof post> | undefined;
  const said = await tallow(['serve', at('whale'), '--port', '0', '--json'], {
    env: { TALLOW_API_KEY: 'secret' },
    onOutput: (kill, out) => {
      const events = out
        .split('\n')
        .filter((line) => line.startsWith('{'))
        .map((line) => JSON.parse(line) as Event);
      const url = events.find(({ event }) => event === 'listening')?.url;
      if (asked !== undefined || url === undefined || events.at(-1)?.event !== 'ready') return;
      const headers = { 'content-type': 'application/json', authorization: 'Bearer secret' };
      const body = { model: 'whale', prompt: 'whale', max_tokens: 9, seed: 4 };
      asked = post(`${url}/v1/completions`, body, { headers });
      void asked.finally(() => kill('SIGTERM'));
    },
  });
  t.is(said.code, 143, said.err);
  t.is(bodyOf(await asked!).choices[0]!.text, text!);
  t.deepEqual(
    said.out
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as Event).event),
    ['listening', 'ready', 'closing'],
  );
});

test('what is wrong with a folder, a port or an option is a sentence', async (t) => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  t.teardown(() => taken.close());
  cpSync(at('whale'), at('damaged'), { recursive: true });
  writeFileSync(at('damaged/model.json'), '{');
  const { port } = taken.address() as { port: number };
  for (const [words, says] of [
    [['serve'], /folders/],
    [['serve', at('nothing'), '--port', '0'], /there is no folder .*nothing; `tallow train` makes one/],
    [['serve', at('whale'), at('damaged'), '--port', '0'], /model\.json is no JSON/],
    [['serve', at('whale'), '--port', String(port)], new RegExp(`port ${port} of 127.0.0.1 is in use`)],
    [['serve', at('whale'), '--port', '70000'], /from 0 to 65535/],
  ] as const) {
    const said = await tallow(words);
    t.is(said.code, 2, said.err);
    t.regex(said.err, says);
    t.false(hasStack(said.err), said.err);
    t.is(said.out, '', 'it does not say that it listens');
  }
  // What a model is called is found when it is loaded.
  const said = await tallow(['serve', at('whale'), at('whale'), '--port', '0']);
  t.is(said.code, 2, said.err);
  t.regex(said.err, /two models have the name whale/);
});
