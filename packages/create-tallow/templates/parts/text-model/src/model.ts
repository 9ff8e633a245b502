/** The model: a small Transformer that writes character by character. Its size, and how it learns, are settled here. */
import * as tl from 'tallow';

/** How many characters the model sees at once. */
const LENGTH = 64;
/** How many pieces of text it learns from in one step. */
const BATCH = 8;
/** How many steps it learns. */
export const STEPS = 2000;
/** Steps between two checkpoints. */
export const CHECKPOINT_EVERY = 25;

/** How the model is made: a function of `tl.models` and its arguments, as a folder of a saved model has it. */
const configOf = (vocabSize: number): tl.models.LayerConfig => [
  'TransformerLM',
  vocabSize,
  { dModel: 128, dFf: 512, nLayers: 2, nHeads: 4, maxLen: 256, dropout: 0.05 },
];

/** The model, without weights yet. */
export const makeModel = (vocabSize: number): tl.Layer => tl.models.fromConfig(configOf(vocabSize));

/** Batches of text, in a random order that is the same in every run. A target is the text itself: the model shifts its input. */
const batches = (ids: Int32Array, seed: number): tl.data.Dataset<tl.Tensor[]> =>
  tl.data
    .fromArray(ids)
    .window(LENGTH, LENGTH / 2)
    .repeat()
    .shuffle({ rng: tl.random.key(seed), bufferSize: 1024 })
    .batch(BATCH)
    .map((text) => [text, text]);

/** How the model writes: it sees what it has learnt with, and does not write number 0, which is no character. */
export const generation = { window: LENGTH, logitBias: { 0: -100 } };

/** What the model learns. */
export const trainTask = (ids: Int32Array): tl.training.TrainTask =>
  new tl.training.TrainTask(batches(ids, 1), tl.CategoryCrossEntropy(), tl.optimizers.Adam(), {
    lrSchedule: tl.lrSchedules.warmupAndRsqrtDecay(100, 0.004),
    nStepsPerCheckpoint: CHECKPOINT_EVERY,
    lossName: 'loss',
  });

/** What it is measured on. */
export const evalTask = (ids: Int32Array): tl.training.EvalTask =>
  new tl.training.EvalTask(batches(ids, 2), [tl.CategoryCrossEntropy(), tl.CategoryAccuracy()], {
    metricNames: ['loss', 'accuracy'],
    nEvalBatches: 8,
  });

/** Saves a model with all that other programs need to use it: weights, how it is made, its characters, how it writes. */
export const saveModel = (folder: string, model: tl.Layer, encoder: tl.data.Encoder): Promise<void> =>
  tl.models.saveFolder(folder, {
    model,
    config: configOf(encoder.vocabSize),
    inputSignature: { shape: [1, LENGTH], dtype: 'int32' },
    task: 'generate',
    encoder,
    generation,
  });
