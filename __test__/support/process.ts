import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** The folder package.json lies in. */
export const root = join(__dirname, '..', '..');

/** How a process ended and what it printed. */
export interface Ended {
  readonly code: number;
  readonly output: string;
}

/** Runs a program to its end, without a terminal. */
export function run(
  program: string,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: options.cwd ?? root,
      env: { ...process.env, ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => (output += text));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code: code ?? -1, output }));
  });
}

/** The path without the folders that hold a Rust toolchain. */
export const pathWithoutCargo = (process.env['PATH'] ?? '')
  .split(delimiter)
  .filter((folder) => !['cargo', 'cargo.exe', 'rustc', 'rustc.exe'].some((name) => existsSync(join(folder, name))))
  .join(delimiter);

/** npm's own program, to be run by Node. */
export function npmCli(): string {
  const candidates = [
    process.env['npm_execpath'],
    join(process.execPath, '..', '..', 'lib', 'node_modules', 'npm', 'bin', 'npm-cli.js'),
    join(process.execPath, '..', 'node_modules', 'npm', 'bin', 'npm-cli.js'),
    '/usr/share/nodejs/npm/bin/npm-cli.js',
  ];
  const found = candidates.find((path) => path !== undefined && path.endsWith('.js') && existsSync(path));
  if (found === undefined) throw new Error('npm-cli.js was not found beside Node');
  return found;
}
