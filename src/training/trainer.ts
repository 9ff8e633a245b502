/**
 * Training: one step at a time, or a loop that runs beside the event loop.
 *
 * @module
 */
import { hold, unhold } from '../bridge/held.js';
import { withInputs } from '../layer/calls.js';
import { withCancel } from '../layer/cancel.js';
import { numberOfLayer } from '../layer/given.js';
import { type Layer, type LayerInputs } from '../layer/layer.js';
import { refusal } from '../bridge/errors.js';
import { callable, found, isIterable, text } from '../bridge/found.js';
import { numberOf } from '../bridge/functions.js';
import { native, type NativeTrainer } from '../bridge/native.js';
import { withPlain } from '../layer/construct.js';
import { type Names, unknownOption } from '../tensor/rest.js';
import { areLent } from './lent.js';
import { jsonOf } from './notes.js';
import { Optimizer } from './optimizers.js';
import { keyWords, type Key } from '../tensor/random.js';
import { Tensor, wrap } from '../tensor/tensor.js';
import { decode, encode } from '../layer/wire.js';
import { type LocalRank, rank } from './ranks.js';
import { scheduleOf, type Schedule } from './schedules.js';
import { type CancelSignal } from '../layer/types.js';

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
  /**
   * Number of the first step, such as what {@link Trainer.load} returned; 0 if left out.
   */
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

/** Weights that a {@link Trainer} trains in a way of their own, or not at all. */
export interface WeightGroup {
  /**
   * Patterns of the names of its weights, which `weightNames` of the model lists. `*` stands for anything within a part of a name, `**` for any
   * number of parts, `?` for a character, `{a,b}` for either.
   */
  readonly weights: string | readonly string[];
  /** Freezes them: no gradients are computed for them, the optimizer keeps no slots, and they do not change by one bit. */
  readonly frozen?: true | undefined;
  /**
   * An optimizer of their own, with its own learning rate, weight decay and clipping. Schedules and `learningRate` are of the
   * trainer's optimizer; this one's rate changes in proportion.
   */
  readonly optimizer?: Optimizer | undefined;
}

/** Options of {@link Trainer}. */
export interface TrainerOptions {
  /**
   * Devices that share each batch, 1 if left out. On the CPU they are replicas that compute side by side (see `Accelerate`);
   * each batch must be a multiple of their number. The loss is the mean over the devices' losses.
   */
  readonly nDevices?: number | null | undefined;
  /** Weights that are trained in a way of their own, or frozen. The first group whose patterns match a weight's name has it. */
  readonly groups?: readonly WeightGroup[] | null | undefined;
  /**
   * Batches of a step, 1 if left out: the step is made with the mean of their gradients, and state goes on from batch to batch. Batch `i` draws
   * with the key of the step folded in with `i`. Where the batches end within a step, it is made with the mean of those that there are; where an error ends
   * them, it is not made.
   */
  readonly accumulate?: number | null | undefined;
  /**
   * Keeps an exponential moving average of each weight: `average = averageDecay · average + (1 - averageDecay) · weight` after
   * each step. {@link Trainer.withAverages} uses them. Left out or `null`: none are kept.
   */
  readonly averageDecay?: number | null | undefined;
  /**
   * What layers with matrices of weights compute in: `'float32'`, also if left out, or `'bfloat16'`. Weights, slots, state, norms, probabilities
   * and losses are float32 in any case; so are recurrent layers and positions. On the CPU it saves memory,
   * not time.
   */
  readonly policy?: 'float32' | 'bfloat16' | null | undefined;
  /**
   * What the loss is multiplied by before gradients are computed, which are divided by it: 1 if left out. `'dynamic'` begins with 32768, halves
   * where gradients overflow, in a step that is left out, and doubles after 2000 steps that went well.
   */
  readonly lossScale?: number | 'dynamic' | null | undefined;
  /**
   * Parts that each batch is cut into, whatever the ranks; left out, one for each rank. Each part is computed alone and draws from the key of its number, and
   * gradients are added up in a fixed order: losses and weights have the same bits on any number of ranks. The loss is the mean over the parts' losses.
   */
  readonly gradientShards?: number | null | undefined;
  /**
   * What gradients are sent as between ranks: `'float32'`, also if left out, or `'bfloat16'`, rounded and in half as many bytes. Then results differ between
   * numbers of ranks as such rounding does.
   */
  readonly gradientTransport?: 'float32' | 'bfloat16' | null | undefined;
  /**
   * The ranks that share each batch; left out, this process alone. `'auto'`: the processes that `mpirun`, `srun` or the like started with this one,
   * see {@link training.rank}; one of {@link training.localRanks}: threads of this process. All ranks make the same trainer of the same
   * weights and take the same batches; each computes its own parts. Where one is stopped, the loops of the others end behind the same step.
   */
  readonly communicator?: 'auto' | LocalRank | null | undefined;
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

/**
 * Trains a model together with its loss, whose weights and state its layers hold.
 *
 * @see {@link optimizers.Adam}, {@link lrSchedules.warmupAndRsqrtDecay}
 * @example
 * ```ts
 * // Inputs, targets, weights of the items.
 * const batch = () => [tl.ones([8, 3]), tl.ones([8, 1]), tl.ones([8, 1])];
 * function* batches() {
 *   for (;;) yield batch();
 * }
 * const model = tl.Serial(tl.Dense(1), tl.L2Loss());
 * model.init(tl.signature(batch()));
 * const trainer = new tl.Trainer(model, tl.optimizers.Adam({ learningRate: 0.01 }));
 * const report = await trainer.fit(batches(), { steps: 50, rng: tl.random.key(0) });
 * report.steps; // → 50
 * ```
 */
export class Trainer {
  readonly #native: NativeTrainer;
  /** The model with its loss. */
  readonly modelWithLoss: Layer;
  /** The optimizer. */
  readonly optimizer: Optimizer;

