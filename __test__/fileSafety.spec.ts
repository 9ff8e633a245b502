/** Files that are damaged, hostile or no files, and what saving leaves. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import test from 'ava';
import * as tl from '../src/index.js';
import { run } from './support/process.js';
import { f32, values } from './support/values.js';
import { instanceOf } from './support/types.js';

const folder = mkdtempSync(join(tmpdir(), 'tallow-file-safety-'));
test.after.always(() => rmSync(folder, { recursive: true }));

const dist = join(__dirname, '..', 'dist', 'index.js');
const onUnix = process.platform === 'win32' ? test.skip : test;

function norm(): tl.Layer {
  const layer = tl.Serial(tl.Dense(3), tl.BatchNorm({ axis: [0] }));
  layer.init(f32([4, 2]), { rng: [6, 1] });
  return layer;
}

/** A safetensors file of this header. */
function safetensors(header: object | string, data: Uint8Array = new Uint8Array(), length?: bigint): string {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const number = Buffer.alloc(8);
  number.writeBigUInt64LE(length ?? BigInt(json.length));
  const path = join(folder, 'made.safetensors');
  writeFileSync(path, Buffer.concat([number, json, data]));
  return path;
}

/** An entry of a header. */
const entry = (dtype: string, shape: number[], from: number, to: number): object => ({
  dtype,
  shape,
  data_offsets: [from, to],
});

const mode = (path: string): number => statSync(path).mode & 0o777;

/** A `.npy` array of this header, without data. */
const npy = (text: string): Buffer =>
  Buffer.concat([
    Buffer.from('\x93NUMPY\x01\x00', 'latin1'),
    Buffer.from([text.length & 255, text.length >> 8]),
    Buffer.from(text),
  ]);

test('a bit that flips anywhere in a file is noticed, and so is a file cut off', async (t) => {
  const [layer, trainer, plain] = ['layer', 'trainer', 'plain'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  norm().saveToFile(layer, { inputSignature: f32([4, 2]) });
  const loss = tl.Serial(
    norm(),
    tl.Fn('loss', (x: tl.Tensor) => x.square().mean()),
  );
  const trained = new tl.Trainer(loss, tl.optimizers.Adam());
  trained.oneStep([tl.random.normal([0, 1], [4, 2])], [0, 1]);
  await trained.save(trainer, 1);
  tl.saveSafetensors({ a: tl.arange(0, 5), 'b"\\': tl.ones([2, 2]).cast('bfloat16'), empty: tl.zeros([0, 3]) }, plain);
  const readers = new Map<string, (path: string) => unknown>([
    [layer, (path) => norm().initFromFile(path)],
    [trainer, async (path) => trained.load(path)],
    [plain, (path) => tl.loadSafetensors(path)],
  ]);
  const damaged = join(folder, 'damaged');
  for (const [path, read] of readers) {
    const whole = readFileSync(path);
    writeFileSync(damaged, whole);
    await read(damaged);
    for (let at = 0; at < whole.length; at += path === plain ? 1 : 3) {
      writeFileSync(damaged, whole.subarray(0, at));
      t.is(
        instanceOf(
          tl.LayerError,
          await t.throwsAsync(async () => read(damaged), undefined, `${path}: cut off at ${at}`),
        ).code,
        'Io',
      );
      for (const bit of path === plain ? [0, 1, 2, 3, 4, 5, 6, 7] : [(at * 5) % 8, (at * 3 + 1) % 8]) {
        writeFileSync(
          damaged,
          whole.map((b, i) => (i === at ? b ^ (1 << bit) : b)),
        );
        const error = await t.throwsAsync(async () => read(damaged), undefined, `${path}: bit ${bit} of byte ${at}`);
        t.is(instanceOf(tl.LayerError, error).code, 'Io');
      }
    }
  }
});

test('files without checksums load, and others read those with them', (t) => {
  const path = safetensors(
    { __metadata__: { format: 'pt' }, w: { dtype: 'F32', shape: [2], data_offsets: [0, 8] } },
    new Uint8Array(new Float32Array([1.5, -2]).buffer),
  );
  t.deepEqual(tl.loadSafetensors(path)['w']!.array(), [1.5, -2]);
  tl.saveSafetensors({ w: [1, 2] }, path);
  const bytes = readFileSync(path);
  const header = JSON.parse(bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE())).toString());
  t.deepEqual(Object.keys(header).toSorted(), ['__metadata__', 'w']);
  t.true(Object.values(header['__metadata__']!).every((text) => typeof text === 'string'));
});

