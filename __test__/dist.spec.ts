/** What is built is the package of the sources, in few files: a start takes as long as what it loads. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import test from 'ava';
import { javascriptIsFresh } from '../scripts/lib/javascript.mjs';
import * as tl from '../src/index.js';
import { root, run } from './support/process.js';

const folder = mkdtempSync(join(tmpdir(), 'tallow-dist-'));
test.before((t) => t.true(javascriptIsFresh(), 'dist/ is older than src/: npm run build'));
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

const entry = (file: string): string => JSON.stringify(join(root, 'dist', file));

/** What a program writes, as JSON. */
async function told(name: string, lines: readonly string[]): Promise<unknown> {
  const file = join(folder, name);
  writeFileSync(file, lines.join('\n'));
  const { code, output } = await run(process.execPath, [file]);
  if (code !== 0) throw new Error(output);
  return JSON.parse(output);
}

test('the package is a few files, and loads no library before it is needed', async (t) => {
  const files = (await told('loaded.cjs', [
    `require(${entry('index.js')})`,
    `console.log(JSON.stringify(Object.keys(require.cache)))`,
  ])) as string[];
  const loaded = files.map((file) => relative(root, file).replaceAll('\\', '/'));
  t.true(loaded.includes('dist/index.js'));
  t.true(loaded.length < 20, loaded.join('\n'));
  t.deepEqual(
    loaded.filter((file) => file.includes('node_modules')),
    [],
  );
});

/** Whether a built file begins as strict. */
const isStrict = (file: string): boolean =>
  /^(?:#!.*\n)?['"]use strict['"]/.test(readFileSync(join(root, 'dist', file), 'utf8'));

test('every file is strict, as the sources are', (t) => {
  const files = readdirSync(join(root, 'dist'), { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('.js'),
  );
  t.true(files.length > 10);
  t.deepEqual(
    files.filter((file) => !isStrict(file)),
    [],
  );
});

test('the server shares what the package has loaded', async (t) => {
  const made = await told('shared.cjs', [
    `const tl = require(${entry('index.js')})`,
    `const before = Object.keys(require.cache).length`,
    `require(${entry('serve/index.js')})`,
    `console.log(JSON.stringify(Object.keys(require.cache).slice(before).filter((file) => file.includes('core'))))`,
  ]);
  t.deepEqual(made, []);
});

/** The names of the functions and classes of the package. */
const names = (api: Readonly<Record<string, unknown>>): [string, string][] =>
  Object.entries(api)
    .flatMap(([key, x]): [string, string][] => (typeof x === 'function' ? [[key, x.name]] : []))
    .toSorted(([a], [b]) => (a < b ? -1 : 1));

test('functions and classes have the names that they have in the sources', async (t) => {
  const found = await told('names.cjs', [
    `const named = Object.entries(require(${entry('index.js')})).flatMap(([key, x]) => (typeof x === 'function' ? [[key, x.name]] : []))`,
    `console.log(JSON.stringify(named.sort(([a], [b]) => (a < b ? -1 : 1))))`,
  ]);
  t.true(names(tl).length > 200);
  t.deepEqual(found, names(tl));
});

test('an error tells where the program made the layer', async (t) => {
  const message = await told('wrong.mjs', [
    `import * as tl from ${JSON.stringify(`file://${join(root, 'dist', 'index.mjs')}`)}`,
    `const layer = tl.Dense(2)`,
    `try { layer.init({ shape: [], dtype: 'float32' }) } catch (error) { console.log(JSON.stringify(error.message)) }`,
  ]);
  t.regex(String(message), /created at \S*wrong\.mjs:2:18/);
});
