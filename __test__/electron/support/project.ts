/** Projects made of the templates, with the package of this checkout in their node_modules. */
import { mkdirSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { root, run } from '../../support/process.js';

/** The names of the templates. */
export const TEMPLATES = ['electron', 'server', 'train'] as const;
export type Template = (typeof TEMPLATES)[number];

/** The program behind `npm create tallow`. */
export const createTallow = join(root, 'packages', 'create-tallow', 'create-tallow.mjs');

/** Packages of this checkout that a project sees, each as if it were installed there. */
const LINKED: Readonly<Record<Template, readonly string[]>> = {
  electron: ['electron'],
  server: ['fastify', '@fastify/sse', 'prom-client'],
  train: [],
};

/** Lets a project see a package by a name. */
function link(project: string, name: string, target: string): void {
  const path = join(project, 'node_modules', name);
  mkdirSync(dirname(path), { recursive: true });
  symlinkSync(target, path, 'junction');
}

/** Makes a project, and compiles it if `compile` is not `false`. @returns its folder */
export async function makeProject(folder: string, template: Template, compile = true): Promise<string> {
  const made = await run(process.execPath, [createTallow, folder, '--template', template]);
  if (made.code !== 0) throw new Error(made.output);
  link(folder, 'tallow', root);
  for (const name of ['@types/node', ...LINKED[template]]) link(folder, name, join(root, 'node_modules', name));
  if (compile) await tsc(folder);
  return folder;
}

/** Compiles a project as its own scripts do. */
export async function tsc(folder: string, ...args: readonly string[]): Promise<void> {
  const program = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const { code, output } = await run(process.execPath, [program, ...args], { cwd: folder });
  if (code !== 0) throw new Error(`tsc ${args.join(' ')}:\n${output}`);
}
