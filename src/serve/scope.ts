/**
 * Requests under way: what ends them, and what waits for their ends.
 *
 * @module
 */
import { type FastifyReply } from 'fastify';
import { Refusal, shuttingDown } from './errors.js';

/** How long a request may go on, and what ended it. */
export class Scope {
  readonly #controller = new AbortController();
  /** When it began, by `performance.now()`. */
  readonly began = performance.now();

  /** @param ms - how many milliseconds it may take */
  constructor(readonly ms: number) {}

  get signal(): AbortSignal {
    return this.#controller.signal;
  }
  /** Milliseconds that are left, at least 1. */
  get left(): number {
    return Math.max(1, this.began + this.ms - performance.now());
  }
  /** Ends it. */
  end(reason: Refusal): void {
    this.#controller.abort(reason);
  }
  /** Waits for something that must come within the time that is left. */
  async within<T>(late: () => Refusal, wait: () => Promise<T>): Promise<T> {
    const timer = setTimeout(() => this.end(late()), this.left);
    try {
      return await wait();
    } finally {
      clearTimeout(timer);
    }
  }
}

/** All requests under way. */
export class Scopes {
  readonly #ms: number;
  readonly #all = new Set<Scope>();
  #whenNone: (() => void)[] = [];
  #isClosing = false;

  /** @param ms - how many milliseconds each may take */
  constructor(ms: number) {
    this.#ms = ms;
  }

  /** Whether no more may begin. */
  get isClosing(): boolean {
    return this.#isClosing;
  }

  /** Runs a request, which is ended when its client goes away. */
  async run<T>(reply: FastifyReply, work: (scope: Scope) => Promise<T>): Promise<T> {
    const scope = new Scope(this.#ms);
    const gone = (): void => {
      if (!reply.raw.writableFinished) scope.end(new Refusal(499, 'client_closed', 'the client closed the connection'));
    };
    reply.raw.once('close', gone);
    this.#all.add(scope);
    try {
      return await work(scope);
    } finally {
      reply.raw.off('close', gone);
      this.#all.delete(scope);
      if (this.#all.size === 0) this.#whenNone.forEach((resolve) => resolve());
    }
  }

  /** Lets no more begin, and waits for those under way; ends them where they take too long. */
  async drain(ms: number): Promise<void> {
    this.#isClosing = true;
    if (this.#all.size === 0) return;
    const none = new Promise<void>((resolve) => this.#whenNone.push(resolve));
    const timer = setTimeout(() => {
      const reason = shuttingDown('the server is closed before the output is whole');
      this.#all.forEach((scope) => scope.end(reason));
    }, ms);
    await none;
    clearTimeout(timer);
  }
}
