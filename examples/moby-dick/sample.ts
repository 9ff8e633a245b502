/** Text that a trained model makes up. */
import * as tl from 'tallow';

/**
 * A number drawn with probabilities `softmax(logits / temperature)`; 0, which stands for no character, is left out.
 *
 * @param uniform - what decides, from 0 to 1
 */
export function draw(logits: ArrayLike<number>, temperature: number, uniform: number): number {
  let greatest = -Infinity;
  for (let i = 1; i < logits.length; i++) greatest = Math.max(greatest, logits[i]!);
  const shares = Array.from(logits, (logit, i) => (i === 0 ? 0 : Math.exp((logit - greatest) / temperature)));
  let left = uniform * shares.reduce((sum, share) => sum + share, 0);
  let last = 1;
  for (let i = 1; i < shares.length; i++) {
    if (shares[i] === 0) continue;
    last = i;
    left -= shares[i]!;
    if (left < 0) break;
  }
  return last;
}

/**
 * Characters drawn one after another, each given those before it.
 *
 * The model runs step by step: its state holds what it has read. When it has read as much as it can, it begins anew
 * with the last half of it.
 *
 * @param model - an initialized model from tokens to logits, in any mode
 * @param length - the most characters the model reads
 */
export async function sample(
  model: tl.Layer<tl.Tensor, 1>,
  options: {
    readonly count: number;
    readonly length: number;
    readonly temperature: number;
    readonly key: tl.Key;
    readonly signal?: AbortSignal;
  },
): Promise<number[]> {
  const { count, length, temperature, key, signal } = options;
  const uniforms = tl.tidy(() => tl.random.uniform(key, [count]).dataSync());
  const read = async (stepper: tl.Layer<tl.Tensor, 1>, id: number): Promise<tl.Tensor> => {
    const input = tl.tensor(Int32Array.of(id), [1, 1]);
    const logits = await stepper.callAsync(input, signal === undefined ? {} : { signal });
    input.dispose();
    return logits;
  };
  const text: number[] = [];
  let stepper = model.withMode('predict');
  // The model predicts the first character from 0, the start.
  let unread = [0];
  let room = length;
  while (text.length < count) {
    if (room === 0) {
      stepper = model.withMode('predict');
      unread = [0, ...text.slice(-Math.floor(length / 2))];
      room = length;
    }
    let logits: tl.Tensor | undefined;
    for (const id of unread) {
      logits?.dispose();
      logits = await read(stepper, id);
      room--;
    }
    const next = draw(logits!.dataSync() as Float32Array, temperature, Number(uniforms[text.length]));
    logits!.dispose();
    text.push(next);
    unread = [next];
  }
  return text;
}
