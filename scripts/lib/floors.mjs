import { readFileSync } from 'node:fs';
import { at, filesIn } from './paths.mjs';

/** So many rooms may import from a higher one. */
const mostExceptions = 5;

/** Where in a crate's tree of modules a file stands. */
const moduleOf = (file) =>
  file
    .replace(/(?:^|\/)(?:mod|lib)\.rs$|\.rs$/, '')
    .split('/')
    .filter(Boolean);
/** The folder or file of `src` that a file belongs to. */
const roomOf = (file) => file.split('/')[0].replace(/\.rs$/, '');

/** A use tree such as `a::{b, c::d as e}` as its paths, with the name that each goes by. */
function paths(tree, before = []) {
  // Commas between braces belong to a tree within.
  const parts = tree.match(/(?:[^,{}]|\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\})+/g) ?? [];
  return parts.flatMap((text) => {
    if (text.trim() === '') return [];
    const [, prefix, group] = /^\s*((?:\w+::)*)\{(.*)\}\s*$/s.exec(text) ?? [];
    if (group !== undefined) return paths(group, [...before, ...prefix.split('::').filter(Boolean)]);
    const [path, alias] = text.trim().split(/\s+as\s+/);
    const segments = [...before, ...path.split('::').filter(Boolean)];
    if (segments.length > 1 && segments.at(-1) === 'self') segments.pop();
    return segments.length > 0 ? [{ segments, name: alias ?? segments.at(-1) }] : [];
  });
}

/** What a file without comments, texts and tests uses, exports again, and names by a path. */
function read(text) {
  const lines = text.split(/^#\[cfg\(test\)\]\nmod /m)[0].replace(/\/\/.*/g, '');
  // Within a module that stands in the file, `super` is the file.
  const code = lines.replace(/"(?:[^"\\]|\\.)*"/g, '""').replace(/^ +use super::[^;]*;/gm, '');
  const uses = [...code.matchAll(/\b(pub(?:\([^)]*\))?\s+)?use\s+([^;]+);/g)].flatMap(([, exported, tree]) =>
    paths(tree).map((use) => ({ ...use, exported: exported !== undefined })),
  );
  const rest = code.replace(/\buse\s+[^;]+;|\bpub\([^)]*\)/g, '');
  const named = [...rest.matchAll(/(?<![\w:])\w+(?:::\w+)+/g)].map(([path]) => ({ segments: path.split('::') }));
  const macros = [...code.matchAll(/#\[macro_export\]\s+(?:#\[[^\]]*\]\s+)*macro_rules! (\w+)/g)].map(
    ([, name]) => name,
  );
  return { uses, named, macros };
}

/**
 * Which file of a crate imports which. A name that is exported again counts as of the file that it comes from.
 *
 * @param {Record<string, string>} files texts by path below `src`
 * @returns {Map<string, Set<string>>}
 */
export function imports(files) {
  const byModule = new Map(Object.keys(files).map((file) => [moduleOf(file).join('::'), file]));
  const all = new Map(Object.entries(files).map(([file, text]) => [file, read(text)]));
  const macros = new Map([...all].flatMap(([file, code]) => code.macros.map((name) => [name, file])));
  /** The file that a path leads to; nothing for paths to other crates. */
  const find = (from, [name, ...rest], start = true, seen = new Set()) => {
    if (name === undefined) return byModule.get(from.join('::'));
    if (start && (name === 'crate' || name === 'self')) return find(name === 'crate' ? [] : from, rest, false, seen);
    if (name === 'super') return find(from.slice(0, -1), rest, false, seen);
    if (byModule.has([...from, name].join('::'))) return find([...from, name], rest, false, seen);
    const here = byModule.get(from.join('::'));
    // A name that leads to itself is another crate's.
    if (here === undefined || seen.has(`${here} ${name}`)) return undefined;
    seen.add(`${here} ${name}`);
    const use = all
      .get(here)
      .uses.find((other) => other.name === name && (other.exported || !start || from.length === 0));
    if (use) return find(from, [...use.segments, ...rest], true, seen);
    if (start) return undefined;
    return from.length === 0 ? (macros.get(name) ?? here) : here;
  };
  const importsOf = (file) => {
    const { uses, named } = all.get(file);
    // What the file of a folder only exports again is not used there.
    const folder = /(?:^|\/)(?:mod|lib)\.rs$/.test(file) ? '' : file.replace(/\.rs$/, '/');
    const lists = Object.keys(files).some((other) => other.startsWith(folder));
    const used = uses.filter(({ exported }) => !exported || !lists);
    const found = [...used, ...named].map(({ segments }) => find(moduleOf(file), segments));
    return new Set(found.filter((other) => other !== undefined && other !== file));
  };
  return new Map(Object.keys(files).map((file) => [file, importsOf(file)]));
}

