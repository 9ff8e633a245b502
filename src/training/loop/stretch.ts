/**
 * Some steps of one task, in one call of `fit`, which may end sooner.
 *
 * @module
 */
import { isThenable } from '../../bridge/found.js';
import { type CancelSignal } from '../../layer/types.js';
import { type Key } from '../../tensor/random.js';
import { type BatchSource } from './batches.js';
import { type Callback } from './callback.js';
import { type Loop } from './loop.js';
import { type TrainTask } from './task.js';
import { type Trainer, type TrainingProgress } from '../trainer.js';

/** What a task is trained with. */
export interface Running {
  readonly task: TrainTask;
  readonly trainer: Trainer;
  readonly source: BatchSource;
}

/** The number of steps done before a run, when it began, and the items of its batches so far. */
export interface RunStart {
  readonly first: number;
  readonly began: number;
  readonly items: number;
}

/** Batches that a fit holds beside those of the step it computes: two that wait, and one on its way. */
const WAITING = 3;
/** Milliseconds between two looks at how far a fit is, where no callback looks more often. */
const LOOK_MS = 100;
/** Turns of the event loop to wait for what was sent before `fit` ended. */
const TURNS = 1000;

const nextTurn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

/** One call of `fit`, from when it is made until what came of it is known. */
export class Stretch {
  readonly #cancel = new AbortController();
  readonly #loop: Loop;
  readonly #listeners: readonly Callback[];
  /** Least milliseconds between two steps that are told; 0: all of them are. */
  readonly #everyMs: number;
  readonly #answers: Promise<unknown>[] = [];
  readonly #start: RunStart;
  #failure: { readonly error: unknown } | undefined;
  /** When each listener was told of a step last. */
  readonly #toldAt: number[] = [];
  #end = 0;
  /** Steps told. */
  #told = 0;
  /** Steps done. */
  done = 0;
  /** Elements of the first tensors of its batches. */
  items = 0;
  /** Losses of its steps, as far as they are known. */
  readonly losses: number[] = [];
  seconds = 0;
  /** The last step told. */
  last: TrainingProgress | undefined;

  constructor(loop: Loop, listeners: readonly Callback[], start: RunStart) {
    this.#loop = loop;
    this.#listeners = listeners;
    this.#everyMs = Math.min(LOOK_MS, ...listeners.map(({ everyMs }) => everyMs ?? 0));
    this.#start = start;
  }

  /** Ends it behind the last step that is done. */
  interrupt(): void {
    this.#cancel.abort();
  }

  /** Whether a callback answered with a promise. */
  get isAwaited(): boolean {
    return this.#answers.length > 0;
  }

  /** Does the steps, and calls `told` with the number of each. */
  async run(
    { task, trainer, source }: Running,
    asked: { readonly index: number; readonly steps: number; readonly perStep: number; readonly rng: Key },
    signal: CancelSignal | undefined,
    told: (step: number) => void,
  ): Promise<void> {
    const { index, steps, perStep, rng } = asked;
    const before = this.#loop.step;
    this.#end = before + steps;
    const batches = source.take(steps * perStep, WAITING + perStep);
    const updates = trainer.updates;
    const abort = (): void => this.interrupt();
    /** Whether all was heard that is yet to be told. */
    let isHeard = (): boolean => this.#everyMs > 0 || this.#told >= this.done;
    signal?.addEventListener('abort', abort, { once: true });
    try {
      const report = await trainer.fit(batches, {
        steps,
        firstStep: before + 1,
        rng,
        schedule: task.lrSchedule ?? undefined,
        signal: this.#cancel.signal,
        reportEveryMs: this.#everyMs,
        onProgress: (progress) => {
          told(progress.step);
          this.#hear(index, progress);
        },
      });
      this.seconds = report.seconds;
      if (this.#everyMs > 0) this.losses.push(...report.losses);
      // The last step is told in any case, unless the steps ended before it: with the batches, or as another rank was stopped.
      if (report.steps === steps) isHeard = () => this.last?.step === this.#end;
    } catch (error) {
      // That it was interrupted is no failure of its own.
      if (!this.#cancel.signal.aborted) this.#failure ??= { error };
    }
    this.done = trainer.updates - updates;
    for (let turn = 0; turn < TURNS && !isHeard(); turn += 1) await nextTurn();
    signal?.removeEventListener('abort', abort);
    batches.settle(this.done * perStep);
  }

  /** What callbacks answered, or what was thrown. */
  async answers(): Promise<readonly unknown[]> {
    const answers = await Promise.all(this.#answers);
    if (this.#failure !== undefined) throw this.#failure.error;
    return answers;
  }

  #hear(task: number, progress: TrainingProgress): void {
    const { first, began, items } = this.#start;
    this.#told += 1;
    this.last = progress;
    this.items = progress.items;
    if (this.#everyMs === 0) this.losses.push(progress.loss);
    if (this.#listeners.length === 0) return;
    const now = performance.now();
    const event = {
      ...progress,
      task,
      done: progress.step - first,
      seconds: (now - began) / 1000,
      items: items + progress.items,
    };
    for (const [i, listener] of this.#listeners.entries()) {
      const since = now - (this.#toldAt[i] ?? -Infinity);
      if (since < (listener.everyMs ?? 0) && progress.step !== this.#end) continue;
      this.#toldAt[i] = now;
      try {
        const answer = listener.onStep?.(this.#loop, event);
        if (answer === 'stop') this.#loop.stop();
        if (!isThenable(answer)) continue;
        const settled = Promise.resolve(answer);
        // It is awaited when the steps have ended; until then nobody else hears that it was rejected.
        settled.catch(() => {});
        this.#answers.push(settled);
      } catch (error) {
        this.#failure ??= { error };
      }
      this.interrupt();
    }
  }
}
