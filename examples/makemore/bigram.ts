/**
 * Makes up names from pairs of letters: counted, and learned by a table of logits, which comes to the same.
 *
 * Run it with `npx tsx examples/makemore/bigram.ts`. Source: the first part of Karpathy's makemore.
 */
import * as tl from 'tallow';
import { examples, type Result, show, SIZE, split, train } from './names.js';

/** Each letter has a row of logits for the letter behind it. */
export const makeModel = (): tl.Layer<tl.Tensor, 1> => tl.Serial(tl.Embedding(SIZE, SIZE), tl.Flatten());

/** The loss that counts of pairs have on names that were held out; each pair counts once more than it is there. */
export function counted(): number {
  const { train, heldOut } = split();
  const counts = Array.from({ length: SIZE }, () => Array.from({ length: SIZE }, () => 1));
  for (const [[letter], next] of examples(train, 1)) counts[letter!]![next]! += 1;
  const surprise = examples(heldOut, 1).map(([[letter], next]) => {
    const row = counts[letter!]!;
    return -Math.log(row[next]! / row.reduce((sum, n) => sum + n, 0));
  });
  return surprise.reduce((sum, x) => sum + x, 0) / surprise.length;
}

/** Trains the table. @returns what came of it, and the loss of the counts */
export async function run(
  steps = 2000,
  callbacks: readonly tl.training.Callback[] = [],
): Promise<Result & { readonly counts: number }> {
  const result = await train(makeModel(), 1, { steps, learningRate: 0.1 }, callbacks);
  return { ...result, counts: counted() };
}

if (require.main === module) {
  void run(2000, [new tl.training.Progress()]).then((result) => {
    show(result);
    console.log(`Loss of counted pairs: ${result.counts.toFixed(3)}`);
  });
}
