/**
 * An output while it is written: tokens that wait to be read.
 *
 * @module
 */
import { type CancelSignal } from '../layer/types.js';
import { type GeneratedToken } from './options.js';

/** Who hears of an output: of its tokens in their order, or of what it failed with. */
export interface Listener {
  /** One token more; the last one says why it is the last. */
  push(token: GeneratedToken): void;
  /** It ends with an error. */
  fail(error: unknown): void;
}

/** What a signal was aborted with. */
function reasonOf(signal: CancelSignal): unknown {
  try {
    signal.throwIfAborted();
  } catch (reason) {
    return reason;
  }
  return undefined;
}

/** The tokens of an output in the order in which they are made. */
export class Output implements AsyncIterableIterator<GeneratedToken>, Listener {
  readonly #ready: GeneratedToken[] = [];
  readonly #leave: () => void;
  #stopListening: () => void = () => {};
  #wake: (() => void)[] = [];
  #failure: { readonly error: unknown } | undefined;
  #ended = false;

  /** @param begin - begins the request, and gives what ends it */
  constructor(signal: CancelSignal | undefined, begin: (output: Listener) => () => void) {
    this.#leave = begin(this);
    // What cannot begin fails at once.
    if (this.#ended || signal === undefined) return;
    const aborted = (): void => {
      if (this.#ended) return;
      this.#ready.length = 0;
      this.fail(reasonOf(signal));
      this.#leave();
    };
    signal.addEventListener('abort', aborted, { once: true });
    this.#stopListening = () => signal.removeEventListener('abort', aborted);
  }

  push(token: GeneratedToken): void {
    if (this.#ended) return;
    this.#ready.push(token);
    if (token.finishReason === undefined) this.#rouse();
    else this.#end();
  }
  fail(error: unknown): void {
    if (this.#ended) return;
    this.#failure = { error };
    this.#end();
  }
  #end(): void {
    this.#ended = true;
    this.#stopListening();
    this.#rouse();
  }
  #rouse(): void {
    const waiting = this.#wake;
    this.#wake = [];
    waiting.forEach((wake) => wake());
  }

  async next(): Promise<IteratorResult<GeneratedToken, undefined>> {
    for (;;) {
      const value = this.#ready.shift();
      if (value !== undefined) return { value, done: false };
      if (this.#failure !== undefined) {
        const { error } = this.#failure;
        this.#failure = undefined;
        throw error;
      }
      if (this.#ended) return { value: undefined, done: true };
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
  }
  async return(): Promise<IteratorResult<GeneratedToken, undefined>> {
    if (!this.#ended) {
      this.#end();
      this.#leave();
    }
    this.#ready.length = 0;
    return { value: undefined, done: true };
  }
  [Symbol.asyncIterator](): this {
    return this;
  }
}
