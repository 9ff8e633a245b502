import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LayerError } from '../../bridge/errors.js';
import { type Callback } from '../loop/callback.js';
import { type Loop } from '../loop/loop.js';
import { type Filled, filled } from '../refusal.js';

/** Options of {@link training.LearningRateFinder}. */
export interface LearningRateFinderOptions {
  /** Learning rate of the first step, 1e-6 if left out. */
  readonly minRate?: number | undefined;
  /** Learning rate of the last step, 1 if left out. */
  readonly maxRate?: number | undefined;
  /** Steps of the sweep, 100 if left out. */
  readonly nSteps?: number | undefined;
  /** How many times the lowest loss a loss must be for the sweep to end there, 4 if left out. */
  readonly diverged?: number | undefined;
}

/**
 * Looks for a learning rate before a run: it trains some steps with rates that rise, and goes back to where it began, bit for bit.
 *
 * It suggests a tenth of the rate with the lowest loss, and uses it nowhere: a run of 0 steps is the sweep alone. Source: Smith 2015, arXiv:1506.01186.
 *
 * @example
 * ```ts
 * const x = tl.random.normal(tl.random.key(0), [16, 3]);
 * const task = new tl.training.TrainTask([[x, x.sum({ axis: 1, keepdims: true }), tl.ones([16, 1])]], tl.L2Loss(), tl.optimizers.SGD());
 * const finder = new tl.training.LearningRateFinder({ maxRate: 10 });
 * await new tl.training.Loop(tl.Dense(1), task, { randomSeed: 0, callbacks: [finder] }).run(0);
 * finder.suggestion! > 1e-3; // → true
 * ```
 */
export class LearningRateFinder implements Callback {
  readonly #options: Filled<LearningRateFinderOptions>;
  /** Learning rates of the sweep. */
  rates: number[] = [];
  /** The loss of each. */
  losses: number[] = [];
  /** The learning rate that it suggests; `null` before the sweep. */
  suggestion: number | null = null;

  /**
   * Makes the callback.
   *
   * @param options - Options by name:
   * - `minRate`: Learning rate of the first step. Default: `1e-6`.
   * - `maxRate`: Learning rate of the last step. Default: `1`.
   * - `nSteps`: Steps of the sweep. Default: `100`.
   * - `diverged`: How many times the lowest loss a loss must be for the sweep to end there. Default: `4`.
   * @throws {@link LayerError} `InvalidOption`: an option is unknown or outside its bounds.
   */
  constructor(options: LearningRateFinderOptions = {}) {
    this.#options = filled('LearningRateFinder', options);
  }

  async onStart(loop: Loop): Promise<void> {
    const { minRate, maxRate, nSteps, diverged } = this.#options;
    const [trainer] = await loop.prepare();
    const folder = await mkdtemp(join(tmpdir(), 'tallow-rate-'));
    const path = join(folder, 'before.safetensors');
    [this.rates, this.losses] = [[], []];
    try {
      await trainer!.save(path, 0);
      try {
        for (const [i, batch] of (await loop.peekBatches(nSteps)).entries()) {
          const learningRate = minRate * (maxRate / minRate) ** (i / Math.max(1, nSteps - 1));
          const schedule = (): number => learningRate;
          const { losses } = await trainer!.fit([batch], {
            steps: 1,
            firstStep: i + 1,
            rng: loop.rngOfStep(i + 1),
            schedule,
          });
          this.rates.push(learningRate);
          this.losses.push(losses[0]!);
          if (losses[0]! > diverged * Math.min(...this.losses)) break;
        }
      } catch (error) {
        // A rate that leads to no number is too high; the sweep ends there.
        if (!(error instanceof LayerError && error.code === 'NotFinite')) throw error;
      } finally {
        await trainer!.load(path);
      }
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
    const best = this.losses.indexOf(Math.min(...this.losses));
    this.suggestion = best < 0 ? null : this.rates[best]! / 10;
  }
}
