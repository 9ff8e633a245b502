import { shownCount } from '../../seeing/table.js';
import { namedOptions } from '../../tensor/rest.js';
import { type Callback, type EvalEvent, type RunEvent, type StepEvent } from '../loop/callback.js';
import { type Loop } from '../loop/loop.js';
import { ProgressBar, type ProgressBarOptions } from '../progressBar.js';
import { filled } from '../refusal.js';

/** Options of {@link training.Progress}. */
export interface ProgressOptions extends ProgressBarOptions {
  /** Least milliseconds between two times that it shows something, 100 if left out. */
  readonly everyMs?: number | undefined;
}

/** Metrics as a text that stands beside the loss. */
const shown = (metrics: Readonly<Record<string, number>>): string =>
  Object.entries(metrics)
    .map(([name, value]) => ` · eval ${name} ${value.toPrecision(4)}`)
    .join('');

/**
 * Shows how far a run is, with the loss and the metrics of the last evaluation: a bar in a terminal, elsewhere a line at every tenth.
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
  /** Only the chief shows something. */
  readonly chiefOnly = true;
  /** Least milliseconds between two times that it shows something. */
  readonly everyMs: number;
  readonly #options: ProgressBarOptions;
  #bar: ProgressBar | undefined;
  #shown = 0;
  #metrics = '';

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
    this.everyMs = filled<{ everyMs: number }>('Progress', rest).everyMs;
    this.#options = stream === undefined ? {} : { stream };
  }

  onStart(_loop: Loop, { steps }: RunEvent): void {
    [this.#shown, this.#metrics] = [-Infinity, ''];
    this.#bar = steps > 0 ? new ProgressBar(steps, this.#options) : undefined;
  }

  onStep(_loop: Loop, { done, loss, items, seconds }: StepEvent): void {
    const now = performance.now();
    if (done !== this.#bar?.total && now - this.#shown < this.everyMs) return;
    this.#shown = now;
    this.#bar?.update(done, () => {
      const speed = shownCount(Math.round(items / seconds));
      return `loss ${loss.toPrecision(4)}${this.#metrics} · ${speed} items/s`;
    });
  }

  onEval(_loop: Loop, { metrics }: EvalEvent): void {
    this.#metrics = shown(metrics);
  }

  onEnd(): void {
    this.#bar?.stop();
  }
}
