/** What a trainer's file holds beside tensors, and what can be told of a file without loading it. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import * as tl from '../../src/index.js';
import { f32 } from '../support/values.js';

const folder = mkdtempSync(join(tmpdir(), 'tallow-checkpoints-'));
test.after.always(() => rmSync(folder, { recursive: true }));

const rng: tl.Key = [3, 1];

function trainer(): tl.Trainer {
  const layer = tl.Serial(
    tl.Dense(2),
    tl.BatchNorm({ axis: [0] }),
    tl.Fn('loss', (x: tl.Tensor) => x.sub(3).square().mean()),
  );
  layer.init(f32([6, 3]), { rng });
  return new tl.Trainer(layer, tl.optimizers.Adam());
}

const notes = {
  key: [3, 1],
  data: { epoch: 2, offset: 2 ** 40, buffer: [5, 4, 9], file: 'Moby-Dick; or, "The Whale" — €\n\u0000' },
  history: { loss: [0.1, 1e-320, -0, 5e300] },
  nothing: null,
  left: undefined,
  ['__proto__']: { own: true },
  $tensor: 1,
};
const back = { ...notes, history: { loss: [0.1, 1e-320, 0, 5e300] } } as Record<string, unknown>;
delete back['left'];

test('step and notes come back from the header, with names, shapes and types of all tensors', async (t) => {
  const path = join(folder, 'run');
  const made = trainer();
  made.oneStep([tl.random.normal(rng, [6, 3])], rng);
  await made.save(path, 7, notes);
  const info = await tl.training.checkpointInfo(path);
  t.is(info.step, 7);
  t.deepEqual(info.notes, back);
  const all = tl.loadSafetensors(path);
  t.deepEqual(
    info.tensors.map(({ name, shape, dtype }) => [name, shape, dtype]),
    Object.entries(all).map(([name, x]) => [name, x.shape, x.dtype]),
  );
  t.deepEqual(
    info.tensors.map(({ bytes }) => bytes),
    Object.values(all).map((x) => x.size * 4),
  );
  t.is(await trainer().load(path), 7);
});

test('a file asked for beside a loop has its notes', async (t) => {
  const [made, path] = [trainer(), join(folder, 'beside')];
  let saving: Promise<void> | undefined;
  const batches = Array.from({ length: 4 }, (_, i) => [tl.random.normal([9, i], [6, 3])]);
  await made.fit(batches, {
    steps: 4,
    rng,
    onProgress: ({ step }) => {
      if (step === 1) saving = made.save(path, step + 1, { seen: step });
    },
  });
  await saving;
  const { step, notes: kept } = await tl.training.checkpointInfo(path);
  t.deepEqual([step, kept], [2, { seen: 1 }]);
});

test('files of layers and of tensors have neither step nor notes', async (t) => {
  const path = join(folder, 'plain');
  tl.saveSafetensors({ b: tl.ones([2, 0]), a: tl.ones([3]).cast('bfloat16') }, path);
  t.deepEqual(await tl.training.checkpointInfo(path), {
    step: null,
    notes: null,
    tensors: [
      { name: 'a', shape: [3], dtype: 'bfloat16', bytes: 6 },
      { name: 'b', shape: [2, 0], dtype: 'float32', bytes: 0 },
    ],
  });
  await trainer().save(path);
  const { step, notes: none } = await tl.training.checkpointInfo(path);
  t.deepEqual([step, none], [0, null]);
});

test('notes that would not come back are refused, and the old file stays', async (t) => {
  const [made, path] = [trainer(), join(folder, 'notes')];
  await made.save(path, 1, { fine: true });
  const bytes = readFileSync(path);
  const refused = async (wrong: object, message: RegExp): Promise<void> => {
    await t.throwsAsync(made.save(path, 2, wrong), { instanceOf: TypeError, message });
  };
  await refused(
    { history: { loss: [1, Number.NaN] } },
    /Trainer\.save: notes: JSON cannot hold NaN, which stands at "1"/,
  );
  await refused({ best: Infinity }, /Infinity, which stands at "best"/);
  await refused({ at: [undefined] }, /undefined/);
  await refused({ f: () => 1 }, /a function/);
  await refused({ count: 3n }, /bigint/);
  await refused({ x: tl.ones([2]) }, /Tensor/);
  await refused({ x: new Float32Array(2) }, /a Float32Array/);
  await refused({ x: new Map() }, /a Map/);
  await refused([1, 2], /must be an object as JSON holds it, got an array/);
  t.deepEqual(readFileSync(path), bytes);
  let deep: object = {};
  for (let i = 0; i < 200; i++) deep = { deep };
  await made.save(path, 2, deep);
  t.deepEqual((await tl.training.checkpointInfo(path)).notes, deep);
});

test('verifying finds a damaged tensor by its name, and says where there are no checksums', async (t) => {
  const path = join(folder, 'damaged');
  await trainer().save(path, 1);
  t.is(await tl.training.verifyCheckpoint(path), undefined);
  const bytes = readFileSync(path);
  bytes[bytes.length - 1]! ^= 1;
  writeFileSync(path, bytes);
  t.is((await tl.training.checkpointInfo(path)).step, 1);
  const { name } = (await tl.training.checkpointInfo(path)).tensors.at(-1)!;
  await t.throwsAsync(tl.training.verifyCheckpoint(path), {
    code: 'Io',
    message: new RegExp(`tensor ${name} of .*checksum of its bytes is wrong`),
  });
  await t.throwsAsync(trainer().load(path), { code: 'Io', message: /checksum/ });
  bytes[20]! ^= 1;
  writeFileSync(path, bytes);
  await t.throwsAsync(tl.training.checkpointInfo(path), { code: 'Io' });
  await t.throwsAsync(tl.training.verifyCheckpoint(join(folder, 'absent')), { code: 'Io', message: /absent/ });
  const header = Buffer.from('{"w":{"dtype":"I16","shape":[2],"data_offsets":[0,4]}}  ');
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  writeFileSync(path, Buffer.concat([length, header, Buffer.alloc(4)]));
  t.deepEqual((await tl.training.checkpointInfo(path)).tensors, [{ name: 'w', shape: [2], dtype: 'I16', bytes: 4 }]);
  await t.throwsAsync(tl.training.verifyCheckpoint(path), { code: 'Io', message: /no checksums/ });
});