  /**
   * Makes a trainer; the optimizer's slots start with the first step.
   *
   * @param modelWithLoss - An initialized layer whose only output is the loss, one number.
   * @param optimizer - What {@link optimizers.Adam} makes.
   * @param options - Options by name:
   * - `nDevices`: Devices that share each batch. Default: `1`.
   * - `groups`: Weights that are trained in a way of their own, or frozen. Default: none.
   * - `accumulate`: Batches of a step. Default: `1`.
   * - `averageDecay`: What stays of the averages of the weights at each step. Default: no averages.
   * - `policy`: What layers with matrices of weights compute in. Default: `'float32'`.
   * - `lossScale`: What the loss is multiplied by before gradients are computed. Default: `1`.
   * - `gradientShards`: Parts that each batch is cut into. Default: one for each rank.
   * - `gradientTransport`: What gradients are sent as between ranks. Default: `'float32'`.
   * - `communicator`: The ranks that share each batch. Default: this process alone.
   * @throws `TypeError`: `modelWithLoss` is not a layer, or `optimizer` not an optimizer.
   * @throws {@link LayerError} `InvalidOption`: an option is unknown or outside its bounds, a pattern matches no weight, or all are frozen.
   * @throws {@link LayerError} `NotInitialized`: there are `groups`, and the model has no weights yet.
   */
  constructor(modelWithLoss: Layer, optimizer: Optimizer, options: TrainerOptions = {}) {
    const model = numberOfLayer('Trainer: modelWithLoss', modelWithLoss);
    if (!(optimizer instanceof Optimizer)) {
      throw new TypeError(
        `Trainer: optimizer must be an optimizer, as tl.optimizers.Adam() makes one; got ${found(optimizer)}`,
      );
    }
    this.modelWithLoss = modelWithLoss;
    this.optimizer = optimizer;
    const { kind } = optimizer;
    if (options?.communicator === 'auto') rank();
    this.#native = withPlain(kind, optimizer.options, (own) =>
      withPlain('Trainer', options, (value) => native.newTrainer(model, kind, own, value)),
    );
  }

