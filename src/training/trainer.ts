/**
 * Training: one step at a time, or a loop that runs beside the event loop.
 *
 * @module
 */
import { numberOf } from '../bridge/functions.js';
import { hold, unhold } from '../bridge/held.js';
import { idOfLayer, Layer, type LayerInputs, withInputs } from '../layer/layer.js';
import { LayerError } from '../bridge/errors.js';
import { callable, found, text } from '../bridge/found.js';
import { native, type NativeTrainer } from '../bridge/native.js';
import { plainJson } from '../layer/construct.js';
import { type Names, unknownOption } from '../tensor/rest.js';
import { Optimizer } from './optimizers.js';
import { keyWords, type Key } from '../tensor/random.js';
import { Tensor } from '../tensor/tensor.js';
import { decode, encode } from '../layer/wire.js';
import { scheduleOf, type Schedule } from './schedules.js';
import { type CancelSignal, checkSignal } from '../layer/types.js';

/** What a training step measured. */
export interface StepStats {
  /** The loss, before the update. */
  readonly loss: number;
  /** L2 norm of all gradients, before clipping. */
  readonly gradientsL2: number;
  /** L2 norm of all weights, before the update. */
  readonly weightsL2: number;
}

/** What a loop reports on its way. */
export interface TrainingProgress extends StepStats {
  /** Number of the step just done. */
  readonly step: number;
  /** Steps done in this run. */
  readonly done: number;
  /** Learning rate of the step. */
  readonly learningRate: number;
  /** Seconds since the run began. */
  readonly seconds: number;
  /** Elements of the first tensor of all batches so far: tokens, for sequences. */
  readonly items: number;
}

/** How a loop ended. */
export interface TrainingReport {
  /** Steps done. */
  readonly steps: number;
  /** Seconds they took. */
  readonly seconds: number;
  /** Loss of every step. */
  readonly losses: readonly number[];
}

/** Options of {@link Trainer.fit}. */
export interface FitOptions {
  /** Steps to run; the loop also ends when the batches do. */
  readonly steps: number;
  /** The random key of the run; each step uses it folded in with the step's number. */
  readonly rng: Key;
  /** Number of the first step, 0 if left out; e.g. what {@link Trainer.load} returned. */
  readonly firstStep?: number | undefined;
  /** Learning rate of each step: a schedule or any function of the step; left out: the optimizer's. */
  readonly schedule?: Schedule | ((step: number) => number) | undefined;
  /** Stops the loop, also within a step; the promise is rejected with its reason, finished steps stay. */
  readonly signal?: CancelSignal | undefined;
  /**
   * Called on the way, at most every `reportEveryMs` milliseconds. Until it returns, weights are those after the step it is told of, also for
   * {@link Trainer.save}; the loop computes the next step's gradients meanwhile.
   */
  readonly onProgress?: ((progress: TrainingProgress) => void) | undefined;
  /** Least milliseconds between two calls of `onProgress`; 0 if left out. */
  readonly reportEveryMs?: number | undefined;
  /**
   * Folder to write an event file for TensorBoard into, at each report: `metrics/loss`, `training/learning_rate`,
   * `training/gradients_l2`, `training/weights_l2`, `training/steps per second`, and what `SummaryScalar` and `SummaryImage`
   * hold, under the names in their state (`summary_<name>`). The folder is made if it is missing.
   */
  readonly outputDir?: string | null | undefined;
}

/** Options of {@link Trainer}. */
export interface TrainerOptions {
  /**
   * Devices that share each batch, 1 if left out. On the CPU they are replicas that compute side by side (see `Accelerate`);
   * each batch must be a multiple of their number. The loss is the mean over the devices' losses.
   */
  readonly nDevices?: number | null | undefined;
}

const FIT: Names<FitOptions> = {
  steps: true,
  rng: true,
  firstStep: true,
  schedule: true,
  signal: true,
  onProgress: true,
  reportEveryMs: true,
  outputDir: true,
};

/** A batch: the inputs of the model with its loss. */
export type Batch = LayerInputs;

/** Trains a model with its loss, whose weights and state the model's layers hold. */
export class Trainer {
  readonly #native: NativeTrainer;
  /** The model with its loss. */
  readonly modelWithLoss: Layer;
  /** The optimizer. */
  readonly optimizer: Optimizer;

