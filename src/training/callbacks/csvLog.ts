import { text } from '../../bridge/found.js';
import { type Callback, type EvalEvent } from '../loop/callback.js';
import { type Loop } from '../loop/loop.js';
import { refusal } from '../refusal.js';
import { measuredByName, Rows } from './rows.js';

/** A name as a field of CSV. */
const field = (name: string): string => (/[",\r\n]/.test(name) ? `"${name.replaceAll('"', '""')}"` : name);

/**
 * Writes a row of CSV for each evaluation: the step, and all values that the history has of it, in columns that the first row names.
 *
 * A run that goes on from a checkpoint adds to the file; rows of steps that are computed again, and one that was broken off, are left out.
 *
 * @see {@link training.JsonlLog}
 * @example
 * ```ts
 * const batches = [[tl.ones([8, 3]), tl.ones([8, 1]), tl.ones([8, 1])]];
 * const task = new tl.training.TrainTask(batches, tl.L2Loss(), tl.optimizers.SGD());
 * const callbacks = [new tl.training.CsvLog('log.csv')];
 * const loop = new tl.training.Loop(tl.Dense(1), task, { randomSeed: 0, callbacks });
 * await loop.run(1);
 * ```
 */
export class CsvLog implements Callback {
  /** Only the chief writes. */
  readonly chiefOnly = true;
  readonly #path: string;
  readonly #rows: Rows;
  #head: string | undefined;

  /**
   * Makes the callback.
   *
   * @param path - Path of the file; its folder is made if it is missing.
   * @throws `TypeError`: `path` is not a string.
   */
  constructor(path: string) {
    this.#path = text('CsvLog: path', path);
    this.#rows = new Rows('CsvLog', this.#path);
  }

  async onStart(loop: Loop): Promise<void> {
    if (loop.fastDevRun) return;
    const isKept = (line: string): boolean => line.startsWith('step') || Number.parseInt(line, 10) <= loop.step;
    [this.#head] = await this.#rows.open(isKept);
  }

  async onEval(loop: Loop, { step }: EvalEvent): Promise<void> {
    if (loop.fastDevRun) return;
    const values = measuredByName(loop, step);
    const head = ['step', ...values.map(([name]) => field(name))].join(',');
    if (this.#head === undefined) await this.#rows.add(head);
    this.#head ??= head;
    if (this.#head !== head) {
      const what = `${this.#path} has the columns ${this.#head}, and the run has ${head}: give another path`;
      throw refusal('InvalidArgument', `CsvLog: ${what}`);
    }
    await this.#rows.add([step, ...values.map(([, value]) => value)].join(','));
  }
}
