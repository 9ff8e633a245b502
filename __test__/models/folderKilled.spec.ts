/** A process that is killed while it saves models into a folder leaves a whole one there. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import * as tl from '../../src/index.js';
import { tensorOf } from '../support/types.js';
import { modelOf, programOf } from './support/widths.js';

const folder = mkdtempSync(join(tmpdir(), 'tallow-killed-'));
test.after.always(() => rmSync(folder, { recursive: true, force: true }));
const saved = join(folder, 'model');

const WIDTHS = [8, 16];

/** Saves one and the other, and says so. */
const program = programOf(
  WIDTHS,
  `for (let i = 0; ; i += 1) {
      await tl.models.saveFolder(${JSON.stringify(saved)}, all[i % 2]);
      if (i === 0) process.stdout.write('saved');
    }`,
);

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
    const [found, wanted] = [model, modelOf(width)].map((m) => tensorOf(m([[1, 2, 3, 4]])).array());
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