/** The shortest circle through each file that is in one. */
export function circles(graph) {
  const through = (start) => {
    const reached = new Map([[start, [start]]]);
    for (const [file, path] of reached)
      for (const next of graph.get(file) ?? []) {
        if (next === start) return [...path, start];
        if (!reached.has(next)) reached.set(next, [...path, next]);
      }
    return undefined;
  };
  const found = [...graph.keys()].map(through).filter((circle) => circle !== undefined);
  return [...new Map(found.map((circle) => [circle.slice(1).toSorted().join(), circle])).values()];
}

/**
 * What is wrong with the imports of a crate whose rooms stand in this order, the lowest first.
 *
 * @param {Record<string, string>} files
 * @param {string[]} order
 * @param {string[]} exceptions rooms that may import from a higher one, as `from -> to`
 */
export function wrongImports(files, order, exceptions) {
  const graph = imports(files);
  const rooms = new Set(Object.keys(files).map(roomOf));
  const height = (file) => (file === 'lib.rs' ? order.length : order.indexOf(roomOf(file)));
  const up = [...graph].flatMap(([file, others]) =>
    [...others]
      .filter((other) => height(file) >= 0 && height(file) < height(other))
      .map((other) => ({ file, other, rooms: `${roomOf(file)} -> ${roomOf(other)}` })),
  );
  return [
    ...[...rooms].filter((room) => room !== 'lib' && !order.includes(room)).map((room) => `${room} has no floor`),
    ...circles(graph).map((circle) => `a circle: ${circle.join(' -> ')}`),
    ...up.filter((one) => !exceptions.includes(one.rooms)).map(({ file, other }) => `up a floor: ${file} -> ${other}`),
    ...exceptions.filter((rooms) => !up.some((one) => one.rooms === rooms)).map((rooms) => `not needed: ${rooms}`),
  ];
}

/** The names in a cell of a table. */
const named = (cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name);

/** Whether imports within the Rust crates run down the floors that ARCHITECTURE.md names, without circles. */
export const floors = {
  name: 'floors',
  async run() {
    const text = readFileSync(at('ARCHITECTURE.md'), 'utf8');
    const table = [...text.matchAll(/^\| `crates\/(\w+)\/src` \| ([^|]*)\| ([^|]*)\|$/gm)];
    const output = table.flatMap(([, crate, order, exceptions]) => {
      const base = `crates/${crate}/src/`;
      const sources = filesIn([base]).filter((file) => file.endsWith('.rs'));
      const files = Object.fromEntries(
        sources.map((file) => [file.slice(base.length), readFileSync(at(file), 'utf8')]),
      );
      return wrongImports(files, named(order), named(exceptions)).map((wrong) => `crates/${crate}: ${wrong}`);
    });
    const up = table.flatMap(([, , , exceptions]) => named(exceptions));
    if (table.length === 0) output.push('ARCHITECTURE.md names no floors');
    if (up.length > mostExceptions) output.push(`${up.length} rooms import from higher ones, ${mostExceptions} may`);
    return { passed: output.length === 0 ? 1 : 0, failed: output.length === 0 ? 0 : 1, output: output.join('\n') };
  },
};
