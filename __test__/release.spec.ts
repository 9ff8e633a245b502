/** What a release is made by: in which order, of which sizes, from which targets, and what is refused. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { comparison } from '../scripts/lib/comparison.mjs';
import { published } from '../scripts/lib/dependencies.mjs';
import { chosen, linkedCrates } from '../scripts/lib/notices.mjs';
import { NODES } from '../scripts/lib/nodes.mjs';
import { LIMITS, oversize } from '../scripts/lib/packages.mjs';
import { plan } from '../scripts/lib/publishing.mjs';
import { differences, sumsOf } from '../scripts/lib/reproducible.mjs';
import { recipe } from '../scripts/lib/targets.mjs';
import { workflowFaults, workflows } from '../scripts/lib/workflows.mjs';
import { root, run } from './support/process.js';

const { napi } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { napi: { targets: string[] } };

const packed = (name: string, version = '1.2.0', optionalDependencies?: Record<string, string>) => ({
  path: `${name}.tgz`,
  manifest: { name, version, ...(optionalDependencies && { optionalDependencies }) },
});
const asked = { 'tallow-linux-x64-gnu': '1.2.0', 'tallow-darwin-arm64': '1.2.0' };
const whole = [
  packed('create-tallow'),
  packed('tallow', '1.2.0', asked),
  packed('tallow-linux-x64-gnu'),
  packed('tallow-darwin-arm64'),
];

test('a package is published after all that it asks for', (t) => {
  t.deepEqual(
    plan(whole, 'refs/tags/v1.2.0').map(({ name, tag }) => [name, tag]),
    [
      ['tallow-darwin-arm64', 'latest'],
      ['tallow-linux-x64-gnu', 'latest'],
      ['tallow', 'latest'],
      ['create-tallow', 'latest'],
    ],
  );
  const early = [packed('tallow', '1.3.0-rc.1', {}), packed('create-tallow', '1.3.0-rc.1')];
  t.deepEqual(
    plan(early).map(({ tag }) => tag),
    ['next', 'next'],
  );
});

test('what would leave a package that cannot be installed is refused', (t) => {
  const refused = (some: typeof whole, message: string, ref?: string): void => {
    t.throws(() => plan(some, ref), { message });
  };
  refused(whole.slice(0, 3), 'tallow asks for packages that are not packed: tallow-darwin-arm64');
  refused([packed('create-tallow')], 'there is no tarball of tallow: npm run package');
  refused(
    [...whole.slice(0, 3), packed('tallow-darwin-arm64', '1.1.0')],
    'tallow-darwin-arm64 is at 1.1.0, tallow at 1.2.0',
  );
  refused([...whole, packed('tallow-plan9')], 'tallow-plan9.tgz is of tallow-plan9, which tallow does not ask for');
  refused(whole, 'the tag is v1.2.1, and the packages are at 1.2.0', 'refs/tags/v1.2.1');
  t.is(plan(whole, 'refs/heads/main').length, 4);
});

const sizes = (first: number, second: number) => [
  { name: 'tallow.tgz', bytes: first },
  { name: 'tallow-linux-x64-gnu.tgz', bytes: second },
];

test('a tarball that is too large is told, with both sizes', (t) => {
  t.deepEqual(oversize(sizes(LIMITS.root, LIMITS.platform)), []);
  t.deepEqual(oversize(sizes(LIMITS.root + 1, 9_000_000)), [
    'tallow.tgz has 420,001 bytes, and may have 420,000',
    'tallow-linux-x64-gnu.tgz has 9,000,000 bytes, and may have 8,000,000',
  ]);
});

test('each target has a recipe, which gives the platforms of npm/', (t) => {
  const recipes = napi.targets.map((target) => recipe(target, '/home/me/tallow'));
  t.deepEqual(recipes.map(({ platform }) => platform).toSorted(), readdirSync(join(root, 'npm')).toSorted());
  for (const { env } of recipes) t.true(env.RUSTFLAGS.startsWith('--remap-path-prefix=/home/me/tallow=/tallow '));
  const [gnu, musl, mac] = ['x86_64-unknown-linux-gnu', 'aarch64-unknown-linux-musl', 'aarch64-apple-darwin'].map(
    (target) => recipe(target, '/'),
  );
  t.is(gnu!.args.at(-1), 'x86_64-unknown-linux-gnu.2.28');
  t.true(musl!.env.RUSTFLAGS.endsWith(' -C target-feature=-crt-static'));
  t.is((mac!.env as Record<string, string>)['MACOSX_DEPLOYMENT_TARGET'], '11.0');
});

test('the release builds each target, and nothing else', (t) => {
  const text = readFileSync(join(root, '.github', 'workflows', 'release.yml'), 'utf8');
  t.deepEqual(
    [...text.matchAll(/\{ target: (\S+),/g)].map(([, target]) => target!).toSorted(),
    napi.targets.toSorted(),
  );
});

test('npm run addon refuses a target that there is no package for', async (t) => {
  const { code, output } = await run(process.execPath, [
    'scripts/addon.mjs',
    '--target',
    'riscv64gc-unknown-linux-gnu',
  ]);
  t.is(code, 1);
  t.is(output.trim(), `--target takes ${napi.targets.join(', ')}`);
});

test('npm run check:node refuses a version that is none of those that are tested, and they begin with the oldest that is allowed', async (t) => {
  const { code, output } = await run(process.execPath, ['scripts/nodes.mjs', '--only', '22,18']);
  t.deepEqual([code, output.trim()], [1, `--only takes ${NODES.join(', ')}; \`18\` is none of them`]);
  const { engines } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { engines: { node: string } };
  t.is(engines.node, `>=${NODES[0]}`);
});

const one = (implementation: string, name: string, min: number) => ({
  suite: 'gemm',
  case: name,
  threads: 2,
  implementation,
  min,
});

test('two builds are compared by their shortest times, and a slower case fails', (t) => {
  const results = [one('tallow', 'a', 12), one('beside', 'a', 10), one('tallow', 'b', 9), one('beside', 'b', 10)];
  const { page, slower } = comparison(results, 1.15);
  t.deepEqual(slower, ['gemm a (2)']);
  t.true(
    page.includes('| gemm a (2) | 10.00 | 12.00 | 1.20 **slower** |\n| gemm b (2) | 10.00 | 9.00 | 0.90 |\n'),
    page,
  );
  t.deepEqual(comparison(results, 1.25).slower, []);
  t.throws(() => comparison(results.slice(0, 1), 1.25), { message: /no case was measured with both builds/ });
});

test('of several licences the one that is ours is taken, and as few as can be', (t) => {
  t.true(published().includes('MIT'));
  t.deepEqual(chosen('MIT OR Apache-2.0'), ['Apache-2.0']);
  t.deepEqual(chosen('Zlib'), ['Zlib']);
  t.deepEqual(chosen('(MIT OR Apache-2.0) AND Unicode-3.0'), ['Apache-2.0', 'Unicode-3.0']);
  t.throws(() => chosen('GPL-3.0-only'), { message: 'no two licences that are allowed fulfil GPL-3.0-only' });
});

test('the crates of an addon are those that it runs with: no macros, no tests, none of ours', async (t) => {
  const names = new Set((await linkedCrates()).map(({ name }) => name));
  for (const name of ['candle-core', 'napi', 'mimalloc', 'tokenizers', 'windows-link']) t.true(names.has(name), name);
  for (const name of ['syn', 'napi-derive', 'napi-build', 'libtest-mimic', 'prost-derive', 'tallow-tensor'])
    t.false(names.has(name), name);
});

test('a workflow that names what is not there, or an action that may change, is told', (t) => {
  const text = [
    '      - uses: actions/checkout@v4',
    `      - uses: actions/checkout@${'a'.repeat(40)} # v4.2.2`,
    '      - run: npm run buidl',
    '      - run: node scripts/bluid.mjs',
    '      - run: npm run lint',
  ].join('\n');
  t.deepEqual(workflowFaults(text, { lint: 'node scripts/lint.mjs' }), [
    'package.json has no script buidl',
    'there is no scripts/bluid.mjs',
    'actions/checkout@v4 is not pinned to a commit, with its version behind it',
  ]);
});

test('the workflows are what GitHub takes', async (t) => {
  const { passed, failed, skipped, output } = await workflows.run();
  t.deepEqual([passed, failed], [1, 0], output);
  if (skipped > 0) t.log(output);
});

const sums = (files: Record<string, string>, tarball?: string) =>
  sumsOf({
    files: new Map(Object.entries(files).map(([name, text]) => [name, Buffer.from(text)])),
    tarball: tarball === undefined ? undefined : Buffer.from(tarball),
  });

test('files that differ, or that one package lacks, are told; a tarball counts where both have one', (t) => {
  const ours = sums({ a: '1', b: '2' }, 'x');
  t.deepEqual(differences(ours, sums({ a: '1', b: '3', c: '4' })), ['b', 'c']);
  t.deepEqual(differences(ours, sums({ a: '1', b: '2' })), []);
  t.deepEqual(differences(ours, sums({ a: '1', b: '2' }, 'y')), ['the tarball']);
});

test('two builds from two folders give the same bytes', async (t) => {
  t.timeout(600_000);
  const { code, output } = await run(process.execPath, ['scripts/reproducible.mjs']);
  t.is(code, 0, output);
  t.regex(output, /\d{3} files, the same bytes/);
});
