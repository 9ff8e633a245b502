import { LayerError } from '../../bridge/errors.js';
import { firstNotFinite } from '../../seeing/notFinite.js';
import { foldIn, type Key, keyWords } from '../../tensor/random.js';
import { disposeBatch } from '../loop/batches.js';
import { type Callback, type FailureEvent } from '../loop/callback.js';
import { type Loop } from '../loop/loop.js';
import { refusal } from '../refusal.js';

/**
 * Names the first layer that made NaN or an infinity, where a step fails for one.
 *
 * It calls the model with its loss once more, with the batches and the random key of the step, and the run is rejected with an error that tells where
 * the number came from; its `cause` is the error of the step. Where all numbers of that call are finite, as where only a gradient is not, the error of the
 * step stays: it names the weight.
 *
 * @see {@link firstNotFinite}
 * @example
 * ```ts
 * const batch = [tl.zeros([8, 3]), tl.ones([8, 3]), tl.ones([8, 3])];
 * const task = new tl.training.TrainTask([batch], tl.L2Loss(), tl.optimizers.SGD());
 * const callbacks = [new tl.training.NanGuard()];
 * const loop = new tl.training.Loop(tl.Serial(tl.Dense(3), tl.Log()), task, { randomSeed: 0, callbacks });
 * const error = await loop.run(1).catch((e: unknown) => e);
 * error instanceof tl.LayerError && error.message.includes('1.Log'); // → true
 * ```
 */
export class NanGuard implements Callback {
  async onError(loop: Loop, { error, step, task }: FailureEvent): Promise<void> {
    if (task === null || !(error instanceof LayerError) || error.code !== 'NotFinite') return;
    const { modelWithLoss } = (await loop.prepare())[task]!;
    const rng = loop.rngOfStep(step + 1);
    const batches = await loop.peekBatches(loop.batchesPerStep, task);
    try {
      for (const [i, batch] of batches.entries()) {
        const found = firstNotFinite(modelWithLoss, batch, { rng: batches.length > 1 ? keyOfBatch(rng, i) : rng });
        if (found === null) continue;
        const where = found.path === '' ? modelWithLoss.name : found.path;
        const what = `${found.what} of layer ${where}, of shape [${found.shape}], is the first with NaN or an infinity`;
        const way = 'look at what that layer is given, lower the learning rate, or clip gradients';
        throw refusal('NotFinite', `NanGuard: in step ${step + 1} ${what}; ${way}`, error);
      }
    } finally {
      batches.forEach(disposeBatch);
    }
  }
}

/** The key that a batch draws with, where a step has several. */
function keyOfBatch(rng: Key, index: number): Key {
  const made = foldIn(rng, index);
  try {
    return keyWords(made);
  } finally {
    made.dispose();
  }
}
