import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Callback, type CheckpointEvent, type StepEvent } from '../loop/callback.js';
import { type Loop } from '../loop/loop.js';
import { filled } from '../refusal.js';

/** Options of {@link training.LastCheckpoints}. */
export interface LastCheckpointsOptions {
  /** How many are kept, 3 if left out. */
  readonly count?: number | undefined;
  /** Steps between two of them; left out, there is one whenever the loop writes its own. */
  readonly nSteps?: number | null | undefined;
}

/**
 * Keeps the last checkpoints, under names with their steps, and deletes those before them.
 *
 * @see {@link training.BestCheckpoint}
 * @example
 * ```ts
 * const last = new tl.training.LastCheckpoints({ count: 2, nSteps: 500 });
 * last.names; // → []
 * ```
 */
export class LastCheckpoints implements Callback {
  /** Only the chief writes. */
  readonly chiefOnly = true;
  readonly #options: { readonly count: number; readonly nSteps: number | null };
  /** Names of the checkpoints that it wrote and that are there, the oldest first. */
  readonly names: string[] = [];

  /**
   * Makes the callback.
   *
   * @param options - Options by name:
   * - `count`: How many are kept. Default: `3`.
   * - `nSteps`: Steps between two of them; `null`: one whenever the loop writes its own. Default: `null`.
   * @throws {@link LayerError} `InvalidOption`: an option is unknown or outside its bounds.
   */
  constructor(options: LastCheckpointsOptions = {}) {
    this.#options = filled('LastCheckpoints', options);
  }

  onStep(loop: Loop, { step }: StepEvent): Promise<void> | undefined {
    const { nSteps } = this.#options;
    return nSteps !== null && step % nSteps === 0 ? this.#keep(loop, step) : undefined;
  }

  async onCheckpoint(loop: Loop, { step, name }: CheckpointEvent): Promise<void> {
    if (this.#options.nSteps === null && name === 'model') await this.#keep(loop, step);
  }

  async #keep(loop: Loop, step: number): Promise<void> {
    const { outputDir } = loop;
    if (outputDir === null) return;
    const name = `last_${step}`;
    await loop.saveCheckpoint(name);
    this.names.push(name);
    for (const old of this.names.splice(0, this.names.length - this.#options.count)) {
      const files = (await readdir(outputDir)).filter((file) => file.startsWith(`${old}.`));
      for (const file of files) await rm(join(outputDir, file), { force: true });
    }
  }
}
