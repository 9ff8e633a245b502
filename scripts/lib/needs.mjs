import { existsSync, readFileSync } from 'node:fs';
import { at, readJson } from './paths.mjs';
import { must, Refusal, run, step } from './run.mjs';

/** Refuses a Node that is older than package.json asks for. */
export function needNode(version = process.versions.node) {
  const wanted = readJson('package.json').engines.node.replace('>=', '').split('.').map(Number);
  const [major, minor] = version.split('.').map(Number);
  if (major > wanted[0] || (major === wanted[0] && minor >= wanted[1])) return;
  throw new Refusal(
    `tallow needs Node ${wanted.join('.')} or newer, this is ${version}: install one from https://nodejs.org`,
  );
}

/** Refuses a machine without a Rust toolchain. */
export async function needCargo() {
  const found = await run(cargo, ['--version']).catch(() => null);
  if (found?.code === 0) return;
  throw new Refusal(
    `Building tallow needs Rust, and \`${cargo}\` was not found: install it from https://rustup.rs, then open a new shell`,
  );
}

/** The cargo to run: `$CARGO` when set, as cargo itself has it. */
export const cargo = process.env.CARGO || 'cargo';

/** Whether node_modules holds what package-lock.json lists. Optional packages may be missing: they belong to other systems. */
function installed() {
  const hidden = at('node_modules', '.package-lock.json');
  if (!existsSync(hidden)) return false;
  const have = JSON.parse(readFileSync(hidden, 'utf8')).packages;
  const wanted = Object.entries(readJson('package-lock.json').packages);
  return wanted.every(([path, { version, optional }]) => path === '' || optional || have[path]?.version === version);
}

/** Installs the npm packages when they are missing or differ from the lockfile. */
export async function needPackages() {
  if (installed()) return;
  const [command, args] = npm('ci', '--no-audit', '--no-fund', '--loglevel=error');
  await step('installing npm packages', () => must('npm ci', command, args));
}

/** The command line of npm: the one that runs us when it does, else the one on the path. */
export function npm(...args) {
  const path = process.env.npm_execpath;
  return path?.includes('npm') ? [process.execPath, [path, ...args]] : ['npm', args];
}

/** The command line of a program out of node_modules. */
export function tool(name, bin = name) {
  const path = `node_modules/${name}`;
  const { bin: bins } = readJson(`${path}/package.json`);
  return at(path, typeof bins === 'string' ? bins : bins[bin]);
}
