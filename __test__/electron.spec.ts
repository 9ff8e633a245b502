/** What Electron forbids: memory outside of its cage under JavaScript's buffers, and code made of strings. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import test from 'ava';
import { root, run } from './support/process.js';

/** The addon as it was loaded. */
function addon(): string {
  createRequire(__filename)('../binding.cjs');
  const path = Object.keys(require.cache).find((file) => file.endsWith('.node') && file.startsWith(root));
  if (path === undefined) throw new Error('the addon was not loaded from this checkout');
  return path;
}

// A function that the library does not name cannot be called. On Windows napi-rs names all functions, called or not.
(process.platform === 'win32' ? test.skip : test)('the addon cannot make a buffer over memory of its own', (t) => {
  const bytes = readFileSync(addon());
  t.true(
    bytes.includes('napi_create_arraybuffer') || bytes.includes('napi_get_typedarray_info'),
    'names of functions can be found',
  );
  for (const name of [
    'napi_create_external_arraybuffer',
    'napi_create_external_buffer',
    'node_api_create_external_string',
  ]) {
    t.false(bytes.includes(name), name);
  }
});

test('nothing makes code of strings', async (t) => {
  const script = `
    let refused = 0;
    for (const make of [() => eval('1'), () => new Function('return 1')]) try { make(); } catch { refused += 1; }
    const tl = require('./src/index.ts');
    class Twice extends tl.Layer { forward(x) { return x.mul(2); } }
    const model = tl.Serial(tl.Dense(1), new Twice(), tl.PureLayer((x) => x.neg()), tl.Fn('Sum', (x) => x.sum()));
    model.init({ shape: [2, 3], dtype: 'float32' });
    const trainer = new tl.Trainer(model, tl.optimizers.Adam());
    const slope = tl.grad((x) => x.square().sum())(tl.ones([2]));
    (async () => {
      await trainer.fit([[tl.ones([2, 3])]], { steps: 1, rng: [0, 1], schedule: () => 0.1 });
      const y = await model.callAsync([[1, 2, 3], [4, 5, 6]]);
      console.log(JSON.stringify([refused, slope.array(), Number.isFinite(y.item())]));
    })();
  `;
  const args = ['--disallow-code-generation-from-strings', '--import=tsx', '--input-type=commonjs', '-e', script];
  const { code, output } = await run(process.execPath, args);
  t.is(code, 0, output);
  t.is(output.trim().split('\n').at(-1), JSON.stringify([2, [2, 2], true]), output);
});
