/** Archives of arrays, from and for NumPy. `arrays/*.npz` were written by NumPy's `savez` and `savez_compressed`. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import * as tl from '../src/index.js';

const folder = mkdtempSync(join(tmpdir(), 'tallow-npz-'));
test.after.always(() => rmSync(folder, { recursive: true }));
const written = (name: string): string => join(__dirname, 'arrays', name);

const numbers: Readonly<Record<string, readonly [dtype: tl.DType, values: unknown]>> = {
  f4: [
    'float32',
    [
      [0, 0.25, 0.5],
      [0.75, 1, 1.25],
    ],
  ],
  fortran: [
    'float64',
    [
      [0, 1, 2],
      [3, 4, 5],
    ],
  ],
  big: ['float32', [0, 1, 2]],
  f2: ['float16', [1.5, -2]],
  i1: ['int32', [-128, 127]],
  i2: ['int32', [-32768, 5]],
  u2: ['int32', [65535]],
  i4: ['int32', [-7]],
  i8: ['int64', [2 ** 40]],
  u4: ['uint32', [2 ** 32 - 1]],
  u8: ['int64', [2 ** 62]],
  u1: ['uint8', [0, 255]],
  scalar: ['float32', 2.5],
  empty: ['float32', []],
  'layer/w ü': ['float32', [1, 1]],
};

for (const file of ['numpy.npz', 'numpy-compressed.npz']) {
  test(`what NumPy wrote is read: ${file}`, (t) => {
    const arrays = tl.loadNpz(written(file));
    for (const [name, [dtype, expected]] of Object.entries(numbers)) {
      const x = arrays[name]!;
      t.is(x.dtype, dtype, name);
      t.deepEqual(dtype === 'int64' ? x.cast('float64').array() : x.array(), expected, name);
    }
    t.deepEqual(arrays['empty']!.shape, [0, 3]);
    t.deepEqual([arrays['b1']!.dtype, arrays['b1']!.cast('int32').array()], ['bool', [1, 0]]);
    t.is(Object.keys(arrays).length, file === 'numpy.npz' ? 16 : 17);
  });
}

test('arrays come back by name, and equal arrays give equal bytes', (t) => {
  const path = join(folder, 'arrays.npz');
  const arrays = { w: tl.arange(6).reshape([3, 2]).transpose(), 'a/b': [1, 2], b: tl.ones([2]).cast('bfloat16') };
  tl.saveNpz(path, arrays);
  const bytes = readFileSync(path);
  const read = tl.loadNpz(path);
  t.deepEqual(Object.keys(read), ['w', 'a/b', 'b']);
  t.deepEqual(read['w']!.array(), [
    [0, 2, 4],
    [1, 3, 5],
  ]);
  t.is(read['b']!.dtype, 'bfloat16');
  tl.saveNpz(path, arrays);
  t.deepEqual(readFileSync(path), bytes);
  t.deepEqual(readdirSync(folder), ['arrays.npz']);
});

test('pickled objects, damage and what is no archive are refused', (t) => {
  t.throws(() => tl.loadNpz(written('objects.npz')), { code: 'Io', message: /array o: .*'\|O' cannot be read/ });
  const path = join(folder, 'damaged.npz');
  const whole = readFileSync(written('numpy-compressed.npz'));
  writeFileSync(path, whole.subarray(0, whole.length - 30));
  t.throws(() => tl.loadNpz(path), { code: 'Io', message: /damaged\.npz: it is no zip archive/ });
  t.throws(() => tl.loadNpz(join(folder, 'absent')), { code: 'Io', message: /absent/ });
  rmSync(path);
});
