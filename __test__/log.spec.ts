/** `TALLOW_LOG`: which operations run, on which path, with which kernels, for how long. */
import test from 'ava';
import { root, run } from './support/process.js';

const program = `
  const tl = require(${JSON.stringify(root)});
  tl.tensor([1, 2, 3, 4]).add(tl.tensor([1, 1, 1, 1])).dataSync();
  tl.tensor(new Float32Array(64 * 64), [64, 64]).matmul(tl.tensor(new Float32Array(64 * 64), [64, 64])).dataSync();
`;

const lines = async (asked: string): Promise<string[]> => {
  const { code, output } = await run(process.execPath, ['-e', program], { env: { TALLOW_LOG: asked } });
  if (code !== 0) throw new Error(output);
  return output.split('\n').filter((line) => line !== '');
};

test('trace tells operation, operand, path and time, and what multiplies', async (t) => {
  const told = await lines('trace');
  const line = (pattern: RegExp): void => {
    const found = told.some((text) => pattern.test(text));
    t.true(found, `${pattern} in\n${told.join('\n')}`);
  };
  line(/tallow::processor\] \d+ threads, .+/);
  line(/tallow::operation\] add of \w+\[4\] by kernel, [\d.]+\S+$/);
  line(/tallow::operation\] matmul of float32\[64, 64\] by kernel, [\d.]+\S+$/);
  line(/tallow::product\] 1 of \[64, 64\] by \[64, 64\], .* by (?:AVX-512|AVX2|the gemm crate)(?:, .*)?, [\d.]+\S+$/);
});

test('a target alone, and nothing when nobody asks', async (t) => {
  const products = await lines('tallow::product=trace');
  t.true(products.length > 0);
  t.true(
    products.every((text) => text.includes('tallow::product')),
    products.join('\n'),
  );
  t.deepEqual(await lines('off'), []);
  t.deepEqual(await lines('error'), []);
});

test('what is no level is said, and the program goes on', async (t) => {
  const [line] = await lines('trce');
  t.is(line, 'TALLOW_LOG: `trce` is no level; there are off, error, warn, info, debug and trace');
});
