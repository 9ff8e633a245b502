/**
 * What training measured since the last evaluation.
 *
 * @module
 */
import { type History } from '../history.js';
import { type TrainingProgress } from '../trainer.js';
import { type Stretch } from './stretch.js';

/** Sums over the steps since the last evaluation. */
export interface Sums {
  readonly loss: number;
  readonly steps: number;
  readonly seconds: number;
}

const NOTHING: Sums = { loss: 0, steps: 0, seconds: 0 };

/** Gathers what steps measure until it goes to the history. */
export class Tally {
  /** Sums so far. */
  sums: Sums;
  #last: TrainingProgress | undefined;

  constructor(sums: Sums = NOTHING) {
    this.sums = sums;
  }

  /** Adds the steps of a stretch. */
  add({ losses, seconds, last }: Stretch): void {
    this.#last = last ?? this.#last;
    this.sums = {
      loss: losses.reduce((sum, loss) => sum + loss, this.sums.loss),
      steps: this.sums.steps + losses.length,
      seconds: this.sums.seconds + seconds,
    };
  }

  /** Writes the means to the history, the loss under a name, and begins anew. */
  record(history: History, step: number, lossName: string): void {
    const { loss, steps, seconds } = this.sums;
    const add = (name: string, value: number): void => history.append('train', name, step, value);
    if (steps > 0) {
      add(`metrics/${lossName}`, loss / steps);
      add('training/steps per second', steps / seconds);
    }
    if (this.#last !== undefined) {
      add('training/learning_rate', this.#last.learningRate);
      add('training/gradients_l2', this.#last.gradientsL2);
      add('training/weights_l2', this.#last.weightsL2);
    }
    this.sums = NOTHING;
  }
}
