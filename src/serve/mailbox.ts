/**
 * What several sources bring to one reader.
 *
 * @module
 */

/** Items in the order in which they came; a reader takes all that wait at once. */
export class Mailbox<T> {
  #items: T[] = [];
  #failure: { readonly error: unknown } | undefined;
  #isClosed = false;
  #hear: () => void = () => {};

  /** Items that nobody has taken. */
  get unread(): number {
    return this.#items.length;
  }
  /** Whether no more will come. */
  get isClosed(): boolean {
    return this.#isClosed;
  }
  /** Tells a reader, the only one, of each thing that comes; at once of what is there already. */
  listen(hear: () => void): void {
    this.#hear = hear;
    if (this.#items.length > 0 || this.#isClosed) hear();
  }
  /** One item more. */
  push(item: T): void {
    this.#items.push(item);
    this.#hear();
  }
  /** There will be no more. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#hear();
  }
  /** There will be no more, for a reason that the reader gets behind the items. */
  fail(error: unknown): void {
    if (!this.#isClosed) this.#failure = { error };
    this.close();
  }
  /**
   * All that wait; none where nothing does, and `undefined` at the end.
   *
   * @throws what it failed with, behind all items
   */
  take(): readonly T[] | undefined {
    const items = this.#items;
    if (items.length === 0 && this.#failure !== undefined) throw this.#failure.error;
    if (items.length === 0 && this.#isClosed) return undefined;
    this.#items = [];
    return items;
  }
  /** Waits for the first item. @throws what it failed with before there was one */
  async some(): Promise<void> {
    await new Promise<void>((resolve) => this.listen(resolve));
    if (this.#items.length === 0 && this.#failure !== undefined) throw this.#failure.error;
  }
  /** Waits for all items. @throws what it failed with */
  async all(): Promise<readonly T[]> {
    await new Promise<void>((resolve) => this.listen(() => this.#isClosed && resolve()));
    if (this.#failure !== undefined) throw this.#failure.error;
    return this.take() ?? [];
  }
}
