/** How well a model predicts a text: bits per character. */
import * as tl from 'tallow';

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
  for (let counted = length; counted < size;) {
    const start = Math.min(counted - half, size - length);
    found.push({ start, countFrom: counted - start });
    counted = start + length;
  }
  return found;
}

/** A model's name and its bits per character. */
export interface Score {
  readonly name: string;
  readonly bits: number;
}

/** One line on how a model does beside others. */
export function verdict({ name, bits }: Score, rivals: readonly Score[]): string {
  const list = (some: readonly Score[]): string => some.map((rival) => rival.name).join(' and ');
  const behind = rivals.filter((rival) => rival.bits > bits);
  const ahead = rivals.filter((rival) => rival.bits <= bits);
  if (ahead.length === 0) return `${name} predicts better than all of them.`;
  if (behind.length === 0) return `${name} predicts no better than any of them; more steps would help.`;
  return `${name} predicts better than ${list(behind)}, but not than ${list(ahead)}; more steps would help.`;
}

/** How many characters are read at once, but for a window longer than that. */
const AT_ONCE = 2048;

/**
 * Bits per character of a text under a language model.
 *
 * @param model - an initialized model from tokens to logits, in any mode
 * @param ids - the text, at least `length` characters
 * @param length - the most characters the model reads at once
 * @param signal - stops the measurement; the promise is rejected with its reason
 */
export async function bitsPerCharacter(
  model: tl.Layer<tl.Tensor, 1>,
  ids: Int32Array,
  length: number,
  signal?: AbortSignal,
): Promise<number> {
  const measure = tl.Serial(model, tl.WeightedCategoryCrossEntropy()).withMode('eval');
  const all = windows(ids.length, length);
  let nats = 0;
  const rows = Math.max(1, Math.floor(AT_ONCE / length));
  for (let i = 0; i < all.length; i += rows) {
    const some = all.slice(i, i + rows);
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
