/** The app of the template `electron`, packed as its configurations say: the addon lies beside the archive, and is found from within. */
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import anyTest, { type TestFn } from 'ava';
import { createPackageWithOptions, extractFile, listPackage, statFile } from '@electron/asar';
import { root } from '../support/process.js';
import { makeProject } from './support/project.js';
import { forkTrainer, Page } from './support/trainer.js';

const test = anyTest as TestFn<{ folder: string; project: string; archive: string; unpack: string; platform: string }>;
const require = createRequire(__filename);

/** The platform package of this machine: that whose addon lies in this checkout. */
function platformHere(): string {
  const { platform, arch } = process;
  const found = ['', '-gnu', '-msvc', '-musl'].map((abi) => `${platform}-${arch}${abi}`);
  const built = found.find((name) => existsSync(join(root, `tallow.${name}.node`)));
  if (built === undefined) throw new Error(`no addon of ${platform} ${arch} in ${root}`);
  return built;
}

/** Puts the packages into an app as npm does: the package, what it needs, and the one with the addon. */
function install(modules: string, platform: string): void {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { dev?: boolean; devOptional?: boolean; optional?: boolean; peer?: boolean }>;
  };
  for (const [path, { dev, devOptional, optional, peer }] of Object.entries(lock.packages))
    if (path !== '' && !(dev || devOptional || optional || peer))
      cpSync(join(root, path), join(dirname(modules), path), { recursive: true });
  for (const name of ['package.json', 'binding.cjs', 'dist'])
    cpSync(join(root, name), join(modules, 'tallow', name), { recursive: true });
  const name = `tallow-${platform}`;
  cpSync(join(root, 'npm', platform), join(modules, name), { recursive: true });
  cpSync(join(root, `tallow.${platform}.node`), join(modules, name, `tallow.${platform}.node`));
}

/** What a configuration says is to be unpacked. */
const patterns: Readonly<Record<string, (project: string) => unknown>> = {
  'electron-builder': (project) => {
    const { asar, asarUnpack } = JSON.parse(readFileSync(join(project, 'electron-builder.json'), 'utf8')) as {
      asar: boolean;
      asarUnpack: string[];
    };
    return asar && asarUnpack.length === 1 ? asarUnpack[0] : undefined;
  },
  'Electron Forge': (project) => {
    const { packagerConfig } = require(join(project, 'forge.config.cjs')) as {
      packagerConfig: { asar: { unpack: string } };
    };
    return packagerConfig.asar.unpack;
  },
};

test.before('an app with all its files, packed', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tallow-asar-'));
  const project = await makeProject(join(folder, 'project'), 'electron');
  const app = join(folder, 'app');
  for (const name of ['package.json', 'dist', 'page', 'text.txt'])
    cpSync(join(project, name), join(app, name), { recursive: true });
  const platform = platformHere();
  install(join(app, 'node_modules'), platform);
  const unpack = patterns['electron-builder']!(project);
  if (typeof unpack !== 'string') throw new TypeError(`the configuration unpacks ${String(unpack)}`);
  const archive = join(folder, 'packed', 'app.asar');
  await createPackageWithOptions(app, archive, { unpack });
  t.context = { folder, project, archive, unpack, platform };
});
test.after.always((t) => rmSync(t.context.folder, { recursive: true, force: true }));

/** Files of an archive, with `/` between folders, and whether each is unpacked. */
function filesOf(archive: string): { readonly file: string; readonly unpacked: boolean }[] {
  return listPackage(archive, { isPack: false })
    .map((path) => path.slice(1))
    .map((file) => ({ file, stat: statFile(archive, file) }))
    .filter(({ stat }) => !('files' in stat))
    .map(({ file, stat }) => ({ file: file.replaceAll('\\', '/'), unpacked: stat.unpacked === true }));
}

test('the platform package is unpacked, and nothing else', (t) => {
  const { archive, platform } = t.context;
  const files = filesOf(archive);
  const inside = `node_modules/tallow-${platform}/`;
  t.true(files.filter(({ file }) => file.startsWith(inside)).length >= 2);
  t.deepEqual(
    files.filter(({ file, unpacked }) => unpacked !== file.startsWith(inside)),
    [],
  );
  const addon = join(`${archive}.unpacked`, inside, `tallow.${platform}.node`);
  t.is(statSync(addon).size, statSync(join(root, `tallow.${platform}.node`)).size);
  t.true(files.some(({ file }) => file === 'node_modules/tallow/dist/index.js'));
  t.is(files.filter(({ file }) => file.endsWith('.node')).length, 1, 'the addon is there once');
});

test('electron-builder and Electron Forge unpack the same', (t) => {
  t.is(patterns['Electron Forge']!(t.context.project), t.context.unpack);
});

test('the training process of the archive finds the addon beside it, and trains', async (t) => {
  const { folder, archive, platform } = t.context;
  // Electron shows an archive as a folder, and unpacked files as if they were in it; here it is one, whose addon cannot be loaded.
  const resources = join(folder, 'resources');
  const shown = join(resources, 'app.asar');
  for (const { file, unpacked } of filesOf(archive)) {
    const path = join(shown, file);
    mkdirSync(dirname(path), { recursive: true });
    if (!unpacked) writeFileSync(path, extractFile(archive, file));
    else if (file.endsWith('.node')) writeFileSync(path, 'not here');
    else cpSync(join(`${archive}.unpacked`, file), path);
  }
  cpSync(`${archive}.unpacked`, `${shown}.unpacked`, { recursive: true });

  const child = forkTrainer(shown, join(folder, 'data'), {
    steps: 2,
    preload: [join(__dirname, 'support', 'asarPaths.cjs')],
  });
  t.teardown(() => child.kill('SIGKILL'));
  const [{ loaded }] = (await once(child, 'message')) as [{ loaded: string }];
  t.is(loaded, join(`${shown}.unpacked`, 'node_modules', `tallow-${platform}`, `tallow.${platform}.node`));
  const page = new Page(child);
  page.send({ type: 'train' });
  t.is((await page.hear('paused')).step, 2);
});
