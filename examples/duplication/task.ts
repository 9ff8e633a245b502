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

const signature = ({ batch, length }: Setting): tl.Signature[] =>
  (['int32', 'int32', 'float32'] as const).map((dtype) => ({ shape: [batch, length], dtype }));

/** Trains a model. @returns it, and the loss of each step */
export async function train(
  setting: Setting,
  attention: Attention,
  options: { readonly seed: number; readonly onProgress?: (progress: tl.TrainingProgress) => void },
): Promise<{ model: tl.Layer; losses: readonly number[] }> {
  const { steps, learningRate: constant } = setting;
  const [initKey, batchKey, stepKey] = tl.random.split(tl.random.key(options.seed), 3).array() as [number, number][];
  const model = makeModel(setting, attention);
  const withLoss = tl.Serial(model, tl.WeightedCategoryCrossEntropy());
  withLoss.init(signature(setting), { rng: initKey! });
  const warmupSteps = Math.min(100, Math.ceil(steps / 2));
  const factors = 'constant * linear_warmup * cosine_decay';
  const schedule = tl.lrSchedules.multifactor({
    factors,
    constant,
    warmupSteps,
    stepsPerCycle: steps - warmupSteps + 1,
  });
  const trainer = new tl.Trainer(withLoss, tl.optimizers.Adam());
  const { losses } = await trainer.fit(batches(setting, batchKey!), {
    steps,
    rng: stepKey!,
    schedule,
    onProgress: options.onProgress,
  });
  return { model, losses };
}

/** The share of symbols told right in the second halves of new sequences, with any attention and the weights of a trained model. */
export async function evaluate(
  setting: Setting,
  weights: tl.Layer['weights'],
  attention: Attention,
  nBatches = 16,
): Promise<number> {
  const model = makeModel(setting, attention);
  const accuracy = tl.Serial(model, tl.WeightedCategoryAccuracy()).withMode('eval');
  accuracy.init(signature(setting));
  model.weights = weights;
  let sum = 0;
  let n = 0;
  for (const batch of batches(setting, tl.random.key(1_000_000))) {
    const share = await accuracy.callAsync(batch);
    sum += share.item();
    for (const t of [...batch, share]) t.dispose();
    if (++n === nBatches) break;
  }
  return sum / n;
}
