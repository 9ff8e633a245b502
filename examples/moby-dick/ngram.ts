/** The models to beat: characters by frequency alone, and by the one or two before them. */

/**
 * A model of each character given the `order - 1` before it.
 *
 * Contexts of every length down to none are counted; each length is mixed with the next shorter one by Witten-Bell
 * smoothing: the more different characters have followed a context, the more is left to the shorter one. Below the
 * shortest lies the uniform distribution, so that nothing is impossible.
 */
export class NGram {
  readonly #size: number;
  /** For each context length: how often each context was followed by each character, by anything, by how many different ones. */
  readonly #levels: {
    readonly pairs: Map<number, number>;
    readonly totals: Map<number, number>;
    readonly kinds: Map<number, number>;
  }[] = [];

  /**
   * @param order - 1: unigram, 2: bigram, 3: trigram
   * @param size - how many different characters there are
   * @param text - the text to learn from, as numbers below `size`
   */
  constructor(
    readonly order: number,
    size: number,
    text: Int32Array,
  ) {
    this.#size = size;
    for (let length = 0; length < order; length++) {
      const pairs = new Map<number, number>();
      const totals = new Map<number, number>();
      const kinds = new Map<number, number>();
      for (let i = 0; i < text.length; i++) {
        const context = this.#context(text, i, length);
        const pair = context * size + text[i]!;
        const seen = pairs.get(pair) ?? 0;
        pairs.set(pair, seen + 1);
        totals.set(context, (totals.get(context) ?? 0) + 1);
        if (seen === 0) kinds.set(context, (kinds.get(context) ?? 0) + 1);
      }
      this.#levels.push({ pairs, totals, kinds });
    }
  }

  /** The probability of character `i` of a text, given those before it. */
  probability(text: Int32Array, i: number): number {
    let p = 1 / this.#size;
    this.#levels.forEach(({ pairs, totals, kinds }, length) => {
      const context = this.#context(text, i, length);
      const total = totals.get(context);
      if (total === undefined) return;
      const different = kinds.get(context)!;
      p = ((pairs.get(context * this.#size + text[i]!) ?? 0) + different * p) / (total + different);
    });
    return p;
  }

  /** Bits per character of a text. */
  bits(text: Int32Array): number {
    let bits = 0;
    for (let i = 0; i < text.length; i++) bits -= Math.log2(this.probability(text, i));
    return bits / text.length;
  }

  /** The `length` characters before `i` as one number; before the text there are zeros. */
  #context(text: Int32Array, i: number, length: number): number {
    let context = 0;
    for (let k = length; k >= 1; k--) context = context * this.#size + (text[i - k] ?? 0);
    return context;
  }
}
