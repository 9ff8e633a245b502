/**
 * The random keys of a loop.
 *
 * @module
 */
import { tidy } from '../../layer/tidy.js';
import { type Key, keyWords, split } from '../../tensor/random.js';

/** Random keys, none of which comes twice. */
export class Keys {
  /** Where the sequence is. */
  words: [number, number];

  constructor(rng: Key) {
    this.words = keyWords(rng);
  }

  /** The next key. */
  next(): [number, number] {
    const [rest, made] = tidy(() => {
      const [first, second] = split(this.words);
      return [keyWords(first), keyWords(second)] as const;
    });
    this.words = rest;
    return made;
  }
}
