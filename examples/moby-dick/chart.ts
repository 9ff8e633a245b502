/** The loss curve, with what it is held against. */
import * as tl from 'tallow';
import type { Score } from './evaluate.js';

/**
 * Bits per character by step: the losses of training, and each score as a line across.
 *
 * @param title - what stands above the picture
 * @param losses - in nats, by step
 */
export function curveOf(
  title: string,
  losses: readonly tl.training.HistoryEntry[],
  scores: readonly Score[],
): tl.training.History {
  const curve = new tl.training.History();
  for (const { step, value } of losses) curve.append('Training', title, step, value / Math.LN2);
  for (const { name, bits } of scores) {
    for (const { step } of losses) curve.append(`${name} ${bits.toFixed(2)}`, title, step, bits);
  }
  return curve;
}
