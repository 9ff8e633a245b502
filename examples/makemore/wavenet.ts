/**
 * Makes up names with a small WaveNet, which puts eight letters together by twos, in three layers.
 *
 * Run it with `npx tsx examples/makemore/wavenet.ts`. Source: van den Oord et al. 2016, arXiv:1609.03499, and the fifth part of Karpathy's makemore.
 */
import * as tl from 'tallow';
import { type Result, show, SIZE, train } from './names.js';

/** Letters that the model sees. */
export const BLOCK = 8;

/** Two vectors that lie beside each other become one. */
const pairs = (): tl.Layer<tl.Tensor, 1> =>
  tl.Fn('Pairs', (x: tl.Tensor) => x.reshape([x.shape[0]!, x.shape[1]! / 2, 2 * x.shape[2]!]));

/** Half as many vectors, each of two. */
const layer = (width: number): tl.Layer<tl.Tensor, 1> =>
  tl.Serial(pairs(), tl.Dense(width, { useBias: false }), tl.BatchNorm({ axis: [0, 1], momentum: 0.99 }), tl.Tanh());

/** Vectors of the letters, three layers of pairs, and logits of the next letter. */
export const makeModel = (width = 96): tl.Layer<tl.Tensor, 1> =>
  tl.Serial(tl.Embedding(SIZE, 24), layer(width), layer(width), layer(width), tl.Flatten(), tl.Dense(SIZE));

/** Trains the model, and lets it write. */
export const run = (steps = 6000, callbacks: readonly tl.training.Callback[] = []): Promise<Result> =>
  train(makeModel(), BLOCK, { steps, learningRate: 5e-3 }, callbacks);

if (require.main === module) void run(6000, [new tl.training.Progress()]).then(show);