test('elements of types that tensors lack are read as what holds them', (t) => {
  const bytes = [
    0x38,
    0xc0,
    0x80,
    0xff,
    0xfe,
    0xff,
    0xfe,
    0xff,
    ...new Uint8Array(new BigUint64Array([2n ** 40n]).buffer),
  ];
  const header = {
    f8: entry('F8_E4M3', [2], 0, 2),
    i8: entry('I8', [2], 2, 4),
    i16: entry('I16', [1], 4, 6),
    u16: entry('U16', [1], 6, 8),
    u64: entry('U64', [], 8, 16),
  };
  const got = tl.loadSafetensors(safetensors(header, new Uint8Array(bytes)));
  t.deepEqual(Object.fromEntries(Object.entries(got).map(([name, x]) => [name, x.dtype])), {
    f8: 'float32',
    i8: 'int32',
    i16: 'int32',
    u16: 'int32',
    u64: 'int64',
  });
  t.deepEqual(
    ['f8', 'i8', 'i16', 'u16', 'u64'].map((name) => got[name]!.cast('float64').array()),
    [[1, -2], [-128, -1], [-2], [65534], 2 ** 40],
  );
  const large = safetensors({ u64: entry('U64', [1], 0, 8) }, new Uint8Array(8).fill(255));
  t.throws(() => tl.loadSafetensors(large), { code: 'Io', message: /18446744073709551615 does not fit in int64/ });
  const complex = safetensors({ c: entry('C64', [1], 0, 8), w: entry('U8', [2], 8, 10) }, new Uint8Array(10).fill(7));
  t.throws(() => tl.loadSafetensors(complex), {
    code: 'Io',
    message: /tensor c of .*type C64.*the file is valid.*`names`/,
  });
  t.deepEqual(tl.loadSafetensors(complex, { names: ['w'] })['w']!.array(), [7, 7]);
  t.throws(() => tl.loadSafetensors(complex, { names: ['v'] }), { code: 'Io', message: /has no tensor v/ });
});

test('headers that lie are refused before anything is made', (t) => {
  const refused = (path: string, message: RegExp): void => {
    t.throws(() => tl.loadSafetensors(path), { code: 'Io', message });
  };
  const one = (shape: unknown, offsets: unknown): string =>
    safetensors({ w: { dtype: 'F32', shape, data_offsets: offsets } }, new Uint8Array(16));
  refused(one([2 ** 40], [0, 16]), /does not take 16 bytes/);
  refused(one([2 ** 40], [0, 2 ** 42]), /names 4398046511104 bytes of data, it has 16/);
  refused(one([2 ** 52, 2 ** 52], [0, 16]), /too many elements/);
  refused(one([4], [8, 24]), /those before it end at 0/);
  refused(one([-1], [0, 16]), /no valid safetensors/);
  refused(safetensors({}, new Uint8Array(), 2n ** 40n), /header of 1099511627776 bytes/);
  refused(safetensors('{"w":' + '['.repeat(100_000)), /no valid safetensors/);
  refused(
    safetensors('{"w":{"dtype":"F32","shape":[' + '1,'.repeat(1000) + '1],"data_offsets":[0,4]}}', new Uint8Array(4)),
    /more than 64 axes/,
  );
  refused(
    safetensors(
      '{"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"w":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}',
      new Uint8Array(2),
    ),
    /two tensors named w/,
  );
  const fresh = tl.Dense(3);
  t.throws(() => fresh.initFromFile(one([2 ** 40], [0, 16]), { inputSignature: f32([1, 2]) }), { code: 'Io' });
  t.deepEqual(tl.tree.leaves(fresh.weights), []);
});

