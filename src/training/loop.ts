/**
 * The training loop: steps, evaluations, checkpoints, and what a program does on the way.
 *
 * @module
 */
import { found, text } from '../bridge/found.js';
import { Layer } from '../layer/layer.js';
import { tidy } from '../layer/tidy.js';
import { type CancelSignal, checkSignal } from '../layer/types.js';
import { foldIn, keyWords, split } from '../tensor/random.js';
import { type Names, optionsOf } from '../tensor/rest.js';
import { isBest } from './best.js';
import { type Callback, type CallbackAnswer, type RunReport } from './callback.js';
import { type Evaluator } from './evaluator.js';
import { History } from './history.js';
import { checkpointPath, exists, makeFolder, read, write } from './loopFiles.js';
import { type LoopOptions, type Plan, planOf, prefixesOf } from './plan.js';
import { prepare, type Prepared } from './prepare.js';
import { filled, isLeftOut, refusal } from './refusal.js';
import { type RunStart, Stretch } from './stretch.js';
import { type EvalTask, type TrainTask } from './task.js';
import { type Batch, type Trainer, type TrainingProgress } from './trainer.js';

/** Options of {@link training.Loop.run}. */
export interface RunOptions {
  /** Stops the run, also within a step; the promise is rejected with its reason, and finished steps stay. */
  readonly signal?: CancelSignal | undefined;
}

const RUN: Names<RunOptions> = { signal: true };
/** The most steps of one call of `fit`: what it gathers for each step must not grow without bounds. */
const STRETCH = 1000;

/** Sums since the last evaluation. */
export interface Tally {
  readonly loss: number;
  readonly steps: number;
  readonly seconds: number;
}

const NOTHING: Tally = { loss: 0, steps: 0, seconds: 0 };

/**
 * Trains a model on tasks, evaluates it, writes checkpoints and goes on from them, as Trax's loop does.
 *
 * Steps count from 1, and `step` is the number of steps done. Behind a step the loop evaluates, then writes checkpoints, where `evalAt` and
 * `checkpointAt` say so. With an `outputDir` that holds a checkpoint, a loop made in the same way goes on from it with the same bits as if it had
 * never stopped: weights, slots, state, random key, history, and the position in all data.
 *
 * Steps are computed on the compute thread; the event loop stays free.
 *
 * @see {@link training.TrainTask}, {@link training.EvalTask}, {@link training.Callback}
 * @example
 * ```ts
 * const batch = (seed: number): tl.Tensor[] => {
 *   const x = tl.random.normal(tl.random.key(seed), [16, 4]);
 *   return [x, x.sum({ axis: 1, keepdims: true }), tl.ones([16, 1])];
 * };
 * function* batches() {
 *   for (let seed = 1; ; seed += 1) yield batch(seed);
 * }
 * const train = new tl.training.TrainTask(batches(), tl.L2Loss(), tl.optimizers.Adam({ learningRate: 0.05 }));
 * const evaluate = new tl.training.EvalTask([batch(0)], tl.L2Loss());
 * const loop = new tl.training.Loop(tl.Serial(tl.Dense(1)), train, { evalTasks: evaluate, randomSeed: 0 });
 * await loop.run(200);
 * loop.history.get('eval', 'metrics/L2Loss').map(({ step }) => step); // → [1, 100, 200]
 * ```
 */
export class Loop {
  /** The model that is trained. */
  readonly model: Layer;
  /** The layer that is evaluated. */
  readonly evalModel: Layer;
  readonly #plan: Plan;
  readonly #sharesWeights: boolean;
  readonly #listeners: readonly Callback[];
  #rng: [number, number];
  #stepKey: [number, number];
  #step = 0;
  #history = new History();
  #ready: Promise<Prepared> | undefined;
  #isRunning = false;
  #isStopped = false;
  /** Whether a callback made the loop wait for it behind a step. */
  #isStepwise = false;
  /** What stops the steps that are computed. */
  #stretch: Stretch | undefined;
  #requests: (() => Promise<void>)[] = [];
  #tally = NOTHING;
  #last: TrainingProgress | undefined;

