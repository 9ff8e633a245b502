/** Files of named tensors. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import * as tl from '../src/index.js';
import { SafeTensors } from './support/safetensors.js';

const folder = mkdtempSync(join(tmpdir(), 'tallow-safetensors-'));
test.after.always(() => rmSync(folder, { recursive: true }));

test('tensors come back by name, with their dtypes, and others can read the file', (t) => {
  const path = join(folder, 'a.safetensors');
  const dtypes = ['float32', 'float64', 'float16', 'bfloat16', 'int32', 'int64', 'uint32', 'uint8', 'bool'] as const;
  const tensors = Object.fromEntries(
    dtypes.map((dtype) => [`layer.${dtype}`, tl.arange(0, 6).reshape([3, 2]).transpose().cast(dtype)]),
  );
  tl.saveSafetensors({ ...tensors, number: 3.5, list: [1, 2] }, path);
  const loaded = tl.loadSafetensors(path);
  t.deepEqual(Object.keys(loaded).toSorted(), [...Object.keys(tensors), 'list', 'number'].toSorted());
  for (const [name, tensor] of Object.entries(tensors)) {
    t.deepEqual([tl.signature(loaded[name]!), loaded[name]!.array()], [tl.signature(tensor), tensor.array()], name);
  }
  t.deepEqual([loaded['number']!.shape, loaded['number']!.item(), loaded['list']!.array()], [[], 3.5, [1, 2]]);
  t.deepEqual(new SafeTensors(path).tensor('layer.float32').array(), [
    [0, 2, 4],
    [1, 3, 5],
  ]);
});

test('what is no such file is refused, and the old file stays', (t) => {
  const path = join(folder, 'b.safetensors');
  t.throws(() => tl.loadSafetensors(path), { code: 'Io', message: /b\.safetensors/ });
  tl.saveSafetensors({ x: [1, 2, 3] }, path);
  const whole = readFileSync(path);
  writeFileSync(path, whole.subarray(0, whole.length - 2));
  t.throws(() => tl.loadSafetensors(path), { code: 'Io', message: /b\.safetensors is no valid safetensors file/ });
  t.throws(() => tl.saveSafetensors({ x: [1] }, join(folder, 'nowhere', 'c.safetensors')), { code: 'Io' });
  const gone = tl.ones([2]);
  gone.dispose();
  t.throws(() => tl.saveSafetensors({ gone }, path), { code: 'Disposed' });
  t.is(readFileSync(path).length, whole.length - 2);
});
