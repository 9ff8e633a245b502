/** What the models of this series have in common: they learn from names, are measured on others, and make up new ones. */
import * as tl from 'tallow';
import { type Example, examplesOf, makeNames, readNames } from './names.js';

/** A model to learn names. */
export interface Setting {
  /** What it is called. */
  readonly name: string;
  /** From `[batch, length]` characters to the logits of the next one. */
  readonly model: tl.Layer<tl.Tensor, 1>;
  /** Characters that it sees. */
  readonly length: number;
  readonly steps: number;
  readonly batch: number;
  /** The highest one; it rises and falls in one cycle. */
  readonly learningRate: number;
  readonly seed: number;
}

/** What came of it: losses in nats per character, and names. */
export interface Result {
  readonly history: tl.training.History;
  readonly train: number;
  readonly validation: number;
  readonly test: number;
  readonly names: readonly string[];
}

/** All examples as one batch. */
async function whole(examples: readonly Example[]): Promise<tl.Tensor[]> {
  const [batch] = await tl.data.fromArray(examples).batch(examples.length).toArray();
  return batch!;
}

/**
 * Trains a model on names, measures it, and lets it make names up.
 *
 * @param print - takes each line
 */
export async function makemore(setting: Setting, print: (line: string) => void = console.log): Promise<Result> {
  const { name, model, length, steps, batch, learningRate, seed } = setting;
  const names = await readNames(seed);
  const [train, validation, test] = [names.train, names.validation, names.test].map((some) => examplesOf(some, length));

  const batches = tl.data
    .fromArray(train!)
    .shuffle({ rng: tl.random.key(seed), bufferSize: train!.length })
    .repeat()
    .batch(batch)
    .prefetch(4);
  const task = new tl.training.TrainTask(batches, tl.CategoryCrossEntropy(), tl.optimizers.AdamW(), {
    lrSchedule: tl.lrSchedules.oneCycle(learningRate, steps),
    nStepsPerCheckpoint: Math.ceil(steps / 10),
  });
  const evalTasks = new tl.training.EvalTask([await whole(validation!)], tl.CategoryCrossEntropy(), {
    metricNames: ['validation'],
  });
  const callbacks = [new tl.training.Progress()];
  const loop = new tl.training.Loop(model, task, { evalTasks, callbacks, randomSeed: seed });
  await loop.prepare();
  const weights = tl.tree.leaves(model.weights).reduce((sum, w) => sum + w.size, 0);
  print(
    `${name}: ${weights} weights, ${steps} steps of ${batch} from ${train!.length} characters of ${names.train.length} names`,
  );
  await loop.run(steps);
  await loop.close();
  const validations = loop.history.get('eval', 'metrics/validation').map(({ value }) => value.toFixed(2));
  print(`Validation loss on the way: ${validations.join(' ')}`);

  const measure = tl.Serial(model, tl.CategoryCrossEntropy()).withMode('eval');
  const lossOf = async (examples: readonly Example[]): Promise<number> =>
    (await measure.callAsync(await whole(examples))).item();
  const losses = { train: await lossOf(train!), validation: await lossOf(validation!), test: await lossOf(test!) };
  print(`Loss in nats per character, where even chances would be ${Math.log(27).toFixed(3)}:`);
  for (const [part, loss] of Object.entries(losses)) print(`  ${part.padEnd(12)} ${loss.toFixed(3)}`);
  const made = makeNames(model, length, 10, seed);
  print(`Names that it makes up: ${made.join(', ')}`);
  return { ...losses, history: loop.history, names: made };
}
