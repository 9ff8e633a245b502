/** What is said where the addon cannot be loaded: in a copy of the package without one, with a broken one, with another version's. */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import pkg from '../../package.json';
import { addonPath, faultOf } from '../../src/bridge/addon.js';
import { PLATFORMS, platformName, shownSystem, type System, systemOf } from '../../src/bridge/system.js';
import { version } from '../../src/index.js';
import { hasStack, tallow } from '../support/program.js';
import { root, run } from '../support/process.js';

const folder = mkdtempSync(join(tmpdir(), 'tallow-addon-'));
test.after.always(() => rmSync(folder, { recursive: true, force: true }));
const here = platformName(systemOf());
const command = `npm install --no-save tallow-${here}@${version}`;

/** A copy of the package as it is installed, without an addon. */
function installed(name: string): string {
  const modules = join(folder, name, 'node_modules');
  const tallow = join(modules, 'tallow');
  mkdirSync(tallow, { recursive: true });
  for (const file of ['dist', 'binding.cjs', 'package.json'])
    cpSync(join(root, file), join(tallow, file), { recursive: true });
  for (const dependency of Object.keys(pkg.dependencies))
    symlinkSync(join(root, 'node_modules', dependency), join(modules, dependency));
  // What the dependencies need is beside them.
  writeFileSync(join(folder, name, 'use.mjs'), "import * as tl from 'tallow';\nconsole.log(tl.version);\n");
  return modules;
}

/** Puts an addon where npm puts it. */
function withAddon(modules: string, platform: string, put: (file: string) => void): void {
  const package_ = join(modules, `tallow-${platform}`);
  mkdirSync(package_);
  const file = `tallow.${platform}.node`;
  writeFileSync(join(package_, 'package.json'), JSON.stringify({ name: `tallow-${platform}`, version, main: file }));
  put(join(package_, file));
}

const builtAddon = (): string => addonPath() ?? join(root, `tallow.${here}.node`);

/** Whether the program and the package say so, in a sentence. */
async function says(
  t: ExecutionContext,
  name: string,
  code: string,
  words: readonly (string | RegExp)[],
): Promise<void> {
  const [file, cwd] = [join(folder, name, 'node_modules', 'tallow', 'dist', 'cli', 'tallow.js'), join(folder, name)];
  const used = await run(process.execPath, ['use.mjs'], { cwd });
  t.not(used.code, 0);
  t.true(used.output.includes(`AddonError: [${code}] `), used.output);
  const doctor = await tallow(['doctor'], { file, cwd });
  t.is(doctor.code, 1, doctor.out);
  const other = await tallow(['bench'], { file, cwd });
  t.is(other.code, 1);
  t.false(hasStack(other.err));
  const json = await tallow(['info', '--json'], { file, cwd });
  t.is((JSON.parse(json.out) as { addon: { fault: string } }).addon.fault, code);
  for (const text of [used.output, doctor.out, other.err]) {
    for (const word of words)
      t.true(typeof word === 'string' ? text.includes(word) : word.test(text), `${word}\n${text}`);
  }
  const help = await tallow(['--help'], { file, cwd });
  t.is(help.code, 0, 'help needs no addon');
}

test('the copy works where its addon is', async (t) => {
  const modules = installed('whole');
  withAddon(modules, here, (file) => copyFileSync(builtAddon(), file));
  const { code, output } = await run(process.execPath, ['use.mjs'], { cwd: join(folder, 'whole') });
  t.deepEqual([code, output.trim()], [0, version]);
});

test('without an addon: the system, the package that is missing, and the command that adds it', async (t) => {
  installed('without');
  const { platform, arch, libc } = systemOf();
  const words = [`${platform} ${arch}`, `Node ${process.version}`, `tallow-${here} is not installed`, command];
  await says(t, 'without', 'AddonMissing', [...words, ...(libc === 'glibc' ? [/glibc \d+\.\d+/] : [])]);
});

