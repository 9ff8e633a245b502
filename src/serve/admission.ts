/**
 * Who may begin, who waits, and who is sent away.
 *
 * @module
 */
import { Refusal } from './errors.js';

/** What a request takes while it is under way. */
export interface Cost {
  /** Places in the batch. */
  readonly places: number;
  /** Tokens of prompts and outputs, as many as there may be at most. */
  readonly tokens: number;
  /** Bytes of what the model keeps for them, estimated. */
  readonly bytes: number;
}

/** How much may be under way at once, and how many may wait. */
export interface Room extends Cost {
  /** Requests that may wait. */
  readonly queue: number;
}

/** A request that waits. */
interface Waiting {
  readonly cost: Cost;
  readonly begin: () => void;
}

/** Seconds between which a client is told to come again. */
const [LEAST_SECONDS, MOST_SECONDS] = [1, 60];
/** The share of the last request in what is expected of the next one. */
const SHARE = 0.2;

/** Says that a request can never begin. */
const tooLarge = (param: string, message: string): Refusal => new Refusal(400, 'too_large', message, { param });

/** Lets requests begin in the order in which they came, as far as there is room. */
export class Admission {
  readonly #room: Room;
  readonly #waiting: Waiting[] = [];
  #places = 0;
  #tokens = 0;
  #bytes = 0;
  #running = 0;
  /** Seconds that a request takes, as the last ones did. */
  #seconds = 1;

  constructor(room: Room) {
    this.#room = room;
  }

  /** Requests under way. */
  get running(): number {
    return this.#running;
  }
  /** Requests that wait. */
  get waiting(): number {
    return this.#waiting.length;
  }
  /** Whether one more would be sent away. */
  get isFull(): boolean {
    return this.#waiting.length > 0 && this.#waiting.length >= this.#room.queue;
  }
  /** Seconds after which there may be room. */
  get retryAfter(): number {
    const rounds = (this.#waiting.length + 1) / Math.max(1, this.#running);
    return Math.min(MOST_SECONDS, Math.max(LEAST_SECONDS, Math.ceil(rounds * this.#seconds)));
  }

  /**
   * Waits until a request may begin.
   *
   * @returns what to call when it is over
   * @throws what it is refused with: it can never begin, or too many wait; or the signal's reason
   */
  async enter(cost: Cost, signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    this.#checkEver(cost);
    if (this.#waiting.length > 0 || !this.#fits(cost)) await this.#wait(cost, signal);
    else this.#take(cost);
    const began = performance.now();
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      this.#seconds += SHARE * ((performance.now() - began) / 1000 - this.#seconds);
      this.#running -= 1;
      this.#places -= cost.places;
      this.#tokens -= cost.tokens;
      this.#bytes -= cost.bytes;
      this.#next();
    };
  }

  #checkEver({ places, tokens, bytes }: Cost): void {
    const room = this.#room;
    if (places > room.places)
      throw tooLarge(
        'n',
        `the request asks for ${places} outputs at once, but the server makes ${room.places}; ask for fewer`,
      );
    if (tokens > room.tokens)
      throw tooLarge(
        'max_tokens',
        `the request may take ${tokens} tokens, prompts and outputs together, but the server allows ${room.tokens}; lower \`max_tokens\` or \`n\``,
      );
    if (bytes > room.bytes)
      throw tooLarge(
        'max_tokens',
        `the request may take ${bytes} bytes of memory, but the server allows ${room.bytes}; lower \`max_tokens\` or \`n\``,
      );
  }
  #fits({ places, tokens, bytes }: Cost): boolean {
    const room = this.#room;
    return (
      this.#places + places <= room.places && this.#tokens + tokens <= room.tokens && this.#bytes + bytes <= room.bytes
    );
  }
  #take({ places, tokens, bytes }: Cost): void {
    this.#running += 1;
    this.#places += places;
    this.#tokens += tokens;
    this.#bytes += bytes;
  }
  async #wait(cost: Cost, signal: AbortSignal): Promise<void> {
    if (this.#waiting.length >= this.#room.queue) {
      const message = `${this.#waiting.length} requests wait already, which is as many as the server lets wait; try again later`;
      throw new Refusal(429, 'queue_full', message, { retryAfter: this.retryAfter });
    }
    await new Promise<void>((resolve, reject) => {
      const waiting: Waiting = {
        cost,
        begin: () => {
          signal.removeEventListener('abort', gone);
          resolve();
        },
      };
      const gone = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
        // Who stood behind it may fit.
        this.#next();
        reject(signal.reason);
      };
      signal.addEventListener('abort', gone, { once: true });
      this.#waiting.push(waiting);
    });
  }
  /** Lets those begin that fit now. The first one is never passed, so that a large request has its turn. */
  #next(): void {
    for (let first = this.#waiting[0]; first !== undefined && this.#fits(first.cost); first = this.#waiting[0]) {
      this.#waiting.shift();
      this.#take(first.cost);
      first.begin();
    }
  }
}