  /**
   * Does one step on the calling thread: forward, backward, update.
   *
   * An error leaves weights, state and slots as they were before the step.
   *
   * @param batch - Inputs of the model with its loss.
   * @param rng - Random key of this step.
   * @param options - Options by name:
   * - `step`: The step's number. Default: `0`.
   * - `learningRate`: The learning rate; the optimizer's if left out.
   * @returns `[loss, stats]`.
   * @throws {@link LayerError} `NotFinite`: the loss, a gradient or new state is NaN or infinite, or a weight is NaN. The error names it.
   * @throws {@link LayerError} `Busy`: {@link Trainer.fit} runs, or the layers hold the averages.
   * @throws {@link LayerError} `InvalidArgument`: a step of the trainer takes several batches.
   * @example
   * ```ts
   * const batch = [tl.ones([8, 3]), tl.ones([8, 1]), tl.ones([8, 1])];
   * const model = tl.Serial(tl.Dense(1), tl.L2Loss());
   * model.init(tl.signature(batch));
   * const trainer = new tl.Trainer(model, tl.optimizers.Adam());
   * const [loss, stats] = trainer.oneStep(batch, tl.random.key(0), { step: 0, learningRate: 0.01 });
   * loss === stats.loss; // → true
   * ```
   */
  oneStep(
    batch: Batch,
    rng: Key,
    options: { readonly step?: number; readonly learningRate?: number | null } = {},
  ): [loss: number, stats: StepStats] {
    const stats = withInputs(this.modelWithLoss, batch, (ids) =>
      withPlain('Trainer.oneStep', options, (value) => this.#native.oneStep(ids, keyWords(rng), value)),
    );
    return [stats.loss, stats];
  }

  /**
   * Runs the training loop on a thread of its own; the event loop stays free.
   *
   * Between two steps it lets other work compute: a `callAsync` beside it waits for one step at most, and loops of several workers take turns.
   * A second loop on the same weights begins when this one has ended.
   *
   * @param batches - An iterable or async iterable of batches. Two are read ahead. The tensors of a batch are disposed once they are used.
   * @param options - Options by name:
   * - `steps`: Steps to run; the loop also ends when the batches do. An error in them ends it behind the last whole step.
   * - `rng`: The random key of the run. Each step uses it with its number folded in.
   * - `firstStep`: Number of the first step. Default: `0`.
   * - `schedule`: Learning rate of each step; the optimizer's if left out.
   * - `signal`: An `AbortSignal` that stops the loop.
   * - `onProgress`: Called on the way.
   * - `reportEveryMs`: Least milliseconds between two calls of it. Default: `0`.
   * - `outputDir`: Folder for an event file for TensorBoard.
   * @returns How the loop ended: its steps, seconds and losses.
   * @throws {@link LayerError} `NotFinite`: as {@link Trainer.oneStep}; finished steps stay.
   * @throws {@link LayerError} `Busy`: the layers hold the averages of the trainer, see {@link Trainer.withAverages}.
   * @throws {@link LayerError} `InvalidOption`: an option is unknown or outside its bounds.
   * @throws The reason of `signal`, if it stops the loop.
   * @example
   * ```ts
   * const model = tl.Serial(tl.Dense(1), tl.L2Loss());
   * model.init([[8, 3], [8, 1], [8, 1]].map((shape) => ({ shape, dtype: 'float32' })));
   * const trainer = new tl.Trainer(model, tl.optimizers.Adam());
   * const batches = Array.from({ length: 10 }, () => [tl.ones([8, 3]), tl.ones([8, 1]), tl.ones([8, 1])]);
   * const { steps } = await trainer.fit(batches, { steps: 20, rng: tl.random.key(0) });
   * steps; // → 10
   * ```
   */
  async fit(batches: AsyncIterable<Batch> | Iterable<Batch>, options: FitOptions): Promise<TrainingReport> {
    const unknown = unknownOption('Trainer.fit', options, FIT);
    if (unknown !== undefined) throw refusal('InvalidOption', unknown);
    const { signal, onProgress, rng, schedule, ...rest }: Partial<FitOptions> = options ?? {};
    if (onProgress !== undefined) callable('Trainer.fit: onProgress', onProgress);
    return withCancel('Trainer.fit: signal', signal, async (cancel) => {
      const key = keyWords(rng);
      const { value: rate, holder } = scheduleOf(schedule);
      const queue = native.newBatchQueue();
      // What `onProgress` threw ends the loop behind the step it was told of. What the data threw comes behind the batches that it gave before, so
      // that an error in one of these goes first.
      let failure: { readonly error: unknown } | undefined;
      let dataFailure: { readonly error: unknown } | undefined;
      const fail = (error: unknown): void => {
        failure ??= { error };
        native.closeBatches(queue, true);
      };
      const failData = (error: unknown): void => {
        dataFailure ??= { error };
        native.closeBatches(queue, true);
      };
      const told = ([progress]: unknown[]): void => {
        try {
          onProgress?.(progress as TrainingProgress);
        } catch (error) {
          fail(error);
        }
      };
      // The addon calls the functions by number, and calls them while this waits.
      const held = hold([holder, told]);
      try {
        const progress = onProgress === undefined ? null : numberOf(told);
        const loop = withPlain('Trainer.fit', rest, (value) =>
          this.#native.fit(queue, { ...value, rng: key, schedule: rate }, cancel, progress),
        );
        const pump = this.#pump(batches, queue).catch(failData);
        const report = await loop;
        await pump;
        failure ??= dataFailure;
        if (failure !== undefined) throw failure.error;
        signal?.throwIfAborted();
        return report;
      } catch (error) {
        if (failure !== undefined) throw failure.error;
        signal?.throwIfAborted();
        throw error;
      } finally {
        unhold(held);
      }
    });
  }

  async #pump(
    batches: AsyncIterable<Batch> | Iterable<Batch>,
    queue: ReturnType<typeof native.newBatchQueue>,
  ): Promise<void> {
    // A string is iterable, but not of batches.
    if (typeof batches === 'string' || !isIterable(batches)) {
      throw new TypeError(`Trainer.fit: batches must be an (async) iterable of batches, got ${found(batches)}`);
    }
    const isLent = areLent(batches);
    for await (const batch of batches) {
      const room = withInputs(this.modelWithLoss, batch, (ids) => native.pushBatch(queue, ids));
      for (const x of isLent ? [] : Array.isArray(batch) ? batch : [batch]) {
        if (x instanceof Tensor) x.dispose();
      }
      if (!room && !(await native.batchRoom(queue))) break;
    }
    native.closeBatches(queue, false);
  }

