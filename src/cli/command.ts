/**
 * How a command is declared.
 *
 * @module
 */
import { Command, InvalidArgumentError } from 'commander';

/** What help shows below the options: commands with what they do. */
export type Examples = readonly (readonly [command: string, does: string])[];

/** A command with its description, its examples and `--json`. */
export function command(name: string, description: string, examples: Examples): Command {
  const width = Math.max(...examples.map(([text]) => text.length));
  const shown = examples.map(([text, does]) => `  ${text.padEnd(width)}  ${does}`.trimEnd());
  return new Command(name)
    .description(description)
    .option('--json', 'write JSON instead of text')
    .addHelpText('after', `\nExamples:\n${shown.join('\n')}`);
}

/** Reads a whole number above 0. */
export function count(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < 1)
    throw new InvalidArgumentError('It must be a whole number of at least 1.');
  return value;
}
