import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cargo } from './needs.mjs';
import { at, filesIn, readJson } from './paths.mjs';
import { must } from './run.mjs';

/** Licences of what is published: code that others may ship under terms of their own. */
const published = [
  'MIT',
  'Apache-2.0',
  'Apache-2.0 WITH LLVM-exception',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'ISC',
  'Zlib',
  '0BSD',
  'CC0-1.0',
  'Unicode-3.0',
];
/** Licences of tools, which nobody ships, too. */
const tools = [
  ...published,
  'BlueOak-1.0.0',
  'CC-BY-3.0',
  'CC-BY-4.0',
  'MPL-2.0',
  'PSF-2.0',
  'Python-2.0',
  'Unlicense',
];

/**
 * What a package's licence lacks to be among those allowed; nothing if it is.
 *
 * @param {string | undefined | null} licence an SPDX expression, or two with a slash between them, as old crates have it
 * @param {readonly string[]} allowed
 * @returns {string | undefined}
 */
export function licenceFault(licence, allowed = published) {
  if (!licence) return 'says nothing of its licence';
  // Only where it is needed: in a fresh clone nothing is installed when the scripts are loaded.
  const satisfies = createRequire(import.meta.url)('spdx-satisfies');
  const expression = licence.replaceAll(/\s*\/\s*/g, ' OR ');
  try {
    return satisfies(expression, allowed) ? undefined : `is under ${licence}`;
  } catch {
    return `is under ${licence}, which is no licence known to SPDX`;
  }
}

/** A check whose faults are its output, one a line. */
const check = (name, faults) => ({
  name,
  async run() {
    const found = await faults();
    return { passed: found.length === 0 ? 1 : 0, failed: found.length === 0 ? 0 : 1, output: found.join('\n') };
  },
});

const metadata = async (...args) =>
  JSON.parse(await must('cargo metadata', cargo, ['metadata', '--format-version', '1', ...args]));

/** Whether all dependencies, of either language, are under licences that go with ours. */
export const licences = check('licences', async () => {
  const crates = (await metadata()).packages.filter(({ source }) => source !== null);
  const packages = Object.entries(readJson('package-lock.json').packages).filter(([path]) => path !== '');
  return [
    ...crates.map(({ name, license }) => [name, licenceFault(license)]),
    ...packages.map(([path, { license, dev }]) => [path, licenceFault(license, dev ? tools : published)]),
  ].flatMap(([name, fault]) => (fault === undefined ? [] : [`${name} ${fault}`]));
});

/**
 * The dependencies that no source names.
 *
 * @param {readonly { name: string, rename?: string | null }[]} dependencies of a crate
 * @param {string} text its sources
 * @returns {string[]}
 */
export function unusedCrates(dependencies, text) {
  const names = dependencies.map(({ name, rename }) => rename ?? name);
  return names.filter((name) => !new RegExp(`\\b${name.replaceAll('-', '_')}(?:::|\\s*[;,}]|\\s+as\\b)`).test(text));
}

/** Where a crate may name its dependencies of each kind. */
const folders = {
  normal: ['src'],
  dev: ['src', 'tests', 'examples', 'benches'],
  build: ['build.rs'],
};

/** Where the npm packages may be named: not in the lists of packages themselves. */
const users = [
  'src',
  'scripts',
  '__test__',
  'bench',
  'examples',
  'packages',
  'typedoc.json',
  'tsconfig.json',
  '.oxlintrc.json',
];
/** TypeScript finds packages of types by itself. */
const isTypes = (name) => name.startsWith('@types/');

/** The text of all files of these endings. */
const sources = (paths, ending) =>
  filesIn(paths)
    .filter((file) => ending.test(file))
    .map((file) => readFileSync(at(file), 'utf8'))
    .join('\n');

/** Whether every dependency is named by a source. */
export const unused = check('unused dependencies', async () => {
  const faults = [];
  for (const { name, dependencies, manifest_path: manifest } of (await metadata('--no-deps')).packages) {
    const folder = manifest.replaceAll('\\', '/').split('/').slice(-3, -1).join('/');
    for (const kind of ['normal', 'dev', 'build']) {
      const text = sources(
        folders[kind].map((path) => `${folder}/${path}`),
        /\.rs$/,
      );
      const mine = dependencies.filter((dependency) => (dependency.kind ?? 'normal') === kind);
      faults.push(...unusedCrates(mine, text).map((unused) => `${name} does not use ${unused}`));
    }
  }
  const text = sources(users, /\.(?:[cm]?[jt]s|json)$/) + JSON.stringify(readJson('package.json').ava);
  const packages = Object.keys(readJson('package.json').devDependencies);
  const idle = packages.filter((name) => !text.includes(name) && !isTypes(name));
  return [...faults, ...idle.map((name) => `package.json: nothing uses ${name}`)];
});
