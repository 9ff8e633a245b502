/**
 * Checkpoints of loops: a file for each task's trainer, of which the first tells of the others and of everything else.
 *
 * @module
 */
import { access, readdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { isList, isRecord, messageOf } from '../../bridge/found.js';
import { type Position } from './batches.js';
import { checkpointInfo } from '../checkpoints.js';
import { makeFolders } from '../../bridge/folders.js';
import { History } from '../history.js';
import { refusal } from '../refusal.js';
import { type Sums } from './tally.js';
import { type Trainer } from '../trainer.js';

type Words = readonly [number, number];

/** What a loop remembers beside what its trainers do. */
export interface Memory {
  /** Number of steps done. */
  readonly step: number;
  /** Where the sequence of keys is, and the key of all steps. */
  readonly rng: Words;
  readonly stepKey: Words;
  readonly history: History;
  /** Sums since the last evaluation. */
  readonly tally: Sums;
  /** Where the data of the tasks is, and that of the tasks to evaluate. */
  readonly data: readonly Position[];
  readonly evalData: readonly Position[];
}

const ENDING = '.safetensors';

/** The path of a checkpoint of this name. */
export const checkpointPath = (folder: string, name: string): string => join(folder, `${name}${ENDING}`);

/** Whether there is a file, or something else that is in its place. */
export async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
    throw unusable(path, error);
  }
}

/** Makes a folder, with those above it. */
export async function makeFolder(path: string): Promise<void> {
  try {
    await makeFolders(path);
  } catch (error) {
    throw unusable(path, error);
  }
}

function unusable(path: string, error: unknown): Error {
  const why = messageOf(error);
  return refusal('Io', `Loop: outputDir: ${path} cannot be used: ${why}`, error);
}

/** Writes a checkpoint. The file of the first trainer is the last that is written: until then the old checkpoint holds. */
export async function write(path: string, trainers: readonly Trainer[], memory: Memory): Promise<void> {
  const [first, ...others] = trainers as readonly [Trainer, ...Trainer[]];
  const { history, ...rest } = memory;
  const { step } = memory;
  const begin = basename(path, ENDING);
  const names = others.map((_, i) => `${begin}.${step}.task${i + 1}${ENDING}`);
  const folder = dirname(path);
  for (const [i, trainer] of others.entries()) await trainer.save(join(folder, names[i]!), step + 1);
  const loop = { ...rest, history: history.toJSON(), tasks: names };
  await first.save(path, step + 1, { loop });
  if (others.length === 0) return;
  for (const name of await readdir(folder)) {
    const isOld = name.startsWith(`${begin}.`) && /\.\d+\.task\d+\.safetensors$/.test(name) && !names.includes(name);
    if (isOld) await rm(join(folder, name), { force: true });
  }
}

const isWords = (x: unknown): x is Words => isList(x) && x.length === 2 && x.every((word) => Number.isInteger(word));
const isPosition = (x: unknown): x is Position => isRecord(x) && Number.isInteger(x['used']);
const arePositions = (x: unknown, count: number): x is readonly Position[] =>
  isList(x) && x.length === count && x.every(isPosition);
const isTally = (x: unknown): x is Sums =>
  isRecord(x) && ['loss', 'steps', 'seconds'].every((name) => typeof x[name] === 'number');
const isText = (x: unknown): x is string => typeof x === 'string' && basename(x) === x;

/** Reads a checkpoint: weights, state and slots into the trainers, and the rest. All or nothing. */
export async function read(path: string, trainers: readonly Trainer[], nEvalTasks: number): Promise<Memory> {
  const { notes } = await checkpointInfo(path);
  const loop = notes?.['loop'];
  const wrong = (what: string): Error => refusal('Io', `Loop: ${path} cannot be taken up: ${what}`);
  if (!isRecord(loop)) throw wrong('it was not written by a loop; Trainer.load reads it');
  const { step, rng, stepKey, history, tally, data, evalData, tasks } = loop;
  if (
    !Number.isInteger(step) ||
    !isWords(rng) ||
    !isWords(stepKey) ||
    !isRecord(history) ||
    !isTally(tally) ||
    !isList(tasks)
  ) {
    throw wrong('its notes are not those of a loop');
  }
  const count = tasks.length + 1;
  if (count !== trainers.length || !tasks.every(isText)) {
    throw wrong(`it is of a loop with ${count} tasks, and this one has ${trainers.length}`);
  }
  if (!arePositions(data, count)) throw wrong('its notes do not tell where the data of each task is');
  const paths = [path, ...tasks.map((name) => join(dirname(path), name))];
  for (const [i, trainer] of trainers.entries()) await trainer.load(paths[i]!);
  // The others may be of a step that was not finished, but for the slots, which are their own.
  if (count > 1) await trainers[0]!.load(path);
  return {
    step: Number(step),
    rng,
    stepKey,
    tally,
    history: new History(history as ConstructorParameters<typeof History>[0]),
    data,
    // Other evaluations than before begin with their data.
    evalData: arePositions(evalData, nEvalTasks) ? evalData : [],
  };
}
