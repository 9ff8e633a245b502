/** Every block of code in README, docs and guide, and every `@example`, is type-checked, run, and gives what it shows. */
import { spawn } from 'node:child_process';
import { copyFileSync, existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import anyTest, { type TestFn } from 'ava';
import { javascriptIsFresh } from '../scripts/lib/javascript.mjs';
import { blocksOf, examplesOf, pageOf, type Page, type Program } from './support/docs/blocks.js';
import { isShown } from './support/docs/compare.mjs';
import { compile, type Compiled, folderOf, moduleOf } from './support/docs/compile.js';
import { checkCommand } from './support/docs/shell.js';
import { root, run } from './support/process.js';

const EXAMPLES = 'the examples in src';
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const below = (folder: string, end: string): string[] =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith(end) && !file.startsWith('api'))
    .map((file) => `${folder}/${file.replaceAll('\\', '/')}`)
    .toSorted();

const texts = [...readdirSync(root).filter((file) => file.endsWith('.md')), ...below('docs', '.md')];
const isGenerated = (path: string): boolean => read(path).startsWith('<!-- Generated');
const pages = texts.filter((path) => !isGenerated(path)).map((path) => pageOf(path, read(path)));
const examples: Page = {
  path: EXAMPLES,
  programs: below('src', '.ts').flatMap((path) =>
    examplesOf(path, read(path)).map((program) => ({ ...program, page: EXAMPLES, name: `${path}/${program.name}` })),
  ),
  files: [],
  commands: [],
  untested: [],
};

/** What did not come as a page says. */
type Wrong = string;

/** Runs the programs of a page in one process. */
function runPrograms(folder: string, programs: readonly Program[]): Promise<Wrong[]> {
  const modules = programs.filter(({ role }) => role === 'program').map(({ name }) => join(folder, moduleOf(name)));
  if (modules.length === 0) return Promise.resolve([]);
  const wrong: Wrong[] = [];
  const done = new Set<string>();
  let loose = '';
  return new Promise((resolve, reject) => {
    const args = ['--enable-source-maps', '--no-warnings', join(__dirname, 'support', 'docs', 'run.mjs'), ...modules];
    const child = spawn(process.execPath, args, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'], timeout: 120_000 });
    let rest = '';
    const take = (text: string): void => {
      if (!text.startsWith('{"module"')) return void (loose += `${text}\n`);
      const { module, line, shown, came } = JSON.parse(text) as {
        module: string;
        line: number;
        shown?: string;
        came?: string;
      };
      if (came === undefined) return void done.add(module);
      const source = relative(folder, module).replace(/\/?(line\d+|page)\.js$/, '');
      wrong.push(`${source}:${line}: ${shown === undefined ? '' : `shown ${shown}\ncame  `}${came}`);
    };
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop()!;
      lines.forEach(take);
    });
    child.on('error', reject);
    child.on('close', (code, signal) => {
      const left = modules.find((module) => !done.has(module));
      if (left !== undefined)
        wrong.push(`${relative(folder, left)} ended the process (${signal ?? code}): ${loose}${rest}`);
      resolve(wrong);
    });
  });
}

/** Runs what the shell blocks of a page run. */
async function runCommands(folder: string, { commands }: Page): Promise<Wrong[]> {
  const results: Wrong[] = [];
  for (const { line, text, prints } of commands) {
    // One after another: a command may need what the one before it wrote.
    // oxlint-disable-next-line no-await-in-loop
    const { wrong, runs } = await checkCommand(text, folder);
    if (wrong !== undefined) results.push(`:${line}: ${wrong}`);
    if (runs === undefined) continue;
    // oxlint-disable-next-line no-await-in-loop
    const { code, output } = await run(process.execPath, runs, { cwd: folder });
    if (code !== 0) results.push(`:${line}: \`${text}\` ended with ${code}: ${output}`);
    else if (prints !== undefined && !isShown(prints, output))
      results.push(`:${line}: shown ${prints}\ncame  ${output}`);
  }
  return results;
}

