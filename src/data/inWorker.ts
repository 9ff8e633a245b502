/**
 * Datasets in another thread.
 *
 * @module
 */
import { extname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { text } from '../bridge/found.js';
import { namedOptions } from '../tensor/rest.js';
import { received } from './crossing.js';
import { type Cursor, END, type Json, type Plan, Saved, type State } from './cursor.js';
import { Dataset } from './dataset.js';
import { DataError, refused } from './errors.js';
import { type Message, STEP, type Task } from './messages.js';
import { stepOptions } from './options.js';
import { disposeOwned } from './owned.js';

/** Options of {@link inWorker}. */
export interface WorkerOptions {
  /** How many elements the thread makes before they are asked for; 4 if left out. */
  readonly ahead?: number | undefined;
  /** What the function of the module is called with: plain values. */
  readonly argument?: Json | undefined;
}

/** The program of the thread, beside this one. */
const PROGRAM = join(__dirname, `workerThread${extname(__filename)}`);

/** The elements that a thread sends. */
class Remote implements Cursor<unknown> {
  readonly #worker: Worker;
  readonly #ready: Message[] = [];
  #wake: (() => void) | undefined;
  #from: State | null;
  #skip: number;
  #failure: Error | undefined;
  #ended = false;

  constructor(task: Task) {
    this.#from = task.from === null ? null : new Saved(STEP, task.from).state('from');
    this.#skip = task.from === null ? 0 : new Saved(STEP, task.from).count('skip');
    this.#worker = new Worker(PROGRAM, { workerData: task });
    this.#worker.on('message', (message: Message) => this.#take(message));
    this.#worker.on('error', (cause) => this.#fail(`its thread failed: ${String(cause)}`, cause));
    this.#worker.on('exit', (code) => this.#fail(`its thread ended with code ${code}`));
    // A program that has nothing else to do ends.
    this.#worker.unref();
  }
  #take(message: Message): void {
    this.#ready.push(message);
    this.#wake?.();
  }
  #fail(message: string, cause?: unknown): void {
    this.#failure ??= new DataError('Thrown', message, { step: STEP, element: undefined, cause });
    this.#wake?.();
  }
  async next(): Promise<unknown> {
    if (this.#ended) return END;
    this.#worker.ref();
    while (this.#ready.length === 0 && this.#failure === undefined) {
      // Until something comes.
      // oxlint-disable-next-line no-await-in-loop
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    this.#worker.unref();
    const message = this.#ready.shift();
    if (message === undefined) throw this.#failure;
    if (message.kind === 'error') {
      const { code, text: what, step, element, cause } = message;
      throw new DataError(code, what, { step, element, cause });
    }
    this.#from = message.from ?? this.#from;
    this.#skip = message.skip;
    if (message.kind === 'end') {
      this.#ended = true;
      return END;
    }
    this.#worker.postMessage('more', []);
    return received(message.element);
  }
  state(): State {
    return { step: STEP, skip: this.#skip, from: this.#from };
  }
  async close(): Promise<void> {
    this.#ended = true;
    await this.#worker.terminate();
    disposeOwned(this.#ready.splice(0));
  }
}

/**
 * Reads a dataset that a module makes, on a thread of its own: reading, encoding and packing take no time of the event loop.
 *
 * The module's default export is a function that gives the dataset; it is called in the thread. The values of
 * tensors are moved and not copied, all else is copied as `postMessage` does.
 *
 * @param module - Path of the module, or its URL, as `new URL('./data.mjs', import.meta.url)`.
 * @param options - Options by name:
 * - `ahead`: How many elements the thread makes before they are asked for. Default: `4`.
 * - `argument`: What the function is called with. Default: nothing.
 * @returns A dataset of what the module's one gives. TypeScript is not told what that is: a `map` behind it looks.
 * @throws `TypeError`: `module` is not a string or URL.
 * @throws {@link LayerError} `InvalidOption`: an option is unknown or outside its bounds.
 * @throws {@link DataError} While it is read: what the thread throws, with its step and element.
 * @example
 * ```ts
 * import { writeFileSync } from 'node:fs';
 * import { resolve } from 'node:path';
 *
 * const program = `
 *   const tl = require('tallow');
 *   module.exports = (n) => tl.data.fromArray([1, 2, 3]).map((x) => n * x);
 * `;
 * writeFileSync('numbers.cjs', program);
 * await tl.data.inWorker(resolve('numbers.cjs'), { argument: 10 }).toArray(); // → [ 10, 20, 30 ]
 * ```
 */
export function inWorker(module: string | { readonly href: string }, options: WorkerOptions = {}): Dataset<unknown> {
  const { argument, ...rest } = namedOptions(STEP, options) ?? {};
  const { ahead } = stepOptions<{ ahead: number }>(STEP, rest);
  const href = typeof module === 'object' ? module?.href : undefined;
  const url = typeof href === 'string' ? href : pathToFileURL(text('inWorker: module', module)).href;
  const plan: Plan<unknown> = {
    step: STEP,
    async open(from, epochs) {
      try {
        // Where nothing was read, there is no place to go on from.
        const start = from === undefined || from['from'] === null ? null : from;
        return new Remote({ url, ahead, argument: argument ?? null, from: start, epochs });
      } catch (error) {
        if (error instanceof DataError) throw error;
        throw refused(STEP, undefined, 'InvalidArgument', `\`argument\` cannot cross to a thread: ${String(error)}`);
      }
    },
  };
  return Dataset.of(plan);
}
