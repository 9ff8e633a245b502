/**
 * What several sources bring to one reader.
 *
 * @module
 */

/** Items in the order in which they came; a reader gets all that wait at once. */
export class Mailbox<T> {
  #items: T[] = [];
  #failure: { readonly error: unknown } | undefined;
  #isClosed = false;
  #wake: (() => void) | undefined;

  /** Items that nobody has read. */
  get unread(): number {
    return this.#items.length;
  }
  /** One item more. */
  push(item: T): void {
    this.#items.push(item);
    this.#wake?.();
  }
  /** There will be no more. */
  close(): void {
    this.#isClosed = true;
    this.#wake?.();
  }
  /** There will be no more, for a reason that the reader gets behind the items. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.close();
  }
  /** All that wait, when something does; `undefined` at the end. */
  async read(): Promise<readonly T[] | undefined> {
    while (this.#items.length === 0) {
      if (this.#failure !== undefined) throw this.#failure.error;
      if (this.#isClosed) return undefined;
      // One after another: each waits for what comes next.
      // oxlint-disable-next-line no-await-in-loop
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    const items = this.#items;
    this.#items = [];
    return items;
  }
}
