// @ts-check
/** Makes a project of a template. */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { names, templates } from './templates.mjs';

/** A mistake of the user's, told in one sentence. */
export class Refusal extends Error {}

const root = fileURLToPath(new URL('..', import.meta.url));
/** What a folder may hold and still count as empty: a fresh repository. */
const overlooked = new Set(['.git']);

/**
 * The template of a name.
 *
 * @param {string} name
 */
export function templateOf(name) {
  if (Object.hasOwn(templates, name)) return /** @type {import('./templates.mjs').Template} */ (templates[name]);
  throw new Refusal(`There is no template \`${name}\`; there are ${names}.`);
}

/**
 * Refuses a folder that a project cannot be put into.
 *
 * @param {string} folder
 */
function needEmpty(folder) {
  if (!existsSync(folder)) return;
  if (!statSync(folder).isDirectory())
    throw new Refusal(`${folder} is a file; give the name of a folder that is new or empty.`);
  if (readdirSync(folder).some((name) => !overlooked.has(name)))
    throw new Refusal(`${folder} is not empty; give the name of a folder that is new or empty.`);
}

/**
 * The name of a package for the name of a folder: what npm does not allow becomes a hyphen.
 *
 * @param {string} folder
 */
export function packageName(folder) {
  const name = basename(folder)
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, '-')
    .replace(/^-+|-+$/g, '');
  return name || 'tallow-project';
}

/**
 * Names that npm would leave out of a package or change stand with `_` there, and get their own names back.
 *
 * @param {string} folder
 */
function rename(folder) {
  for (const name of readdirSync(folder))
    if (name.startsWith('_')) renameSync(join(folder, name), join(folder, `.${name.slice(1)}`));
}

/**
 * Makes a project in a folder that is new or empty.
 *
 * @param {string} name of the template
 * @param {string} folder
 * @returns {string} the path of the folder
 * @throws {Refusal} there is no such template, or the folder is not empty
 */
export function create(name, folder) {
  const { parts } = templateOf(name);
  const path = resolve(folder);
  needEmpty(path);
  mkdirSync(path, { recursive: true });
  for (const part of parts) cpSync(join(root, 'templates', part), path, { recursive: true });
  rename(path);
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const file = join(path, 'package.json');
  const manifest = JSON.parse(readFileSync(file, 'utf8'));
  manifest.name = packageName(path);
  manifest.dependencies.tallow = `^${version}`;
  writeFileSync(file, `${JSON.stringify(manifest, null, 2)}\n`);
  return path;
}
