/**
 * The simplest model of names: which character follows which. Counted, it is exact; learnt by gradient descent, it comes to the
 * same loss, by the way that every larger model takes.
 *
 * `npx tsx examples/makemore/bigram.ts` takes seconds, and comes to 2.44 nats per character on names it has not seen, both ways.
 */
import * as tl from 'tallow';
import { type RunOptions, trainingProgram } from '../support/options.js';
import { makemore, type Result } from './makemore.js';
import { CHARACTERS, type Example, examplesOf, readNames } from './names.js';

const STEPS = 2000;

/** A row of logits for each character: those of the next one. */
const makeModel = (): tl.Layer<tl.Tensor, 1> =>
  tl.Serial(tl.Embedding(CHARACTERS.vocabSize, CHARACTERS.vocabSize), tl.Flatten());

/** How often each character follows each; once more than it was seen, so that nothing is impossible. */
function countPairs(examples: readonly Example[]): number[][] {
  const counts = Array.from({ length: CHARACTERS.vocabSize }, () => Array<number>(CHARACTERS.vocabSize).fill(1));
  for (const [[before], next] of examples) counts[before!]![next]! += 1;
  return counts;
}

/** The loss of probabilities that are in proportion to counts: the mean of `-log(probability)`. */
function lossOf(counts: readonly (readonly number[])[], examples: readonly Example[]): number {
  const totals = counts.map((row) => row.reduce((sum, count) => sum + count, 0));
  const nats = examples.map(([[before], next]) => -Math.log(counts[before!]![next]! / totals[before!]!));
  return nats.reduce((sum, x) => sum + x, 0) / nats.length;
}

/** What counting the pairs comes to on the test names. */
export async function counted(seed: number): Promise<number> {
  const { train, test } = await readNames(seed);
  return lossOf(countPairs(examplesOf(train, 1)), examplesOf(test, 1));
}

/** Counts, and trains. @param print - takes each line */
export async function run(
  { steps, seed }: RunOptions,
  print: (line: string) => void = console.log,
): Promise<Result & { readonly counts: number }> {
  const setting = { name: 'Bigram', model: makeModel(), length: 1, steps, batch: 256, learningRate: 0.1, seed };
  const result = await makemore(setting, print);
  const counts = await counted(seed);
  print(`Counting pairs comes to ${counts.toFixed(3)} on the test names.`);
  return { ...result, counts };
}

if (require.main === module) {
  const program = trainingProgram('examples/makemore/bigram.ts', 'Pairs of characters that make up names.', STEPS);
  void run(program.parse().opts<RunOptions>());
}