test('with the addon of another system', async (t) => {
  const other = PLATFORMS.find((name) => name !== here)!;
  withAddon(installed('moved'), other, (file) => writeFileSync(file, ''));
  await says(t, 'moved', 'AddonMissing', [`node_modules has tallow-${other} in its place`, command]);
});

test('with a broken addon: the file, why, and the command that replaces it', async (t) => {
  withAddon(installed('broken'), here, (file) => writeFileSync(file, 'no library'));
  await says(t, 'broken', 'AddonBroken', [`tallow.${here}.node cannot be opened (`, `${command} --force`]);
});

test('with an addon of another version', async (t) => {
  const modules = installed('older');
  withAddon(modules, here, (file) => {
    writeFileSync(
      file.replace(/\.node$/, '.js'),
      `module.exports = { ...require(${JSON.stringify(builtAddon())}), version: () => '0.0.9' };`,
    );
    const manifest = { name: `tallow-${here}`, version: '0.0.9', main: `tallow.${here}.js` };
    writeFileSync(join(file, '..', 'package.json'), JSON.stringify(manifest));
  });
  await says(t, 'older', 'AddonVersion', [`this is tallow ${version}`, 'of 0.0.9', command]);
});

/** Puts a package with CUDA beside the one for the CPU: a script in place of its addon. */
function withCuda(name: string, script: string, of = version): void {
  const modules = installed(name);
  withAddon(modules, here, (file) => copyFileSync(builtAddon(), file));
  const cuda = join(modules, 'tallow-cuda');
  mkdirSync(cuda);
  writeFileSync(join(cuda, 'package.json'), JSON.stringify({ name: 'tallow-cuda', version: of, main: 'addon.js' }));
  writeFileSync(join(cuda, 'addon.js'), script);
}

test('a package with CUDA that cannot be opened is told of once, and the CPU computes', async (t) => {
  const fault = 'libcuda.so.1: cannot open shared object file: No such file or directory';
  withCuda('no-driver', `throw new Error(${JSON.stringify(fault)});`);
  withCuda('other-cuda', '', '0.0.9');
  const words = { 'no-driver': fault, 'other-cuda': `it is of 0.0.9, and this is tallow ${version}` };
  for (const [name, why] of Object.entries(words)) {
    const { code, output } = await run(process.execPath, ['use.mjs'], { cwd: join(folder, name) });
    t.is(code, 0, output);
    t.true(output.split('\n').includes(version), output);
    const told = `[TALLOW_CUDA] TallowWarning: tallow-cuda is installed, but it cannot be used (${why}`;
    t.is(output.split(told).length, 2, output);
  }
});

test('a package with CUDA that can be opened is taken', async (t) => {
  withCuda('driver', `console.log('taken'); module.exports = require(${JSON.stringify(builtAddon())});`);
  const { code, output } = await run(process.execPath, ['use.mjs'], { cwd: join(folder, 'driver') });
  t.deepEqual([code, output.trim().split('\n')], [0, ['taken', version]], output);
});

test('a system that there is no addon for', (t) => {
  const system: System = { platform: 'freebsd', arch: 'x64', libc: null, libcVersion: null, node: 'v22.1.0' };
  const { code, message } = faultOf(new Error('no'), system);
  t.is(code, 'AddonUnsupported');
  t.true(
    message.includes('on freebsd x64, Node v22.1.0: there is none for freebsd-x64, only for darwin-arm64'),
    message,
  );
});

test('a glibc that is too old', (t) => {
  const system: System = { platform: 'linux', arch: 'x64', libc: 'glibc', libcVersion: '2.28', node: 'v22.1.0' };
  const cause = new Error("/lib64/libc.so.6: version `GLIBC_2.34' not found (required by /app/tallow.node)");
  const { code, message } = faultOf(
    new Error('Cannot find native binding.', { cause }),
    system,
    () => '/app/tallow.node',
  );
  t.is(code, 'AddonBroken');
  t.true(message.includes('/app/tallow.node needs glibc 2.34, and this system has 2.28'), message);
});

