/**
 * A model that writes for many requests at once.
 *
 * @module
 */
import { native } from '../bridge/native.js';
import { numberOfLayer } from '../layer/given.js';
import { type Layer } from '../layer/layer.js';
import { checkSignal } from '../layer/types.js';
import { plainOptions } from '../data/options.js';
import { namedOptions } from '../tensor/rest.js';
import { crossing } from './crossing.js';
import { type DecoderOptions, type GeneratedToken, type GenerateOptions, type Prompt, type Sample } from './options.js';
import { type Listener, Output } from './output.js';
import { Prefix, type PrefixOptions } from './prefix.js';

/** How much a {@link Decoder} has to do. */
export interface DecoderLoad {
  /** Requests under way. */
  readonly running: number;
  /** Requests that wait for a place. */
  readonly waiting: number;
  /** Bytes of what the model keeps of those under way. */
  readonly bytes: number;
}

type NativeDecoder = ReturnType<typeof native.newDecoder>;
/** What happened to a request. */
type DecoderEvent = Awaited<ReturnType<NativeDecoder['advance']>>[number];

/** Who waits for something to be done. */
interface Waiting {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * A model that writes for many requests at once: whoever asks joins the batch that is running, and leaves it when its output ends.
 *
 * It computes on the compute thread. An output hangs on its own request alone: its tokens and log-probabilities are the same bits whatever else is
 * in the batch.
 *
 * @see {@link generate}, for one output
 * @example
 * ```ts
 * const model = tl.models.TransformerLM(32, { dModel: 16, dFf: 32, nLayers: 1, nHeads: 2, maxLen: 64 });
 * model.init({ shape: [1, 8], dtype: 'int32' }, { rng: tl.random.key(0) });
 * const decoder = new tl.decoding.Decoder(model);
 * const outputs = await Promise.all(
 *   [[3, 1], [4, 1, 5]].map((prompt) => decoder.sample(prompt, { temperature: 0, maxTokens: 5 })),
 * );
 * outputs.map(({ tokens }) => tokens.length); // → [ 5, 5 ]
 * ```
 */
export class Decoder {
  readonly #native: NativeDecoder;
  /** The model that it writes with. */
  readonly model: Layer;
  readonly #outputs = new Map<number, Listener>();
  /** Who waits for prefixes to be read. */
  readonly #kept = new Map<number, Waiting>();
  #advancing = false;

  /**
   * Makes a decoder of a model that has its weights.
   *
   * @param model - The model, in any mode: from tokens to logits, or from a source and a target. It is run in mode `'predict'`, on its own weights.
   * @param options - Options by name:
   * - `maxBatch`: The most requests that are under way at once. Default: `64`.
   * - `promptTokens`: The most tokens of prompts that one step reads. Default: `1024`.
   * @throws `TypeError`: `model` is not a layer.
   * @throws {@link LayerError} `InvalidOption`: an option is unknown or outside its bounds.
   */
  constructor(model: Layer, options: DecoderOptions = {}) {
    this.#native = native.newDecoder(numberOfLayer('Decoder: model', model), plainOptions('Decoder', options));
    this.model = model;
  }

  /** How many positions of a sequence the model can read, a start token among them; `null` if that is not limited. */
  get positions(): number | null {
    return this.#native.positions();
  }

  /** How much it has to do. */
  get load(): DecoderLoad {
    return this.#native.load();
  }

  /**
   * Writes on from a prompt, token by token.
   *
   * @param prompt - Ids of tokens, or text if there is an `encoder`.
   * @param options - As for {@link generate}.
   * @returns The tokens as they come. A `break` out of the loop ends the request.
   * @throws {@link LayerError} As {@link generate}.
   * @example
   * ```ts
   * const model = tl.models.TransformerLM(32, { dModel: 16, dFf: 32, nLayers: 1, nHeads: 2, maxLen: 64 });
   * model.init({ shape: [1, 8], dtype: 'int32' }, { rng: tl.random.key(0) });
   * const decoder = new tl.decoding.Decoder(model);
   * let count = 0;
   * for await (const { token } of decoder.generate([3, 1, 4], { temperature: 0, maxTokens: 5 })) count += Number(token < 32);
   * count; // → 5
   * ```
   */
  generate(prompt: Prompt, options: GenerateOptions = {}): AsyncIterableIterator<GeneratedToken> {
    const signal = namedOptions('generate', options)?.signal;
    checkSignal('generate: signal', signal);
    signal?.throwIfAborted();
    return new Output(signal, (output) => this.listen(prompt, options, output));
  }

