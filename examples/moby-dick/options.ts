/** The flags of the program. */
import { statSync } from 'node:fs';
import { Command, InvalidArgumentError } from 'commander';
import { readText } from './book.js';

/** What the program was asked to do. */
export interface Options {
  /** A text file; Moby-Dick if left out. */
  readonly text?: string;
  readonly steps: number;
  readonly dModel: number;
  readonly layers: number;
  readonly heads: number;
  readonly length: number;
  readonly batch: number;
  readonly learningRate: number;
  readonly seed: number;
  readonly out: string;
}

function whole(least: number): (text: string) => number {
  return text => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < least || value > 0x7fff_ffff) {
      throw new InvalidArgumentError(`It must be a whole number of at least ${least}.`);
    }
    return value;
  };
}

function positive(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value <= 0) throw new InvalidArgumentError('It must be a number above 0.');
  return value;
}

/**
 * Reads the flags; for `--help` and for mistakes it says so in one line and ends the process.
 *
 * @param args - the words after the program's name
 */
export function parseOptions(args: readonly string[]): Options {
  const program = new Command('npm start --')
    .description('Trains a character-level Transformer on Moby-Dick, and measures it on chapters it has not seen.')
    .option('--text <file>', 'train on this text instead; its last tenth is held out')
    .option('--steps <n>', 'training steps', whole(1), 3500)
    .option('--d-model <n>', 'width of the model', whole(1), 128)
    .option('--layers <n>', 'decoder blocks', whole(1), 2)
    .option('--heads <n>', 'attention heads; they divide the width', whole(1), 4)
    .option('--length <n>', 'characters in a training sequence', whole(2), 64)
    .option('--batch <n>', 'sequences in a step', whole(1), 8)
    .option('--learning-rate <x>', 'highest learning rate', positive, 0.005)
    .option('--seed <n>', 'decides weights, batches, dropout and the sample', whole(0), 0)
    .option('--out <folder>', 'where weights, loss curve and results go', 'runs/moby-dick')
    .showSuggestionAfterError(false)
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, '')) })
    .allowExcessArguments(false);
  program.parse(args, { from: 'user' });
  const options = program.opts<Options>();
  const fail = (message: string): never => program.error(message, { exitCode: 1 });
  if (options.dModel % options.heads !== 0) {
    fail(`--heads must divide --d-model, but ${options.heads} does not divide ${options.dModel}`);
  }
  if (options.text !== undefined) {
    const stat = statSync(options.text, { throwIfNoEntry: false });
    if (stat === undefined) fail(`--text: there is no file ${options.text}`);
    if (!stat!.isFile()) fail(`--text: ${options.text} is not a file`);
    const size = Array.from(readText(options.text)).length;
    // Nine tenths are trained on, and they must hold one sequence; so must the tenth that is held out, for a fair measure.
    const needed = options.length * 10;
    if (size === 0) fail(`--text: ${options.text} is empty`);
    if (size < needed) {
      fail(`--text: ${options.text} has ${size} characters; sequences of ${options.length} need at least ${needed}, or a smaller --length`);
    }
  }
  return options;
}
