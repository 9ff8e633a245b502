import { join } from 'node:path';
import { text } from '../../bridge/found.js';
import { type Callback, type EvalEvent } from '../loop/callback.js';
import { type Loop } from '../loop/loop.js';
import { isLeftOut, refusal } from '../refusal.js';
import { SummaryWriter } from '../summaryWriter.js';
import { measured } from './rows.js';

/**
 * Writes event files for TensorBoard at each evaluation: losses, learning rate, norms and speed to `train/`, metrics to `eval/`.
 *
 * The values are those that the history has of the step, under the same names. A run that goes on from a checkpoint adds a file to the folder; values of
 * steps that are computed again stand in both. `tensorboard --logdir <folder>` shows them while the program runs.
 *
 * @see {@link training.SummaryWriter}
 * @example
 * ```ts
 * const batches = [[tl.ones([8, 3]), tl.ones([8, 1]), tl.ones([8, 1])]];
 * const task = new tl.training.TrainTask(batches, tl.L2Loss(), tl.optimizers.SGD());
 * const callbacks = [new tl.training.TensorBoard()];
 * const loop = new tl.training.Loop(tl.Dense(1), task, { outputDir: 'runs/board', randomSeed: 0, callbacks });
 * await loop.run(1);
 * ```
 */
export class TensorBoard implements Callback {
  /** Only the chief writes. */
  readonly chiefOnly = true;
  readonly #dir: string | null;
  readonly #writers = new Map<string, SummaryWriter>();

  /**
   * Makes the callback.
   *
   * @param dir - Folder of `train/` and `eval/`, which is made if it is missing; the loop's `outputDir` if left out.
   * @throws `TypeError`: `dir` is not a string.
   */
  constructor(dir?: string | null) {
    this.#dir = isLeftOut(dir) ? null : text('TensorBoard: dir', dir);
  }

  onStart(loop: Loop): void {
    if (!loop.fastDevRun) this.#folder(loop);
  }

  onEval(loop: Loop, { step }: EvalEvent): void {
    if (loop.fastDevRun) return;
    for (const [mode, metric, value] of measured(loop, step)) this.#writer(loop, mode).scalar(metric, value, step);
    for (const writer of this.#writers.values()) writer.flush();
  }

  onEnd(): void {
    const writers = [...this.#writers.values()];
    this.#writers.clear();
    for (const writer of writers) writer.close();
  }

  #folder(loop: Loop): string {
    const dir = this.#dir ?? loop.outputDir;
    if (dir !== null) return dir;
    throw refusal(
      'InvalidOption',
      'TensorBoard: there is no folder to write to: give it `dir`, or the loop an `outputDir`',
    );
  }

  /** The writer of a mode, which is made with its first value. */
  #writer(loop: Loop, mode: string): SummaryWriter {
    const writer = this.#writers.get(mode) ?? new SummaryWriter(join(this.#folder(loop), mode));
    this.#writers.set(mode, writer);
    return writer;
  }
}