  /**
   * As {@link generate}, for one who hears of each token at once; the signal is left to him. @internal
   *
   * @returns what ends the request
   */
  listen(prompt: Prompt, options: GenerateOptions, listener: Listener): () => void {
    const { prefix, ...own } = namedOptions('generate', options) ?? {};
    const after = Prefix.idOf(prefix, this);
    const id = crossing('generate', prompt, own, (given) =>
      this.#native.join(given.prompt, given.inputs, given.options, given.encoder, after),
    );
    this.#outputs.set(id, listener);
    void this.#advance();
    return () => {
      // Its last token was heard of, and nothing is kept of it.
      if (!this.#outputs.delete(id)) return;
      this.#native.leave(id);
    };
  }

  /**
   * Writes on from a prompt, and gives the whole output.
   *
   * @param prompt - Ids of tokens, or text if there is an `encoder`.
   * @param options - As for {@link generate}.
   * @returns The output.
   * @throws {@link LayerError} As {@link generate}.
   * @example
   * ```ts
   * const model = tl.models.TransformerLM(32, { dModel: 16, dFf: 32, nLayers: 1, nHeads: 2, maxLen: 64 });
   * model.init({ shape: [1, 8], dtype: 'int32' }, { rng: tl.random.key(0) });
   * const output = await new tl.decoding.Decoder(model).sample([3, 1, 4], { rng: tl.random.key(1), maxTokens: 5 });
   * output.finishReason; // → 'length'
   * ```
   */
  async sample(prompt: Prompt, options: GenerateOptions = {}): Promise<Sample> {
    const all: GeneratedToken[] = [];
    for await (const token of this.generate(prompt, options)) all.push(token);
    const texts = all.flatMap(({ text }) => text ?? []);
    const tops = all.flatMap(({ topLogProbs }) => (topLogProbs === undefined ? [] : [topLogProbs]));
    return {
      tokens: all.map(({ token }) => token),
      logProbs: all.map(({ logProb }) => logProb),
      ...(options.encoder === undefined || options.encoder === null ? {} : { text: texts.join('') }),
      ...(tops.length === 0 ? {} : { topLogProbs: tops }),
      finishReason: all.at(-1)?.finishReason ?? 'length',
    };
  }

  /**
   * Reads once what several outputs begin with, such as the instructions before each question.
   *
   * @param prompt - Ids of tokens, or text if there is an `encoder`.
   * @param options - Options by name: `encoder`, `inputs` and `startId`, as for {@link generate}.
   * @returns The prefix, for the option `prefix` of {@link Decoder.generate}. It takes memory until it is disposed or collected.
   * @throws {@link LayerError} As {@link generate}.
   * @example
   * ```ts
   * const model = tl.models.TransformerLM(32, { dModel: 16, dFf: 32, nLayers: 1, nHeads: 2, maxLen: 64 });
   * model.init({ shape: [1, 8], dtype: 'int32' }, { rng: tl.random.key(0) });
   * const decoder = new tl.decoding.Decoder(model);
   * const prefix = await decoder.prefix([3, 1, 4]);
   * const { tokens } = await decoder.sample([1, 5], { prefix, temperature: 0, maxTokens: 6 });
   * tokens.length; // → 6
   * ```
   */
  async prefix(prompt: Prompt, options: PrefixOptions = {}): Promise<Prefix> {
    const id = crossing('prefix', prompt, options, (given) =>
      this.#native.keep(given.prompt, given.inputs, given.options, given.encoder),
    );
    await new Promise<void>((resolve, reject) => {
      this.#kept.set(id, { resolve, reject });
      void this.#advance();
    });
    return Prefix.of(id, this, this.#native);
  }

  /** Goes on as long as there are requests. */
  async #advance(): Promise<void> {
    if (this.#advancing) return;
    this.#advancing = true;
    try {
      // Who left while a step was running leaves with the next one, and what is kept of it is freed.
      while (this.#outputs.size > 0 || this.#kept.size > 0 || this.#native.load().running > 0) {
        for (const event of await this.#native.advance()) this.#hear(event);
      }
    } catch (error) {
      for (const [id, output] of this.#outputs) {
        this.#native.leave(id);
        output.fail(error);
      }
      this.#outputs.clear();
      this.#kept.forEach(({ reject }) => reject(error));
      this.#kept.clear();
    } finally {
      this.#advancing = false;
    }
  }

  #hear(event: DecoderEvent): void {
    const output = this.#outputs.get(event.id);
    const kept = this.#kept.get(event.id);
    if ('kept' in event) {
      this.#kept.delete(event.id);
      kept?.resolve();
    } else if ('failed' in event) {
      this.#outputs.delete(event.id);
      this.#kept.delete(event.id);
      try {
        this.#native.raise(event.id);
      } catch (error) {
        output?.fail(error);
        kept?.reject(error);
      }
    } else {
      const { id, ...token } = event;
      if (token.finishReason !== undefined) this.#outputs.delete(id);
      output?.push(token);
    }
  }
}
