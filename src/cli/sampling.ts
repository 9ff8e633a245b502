/**
 * The options of `tallow generate`, and what decoding makes of them.
 *
 * @module
 */
import { InvalidArgumentError, Option, type Command } from 'commander';
import { type GenerationDefaults } from '../models/folder/description.js';
import { count } from './command.js';

/** How `tallow generate` writes. */
export interface SamplingWords {
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
  readonly maxTokens?: number;
  readonly stop?: readonly string[];
  readonly seed?: number;
  readonly n: number;
  readonly logprobs?: number;
  readonly beams?: number;
}

/** Reads a number; what it may be, decoding knows. */
function real(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('It must be a number.');
  return value;
}

/** Reads a whole number of at least 0. */
function natural(text: string): number {
  return text === '0' ? 0 : count(text);
}

const several = (text: string, before: readonly string[] = []): readonly string[] => [...before, text];

/** What makes no sense where the likeliest outputs are looked for. */
const DRAWN = ['temperature', 'topK', 'topP', 'minP', 'stop', 'seed', 'logprobs'];

/** Adds the options to a command. */
export function withSampling(command: Command): Command {
  return command
    .option('--temperature <t>', 'below 1 prefers likely tokens; 0 takes the likeliest', real)
    .option('--top-k <k>', 'draw from the k likeliest tokens', count)
    .option('--top-p <p>', 'draw from the likeliest tokens that have this share of probability together', real)
    .option('--min-p <p>', 'leave out tokens below this share of the likeliest one', real)
    .option('--max-tokens <n>', 'the most tokens of an output', count)
    .option('--stop <text>', 'end at this text, which is not written; may be repeated', several)
    .option('--seed <n>', 'the same seed writes the same text; another one each time if left out', natural)
    .option('--n <n>', 'how many outputs', count, 1)
    .option('--logprobs <k>', 'show log-probabilities, and those of the k likeliest tokens', natural)
    .addOption(
      new Option('--beams <n>', 'look for the likeliest output, from so many beginnings at a time')
        .argParser(count)
        .conflicts(DRAWN),
    );
}

/** Options of decoding: what is said, or else what the model says. */
export function sampled(words: SamplingWords, generation: GenerationDefaults): GenerationDefaults {
  const { temperature, topK, topP, minP, maxTokens, stop } = words;
  const given = Object.entries({ temperature, topK, topP, minP, maxTokens, stop });
  return { ...generation, ...Object.fromEntries(given.filter(([, value]) => value !== undefined)) };
}
