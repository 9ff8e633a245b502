/**
 * The commands there are: a file each, and a line here.
 *
 * @module
 */
import { type Command } from 'commander';

/** Makes each command, in the order of the help. They are loaded when they are asked for: a start takes as long as what it loads. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  train: async () => (await import('./train.js')).train(),
  eval: async () => (await import('./evaluate.js')).evaluate(),
  generate: async () => (await import('./generate.js')).generate(),
  serve: async () => (await import('./serve.js')).serve(),
  inspect: async () => (await import('./inspect.js')).inspect(),
  convert: async () => (await import('./convert.js')).convert(),
  bench: async () => (await import('./bench.js')).bench(),
  info: async () => (await import('./info.js')).info(),
};

/** The command that these words begin with, or all of them where help or a mistake is to name them. */
export async function commandsFor(words: readonly string[]): Promise<Command[]> {
  const first = words.find((word) => word !== '--stack') ?? '';
  const one = Object.hasOwn(COMMANDS, first) ? COMMANDS[first] : undefined;
  return one === undefined ? Promise.all(Object.values(COMMANDS).map((make) => make())) : [await one()];
}
