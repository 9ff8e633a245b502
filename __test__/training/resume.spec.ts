/** A run that is cut and goes on, elsewhere, comes to the bits of one that never stopped. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import * as tl from '../../src/index.js';
import { run } from '../support/process.js';
import { begin, CUTS, digest, go, models, resume, STEPS } from '../support/resumed.js';

const folder = mkdtempSync(join(tmpdir(), 'tallow-resume-'));
test.after.always(() => rmSync(folder, { recursive: true }));

const program = join(__dirname, '..', 'support', 'resumed.ts');
const kinds = Object.keys(models);

test('ten cuts, another process, another number of threads: the same bits, and the same order of the data', async (t) => {
  t.is(CUTS.length, 10);
  const files = new Map<string, string>();
  for (const kind of kinds) {
    const whole = begin(kind);
    await go(whole, 0, STEPS);
    const wanted = digest(whole);
    const cut = begin(kind);
    let at = 0;
    for (const next of [...CUTS, STEPS]) {
      await go(cut, at, next);
      at = next;
      const file = join(folder, `${kind}-${next}`);
      await cut.trainer.save(file, next, { rng: cut.rng, data: cut.data.state() });
      if (next < STEPS) files.set(file, wanted);
    }
    t.is(digest(cut), wanted, `${kind}: stopping changes nothing`);
  }
  t.is(files.size, 10 * kinds.length);
  t.is(new Set(files.values()).size, kinds.length);
  const all = [...files];
  for (const [i, threads] of [1, 3].entries()) {
    const part = all.filter((_, j) => j % 2 === i);
    const ended = await run(process.execPath, [
      '--import=tsx',
      program,
      String(threads),
      ...part.map(([file]) => file),
    ]);
    t.is(ended.code, 0, ended.output);
    t.deepEqual(
      JSON.parse(ended.output),
      part.map(([, wanted]) => wanted),
      `${threads} threads`,
    );
  }
});

test('a run that goes on with other data or another key comes to something else', async (t) => {
  const [kind, file] = ['dense', join(folder, 'dense-other')];
  const cut = begin(kind);
  await go(cut, 0, 5);
  const data = cut.data.state();
  await cut.trainer.save(file, 5, { rng: cut.rng, data });
  const right = await resume(kind, file);
  await cut.trainer.save(file, 5, { rng: [5, 6], data });
  t.not(await resume(kind, file), right);
  const fresh = begin(kind);
  await cut.trainer.save(file, 5, { rng: cut.rng, data: fresh.data.state() });
  t.not(await resume(kind, file), right);
  const { notes } = await tl.training.checkpointInfo(file);
  t.deepEqual(notes, JSON.parse(JSON.stringify({ rng: cut.rng, data: fresh.data.state() })));
});