test('a small checkpoint that unpacks to more than its model holds is refused', (t) => {
  const path = join(folder, 'bomb.pkl.gz');
  const unpacked = (bytes: Buffer): void => writeFileSync(path, gzipSync(bytes, { level: 9 }));
  const layer = tl.Dense(3);
  const read = (): unknown => layer.initFromFile(path, { weightsOnly: true, inputSignature: f32([1, 2]) });
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(80n << 20n);
  unpacked(Buffer.concat([Buffer.from([0x80, 4, 0x8e]), length, Buffer.alloc(80 << 20), Buffer.from('.')]));
  t.throws(read, { code: 'Io', message: /bomb\.pkl\.gz: it unpacks to more than the \d+ bytes/ });
  // Without a signature the file is passed over to find one, and nothing of it kept.
  t.throws(() => tl.Dense(3).initFromFile(path), { code: 'Io', message: /no `flat_weights`/ });
  unpacked(Buffer.concat([Buffer.from([0x80, 4, 0x5d]), Buffer.alloc(2_000_000, 0x94), Buffer.from('.')]));
  t.throws(read, { code: 'Io', message: /notes down more than/ });
  unpacked(Buffer.concat([Buffer.from([0x80, 4, 0x28]), Buffer.alloc(2_000_000, 0x4e), Buffer.from('l.')]));
  t.throws(read, { code: 'Io', message: /makes more than/ });
});

onUnix('what is no regular file is refused at once by every reader and writer', async (t) => {
  const pipe = join(folder, 'pipe');
  t.is(spawnSync('mkfifo', [pipe]).status, 0);
  const link = join(folder, 'device');
  symlinkSync('/dev/full', link);
  const layer = norm();
  const trainer = new tl.Trainer(layer, tl.optimizers.Adam());
  for (const path of ['/dev/zero', pipe, folder, link]) {
    const wrong = { code: 'Io', message: /not a regular file/ };
    t.throws(() => layer.initFromFile(path), wrong);
    t.throws(() => tl.loadSafetensors(path), wrong);
    t.throws(() => tl.npFromFile(path, 1), wrong);
    t.throws(() => tl.InitializerFromFile(path)([2], [0, 1]), wrong);
    await t.throwsAsync(trainer.load(path), wrong);
    t.throws(() => layer.saveToFile(path), wrong);
    t.throws(() => tl.saveSafetensors({ a: [1] }, path), wrong);
    t.throws(() => tl.npToFile([[1]], path, 1), wrong);
    await t.throwsAsync(trainer.save(path), wrong);
  }
  t.true(lstatSync(pipe).isFIFO() && lstatSync(link).isSymbolicLink());
});

onUnix('saving keeps the mode, links, and nothing beside the file', (t) => {
  const own = join(folder, 'modes');
  mkdirSync(own);
  const [file, other] = [join(own, 'w.safetensors'), join(own, 'other.safetensors')];
  norm().saveToFile(file);
  for (const wanted of [0o600, 0o640, 0o666]) {
    chmodSync(file, wanted);
    norm().saveToFile(file);
    t.is(mode(file), wanted);
  }
  symlinkSync('w.safetensors', join(own, 'link'));
  symlinkSync('link', join(own, 'link to link'));
  linkSync(file, other);
  const old = readFileSync(other);
  tl.saveSafetensors({ x: [4, 5] }, join(own, 'link to link'));
  t.deepEqual([readlinkSync(join(own, 'link')), readlinkSync(join(own, 'link to link'))], ['w.safetensors', 'link']);
  t.deepEqual(tl.loadSafetensors(file)['x']!.array(), [4, 5]);
  t.is(mode(file), 0o666);
  t.deepEqual(readFileSync(other), old, 'another hard link keeps the old content');
  symlinkSync('not there yet', join(own, 'ahead'));
  tl.npToFile([[1, 2]], join(own, 'ahead'), 3);
  t.deepEqual(tl.npFromFile(join(own, 'not there yet'), 3)[0]!.array(), [1, 2]);
  symlinkSync('round', join(own, 'round'));
  t.throws(() => norm().saveToFile(join(own, 'round')), { code: 'Io', message: /leads to itself/ });
  t.deepEqual(readdirSync(own).toSorted(), [
    'ahead',
    'link',
    'link to link',
    'not there yet',
    'other.safetensors',
    'round',
    'w.safetensors',
  ]);
});

