import { isBest, type Objective } from '../loop/best.js';
import { type Callback, type EvalEvent } from '../loop/callback.js';
import { type Loop } from '../loop/loop.js';
import { type Filled, filled } from '../refusal.js';
import { checkMetric } from './metric.js';

/** Options of {@link training.BestCheckpoint}. */
export interface BestCheckpointOptions {
  /** Name of the metric, as evaluations name it. */
  readonly metric: string;
  /** Which values are better, `'min'` if left out. */
  readonly mode?: Objective | undefined;
  /** Name of the checkpoint, `'best'` if left out. */
  readonly name?: string | undefined;
}

/**
 * Keeps the checkpoint with the best value of a metric.
 *
 * @see {@link training.LastCheckpoints}
 * @example
 * ```ts
 * const best = new tl.training.BestCheckpoint({ metric: 'accuracy', mode: 'max' });
 * best.path; // → null
 * ```
 */
export class BestCheckpoint implements Callback {
  /** Only the chief writes. */
  readonly chiefOnly = true;
  readonly #options: Filled<BestCheckpointOptions>;
  /** Path of the checkpoint that it wrote last; `null` if it wrote none. */
  path: string | null = null;

  /**
   * Makes the callback.
   *
   * @param options - Options by name:
   * - `metric`: Name of the metric, as evaluations name it.
   * - `mode`: Which values are better, `'min'` or `'max'`. Default: `'min'`.
   * - `name`: Name of the checkpoint in the loop's `outputDir`. Default: `'best'`.
   * @throws {@link LayerError} `InvalidOption`: an option is unknown, missing or outside its bounds.
   */
  constructor(options: BestCheckpointOptions) {
    this.#options = filled('BestCheckpoint', options);
  }

  async onEval(loop: Loop, { step, metrics }: EvalEvent): Promise<void> {
    const { metric, mode, name } = this.#options;
    checkMetric('BestCheckpoint', metric, metrics);
    if (loop.fastDevRun || !isBest(loop.history, metric, mode, step)) return;
    this.path = await loop.saveCheckpoint(name);
  }
}
