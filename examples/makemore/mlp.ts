/**
 * A multilayer perceptron that sees the three characters before: Bengio et al. 2003, "A Neural Probabilistic Language Model",
 * https://www.jmlr.org/papers/v3/bengio03a.html, with batch normalization.
 *
 * `npx tsx examples/makemore/mlp.ts` takes half a minute on two cores, and comes to 2.08 nats per character on names it has not seen, where
 * pairs of characters come to 2.44.
 */
import * as tl from 'tallow';
import { type RunOptions, trainingProgram } from '../support/options.js';
import { makemore, type Result } from './makemore.js';
import { CHARACTERS } from './names.js';

const LENGTH = 3;
const STEPS = 10_000;

/** Characters become vectors; these, side by side, are what the hidden layer sees. */
const makeModel = (): tl.Layer<tl.Tensor, 1> =>
  tl.Serial(
    tl.Embedding(CHARACTERS.vocabSize, 10),
    tl.Flatten(),
    tl.Dense(200, { useBias: false }),
    tl.BatchNorm({ axis: [0], momentum: 0.99 }),
    tl.Tanh(),
    tl.Dense(CHARACTERS.vocabSize),
  );

/** Trains it. @param print - takes each line */
export const run = ({ steps, seed }: RunOptions, print?: (line: string) => void): Promise<Result> =>
  makemore({ name: 'MLP', model: makeModel(), length: LENGTH, steps, batch: 64, learningRate: 5e-3, seed }, print);

if (require.main === module) {
  const program = trainingProgram('examples/makemore/mlp.ts', 'A multilayer perceptron that makes up names.', STEPS);
  void run(program.parse().opts<RunOptions>());
}
