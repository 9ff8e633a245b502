/**
 * Folders of models that commands are given.
 *
 * @module
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Description } from '../models/folder/description.js';
import { checkInput, Mistake, shownMessage } from './mistake.js';

/** A folder of a model, without the weights. */
export interface Found {
  readonly description: Description;
  /** The path of the weights. */
  readonly weights: string;
}

/** What went wrong with a folder, as the mistake of who named it. */
export const folderMistake = (error: unknown): Mistake =>
  error instanceof Mistake
    ? error
    : new Mistake(shownMessage(error).replace(/^(?:open|save)Folder: /, ''), { cause: error });

/** The folder of a model, or nothing where the path is not of one. */
export async function foundFolder(path: string): Promise<Found | undefined> {
  if (!existsSync(join(path, 'model.json'))) return undefined;
  const { readDescription } = await import('../models/folder/description.js');
  try {
    const description = await readDescription('openFolder', path);
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
