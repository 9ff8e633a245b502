/**
 * Which value of a metric is the best.
 *
 * @module
 */
import { type History } from '../history.js';

/** Which values of a metric are better: lower ones, as of a loss, or higher ones, as of an accuracy. */
export type Objective = 'min' | 'max';

/** Whether a value is better than another, by more than `by`. NaN is never better, and anything is better than NaN. */
export function isBetter(value: number, than: number, mode: Objective, by: number = 0): boolean {
  if (Number.isNaN(value)) return false;
  return Number.isNaN(than) || (mode === 'min' ? value < than - by : value > than + by);
}

/** Whether the last value of a metric was measured at the step, and none before it was better. */
export function isBest(history: History, metric: string, mode: Objective, step: number): boolean {
  const entries = history.get('eval', `metrics/${metric}`);
  const last = entries.at(-1);
  return last?.step === step && entries.every(({ value }) => !isBetter(value, last.value, mode));
}
