/** What Electron forbids: memory outside of its cage under JavaScript's buffers, and code made of strings. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { symbols } from 'node-api-headers';
import { type Ended, root, run } from '../support/process.js';

/** The addon as it was loaded. */
function addon(): string {
  createRequire(__filename)('../../binding.cjs');
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

/** Functions of Node-API up to a version. */
const upTo = (version: number): Set<string> =>
  new Set(
    Object.entries(symbols)
      .filter(([name]) => Number(name.slice(1)) <= version)
      .flatMap(([, { js_native_api_symbols: js, node_api_symbols: node }]) => [...js, ...node]),
  );

// What Electron's docs ask of a native module: Node-API, whose functions are the same in each version, in place of V8's own.
(process.platform === 'linux' ? test : test.skip)(
  'the addon calls Node-API of a version that each Electron has, and nothing of V8',
  (t) => {
    const text = readFileSync(addon(), 'latin1');
    const called = new Set(text.match(/\b(?:napi|node_api)_[a-z0-9_]+/g));
    const known = upTo(10);
    const functions = [...called].filter((name) => known.has(name));
    t.true(functions.length > 50, 'names of functions can be found');
    // Node 20 has version 9, and so has each Electron since 30.
    t.deepEqual(
      functions.filter((name) => !upTo(9).has(name)),
      [],
    );
    t.true(text.includes('napi_register_module_v1'), 'it is registered as an addon of Node-API is');
    for (const name of ['_ZN2v8', '_ZNK2v8', '_ZN4node', 'node_module_register', 'uv_'])
      t.false(new RegExp(`\\0${name}`).test(text), name);
  },
);

test('no file of the package makes code of strings', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tallow-code-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  // A copy, as what is built is ignored where it stands.
  cpSync(join(root, 'dist'), join(folder, 'dist'), { recursive: true });
  cpSync(join(root, 'binding.cjs'), join(folder, 'dist', 'binding.cjs'));
  writeFileSync(join(folder, 'oxlint.json'), '{}');
  const oxlint = join(root, 'node_modules', 'oxlint', 'bin', 'oxlint');
  const lint = (): Promise<Ended> =>
    run(process.execPath, [oxlint, '-c', 'oxlint.json', '-A', 'all', '-D', 'no-eval', '-D', 'no-new-func', 'dist'], {
      cwd: folder,
    });
  const { code, output } = await lint();
  t.is(code, 0, output);
  t.true(Number(/on (\d+) files/.exec(output)?.[1]) > 100, output);
  writeFileSync(join(folder, 'dist', 'bad.js'), `eval('1'); new Function('return 1');`);
  t.regex((await lint()).output, /2 errors/);
});
