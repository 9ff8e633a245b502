/**
 * What several outputs begin with.
 *
 * @module
 */
import { DisposedError } from '../bridge/errors.js';
import { found } from '../bridge/found.js';
import { type PromptOptions } from './options.js';

/** Options of {@link Decoder.prefix}. */
export type PrefixOptions = Omit<PromptOptions, 'signal'>;

/** What keeps prefixes. */
interface Keeper {
  /** Forgets one. */
  leave(id: number): void;
}

const collected = new FinalizationRegistry<{ readonly id: number; readonly keeper: Keeper }>(({ id, keeper }) =>
  keeper.leave(id),
);

/**
 * What several outputs begin with, read once by a {@link Decoder}.
 *
 * @see {@link Decoder.prefix}, which makes one
 * @example
 * ```ts
 * const model = tl.models.TransformerLM(32, { dModel: 16, dFf: 32, nLayers: 1, nHeads: 2, maxLen: 64 });
 * model.init({ shape: [1, 8], dtype: 'int32' }, { rng: tl.random.key(0) });
 * const decoder = new tl.decoding.Decoder(model);
 * const prefix = await decoder.prefix([3, 1, 4]);
 * const prompts = [[1], [5, 9]];
 * const outputs = prompts.map((prompt) => decoder.sample(prompt, { prefix, temperature: 0, maxTokens: 2 }));
 * (await Promise.all(outputs)).length; // → 2
 * ```
 */
export class Prefix implements Disposable {
  readonly #id: number;
  readonly #decoder: object;
  #keeper: Keeper | undefined;

  private constructor(id: number, decoder: object, keeper: Keeper) {
    // Plain JavaScript can call a private constructor.
    if (typeof keeper?.leave !== 'function') {
      throw new TypeError('Prefix: the prefix() of a decoder makes one; there is no other way');
    }
    this.#id = id;
    this.#decoder = decoder;
    this.#keeper = keeper;
    collected.register(this, { id, keeper }, this);
  }

  /** The prefix of a number. @internal */
  static of(id: number, decoder: object, keeper: Keeper): Prefix {
    return new Prefix(id, decoder, keeper);
  }

  /** The number of a prefix that this decoder keeps; `null` for none. @internal */
  static idOf(prefix: Prefix | null | undefined, decoder: object): number | null {
    if (prefix === undefined || prefix === null) return null;
    if (!(prefix instanceof Prefix)) {
      throw new TypeError(`generate: \`prefix\` must be what the decoder's prefix() gave, got ${found(prefix)}`);
    }
    if (prefix.#decoder !== decoder) {
      throw new TypeError('generate: `prefix` is of another decoder; make one with the prefix() of this decoder');
    }
    if (prefix.#keeper === undefined) {
      throw new DisposedError('generate: `prefix` was used after dispose(); make it again');
    }
    return prefix.#id;
  }

  /**
   * Frees what is kept of it; outputs under way go on.
   *
   * @example
   * ```ts
   * const model = tl.models.TransformerLM(32, { dModel: 16, dFf: 32, nLayers: 1, nHeads: 2, maxLen: 64 });
   * model.init({ shape: [1, 8], dtype: 'int32' }, { rng: tl.random.key(0) });
   * const decoder = new tl.decoding.Decoder(model);
   * const prefix = await decoder.prefix([3, 1, 4]);
   * prefix.dispose();
   * decoder.load.bytes; // → 0
   * ```
   */
  dispose(): void {
    this.#keeper?.leave(this.#id);
    this.#keeper = undefined;
    collected.unregister(this);
  }

  /**
   * Frees what is kept of it where a `using` declaration ends.
   *
   * @example
   * ```ts
   * const model = tl.models.TransformerLM(32, { dModel: 16, dFf: 32, nLayers: 1, nHeads: 2, maxLen: 64 });
   * model.init({ shape: [1, 8], dtype: 'int32' }, { rng: tl.random.key(0) });
   * const decoder = new tl.decoding.Decoder(model);
   * {
   *   using prefix = await decoder.prefix([3, 1, 4]);
   *   await decoder.sample([1], { prefix, temperature: 0, maxTokens: 2 });
   * }
   * decoder.load.bytes; // → 0
   * ```
   */
  [Symbol.dispose](): void {
    this.dispose();
  }
}
