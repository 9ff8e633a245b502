/**
 * Uses the package as it is installed beside this file, and writes in JSON what came out: Trax's own numbers, a training, files, workers.
 * Arguments: a checkpoint of Trax, and the tokens and answers that Trax recorded of it.
 */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import * as tl from 'tallow';

const WORKERS = 8;

/** The largest difference between what Trax answered and what its model answers here. */
function golden(checkpoint, recorded) {
  const model = tl.models.TransformerLM(13, { dModel: 64, dFf: 128, nHeads: 2, nLayers: 2, maxLen: 256, mode: 'eval' });
  model.initFromFile(checkpoint);
  const { inputs, log_probs: wanted } = tl.loadSafetensors(recorded);
  return model(inputs.cast('int32')).sub(wanted).abs().max().item();
}

/** Points, and whether each lies in a circle. */
const batch = (step) => {
  const points = tl.random.uniform(tl.random.key(step), [64, 2], { minval: -1 });
  return [points, points.square().sum({ axis: 1 }).lt(0.5).cast('int32')];
};

function* batches() {
  for (let step = 0; ; step += 1) yield batch(step);
}

/** Which points lie in a circle: the model before and after training, by its loss. */
async function train() {
  const model = tl.Serial(tl.Dense(16), tl.Relu(), tl.Dense(2));
  const modelWithLoss = tl.Serial(model, tl.CategoryCrossEntropy());
  modelWithLoss.init(
    [
      { shape: [64, 2], dtype: 'float32' },
      { shape: [64], dtype: 'int32' },
    ],
    { rng: tl.random.key(0) },
  );
  const loss = () => modelWithLoss(batch(1000)).item();
  const before = loss();
  const trainer = new tl.Trainer(modelWithLoss, tl.optimizers.Adam({ learningRate: 0.02 }));
  await trainer.fit(batches(), { steps: 200, rng: tl.random.key(1) });
  return { model, before, after: loss() };
}

/** Whether a model that was saved and loaded gives the same bits. */
function files(model) {
  const folder = mkdtempSync(join(tmpdir(), 'tallow-installed-'));
  try {
    model.saveToFile(join(folder, 'model.safetensors'), { inputSignature: { shape: [5, 2], dtype: 'float32' } });
    const loaded = tl.Serial(tl.Dense(16), tl.Relu(), tl.Dense(2));
    loaded.initFromFile(join(folder, 'model.safetensors'));
    const x = tl.random.normal(tl.random.key(3), [5, 2]);
    return JSON.stringify(loaded(x).array()) === JSON.stringify(model(x).array());
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** What one worker computes. */
const one = async () => {
  const worker = new Worker(fileURLToPath(import.meta.url));
  const [sum] = await once(worker, 'message');
  await worker.terminate();
  return sum;
};

/** What workers compute, all at once. */
async function workers() {
  return Promise.all(Array.from({ length: WORKERS }, one));
}

if (isMainThread) {
  const [checkpoint, recorded] = process.argv.slice(2);
  const { model, before, after } = await train();
  console.log(
    JSON.stringify({
      node: process.version,
      tallow: tl.version,
      golden: golden(checkpoint, recorded),
      loss: [before, after],
      sameAfterLoading: files(model),
      workers: (await workers()).filter((sum) => sum === 6).length,
    }),
  );
} else {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  parentPort.postMessage(tl.ones([2, 3]).sum().item());
}
