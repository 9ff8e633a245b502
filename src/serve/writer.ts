/**
 * A model that writes, while it is served.
 *
 * @module
 */
import { type Encoder } from '../data/encoder.js';
import { Decoder } from '../decoding/decoder.js';
import { type GenerateOptions } from '../decoding/options.js';
import { type GenerationDefaults } from '../models/folder/description.js';
import { Admission, type Cost } from './admission.js';
import { chatTemplateOf, type ChatTemplate } from './chatTemplate.js';
import { invalid } from './errors.js';
import { type Limits, type ServedModel } from './options.js';

/** Tokens that are read once before a model is ready, to learn what memory they take. */
const [FEW, MANY] = [1, 256];

/** The text of a token, and its bytes; no bytes where it is a part of a character only. */
export interface TokenText {
  readonly text: string;
  readonly bytes: readonly number[] | null;
}

/** What a model is given of a prompt. */
type Given = Pick<GenerateOptions, 'inputs' | 'startId'> & { readonly prompt: readonly number[] };

/** A model that writes. */
export class Writer {
  readonly task = 'generate';
  readonly decoder: Decoder;
  readonly admission: Admission;
  readonly #texts = new Map<number, TokenText>();

  private constructor(
    readonly name: string,
    readonly encoder: Encoder,
    readonly defaults: GenerationDefaults,
    readonly chatTemplate: ChatTemplate | undefined,
    model: ServedModel['model'],
    limits: Limits,
  ) {
    this.decoder = new Decoder(model, { maxBatch: limits.batch });
    const { batch, tokens, cacheBytes, queue } = limits;
    this.admission = new Admission({ places: batch, tokens, bytes: cacheBytes, queue });
  }

  /** Makes one, and reads a few tokens with it. */
  static async of(served: ServedModel, encoder: Encoder, limits: Limits): Promise<Writer> {
    const defaults = served.generation ?? {};
    const { eosId } = defaults;
    const eosToken = eosId === undefined || eosId === null ? '' : encoder.decode([eosId], { skipSpecialTokens: false });
    const template = served.chatTemplate;
    const chat =
      template === undefined || template === null ? undefined : await chatTemplateOf(served.name, template, eosToken);
    const writer = new Writer(served.name, encoder, defaults, chat, served.model, limits);
    await writer.#warmUp();
    return writer;
  }

  /** Bytes of a prompt of no tokens, and of each token more. */
  #memory = { base: 0, each: 0 };

  /** What the model is given of a prompt: its source, if it takes one. */
  given(prompt: readonly number[]): Given {
    const { startId } = this.defaults;
    const start = startId === undefined ? {} : { startId };
    return this.decoder.model.nIn === 2 ? { prompt: [], inputs: prompt, ...start } : { prompt, ...start };
  }

  async #warmUp(): Promise<void> {
    const starts = this.defaults.startId === null ? 0 : 1;
    const most = Math.max(FEW, Math.min(MANY, (this.decoder.positions ?? MANY) - starts));
    const measured: number[] = [];
    for (const count of [FEW, most]) {
      const { prompt, ...options } = this.given(Array.from({ length: count }, () => 0));
      // One after the other: each is measured alone.
      // oxlint-disable-next-line no-await-in-loop
      using _ = await this.decoder.prefix(prompt, options);
      measured.push(this.decoder.load.bytes);
    }
    const [few = 0, many = 0] = measured;
    const each = most > FEW ? (many - few) / (most - FEW) : 0;
    this.#memory = { base: few, each };
    // What it does by default is checked here, and not by the first request.
    const { prompt, ...given } = this.given([0]);
    await this.decoder.generate(prompt, { ...this.defaults, ...given, encoder: this.encoder, rng: [0, 0] }).return?.();
  }

  /** What a request takes at most: some outputs of each of its prompts, of at most so many tokens. */
  cost(prompts: readonly { readonly length: number }[], outputs: number, maxTokens: number): Cost {
    const { base, each } = this.#memory;
    const tokens = prompts.reduce((sum, { length }) => sum + outputs * (length + maxTokens), 0);
    const places = prompts.length * outputs;
    return { places, tokens, bytes: Math.ceil(places * base + tokens * each) };
  }

  /** Refuses a prompt that the model cannot read; tells how many tokens an output can have behind it. */
  roomBehind(param: string, prompt: { readonly length: number }): number {
    const { positions } = this.decoder;
    if (this.decoder.model.nIn === 2) {
      // The prompt is the source; what stands in the target is the output alone.
      if (prompt.length > 0) return Infinity;
      throw invalid(
        param,
        `the prompt is empty, but the model ${this.name} writes on a source; give at least one token`,
      );
    }
    if (positions === null || typeof this.defaults.window === 'number') return Infinity;
    const filled = prompt.length + (this.defaults.startId === null ? 0 : 1);
    if (filled > positions) {
      const message = `the prompt fills ${filled} positions, but the model ${this.name} has ${positions}; shorten it`;
      throw invalid(param, message, 'context_length_exceeded');
    }
    return positions - filled + 1;
  }

  /** The text of a token by itself. */
  textOf(token: number): TokenText {
    let known = this.#texts.get(token);
    if (known === undefined) {
      const text = this.encoder.decode([token], { skipSpecialTokens: false });
      known = { text, bytes: text.includes('\u{FFFD}') ? null : [...Buffer.from(text)] };
      this.#texts.set(token, known);
    }
    return known;
  }
}
