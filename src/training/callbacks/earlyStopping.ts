import { isBetter, type Objective } from '../loop/best.js';
import { type Callback, type EvalEvent } from '../loop/callback.js';
import { type Loop } from '../loop/loop.js';
import { type Filled, filled } from '../refusal.js';
import { checkMetric } from './metric.js';

/** Options of {@link training.EarlyStopping}. */
export interface EarlyStoppingOptions {
  /** Name of the metric, as evaluations name it. */
  readonly metric: string;
  /** Evaluations without a better value before it stops, 3 if left out. */
  readonly patience?: number | undefined;
  /** By how much a value must be better to count, 0 if left out. */
  readonly minDelta?: number | undefined;
  /** Which values are better, `'min'` if left out. */
  readonly mode?: Objective | undefined;
}

/**
 * Stops a run when a metric no longer gets better.
 *
 * It looks at the history of the loop, so that a run that goes on from a checkpoint stops where it would have stopped.
 *
 * @see {@link training.BestCheckpoint}
 * @example
 * ```ts
 * const stopper = new tl.training.EarlyStopping({ metric: 'loss', patience: 5 });
 * stopper.stoppedAt; // → null
 * ```
 */
export class EarlyStopping implements Callback {
  readonly #options: Filled<EarlyStoppingOptions>;
  /** Number of steps done when it stopped a run; `null` if it did not. */
  stoppedAt: number | null = null;

  /**
   * Makes the callback.
   *
   * @param options - Options by name:
   * - `metric`: Name of the metric, as evaluations name it.
   * - `patience`: Evaluations without a better value before it stops. Default: `3`.
   * - `minDelta`: By how much a value must be better to count. Default: `0`.
   * - `mode`: Which values are better, `'min'` or `'max'`. Default: `'min'`.
   * @throws {@link LayerError} `InvalidOption`: an option is unknown, missing or outside its bounds.
   */
  constructor(options: EarlyStoppingOptions) {
    this.#options = filled('EarlyStopping', options);
  }

  onEval(loop: Loop, { step, metrics }: EvalEvent): 'stop' | undefined {
    const { metric, patience, minDelta, mode } = this.#options;
    checkMetric('EarlyStopping', metric, metrics);
    let [best, since] = [Number.NaN, 0];
    for (const { value } of loop.history.get('eval', `metrics/${metric}`)) {
      since += 1;
      if (isBetter(value, best, mode, minDelta)) [best, since] = [value, 0];
    }
    if (since < patience) return undefined;
    this.stoppedAt = step;
    return 'stop';
  }
}
