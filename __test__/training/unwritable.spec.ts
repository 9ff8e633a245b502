/** Saving where there is no room or no leave, and loading what does not fit: the file, the weights and the slots stay whole. */
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import * as tl from '../../src/index.js';
import { run } from '../support/process.js';
import { instanceOf } from '../support/types.js';
import { f32, values } from '../support/values.js';

const folder = mkdtempSync(join(tmpdir(), 'tallow-unwritable-'));
test.after.always(() => rmSync(folder, { recursive: true }));

const onUnix = process.platform === 'win32' ? test.skip : test;
const rng: tl.Key = [3, 1];

function trainer(units = 5): tl.Trainer {
  const layer = tl.Serial(
    tl.Dense(units),
    tl.BatchNorm({ axis: [0] }),
    tl.Dense(1),
    tl.Fn('loss', (x: tl.Tensor) => x.sub(3).square().mean()),
  );
  layer.init(f32([6, 3]), { rng });
  return new tl.Trainer(layer, tl.optimizers.Adam());
}

const step = (made: tl.Trainer, i: number): void =>
  void made.oneStep([tl.random.normal([9, i], [6, 3])], rng, { step: i });
const held = ({ modelWithLoss, slots }: tl.Trainer): unknown =>
  values([modelWithLoss.weights, modelWithLoss.state, slots] as tl.Tree<tl.Tensor>);

onUnix('a disk that is full while a file is written leaves the old file, and nothing beside it', async (t) => {
  const own = join(folder, 'full');
  mkdirSync(own);
  const path = join(own, 'run');
  const index = join(__dirname, '..', '..', 'src', 'index.ts');
  // No file of the process may become longer than 64 blocks of 512 bytes.
  const script = `
    const tl = require(${JSON.stringify(index)});
    const saved = (n) => { try { tl.saveSafetensors({ x: tl.ones([n]) }, ${JSON.stringify(path)}); return 'saved'; } catch (e) { return e.code + ' ' + e.message; } };
    console.log(JSON.stringify([saved(100), saved(100_000), saved(50)]));`;
  const { code, output } = await run('sh', [
    '-c',
    'ulimit -f 64; exec "$0" --require=tsx/cjs -e "$1"',
    process.execPath,
    script,
  ]);
  t.is(code, 0, output);
  const [first, full, last] = JSON.parse(output) as string[];
  t.deepEqual([first, last], ['saved', 'saved']);
  t.regex(full!, /^Io .*cannot write .*run: File too large/);
  t.deepEqual(readdirSync(own), ['run']);
  t.is(tl.loadSafetensors(path)['x']!.size, 50);
});

onUnix('folders that are missing, read-only, or in the place of the file are named', async (t) => {
  const made = trainer();
  const refused = async (path: string, message: RegExp): Promise<void> => {
    await t.throwsAsync(made.save(path, 1), { code: 'Io', message });
    t.throws(() => made.modelWithLoss.saveToFile(path), { code: 'Io', message });
  };
  await refused(join(folder, 'missing', 'run'), /cannot write .*missing\/run: No such file or directory/);
  const own = join(folder, 'folder');
  mkdirSync(own);
  await refused(own, /it is a folder/);
  writeFileSync(join(folder, 'file'), '');
  await refused(join(folder, 'file', 'run'), /cannot write .*file\/run: Not a directory/);
  const locked = join(folder, 'locked');
  mkdirSync(locked);
  await made.save(join(locked, 'run'), 1);
  const before = readFileSync(join(locked, 'run'));
  chmodSync(locked, 0o555);
  // Nothing is locked to the superuser, but what the kernel shows as files.
  const superuser = process.getuid?.() === 0;
  await refused(superuser ? '/proc/run' : join(locked, 'run'), /cannot write \/.*run: \w/);
  chmodSync(locked, 0o755);
  t.deepEqual(readFileSync(join(locked, 'run')), before);
  t.deepEqual(readdirSync(locked), ['run']);
});

test('a checkpoint of another model is a list of differences, and leaves weights, state and slots', async (t) => {
  const path = join(folder, 'other');
  const other = trainer(7);
  step(other, 0);
  await other.save(path, 1);
  const made = trainer();
  step(made, 0);
  const before = held(made);
  const error = instanceOf(tl.LayerError, await t.throwsAsync(made.load(path)));
  t.is(error.code, 'WeightsMismatch');
  t.regex(error.message, /no tensor weights\/0\.Dense_5\/0, but weights\/0\.Dense_7\/0/);
  t.regex(error.message, /there are \d+ more differences: /);
  for (const told of [
    'weights/0.Dense_5/1 is missing in the file',
    'weights/1.BatchNorm/0 is float32[7] in the file, but float32[5] in the model',
    'weights/0.Dense_7/0 is in the file alone',
  ]) {
    t.true(error.message.includes(told), `${told}: ${error.message}`);
  }
  t.deepEqual(held(made), before);
  step(made, 1);
  t.notDeepEqual(held(made), before);
});

test('a save that fails within a run fails alone, and the run goes on', async (t) => {
  const made = trainer();
  let saving: Promise<unknown> | undefined;
  const batches = Array.from({ length: 5 }, (_, i) => [tl.random.normal([9, i], [6, 3])]);
  const report = await made.fit(batches, {
    steps: 5,
    rng,
    onProgress: ({ step: done }) => {
      if (done === 1) saving = t.throwsAsync(made.save(join(folder, 'missing', 'run')), { code: 'Io' });
    },
  });
  t.is(report.steps, 5);
  t.truthy(await saving);
});
