/** What `tallow inspect` tells of files, and what it says of those that it cannot read. */
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import * as tl from '../../src/index.js';
import { hasStack, tallow } from '../support/program.js';
import { root } from '../support/process.js';

const folder = mkdtempSync(join(tmpdir(), 'tallow-inspect-'));
const at = (...names: string[]): string => join(folder, ...names);
const ofTrax = (name: string): string => join(root, '__test__', 'checkpoints', name);
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

interface Told {
  readonly format: string;
  readonly content: string;
  readonly step: number | null;
  readonly signature: { shape: number[]; dtype: string }[] | null;
  readonly notes: Record<string, unknown> | null;
  readonly totals: { tensors: number; numbers: number; bytes: number };
  readonly verified?: boolean;
  readonly tensors: { name: string; shape: number[]; dtype: string; bytes: number }[];
}

/** What is told of a file as JSON. */
async function told(...words: string[]): Promise<Told> {
  const { code, out, err } = await tallow(['inspect', ...words, '--json']);
  if (code !== 0) throw new Error(err);
  return JSON.parse(out) as Told;
}

const arrays = { w: tl.ones([2, 3]), b10: tl.arange(10), b9: tl.ones([], { dtype: 'float64' }) };
tl.saveSafetensors(arrays, at('arrays.safetensors'));
tl.saveNpz(at('arrays.npz'), arrays);
tl.npToFile([tl.ones([2, 3]), tl.arange(10)], at('arrays.npy.gz'), 6);

test('tensors of a file are a table with names, types, shapes and totals', async (t) => {
  const { code, out } = await tallow(['inspect', at('arrays.npz')]);
  t.is(code, 0);
  const table = out.slice(out.indexOf('name'));
  t.deepEqual(table.trimEnd().split('\n'), [
    'name         dtype   shape  numbers  bytes',
    '──────────────────────────────────────────',
    'b9         float64  scalar        1    8 B',
    'b10          int32      10       10   40 B',
    'w          float32   2 × 3        6   24 B',
    '──────────────────────────────────────────',
    '3 tensors                        17   72 B',
  ]);
});

test('every format is told by its content', async (t) => {
  for (const [name, format] of [
    ['arrays.npz', 'npz'],
    ['arrays.safetensors', 'safetensors'],
    ['arrays.npy.gz', 'npy.gz'],
  ] as const) {
    copyFileSync(at(name), at('unnamed'));
    // One after another: they are one file.
    // oxlint-disable-next-line no-await-in-loop
    const { format: found, content, totals } = await told(at('unnamed'));
    t.deepEqual([found, content], [format, 'tensors']);
    t.is(totals.tensors, format === 'npy.gz' ? 2 : 3);
  }
  const { tensors } = await told(at('arrays.npy.gz'));
  t.deepEqual(tensors, [
    { name: '0', shape: [2, 3], dtype: 'float32', bytes: 24 },
    { name: '1', shape: [10], dtype: 'int32', bytes: 40 },
  ]);
});

const names = async (by: string): Promise<string[]> =>
  (await told(at('arrays.npz'), '--sort', by)).tensors.map(({ name }) => name);

test('the order is that of names, of bytes or of the file', async (t) => {
  t.deepEqual(await names('name'), ['b9', 'b10', 'w']);
  t.deepEqual(await names('bytes'), ['b10', 'w', 'b9']);
});

test('files of layers, trainers and loops tell what they are', async (t) => {
  const layer = tl.Dense(2);
  layer.init({ shape: [1, 3], dtype: 'float32' });
  layer.saveToFile(at('layer'), { inputSignature: { shape: [1, 3], dtype: 'float32' } });
  const ofLayer = await told(at('layer'), '--verify');
  t.deepEqual([ofLayer.content, ofLayer.verified], ['a layer', true]);
  t.deepEqual(ofLayer.signature, [{ shape: [1, 3], dtype: 'float32' }]);

  const batch = [tl.ones([4, 3]), tl.ones([4, 1]), tl.ones([4, 1])];
  const model = tl.Serial(tl.Dense(1), tl.L2Loss());
  model.init(tl.signature(batch));
  await new tl.Trainer(model, tl.optimizers.Adam()).save(at('trainer'), 12, { epoch: 3 });
  const ofTrainer = await told(at('trainer'));
  t.deepEqual([ofTrainer.content, ofTrainer.step, ofTrainer.notes], ['a trainer', 12, { epoch: 3 }]);

  const task = new tl.training.TrainTask([batch], tl.L2Loss(), tl.optimizers.SGD());
  const evalTasks = new tl.training.EvalTask([batch], tl.L2Loss(), { metricNames: ['loss'] });
  const loop = new tl.training.Loop(tl.Dense(1), task, { evalTasks, outputDir: at('run'), randomSeed: 0 });
  await loop.run(2);
  const path = await loop.saveCheckpoint();
  t.is((await told(path)).content, 'a training loop');
  const { out } = await tallow(['inspect', path]);
  t.regex(out, /next step +3\n/);
  t.regex(out, /eval loss +\d.* at step 1\n/);
});

