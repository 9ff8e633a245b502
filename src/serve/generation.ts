/**
 * The outputs of one request while they are written.
 *
 * @module
 */
import { randomInt } from 'node:crypto';
import { type GeneratedToken, type GenerateOptions } from '../decoding/options.js';
import { type Listener } from '../decoding/output.js';
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

/** Joins a request for one output, and hands its tokens on. @returns what ends it */
type Join = (listener: Listener) => () => void;

/** Outputs under way. */
export class Generation implements Disposable {
  /** The tokens that have come, in their order. */
  readonly parts = new Mailbox<Part>();
  /** Tokens of the prompts. */
  readonly promptTokens: number;
  readonly #scope: Scope;
  readonly #metrics: OutputMetrics;
  readonly #onGone = (): void => this.#fail(this.#scope.signal.reason);
  readonly #leave: () => void;
  /** What ends each output that is not over. */
  readonly #running = new Map<number, () => void>();

  private constructor(writer: Writer, asked: Asked, scope: Scope, metrics: OutputMetrics, leave: () => void) {
    this.#scope = scope;
    this.#metrics = metrics;
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
    };
    try {
      asked.prompts.forEach((ids, at) => {
        const { prompt, ...given } = writer.given(ids);
        for (let output = 0; output < asked.outputs; output += 1) {
          const options = { ...shared, ...given, rng: keyOf(seed, output) };
          this.#write(at * asked.outputs + output, (listener) => writer.decoder.listen(prompt, options, listener));
        }
      });
    } catch (error) {
      this.#end();
      throw error;
    }
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
      scope.signal.throwIfAborted();
      return new Generation(writer, asked, scope, metrics, leave);
    } catch (error) {
      leave();
      throw error;
    }
  }

  /** Begins an output, unless another one has failed. Tokens are handed on as they come, without a promise for each. */
  #write(index: number, join: Join): void {
    const { parts } = this;
    if (parts.isClosed) return;
    const metrics = this.#metrics;
    let last: number | undefined;
    const leave = join({
      push: (token) => {
        const now = performance.now();
        if (last === undefined) metrics.firstToken((now - this.#scope.began) / 1000);
        else metrics.nextToken((now - last) / 1000);
        last = now;
        if (token.finishReason !== undefined) this.#running.delete(index);
        parts.push({ index, token });
        if (this.#running.size === 0) parts.close();
      },
      fail: (error) => this.#fail(error),
    });
    // It may have failed at once.
    if (parts.isClosed) leave();
    else this.#running.set(index, leave);
  }
  /** Ends all outputs; the reader hears why. */
  #fail(error: unknown): void {
    this.#end();
    this.parts.fail(error);
  }
  #end(): void {
    this.#scope.signal.removeEventListener('abort', this.#onGone);
    const running = [...this.#running.values()];
    this.#running.clear();
    running.forEach((leave) => leave());
  }

  /** Ends what is not over, and makes room. */
  [Symbol.dispose](): void {
    this.#end();
    this.#leave();
  }
}
