/** Programs that save models into one folder at the same time, while another one reads it. */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { alone } from '../../src/models/folder/lock.js';
import * as tl from '../../src/index.js';
import { tensorOf } from '../support/types.js';
import { configOf, inputSignature, modelOf, programOf } from './support/widths.js';

const folder = mkdtempSync(join(tmpdir(), 'tallow-shared-'));
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

const work = async (): Promise<string> => 'done';

/** Saves two models of its own again and again, and says when it did. */
const program = (saved: string, widths: readonly number[], times: number): string =>
  programOf(
    widths,
    `for (let i = 0; i < ${times}; i += 1) await tl.models.saveFolder(${JSON.stringify(saved)}, all[i % 2]);
    process.stdout.write('done');`,
  );

test('two processes save into one folder, and a third one finds one whole model whenever it looks', async (t) => {
  const saved = join(folder, 'model');
  const config = configOf(8);
  const encoder = tl.data.byteEncoder({ reserved: 8 });
  await tl.models.saveFolder(saved, { model: modelOf(8), config, inputSignature, encoder, task: 'generate' });
  const writers = [
    [8, 16],
    [24, 32],
  ].map((widths, i) => {
    const path = join(folder, `save${i}.cjs`);
    writeFileSync(path, program(saved, widths, 40));
    const child = spawn(process.execPath, [path], { stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    child.stdout.on('data', (text: Buffer) => (said += text.toString()));
    child.stderr.on('data', (text: Buffer) => (said += text.toString()));
    return new Promise<string>((resolve) => child.on('close', () => resolve(said)));
  });
  const running = new Set(writers);
  writers.forEach((writer) => void writer.then(() => running.delete(writer)));
  const answers = new Map([8, 16, 24, 32].map((width) => [width, tensorOf(modelOf(width)([[1, 2, 3, 4]])).array()]));
  const seen = new Set<number>();
  for (let round = 0; running.size > 0 || round < 3; round += 1) {
    const { model, encoder } = await tl.models.openFolder(saved);
    const width = encoder!.vocabSize - 256;
    seen.add(width);
    t.deepEqual(tensorOf(model([[1, 2, 3, 4]])).array(), answers.get(width), `round ${round}`);
    model.dispose();
    await sleep(1);
  }
  t.deepEqual(await Promise.all(writers), ['done', 'done'], 'neither was refused');
  t.true(seen.size >= 2, `seen ${[...seen].join()}`);
  t.deepEqual(readdirSync(saved).length, 3, readdirSync(saved).join());
});

test('saves of one process into one folder are made one after another', async (t) => {
  const saved = join(folder, 'queue');
  const widths = [8, 16, 24, 32, 40];
  await Promise.all(
    widths.map((width) =>
      tl.models.saveFolder(saved, {
        model: modelOf(width),
        config: configOf(width),
        inputSignature,
        encoder: tl.data.byteEncoder({ reserved: width }),
        task: 'generate',
      }),
    ),
  );
  const { model, encoder } = await tl.models.openFolder(saved);
  const own = modelOf(encoder!.vocabSize - 256);
  t.deepEqual(tensorOf(model([[1, 2, 3, 4]])).array(), tensorOf(own([[1, 2, 3, 4]])).array());
  t.is(readdirSync(saved).length, 3, readdirSync(saved).join());
});

test('a folder is free once its writer is gone, and not before', async (t) => {
  const locked = join(folder, 'locked');
  mkdirSync(locked);
  const lock = join(locked, 'model.lock');
  const gone = spawn(process.execPath, ['-e', '']);
  await new Promise((resolve) => gone.on('close', resolve));
  // Of a process that ended, and of one that had our number before.
  for (const words of [`${gone.pid} 1`, `${process.pid} 1`]) {
    writeFileSync(lock, words);
    t.is(await alone('saveFolder', locked, work), 'done', words);
    t.deepEqual(readdirSync(locked), []);
  }
  for (const words of [`${process.ppid} 1`, '']) {
    writeFileSync(lock, words);
    const refused = await t.throwsAsync(alone('saveFolder', locked, work, 50), { instanceOf: tl.LayerError });
    t.is(refused.code, 'Io');
    t.regex(
      refused.message,
      /saveFolder: another program saves into .*locked for more than 50 ms.*delete .*model\.lock/,
    );
    t.deepEqual(readdirSync(locked), ['model.lock'], 'it is not ours to delete');
  }
  rmSync(lock);
  const failed = new Error('failed');
  t.is(await t.throwsAsync(alone('saveFolder', locked, () => Promise.reject(failed))), failed);
  t.deepEqual(readdirSync(locked), []);
});
