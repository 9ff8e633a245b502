/**
 * Batches of a task, one after another, whoever takes them.
 *
 * @module
 */
import { isList } from '../../bridge/found.js';
import { type TensorLike } from '../../tensor/ops.js';
import { Tensor } from '../../tensor/tensor.js';
import { LENT } from '../lent.js';
import { refusal } from '../refusal.js';
import { type Batch } from '../trainer.js';

/** Batches of a task. */
export type LabeledData = AsyncIterable<Batch> | Iterable<Batch>;

/** Data that tells where it is, as pipelines of `tl.data` do. */
interface Resumable {
  state(): unknown;
  restore(state: unknown): unknown;
}

/** Where a source is: the batches used since its beginning, or since a state that its data told. */
export interface Position {
  readonly state?: unknown;
  readonly used: number;
}

function isResumable(data: object): data is Resumable {
  return 'state' in data && typeof data.state === 'function' && 'restore' in data && typeof data.restore === 'function';
}

const tensorsIn = (batch: Batch): Tensor[] =>
  (isList(batch) ? batch : [batch]).filter((x: unknown): x is Tensor => x instanceof Tensor);

/** Disposes the tensors of a batch. */
export const disposeBatch = (batch: Batch): void => tensorsIn(batch).forEach((x) => x.dispose());

const handle = (x: TensorLike): TensorLike => (x instanceof Tensor ? x.reshape(x.shape) : x);

/** The same batch with handles of its own, for whoever disposes what it was given. */
function lent(batch: Batch): Batch {
  return isList(batch) ? batch.map(handle) : handle(batch);
}

/** Batches of one task. Those that were taken and not used come again. */
export class BatchSource {
  readonly #what: string;
  readonly #data: LabeledData;
  /** How many batches are taken again and again, if not all are. */
  readonly #only: number | null;
  /** These, once they are there. */
  readonly #kept: Batch[] = [];
  #iterator: AsyncIterator<Batch> | Iterator<Batch> | undefined;
  /** Batches that come before what the iterator gives. */
  #ahead: Batch[] = [];
  #filling: Promise<void> | undefined;
  /** What the data told last, if it tells its state. */
  #state: unknown;
  #used = 0;
  #isLent = false;
  #given = 0;

  constructor(what: string, data: LabeledData, only: number | null = null) {
    this.#what = what;
    this.#data = data;
    this.#only = only;
  }

  /** Whether batches are used more than once, so that nobody may dispose them. */
  get #keeps(): boolean {
    return isList(this.#data) || this.#only !== null;
  }