  /**
   * @param modelWithLoss - an initialized layer whose only output is the loss, one number
   * @param optimizer - e.g. `optimizers.Adam()`
   * @param options - See the options type.
   */
  constructor(modelWithLoss: Layer, optimizer: Optimizer, options: TrainerOptions = {}) {
    if (!(modelWithLoss instanceof Layer)) {
      throw new TypeError(`Trainer: modelWithLoss must be a layer, got ${found(modelWithLoss)}`);
    }
    if (!(optimizer instanceof Optimizer)) {
      throw new TypeError(
        `Trainer: optimizer must be an optimizer, as tl.optimizers.Adam() makes one; got ${found(optimizer)}`,
      );
    }
    this.modelWithLoss = modelWithLoss;
    this.optimizer = optimizer;
    const { kind } = optimizer;
    this.#native = native.newTrainer(
      idOfLayer(modelWithLoss),
      kind,
      plainJson(kind, optimizer.options),
      plainJson('Trainer', options),
    );
  }

  /**
   * One step on the calling thread: forward, backward, update.
   *
   * @param batch - inputs of the model with its loss
   * @param rng - random key of this step
   * @param options - `step`: the step's number, 0 if left out; `learningRate`: the optimizer's if left out
   * @returns `[loss, stats]`
   * @throws `LayerError` (`NotFinite`) naming the loss, or the weight or state, if the loss, a gradient or new state is NaN or infinite, or a weight
   *   is NaN; like any error it leaves weights, state and slots as before the step
   */
  oneStep(
    batch: Batch,
    rng: Key,
    options: { readonly step?: number; readonly learningRate?: number | null } = {},
  ): [loss: number, stats: StepStats] {
    const numbers = withInputs(this.modelWithLoss, batch, (ids) =>
      this.#native.oneStep(ids, keyWords(rng), plainJson('Trainer.oneStep', options)),
    );
    const stats = statsOf(numbers);
    return [stats.loss, stats];
  }

  /**
   * The training loop, on the compute thread: the event loop stays free while it runs.
   *
   * @param batches - an (async) iterable of batches, read ahead by two; a batch that is an array of tensors is disposed once used
   * @throws what {@link Trainer.oneStep} throws; finished steps stay
   */
  async fit(batches: AsyncIterable<Batch> | Iterable<Batch>, options: FitOptions): Promise<TrainingReport> {
    const unknown = unknownOption('Trainer.fit', options, FIT);
    if (unknown !== undefined) {
      throw new LayerError('InvalidOption', `[InvalidOption] ${unknown}`, {
        path: [],
        phase: 'build',
        inputs: [],
        createdAt: undefined,
      });
    }
    const { signal, onProgress, rng, schedule, ...rest }: Partial<FitOptions> = options ?? {};
    checkSignal('Trainer.fit: signal', signal);
    if (onProgress !== undefined) callable('Trainer.fit: onProgress', onProgress);
    signal?.throwIfAborted();
    const [json, key] = [plainJson('Trainer.fit', rest), keyWords(rng)];
    const { registered, rate } = scheduleOf(schedule);
    const queue = native.newBatchQueue();
    const cancel = signal === undefined ? null : native.newCancel();
    const onAbort = (): void => native.cancel(cancel!);
    signal?.addEventListener('abort', onAbort, { once: true });
    let failure: { readonly error: unknown } | undefined;
    const fail = (error: unknown): void => {
      failure ??= { error };
      native.closeBatches(queue);
    };
    // The addon calls the function by number, and calls it while this waits.
    const holder = rate === null ? null : hold(rate);
    try {
      const loop = this.#native.fit(
        queue,
        json,
        key,
        registered,
        rate === null ? null : numberOf(rate),
        cancel,
        onProgress === undefined
          ? null
          : (numbers: number[]) => {
              try {
                onProgress(progressOf(numbers));
              } catch (error) {
                fail(error);
              }
            },
      );
      const pump = this.#pump(batches, queue).catch(fail);
      const report = (await loop) as number[];
      await pump;
      if (failure !== undefined) throw failure.error;
      signal?.throwIfAborted();
      const [steps, seconds, ...losses] = report as [number, number, ...number[]];
      return { steps, seconds, losses };
    } catch (error) {
      if (failure !== undefined) throw failure.error;
      signal?.throwIfAborted();
      throw error;
    } finally {
      unhold(holder);
      signal?.removeEventListener('abort', onAbort);
      if (cancel !== null) native.dropCancel(cancel);
    }
  }

  async #pump(
    batches: AsyncIterable<Batch> | Iterable<Batch>,
    queue: ReturnType<typeof native.newBatchQueue>,
  ): Promise<void> {
    if (!isIterable(batches)) {
      throw new TypeError(`Trainer.fit: batches must be an (async) iterable of batches, got ${found(batches)}`);
    }
    for await (const batch of batches) {
      const room = withInputs(this.modelWithLoss, batch, (ids) => native.pushBatch(queue, ids));
      for (const x of Array.isArray(batch) ? batch : [batch]) {
        if (x instanceof Tensor) x.dispose();
      }
      if (!room && !(await native.batchRoom(queue))) break;
    }
    native.closeBatches(queue);
  }

  /** The optimizer's slots of each weight, in the order of the weights; empty before the first step. */
  get slots(): Tensor[][] {
    return decode(this.#native.slots()) as Tensor[][];
  }
  set slots(slots: readonly (readonly Tensor[])[]) {
    this.#native.setSlots(encode(slots, 'slots'));
  }

  /**
   * Writes weights, state, slots and the number of the next step to a safetensors file, on the compute thread; `path` always holds a whole file.
   *
   * While `fit` runs, the loop writes it between two steps: called in `onProgress`, those after the step it is told of. Called later, the loop may
   * be a step ahead, and a `step` that was given counts on by as much.
   *
   * @param step - what {@link Trainer.load} returns; left out: 0, or while `fit` runs the number of its next step
   * @throws `LayerError` (`NotFinite`) naming the tensor, with the old file untouched, if weights, state or slots are NaN; `Io`
   */
  async save(path: string, step?: number): Promise<void> {
    await this.#native.save(text('Trainer.save: path', path), plainJson('Trainer.save', { step }));
  }

  /**
   * Reads what {@link Trainer.save} wrote, by name and shape; all or nothing.
   *
   * @returns the step
   * @throws `LayerError` (`Io` for a file that is missing or damaged; `WeightsMismatch`; `Busy` while `fit` runs)
   */
  async load(path: string): Promise<number> {
    return (await this.#native.load(text('Trainer.load: path', path))) as number;
  }
}

function isIterable(x: object | null | undefined): boolean {
  return typeof x === 'object' && x !== null && (Symbol.asyncIterator in x || Symbol.iterator in x);
}

function statsOf(numbers: readonly number[]): StepStats {
  const [loss, gradientsL2, weightsL2] = numbers as [number, number, number];
  return { loss, gradientsL2, weightsL2 };
}

function progressOf(numbers: readonly number[]): TrainingProgress {
  const [step, done, learningRate, seconds, items, ...stats] = numbers as [number, number, number, number, number];
  return { step, done, learningRate, seconds, items, ...statsOf(stats) };
}
