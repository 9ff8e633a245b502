/** The flags of `npm run bench`. */
import { availableParallelism } from 'node:os';
import { existsSync } from 'node:fs';
import { Command, InvalidArgumentError } from 'commander';

/** Sizes of every case, by suite. */
export type Cases = Readonly<Record<string, Readonly<Record<string, object>>>>;

/** What is to be measured. */
export interface Options {
  readonly suite?: readonly string[];
  readonly case?: readonly string[];
  readonly threads: readonly number[];
  readonly rounds: number;
  readonly minSeconds: number;
  readonly rivals: boolean;
  readonly peak: boolean;
  readonly beside?: string;
  readonly out: string;
}

const whole = (text: string): number => {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new InvalidArgumentError('It must be a whole number of at least 1.');
  return Number(text);
};
const positive = (text: string): number => {
  const value = Number(text);
  if (!(value > 0 && value < 1e6)) throw new InvalidArgumentError('It must be a number above 0.');
  return value;
};

/**
 * Reads the flags; for `--help` and for mistakes it says so in one line and ends the process.
 *
 * @param args - the words after the program's name
 */
export function parseOptions(args: readonly string[], cases: Cases): Options {
  const program = new Command('npm run bench --')
    .description(
      'Measures tallow, and rivals beside it in turns: PyTorch and JAX in an environment made for them, or those that BENCH_ variables name. A figure is meant as a ratio of one run.',
    )
    .option('--suite <names...>', `only these suites: ${[...Object.keys(cases), 'startup'].join(', ')}`)
    .option('--case <names...>', 'only these cases')
    .option('--threads <n...>', 'numbers of threads', (text, all: number[] | undefined) => [
      ...(all ?? []),
      whole(text),
    ])
    .option('--rounds <n>', 'turns each implementation takes', whole, 4)
    .option('--min-seconds <x>', 'least length of a turn', positive, 0.3)
    .option('--no-rivals', 'tallow alone')
    .option('--no-peak', 'without the peak of the processor, which a Rust program measures')
    .option('--beside <file>', 'the index.js of another build of tallow, as one more rival')
    .option('--out <folder>', 'where the results and the chart go', 'runs/bench')
    .showSuggestionAfterError(false)
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, '')) })
    .allowExcessArguments(false);
  program.parse(args, { from: 'user' });
  const options = program.opts<Options>();
  const fail = (message: string): never => program.error(message, { exitCode: 1 });
  const suite = options.suite?.find((name) => name !== 'startup' && !Object.hasOwn(cases, name));
  if (suite !== undefined)
    fail(`--suite: there is no suite ${suite}; there are ${[...Object.keys(cases), 'startup'].join(', ')}`);
  const names = Object.values(cases).flatMap(Object.keys);
  const name = options.case?.find((name) => !names.includes(name));
  if (name !== undefined) fail(`--case: there is no case ${name}; there are ${names.join(', ')}`);
  if (options.beside !== undefined && !existsSync(options.beside)) fail(`--beside: there is no file ${options.beside}`);
  return { ...options, threads: options.threads ?? [...new Set([1, Math.min(2, availableParallelism())])] };
}
