import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { check, licenceFault, metadata, published } from './dependencies.mjs';
import { at, readJson } from './paths.mjs';

/** The page of the licences of what is published in our packages. */
export const NOTICES = 'THIRD-PARTY-NOTICES.md';

/** What the texts of licences are told by. The text of Apache-2.0 is the same for all, and stands in LICENSE. */
const WORDS = {
  MIT: /Permission\s+is\s+hereby\s+granted,\s+free\s+of\s+charge/,
  'BSD-2-Clause': /Redistribution and use in source and binary forms/,
  'BSD-3-Clause': /Redistribution and use in source and binary forms/,
  ISC: /Permission to use, copy, modify, and(?:\/or)? distribute/,
  Zlib: /provided\s+['"‘]as-is/i,
  '0BSD': /Permission to use, copy, modify, and(?:\/or)? distribute/,
  'CC0-1.0': /Creative Commons/,
  'Unicode-3.0': /UNICODE LICENSE V3/,
};
const APACHE = 'Apache-2.0';

/** For packages that name the licence and bring no text. */
const MIT = `Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files (the
"Software"), to deal in the Software without restriction, including without limitation the rights to use, copy, modify, merge, publish,
distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is furnished to do so, subject to the
following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF
MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY
CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE
SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.`;

/**
 * The licences that we take of an expression: as few as can be, Apache-2.0 first, as it is ours.
 *
 * @param {string} licence an SPDX expression
 * @returns {string[]}
 */
export function chosen(licence) {
  const order = [APACHE, ...published().filter((name) => name !== APACHE)];
  const one = order.find((name) => licenceFault(licence, [name]) === undefined);
  if (one !== undefined) return [one];
  for (const first of order) {
    const second = order.find((name) => licenceFault(licence, [first, name]) === undefined);
    if (second !== undefined) return [first, second];
  }
  throw new Error(`no two licences that are allowed fulfil ${licence}`);
}

/** Whether a crate runs only while others are compiled. */
const isMacro = ({ targets: kinds }) => kinds.some(({ kind }) => kind.includes('proc-macro'));

/**
 * The crates that are linked into the addon of any target, in the order of their names: what `tallow-node` needs while it runs, without
 * macros and build scripts.
 */
export async function linkedCrates() {
  const targets = readJson('package.json').napi.targets.flatMap((target) => ['--filter-platform', target]);
  const { packages, resolve } = await metadata(...targets);
  const byId = new Map(packages.map((one) => [one.id, one]));
  const needs = new Map(resolve.nodes.map(({ id, deps }) => [id, deps]));
  const seen = new Set();
  const visit = (id) => {
    if (seen.has(id) || isMacro(byId.get(id))) return;
    seen.add(id);
    for (const { pkg, dep_kinds: kinds } of needs.get(id)) if (kinds.some(({ kind }) => kind === null)) visit(pkg);
  };
  visit(packages.find(({ name }) => name === 'tallow-node').id);
  return [...seen]
    .map((id) => byId.get(id))
    .filter(({ source }) => source !== null)
    .map(({ name, version, license, authors, repository, manifest_path: manifest }) => ({
      name,
      version,
      license: license.replaceAll(/\s*\/\s*/g, ' OR '),
      authors,
      repository,
      folder: dirname(manifest),
    }))
    .toSorted((a, b) => (a.name + a.version < b.name + b.version ? -1 : 1));
}

/** The npm package whose helpers are bundled into `dist/`, in the form of a crate. */
function bundled() {
  const folder = at('node_modules', '@oxc-project', 'runtime');
  const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  return { name, version, license, authors: [], repository: 'https://github.com/oxc-project/oxc', folder };
}

/** The files at or below a folder that are called as a licence or notice, with their texts. */
const legalFiles = (folder) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /^(?:licen[sc]e|copying|unlicense|notice)/i.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted()
    .map((path) => ({
      file: relative(folder, path).replaceAll('\\', '/'),
      text: readFileSync(path, 'utf8').replaceAll('\r\n', '\n').trim(),
    }));

/** Whether a file stands in the folder of its package itself. */
const isTop = ({ file }) => !file.includes('/');

/** The texts that go with a package: of the licences chosen of it, of code of others within, and its notices. */
function textsOf({ name, license, authors, folder }) {
  const files = legalFiles(folder);
  const texts = chosen(license).flatMap((licence) => {
    if (licence === APACHE) return [];
    const own = files.filter(isTop).find(({ text }) => WORDS[licence]?.test(text));
    if (own) return [own.text];
    if (licence !== 'MIT') throw new Error(`${name} is under ${licence}, and has no text of it`);
    const whose = authors.length > 0 ? authors.map((author) => author.replace(/ <.*>/, '')).join(', ') : `of ${name}`;
    return [`Copyright (c) the authors: ${whose}\n\n${MIT}`];
  });
  const within = files.filter((file) => !isTop(file) || /^notice/i.test(file.file)).map(({ text }) => text);
  return [...new Set([...texts, ...within])];
}

/** A package as the page names it. */
const shown = ({ name, version, repository }) =>
  repository ? `[${name} ${version}](${repository})` : `${name} ${version}`;

/** Packages one below the other. */
const list = (some) => some.map((one) => `- ${shown(one)}`).join('\n');

/** The page: each text once, with the packages that it is of. */
export async function notices() {
  const packages = [...(await linkedCrates()), bundled()];
  const apache = packages.filter(({ license }) => chosen(license).includes(APACHE));
  const byText = new Map();
  for (const one of packages) {
    for (const text of textsOf(one)) byText.set(text, [...(byText.get(text) ?? []), one]);
  }
  const sections = [...byText].map(
    ([text, some]) => `${list(some)}\n\n\`\`\`text\n${text.replaceAll('```', "'''")}\n\`\`\``,
  );
  return `# Third-party notices

What the packages of tallow contain of others: the crates that are linked into the addons, and helpers that the compiler of \`dist/\` puts there. Where
a package may be had under several licences, it is taken under Apache-2.0, or else the first that a text below is of. \`npm run notices\` writes this page.

## Under Apache-2.0

The licence is that in the file LICENSE.

${list(apache)}

## Under others

${sections.join('\n\n')}
`;
}

/** Whether the page is what the dependencies give. */
export const freshNotices = check('third-party notices', async () => {
  const there = existsSync(at(NOTICES)) ? readFileSync(at(NOTICES), 'utf8') : '';
  return there === (await notices()) ? [] : [`${NOTICES} is out of date; run \`npm run notices\``];
});
