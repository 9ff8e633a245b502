/**
 * A WaveNet that sees the eight characters before: van den Oord et al. 2016, https://arxiv.org/abs/1609.03499. Each layer joins two
 * neighbours into one, so that three layers see eight characters. They are the paper's dilated causal convolutions, computed
 * only where the last position needs them.
 *
 * `npx tsx examples/makemore/wavenet.ts` takes half a minute on two cores, and comes to 2.03 nats per character on names it has not seen, where the
 * perceptron comes to 2.08.
 */
import * as tl from 'tallow';
import { type RunOptions, trainingProgram } from '../support/options.js';
import { makemore, type Result } from './makemore.js';
import { CHARACTERS } from './names.js';

const LENGTH = 8;
const WIDTH = 64;
const STEPS = 8000;

/** Two neighbours become one: `[batch, length, …]` → `[batch, length / 2, WIDTH]`. */
const joinPairs = (): tl.Layer<tl.Tensor, 1>[] => [
  tl.Conv1d(WIDTH, 2, { stride: 2, useBias: false }),
  tl.BatchNorm({ axis: [0, 1], momentum: 0.99 }),
  tl.Tanh(),
];

const makeModel = (): tl.Layer<tl.Tensor, 1> =>
  tl.Serial(
    tl.Embedding(CHARACTERS.vocabSize, 24),
    // From 8 to 4, 2 and 1.
    joinPairs(),
    joinPairs(),
    joinPairs(),
    tl.Flatten(),
    tl.Dense(CHARACTERS.vocabSize),
  );

/** Trains it. @param print - takes each line */
export const run = ({ steps, seed }: RunOptions, print?: (line: string) => void): Promise<Result> =>
  makemore({ name: 'WaveNet', model: makeModel(), length: LENGTH, steps, batch: 64, learningRate: 3e-3, seed }, print);

if (require.main === module) {
  const program = trainingProgram('examples/makemore/wavenet.ts', 'A WaveNet that makes up names.', STEPS);
  void run(program.parse().opts<RunOptions>());
}
