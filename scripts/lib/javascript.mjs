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
const outputs = [
  ...entries.flatMap((entry) => ['js', 'd.ts', 'mjs', 'd.mts'].map((ending) => `dist/${entry}.${ending}`)),
  'dist/cli/tallow.js',
];

/** Whether dist/ is complete and built from the present sources. */
export const javascriptIsFresh = () =>
  outputs.every((path) => existsSync(at(path))) && readStamp('dist') === fingerprint(sources);

/** Compiles src/ to dist/ and writes the ESM wrappers. */
export async function buildJavaScript() {
  const wanted = fingerprint(sources);
  rmSync(at('dist'), { recursive: true, force: true });
  await must('tsc', process.execPath, [tool('typescript', 'tsc'), '-p', 'tsconfig.build.json']);
  entries.forEach(writeWrapper);
  writeStamp('dist', wanted);
}

/**
 * The ESM side is a list of names taken from the CommonJS build: one implementation, so `instanceof` holds however the
 * package was loaded.
 */
function writeWrapper(entry) {
  const api = createRequire(at('package.json'))(at('dist', `${entry}.js`));
  const names = Object.keys(api)
    .filter((name) => name !== 'default')
    .toSorted();
  const odd = names.filter((name) => !/^[A-Za-z_$][\w$]*$/.test(name));
  if (odd.length > 0) throw new Refusal(`not names that a module can export: ${odd.join(', ')}`);
  const lines = names.map((name) => `export const ${name} = api.${name}`);
  const file = `./${basename(entry)}.js`;
  writeFileSync(at('dist', `${entry}.mjs`), `import api from '${file}'\n\n${lines.join('\n')}\n`);
  writeFileSync(at('dist', `${entry}.d.mts`), `export * from '${file}'\n`);
}
