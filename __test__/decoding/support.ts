/** Models that write, for tests. */
import { join } from 'node:path';
import * as tl from '../../src/index.js';

const COPY = join(__dirname, '..', 'checkpoints', 'transformerlm_copy.pkl.gz');

/** The language model that learnt to copy in Trax. */
export function copying(): tl.Layer {
  const model = tl.models.TransformerLM(13, { dModel: 64, dFf: 128, maxLen: 256, nHeads: 2, nLayers: 2, mode: 'eval' });
  model.initFromFile(COPY);
  return model;
}

/** A prompt that it goes on from, and what comes then. */
export const PROMPT: readonly number[] = [0, 3, 7, 5, 3, 2, 4, 0];
export const COPIED: readonly number[] = [3, 7, 5, 3, 2, 4];

/** A small model of bytes that shifts nothing. */
export function ofBytes(): tl.Layer {
  const model = tl.Serial(tl.Embedding(256, 16), tl.LSTM(16), tl.Dense(256));
  model.init({ shape: [1, 4], dtype: 'int32' }, { rng: tl.random.key(5) });
  return model;
}

/** All of an iteration. */
export async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const out: T[] = [];
  for await (const item of items) out.push(item);
  return out;
}
