import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename } from 'node:path';
import { tool } from './needs.mjs';
import { at, fingerprint, readStamp, writeStamp } from './paths.mjs';
import { must, Refusal } from './run.mjs';

const sources = [
  'src',
  'tsconfig.json',
  'tsconfig.build.json',
  'package-lock.json',
  'binding.d.cts',
  'scripts/lib/javascript.mjs',
];
/** What programs import: `tallow` and `tallow/serve`. */
const entries = ['index', 'serve/index'];
/** The file of each program, by the source that it begins with. The thread of a dataset stands beside the chunk that starts it. */
const programs = { 'cli/tallow': 'cli/tallow', 'data/workerThread': 'chunks/workerThread' };
const outputs = [
  ...entries.flatMap((entry) => ['js', 'd.ts', 'mjs', 'd.mts'].map((ending) => `dist/${entry}.${ending}`)),
  ...Object.values(programs).map((program) => `dist/${program}.js`),
];

/**
 * What is loaded together is one file, as opening one takes longer than reading it: what works without the addon, and what every use of it needs.
 * `native` loads the addon, and `held` uses it. Other modules stand with those that import them.
 */
const chunks = [
  { name: 'bridge', test: /[\\/]src[\\/]bridge[\\/](?!native\.|held\.)/ },
  { name: 'core', test: /[\\/]src[\\/](?:bridge|tensor|layer|generated|models|decoding)[\\/]/ },
];

/** What the compiler's code calls, for `using` as an example; it becomes part of the package. */
const HELPERS = '@oxc-project/runtime/';

/** Whether an import names a file, not a package. */
const isFile = (id) => /^(?:[./]|[A-Za-z]:)/.test(id);

/** Whether dist/ is complete and built from the present sources. */
export const javascriptIsFresh = () =>
  outputs.every((path) => existsSync(at(path))) && readStamp('dist') === fingerprint(sources);

/** Checks the types of src/, writes its declarations and its programs to dist/, and the ESM wrappers. */
export async function buildJavaScript() {
  const wanted = fingerprint(sources);
  rmSync(at('dist'), { recursive: true, force: true });
  await must('tsc', process.execPath, [tool('typescript', 'tsc'), '-p', 'tsconfig.build.json']);
  await bundle();
  entries.forEach(writeWrapper);
  writeStamp('dist', wanted);
}

/** Writes the JavaScript, of which a start loads a few files. All chunks lie one folder below dist/, as the sources below src/. */
async function bundle() {
  // Only where it is needed: in a fresh clone nothing is installed when the scripts are loaded.
  const { rolldown } = await import('rolldown');
  const input = {
    ...Object.fromEntries(entries.map((entry) => [entry, at('src', `${entry}.ts`)])),
    ...Object.fromEntries(Object.entries(programs).map(([source, program]) => [program, at('src', `${source}.ts`)])),
  };
  const bundled = await rolldown({
    input,
    platform: 'node',
    // What is installed beside the package stays outside.
    external: (id) => id.endsWith('binding.cjs') || !(isFile(id) || id.startsWith(HELPERS)),
    resolve: { extensionAlias: { '.js': ['.ts', '.js'] } },
    transform: { target: 'node20.19' },
    tsconfig: false,
    treeshake: false,
    onLog(level, log) {
      throw new Refusal(`rolldown: ${level}: ${log.message}`);
    },
  });
  await bundled.write({
    dir: at('dist'),
    format: 'cjs',
    // As the sources are, which are modules.
    strict: true,
    exports: 'named',
    esModule: true,
    keepNames: true,
    // The docs are in the declarations.
    comments: false,
    entryFileNames: '[name].js',
    chunkFileNames: 'chunks/[name].js',
    codeSplitting: { groups: chunks },
  });
  await bundled.close();
}

/**
 * The ESM side is a list of names taken from the CommonJS build: one implementation, so `instanceof` holds however the
 * package was loaded. It takes them from a file that exports one name, as Node reads all of a CommonJS file that it imports for what it exports.
 */
function writeWrapper(entry) {
  const api = createRequire(at('package.json'))(at('dist', `${entry}.js`));
  const names = Object.keys(api)
    .filter((name) => name !== 'default')
    .toSorted();
  const odd = names.filter((name) => !/^[A-Za-z_$][\w$]*$/.test(name));
  if (odd.length > 0) throw new Refusal(`not names that a module can export: ${odd.join(', ')}`);
  const lines = names.map((name) => `export const ${name} = api.${name}`);
  const up = '../'.repeat(entry.split('/').length - 1) || './';
  const file = `chunks/all-of-${entry.replaceAll('/', '-')}.js`;
  writeFileSync(at('dist', file), `'use strict'\nexports.api = require('../${entry}.js')\n`);
  writeFileSync(at('dist', `${entry}.mjs`), `import { api } from '${up}${file}'\n\n${lines.join('\n')}\n`);
  writeFileSync(at('dist', `${entry}.d.mts`), `export * from './${basename(entry)}.js'\n`);
}
