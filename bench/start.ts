/**
 * How long a program takes to start: `npx tsx bench/start.ts [rounds]`, of the package as built.
 *
 * Milliseconds from the start of a process to the first byte that it writes, in turns: an empty script, one that loads the package, and `tallow generate`
 * with a saved model (4 layers of 256, 14 MB), whose first byte is its first token.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import * as tl from 'tallow';
import { median } from './measure.js';

const ROUNDS = Number(process.argv[2] ?? 20);
const dist = join(__dirname, '..', 'dist');

/** Writes a model to a folder. */
async function save(folder: string): Promise<void> {
  const encoder = tl.data.byteEncoder();
  const config: tl.models.LayerConfig = ['TransformerLM', 256, { dModel: 256, dFf: 1024, nLayers: 4, nHeads: 4 }];
  const inputSignature = { shape: [1, 8], dtype: 'int32' } as const;
  const model = tl.models.fromConfig(config);
  model.init(inputSignature, { rng: tl.random.key(0) });
  await tl.models.saveFolder(folder, { model, config, inputSignature, task: 'generate', encoder });
}

/** Milliseconds until a process has written something. */
async function firstByte(words: readonly string[]): Promise<number> {
  const begun = performance.now();
  const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'inherit'] });
  const closed = once(child, 'close');
  await once(child.stdout, 'data');
  const ms = performance.now() - begun;
  child.stdout.resume();
  await closed;
  if (child.exitCode !== 0) throw new Error(`${words.join(' ')} ended with ${child.exitCode}`);
  return ms;
}

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'tallow-bench-start-'));
  try {
    await save(join(folder, 'model'));
    const script = (name: string, text: string): string[] => {
      writeFileSync(join(folder, name), `${text}\nconsole.log(1)\n`);
      return [join(folder, name)];
    };
    const words = ['generate', join(folder, 'model'), 'Call', '--seed', '1', '--max-tokens', '1'];
    const commands: Readonly<Record<string, string[]>> = {
      'an empty script': script('empty.cjs', ''),
      "require('tallow')": script('require.cjs', `require(${JSON.stringify(join(dist, 'index.js'))})`),
      "import 'tallow'": script('import.mjs', `import ${JSON.stringify(pathToFileURL(join(dist, 'index.mjs')).href)}`),
      'tallow generate': [join(dist, 'cli', 'tallow.js'), ...words],
    };
    const times = new Map(Object.keys(commands).map((name): [string, number[]] => [name, []]));
    for (let round = 0; round < ROUNDS; round += 1) {
      // One after another: each has the machine to itself.
      // oxlint-disable-next-line no-await-in-loop
      for (const [name, command] of Object.entries(commands)) times.get(name)!.push(await firstByte(command));
    }
    console.log(`Node ${process.version}; ${ROUNDS} rounds; milliseconds to the first byte, least and median`);
    for (const [name, all] of times)
      console.log(`${name.padEnd(18)} ${Math.min(...all).toFixed(0)}  ${median(all).toFixed(0)}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

void main();
