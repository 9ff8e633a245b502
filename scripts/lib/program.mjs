import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { at } from './paths.mjs';
import { Refusal } from './run.mjs';

const require = createRequire(at('package.json'));
let registered = false;

/** Loads a TypeScript module of this repository. */
export function loadTypeScript(path) {
  const file = at(path);
  if (!existsSync(file)) throw new Refusal(`${path} is missing from this checkout`);
  if (!registered) require('tsx/cjs/api').register();
  registered = true;
  return require(file);
}

/**
 * Runs a TypeScript program of this repository in this very process, with the script's own arguments: signals reach
 * it directly, and its exit code is ours.
 */
export function runProgram(path) {
  process.argv[1] = at(path);
  loadTypeScript(path);
}
