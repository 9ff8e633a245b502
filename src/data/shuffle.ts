/**
 * Random order.
 *
 * @module
 */
import { bits, foldIn, type Key, keyWords } from '../tensor/random.js';
import { END, type Plan, Saved } from './cursor.js';
import { Kept } from './kept.js';

/** Words drawn at a time. */
const WORDS = 1024;

/** Numbers below a bound, drawn by a key and a number of their own each. */
class Draws {
  readonly #key: Key;
  #block = -1;
  #words: ArrayLike<number | bigint> = [];

  constructor(key: Key, epochs: readonly number[]) {
    this.#key = epochs.reduce<Key>((inner, epoch) => folded(inner, epoch), key);
  }
  /** The draw of this number. */
  at(index: number, below: number): number {
    const block = Math.floor(index / WORDS);
    if (block !== this.#block) {
      const words = bits(folded(this.#key, block), [WORDS]);
      this.#words = words.dataSync();
      words.dispose();
      this.#block = block;
    }
    return Math.floor((Number(this.#words[index % WORDS]) / 2 ** 32) * below);
  }
}

function folded(key: Key, data: number): Key {
  const next = foldIn(key, data);
  const words = keyWords(next);
  next.dispose();
  return words;
}

/** The elements in random order: each is drawn from a buffer, which the next ones fill up. */
export function shuffled<T>(before: Plan<T>, key: Key, bufferSize: number): Plan<T> {
  const step = 'Dataset.shuffle';
  return {
    step,
    async open(from, epochs) {
      const saved = from === undefined ? undefined : new Saved(step, from);
      const draws = new Draws(key, epochs);
      let drawn = saved?.count('drawn') ?? 0;
      const at = saved?.count('at') ?? 0;
      const positions = saved?.counts('buffer').map((offset) => at + offset) ?? [];
      const [kept, elements] = await Kept.open(step, before, epochs, saved, positions, bufferSize);
      const buffer = positions.map((position) => ({ position, element: elements.get(position) as T }));
      const held = (): number[] => buffer.map(({ position }) => position);
      return {
        async next() {
          while (buffer.length < bufferSize) {
            // One after another: they stand in a row.
            // oxlint-disable-next-line no-await-in-loop
            const element = await kept.next();
            if (element === END) break;
            buffer.push({ position: kept.read - 1, element });
          }
          if (buffer.length === 0) return END;
          const i = draws.at(drawn++, buffer.length);
          const { element } = buffer[i]!;
          const last = buffer.pop()!;
          if (i < buffer.length) buffer[i] = last;
          kept.forget(held);
          return element;
        },
        state() {
          const place = kept.state(held());
          return { step, drawn, buffer: buffer.map(({ position }) => position - place.at), ...place };
        },
        close: () => kept.close(),
      };
    },
  };
}
