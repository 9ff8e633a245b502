/**
 * `tallow convert`: a file of tensors in another format.
 *
 * @module
 */
import { lstatSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { type Command } from 'commander';
import { isList } from '../bridge/found.js';
import { shownBytes, shownCount } from '../seeing/table.js';
import { command } from './command.js';
import { layerOf } from './config.js';
import { Mistake } from './mistake.js';
import { fileOf, foundFolder } from './modelFolder.js';
import { print, printJson } from './output.js';

interface Options {
  readonly json?: boolean;
  readonly force?: boolean;
  readonly model?: string;
}

const ENDINGS = ['.safetensors', '.npz', '.npy.gz'] as const;
type Ending = (typeof ENDINGS)[number];

/** Refuses a place where no file can be written, or one is already. */
function checkOutput(path: string, force: boolean): Ending {
  const ending = ENDINGS.find((end) => path.endsWith(end));
  if (ending === undefined) throw new Mistake(`cannot write ${path}: its name must end in ${ENDINGS.join(', ')}`);
  const there = lstatSync(path, { throwIfNoEntry: false });
  if (there?.isDirectory()) throw new Mistake(`cannot write ${path}: it is a folder`);
  if (there !== undefined && !force) throw new Mistake(`${path} is there already; --force replaces it`);
  if (!statSync(dirname(path), { throwIfNoEntry: false })?.isDirectory())
    throw new Mistake(`cannot write ${path}: there is no folder ${dirname(path)}`);
  return ending;
}

/** Refuses names that would be lost. */
function checkNumbered(from: string, to: string, names: readonly string[]): void {
  const named = names.find((name, i) => name !== String(i));
  if (named === undefined) return;
  throw new Mistake(
    `${to} would hold arrays without names, and ${from} has names, such as ${named}; write .npz instead`,
  );
}

/** The layer of a config, or of a folder. */
async function modelOf(path: string): ReturnType<typeof layerOf> {
  const folder = await foundFolder(path);
  if (folder === undefined) return layerOf(path);
  const { model, inputSignature } = folder.description;
  const { layerOf: made } = await import('../models/folder/layerConfig.js');
  return { layer: made('model', model), signature: isList(inputSignature) ? [...inputSignature] : inputSignature };
}

async function run(given: string, to: string, { json, force, model }: Options): Promise<void> {
  const { file: from } = await fileOf(given);
  const ending = checkOutput(to, force === true);
  const { native } = await import('../bridge/native.js');
  const info = await native.fileInfo(from);
  if (model !== undefined) {
    if (ending !== '.safetensors') throw new Mistake(`--model: a layer is saved as .safetensors, not as ${ending}`);
    const { layer, signature } = await modelOf(model);
    const inputs = info.signature === null && signature !== undefined ? { inputSignature: signature } : {};
    layer.initFromFile(from, inputs);
    layer.saveToFile(to, signature === undefined ? {} : { inputSignature: signature });
  } else {
    const tensors = native.loadTensors(from);
    if (ending === '.safetensors') native.saveSafetensors(tensors, to);
    else if (ending === '.npz') native.saveNpz(to, tensors);
    else {
      checkNumbered(
        from,
        to,
        tensors.map(({ name }) => name),
      );
      native.npToFile(
        tensors.map(({ tensor }) => tensor),
        to,
        6,
      );
    }
  }
  const written = await native.fileInfo(to);
  const bytes = written.tensors.reduce((sum, t) => sum + t.bytes, 0);
  const has = ({ tensors }: typeof info, list: string): boolean => tensors.some(({ name }) => name.startsWith(list));
  const isLost = (list: string): boolean => has(info, list) && !has(written, list);
  const left = [
    info.step !== null && written.step === null ? 'its step' : '',
    info.notes !== null && written.notes === null ? 'its notes' : '',
    isLost('eval_state/') ? 'its state in evaluations' : '',
    isLost('slots') ? 'the slots of its optimizer' : '',
  ].filter((what) => what !== '');
  if (json === true) return printJson({ from, to, tensors: written.tensors.length, bytes, leftOut: left }, 2);
  print(`${to}: ${shownCount(written.tensors.length)} tensors, ${shownBytes(bytes)}`);
  if (left.length > 0) print(`left out: ${left.join(', ')}`);
}

/** Makes the command. */
export function convert(): Command {
  return command('convert', 'Writes the tensors of a file in another format, which the name of the new file tells.', [
    ['tallow convert arrays.npz arrays.safetensors', 'from NumPy'],
    ['tallow convert arrays.safetensors arrays.npz', 'and back'],
    ['tallow convert model.pkl.gz model.safetensors --model model.json', 'from Trax, into a file of that layer'],
    ['tallow convert runs/book book.npz', 'the weights of a model in a folder'],
    ['tallow convert model.pkl.gz model.npz', 'from Trax, by number: weights/0, weights/1, …'],
  ])
    .argument('<in>', 'safetensors, .npy, .npz, .npy.gz, .pkl.gz, or the folder of a model')
    .argument('<out>', '.safetensors, .npz, .npy.gz; it is written beside, and renamed when it is whole')
    .option('--force', 'replace a file that is there')
    .option(
      '--model <config>',
      'the layer that is in the file: a config as `tallow train` takes it, or the folder of a model',
    )
    .action(run);
}
