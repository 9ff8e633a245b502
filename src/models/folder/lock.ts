/**
 * One program at a time saves into a folder.
 *
 * @module
 */
import { readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { refusal } from '../../bridge/errors.js';

/** The file that says who saves. */
const LOCK = 'model.lock';
/** How long it is waited for another program. */
const PATIENCE_MS = 10_000;
/** How often it is looked meanwhile. */
const LOOK_MS = 10;
/** After how long a file in which nothing is written belongs to nobody any more. */
const EMPTY_MS = 5000;
/** How far apart the beginning of one process may be told. */
const SAME_MS = 2000;

const hasCode = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code;

/** When this process began, in milliseconds since 1970: another one may have had its number before. */
const began = (): number => Math.round(Date.now() - 1000 * process.uptime());

/** Whether a process is there. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // It is there and belongs to somebody else.
    return hasCode(error, 'EPERM');
  }
}

/** Whether who wrote a lock is gone. */
async function isLeft(path: string, words: string): Promise<boolean> {
  const [pid, start] = words.split(' ').map(Number);
  if (pid === undefined || start === undefined || !Number.isInteger(pid) || pid < 1) {
    // It is being written, or its writer ended before it was.
    const { mtimeMs } = await stat(path);
    return Date.now() - mtimeMs > EMPTY_MS;
  }
  if (pid === process.pid) return Math.abs(start - began()) > SAME_MS;
  return !isAlive(pid);
}

let taken = 0;

/** Takes away a lock whose writer is gone; one that somebody else made meanwhile is put back. */
async function takeAway(path: string, words: string): Promise<void> {
  taken += 1;
  const aside = `${path}.${process.pid}.${taken}`;
  await rename(path, aside);
  if ((await readFile(aside, 'utf8')) === words) await rm(aside, { force: true });
  else await rename(aside, path);
}

/** Tries to be the one who saves. */
async function tryLock(path: string): Promise<boolean> {
  try {
    await writeFile(path, `${process.pid} ${began()}`, { flag: 'wx' });
    return true;
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw error;
  }
  try {
    const words = await readFile(path, 'utf8');
    if (await isLeft(path, words)) await takeAway(path, words);
  } catch (error) {
    // It was given back meanwhile.
    if (!hasCode(error, 'ENOENT')) throw error;
  }
  return false;
}

/**
 * Does something while nobody else saves into a folder; waits for who does.
 *
 * @param ms - how many milliseconds it waits at most
 * @throws `Io`: another program saves for too long
 */
export async function alone<T>(
  what: string,
  folder: string,
  work: () => Promise<T>,
  ms: number = PATIENCE_MS,
): Promise<T> {
  const path = join(folder, LOCK);
  const last = performance.now() + ms;
  // One look after the other.
  // oxlint-disable-next-line no-await-in-loop
  while (!(await tryLock(path))) {
    if (performance.now() > last) {
      const how = `wait for it; if there is none, delete ${path}`;
      throw refusal('Io', `${what}: another program saves into ${folder} for more than ${ms} ms; ${how}`);
    }
    // oxlint-disable-next-line no-await-in-loop
    await sleep(LOOK_MS);
  }
  try {
    return await work();
  } finally {
    await rm(path, { force: true });
  }
}
