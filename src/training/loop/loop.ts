/**
 * The training loop: steps, evaluations, checkpoints, and what a program does on the way.
 *
 * @module
 */
import { found, isRecord, text } from '../../bridge/found.js';
import { Layer } from '../../layer/layer.js';
import { tidy } from '../../layer/tidy.js';
import { type CancelSignal, checkSignal } from '../../layer/types.js';
import { foldIn, keyWords } from '../../tensor/random.js';
import { type Names, optionsOf } from '../../tensor/rest.js';
import { type History } from '../history.js';
import { filled, isLeftOut, refusal } from '../refusal.js';
import { type Batch, type Trainer } from '../trainer.js';
import { type RunReport } from './callback.js';
import { Engine } from './engine.js';
import { type LoopOptions, type Plan, planOf } from './plan.js';
import { EvalTask, type TrainTask } from './task.js';

/** Options of {@link training.Loop.run}. */
export interface RunOptions {
  /** Stops the run, also within a step; the promise is rejected with its reason, and finished steps stay. */
  readonly signal?: CancelSignal | undefined;
}

/** How far {@link training.Loop.run} goes. */
export interface RunUntil {
  /** Number of steps that are done when the run ends, those of earlier runs and of the checkpoint counted. */
  readonly until: number;
}

const RUN: Names<RunOptions> = { signal: true };

/**
 * Trains a model on tasks, evaluates it, writes checkpoints and goes on from them, as Trax's loop does.
 *
 * Steps count from 1, and `step` is the number of steps done. Behind a step the loop evaluates, then writes checkpoints, where `evalAt` and
 * `checkpointAt` say so. With an `outputDir` that holds a checkpoint, a loop made in the same way goes on from it with the same bits as if it had
 * never stopped: weights, slots, state, random key, history, and the position in all data.
 *
 * Steps are computed on the compute thread; the event loop stays free.
 *
 * With `communicator: 'auto'` the same program runs on one process, and as the ranks that `mpirun` or `srun` start: all take the same batches and
 * each computes its parts of them. Only the chief writes checkpoints, and calls callbacks that are `chiefOnly`.
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
  readonly #engine: Engine;

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
    this.evalModel = options.evalModel ?? model.withMode('eval');
    this.#engine = new Engine(this, this.#plan, isLeftOut(options.evalModel));
  }

  /** Number of steps done. */
  get step(): number {
    return this.#engine.step;
  }
  /** What was measured. */
  get history(): History {
    return this.#engine.history;
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
  /** Whether this is the one rank that writes files: rank 0, where several ranks train. */
  get isChief(): boolean {
    return this.#plan.isChief;
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
    return (await this.#engine.prepared()).running.map(({ trainer }) => trainer);
  }

  /**
   * Trains for a number of steps, or up to one.
   *
   * A run that ended, also with an error, can be followed by another, which goes on where it ended.
   *
   * @param steps - Steps to do; 1 if left out. `{ until: n }` does what is missing of `n` steps, those before this run and of the checkpoint counted.
   * @param options - Options by name:
   * - `signal`: An `AbortSignal` that stops the run, also within a step.
   * @returns How the run ended.
   * @throws {@link LayerError} `InvalidOption`: `steps` is neither a whole number of at least 0 nor `{ until }` with one.
   * @throws {@link LayerError} `NotFinite`: the loss, a gradient or a weight is not finite; steps before it stay.
   * @throws {@link LayerError} `Busy`: a run has not ended.
   * @throws {@link LayerError} `Io`: a checkpoint cannot be written; the one before it stays.
   * @throws What data, callbacks and functions of the program throw, or the reason of `signal`.
   * @example
   * ```ts
   * const task = new tl.training.TrainTask([[tl.ones([8, 3]), tl.ones([8, 1]), tl.ones([8, 1])]], tl.L2Loss(), tl.optimizers.SGD());
   * const loop = new tl.training.Loop(tl.Dense(1), task, { randomSeed: 0 });
   * await loop.run(10);
   * const { steps } = await loop.run({ until: 25 });
   * steps; // → 15
   * ```
   */
  async run(steps: number | RunUntil = 1, options: RunOptions = {}): Promise<RunReport> {
    const { signal } = optionsOf('Loop.run', options, RUN);
    checkSignal('Loop.run: signal', signal);
    const asked = filled<{ nSteps: number | null; until: number | null }>(
      'Loop.run',
      isRecord(steps) ? steps : { nSteps: steps },
    );
    const { nSteps, until } = asked;
    if ((nSteps === null) === (until === null)) {
      throw refusal('InvalidOption', `Loop.run: give a number of steps or \`{ until }\`, got ${found(steps)}`);
    }
    return this.#engine.run((done) => until ?? done + nSteps!, signal);
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
    this.#engine.stop();
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
    return this.#engine.runEvals(signal);
  }

  /**
   * Evaluates a task that is none of the loop's, such as a test set.
   *
   * It takes the batches from their beginning, and adds nothing to the history: the loop goes on as if nothing had been evaluated. With `averageDecay` it
   * is evaluated with the averages of the weights that the first task keeps.
   *
   * @param task - What to evaluate.
   * @param options - Options by name:
   * - `signal`: An `AbortSignal` that stops it.
   * @returns Value of each metric, by name.
   * @throws `TypeError`: `task` is not an {@link training.EvalTask}.
   * @throws {@link LayerError} `Busy`: a step is computed, or averages of the weights are in use.
   * @throws {@link LayerError} `ShapeMismatch`: a metric does not give one number.
   * @throws {@link LayerError} `InvalidArgument`: the task gives no batch.
   * @throws The reason of `signal`, if it stops the evaluation.
   * @example
   * ```ts
   * const batches = [[tl.ones([8, 3]), tl.ones([8, 1]), tl.ones([8, 1])]];
   * const train = new tl.training.TrainTask(batches, tl.L2Loss(), tl.optimizers.SGD());
   * const loop = new tl.training.Loop(tl.Dense(1), train, { randomSeed: 0 });
   * await loop.run(10);
   * const test = new tl.training.EvalTask(batches, tl.L2Loss(), { metricNames: ['loss'] });
   * Object.keys(await loop.evaluate(test)); // → ['loss']
   * ```
   */
  async evaluate(task: EvalTask, options: RunOptions = {}): Promise<Record<string, number>> {
    const { signal } = optionsOf('Loop.evaluate', options, RUN);
    checkSignal('Loop.evaluate: signal', signal);
    if (!(task instanceof EvalTask)) throw new TypeError(`Loop.evaluate: task must be an EvalTask, got ${found(task)}`);
    return this.#engine.evaluate(task, signal);
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
    return this.#engine.keys.next();
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
    return tidy(() => keyWords(foldIn(this.#engine.stepKey, step)));
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
    const source = (await this.#engine.prepared()).running[task]?.source;
    if (source === undefined) throw refusal('InvalidArgument', `Loop.peekBatches: there is no task ${found(task)}`);
    return source.peek(count);
  }

  /**
   * Writes a checkpoint: weights, state, slots of all tasks, step, random key, history, and the position in all data.
   *
   * The folder always holds the old or the new checkpoint, whole. While a step is computed, the step is given up for it, and computed again afterwards.
   * Where several ranks train, only the chief writes.
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
    return this.#engine.saveCheckpoint(this.outputDir, name);
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
    await this.#engine.loadCheckpoint(path);
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
    await this.#engine.close();
  }
}
