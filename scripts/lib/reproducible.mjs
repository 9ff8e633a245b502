import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { npm } from './needs.mjs';
import { at } from './paths.mjs';
import { must } from './run.mjs';

/** The files of the checkout as git lists them, and what the build of the addon wrote beside them. */
async function files() {
  const listed = await must('git', 'git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard']);
  const addons = readdirSync(at()).filter((name) => name.endsWith('.node'));
  return [...listed.split('\0').filter(Boolean), 'binding.cjs', 'binding.d.cts', ...addons];
}

/** The bytes of each file in a tarball. */
async function unpacked(tarball) {
  const folder = mkdtempSync(join(tmpdir(), 'tallow-unpacked-'));
  try {
    await must('tar', 'tar', ['-xzf', tarball, '-C', folder]);
    const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    const paths = entries.map((entry) => join(entry.parentPath, entry.name));
    return new Map(paths.map((path) => [path.slice(folder.length + 1).replaceAll('\\', '/'), readFileSync(path)]));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Does something in a copy of the checkout, in a folder of this name. */
export async function copyOf(name, work) {
  const above = mkdtempSync(join(tmpdir(), 'tallow-copy-'));
  const folder = join(above, name);
  try {
    for (const file of await files()) {
      mkdirSync(join(folder, dirname(file)), { recursive: true });
      cpSync(at(file), join(folder, file), { verbatimSymlinks: true });
    }
    symlinkSync(at('node_modules'), join(folder, 'node_modules'), 'junction');
    return await work(folder);
  } finally {
    rmSync(above, { recursive: true, force: true });
  }
}

/** Builds dist/ in a folder and packs tallow there; gives the tarball and what is in it. */
export async function packedIn(folder) {
  const url = (name) => JSON.stringify(new URL(`file://${join(folder, 'scripts', 'lib', name)}`).href);
  const program = `const { buildJavaScript } = await import(${url('javascript.mjs')});
    const { packAll } = await import(${url('packages.mjs')});
    await buildJavaScript();
    console.log((await packAll('packed'))[0]);`;
  const env = { npm_config_cache: join(folder, 'cache') };
  const args = ['--input-type=module', '-e', `process.chdir(${JSON.stringify(folder)});${program}`];
  const said = await must('building a copy', process.execPath, args, { env });
  return read(said.trim().split('\n').at(-1));
}

/** A tarball with what is in it. */
async function read(tarball) {
  return { tarball: readFileSync(tarball), files: await unpacked(tarball) };
}

/** The package of a version as npm has it. Its tarball was packed by another npm, maybe; its files are what counts. */
export async function published(version) {
  const folder = mkdtempSync(join(tmpdir(), 'tallow-published-'));
  try {
    const [command, args] = npm('pack', `tallow@${version}`, '--pack-destination', folder, '--loglevel=error');
    await must('npm pack', command, args);
    const [file] = readdirSync(folder);
    return { files: await unpacked(join(folder, file)) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const sum = (bytes) => createHash('sha256').update(bytes).digest('hex');

/** The SHA-256 of each file, and of the tarball where it is of ours. */
export function sumsOf({ tarball, files: contents }) {
  const sums = [...contents].map(([name, bytes]) => [name, sum(bytes)]);
  return new Map(tarball === undefined ? sums : [...sums, ['the tarball', sum(tarball)]]);
}

/** The files that only one has, or that differ; a tarball counts where both have one. */
export function differences(ours, theirs) {
  const names = new Set([...ours.keys(), ...theirs.keys()]);
  if (!ours.has('the tarball') || !theirs.has('the tarball')) names.delete('the tarball');
  return [...names].filter((name) => ours.get(name) !== theirs.get(name)).toSorted();
}
