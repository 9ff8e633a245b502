import { found } from '../../bridge/found.js';
import { namedOptions } from '../../tensor/rest.js';
import { type Callback } from '../loop/callback.js';
import { type Loop } from '../loop/loop.js';
import { filled, isLeftOut, refusal } from '../refusal.js';

/** Options of {@link training.StopAt}, of which one is given. */
export interface StopAtOptions {
  /** Seconds after the run began. */
  readonly seconds?: number | null | undefined;
  /** When to stop. */
  readonly date?: Date | null | undefined;
}

/**
 * Stops a run behind the first step after a time.
 *
 * @example
 * ```ts
 * const task = new tl.training.TrainTask([[tl.ones([8, 3]), tl.ones([8, 1]), tl.ones([8, 1])]], tl.L2Loss(), tl.optimizers.SGD());
 * const callbacks = [new tl.training.StopAt({ seconds: 0 })];
 * const loop = new tl.training.Loop(tl.Dense(1), task, { randomSeed: 0, callbacks });
 * await loop.run(1_000_000);
 * loop.step; // → 1
 * ```
 */
export class StopAt implements Callback {
  readonly #seconds: number | null;
  readonly #date: Date | null;
  #began = 0;

  /**
   * Makes the callback.
   *
   * @param options - Options by name, of which one is given:
   * - `seconds`: Seconds after the run began.
   * - `date`: When to stop.
   * @throws `TypeError`: `date` is not a valid date.
   * @throws {@link LayerError} `InvalidOption`: an option is unknown or outside its bounds, or not one of them is given.
   */
  constructor(options: StopAtOptions) {
    const { date, ...rest } = namedOptions('StopAt', options) ?? {};
    const { seconds } = filled<{ seconds: number | null }>('StopAt', rest);
    if (isLeftOut(date) === (seconds === null)) {
      throw refusal('InvalidOption', 'StopAt: give either `seconds`, a number, or `date`, a Date');
    }
    if (!isLeftOut(date) && !(date instanceof Date && Number.isFinite(date.getTime()))) {
      throw new TypeError(`StopAt: date must be a valid Date, got ${found(date)}`);
    }
    this.#seconds = seconds;
    this.#date = date ?? null;
  }

  onStart(): void {
    this.#began = performance.now();
  }

  onStep(_loop: Loop): 'stop' | undefined {
    if (this.#date !== null) return Date.now() >= this.#date.getTime() ? 'stop' : undefined;
    return (performance.now() - this.#began) / 1000 >= this.#seconds! ? 'stop' : undefined;
  }
}