  /**
   * Makes a loop; nothing is computed before {@link training.Loop.prepare} or {@link training.Loop.run}.
   *
   * A model that has no weights yet is initialized then, for the first batch.
   *
   * @param model - The model: a layer from the first tensors of a batch to what losses and metrics take.
   * @param tasks - A task, or an array of tasks that share the model's weights.
   * @param options - Options by name, beside those of {@link Trainer}:
   * - `randomSeed`, `rng`: Seed, or random key, of the loop; one of them must be given.
   * - `evalModel`: Layer to evaluate, which gets the model's weights and state; a copy of the model in mode `'eval'` if left out.
   * - `evalTasks`: A task to evaluate, or an array of tasks.
   * - `outputDir`: Folder of checkpoints; none are written if it is left out.
   * - `checkpointAt`, `permanentCheckpointAt`, `evalAt`: Tell of a step whether that happens behind it.
   * - `checkpointLowMetric`, `checkpointHighMetric`: Metric whose best value is saved apart.
   * - `whichTask`: Tells the number of the task of a step; one after another if left out.
   * - `callbacks`: What is called on the way.
   * - `fastDevRun`: Whether a run is one step and one batch of each evaluation, without files. Default: `false`.
   * - `overfitBatches`: Number of batches to take again and again; all if left out.
   * @throws `TypeError`: an argument is of another type.
   * @throws {@link LayerError} `InvalidOption`: an option is unknown or outside its bounds, no task or no key is given, or two metrics have one name.
   */
  constructor(model: Layer, tasks: TrainTask | readonly TrainTask[], options: LoopOptions) {
    if (!(model instanceof Layer)) throw new TypeError(`Loop: model must be a layer, got ${found(model)}`);
    this.#plan = planOf(tasks, options);
    this.model = model;
    this.#sharesWeights = isLeftOut(options.evalModel);
    this.evalModel = options.evalModel ?? model.withMode('eval');
    this.#listeners = this.#plan.callbacks.filter(({ onStep }) => onStep !== undefined);
    this.#rng = this.#plan.rng;
    this.#stepKey = this.#plan.rng;
  }

  /** Number of steps done. */
  get step(): number {
    return this.#step;
  }
  /** What was measured. */
  get history(): History {
    return this.#history;
  }
  /** The tasks. */
  get tasks(): readonly TrainTask[] {
    return this.#plan.tasks;
  }
  /** The tasks to evaluate. */
  get evalTasks(): readonly EvalTask[] {
    return this.#plan.evalTasks;
  }
  /** Folder of checkpoints; `null` if none are written. */
  get outputDir(): string | null {
    return this.#plan.outputDir;
  }
  /** Batches of a step: `accumulate`, 1 if it is left out. */
  get batchesPerStep(): number {
    return this.#plan.batchesPerStep;
  }
  /** Whether a run is one step without files. */
  get fastDevRun(): boolean {
    return this.#plan.fastDevRun;
  }

