import { spawn } from 'node:child_process';
import { root } from './paths.mjs';

/** An error that is the user's to mend: printed as one line, without a stack. */
export class Refusal extends Error {}

const colour = process.stdout.isTTY && !process.env.NO_COLOR;
const paint = (code, text) => (colour ? `\x1b[${code}m${text}\x1b[0m` : text);
export const green = (text) => paint(32, text);
export const red = (text) => paint(31, text);
export const dim = (text) => paint(2, text);

/** "0.4 s", "2 min 5 s". */
export function duration(milliseconds) {
  const seconds = milliseconds / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

/** Ends a command that leads a group, and all that it has started. */
function end({ pid }) {
  if (process.platform === 'win32') return void spawn('taskkill', ['/pid', String(pid), '/t', '/f']);
  try {
    process.kill(-pid, 'SIGTERM');
  } catch (error) {
    // It ended by itself.
    if (error.code !== 'ESRCH') throw error;
  }
}

/**
 * Runs a command; resolves to its exit code and what it printed. `live` also lets it through to the terminal. `signal` ends it with all that
 * it has started: cargo with its compilers, ava with its workers.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ live?: boolean, onLine?: (line: string) => void, env?: NodeJS.ProcessEnv, signal?: AbortSignal }} [options]
 */
export function run(command, args, { live = false, onLine, env, signal } = {}) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return void resolve({ code: 1, signal: 'SIGTERM', output: '' });
    const child = spawn(command, args, {
      cwd: root,
      env: { ...process.env, ...env },
      // Only a group of its own can be ended as a whole; such a one must not ask the terminal for input.
      detached: signal !== undefined && process.platform !== 'win32',
      stdio: live ? [signal ? 'ignore' : 'inherit', 'inherit', 'inherit'] : ['ignore', 'pipe', 'pipe'],
    });
    const stop = () => end(child);
    signal?.addEventListener('abort', stop);
    let output = '';
    for (const stream of live ? [] : [child.stdout, child.stderr]) {
      let partial = '';
      stream.setEncoding('utf8');
      stream.on('data', (chunk) => {
        output += chunk;
        if (!onLine) return;
        const lines = (partial + chunk).split('\n');
        partial = lines.pop();
        lines.forEach(onLine);
      });
      stream.on('end', () => partial && onLine?.(partial));
    }
    child.on('error', reject);
    child.on('close', (code, by) => {
      signal?.removeEventListener('abort', stop);
      resolve({ code: code ?? 1, signal: by, output });
    });
  });
}

/** Like `run`, but a failing command ends the script: what it printed, then one line. */
export async function must(what, command, args, options) {
  const { code, output } = await run(command, args, options);
  if (code !== 0) {
    process.stderr.write(output);
    throw new Refusal(`${what} failed (exit code ${code})`);
  }
  return output;
}

/** Says what is being done, does it, says how long it took. */
export async function step(what, work) {
  const start = performance.now();
  console.log(`${dim('·')} ${what} …`);
  const result = await work();
  console.log(`${green('✓')} ${what} ${dim(duration(performance.now() - start))}`);
  return result;
}

/** Runs a script's main function; a Refusal or a misspelt flag becomes one line and exit code 1. */
export async function main(work) {
  try {
    process.exitCode = (await work()) ?? process.exitCode ?? 0;
  } catch (error) {
    if (!(error instanceof Refusal) && !error.code?.startsWith?.('ERR_PARSE_ARGS')) throw error;
    // Node's own message for an unknown flag goes on with advice about `--`.
    console.error(red(error.message.split('. ')[0]));
    process.exitCode = 1;
  }
}
