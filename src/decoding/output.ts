/**
 * An output while it is written: tokens that wait to be read.
 *
 * @module
 */
import { type CancelSignal } from '../layer/types.js';
import { type GeneratedToken } from './options.js';

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
export class Output implements AsyncIterableIterator<GeneratedToken> {
  readonly #ready: GeneratedToken[] = [];
  readonly #onEnd: () => void;
  readonly #stopListening: () => void;
  #wake: (() => void)[] = [];
  #failure: { readonly error: unknown } | undefined;
  #ended = false;

  /** @param leave - what ends the request */
  constructor(signal: CancelSignal | undefined, leave: () => void) {
    const aborted = (): void => {
      if (this.#ended || signal === undefined) return;
      this.#ready.length = 0;
      this.fail(reasonOf(signal));
      leave();
    };
    signal?.addEventListener('abort', aborted, { once: true });
    this.#stopListening = () => signal?.removeEventListener('abort', aborted);
    this.#onEnd = leave;
  }

  /** One token more. */
  push(token: GeneratedToken): void {
    if (this.#ended) return;
    this.#ready.push(token);
    if (token.finishReason === undefined) this.#rouse();
    else this.#end();
  }
  /** It ends with an error. */
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
      this.#onEnd();
    }
    this.#ready.length = 0;
    return { value: undefined, done: true };
  }
  [Symbol.asyncIterator](): this {
    return this;
  }
}