  /** The next batches, which come again. */
  async peek(count: number): Promise<Batch[]> {
    this.#mark();
    while (this.#ahead.length < count) await this.#fill();
    return this.#ahead.slice(0, count).map(lent);
  }

  /** Calls `f` with the next batch, which is used up even if it throws. */
  async next<T>(f: (batch: Batch) => Promise<T>): Promise<T | undefined> {
    const taken = this.take(1);
    try {
      for await (const batch of taken) return await f(batch);
      return undefined;
    } finally {
      taken.settle(1);
    }
  }

  /** Calls `f` with each batch of the data, from their beginning to their end. Data that tell their state are where they were if it throws. */
  async each(f: (batch: Batch) => Promise<void>): Promise<void> {
    const data = this.#data;
    const before = isResumable(data) ? data.state() : undefined;
    let count = 0;
    try {
      for await (const batch of data) {
        count += 1;
        try {
          await f(batch);
        } finally {
          this.#dispose(batch);
        }
      }
    } catch (error) {
      if (isResumable(data)) await data.restore(before);
      throw error;
    }
    if (count > 0) return;
    const way = 'give an array, or a pipeline of tl.data, which can be read again';
    throw refusal('InvalidArgument', `${this.#what} gave no batch: ${way}`);
  }

  /** As many batches as given. `settle` must be called when it is known how many were used. */
  take(count: number, mostUnused = 1): Taken {
    this.#mark();
    this.#isLent = true;
    const next: Giver['next'] = (isOver) => {
      const filling = this.#ahead.length === 0 && !isOver() ? this.#fill() : undefined;
      if (filling !== undefined) return filling.then(() => next(isOver));
      return isOver() ? undefined : this.#ahead.shift();
    };
    return new Taken(count, mostUnused, {
      next,
      giveBack: (unused, used) => {
        this.#isLent = false;
        this.#ahead.unshift(...unused);
        this.#used += used;
      },
      dispose: (batch) => this.#dispose(batch),
    });
  }

  /** Where the source is: before the first batch that was not used. */
  position(): Position {
    this.#mark();
    return this.#state === undefined ? { used: this.#used } : { state: this.#state, used: this.#used };
  }

  /** Goes to a position that another source of the same data told. */
  async restore({ state, used }: Position): Promise<void> {
    const isTold = state !== undefined && isResumable(this.#data);
    if (isTold || this.#state !== undefined || used < this.#used) {
      if (!isTold) this.#checkRestarts();
      await this.close();
      this.#state = isTold ? state : undefined;
      this.#used = 0;
    }
    if (isTold && isResumable(this.#data)) await this.#data.restore(state);
    for (let i = this.#used; i < used; i += 1) {
      while (this.#ahead.length === 0) await this.#fill();
      this.#dispose(this.#ahead.shift()!);
    }
    this.#used = used;
  }

  /** Lets go of the iterator and of what was read ahead. */
  async close(): Promise<void> {
    const iterator = this.#iterator;
    this.#iterator = undefined;
    this.#ahead.forEach((batch) => this.#dispose(batch));
    this.#ahead = [];
    this.#given = 0;
    await iterator?.return?.();
  }

  #dispose(batch: Batch): void {
    if (!this.#keeps) disposeBatch(batch);
  }

  /** Asks the data for its state, where all that it gave is used. */
  #mark(): void {
    const isKnown = this.#ahead.length === 0 && this.#filling === undefined && !this.#isLent;
    if (!isKnown || this.#only !== null || !isResumable(this.#data)) return;
    this.#state = this.#data.state();
    this.#used = 0;
  }

  /** Refuses to go back where data runs only once. */
  #checkRestarts(): void {
    const data: unknown = this.#data;
    const isOnce = typeof data === 'object' && data !== null && 'next' in data;
    if (isOnce && this.#only === null) {
      const way = 'make the loop anew, or give a pipeline of tl.data, which can go back';
      throw refusal('InvalidArgument', `${this.#what} runs forward only, and the checkpoint lies before it: ${way}`);
    }
  }

  /** Reads one batch more, for all who wait for one. @returns what to wait for, unless the data gave it at once */
  #fill(): Promise<void> | undefined {
    if (this.#filling !== undefined) return this.#filling;
    const read = this.#read();
    if (!(read instanceof Promise)) {
      this.#ahead.push(read);
      return undefined;
    }
    this.#filling = read.then(
      (batch) => {
        this.#filling = undefined;
        this.#ahead.push(batch);
      },
      (error: unknown) => {
        this.#filling = undefined;
        throw error;
      },
    );
    return this.#filling;
  }

  /** A batch, at once where the data give it at once: every promise on its way would cost a step some of its time. */
  #read(): Batch | Promise<Batch> {
    const only = this.#only;
    if (only === null) return this.#readOn();
    if (this.#kept.length === only) return this.#again(only);
    const read = this.#readOn();
    const keep = (batch: Batch): Batch => {
      this.#kept.push(batch);
      return this.#again(only);
    };
    return read instanceof Promise ? read.then(keep) : keep(read);
  }

  /** The next of the batches that were kept. */
  #again(only: number): Batch {
    const batch = this.#kept[this.#given % only]!;
    this.#given += 1;
    return batch;
  }

  #readOn(): Batch | Promise<Batch> {
    const isFresh = this.#iterator === undefined;
    const data = this.#data;
    this.#iterator ??= Symbol.asyncIterator in data ? data[Symbol.asyncIterator]() : data[Symbol.iterator]();
    const result = this.#iterator.next();
    if (!('then' in result)) return this.#taken(result, isFresh);
    return Promise.resolve(result).then((one) => this.#taken(one, isFresh));
  }

  /** What an iterator gave, or the first batch of the next one where it ended. */
  #taken({ done, value }: IteratorResult<Batch>, isFresh: boolean): Batch | Promise<Batch> {
    if (done !== true) {
      if (this.#only === null) this.#given += 1;
      return value;
    }
    this.#iterator = undefined;
    if (!isFresh) return this.#readOn();
    const way = 'give an array, a generator that does not end, or a pipeline of tl.data with repeat()';
    const many = this.#given === 0 ? 'gave no batch' : `ended after ${this.#given} batches`;
    throw refusal('InvalidArgument', `${this.#what} ${many}: ${way}`);
  }
}

/** What {@link Taken} asks of its source. */
interface Giver {
  next(isOver: () => boolean): Promise<Batch | undefined> | Batch | undefined;
  giveBack(unused: readonly Batch[], used: number): void;
  dispose(batch: Batch): void;
}

/** Some batches of a source, to iterate over once. Who iterates does not dispose them. */
export class Taken implements AsyncIterable<Batch> {
  readonly [LENT] = true;
  readonly #count: number;
  readonly #mostUnused: number;
  readonly #giver: Giver;
  #lent: Batch[] = [];
  #disposed = 0;
  #isOver = false;

  /** @param mostUnused - how many of those it gave can be unused at a time */
  constructor(count: number, mostUnused: number, giver: Giver) {
    this.#count = count;
    this.#mostUnused = mostUnused;
    this.#giver = giver;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Batch> {
    for (let i = 0; i < this.#count; i += 1) {
      const next = this.#giver.next(() => this.#isOver);
      const batch = next instanceof Promise ? await next : next;
      if (batch === undefined) return;
      this.#lent.push(batch);
      if (this.#lent.length > this.#mostUnused) {
        this.#giver.dispose(this.#lent.shift()!);
        this.#disposed += 1;
      }
      yield batch;
    }
  }

  /** Says how many of the batches were used: the others are given again. */
  settle(used: number): void {
    this.#isOver = true;
    const stillLent = used - this.#disposed;
    this.#lent.slice(0, stillLent).forEach((batch) => this.#giver.dispose(batch));
    this.#giver.giveBack(this.#lent.slice(stillLent), used);
    this.#lent = [];
  }
}
