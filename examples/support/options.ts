/** Flags that the examples have in common. */
import { Command, InvalidArgumentError } from 'commander';

/** Reads a whole number. @param least - the smallest that is taken */
export function whole(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < least || value > 0x7fff_ffff) {
      throw new InvalidArgumentError(`It must be a whole number of at least ${least}.`);
    }
    return value;
  };
}

/** What a program of a training has for flags at least. */
export interface RunOptions {
  readonly steps: number;
  readonly seed: number;
}

/** A program with the flags `--steps` and `--seed`. */
export function trainingProgram(path: string, description: string, steps: number): Command {
  return new Command(`npx tsx ${path}`)
    .description(description)
    .option('--steps <n>', 'training steps', whole(1), steps)
    .option('--seed <n>', 'decides weights, the order of the data, and samples', whole(0), 1);
}
