/**
 * Makes up names with a multilayer perceptron, which sees three letters as vectors that it learns.
 *
 * Run it with `npx tsx examples/makemore/mlp.ts`. Source: Bengio et al. 2003, and the second and third part of Karpathy's makemore.
 */
import * as tl from 'tallow';
import { type Result, show, SIZE, train } from './names.js';

/** Letters that the model sees. */
export const BLOCK = 3;

/** Vectors of the letters side by side, a hidden layer, and logits of the next letter. */
export const makeModel = (): tl.Layer<tl.Tensor, 1> =>
  tl.Serial(
    tl.Embedding(SIZE, 10),
    tl.Flatten(),
    tl.Dense(200, { useBias: false }),
    tl.BatchNorm({ axis: [0], momentum: 0.99 }),
    tl.Tanh(),
    tl.Dense(SIZE),
  );

/** Trains the model, and lets it write. */
export const run = (steps = 4000, callbacks: readonly tl.training.Callback[] = []): Promise<Result> =>
  train(makeModel(), BLOCK, { steps, learningRate: 5e-3 }, callbacks);

if (require.main === module) void run(4000, [new tl.training.Progress()]).then(show);
