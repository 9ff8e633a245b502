/**
 * What a loop does: steps in stretches, and between them evaluations, checkpoints and what callbacks ask for.
 *
 * @module
 */
import { messageOf } from '../../bridge/found.js';
import { type CancelSignal } from '../../layer/types.js';
import { tidy } from '../../layer/tidy.js';
import { History } from '../history.js';
import { refusal } from '../refusal.js';
import { type Trainer } from '../trainer.js';
import { BatchSource } from './batches.js';
import { isBest } from './best.js';
import { type Callback, type CallbackAnswer, type RunReport } from './callback.js';
import { Evaluator } from './evaluator.js';
import { checkpointPath, exists, makeFolder, read, write } from './files.js';
import { Keys } from './keys.js';
import { type Loop } from './loop.js';
import { type Plan, prefixesOf } from './plan.js';
import { prepare, type Prepared } from './prepare.js';
import { type RunStart, Stretch } from './stretch.js';
import { Tally } from './tally.js';
import { type EvalTask } from './task.js';

/** The most steps of one call of `fit`: what it gathers for each step must not grow without bounds. */
const STRETCH = 1000;

/** Does the work of a {@link Loop}, which is what callbacks see. */
export class Engine {
  readonly #loop: Loop;
  readonly #plan: Plan;
  /** Whether the evaluated layer is a copy of the model, with its weights. */
  readonly #sharesWeights: boolean;
  readonly #listeners: readonly Callback[];
  /** Number of steps done. */
  step = 0;
  history = new History();
  keys: Keys;
  stepKey: [number, number];
  #tally = new Tally();
  #ready: Promise<Prepared> | undefined;
  #isRunning = false;
  #isStopped = false;
  /** Whether a callback made the loop wait for it behind a step. */
  #isStepwise = false;
  /** What stops the steps that are computed. */
  #stretch: Stretch | undefined;
  #requests: (() => Promise<void>)[] = [];

  constructor(loop: Loop, plan: Plan, sharesWeights: boolean) {
    this.#loop = loop;
    this.#plan = plan;
    this.#sharesWeights = sharesWeights;
    this.#listeners = plan.callbacks.filter(({ onStep }) => onStep !== undefined);
    this.keys = new Keys(plan.rng);
    this.stepKey = plan.rng;
  }

