/** What is said where the addon cannot be loaded: in a copy of the package without one, with a broken one, with another version's. */
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
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

test('the packages that are named are those that are published', (t) => {
  t.deepEqual([...PLATFORMS].toSorted(), readdirSync(join(root, 'npm')).toSorted());
  t.true(PLATFORMS.includes(here));
  const musl: System = { platform: 'linux', arch: 'arm64', libc: 'musl', libcVersion: null, node: 'v22.1.0' };
  t.deepEqual([platformName(musl), shownSystem(musl)], ['linux-arm64-musl', 'linux arm64, musl, Node v22.1.0']);
  t.is(platformName({ ...musl, platform: 'win32', libc: null }), 'win32-arm64-msvc');
});
