/** A process that is killed while it saves models into a folder leaves a whole one there. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import * as tl from '../../src/index.js';
import { root } from '../support/process.js';
import { tensorOf } from '../support/types.js';

const folder = mkdtempSync(join(tmpdir(), 'tallow-killed-'));
test.after.always(() => rmSync(folder, { recursive: true, force: true }));
const saved = join(folder, 'model');

/** Two models of other weights, sizes and ids: a mixture of both cannot be opened, or answers like neither. */
const WIDTHS = [8, 16];

/** Saves one and the other, and says so. */
const program = `
  const tl = require(${JSON.stringify(join(root, 'dist', 'index.js'))});
  const inputSignature = { shape: [1, 4], dtype: 'int32' };
  const all = ${JSON.stringify(WIDTHS)}.map((width) => {
    const encoder = tl.data.byteEncoder({ reserved: width });
    const config = ['Serial', ['Embedding', 256 + width, width], ['Dense', 256 + width]];
    const model = tl.models.fromConfig(config);
    model.init(inputSignature, { rng: tl.random.key(width) });
    return { model, config, inputSignature, encoder, task: 'generate' };
  });
  (async () => {
    for (let i = 0; ; i += 1) {
      await tl.models.saveFolder(${JSON.stringify(saved)}, all[i % 2]);
      if (i === 0) process.stdout.write('saved');
    }
  })();
`;

test('a process that is killed while it saves leaves one model, whole', async (t) => {
  const path = join(folder, 'save.cjs');
  writeFileSync(path, program);
  const seen = new Set<number>();
  for (let round = 0; round < 12; round += 1) {
    const child = spawn(process.execPath, [path], { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = new Promise((resolve) => child.on('close', resolve));
    await new Promise((resolve) => child.stdout.once('data', resolve));
    // Saves take some milliseconds: each round ends in another place of one.
    setTimeout(() => child.kill('SIGKILL'), 5 + 7.3 * round);
    await ended;
    const { model, encoder } = await tl.models.openFolder(saved);
    const width = encoder!.vocabSize - 256;
    seen.add(width);
    const own = tl.Serial(tl.Embedding(256 + width, width), tl.Dense(256 + width));
    own.init({ shape: [1, 4], dtype: 'int32' }, { rng: tl.random.key(width) });
    const [found, wanted] = [model, own].map((m) => tensorOf(m([[1, 2, 3, 4]])).array());
    t.deepEqual(found, wanted, `round ${round}`);
  }
  t.true([...seen].every((width) => WIDTHS.includes(width)));
  // What was cut off goes with the next save that ends.
  const config: tl.models.LayerConfig = ['Dense', 1];
  const model = tl.models.fromConfig(config);
  const inputSignature = { shape: [1, 4], dtype: 'float32' } as const;
  model.init(inputSignature);
  await tl.models.saveFolder(saved, { model, config, inputSignature, task: 'predict' });
  t.is(readdirSync(saved).length, 2, readdirSync(saved).join());
});
