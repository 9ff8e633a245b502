/** The flags of the program. */
import { statSync } from 'node:fs';
import { Command, InvalidArgumentError, Option } from 'commander';
import { whole } from '../support/options.js';
import { readText, splitMobyDick, splitText } from './book.js';

/** What can be trained. */
export type ModelName = 'transformer' | 'reformer';

/** What follows from the model where it is not said. */
export interface Sizes {
  readonly steps: number;
  readonly dModel: number;
  readonly layers: number;
  readonly heads: number;
  readonly length: number;
  readonly batch: number;
  readonly learningRate: number;
}

/** What the program was asked to do. */
export interface Options extends Sizes {
  /** A text file; Moby-Dick if left out. */
  readonly text?: string;
  readonly model: ModelName;
  /** Rounds of hashing; for the Reformer. */
  readonly hashes: number;
  /** Positions in a chunk of attention; for the Reformer. */
  readonly chunk: number;
  readonly seed: number;
  readonly out: string;
}

const SIZES: Readonly<Record<ModelName, Sizes>> = {
  transformer: { steps: 3500, dModel: 128, layers: 2, heads: 4, length: 64, batch: 8, learningRate: 0.005 },
  reformer: { steps: 800, dModel: 64, layers: 2, heads: 2, length: 8192, batch: 1, learningRate: 0.01 },
};
const MODELS = Object.keys(SIZES) as ModelName[];
/** What only the Reformer has. */
const REFORMER_ONLY = ['hashes', 'chunk'];

function positive(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value <= 0)
    throw new InvalidArgumentError('It must be a number above 0.');
  return value;
}

/** What help says of a default that differs by model. */
const by = (size: keyof Sizes): string => {
  const [quick, long] = [SIZES.transformer[size], SIZES.reformer[size]];
  return `(default: ${quick}${quick === long ? '' : `, Reformer ${long}`})`;
};

/**
 * Reads the flags; for `--help` and for mistakes it says so in one line and ends the process.
 *
 * @param args - the words after the program's name
 */
export function parseOptions(args: readonly string[]): Options {
  const program = new Command('npm start --')
    .description('Trains a character-level language model on Moby-Dick, and measures it on chapters it has not seen.')
    .addOption(
      new Option('--model <name>', 'transformer, quick; or reformer, for long sequences')
        .default('transformer')
        .argParser((text) => {
          if (!MODELS.includes(text as ModelName)) throw new InvalidArgumentError(`It must be ${MODELS.join(' or ')}.`);
          return text;
        }),
    )
    .option('--text <file>', 'train on this text instead; its last tenth is held out')
    .option('--steps <n>', `training steps ${by('steps')}`, whole(1))
    .option('--d-model <n>', `width of the model ${by('dModel')}`, whole(1))
    .option('--layers <n>', `decoder blocks ${by('layers')}`, whole(1))
    .option('--heads <n>', `attention heads; they divide the width ${by('heads')}`, whole(1))
    .option('--length <n>', `characters in a training sequence ${by('length')}`, whole(2))
    .option('--hashes <n>', 'Reformer: rounds of hashing; more see more', whole(1), 2)
    .option('--chunk <n>', 'Reformer: characters in a chunk of attention; chunks divide the length', whole(1), 64)
    .option('--batch <n>', `sequences in a step ${by('batch')}`, whole(1))
    .option('--learning-rate <x>', `highest learning rate ${by('learningRate')}`, positive)
    .option('--seed <n>', 'decides weights, batches, dropout and the sample', whole(0), 0)
    .option('--out <folder>', 'where weights, loss curve and results go', 'runs/moby-dick')
    .showSuggestionAfterError(false)
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, '')) })
    .allowExcessArguments(false);
  program.parse(args, { from: 'user' });
  const said = program.opts<Partial<Sizes> & Omit<Options, keyof Sizes>>();
  const options: Options = { ...SIZES[said.model], ...said };
  const fail = (message: string): never => program.error(message, { exitCode: 1 });
  if (options.dModel % options.heads !== 0) {
    fail(`--heads must divide --d-model, but ${options.heads} does not divide ${options.dModel}`);
  }
  if (options.model === 'reformer') {
    checkChunks(options, fail);
  } else {
    const flag = REFORMER_ONLY.find((name) => program.getOptionValueSource(name) === 'cli');
    if (flag !== undefined) fail(`--${flag} is for --model reformer`);
  }
  checkText(options, fail);
  return options;
}

function checkChunks({ dModel, length, chunk }: Options, fail: (message: string) => never): void {
  if (length % chunk !== 0) {
    const nearest = Math.max(1, Math.round(length / chunk)) * chunk;
    fail(`--length must be a multiple of --chunk, but ${length} is none of ${chunk}; try ${nearest}`);
  }
  if (dModel < 4) fail('--d-model must be at least 4, for both sides of the grid of positions');
}

/** A text must hold a sequence in what is trained on and, for a fair measure, in what is held out. */
function checkText({ text, length }: Options, fail: (message: string) => never): void {
  if (text !== undefined) {
    const stat = statSync(text, { throwIfNoEntry: false });
    if (stat === undefined) fail(`--text: there is no file ${text}`);
    if (!stat!.isFile()) fail(`--text: ${text} is not a file`);
    const size = Array.from(readText(text)).length;
    // Nine tenths are trained on, and one is held out.
    const needed = length * 10;
    if (size === 0) fail(`--text: ${text} is empty`);
    if (size < needed) {
      fail(
        `--text: ${text} has ${size} characters; sequences of ${length} need at least ${needed}, or a smaller --length`,
      );
    }
  }
  const { heldOut } = text === undefined ? splitMobyDick() : splitText(readText(text));
  const most = Array.from(heldOut).length;
  if (length > most)
    fail(`--length must be at most ${most}, the characters held out of ${text ?? 'Moby-Dick'}, but it is ${length}`);
}
