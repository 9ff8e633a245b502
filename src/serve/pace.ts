/**
 * When streams write: the first token at once, later ones together.
 *
 * @module
 */

/** A write to a connection costs as much as making several events, so streams put off what may wait, and write together. */
export class Pace {
  readonly #ms: number;
  readonly #now = new Set<() => void>();
  readonly #later = new Set<() => void>();
  #timer: NodeJS.Timeout | undefined;

  /** @param ms - how many milliseconds tokens of a stream may wait for others; none if 0 */
  constructor(ms: number) {
    this.#ms = ms;
  }

  /**
   * Lets a stream write: soon, if its last write is long enough ago; else when its time has come, together with others.
   *
   * @param last - when it wrote last, by `performance.now()`
   */
  ask(write: () => void, last: number): void {
    if (this.#now.has(write) || this.#later.has(write)) return;
    const wait = last + this.#ms - performance.now();
    if (wait <= 0) return this.soon(write);
    this.#later.add(write);
    if (this.#timer === undefined) this.#timer = setTimeout(() => this.#flush(), wait);
  }
  /** Lets a stream write when all that is on its way in this turn of the event loop is there. */
  soon(write: () => void): void {
    this.#later.delete(write);
    if (this.#now.size === 0) queueMicrotask(() => run(this.#now));
    this.#now.add(write);
  }
  /** Forgets a stream. */
  leave(write: () => void): void {
    this.#now.delete(write);
    this.#later.delete(write);
  }
  #flush(): void {
    this.#timer = undefined;
    run(this.#later);
  }
}

/** Calls all, of which each may come in again. */
function run(writes: Set<() => void>): void {
  const all = [...writes];
  writes.clear();
  all.forEach((write) => write());
}