test("Trax's checkpoints are told without a model", async (t) => {
  const { format, content, step, signature, tensors } = await told(ofTrax('transformerlm_copy.pkl.gz'));
  t.deepEqual([format, content, step], ['pkl.gz', 'a training run', 5100]);
  t.is(signature?.length, 3);
  t.deepEqual(
    tensors.find(({ name }) => name === 'weights/0'),
    { name: 'weights/0', shape: [13, 64], dtype: 'float32', bytes: 13 * 64 * 4 },
  );
});

test('a large file is told from its header', async (t) => {
  const bytes = 100e9;
  const header = JSON.stringify({ big: { dtype: 'U8', shape: [bytes], data_offsets: [0, bytes] } });
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  writeFileSync(at('large'), Buffer.concat([length, Buffer.from(header)]));
  // A file with a hole takes no room.
  truncateSync(at('large'), 8 + header.length + bytes);
  const { totals } = await told(at('large'));
  t.is(totals.bytes, bytes);
});

const refused = async (t: ExecutionContext, code: number, says: RegExp, ...words: string[]): Promise<void> => {
  const said = await tallow(['inspect', ...words]);
  t.is(said.code, code, said.err);
  t.is(said.out, '');
  t.regex(said.err, says);
  t.is(said.err.trimEnd().split('\n').length, 1, said.err);
  t.false(hasStack(said.err));
};

test('a path that leads to no file is a mistake', async (t) => {
  mkdirSync(at('folder'));
  await refused(t, 2, /^error: cannot read \S+absent: there is no such file$/m, at('absent'));
  await refused(t, 2, /there is no such file/, at('arrays.npz/inside'));
  await refused(t, 2, /it is a folder; name a file in it/, at('folder'));
  if (process.platform !== 'win32') await refused(t, 2, /no regular file/, '/dev/null');
});

test('the folder of a model tells what it is, and its weights', async (t) => {
  const config: tl.models.LayerConfig = ['Serial', ['Embedding', 256, 4], ['Dense', 256]];
  const model = tl.models.fromConfig(config);
  const inputSignature = { shape: [2, 3], dtype: 'int32' } as const;
  model.init(inputSignature, { rng: tl.random.key(3) });
  const generation = { startId: null, stop: ['.'] };
  const options = { model, config, inputSignature, encoder: tl.data.byteEncoder(), generation };
  await tl.models.saveFolder(at('lm'), { ...options, task: 'generate' });
  const { code, out, err } = await tallow(['inspect', at('lm'), '--verify']);
  t.is(code, 0, err);
  t.regex(out, /^model +lm: \["Serial",\["Embedding",256,4\],\["Dense",256\]\]$/m);
  t.regex(out, /^task +generate$/m);
  t.regex(out, /^encoder +tokenizer\.json$/m);
  t.regex(out, /^generation +startId null, stop \["\."\]$/m);
  t.regex(out, /^3 tensors /m);
  const json = JSON.parse((await tallow(['inspect', at('lm'), '--json'])).out) as Record<string, unknown>;
  t.is(json['file'], at('lm', 'model.safetensors'));
  t.deepEqual((json['model'] as Record<string, unknown>)['model'], config);
  writeFileSync(at('lm', 'model.json'), '{"formatVersion": 9}');
  await refused(t, 2, /model\.json is of format version 9, and this version of tallow reads 1/, at('lm'));
});

(process.getuid?.() === 0 || process.platform === 'win32' ? test.skip : test)(
  'a file that may not be read is a mistake',
  async (t) => {
    writeFileSync(at('locked'), 'x');
    chmodSync(at('locked'), 0);
    await refused(t, 2, /it may not be read/, at('locked'));
  },
);

test('a file that is damaged, empty or of another kind is a failure in one sentence', async (t) => {
  writeFileSync(at('empty'), '');
  await refused(t, 1, /it is empty/, at('empty'));
  writeFileSync(at('text'), 'name,age\nAda,36\n');
  await refused(t, 1, /no file of tensors that is known here/, at('text'));
  const whole = readFileSync(at('arrays.npz'));
  writeFileSync(at('cut.npz'), whole.subarray(0, whole.length / 2));
  await refused(t, 1, /cannot read \S+cut\.npz/, at('cut.npz'));
  const bytes = readFileSync(at('arrays.safetensors'));
  bytes[bytes.length - 1]! ^= 1;
  writeFileSync(at('flipped'), bytes);
  await refused(t, 1, /the checksum of its bytes is wrong/, at('flipped'), '--verify');
  await refused(t, 2, /only safetensors files have checksums/, at('arrays.npz'), '--verify');
});