  /**
   * Makes everything ready: takes a first batch, initializes the model, and goes to the newest checkpoint in `outputDir`.
   *
   * {@link training.Loop.run} does it by itself.
   *
   * @returns One trainer for each task, once all is ready.
   * @throws {@link LayerError} `Io`: the folder cannot be made, or a checkpoint in it is damaged.
   * @throws {@link LayerError} `WeightsMismatch`: the checkpoint is of another model.
   * @throws {@link LayerError} `InvalidArgument`: a task gives no batch.
   * @example
   * ```ts
   * const task = new tl.training.TrainTask([[tl.ones([8, 3]), tl.ones([8, 1]), tl.ones([8, 1])]], tl.L2Loss(), tl.optimizers.SGD());
   * const loop = new tl.training.Loop(tl.Dense(1), task, { randomSeed: 0 });
   * await loop.prepare();
   * tl.tree.leaves(loop.model.weights).length; // → 2
   * ```
   */
  async prepare(): Promise<readonly Trainer[]> {
    return (await this.#prepared()).running.map(({ trainer }) => trainer);
  }

  /**
   * Trains for a number of steps.
   *
   * A run that ended, also with an error, can be followed by another, which goes on where it ended.
   *
   * @param nSteps - Steps to do; 1 if left out.
   * @param options - Options by name:
   * - `signal`: An `AbortSignal` that stops the run, also within a step.
   * @returns How the run ended.
   * @throws {@link LayerError} `NotFinite`: the loss, a gradient or a weight is not finite; steps before it stay.
   * @throws {@link LayerError} `Busy`: a run has not ended.
   * @throws {@link LayerError} `Io`: a checkpoint cannot be written; the one before it stays.
   * @throws What data, callbacks and functions of the program throw, or the reason of `signal`.
   * @example
   * ```ts
   * const task = new tl.training.TrainTask([[tl.ones([8, 3]), tl.ones([8, 1]), tl.ones([8, 1])]], tl.L2Loss(), tl.optimizers.SGD());
   * const loop = new tl.training.Loop(tl.Dense(1), task, { randomSeed: 0 });
   * const { steps } = await loop.run(10);
   * steps; // → 10
   * ```
   */
  async run(nSteps: number = 1, options: RunOptions = {}): Promise<RunReport> {
    const { signal } = optionsOf('Loop.run', options, RUN);
    checkSignal('Loop.run: signal', signal);
    const asked = filled<{ nSteps: number }>('Loop.run', { nSteps });
    this.#refuseBusy('run', this.#isRunning);
    this.#isRunning = true;
    this.#isStopped = false;
    try {
      await this.#prepared();
      return await this.#run(this.fastDevRun ? 1 : asked.nSteps, signal);
    } finally {
      this.#isRunning = false;
    }
  }

  /**
   * Ends the run behind the last step that is done; a step that is computed is given up, and its batch is used by the next run.
   *
   * @example
   * ```ts
   * const task = new tl.training.TrainTask([[tl.ones([8, 3]), tl.ones([8, 1]), tl.ones([8, 1])]], tl.L2Loss(), tl.optimizers.SGD());
   * const stopper: tl.training.Callback = { onStep: (loop, { step }) => (step === 3 ? loop.stop() : undefined) };
   * const loop = new tl.training.Loop(tl.Dense(1), task, { randomSeed: 0, callbacks: [stopper] });
   * await loop.run(10);
   * loop.step; // → 3
   * ```
   */
  stop(): void {
    this.#isStopped = true;
    this.#stretch?.interrupt();
  }

  /**
   * Evaluates all tasks, and adds what came out to the history.
   *
   * With `averageDecay` each is evaluated with the averages of the weights that the task at its index keeps, or the first task where there is none at its
   * index. The model holds them until that evaluation ends, and then the trained weights again, bit for bit.
   *
   * @param options - Options by name:
   * - `signal`: An `AbortSignal` that stops it.
   * @returns Value of each metric, by name; with several tasks behind `exportPrefix`, or the number of the task, and a slash.
   * @throws {@link LayerError} `Busy`: a step is computed, or averages of the weights are in use.
   * @throws {@link LayerError} `ShapeMismatch`: a metric does not give one number.
   * @throws {@link LayerError} `InvalidArgument`: a task gives no batch.
   * @throws The reason of `signal`, if it stops the evaluation.
   * @example
   * ```ts
   * const batches = [[tl.ones([8, 3]), tl.ones([8, 1]), tl.ones([8, 1])]];
   * const task = new tl.training.TrainTask(batches, tl.L2Loss(), tl.optimizers.SGD());
   * const evalTasks = new tl.training.EvalTask(batches, tl.L2Loss(), { metricNames: ['loss'] });
   * const loop = new tl.training.Loop(tl.Dense(1), task, { evalTasks, randomSeed: 0 });
   * Object.keys(await loop.runEvals()); // → ['loss']
   * ```
   */
  async runEvals(options: RunOptions = {}): Promise<Record<string, number>> {
    const { signal } = optionsOf('Loop.runEvals', options, RUN);
    checkSignal('Loop.runEvals: signal', signal);
    const { evaluators, running } = await this.#prepared();
    this.#refuseBusy('runEvals', this.#stretch !== undefined);
    tidy(() => {
      this.evalModel.state = this.model.state;
    });
    const metrics: Record<string, number> = {};
    for (const [i, evaluator] of evaluators.entries()) {
      const evaluate = (): ReturnType<Evaluator['run']> => {
        tidy(() => {
          if (!this.#sharesWeights) this.evalModel.weights = this.model.weights;
        });
        return evaluator.run(() => this.newRng(), signal);
      };
      const { trainer } = running[i] ?? running[0]!;
      const results = await (this.#plan.hasAverages ? trainer.withAverages(evaluate) : evaluate());
      for (const [name, value] of results) metrics[name] = value;
    }
    for (const [name, value] of Object.entries(metrics))
      this.#history.append('eval', `metrics/${name}`, this.#step, value);
    return metrics;
  }

  /**
   * Makes a random key that the loop makes only once.
   *
   * Checkpoints hold where the sequence of keys is.
   *
   * @returns The key.
   * @example
   * ```ts
   * const task = new tl.training.TrainTask([[tl.ones([8, 3]), tl.ones([8, 1]), tl.ones([8, 1])]], tl.L2Loss(), tl.optimizers.SGD());
   * const loop = new tl.training.Loop(tl.Dense(1), task, { rng: [0, 7] });
   * const [a, b] = [loop.newRng(), loop.newRng()];
   * tl.random.keyWords(a).join() === tl.random.keyWords(b).join(); // → false
   * ```
   */
  newRng(): [number, number] {
    const [rest, made] = tidy(() => {
      const [first, second] = split(this.#rng);
      return [keyWords(first), keyWords(second)] as const;
    });
    this.#rng = rest;
    return made;
  }

  /**
   * Tells the random key of a step: that of all steps, with the step's number folded in.
   *
   * @param step - Number of the step, from 1.
   * @returns The key.
   * @throws `RangeError`: `step` is not a whole number.
   * @example
   * ```ts
   * const task = new tl.training.TrainTask([[tl.ones([8, 3]), tl.ones([8, 1]), tl.ones([8, 1])]], tl.L2Loss(), tl.optimizers.SGD());
   * const loop = new tl.training.Loop(tl.Dense(1), task, { randomSeed: 0 });
   * await loop.prepare();
   * loop.rngOfStep(1).length; // → 2
   * ```
   */
  rngOfStep(step: number): [number, number] {
    return tidy(() => keyWords(foldIn(this.#stepKey, step)));
  }

  /**
   * Gives the batches that training takes next; it takes them still.
   *
   * @param count - How many.
   * @param task - Number of the task; 0 if left out.
   * @returns The batches. Their tensors are the program's to dispose.
   * @throws {@link LayerError} `InvalidArgument`: there is no such task, or it gives no batch.
   * @example
   * ```ts
   * const task = new tl.training.TrainTask([[tl.ones([8, 3]), tl.ones([8, 1]), tl.ones([8, 1])]], tl.L2Loss(), tl.optimizers.SGD());
   * const loop = new tl.training.Loop(tl.Dense(1), task, { randomSeed: 0 });
   * (await loop.peekBatches(2)).length; // → 2
   * ```
   */
  async peekBatches(count: number, task: number = 0): Promise<Batch[]> {
    const source = (await this.#prepared()).running[task]?.source;
    if (source === undefined) throw refusal('InvalidArgument', `Loop.peekBatches: there is no task ${found(task)}`);
    return source.peek(count);
  }

  /**
   * Writes a checkpoint: weights, state, slots of all tasks, step, random key, history, and the position in all data.
   *
   * The folder always holds the old or the new checkpoint, whole. While a step is computed, the step is given up for it, and computed again afterwards.
   *
   * @param name - Name of the file in `outputDir`, without its ending; `'model'`, which a new loop goes on from, if left out.
   * @returns Path of the file.
   * @throws {@link LayerError} `InvalidOption`: the loop has no `outputDir`.
   * @throws {@link LayerError} `Io`: the file cannot be written; the old one stays.
   * @throws {@link LayerError} `NotFinite`: a tensor is NaN.
   * @example
   * ```ts
   * const task = new tl.training.TrainTask([[tl.ones([8, 3]), tl.ones([8, 1]), tl.ones([8, 1])]], tl.L2Loss(), tl.optimizers.SGD());
   * const loop = new tl.training.Loop(tl.Dense(1), task, { outputDir: 'runs/line', randomSeed: 0 });
   * await loop.run(3);
   * await loop.saveCheckpoint('mine'); // → 'runs/line/mine.safetensors'
   * ```
   */
  async saveCheckpoint(name: string = 'model'): Promise<string> {
    text('Loop.saveCheckpoint: name', name);
    if (this.outputDir === null) {
      const why = this.fastDevRun ? 'with `fastDevRun` none is written' : 'give the loop an `outputDir`';
      throw refusal('InvalidOption', `Loop.saveCheckpoint: there is no folder for checkpoints: ${why}`);
    }
    const path = checkpointPath(this.outputDir, name);
    // A callback that saves ends the stretch before it returns, so that what is saved is the very step it was told of.
    const prepared = this.#stretch === undefined ? await this.#prepared() : undefined;
    if (prepared === undefined || this.#stretch !== undefined) {
      this.#stretch?.interrupt();
      await new Promise<void>((resolve, reject) => {
        this.#requests.push(() => this.saveCheckpoint(name).then(() => resolve(), reject));
      });
      return path;
    }
    const { running, evalSources } = prepared;
    const step = this.#step;
    const trainers = running.map(({ trainer }) => trainer);
    const data = running.map(({ source }) => source.position());
    const evalData = evalSources.map((source) => source.position());
    const keys = { rng: this.#rng, stepKey: this.#stepKey };
    await write(path, trainers, { step, ...keys, tally: this.#tally, history: this.#history, data, evalData });
    await this.#tell((callback) => callback.onCheckpoint?.(this, { step, name, path }));
    return path;
  }

  /**
   * Goes to a checkpoint of a loop that was made in the same way.
   *
   * @param path - Path of the file.
   * @throws {@link LayerError} `Io`: the file is missing, damaged or not of a loop with as many tasks.
   * @throws {@link LayerError} `WeightsMismatch`: it is of another model.
   * @throws {@link LayerError} `Busy`: a step is computed.
   * @example
   * ```ts
   * const task = new tl.training.TrainTask([[tl.ones([8, 3]), tl.ones([8, 1]), tl.ones([8, 1])]], tl.L2Loss(), tl.optimizers.SGD());
   * const loop = new tl.training.Loop(tl.Dense(1), task, { outputDir: 'runs/back', randomSeed: 0 });
   * await loop.run(3);
   * const path = await loop.saveCheckpoint('three');
   * await loop.run(3);
   * await loop.loadCheckpoint(path);
   * loop.step; // → 3
   * ```
   */
  async loadCheckpoint(path: string): Promise<void> {
    text('Loop.loadCheckpoint: path', path);
    const prepared = await this.#prepared();
    this.#refuseBusy('loadCheckpoint', this.#stretch !== undefined);
    await this.#load(path, prepared);
  }

  /**
   * Lets go of the iterators of all tasks.
   *
   * Batches that they gave and that were not used are lost.
   *
   * @throws {@link LayerError} `Busy`: the loop runs.
   * @throws What an iterator throws when it is told to end.
   * @example
   * ```ts
   * const task = new tl.training.TrainTask([[tl.ones([8, 3]), tl.ones([8, 1]), tl.ones([8, 1])]], tl.L2Loss(), tl.optimizers.SGD());
   * const loop = new tl.training.Loop(tl.Dense(1), task, { randomSeed: 0 });
   * await loop.run(2);
   * await loop.close();
   * ```
   */
  async close(): Promise<void> {
    if (this.#ready === undefined) return;
    const { running, evalSources } = await this.#ready;
    this.#refuseBusy('close', this.#isRunning);
    for (const source of [...running.map(({ source }) => source), ...evalSources]) await source.close();
  }

  #refuseBusy(method: string, isBusy: boolean): void {
    if (isBusy) throw refusal('Busy', `Loop.${method}: the loop runs; await the run first, or stop it`);
  }

  #prepared(): Promise<Prepared> {
    this.#ready ??= this.#prepare().catch((error: unknown) => {
      this.#ready = undefined;
      throw error;
    });
    return this.#ready;
  }

  async #prepare(): Promise<Prepared> {
    const { outputDir } = this.#plan;
    this.#rng = this.#plan.rng;
    const [forModel, forOthers] = [this.newRng(), this.newRng()];
    this.#stepKey = this.newRng();
    if (outputDir !== null) await makeFolder(outputDir);
    const prepared = await prepare(this.#plan, this.model, this.evalModel, [forModel, forOthers]);
    const newest = outputDir === null ? null : checkpointPath(outputDir, 'model');
    if (newest !== null && (await exists(newest))) await this.#load(newest, prepared);
    return prepared;
  }

  async #load(path: string, { running, evalSources }: Prepared): Promise<void> {
    const memory = await read(
      path,
      running.map(({ trainer }) => trainer),
      evalSources.length,
    );
    for (const [i, position] of memory.data.entries()) await running[i]!.source.restore(position);
    for (const [i, position] of memory.evalData.entries()) await evalSources[i]!.restore(position);
    this.#step = memory.step;
    this.#history = memory.history;
    this.#rng = [...memory.rng];
    this.#stepKey = [...memory.stepKey];
    this.#tally = memory.tally;
    this.#last = undefined;
  }

  async #run(nSteps: number, signal: CancelSignal | undefined): Promise<RunReport> {
    const [first, began] = [this.#step, performance.now()];
    const report = (): RunReport => ({
      steps: this.#step - first,
      seconds: (performance.now() - began) / 1000,
      stopped: this.#isStopped,
    });
    let task: number | null = null;
    let items = 0;
    const run = async (): Promise<void> => {
      await this.#tell((callback) => callback.onStart?.(this, { steps: nSteps }));
      while (this.#step < first + nSteps && !this.#isStopped) {
        signal?.throwIfAborted();
        task = this.#plan.whichTask(this.#step + 1);
        const stretch = await this.#fit(task, this.#reach(task, first + nSteps), signal, { first, began, items });
        items += stretch.items;
        task = null;
        if (stretch.done > 0) await this.#behindStep(signal);
      }
    };
    try {
      await run();
    } catch (error) {
      await this.#serve();
      for (const callback of this.#plan.callbacks) await callback.onError?.(this, { error, step: this.#step, task });
      throw error;
    } finally {
      for (const callback of this.#plan.callbacks) await callback.onEnd?.(this, report());
    }
    return report();
  }

  /** How many steps the task is trained for before something else is to be done. */
  #reach(task: number, end: number): number {
    const { checkpointAt, permanentCheckpointAt, evalAt, whichTask } = this.#plan;
    if (this.#isStepwise) return 1;
    for (let steps = 1; ; steps += 1) {
      const step = this.#step + steps;
      if (step >= end || steps >= STRETCH || checkpointAt(step) || permanentCheckpointAt(step) || evalAt(step))
        return steps;
      if (whichTask(step + 1) !== task) return steps;
    }
  }

  /** Does so many steps of a task, or fewer where something stops it. @returns the steps done */
  async #fit(index: number, steps: number, signal: CancelSignal | undefined, start: RunStart): Promise<Stretch> {
    const { running } = await this.#prepared();
    const before = this.#step;
    const stretch = new Stretch(this, this.#listeners, start);
    this.#stretch = stretch;
    const perStep = this.#plan.batchesPerStep;
    await stretch.run(
      running[index]!,
      { index, steps, perStep, rng: this.#stepKey },
      signal,
      (step) => (this.#step = step),
    );
    this.#stretch = undefined;
    this.#step = before + stretch.done;
    this.#last = stretch.last ?? this.#last;
    this.#tally = {
      loss: stretch.losses.reduce((sum, loss) => sum + loss, this.#tally.loss),
      steps: this.#tally.steps + stretch.losses.length,
      seconds: this.#tally.seconds + stretch.seconds,
    };
    this.#isStepwise ||= stretch.isAwaited;
    await this.#serve();
    if ((await stretch.answers()).includes('stop')) this.stop();
    signal?.throwIfAborted();
    return stretch;
  }

  /** Evaluations and checkpoints behind a step. */
  async #behindStep(signal: CancelSignal | undefined): Promise<void> {
    const { checkpointAt, permanentCheckpointAt, evalAt, best } = this.#plan;
    const step = this.#step;
    const isCheckpoint = checkpointAt(step);
    try {
      if (evalAt(step)) {
        this.#recordTraining();
        const metrics = await this.runEvals(signal === undefined ? {} : { signal });
        await this.#tell((callback) => callback.onEval?.(this, { step, metrics }));
      }
    } finally {
      // What was learnt is written even if it cannot be measured.
      if (this.outputDir !== null) {
        if (isCheckpoint) await this.saveCheckpoint('model');
        if (permanentCheckpointAt(step)) await this.saveCheckpoint(`model_${step}`);
      }
    }
    for (const { metric, mode, name } of this.outputDir !== null && isCheckpoint ? best : []) {
      if (isBest(this.#history, metric, mode, step)) await this.saveCheckpoint(name);
    }
  }

  #recordTraining(): void {
    const { loss, steps, seconds } = this.#tally;
    const [task, last] = [this.#plan.whichTask(this.#step), this.#last];
    const add = (name: string, value: number): void => this.#history.append('train', name, this.#step, value);
    if (steps > 0) {
      add(`metrics/${prefixesOf(this.tasks)[task]}${this.tasks[task]!.lossName}`, loss / steps);
      add('training/steps per second', steps / seconds);
    }
    if (last !== undefined) {
      add('training/learning_rate', last.learningRate);
      add('training/gradients_l2', last.gradientsL2);
      add('training/weights_l2', last.weightsL2);
    }
    this.#tally = NOTHING;
  }

  /** Does what was asked for while a step was computed. */
  async #serve(): Promise<void> {
    const requests = this.#requests;
    this.#requests = [];
    for (const request of requests) await request();
  }

  /** Calls all callbacks, one after another. */
  async #tell(call: (callback: Callback) => CallbackAnswer): Promise<void> {
    for (const callback of this.#plan.callbacks) if ((await call(callback)) === 'stop') this.stop();
  }
}
