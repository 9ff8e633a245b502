/** How well a model predicts a text: bits per character. */
import * as tl from '../../src/index.js';

/** A piece of the text for the model to read, and from which of its characters on they count. */
export interface Window {
  readonly start: number;
  readonly countFrom: number;
}

/**
 * Windows that overlap by half, so that each character counts once and, but for the first ones, is predicted from at
 * least half a window.
 *
 * @param size - characters in the text, at least `length`
 * @param length - characters in a window, at least 2
 */
export function windows(size: number, length: number): Window[] {
  const half = Math.floor(length / 2);
  const found = [{ start: 0, countFrom: 0 }];
  for (let counted = length; counted < size; ) {
    const start = Math.min(counted - half, size - length);
    found.push({ start, countFrom: counted - start });
    counted = start + length;
  }
  return found;
}

/** How many windows are read at once. */
const AT_ONCE = 32;

/**
 * Bits per character of a text under a language model.
 *
 * @param model - an initialized model from tokens to logits, in any mode
 * @param ids - the text, at least `length` characters
 * @param length - the most characters the model reads at once
 * @param signal - stops the measurement; the promise is rejected with its reason
 */
export async function bitsPerCharacter(model: tl.Layer, ids: Int32Array, length: number, signal?: AbortSignal): Promise<number> {
  const measure = tl.Serial(model, tl.WeightedCategoryCrossEntropy()).withMode('eval');
  const all = windows(ids.length, length);
  let nats = 0;
  for (let i = 0; i < all.length; i += AT_ONCE) {
    const some = all.slice(i, i + AT_ONCE);
    const tokens = new Int32Array(some.length * length);
    const counts = new Float32Array(some.length * length);
    some.forEach(({ start, countFrom }, row) => {
      tokens.set(ids.subarray(start, start + length), row * length);
      counts.fill(1, row * length + countFrom, (row + 1) * length);
    });
    const shape = [some.length, length];
    const inputs = tl.tensor(tokens, shape);
    const weights = tl.tensor(counts, shape);
    // The loss is a mean over what counts; the sum is what adds up.
    const loss = await measure.callAsync([inputs, inputs, weights], signal === undefined ? {} : { signal });
    nats += loss.item() * counts.reduce((sum, count) => sum + count, 0);
    for (const t of [inputs, weights, loss]) t.dispose();
  }
  return nats / Math.LN2 / ids.length;
}
