/** The program `tallow`, as it is built. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { root } from './process.js';

/** The file that `npx tallow` runs. */
export const program = join(root, 'dist', 'cli', 'tallow.js');

/** How the program ended, and what it wrote. */
export interface Said {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** What a test may change of a run. */
export interface RunOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** What it reads from standard input; nothing if left out. */
  readonly input?: string;
  /** Whether its standard output is closed when it has written there, as `| head` does. */
  readonly closeOutput?: boolean;
  /** The file to run in place of the built one. */
  readonly file?: string;
  /** Is called with the process when it has written to standard output or error. */
  readonly onOutput?: (kill: (signal: NodeJS.Signals) => void, out: string) => void;
}

/** Runs the program with these words behind its name, without a terminal. */
export function tallow(words: readonly string[], options: RunOptions = {}): Promise<Said> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [options.file ?? program, ...words], {
      cwd: options.cwd ?? root,
      env: { ...process.env, ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    // A program that ends without reading is no error.
    child.stdin.on('error', () => undefined).end(options.input ?? '');
    let [out, err] = ['', ''];
    const heard = (): void => options.onOutput?.((signal) => void child.kill(signal), out + err);
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out += text;
      if (options.closeOutput === true) child.stdout.destroy();
      heard();
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      err += text;
      heard();
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code: code ?? -1, out, err }));
  });
}

/** Whether a text shows a line of a stack. */
export const hasStack = (text: string): boolean => /^\s+at .*[:(]\d*/m.test(text);
