import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { build } from './build.mjs';
import { platformName } from './lib/native.mjs';
import { npm } from './lib/needs.mjs';
import { fetchNode, NODES } from './lib/nodes.mjs';
import { packAll } from './lib/packages.mjs';
import { at } from './lib/paths.mjs';
import { duration, main, must, Refusal, run, step } from './lib/run.mjs';

const help = `npm run check:node -- [options]

Packs the package, installs it by its tarballs in an empty folder, and uses it there with each version of Node, whose programs come from npm: it
compares a model with Trax's numbers, trains, saves and loads, and runs workers. Prints a table; a version that fails is a failure.

  --only <versions>    comma-separated, out of ${NODES.join(', ')}
  --tarballs <folder>  tarballs that are there already, in place of those of this checkout
  --help               this text`;

/** Times that a start is measured. */
const STARTS = 9;
const EMPTY = 'console.log(1);\n';
const DENSE = `const tl = require('tallow');
const layer = tl.Dense(4);
const x = tl.ones([1, 8]);
layer.init(tl.signature(x));
console.log(layer(x).dataSync().length);
process.exit(0);
`;

/** Packs the checkout. */
async function pack(out) {
  await build();
  return step('packing', () => packAll(out));
}

/** The tarballs in a folder of tallow and of this system's package. */
function given(folder) {
  const platform = new RegExp(`^tallow-(?:${platformName()}-)?\\d.*\\.tgz$`);
  const files = readdirSync(folder).filter((file) => platform.test(file));
  if (files.length !== 2)
    throw new Refusal(`${folder} must have tallow and tallow-${platformName()}, found ${files.join(', ')}`);
  return files.map((file) => join(resolve(folder), file));
}

/** Installs tarballs into an empty folder with the programs beside them. */
async function install(folder, tarballs) {
  const names = Object.fromEntries(
    tarballs.map((path) => [/([a-z0-9-]+?)-\d+\.\d+\.\d+[^/\\]*\.tgz$/.exec(path)[1], `file:${path}`]),
  );
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, dependencies: names }));
  const flags = ['--omit=optional', '--no-audit', '--no-fund', '--loglevel=error'];
  const [command, args] = npm('install', '--prefix', folder, ...flags);
  await must('npm install', command, args);
  copyFileSync(at('scripts', 'programs', 'installed.mjs'), join(folder, 'installed.mjs'));
  writeFileSync(join(folder, 'empty.cjs'), EMPTY);
  writeFileSync(join(folder, 'dense.cjs'), DENSE);
}

/** The median of the times that a program takes, in ms. */
async function median(node, file) {
  const times = [];
  for (let i = 0; i < STARTS; i += 1) {
    const begun = performance.now();
    await must(file, node, [file]);
    times.push(performance.now() - begun);
  }
  return times.toSorted((a, b) => a - b)[STARTS >> 1];
}

/** A file that Trax wrote. */
const data = (name) => at('__test__', 'checkpoints', name);

/** What came out with one version of Node, as the columns of the table; `fault` where something is wrong. */
async function check(version, folder) {
  const node = await fetchNode(version);
  const files = ['transformerlm_copy.pkl.gz', 'transformerlm_copy.safetensors'].map(data);
  const { code, output } = await run(node, [join(folder, 'installed.mjs'), ...files]);
  if (code !== 0) return { columns: [version, '✗', '', '', '', '', ''], fault: `Node ${version}:\n${output}` };
  const { node: found, golden, loss, sameAfterLoading, workers } = JSON.parse(output.trim().split('\n').at(-1));
  const extra = (await median(node, join(folder, 'dense.cjs'))) - (await median(node, join(folder, 'empty.cjs')));
  const isRight = golden < 1e-4 && loss[1] < loss[0] / 2 && sameAfterLoading && workers === 8;
  const columns = [
    found,
    isRight ? '✓' : '✗',
    golden.toExponential(1),
    loss.map((one) => one.toFixed(3)).join(' → '),
    sameAfterLoading ? 'same bits' : 'differ',
    String(workers),
    `${extra.toFixed(0)} ms`,
  ];
  return { columns, fault: isRight ? '' : `Node ${version}: ${output}` };
}

const HEAD = ['Node', '', 'off Trax by', 'loss', 'after loading', 'workers', 'first Dense above an empty script'];

function table(rows) {
  const widths = HEAD.map((_, i) => Math.max(...[HEAD, ...rows].map((row) => row[i].length)));
  const line = (row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i]))
      .join('  ')
      .trimEnd();
  return [HEAD, ...rows].map(line).join('\n');
}

await main(async () => {
  const { values } = parseArgs({
    options: { only: { type: 'string' }, tarballs: { type: 'string' }, help: { type: 'boolean' } },
  });
  if (values.help) return void console.log(help);
  const versions = values.only?.split(',') ?? NODES;
  const unknown = versions.find((version) => !NODES.includes(version));
  if (unknown !== undefined) throw new Refusal(`--only takes ${NODES.join(', ')}; \`${unknown}\` is none of them`);
  const begun = performance.now();
  const folder = mkdtempSync(join(tmpdir(), 'tallow-nodes-'));
  try {
    mkdirSync(join(folder, 'app'));
    const tarballs = values.tarballs === undefined ? await pack(join(folder, 'packed')) : given(values.tarballs);
    await step('installing', () => install(join(folder, 'app'), tarballs));
    const found = [];
    for (const version of versions) found.push(await check(version, join(folder, 'app')));
    console.log(`\n${table(found.map(({ columns }) => columns))}\n\n${duration(performance.now() - begun)}`);
    const faults = found.flatMap(({ fault }) => (fault ? [fault] : []));
    if (faults.length > 0) throw new Refusal(faults.join('\n'));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