  /**
   * Lets the programs of all ranks tell each other something: whether one is to stop, or what it measured.
   *
   * All ranks must call it, at the same place in their program. It waits for the end of a loop that runs. Without `communicator` there is one rank.
   *
   * @param words - What this rank tells.
   * @returns What all ranks tell, in their order.
   * @throws {@link LayerError} `RankFailed`: another rank has failed, or does something else.
   * @example
   * ```ts
   * const model = tl.Serial(tl.Dense(1), tl.Fn('Loss', (y: tl.Tensor) => y.square().mean()));
   * model.init({ shape: [2, 3], dtype: 'float32' });
   * const trainer = new tl.Trainer(model, tl.optimizers.SGD());
   * await trainer.tellRanks('ready'); // → ['ready']
   * ```
   */
  tellRanks(words: string): Promise<string[]> {
    return this.#native.tellRanks(text('Trainer.tellRanks: words', words));
  }

  /**
   * Ends the work of all ranks, which are told why: this one cannot go on. Also a loop that runs ends so. Does nothing where there are no others.
   *
   * @param why - The reason.
   * @throws `TypeError`: `why` is not a string.
   */
  abortRanks(why: string): void {
    this.#native.abortRanks(text('Trainer.abortRanks: why', why));
  }

  /** How many updates of the weights this object has made. */
  get updates(): number {
    return this.#native.updates();
  }

