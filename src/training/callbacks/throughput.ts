import { type Callback, type EvalEvent, type StepEvent } from '../loop/callback.js';
import { type Loop } from '../loop/loop.js';

/**
 * Measures how fast a run is; evaluations and checkpoints do not count.
 *
 * It adds `training/items per second` to the history at each evaluation. Items are the elements of the first tensor of a batch: tokens, for sequences.
 *
 * @example
 * ```ts
 * const task = new tl.training.TrainTask([[tl.ones([8, 3]), tl.ones([8, 1]), tl.ones([8, 1])]], tl.L2Loss(), tl.optimizers.SGD());
 * const throughput = new tl.training.Throughput();
 * const loop = new tl.training.Loop(tl.Dense(1), task, { randomSeed: 0, callbacks: [throughput] });
 * await loop.run(20);
 * throughput.itemsPerSecond > 0; // → true
 * ```
 */
export class Throughput implements Callback {
  /** Least milliseconds between two looks at how far the run is. */
  readonly everyMs = 100;
  #steps = 0;
  #items = 0;
  #seconds = 0;
  #last: StepEvent | undefined;

  /** Steps a second, since the run began. */
  get stepsPerSecond(): number {
    return this.#steps / this.#seconds;
  }
  /** Items a second, since the run began. */
  get itemsPerSecond(): number {
    return this.#items / this.#seconds;
  }

  onStart(): void {
    [this.#steps, this.#items, this.#seconds, this.#last] = [0, 0, 0, undefined];
  }

  onStep(_loop: Loop, step: StepEvent): void {
    // Of the first step, and of the first behind something else, it is not known how long it took.
    if (this.#last !== undefined) {
      this.#steps += step.done - this.#last.done;
      this.#items += step.items - this.#last.items;
      this.#seconds += step.seconds - this.#last.seconds;
    }
    this.#last = step;
  }

  onEval(loop: Loop, { step }: EvalEvent): void {
    this.#last = undefined;
    if (this.#steps > 0) loop.history.append('train', 'training/items per second', step, this.itemsPerSecond);
  }

  onCheckpoint(): void {
    this.#last = undefined;
  }
}
