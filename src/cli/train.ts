/**
 * `tallow train`: trains what a config says, and goes on where a run stopped.
 *
 * @module
 */
import { type Command } from 'commander';
import { type Described } from '../models/folder/folder.js';
import { type Loop } from '../training/loop/loop.js';
import { command, count } from './command.js';
import { loopOf } from './config.js';
import { EXIT, Mistake } from './mistake.js';
import { onClosed, print, printJson } from './output.js';
import { SET, setting, type Settings } from './settings.js';

interface Options {
  readonly json?: boolean;
  readonly steps?: number;
  readonly set?: Settings;
  readonly quiet?: boolean;
}

const CODES = { SIGINT: EXIT.interrupted, SIGTERM: EXIT.terminated } as const;

/** Ends a run behind its last step at the first signal, and the process at the second. */
class Stopper {
  /** How the process ends, if it was asked to. */
  code: number | undefined;
  readonly #loop: Loop;

  constructor(loop: Loop) {
    this.#loop = loop;
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => this.#stop(CODES[signal]));
    onClosed((code) => this.#closed(code));
  }

  #closed(code: number): void {
    this.code ??= code;
    this.#loop.stop();
  }
  #stop(code: number): void {
    if (this.code !== undefined) {
      // The bar hid the cursor.
      if (process.stderr.isTTY) process.stderr.write('\x1b[?25h\n');
      process.exit(code);
    }
    if (process.stderr.isTTY)
      process.stderr.write('\nstopping behind the last step that is done; once more ends at once\n');
    this.#closed(code);
  }
}

/** Makes the folder of a run that of a model, of which the weights are the checkpoint. */
async function describeRun(folder: string, described: Described): Promise<void> {
  const { describe } = await import('../models/folder/folder.js');
  await describe(folder, described, 'model.safetensors', described.encoder === null ? null : 'tokenizer.json');
}

async function run(config: string, { json, steps, set, quiet }: Options): Promise<void> {
  const configured = await loopOf(config, set ?? []);
  const { loop } = configured;
  const total = steps ?? configured.steps;
  if (total === undefined)
    throw new Mistake(`${config} does not say for how many steps; give it \`steps\`, or --steps`);
  const stopper = new Stopper(loop);
  await loop.prepare();
  const first = loop.step;
  const { outputDir } = loop;
  if (outputDir !== null && configured.described !== undefined) await describeRun(outputDir, configured.described);
  if (json === true) printJson({ event: 'start', step: first, steps: total, outputDir });
  else if (first > 0 && first < total) print(`goes on at step ${first} of ${total}, from ${outputDir}`);
  const began = performance.now();
  if (first < total && stopper.code === undefined) {
    const { Watch } = await import('./watch.js');
    using watch = new Watch(loop, total, json === true ? 'json' : quiet === true ? 'nothing' : 'text');
    await loop.run({ until: total });
    watch.show(true);
  }
  const isSaved = outputDir !== null && loop.step > first;
  const checkpoint = isSaved ? await loop.saveCheckpoint() : null;
  await loop.close();
  const seconds = (performance.now() - began) / 1000;
  if (stopper.code !== undefined) process.exitCode = stopper.code;
  if (json === true) {
    return printJson({ event: 'end', step: loop.step, steps: total, seconds, stopped: loop.step < total, checkpoint });
  }
  if (first >= total)
    return print(`nothing to do: ${outputDir} is at step ${first}; --steps asks for more than ${total}`);
  const what = loop.step < total ? `stopped at step ${loop.step} of ${total}` : `trained to step ${loop.step}`;
  const where =
    checkpoint ?? (outputDir === null ? 'nothing is saved, as the loop has no outputDir' : `${outputDir} is as it was`);
  print(`${what} in ${seconds.toFixed(1)} s; ${where}`);
  if (loop.step < total && outputDir !== null) print(`\`tallow train ${config}\` goes on`);
}

/** Makes the command. */
export function train(): Command {
  return command('train', 'Trains what a config says, and goes on from the checkpoint in its folder.', [
    ['tallow train train.mjs', 'a module that exports a Loop, or a function that gives one'],
    ['tallow train train.json --steps 2000', 'a model of the package, and a file of data'],
    ['tallow train train.json --set seed=1 --set outputDir=runs/1', 'with some of the config changed'],
  ])
    .argument('<config>', '.json, .mjs, .js, .cjs, .ts')
    .option('--steps <n>', 'steps of all runs together', count)
    .option(SET[0], SET[1], setting)
    .option('--quiet', 'show no progress')
    .action(run);
}