/** Finds the addon for glibc alone. */
const find = (platform: string): string | undefined => (platform === 'linux-x64-gnu' ? '/app/gnu.node' : undefined);

test('a musl system with the package for glibc', (t) => {
  const system: System = { platform: 'linux', arch: 'x64', libc: 'musl', libcVersion: null, node: 'v22.1.0' };
  // A checkout would be told to build it; this one is asked as a package that is installed.
  const { code, message } = faultOf(new Error('no'), system, find, null, false);
  t.is(code, 'AddonMissing');
  t.regex(
    message,
    /on linux x64, musl, Node v22\.1\.0: node_modules has tallow-linux-x64-gnu in its place, so it was installed on another system; `npm install --no-save tallow-linux-x64-musl@\S+` adds tallow-linux-x64-musl$/,
  );
});

(here.endsWith('-gnu') ? test : test.skip)(
  'two copies in one process: both are named, and what makes them one',
  async (t) => {
    for (const name of ['first', 'second'])
      withAddon(installed(name), here, (file) => copyFileSync(builtAddon(), file));
    const use = join(folder, 'both.cjs');
    const copy = (name: string): string => JSON.stringify(join(folder, name, 'node_modules', 'tallow'));
    writeFileSync(use, `require(${copy('first')});\nrequire(${copy('second')});\n`);
    const { code, output } = await run(process.execPath, [use]);
    t.not(code, 0);
    const file = (name: string): string => join(folder, name, 'node_modules', `tallow-${here}`, `tallow.${here}.node`);
    const said = `${file('second')} cannot be opened: this process has loaded ${file('first')} already`;
    t.true(output.includes(`AddonError: [AddonBroken] `) && output.includes(said), output);
    t.true(output.includes('`npm ls tallow` shows who asks for each, and one version for all makes them one'), output);
  },
);

test('without room for thread-local storage, and no other copy', (t) => {
  const cause = new Error('/app/tallow.node: cannot allocate memory in static TLS block');
  const error = new Error('Cannot find native binding.', { cause });
  const { code, message } = faultOf(error, systemOf(), () => '/app/tallow.node', null);
  t.is(code, 'AddonBroken');
  t.true(message.endsWith('left no room for its thread-local storage; load tallow before them'), message);
});

const asAnother = process.platform !== 'win32' && process.getuid?.() === 0 ? test : test.skip;
asAnother(
  'in a folder that cannot be written into, by a user who owns nothing, it works (checked as root only)',
  async (t) => {
    const own = mkdtempSync(join(tmpdir(), 'tallow-read-only-'));
    t.teardown(() => rmSync(own, { recursive: true, force: true }));
    chmodSync(own, 0o755);
    const modules = join(own, 'node_modules');
    cpSync(installed('read-only'), modules, { recursive: true, dereference: true });
    withAddon(modules, here, (file) => copyFileSync(builtAddon(), file));
    const use = `const tl = require('tallow'); const fs = require('node:fs');
    let told = ''; try { fs.writeFileSync('x', '') } catch (error) { told = error.code }
    console.log(told, tl.ones([2, 3]).sum().item());`;
    // A user whose number no file has.
    const user = { cwd: own, uid: 65_534, gid: 65_534 };
    const { stdout, stderr, status } = spawnSync(process.execPath, ['-e', use], { ...user, encoding: 'utf8' });
    t.deepEqual([status, stdout.trim()], [0, 'EACCES 6'], stderr);
  },
);

test('the packages that are named are those that are published', (t) => {
  t.deepEqual([...PLATFORMS].toSorted(), readdirSync(join(root, 'npm')).toSorted());
  t.true(PLATFORMS.includes(here));
  const musl: System = { platform: 'linux', arch: 'arm64', libc: 'musl', libcVersion: null, node: 'v22.1.0' };
  t.deepEqual([platformName(musl), shownSystem(musl)], ['linux-arm64-musl', 'linux arm64, musl, Node v22.1.0']);
  t.is(platformName({ ...musl, platform: 'win32', libc: null }), 'win32-arm64-msvc');
});
