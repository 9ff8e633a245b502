import { namedOptions } from '../../tensor/rest.js';
import { type Callback, type RunEvent, type StepEvent } from '../callback.js';
import { type Loop } from '../loop.js';
import { ProgressBar, type ProgressBarOptions } from '../progressBar.js';
import { filled } from '../refusal.js';

/** Options of {@link training.Progress}. */
export interface ProgressOptions extends ProgressBarOptions {
  /** Least milliseconds between two times that it shows something, 100 if left out. */
  readonly everyMs?: number | undefined;
}

/**
 * Shows how far a run is, with the loss: a bar in a terminal, elsewhere a line at every tenth.
 *
 * @see {@link training.ProgressBar}
 * @example
 * ```ts
 * const task = new tl.training.TrainTask([[tl.ones([8, 3]), tl.ones([8, 1]), tl.ones([8, 1])]], tl.L2Loss(), tl.optimizers.SGD());
 * const loop = new tl.training.Loop(tl.Dense(1), task, { randomSeed: 0, callbacks: [new tl.training.Progress()] });
 * await loop.run(10);
 * ```
 */
export class Progress implements Callback {
  readonly #everyMs: number;
  readonly #options: ProgressBarOptions;
  #bar: ProgressBar | undefined;
  #shown = 0;

  /**
   * Makes the callback.
   *
   * @param options - Options by name:
   * - `everyMs`: Least milliseconds between two times that it shows something. Default: `100`.
   * - `stream`: What it writes to. Default: `process.stderr`.
   * @throws {@link LayerError} `InvalidOption`: an option is unknown or outside its bounds.
   */
  constructor(options: ProgressOptions = {}) {
    const { stream, ...rest } = namedOptions('Progress', options) ?? {};
    this.#everyMs = filled<{ everyMs: number }>('Progress', rest).everyMs;
    this.#options = stream === undefined ? {} : { stream };
  }

  onStart(_loop: Loop, { steps }: RunEvent): void {
    this.#shown = -Infinity;
    this.#bar = steps > 0 ? new ProgressBar(steps, this.#options) : undefined;
  }

  onStep(_loop: Loop, { done, loss, items, seconds }: StepEvent): void {
    const now = performance.now();
    if (done !== this.#bar?.total && now - this.#shown < this.#everyMs) return;
    this.#shown = now;
    const speed = Math.round(items / seconds).toLocaleString('en-US');
    this.#bar?.update(done, `loss ${loss.toPrecision(4)} · ${speed} items/s`);
  }

  onEnd(): void {
    this.#bar?.stop();
  }
}
