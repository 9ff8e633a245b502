/**
 * The outputs of one request while they are written.
 *
 * @module
 */
import { randomInt } from 'node:crypto';
import { type GeneratedToken, type GenerateOptions } from '../decoding/options.js';
import { foldIn, key, keyWords } from '../tensor/random.js';
import { Refusal } from './errors.js';
import { Mailbox } from './mailbox.js';
import { type OutputMetrics } from './metrics.js';
import { type Scope } from './scope.js';
import { type Writer } from './writer.js';

/** What a request asks a model to write. */
export interface Asked {
  /** The ids of its prompts. */
  readonly prompts: readonly (readonly number[])[];
  /** How many outputs of each prompt. */
  readonly outputs: number;
  readonly maxTokens: number;
  /** What the draws begin with; another one each time if there is none. */
  readonly seed: number | undefined;
  /** How each token is chosen, and where outputs end. */
  readonly options: GenerateOptions;
}

/** A token of one of the outputs. */
export interface Part {
  readonly index: number;
  readonly token: GeneratedToken;
}

/** The greatest seed that is drawn. */
const SEEDS = 2 ** 47;

/** The words of the random key of an output: that of the seed for the first one. */
function keyOf(seed: number, output: number): readonly [number, number] {
  using first = key(seed);
  if (output === 0) return keyWords(first);
  using folded = foldIn(first, output);
  return keyWords(folded);
}

/** Outputs under way. */
export class Generation implements Disposable {
  readonly #mailbox = new Mailbox<Part>();
  readonly #stop = new AbortController();
  readonly #scope: Scope;
  readonly #onGone = (): void => this.#stop.abort(this.#scope.signal.reason);
  readonly #leave: () => void;
  /** Tokens of the prompts. */
  readonly promptTokens: number;

  private constructor(writer: Writer, asked: Asked, scope: Scope, metrics: OutputMetrics, leave: () => void) {
    this.#scope = scope;
    this.#leave = leave;
    this.promptTokens = asked.prompts.reduce((sum, { length }) => sum + length, 0);
    metrics.prompt(this.promptTokens);
    scope.signal.addEventListener('abort', this.#onGone, { once: true });
    const seed = asked.seed ?? randomInt(SEEDS);
    const shared = {
      ...asked.options,
      encoder: writer.encoder,
      maxTokens: asked.maxTokens,
      timeoutMs: scope.left,
      signal: this.#stop.signal,
    };
    const all = asked.prompts.flatMap((ids, at) => {
      const { prompt, ...given } = writer.given(ids);
      return Array.from({ length: asked.outputs }, (_, output) => {
        const options = { ...shared, ...given, rng: keyOf(seed, output) };
        return this.#write(at * asked.outputs + output, () => writer.decoder.generate(prompt, options), metrics);
      });
    });
    // The mailbox tells of failures.
    void Promise.all(all).then(
      () => this.#mailbox.close(),
      (error: unknown) => {
        this.#mailbox.fail(error);
        this.#stop.abort(error);
      },
    );
  }

  /** Waits until there is room, and begins. */
  static async begin(writer: Writer, asked: Asked, scope: Scope, metrics: OutputMetrics): Promise<Generation> {
    const { admission } = writer;
    const late = (): Refusal =>
      new Refusal(503, 'deadline_exceeded', `the server was too busy to begin within ${scope.ms} milliseconds`, {
        retryAfter: admission.retryAfter,
      });
    const cost = writer.cost(asked.prompts, asked.outputs, asked.maxTokens);
    const leave = await scope.within(late, () => admission.enter(cost, scope.signal));
    try {
      return new Generation(writer, asked, scope, metrics, leave);
    } catch (error) {
      leave();
      throw error;
    }
  }

  async #write(index: number, begin: () => AsyncIterable<GeneratedToken>, metrics: OutputMetrics): Promise<void> {
    let last: number | undefined;
    for await (const token of begin()) {
      const now = performance.now();
      if (last === undefined) metrics.firstToken((now - this.#scope.began) / 1000);
      else metrics.nextToken((now - last) / 1000);
      last = now;
      this.#mailbox.push({ index, token });
    }
  }

  /** Tokens that wait to be read. */
  get unread(): number {
    return this.#mailbox.unread;
  }
  /** The tokens that have come, in their order; `undefined` at the end. */
  read(): Promise<readonly Part[] | undefined> {
    return this.#mailbox.read();
  }
  /** Ends what is not over, and makes room. */
  [Symbol.dispose](): void {
    this.#scope.signal.removeEventListener('abort', this.#onGone);
    this.#stop.abort(new Refusal(499, 'client_closed', 'nobody reads the output'));
    this.#leave();
  }
}
