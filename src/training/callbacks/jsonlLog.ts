import { isRecord, text } from '../../bridge/found.js';
import { type Callback, type EvalEvent } from '../loop/callback.js';
import { type Loop } from '../loop/loop.js';
import { measuredByName, Rows } from './rows.js';

/**
 * Writes a line of JSON for each evaluation: the step, and all values that the history has of it.
 *
 * A run that goes on from a checkpoint adds to the file; lines of steps that are computed again, and one that was broken off, are left out.
 *
 * @see {@link training.CsvLog}
 * @example
 * ```ts
 * const batches = [[tl.ones([8, 3]), tl.ones([8, 1]), tl.ones([8, 1])]];
 * const task = new tl.training.TrainTask(batches, tl.L2Loss(), tl.optimizers.SGD());
 * const callbacks = [new tl.training.JsonlLog('log.jsonl')];
 * const loop = new tl.training.Loop(tl.Dense(1), task, { randomSeed: 0, callbacks });
 * await loop.run(1);
 * ```
 */
export class JsonlLog implements Callback {
  /** Only the chief writes. */
  readonly chiefOnly = true;
  readonly #rows: Rows;

  /**
   * Makes the callback.
   *
   * @param path - Path of the file; its folder is made if it is missing.
   * @throws `TypeError`: `path` is not a string.
   */
  constructor(path: string) {
    this.#rows = new Rows('JsonlLog', text('JsonlLog: path', path));
  }

  async onStart(loop: Loop): Promise<void> {
    if (loop.fastDevRun) return;
    await this.#rows.open((line) => {
      try {
        const row: unknown = JSON.parse(line);
        return isRecord(row) && typeof row['step'] === 'number' && row['step'] <= loop.step;
      } catch {
        return false;
      }
    });
  }

  async onEval(loop: Loop, { step }: EvalEvent): Promise<void> {
    if (loop.fastDevRun) return;
    await this.#rows.add(JSON.stringify({ step, ...Object.fromEntries(measuredByName(loop, step)) }));
  }
}
