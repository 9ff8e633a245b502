/** `npm create tallow`: what it makes, and what it refuses. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import anyTest, { type TestFn } from 'ava';
import { npmCli, root, run } from '../support/process.js';
import { TEMPLATES } from './support/project.js';

const test = anyTest as TestFn<{ folder: string; bin: string }>;

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly bin: Record<string, string>;
  readonly dependencies: Record<string, string>;
  readonly devDependencies: Record<string, string>;
}
const manifestIn = (folder: string): Manifest =>
  JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest;
const ours = join(root, 'packages', 'create-tallow');

test.before('the package as it is published', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'create-tallow-'));
  const packed = await run(process.execPath, [npmCli(), 'pack', ours, '--json', '--pack-destination', folder], {
    cwd: folder,
  });
  t.is(packed.code, 0, packed.output);
  const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz'))!;
  const unpacked = await run('tar', ['-xzf', tarball], { cwd: folder });
  t.is(unpacked.code, 0, unpacked.output);
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'), 'junction');
  const installed = join(folder, 'package');
  t.context = { folder, bin: join(installed, manifestIn(installed).bin['create-tallow']!) };
});
test.after.always((t) => rmSync(t.context.folder, { recursive: true, force: true }));

const lines = (text: string): string[] => text.trim().split('\n');

for (const template of TEMPLATES) {
  test(`--template ${template} makes a whole project, and says what to do next`, async (t) => {
    const { folder, bin } = t.context;
    const name = `My first ${template}`;
    const { code, output } = await run(process.execPath, [bin, name, '--template', template], { cwd: folder });
    t.is(code, 0, output);
    t.regex(output, new RegExp(`cd "${name}"\n {2}npm install\n {2}npm (start|run train)`));
    const made = join(folder, name);
    const files = readdirSync(made);
    for (const file of ['.gitignore', 'README.md', 'package.json', 'src', 'text.txt', 'tsconfig.json'])
      t.true(files.includes(file), file);
    t.deepEqual(
      files.filter((file) => file.startsWith('_')),
      [],
    );
    const { name: called, dependencies } = manifestIn(made);
    t.is(called, `my-first-${template}`);
    t.is(dependencies['tallow'], `^${manifestIn(root).version}`);
    t.true(readFileSync(join(made, 'README.md'), 'utf8').length > 500);
  });
}

test('without a name, the folder is called as the template', async (t) => {
  const { folder, bin } = t.context;
  const inside = join(folder, 'inside');
  mkdirSync(inside);
  const { code, output } = await run(process.execPath, [bin, '-t', 'train'], { cwd: inside });
  t.is(code, 0, output);
  t.deepEqual(readdirSync(inside), ['tallow-train']);
});

test('a fresh repository is taken, here too', async (t) => {
  const { folder, bin } = t.context;
  const here = join(folder, 'fresh');
  mkdirSync(join(here, '.git'), { recursive: true });
  const { code, output } = await run(process.execPath, [bin, '.', '-t', 'train'], { cwd: here });
  t.is(code, 0, output);
  t.false(output.includes('cd '), output);
  t.is(manifestIn(here).name, 'fresh');
});

const mistakes: Readonly<Record<string, { words: string[]; says: RegExp }>> = {
  'a folder with something in it': {
    words: ['full', '-t', 'train'],
    says: /full is not empty; give the name of a folder/,
  },
  'a file': { words: ['full/notes.txt', '-t', 'train'], says: /notes\.txt is a file; give the name of a folder/ },
  'an unknown template': {
    words: ['new', '-t', 'desktop'],
    says: /^There is no template `desktop`; there are electron, .*train\.$/,
  },
  'a name of every object': { words: ['new', '-t', 'toString'], says: /^There is no template `toString`/ },
  'no template, and no terminal to ask': { words: ['new'], says: /^Name a template with --template: .*train\.$/ },
  'an unknown option': { words: ['new', '--templte', 'train'], says: /unknown option '--templte'/ },
};
for (const [name, { words, says }] of Object.entries(mistakes)) {
  test(`${name} is refused in a sentence`, async (t) => {
    const { folder, bin } = t.context;
    const place = join(folder, name.replaceAll(/\W+/g, '-'));
    mkdirSync(join(place, 'full'), { recursive: true });
    writeFileSync(join(place, 'full', 'notes.txt'), 'mine');
    const { code, output } = await run(process.execPath, [bin, ...words], { cwd: place });
    t.is(code, 1, output);
    t.regex(lines(output)[0]!, says);
    t.true(lines(output).length <= 2 && !output.includes('    at '), output);
    t.deepEqual(readdirSync(join(place, 'full')), ['notes.txt'], 'nothing is touched');
    t.false(existsSync(join(place, 'new')), 'nothing is made');
  });
}

test('its version is the package’s, and its libraries are those of this checkout', (t) => {
  const [here, mine] = [manifestIn(root), manifestIn(ours)];
  t.is(mine.version, here.version);
  const known = { ...here.devDependencies, ...here.dependencies };
  const names = Object.keys(mine.dependencies);
  t.deepEqual(mine.dependencies, Object.fromEntries(names.map((name) => [name, known[name]!])));
});
