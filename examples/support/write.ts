/** A text that a model writes on. */
import * as tl from 'tallow';

/**
 * Ids, each decided from the state that the ones before have left: no sequence is read twice.
 *
 * @param model - from ids to the logits of the id behind each
 * @param begin - what the text begins with
 * @param count - how many ids to add
 * @param choose - the next id, of its logits `[1, 1, size]` and its number
 */
export function write(
  model: tl.Layer<tl.Tensor, 1>,
  begin: Int32Array,
  count: number,
  choose: (logits: tl.Tensor, i: number) => tl.Tensor,
): Int32Array {
  const predict = model.withMode('predict');
  const ids = Array.from(begin);
  for (let i = 0; i < begin.length + count - 1; i += 1) {
    const next = tl.tidy(() => choose(predict(tl.tensor([[ids[i]!]], null, { dtype: 'int32' })), i).item());
    if (i >= begin.length - 1) ids.push(next);
  }
  return Int32Array.from(ids);
}
