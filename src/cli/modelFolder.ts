/**
 * Folders of models that commands are given.
 *
 * @module
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { isFolderNow } from '../bridge/folders.js';
import { type Description } from '../models/folder/description.js';
import { checkInput, codeOf, Mistake, shownMessage } from './mistake.js';

/** A folder of a model, without the weights. */
export interface Found {
  readonly description: Description;
  /** The path of the weights. */
  readonly weights: string;
}

/** What went wrong with a folder: the mistake of who named it, or a file that is damaged. */
export function folderMistake(error: unknown): unknown {
  if (error instanceof Mistake || (codeOf(error) === 'Io' && !String(error).includes('] openFolder: '))) return error;
  return new Mistake(shownMessage(error).replace(/^openFolder: /, ''), { cause: error });
}

/** Refuses what is not the folder of a model, before anything is loaded. */
export function checkModelFolder(path: string): void {
  if (existsSync(join(path, 'model.json'))) return;
  if (!existsSync(path)) throw new Mistake(`there is no folder ${path}; \`tallow train\` makes one of a JSON config`);
  if (!isFolderNow(path)) throw new Mistake(`${path} is no folder; name the folder of a model`);
  throw new Mistake(
    `${path} has no model.json; \`tallow train\` with a JSON config writes it, and tl.models.saveFolder`,
  );
}

/** The folder of a model, or nothing where the path is not of one. */
export async function foundFolder(path: string): Promise<Found | undefined> {
  if (!existsSync(join(path, 'model.json'))) return undefined;
  const { readDescription } = await import('../models/folder/description.js');
  try {
    const description = readDescription('openFolder', path);
    return { description, weights: join(path, description.weights) };
  } catch (error) {
    throw folderMistake(error);
  }
}

/** The file that a command is to read: one that is named, or the weights of a folder. */
export async function fileOf(path: string): Promise<{ file: string; folder: Found | undefined }> {
  const folder = await foundFolder(path);
  const file = folder?.weights ?? path;
  checkInput(file);
  return { file, folder };
}
