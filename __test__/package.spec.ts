/** What is published works where it is installed: without Rust, from ESM, CommonJS and TypeScript, on each Node. */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import anyTest, { type TestFn } from 'ava';
import { fetchNode, NODES } from '../scripts/lib/nodes.mjs';
import { npmCli, pathWithoutCargo, root, run } from './support/process.js';

const test = anyTest as TestFn<{ folder: string; app: string; tarballs: string[] }>;

const onLinuxX64 = process.platform === 'linux' && process.arch === 'x64';
const manifest = (path: string): Record<string, unknown> =>
  JSON.parse(readFileSync(join(path, 'package.json'), 'utf8')) as Record<string, unknown>;

const programs: Record<string, string> = {
  'esm.mjs': [
    `import * as tl from 'tallow'`,
    `import { version } from 'tallow'`,
    `console.log(tl.version === version ? version : 'two versions')`,
  ].join('\n'),
  'cjs.cjs': [`const tl = require('tallow')`, `const { version } = tl`, `console.log(version)`].join('\n'),
  // The addon by its loader: also what the package's own code does with it.
  'addon.cjs': `const native = require('./node_modules/tallow/binding.cjs'); console.log(native.__napiBindingTarget)`,
  'typed.mts': `import { version } from 'tallow'\nconst v: string = version\nconsole.log(v)`,
  'typed.cts': `import tl = require('tallow')\nconst v: string = tl.version\nconsole.log(v)`,
  // One of each kind of what the package gives, without a cast.
  'program.mts': `
import * as tl from 'tallow'
class Block extends tl.Layer<tl.Tensor, 1> {
  readonly dense = tl.Dense(4)
  override forward(x: tl.Tensor): tl.Tensor {
    return this.dense(x).relu()
  }
}
const signature = { shape: [2, 3], dtype: 'float32' }
const model = tl.Serial(new Block(), tl.Dense(1))
model.init({ shape: [2, 3], dtype: 'float32' })
model.init(signature)
const y: tl.Tensor = model(tl.ones([2, 3]))
const g: tl.Tensor = tl.grad((x) => x.square())([1.5, 2])
const lm: tl.Layer = tl.models.TransformerLM(16, { dModel: 8, dFf: 8, nLayers: 1, nHeads: 2 })
const loss = tl.Serial(model, tl.L2Loss())
const trainer = new tl.Trainer(loss, tl.optimizers.Adam({ learningRate: tl.lrSchedules.constant(0.1)(0) }))
const stats: [number, tl.StepStats] = trainer.oneStep([tl.ones([2, 3]), tl.ones([2, 1]), tl.ones([2, 1])], tl.random.key(1))
const shapes = tl.tree.map((w: tl.Tensor) => w.shape, loss.weights)
using kept = tl.random.uniform(tl.random.key(0), [2])
console.log(JSON.stringify(g.array()), JSON.stringify([y.shape[0], model.init(signature).length + 2]), [lm, stats, shapes, kept].length / 2)
`,
  'same.mjs': [
    `import * as esm from 'tallow'`,
    `import { createRequire } from 'node:module'`,
    `const cjs = createRequire(import.meta.url)('tallow')`,
    `const names = Object.keys(cjs).sort()`,
    `const same = names.join() === Object.keys(esm).sort().join() && names.every(name => cjs[name] === esm[name])`,
    `console.log(same && names.length > 0)`,
  ].join('\n'),
};

test.before('pack, then install into an empty folder with no Rust on the path', async (t) => {
  t.timeout(300_000);
  const folder = mkdtempSync(join(tmpdir(), 'tallow-package-'));
  const packed = await run(process.execPath, ['scripts/pack.mjs', '--out', folder, '--sbom']);
  t.is(packed.code, 0, packed.output);
  const tarballs = packed.output.split('\n').filter((line) => line.endsWith('.tgz'));
  t.is(tarballs.length, 2, `the root package and this platform's:\n${packed.output}`);

  const app = join(folder, 'app');
  mkdirSync(app);
  writeFileSync(join(app, 'package.json'), '{"name":"app","private":true}');
  const install = ['install', ...tarballs, '--no-audit', '--no-fund', '--fetch-retries=0', '--loglevel=error'];
  const installed = await run(process.execPath, [npmCli(), ...install], { cwd: app, env: { PATH: pathWithoutCargo } });
  t.is(installed.code, 0, installed.output);
  for (const [name, text] of Object.entries(programs)) writeFileSync(join(app, name), text);
  t.context = { folder, app, tarballs };
});

