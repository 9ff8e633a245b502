/** What the model is trained on, batch by batch. */
import * as tl from 'tallow';

/**
 * Batches without end: windows at random places of the text, all decided by the key.
 *
 * @param ids - the text, at least `length` characters
 * @returns `[inputs, targets]`, which are the same: the model shifts its inputs itself
 */
export function* batches(ids: Int32Array, batch: number, length: number, key: tl.Key): Generator<tl.Tensor[]> {
  for (let step = 0; ; step++) {
    const starts = tl.tidy(() =>
      tl.random.randint(tl.random.foldIn(key, step), [batch], 0, ids.length - length + 1).dataSync(),
    );
    const data = new Int32Array(batch * length);
    starts.forEach((start, row) => data.set(ids.subarray(Number(start), Number(start) + length), row * length));
    const inputs = tl.tensor(data, [batch, length]);
    yield [inputs, tl.tensor(data, [batch, length])];
  }
}