  /** Everything that needs a first batch, made the first time. */
  prepared(): Promise<Prepared> {
    this.#ready ??= this.#prepare().catch((error: unknown) => {
      this.#ready = undefined;
      throw error;
    });
    return this.#ready;
  }

  async #prepare(): Promise<Prepared> {
    const { outputDir } = this.#plan;
    this.keys = new Keys(this.#plan.rng);
    const [forModel, forOthers] = [this.keys.next(), this.keys.next()];
    this.stepKey = this.keys.next();
    if (outputDir !== null) await makeFolder(outputDir);
    const { model, evalModel } = this.#loop;
    const prepared = await prepare(this.#plan, model, evalModel, [forModel, forOthers]);
    const newest = outputDir === null ? null : checkpointPath(outputDir, 'model');
    if (newest !== null && (await exists(newest))) await this.#load(newest, prepared);
    return prepared;
  }

  /** Does steps until so many are done, counted as told. */
  async run(endOf: (done: number) => number, signal: CancelSignal | undefined): Promise<RunReport> {
    this.#refuseBusy('run', this.#isRunning);
    this.#isRunning = true;
    this.#isStopped = false;
    try {
      await this.prepared();
      return await this.#run(this.#plan.fastDevRun ? this.step + 1 : endOf(this.step), signal);
    } finally {
      this.#isRunning = false;
    }
  }

  /** Ends the run behind the last step that is done. */
  stop(): void {
    this.#isStopped = true;
    this.#stretch?.interrupt();
  }

  /** Evaluates the tasks of the loop, and adds what came out to the history. */
  async runEvals(signal: CancelSignal | undefined): Promise<Record<string, number>> {
    const { evaluators, running } = await this.prepared();
    this.#refuseBusy('runEvals', this.#stretch !== undefined);
    this.#takeState();
    const metrics: Record<string, number> = {};
    for (const [i, evaluator] of evaluators.entries()) {
      const { trainer } = running[i] ?? running[0]!;
      Object.assign(metrics, await this.#measure(evaluator, trainer, this.keys, signal));
    }
    for (const [name, value] of Object.entries(metrics)) {
      this.history.append('eval', `metrics/${name}`, this.step, value);
    }
    return metrics;
  }

  /** Evaluates a task of the program, and leaves the loop as it is. */
  async evaluate(task: EvalTask, signal: CancelSignal | undefined): Promise<Record<string, number>> {
    const { running } = await this.prepared();
    this.#refuseBusy('evaluate', this.#stretch !== undefined);
    this.#takeState();
    const keys = new Keys(this.keys.words);
    const source = new BatchSource('Loop.evaluate: labeledData of the task', task.labeledData);
    const nBatches = this.#plan.fastDevRun ? 1 : task.nEvalBatches;
    const evaluator = new Evaluator(task, this.#loop.evalModel, source, keys.next(), { prefix: '', nBatches });
    try {
      return await this.#measure(evaluator, running[0]!.trainer, keys, signal);
    } finally {
      await source.close();
    }
  }

  #takeState(): void {
    tidy(() => {
      this.#loop.evalModel.state = this.#loop.model.state;
    });
  }

  async #measure(
    evaluator: Evaluator,
    trainer: Trainer,
    keys: Keys,
    signal: CancelSignal | undefined,
  ): Promise<Record<string, number>> {
    const { model, evalModel } = this.#loop;
    const evaluate = (): ReturnType<Evaluator['run']> => {
      tidy(() => {
        if (!this.#sharesWeights) evalModel.weights = model.weights;
      });
      return evaluator.run(() => keys.next(), signal);
    };
    return Object.fromEntries(await (this.#plan.hasAverages ? trainer.withAverages(evaluate) : evaluate()));
  }

  /** Writes a checkpoint into a folder, of the very step that whoever asks was told of. */
  async saveCheckpoint(folder: string, name: string): Promise<string> {
    const path = checkpointPath(folder, name);
    if (!this.#plan.isChief) return path;
    // A callback that saves ends the stretch before it returns, so that what is saved is the very step it was told of.
    const prepared = this.#stretch === undefined ? await this.prepared() : undefined;
    if (prepared === undefined || this.#stretch !== undefined) {
      this.#stretch?.interrupt();
      await new Promise<void>((resolve, reject) => {
        this.#requests.push(() => this.saveCheckpoint(folder, name).then(() => resolve(), reject));
      });
      return path;
    }
    const { running, evalSources } = prepared;
    const { step, stepKey, history } = this;
    await write(
      path,
      running.map(({ trainer }) => trainer),
      {
        step,
        rng: this.keys.words,
        stepKey,
        tally: this.#tally.sums,
        history,
        data: running.map(({ source }) => source.position()),
        evalData: evalSources.map((source) => source.position()),
      },
    );
    await this.#tell((callback) => callback.onCheckpoint?.(this.#loop, { step, name, path }));
    return path;
  }

  /** Goes to a checkpoint. */
  async loadCheckpoint(path: string): Promise<void> {
    const prepared = await this.prepared();
    this.#refuseBusy('loadCheckpoint', this.#stretch !== undefined);
    await this.#load(path, prepared);
  }

  async #load(path: string, { running, evalSources }: Prepared): Promise<void> {
    const memory = await read(
      path,
      running.map(({ trainer }) => trainer),
      evalSources.length,
    );
    for (const [i, position] of memory.data.entries()) await running[i]!.source.restore(position);
    for (const [i, position] of memory.evalData.entries()) await evalSources[i]!.restore(position);
    this.step = memory.step;
    this.history = memory.history;
    this.keys = new Keys(memory.rng);
    this.stepKey = [...memory.stepKey];
    this.#tally = new Tally(memory.tally);
  }

  /** Lets go of the iterators of all tasks. */
  async close(): Promise<void> {
    if (this.#ready === undefined) return;
    const { running, evalSources } = await this.#ready;
    this.#refuseBusy('close', this.#isRunning);
    for (const source of [...running.map(({ source }) => source), ...evalSources]) await source.close();
  }

  #refuseBusy(method: string, isBusy: boolean): void {
    if (isBusy) throw refusal('Busy', `Loop.${method}: the loop runs; await the run first, or stop it`);
  }

  async #run(end: number, signal: CancelSignal | undefined): Promise<RunReport> {
    const [first, began] = [this.step, performance.now()];
    const report = (): RunReport => ({
      steps: this.step - first,
      seconds: (performance.now() - began) / 1000,
      stopped: this.#isStopped,
    });
    let task: number | null = null;
    let items = 0;
    const run = async (): Promise<void> => {
      await this.#tell((callback) => callback.onStart?.(this.#loop, { steps: Math.max(end - first, 0) }));
      while (this.step < end && !(await this.#isEnded())) {
        signal?.throwIfAborted();
        task = this.#plan.whichTask(this.step + 1);
        const stretch = await this.#fit(task, this.#reach(task, end), signal, { first, began, items });
        items += stretch.items;
        task = null;
        if (stretch.done > 0) await this.#behindStep(signal);
      }
    };
    try {
      await run();
    } catch (error) {
      await this.#serve();
      if (this.#plan.hasRanks) (await this.prepared()).running[0]!.trainer.abortRanks(messageOf(error));
      for (const callback of this.#plan.callbacks)
        await callback.onError?.(this.#loop, { error, step: this.step, task });
      throw error;
    } finally {
      for (const callback of this.#plan.callbacks) await callback.onEnd?.(this.#loop, report());
    }
    return report();
  }

  /** How many steps the task is trained for before something else is to be done. */
  #reach(task: number, end: number): number {
    const { checkpointAt, permanentCheckpointAt, evalAt, whichTask } = this.#plan;
    if (this.#isStepwise) return 1;
    for (let steps = 1; ; steps += 1) {
      const step = this.step + steps;
      if (step >= end || steps >= STRETCH || checkpointAt(step) || permanentCheckpointAt(step) || evalAt(step))
        return steps;
      if (whichTask(step + 1) !== task) return steps;
    }
  }

  /** Does so many steps of a task, or fewer where something stops it. @returns the steps done */
  async #fit(index: number, steps: number, signal: CancelSignal | undefined, start: RunStart): Promise<Stretch> {
    const { running } = await this.prepared();
    const before = this.step;
    const stretch = new Stretch(this.#loop, this.#listeners, start);
    this.#stretch = stretch;
    const perStep = this.#plan.batchesPerStep;
    await stretch.run(
      running[index]!,
      { index, steps, perStep, rng: this.stepKey },
      signal,
      (step) => (this.step = step),
    );
    this.#stretch = undefined;
    this.step = before + stretch.done;
    this.#tally.add(stretch);
    this.#isStepwise ||= stretch.isAwaited;
    await this.#serve();
    if ((await stretch.answers()).includes('stop')) this.stop();
    signal?.throwIfAborted();
    return stretch;
  }

  /** Whether the run is to end here: where one rank stops all do, and where one goes on step by step all do. */
  async #isEnded(): Promise<boolean> {
    if (this.#plan.hasRanks) {
      const { trainer } = (await this.prepared()).running[0]!;
      const told = await trainer.tellRanks(`${this.#isStopped} ${this.#isStepwise}`);
      const any = (place: number): boolean => told.some((words) => words.split(' ')[place] === 'true');
      this.#isStopped ||= any(0);
      this.#isStepwise ||= any(1);
    }
    return this.#isStopped;
  }

  /** Evaluations and checkpoints behind a step. */
  async #behindStep(signal: CancelSignal | undefined): Promise<void> {
    const { checkpointAt, permanentCheckpointAt, evalAt, best, outputDir } = this.#plan;
    const { step } = this;
    const isCheckpoint = checkpointAt(step);
    try {
      if (evalAt(step)) {
        const task = this.#plan.whichTask(step);
        const { tasks } = this.#plan;
        this.#tally.record(this.history, step, `${prefixesOf(tasks)[task]}${tasks[task]!.lossName}`);
        const metrics = await this.runEvals(signal);
        await this.#tell((callback) => callback.onEval?.(this.#loop, { step, metrics }));
      }
    } finally {
      // What was learnt is written even if it cannot be measured.
      if (outputDir !== null) {
        if (isCheckpoint) await this.saveCheckpoint(outputDir, 'model');
        if (permanentCheckpointAt(step)) await this.saveCheckpoint(outputDir, `model_${step}`);
      }
    }
    if (outputDir === null || !isCheckpoint) return;
    for (const { metric, mode, name } of best) {
      if (isBest(this.history, metric, mode, step)) await this.saveCheckpoint(outputDir, name);
    }
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
