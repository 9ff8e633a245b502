/** The duplication task: its sequences, a model for it, training and evaluation. */
import * as tl from 'tallow';

/** Rounds of hashing; or every position looks at all others. */
export type Attention = number | 'full';

/** What is trained. */
export interface Setting {
  /** Symbols in a sequence: `0w0w`. */
  readonly length: number;
  readonly nLayers: number;
  readonly dModel: number;
  readonly nHeads: number;
  readonly chunkLen: number;
  readonly batch: number;
  readonly steps: number;
  readonly learningRate: number;
}

/** Symbols are 0 for a start, and 1 to 127. */
export const N_SYMBOLS = 128;

/** Batches without end, decided by the key: inputs, targets, and weights that are 0 where nothing can be told. */
export function* batches({ length, batch }: Setting, key: tl.Key): Generator<tl.Tensor[]> {
  const half = length / 2;
  const weights = Float32Array.from({ length: batch * length }, (_, i) => (i % length >= half ? 1 : 0));
  for (let step = 0; ; step++) {
    yield tl.tidy(() => {
      const w = tl.random.randint(tl.random.foldIn(key, step), [batch, half - 1], 1, N_SYMBOLS, { dtype: 'int32' });
      const zero = tl.zeros([batch, 1], { dtype: 'int32' });
      const sequences = tl.concat([zero, w, zero, w], 1);
      return [sequences, sequences.add(0), tl.tensor(weights, [batch, length])];
    });
  }
}

/** A language model: the logits of each symbol given those before it. Keys are the queries, for full attention too. */
export function makeModel(setting: Setting, attention: Attention): tl.Layer<tl.Tensor, 1> {
  const { length, nLayers, dModel, nHeads, chunkLen } = setting;
  const heads = { nHeads, dQk: dModel / nHeads, dV: dModel / nHeads, causal: true };
  const attend = (): tl.Layer<tl.Tensor, 1> =>
    attention === 'full'
      ? tl.SelfAttention({ ...heads, shareQk: true })
      : tl.LSHSelfAttention({ ...heads, chunkLen, nHashes: attention });
  // Symbols and positions weigh the same at first: with smaller vectors for symbols, learning what to copy takes much longer.
  const kernelInitializer = tl.RandomNormalInitializer({ stddev: 1 });
  return tl.Serial(
    tl.ShiftRight(),
    tl.Embedding(N_SYMBOLS, dModel, { kernelInitializer }),
    tl.AxialPositionalEncoding({ shape: [length], dEmbs: [dModel], kernelInitializer }),
    Array.from({ length: nLayers }, () => [
      tl.Residual(tl.LayerNorm(), attend()),
      tl.Residual(tl.LayerNorm(), tl.Dense(dModel), tl.Relu(), tl.Dense(dModel)),
    ]),
    tl.LayerNorm(),
    tl.Dense(N_SYMBOLS),
  );
}

/** Trains a model. @returns it, trained */
export async function train(
  setting: Setting,
  attention: Attention,
  options: { readonly seed: number; readonly callbacks?: readonly tl.training.Callback[] },
): Promise<tl.Layer<tl.Tensor, 1>> {
  const { seed, callbacks = [] } = options;
  const { steps, learningRate } = setting;
  const model = makeModel(setting, attention);
  const loss = tl.WeightedCategoryCrossEntropy();
  const task = new tl.training.TrainTask(batches(setting, tl.random.key(seed)), loss, tl.optimizers.Adam(), {
    lrSchedule: tl.lrSchedules.oneCycle(learningRate, steps, { pctStart: 0.1 }),
    nStepsPerCheckpoint: null,
  });
  await new tl.training.Loop(model, task, { callbacks, randomSeed: seed }).run(steps);
  return model;
}

/** The share of symbols told right in the second halves of new sequences, with any attention and the weights of a trained model. */
export async function evaluate(
  setting: Setting,
  weights: tl.Layer['weights'],
  attention: Attention,
  nBatches = 16,
): Promise<number> {
  const model = makeModel(setting, attention);
  model.init({ shape: [setting.batch, setting.length], dtype: 'int32' });
  model.weights = weights;
  const accuracy = tl.Serial(model, tl.WeightedCategoryAccuracy()).withMode('eval');
  const shares = tl.data
    .fromIterable(batches(setting, tl.random.key(1_000_000)))
    .take(nBatches)
    .map(async (batch) => (await accuracy.callAsync(batch)).item());
  return (await shares.toArray()).reduce((sum, share) => sum + share, 0) / nBatches;
}
