import { copyFileSync, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { cargo, needCargo } from './needs.mjs';
import { at, fingerprint, readJson, readStamp, root, writeStamp } from './paths.mjs';
import { must, Refusal, run } from './run.mjs';

const CRATE = 'tallow-node';
/** What an addon may have beside the CPU: accelerators, and ranks that are processes. */
const FEATURES = ['cuda', 'metal', 'mpi'];
const types = at('target', 'napi-types');

/** What the addon is made of. */
const sources = [
  'crates/device',
  'crates/tensor',
  'crates/layers',
  'crates/training',
  'crates/data',
  'crates/decoding',
  'crates/node',
  'Cargo.toml',
  'Cargo.lock',
];
const addonFingerprint = (features) =>
  fingerprint(sources, readJson('package-lock.json').packages['node_modules/@napi-rs/cli'].version, ...features);

/**
 * The environment of every cargo call. The derive macros of napi write the addon's types into this folder while they
 * compile; the second variable makes cargo compile the crate again exactly when its sources have changed since.
 */
export function cargoEnv() {
  return {
    NAPI_TYPE_DEF_TMP_FOLDER: types,
    NAPI_FORCE_BUILD_TALLOW_NODE: fingerprint(['crates/node']),
  };
}

/** "linux-x64-gnu": how the addon's file and its platform package are called here. */
export function platformName() {
  const { platform, arch } = process;
  if (platform === 'linux') {
    const musl = !process.report.getReport().header.glibcVersionRuntime;
    return `linux-${arch}-${musl ? 'musl' : 'gnu'}`;
  }
  return platform === 'win32' ? `win32-${arch}-msvc` : `${platform}-${arch}`;
}

/** The addon built on this machine. */
export const addonPath = () => at(`tallow.${platformName()}.node`);

const outputs = () => [addonPath(), at('binding.cjs'), at('binding.d.cts')];

/** Whether the addon and its loader are there and built from the present sources, with these features of `crates/node` and no others. */
export const nativeIsFresh = (features = []) =>
  outputs().every(existsSync) && readStamp('native') === addonFingerprint(features);

/** The features of `crates/node` that a list as `cuda,metal` names, in one order; refuses others. */
export function featuresOf(list = '') {
  const named = list.split(',').filter((name) => name !== '');
  const unknown = named.find((name) => !FEATURES.includes(name));
  if (unknown !== undefined) throw new Refusal(`--features knows ${FEATURES.join(', ')}, got ${unknown}`);
  return FEATURES.filter((name) => named.includes(name));
}

/** The library that cargo made of the crate last, whatever its features. */
export async function builtLibrary() {
  const names = { linux: 'libtallow_node.so', darwin: 'libtallow_node.dylib', win32: 'tallow_node.dll' };
  const name = names[process.platform];
  if (!name) throw new Refusal(`tallow cannot be built on ${process.platform}`);
  const metadata = await must('cargo metadata', cargo, ['metadata', '--format-version', '1', '--no-deps']);
  return join(JSON.parse(metadata).target_directory, 'release', name);
}

/**
 * Builds the addon for this machine. `napi build` would do, but it always passes `--target`, and cargo then keeps a
 * second copy of every dependency beside the one `cargo test` uses; publishing for other systems does use it.
 */
export async function buildNative(features = []) {
  await needCargo();
  const wanted = addonFingerprint(features);
  const env = cargoEnv();
  // Types left from other sources must not be mixed with the new ones.
  if (readStamp('napi-types') !== env.NAPI_FORCE_BUILD_TALLOW_NODE) rmSync(types, { recursive: true, force: true });
  const written = join(types, CRATE);
  if (!existsSync(written)) env.NAPI_FORCE_BUILD_TALLOW_NODE += `-${Date.now()}`;
  mkdirSync(types, { recursive: true });
  const asked = features.length > 0 ? ['--features', features.join(',')] : [];
  const built = await run(cargo, ['build', '--release', '--package', CRATE, ...asked], { live: true, env });
  if (built.code !== 0) throw new Refusal(`cargo build failed (exit code ${built.code})`);

  const fresh = `${addonPath()}.${process.pid}`;
  copyFileSync(await builtLibrary(), fresh);
  // Renamed, not overwritten: a process that runs on the old addon keeps it.
  renameSync(fresh, addonPath());
  await writeBinding();
  writeStamp('napi-types', fingerprint(['crates/node']));
  writeStamp('native', wanted);
}

/** Writes the loader (binding.cjs) and the addon's types (binding.d.cts), as `napi build` would. */
async function writeBinding() {
  const { generateTypeDef, readNapiConfig, writeJsBinding } = createRequire(at('package.json'))('@napi-rs/cli');
  const config = await readNapiConfig(at('package.json'));
  const { exports, dts } = await generateTypeDef({
    typeDefDir: types,
    cwd: root,
    declareBindingTarget: true,
    constEnum: false,
    noDtsHeader: true,
  });
  writeFileSync(at('binding.d.cts'), `/* Generated with the addon; do not edit. */\n${config.dtsHeader ?? ''}${dts}`);
  await writeJsBinding({
    platform: true,
    idents: exports,
    jsBinding: 'binding.cjs',
    binaryName: config.binaryName,
    packageName: config.packageName,
    version: config.packageJson.version,
    outputDir: root,
  });
  if (!existsSync(at('binding.cjs'))) throw new Refusal(`no loader was written: ${CRATE} exports nothing`);
}
