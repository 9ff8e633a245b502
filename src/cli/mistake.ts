/**
 * What goes wrong on the command line: who made it wrong, and how it is told.
 *
 * @module
 */
import { statSync, accessSync, constants } from 'node:fs';
import { basename } from 'node:path';
import { withoutCode } from '../bridge/errors.js';
import { found, isRecord, messageOf } from '../bridge/found.js';
import { unknownKey } from '../bridge/near.js';

/** How a command ends. */
export const EXIT = { ok: 0, failure: 1, mistake: 2, interrupted: 130, terminated: 143 } as const;

/** What the one who typed the command can mend. */
export class Mistake extends Error {}

/** What a system's error is called, as `ENOENT`. */
const systemCode = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;

const SYSTEM: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'there is no such file',
  EACCES: 'it may not be read; look at its permissions',
  EPERM: 'it may not be read; look at its permissions',
  ELOOP: 'its symbolic links run in a circle',
  ENAMETOOLONG: 'its name is too long',
};

/** Refuses what is no file that can be read. */
export function checkInput(path: string): void {
  let problem: string | undefined;
  try {
    const found = statSync(path);
    if (found.isDirectory()) problem = 'it is a folder; name a file in it';
    else if (found.isFile()) accessSync(path, constants.R_OK);
    else problem = 'it is no regular file, but a device, pipe or socket';
  } catch (error) {
    problem = SYSTEM[systemCode(error) ?? ''] ?? messageOf(error);
  }
  if (problem !== undefined) throw new Mistake(`cannot read ${path}: ${problem}`);
}

/** The message of an error without the code that programs read, in one line. */
export function shownMessage(error: unknown): string {
  const message = typeof error === 'string' ? error : messageOf(error);
  return withoutCode(message).trim() || 'no reason is given';
}

/** What an error is called beside its message, for programs: `InvalidOption`, `ENOENT`. */
export const codeOf = (error: unknown): string | null => systemCode(error) ?? null;

/** Where in a file of the program an error was thrown, as `train.mjs:3:9`. */
export function placeIn(error: unknown, file: string): string | undefined {
  const name = basename(file);
  const lines = error instanceof Error ? (error.stack ?? '').split('\n') : [];
  for (const line of lines) {
    const at = line.lastIndexOf(name);
    const place = at < 0 ? null : /^:\d+(?::\d+)?/.exec(line.slice(at + name.length));
    if (place !== null) return `${name}${place[0]}`;
  }
  return undefined;
}

/** Refuses keys of an object that are not known. */
export function checkKeys(where: string, given: Readonly<Record<string, unknown>>, known: readonly string[]): void {
  const refusal = unknownKey(given, known);
  if (refusal !== undefined) throw new Mistake(`${where}: ${refusal}`);
}

/** An object by key, or a mistake. */
export function record(where: string, x: unknown): Readonly<Record<string, unknown>> {
  if (isRecord(x)) return x;
  throw new Mistake(`${where} must be an object, got ${found(x)}`);
}

/** A whole number of at least `least`, or a mistake. */
export function whole(where: string, x: unknown, least: number): number {
  if (typeof x === 'number' && Number.isSafeInteger(x) && x >= least) return x;
  throw new Mistake(`${where} must be a whole number of at least ${least}, got ${found(x)}`);
}