  /** The optimizer's slots of each weight, in the order of `modelWithLoss.weightNames`, none where it is frozen; empty before the first step. */
  get slots(): Tensor[][] {
    return decode(this.#native.slots()) as Tensor[][];
  }
  set slots(slots: readonly (readonly Tensor[])[]) {
    this.#native.setSlots(encode(slots, 'slots'));
  }

  /**
   * The averages of the weights, in the order of `modelWithLoss.weightNames`; empty without `averageDecay`. Before the first step, and where they are
   * frozen, they are the weights.
   */
  get averages(): Tensor[] {
    return this.#native.averages().map(wrap);
  }

  /**
   * Lets the layers hold the averages in place of the weights while a function runs: to evaluate or to save them.
   *
   * Until it ends, nothing can be trained, saved or loaded by this trainer.
   *
   * @param use - The function; what it returns is awaited.
   * @returns What it returns.
   * @throws {@link LayerError} `InvalidOption`: the trainer has no `averageDecay`.
   * @throws {@link LayerError} `Busy`: {@link Trainer.fit} runs, or the layers hold the averages already.
   * @example
   * ```ts
   * const model = tl.Dense(1);
   * const modelWithLoss = tl.Serial(model, tl.Fn('Loss', (y: tl.Tensor) => y.square().mean()));
   * modelWithLoss.init({ shape: [2, 3], dtype: 'float32' });
   * const trainer = new tl.Trainer(modelWithLoss, tl.optimizers.SGD({ learningRate: 0.1 }), { averageDecay: 0.9 });
   * trainer.oneStep(tl.ones([2, 3]), tl.random.key(0));
   * const y = await trainer.withAverages(() => model(tl.ones([2, 3])));
   * y.shape; // → [2, 1]
   * ```
   */
  async withAverages<T>(use: () => T | Promise<T>): Promise<T> {
    callable('Trainer.withAverages: use', use);
    this.#native.lendAverages(true);
    try {
      return await use();
    } finally {
      this.#native.lendAverages(false);
    }
  }

  /**
   * Writes weights, state, slots, averages, a dynamic scale of the loss and the number of the next step to a safetensors file, on the compute thread.
   *
   * `path` always holds a whole file. While {@link Trainer.fit} runs, the loop writes it between two steps: called in `onProgress`, those after the step it is
   * told of. Called later, the loop may be a step ahead, and a `step` that was given counts on by as much.
   *
   * @param path - Path of the file.
   * @param step - Number of the next step, which {@link Trainer.load} returns. Left out it is 0, or while `fit` runs the number of its next step.
   * @param notes - What else a run needs to go on, as an object that JSON holds: keys, where the data stands, a history. `checkpointInfo` of
   * `tl.training` gives it back.
   * @returns When the file is there.
   * @throws `TypeError`: JSON cannot hold the notes.
   * @throws {@link LayerError} `NotFinite`: weights, state or slots are NaN; the error names the tensor and the old file stays.
   * @throws {@link LayerError} `Io`: the file cannot be written.
   * @example
   * ```ts
   * const batch = [tl.ones([8, 3]), tl.ones([8, 1]), tl.ones([8, 1])];
   * const model = tl.Serial(tl.Dense(1), tl.L2Loss());
   * model.init(tl.signature(batch));
   * const trainer = new tl.Trainer(model, tl.optimizers.Adam());
   * trainer.oneStep(batch, tl.random.key(0));
   * await trainer.save('trainer.safetensors', 1);
   * await trainer.load('trainer.safetensors'); // → 1
   * ```
   */
  async save(path: string, step?: number, notes?: object): Promise<void> {
    const file = text('Trainer.save: path', path);
    const json = notes === undefined ? null : jsonOf('Trainer.save: notes', notes);
    await withPlain('Trainer.save', { step }, (value) => this.#native.save(file, value, json));
  }

  /**
   * Reads what {@link Trainer.save} wrote, by name and shape; all or nothing.
   *
   * @param path - Path of the file.
   * @param options - Options by name:
   * - `strict`: Whether the file must have the slots of all weights that are trained, and of no others. `false` takes those that fit, as where other
   *   weights are frozen now; the others begin anew. Default: `true`.
   * @returns The number of the next step.
   * @throws {@link LayerError} `Io`: the file is missing or damaged.
   * @throws {@link LayerError} `WeightsMismatch`: a tensor is missing, has another shape, or the model has no place for it.
   * @throws {@link LayerError} `Busy`: `fit` runs.
   * @example
   * ```ts
   * const model = tl.Serial(tl.Dense(1), tl.L2Loss());
   * const batch = [tl.ones([8, 3]), tl.ones([8, 1]), tl.ones([8, 1])];
   * model.init(tl.signature(batch));
   * await new tl.Trainer(model, tl.optimizers.Adam()).save('run.safetensors', 100);
   *
   * const again = new tl.Trainer(model, tl.optimizers.Adam());
   * const firstStep = await again.load('run.safetensors');
   * firstStep; // → 100
   * ```
   */
  async load(path: string, options: { readonly strict?: boolean } = {}): Promise<number> {
    const file = text('Trainer.load: path', path);
    return withPlain('Trainer.load', options, (value) => this.#native.load(file, value) as Promise<number>);
  }
}