const all = [...pages, examples].filter(({ programs, commands }) => programs.length + commands.length > 0);
const test = anyTest as TestFn<Compiled>;

/** Two pages run at a time: as many as a small machine has cores. */
const places = [Promise.resolve(), Promise.resolve()];
let next = 0;

/** Runs all that a page shows; resolves to what did not come as it says. */
function runPage(folder: string, page: Page): Promise<Wrong[]> {
  const place = next++ % places.length;
  const ran = places[place]!.then(async () => {
    for (const [name, from] of page.files) copyFileSync(join(root, from), join(folder, name));
    return [...(await runPrograms(folder, page.programs)), ...(await runCommands(folder, page))];
  });
  places[place] = ran.then(() => {});
  return ran;
}

test.before('check the types of all programs, and compile them', (t) => {
  t.true(javascriptIsFresh(), 'dist/ is older than src/, and the examples run on it: npm run build');
  t.context = compile(all.flatMap(({ programs }) => programs));
});

test.after.always((t) => {
  if (t.context.folder) rmSync(t.context.folder, { recursive: true, force: true });
});

for (const page of all) {
  const { path, programs, commands } = page;
  test(`${path}: ${programs.length} programs and ${commands.length} commands do what the page says`, async (t) => {
    t.timeout(180_000);
    const { folder, errors } = t.context;
    t.deepEqual([...(errors.get(path) ?? []), ...(await runPage(folderOf(folder, path), page))], []);
  });
}

/** Without the frame of a comment, and without what sets lines in. */
const trimmed = (text: string): string => text.replace(/^[^\S\n]*(\*[^\S\n]*)?/gm, '').trim();

test('pages that are generated show nothing but the examples of the sources', (t) => {
  const sources = below('src', '.ts')
    .map((path) => trimmed(read(path)))
    .join('\n');
  const strange = texts.filter(isGenerated).flatMap((path) =>
    blocksOf(path, read(path))
      .filter(({ lines }) => !sources.includes(trimmed(lines.join('\n'))))
      .map(({ line }) => `${path}:${line}`),
  );
  t.deepEqual(strange, []);
});

test('blocks that are not run say why', (t) => {
  const untested = pages.flatMap(({ path, untested }) => untested.map(({ line, why }) => `${path}:${line}: ${why}`));
  for (const line of untested) t.log(line);
  t.true(untested.length <= 1);
});

test('the page on errors tells of each code', (t) => {
  const declared = below('src', '.ts').map((path) => /export type ErrorCode =([^;]+);/.exec(read(path))?.[1]);
  const codes = [...declared.find((text) => text !== undefined)!.matchAll(/'(\w+)'/g)].map(([, code]) => code!);
  const told = [...read('docs/guide/errors.md').matchAll(/^\| `([A-Z]\w+)` \| /gm)].map(([, name]) => name!);
  t.true(codes.length > 10);
  t.deepEqual(
    codes.filter((code) => !told.includes(code)),
    [],
  );
});

test('links within the repository lead somewhere', (t) => {
  const missing = texts
    .filter((path) => !isGenerated(path))
    .flatMap((path) =>
      [...read(path).matchAll(/\]\(([^)#\s]+)(#[^)\s]*)?\)/g)]
        .map(([, to]) => to!)
        .filter((to) => !/^[a-z]+:/.test(to))
        .filter((to) => !existsSync(join(root, path, '..', to)))
        .map((to) => `${path}: ${to}`),
    );
  t.deepEqual(missing, []);
});

test('what is shown is compared in its own precision', (t) => {
  t.true(isShown('[1, 2]', '[ 1, 2 ]'));
  t.true(isShown('0.73', '0.7310585'));
  t.true(isShown('1.5e-3', '0.00152'));
  t.true(isShown('Tensor … 2', 'Tensor float32[2] 2'));
  t.false(isShown('0.74', '0.7310585'));
  t.false(isShown('3', '3.2'));
  t.false(isShown('[1, 2]', '[1, 2, 3]'));
});
