/**
 * The Reformer paper's test of its attention (https://arxiv.org/abs/2001.04451, section 2 and table 2): sequences `0w0w`,
 * where `w` is random, so that the second half can be told from the first, but only by looking back half the sequence.
 *
 * `npx tsx examples/duplication.ts` trains two layers of LSH attention on length 128 and evaluates them with full attention
 * and with 8, 4, 2 and 1 rounds of hashing, in about two minutes on two cores. `--table` also trains with full attention,
 * 2 rounds and 1, in about six minutes. `--length 256` takes longer sequences. `--long` takes the paper's length of 1024 and its one layer of width 256; its 150,000 steps
 * take many hours, so say how many by `--steps`.
 */
import { Command, InvalidArgumentError, Option } from 'commander';
import * as tl from 'tallow';
import { whole } from './support/options.js';
import { type Attention, evaluate, type Setting, train } from './duplication/task.js';

export const SMALL: Setting = {
  length: 128,
  nLayers: 2,
  dModel: 128,
  nHeads: 4,
  chunkLen: 16,
  batch: 16,
  steps: 1000,
  learningRate: 5e-3,
};
const LONG: Setting = {
  length: 1024,
  nLayers: 1,
  dModel: 256,
  nHeads: 4,
  chunkLen: 64,
  batch: 8,
  steps: 150_000,
  learningRate: 2e-3,
};

const EVALUATED: readonly Attention[] = ['full', 8, 4, 2, 1];
/** Table 2 of the paper: for each attention in training, per cent right with those above. */
const PAPER: Readonly<Record<Attention, readonly number[]>> = {
  full: [100, 94.8, 92.5, 76.9, 52.5],
  4: [0.8, 100, 99.9, 99.4, 91.9],
  2: [0.8, 100, 99.9, 98.1, 86.8],
  1: [0.8, 99.9, 99.6, 94.8, 77.9],
};
const nameOf = (attention: Attention): string => (attention === 'full' ? 'full' : `LSH-${attention}`);

/** What came of it: for each attention in training the share of symbols told right with each in evaluation. */
export type Result = readonly { readonly trained: Attention; readonly accuracies: readonly number[] }[];

const line = (cells: readonly string[]): string =>
  cells.map((cell, i) => (i === 0 ? cell.padEnd(10) : cell.padStart(8))).join('');
const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

/**
 * Trains and evaluates, and prints a table with the paper's figures below the measured ones.
 *
 * @param setting - sizes
 * @param trained - with which attention to train
 * @param seed - decides weights and sequences
 * @param print - takes each line
 */
export async function run(
  setting: Setting,
  trained: readonly Attention[],
  seed: number,
  print: (line: string) => void = console.log,
): Promise<Result> {
  const { length, nLayers, dModel, steps, batch } = setting;
  print(`Sequences of ${length} symbols, ${nLayers} layers of width ${dModel}, ${steps} steps of ${batch} sequences`);
  const rows = [];
  for (const attention of trained) {
    const model = await train(setting, attention, { seed, callbacks: [new tl.training.Progress()] });
    const accuracies = [];
    for (const other of EVALUATED) accuracies.push(await evaluate(setting, model.weights, other));
    rows.push({ trained: attention, accuracies });
  }
  print(`\nSecond halves told right, by attention in training (rows) and in evaluation; below each, in the paper:`);
  print(line(['', ...EVALUATED.map(nameOf)]));
  for (const { trained: attention, accuracies } of rows) {
    print(line([nameOf(attention), ...accuracies.map(percent)]));
    print(line(['  paper', ...(PAPER[attention] ?? []).map((value) => percent(value / 100))]));
  }
  return rows;
}

function sixteenfold(text: string): number {
  const n = whole(1)(text);
  // Chunks are an eighth, and even, as the halves of the sequence are.
  if (n % 16 !== 0) throw new InvalidArgumentError('It must be a multiple of 16.');
  return n;
}

if (require.main === module) {
  const program = new Command('npx tsx examples/duplication.ts')
    .description('Trains LSH attention to say the first half of a sequence again.')
    .option('--table', 'also train with full attention, 2 rounds of hashing, and 1')
    .option('--length <n>', `symbols in a sequence, a multiple of 16 (default: ${SMALL.length})`, sixteenfold)
    .addOption(new Option('--long', 'the length and the layer of the paper; slow').conflicts('length'))
    .option('--steps <n>', `training steps (default: ${SMALL.steps}, long ${LONG.steps})`, whole(1))
    .option('--seed <n>', 'decides weights and sequences', whole(1), 1)
    .parse();
  const { table, long, length, steps, seed } = program.opts<{
    table?: true;
    long?: true;
    length?: number;
    steps?: number;
    seed: number;
  }>();
  const setting = long ? LONG : length === undefined ? SMALL : { ...SMALL, length, chunkLen: length / 8 };
  void run({ ...setting, steps: steps ?? setting.steps }, table ? ['full', 4, 2, 1] : [4], seed);
}
