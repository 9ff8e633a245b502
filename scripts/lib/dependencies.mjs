import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cargo } from './needs.mjs';
import { at, filesIn, readJson } from './paths.mjs';
import { must, Refusal } from './run.mjs';

/** Licences of what is published: code that others may ship under terms of their own. deny.toml lists them. */
export function published() {
  const list = /^\[licenses\]\nallow = \[([^\]]*)\]/m.exec(readFileSync(at('deny.toml'), 'utf8'));
  if (!list) throw new Refusal('deny.toml lists no licences to allow');
  return [...list[1].matchAll(/"([^"]+)"/g)].map(([, licence]) => licence);
}
/** Licences of tools, which nobody ships, too. */
const tools = () => [
  ...published(),
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
export function licenceFault(licence, allowed = published()) {
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
export const check = (name, faults) => ({
  name,
  async run() {
    const found = await faults();
    return { passed: found.length === 0 ? 1 : 0, failed: found.length === 0 ? 0 : 1, output: found.join('\n') };
  },
});

/** What cargo knows of the crates. */
export const metadata = async (...args) =>
  JSON.parse(await must('cargo metadata', cargo, ['metadata', '--format-version', '1', ...args]));

/** The packages in a lockfile, by their paths. */
const packagesOf = (lock) => Object.entries(readJson(lock).packages).filter(([path]) => path !== '');

/** Whether all dependencies, of either language, are under licences that go with ours. */
export const licences = check('licences', async () => {
  const crates = (await metadata()).packages.filter(({ source }) => source !== null);
  const packages = [
    ...packagesOf('package-lock.json'),
    // What releases and checks are made with.
    ...packagesOf('scripts/tools/package-lock.json').map(([path, entry]) => [path, { ...entry, dev: true }]),
  ];
  const [shipped, forTools] = [published(), tools()];
  return [
    ...crates.map(({ name, license }) => [name, licenceFault(license, shipped)]),
    ...packages.map(([path, { license, dev }]) => [path, licenceFault(license, dev ? forTools : shipped)]),
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

/** Where the npm packages may be named. */
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
  // Without the lists of packages themselves.
  const text =
    sources(users, /(?<!\/package(?:-lock)?)\.(?:[cm]?[jt]s|json)$/) + JSON.stringify(readJson('package.json').ava);
  const ofTools = readJson('scripts/tools/package-lock.json').packages;
  // What a tool asks its user to install beside it.
  const peers = Object.values(ofTools).flatMap(({ peerDependencies = {} }) => Object.keys(peerDependencies));
  const packages = [
    ...Object.keys(readJson('package.json').devDependencies),
    ...Object.keys(ofTools[''].dependencies).filter((name) => !peers.includes(name)),
  ];
  const idle = packages.filter((name) => !text.includes(name) && !isTypes(name));
  return [...faults, ...idle.map((name) => `package.json: nothing uses ${name}`)];
});