test.after.always((t) => {
  if (t.context.folder) rmSync(t.context.folder, { recursive: true, force: true });
});

test('the root package carries no binary, no install script, and exact platform packages', (t) => {
  const tallow = join(t.context.app, 'node_modules', 'tallow');
  const files = readdirSync(tallow, { recursive: true, encoding: 'utf8' });
  t.deepEqual(
    files.filter((file) => file.endsWith('.node') || file.includes('crates')),
    [],
  );
  for (const file of [
    'LICENSE',
    'README.md',
    'CHANGELOG.md',
    'binding.cjs',
    'binding.d.cts',
    join('dist', 'index.mjs'),
  ]) {
    t.true(files.includes(file), file);
  }
  const published = manifest(tallow);
  t.is(published['scripts'], undefined);
  t.is(published['devDependencies'], undefined);
  const { version, napi } = manifest(root) as { version: string; napi: { targets: string[] } };
  const optional = published['optionalDependencies'] as Record<string, string>;
  t.is(Object.keys(optional).length, napi.targets.length);
  t.deepEqual([...new Set(Object.values(optional))], [version]);
  t.is(manifest(root)['optionalDependencies'], undefined, 'in a checkout they would break npm ci');
});

test('where the package comes from is said, and links of its README lead somewhere from anywhere', async (t) => {
  const tallow = join(t.context.app, 'node_modules', 'tallow');
  const { homepage, bugs, repository, version } = manifest(tallow) as Record<string, string> & {
    repository: { url: string };
  };
  t.regex(homepage!, /^https:\/\/github\.com\/[\w-]+\/tallow#readme$/);
  t.true(JSON.stringify(bugs).includes('/tallow/issues'));
  const home = repository.url.replace(/^git\+|\.git$/g, '');
  t.is(`${home}#readme`, homepage!);
  const links = [...readFileSync(join(tallow, 'README.md'), 'utf8').matchAll(/\]\(([^)\s]+)\)/g)].map(([, to]) => to!);
  const ours = links.filter((to) => to.startsWith(home));
  t.true(ours.length > 5);
  for (const to of ours) {
    const [, path] = /\/(?:blob|raw)\/([^#]+)/.exec(to)!;
    t.true(path!.startsWith(`v${version!}/`) && existsSync(join(root, path!.slice(version!.length + 2))), to);
  }
  const relative = links.filter((to) => !/^(https:|#)/.test(to));
  for (const to of relative) t.true(existsSync(join(tallow, to)), to);
});

test('npm/ is what napi writes for the targets in package.json', async (t) => {
  const project = join(t.context.folder, 'project');
  const fresh = join(project, 'npm');
  mkdirSync(project);
  copyFileSync(join(root, 'package.json'), join(project, 'package.json'));
  const cli = join(root, 'node_modules', '@napi-rs', 'cli', 'dist', 'cli.js');
  const made = await run(process.execPath, [cli, 'create-npm-dirs'], { cwd: project });
  t.is(made.code, 0, made.output);
  t.deepEqual(readdirSync(join(root, 'npm')).toSorted(), readdirSync(fresh).toSorted());
  for (const platform of readdirSync(fresh))
    t.deepEqual(manifest(join(root, 'npm', platform)), manifest(join(fresh, platform)));
});

test('the licences of what is linked in are in each package, and a list of all parts beside them', (t) => {
  const modules = join(t.context.app, 'node_modules');
  const packages = readdirSync(modules).filter((name) => name.startsWith('tallow'));
  t.is(packages.length, 2);
  for (const name of packages)
    t.is(
      readFileSync(join(modules, name, 'THIRD-PARTY-NOTICES.md'), 'utf8'),
      readFileSync(join(root, 'THIRD-PARTY-NOTICES.md'), 'utf8'),
    );
  const version = manifest(root)['version'] as string;
  const parts = JSON.parse(readFileSync(join(t.context.folder, `tallow-${version}.cdx.json`), 'utf8')) as {
    bomFormat: string;
    metadata: { component: { purl: string } };
    components: { purl: string; hashes?: unknown[] }[];
  };
  t.deepEqual([parts.bomFormat, parts.metadata.component.purl], ['CycloneDX', `pkg:npm/tallow@${version}`]);
  const urls = parts.components.map(({ purl }) => purl);
  for (const part of [/^pkg:cargo\/candle-core@/, /^pkg:npm\/commander@/]) t.true(urls.some((url) => part.test(url)));
  t.true(parts.components.every(({ hashes }) => hashes?.length === 1));
});

test('publint --strict finds nothing', async (t) => {
  const { publint } = await import('publint');
  const { formatMessage } = await import('publint/utils');
  for (const tarball of t.context.tarballs) {
    const bytes = readFileSync(tarball);
    const { messages, pkg } = await publint({
      strict: true,
      pack: { tarball: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) },
    });
    t.deepEqual(
      messages.map((message) => formatMessage(message, pkg)),
      [],
      tarball,
    );
  }
});

/** A package of npm, by name and version, kept in a folder of target/; `installed` is a file of it. */
async function fetchPackage(name: string, version: string, folder: string, installed: string): Promise<string> {
  const file = join(root, 'target', folder, 'node_modules', name, installed);
  if (existsSync(file)) return file;
  mkdirSync(join(root, 'target', folder), { recursive: true });
  writeFileSync(join(root, 'target', folder, 'package.json'), '{"private":true}');
  const flags = ['--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error'];
  const { code, output } = await run(process.execPath, [npmCli(), 'install', `${name}@${version}`, ...flags], {
    cwd: join(root, 'target', folder),
  });
  if (code !== 0) throw new Error(`${name} ${version} could not be fetched:\n${output}`);
  return file;
}

// TypeScript looks into every declaration of the package (`skipLibCheck` is off), with no more libraries than a program of 2022 names.
for (const version of ['5.4.5', 'of this checkout']) {
  test(`TypeScript ${version} takes the shipped types, as ESM and as CommonJS, and its output runs`, async (t) => {
    t.timeout(300_000);
    const { app } = t.context;
    const own = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
    const tsc =
      version === 'of this checkout'
        ? own
        : await fetchPackage('typescript', version, `typescript/${version}`, 'bin/tsc');
    const name = `typescript-${version.replaceAll(' ', '-')}`;
    const outDir = join(app, name);
    const compilerOptions = {
      module: 'nodenext',
      target: 'es2022',
      lib: ['es2022'],
      strict: true,
      skipLibCheck: false,
      types: [],
      outDir,
    };
    const project = join(app, `${name}.json`);
    const files = ['console.d.ts', 'typed.mts', 'typed.cts', 'program.mts'];
    writeFileSync(project, JSON.stringify({ compilerOptions, files }));
    // The `console` of a program without @types/node.
    writeFileSync(join(app, 'console.d.ts'), 'declare const console: { log(...values: unknown[]): void }');
    const compiled = await run(process.execPath, [tsc, '-p', project], { cwd: app });
    t.is(compiled.code, 0, compiled.output);
    for (const file of ['typed.mjs', 'typed.cjs']) {
      const { code, output } = await run(process.execPath, [join(outDir, file)], { cwd: app });
      t.deepEqual({ code, output: output.trim() }, { code: 0, output: manifest(root)['version'] as string });
    }
    const { code, output } = await run(process.execPath, [join(outDir, 'program.mjs')], { cwd: app });
    t.deepEqual({ code, output: output.trim() }, { code: 0, output: '[3,4] [2,4] 2' });
  });
}

for (const version of NODES) {
  const check = onLinuxX64 ? test : test.skip;
  check(`the same installation runs on Node ${version} (checked on linux-x64 only)`, async (t) => {
    t.timeout(300_000);
    const node = await fetchNode(version);
    const said = await run(node, ['--version']);
    t.true(said.output.startsWith(`v${version}.`), said.output);
    const released = manifest(root)['version'] as string;
    const expected = { 'esm.mjs': released, 'cjs.cjs': released, 'addon.cjs': 'native', 'same.mjs': 'true' };
    for (const [file, wanted] of Object.entries(expected)) {
      const { code, output } = await run(node, [file], { cwd: t.context.app, env: { PATH: pathWithoutCargo } });
      t.deepEqual({ file, code, output: output.trim() }, { file, code: 0, output: wanted });
    }
  });
}
