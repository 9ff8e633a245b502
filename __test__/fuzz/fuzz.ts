/** Runs readers on drawn inputs in processes of their own, and keeps the inputs that one died of, hung at, or that it refused wrongly. */
import { fork } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { targets } from './targets.js';

/** What one input may take. */
const PATIENCE_MS = 20_000;

/** A run ends at so many faults: it is the same one then, mostly. */
const MOST_FOUND = 20;

/** An input that showed a fault: the file that holds it, and what was wrong. */
export interface Found {
  readonly file: string;
  readonly what: string;
}

/** What is run: a target, from which numbers on, and where inputs that show a fault go. */
export interface Run {
  readonly target: string;
  readonly seed: number;
  readonly first: number;
  readonly count: number;
  readonly out: string;
  /** Variables of the processes beside those of this one. */
  readonly env?: NodeJS.ProcessEnv;
}

/** What a process tells of an input. */
interface Told {
  readonly at: number;
  readonly fault?: string;
}

/** The endings of the inputs of each target. */
function endingOf(target: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'tallow-fuzz-'));
  try {
    return targets(folder)[target]!.ending;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** One process, until it has read all or dies: the number of the input after the last, and what was found. */
function process1(run: Run, ending: string): Promise<{ next: number; found: Found[] }> {
  return new Promise((resolve, reject) => {
    const folder = mkdtempSync(join(tmpdir(), 'tallow-fuzz-'));
    const found: Found[] = [];
    let at = run.first;
    let isHung = false;
    let said = '';
    const keep = (what: string): void => {
      mkdirSync(run.out, { recursive: true });
      const file = join(run.out, `${run.target}-${run.seed}-${at}.${ending}`);
      const current = join(folder, `current.${ending}`);
      if (existsSync(current)) copyFileSync(current, file);
      writeFileSync(`${file}.txt`, `${what}\n`);
      found.push({ file, what });
    };
    const words = [run.target, run.seed, run.first, run.count, folder].map(String);
    const child = fork(join(__dirname, 'child.ts'), words, {
      execArgv: ['--import=tsx'],
      env: { ...process.env, ...run.env },
      silent: true,
    });
    const hung = (): void => {
      isHung = true;
      child.kill('SIGKILL');
    };
    // The first input waits for the package to load, too.
    let timer = setTimeout(hung, 3 * PATIENCE_MS);
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-4000)));
    child.stdout?.resume();
    child.on('message', (told: Told) => {
      at = told.at;
      if (told.fault !== undefined) keep(told.fault);
      clearTimeout(timer);
      timer = setTimeout(hung, PATIENCE_MS);
    });
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      if (isHung) keep(`took more than ${PATIENCE_MS / 1000} s`);
      else if (code !== 0) keep(`the process ended with ${signal ?? code}: ${said}`);
      rmSync(folder, { recursive: true, force: true });
      const isWhole = !isHung && code === 0;
      resolve({ next: isWhole ? run.first + run.count : at + 1, found });
    });
  });
}

/** Reads `count` inputs; goes on behind one that a process died of. */
export async function fuzz(run: Run): Promise<Found[]> {
  const ending = endingOf(run.target);
  const found: Found[] = [];
  const end = run.first + run.count;
  for (let first = run.first; first < end && found.length < MOST_FOUND;) {
    // A process after the one before.
    // oxlint-disable-next-line no-await-in-loop
    const part = await process1({ ...run, first, count: end - first }, ending);
    found.push(...part.found);
    first = part.next;
  }
  return found;
}

/** The names of what can be fuzzed. */
export const TARGETS = ['safetensors', 'npz', 'npy', 'pickle', 'tokenizer', 'options', 'layers'];
