/**
 * `tallow eval`: measures what was trained.
 *
 * @module
 */
import { existsSync } from 'node:fs';
import { type Command } from 'commander';
import { type Loop } from '../training/loop/loop.js';
import { command } from './command.js';
import { loopOf } from './config.js';
import { checkInput, Mistake } from './mistake.js';
import { pairs, print, printJson } from './output.js';
import { SET, setting, type Settings } from './settings.js';

interface Options {
  readonly json?: boolean;
  readonly checkpoint?: string;
  readonly set?: Settings;
}

/** Puts the weights of a file into a loop: a checkpoint of the loop, or any file of its model. */
async function load(loop: Loop, file: string): Promise<void> {
  const { native } = await import('../bridge/native.js');
  const { notes } = await native.fileInfo(file);
  const parsed: unknown = notes === null ? null : JSON.parse(notes);
  if (typeof parsed === 'object' && parsed !== null && 'loop' in parsed) await loop.loadCheckpoint(file);
  else loop.model.initFromFile(file);
}

async function run(config: string, { json, checkpoint, set }: Options): Promise<void> {
  const { loop } = await loopOf(config, set ?? []);
  const { checkpointPath } = await import('../training/loop/files.js');
  if (loop.evalTasks.length === 0)
    throw new Mistake(`${config} has nothing to evaluate; give the loop \`evalTasks\`, or a JSON config \`evalData\``);
  const newest = loop.outputDir === null ? undefined : checkpointPath(loop.outputDir, 'model');
  const file = checkpoint ?? newest;
  if (file === undefined) throw new Mistake(`${config} has no outputDir; name a file by --checkpoint`);
  if (checkpoint !== undefined) checkInput(checkpoint);
  else if (!existsSync(file))
    throw new Mistake(`there is no ${file}; \`tallow train ${config}\` makes it, or name a file by --checkpoint`);
  await loop.prepare();
  if (checkpoint !== undefined) await load(loop, checkpoint);
  const metrics = await loop.runEvals();
  await loop.close();
  if (json === true) return printJson({ checkpoint: file, step: loop.step, metrics }, 2);
  print(`${file}, step ${loop.step}`);
  print(pairs(Object.entries(metrics).map(([name, value]) => [name, value.toPrecision(6)])));
}

/** Makes the command. */
export function evaluate(): Command {
  return command('eval', 'Measures a model on the data that a config holds for it.', [
    ['tallow eval train.json', 'the newest checkpoint'],
    ['tallow eval train.mjs --checkpoint runs/a/lowest_loss.safetensors', 'another one'],
    ['tallow eval train.json --checkpoint model.pkl.gz', "Trax's weights"],
  ])
    .argument('<config>', '.json, .mjs, .js, .cjs, .ts')
    .option('--checkpoint <file>', 'a checkpoint, or any file of the model')
    .option(SET[0], SET[1], setting)
    .action(run);
}
