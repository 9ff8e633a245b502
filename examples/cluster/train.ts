/**
 * A recurrent net learns whether six digits add up to more than 27: the same program on one process and on many.
 *
 * Run it with `npx tsx examples/cluster/train.ts`, and as several ranks by one of the files beside it. All ranks take the same batches, and each
 * computes its parts of them; rank 0 shows how far the run is and writes checkpoints, from which any number of ranks goes on.
 */
import * as tl from 'tallow';

const [BATCH, LENGTH] = [96, 6];

function* batches(key: tl.Key): Generator<tl.Tensor[]> {
  for (let step = 0; ; step += 1) {
    const digits = tl.random.randint(tl.random.foldIn(key, step), [BATCH, LENGTH], 0, 10);
    yield [digits, digits.sum({ axis: 1 }).gt(27).cast('int32')];
  }
}

/** Trains the net. @returns the share of new digits that it is right about, and a sum of all weights */
export async function run(steps: number, outputDir: string | null): Promise<{ accuracy: number; weights: number }> {
  const model = tl.Serial(
    tl.Embedding(10, 16),
    tl.GRU(32),
    tl.Fn('Last', (x: tl.Tensor) => x.index(-1, 1)),
    tl.Dropout({ rate: 0.1 }),
    tl.Dense(2),
  );
  const loss = tl.CategoryCrossEntropy();
  const task = new tl.training.TrainTask(batches(tl.random.key(1)), loss, tl.optimizers.Adam({ learningRate: 5e-3 }), {
    nStepsPerCheckpoint: 100,
  });
  const evalTasks = new tl.training.EvalTask(batches(tl.random.key(2)), tl.CategoryAccuracy(), {
    metricNames: ['accuracy'],
    nEvalBatches: 4,
  });
  const loop = new tl.training.Loop(model, task, {
    randomSeed: 0,
    evalTasks,
    outputDir,
    callbacks: [new tl.training.Progress()],
    // Alone this is the only rank.
    communicator: 'auto',
    // So many parts, however many ranks there are: all give the same bits, to the last one.
    gradientShards: 12,
  });
  await loop.run({ until: steps });
  const { accuracy } = await loop.runEvals();
  const sums = tl.tree.leaves<tl.Tensor>(model.weights).map((weight) => weight.square().sum().item());
  await loop.close();
  return { accuracy: accuracy!, weights: sums.reduce((a, b) => a + b) };
}

async function main(): Promise<void> {
  const { rank, size } = tl.training.rank();
  const { accuracy, weights } = await run(Number(process.argv[2] ?? 300), process.argv[3] ?? null);
  console.log(`rank ${rank} of ${size}: right about ${(100 * accuracy).toFixed(1)} %, weights ${weights}`);
}

if (require.main === module) void main();
