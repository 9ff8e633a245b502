/**
 * What is called on the way of a loop.
 *
 * @module
 */
import { type Loop } from './loop.js';
import { type TrainingProgress } from '../trainer.js';

/** What a callback answers: `'stop'` ends the run behind the step just done. */
// oxlint-disable-next-line typescript/no-invalid-void-type -- most callbacks return nothing
export type CallbackAnswer = void | 'stop' | Promise<void | 'stop'>;

/** A run that begins. */
export interface RunEvent {
  /** Steps to do. */
  readonly steps: number;
}

/** A step just done, as {@link training.Callback.onStep} is told of it: `done`, `seconds` and `items` count from where the run began. */
export interface StepEvent extends TrainingProgress {
  /** Number of the task. */
  readonly task: number;
}

/** An evaluation just done. */
export interface EvalEvent {
  /** Number of steps done. */
  readonly step: number;
  /** Value of each metric, by name. */
  readonly metrics: Readonly<Record<string, number>>;
}

/** A checkpoint just written. */
export interface CheckpointEvent {
  /** Number of steps done. */
  readonly step: number;
  /** Name of the checkpoint. */
  readonly name: string;
  /** Path of the file. */
  readonly path: string;
}

/** How a run ended. */
export interface RunReport {
  /** Steps done in this run. */
  readonly steps: number;
  /** Seconds they took, with evaluations and checkpoints. */
  readonly seconds: number;
  /** Whether a callback or {@link training.Loop.stop} ended it. */
  readonly stopped: boolean;
}

/** What ended a run before its time. */
export interface FailureEvent {
  /** What was thrown. */
  readonly error: unknown;
  /** Number of steps done: weights are those behind the last of them. */
  readonly step: number;
  /** Number of the task whose step failed; `null` if it was no step. */
  readonly task: number | null;
}

/**
 * What a program does on the way of a {@link training.Loop}; a callback has any of these functions.
 *
 * The loop waits for what they return. One that throws ends the run with its error; the steps that were done stay.
 */
export interface Callback {
  /**
   * Least milliseconds between two steps that `onStep` is told of; left out, it is told of each. Of the first and the last step between two evaluations or
   * checkpoints it is told in any case. Steps that no callback is told of cost nothing.
   */
  readonly everyMs?: number | undefined;
  /**
   * Whether only the chief calls it, where several ranks train: for what writes files or shows something. Left out: all ranks do, each on its own.
   */
  readonly chiefOnly?: boolean | undefined;
  /** The run begins. */
  onStart?(loop: Loop, run: RunEvent): CallbackAnswer;
  /**
   * A step was done: each of them, or some of them with `everyMs`.
   *
   * Weights stay as they are until this returns, and the gradients of the next step are computed meanwhile. If it returns a promise, the loop does
   * one step at a time from then on.
   */
  onStep?(loop: Loop, step: StepEvent): CallbackAnswer;
  /** Metrics were evaluated. */
  onEval?(loop: Loop, results: EvalEvent): CallbackAnswer;
  /** A checkpoint was written; where several ranks train, by the chief, whose callbacks alone are told. */
  onCheckpoint?(loop: Loop, checkpoint: CheckpointEvent): CallbackAnswer;
  /** The run failed; what this throws takes the place of the error. */
  onError?(loop: Loop, failure: FailureEvent): CallbackAnswer;
  /** The run is over, however it ended. */
  onEnd?(loop: Loop, report: RunReport): CallbackAnswer;
}