onUnix('what a killed process left is removed by the next save, what others write is not', async (t) => {
  const own = join(folder, 'killed');
  mkdirSync(own);
  const file = join(own, 'w.safetensors');
  tl.saveSafetensors({ x: [1, 2, 3] }, file);
  const script = `const tl = require(${JSON.stringify(dist)}); const x = tl.ones([4 << 20]); console.log('go'); for (;;) tl.saveSafetensors({ x }, ${JSON.stringify(file)})`;
  const left = (): string[] => readdirSync(own).filter((name) => name !== 'w.safetensors');
  for (let tries = 0; tries < 50 && left().length === 0; tries++) {
    const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(child.stdout, 'data');
    while (left().length === 0) await new Promise((resolve) => setImmediate(resolve));
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  t.is(left().length, 1, 'a process was killed while it wrote');
  t.true(
    ['x'].every((name) => [3, 4 << 20].includes(tl.loadSafetensors(file)[name]!.size)),
    'the file is whole',
  );
  writeFileSync(join(own, 'w.safetensors.notes.tmp'), '');
  writeFileSync(join(own, 'v.safetensors.1-2.tmp'), '');
  norm().saveToFile(file);
  t.deepEqual(left().toSorted(), ['v.safetensors.1-2.tmp', 'w.safetensors.notes.tmp']);
  norm().initFromFile(file);
});

onUnix('loading and saving take little more memory than the file has', async (t) => {
  const path = join(folder, 'large');
  const grows = async (before: string, work: string): Promise<number> => {
    const script = `const tl = require(${JSON.stringify(dist)}); const rss = () => process.resourceUsage().maxRSS / 1024; ${before}; const r = rss(); globalThis.kept = ${work}; console.log(rss() - r)`;
    const { code, output } = await run(process.execPath, ['-e', script]);
    t.is(code, 0, output);
    return Number(output);
  };
  const file = JSON.stringify(path);
  const [size, dense] = [
    64,
    `const d = tl.Dense(4096, { useBias: false }), o = { weightsOnly: true, inputSignature: { shape: [1, 4096], dtype: 'float32' } }`,
  ];
  t.true(
    (await grows(`const w = tl.ones([8192, 2048]).transpose()`, `tl.saveSafetensors({ w }, ${file})`)) < 0.2 * size,
  );
  t.true((await grows('', `tl.loadSafetensors(${file})`)) < 1.2 * size);
  t.true((await grows(`${dense}; d.init(o.inputSignature)`, `d.saveToFile(${file}, o)`)) < 0.2 * size);
  t.true((await grows(dense, `d.initFromFile(${file}, o)`)) < 1.2 * size);
  t.true((await grows(`const w = tl.ones([16 << 20])`, `tl.npToFile([w], ${file}, 1)`)) < 0.2 * size);
  t.true((await grows('', `tl.npFromFile(${file}, 1)`)) < 1.2 * size);
});

test('arrays in a list that are larger than the file could hold, or too many, are refused', (t) => {
  const path = join(folder, 'list.npy.gz');
  tl.npToFile([tl.arange(0, 6).reshape([2, 3]), tl.zeros([0])], path, 9);
  t.deepEqual(tl.npFromFile(path, 9).map(values), [
    [
      [0, 1, 2],
      [3, 4, 5],
    ],
    [],
  ]);
  const header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776,), }\n";
  writeFileSync(path, gzipSync(npy(header)));
  t.throws(() => tl.npFromFile(path, 9), { code: 'Io', message: /more than the file can hold/ });
  const empty = npy("{'descr': '|u1', 'fortran_order': False, 'shape': (0,), }\n");
  writeFileSync(path, gzipSync(Buffer.concat(Array.from({ length: 100_001 }, () => empty))));
  t.throws(() => tl.npFromFile(path, 9), { code: 'Io', message: /more than 100000 arrays/ });
});
