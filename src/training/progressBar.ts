/**
 * How far a program is.
 *
 * @module
 */
import type progress = require('cli-progress');
import { found } from '../bridge/found.js';
import { type Names, optionsOf } from '../tensor/rest.js';

/** What a {@link training.ProgressBar} writes to. */
export interface ProgressStream {
  /** Writes a text. */
  write(text: string): unknown;
  /** Whether it is a terminal. */
  readonly isTTY?: boolean | undefined;
}

/** Options of {@link training.ProgressBar}. */
export interface ProgressBarOptions {
  /** What it writes to; `process.stderr` if left out. */
  readonly stream?: ProgressStream | undefined;
}

const OPTIONS: Names<ProgressBarOptions> = { stream: true };

/** Whether a bar can be drawn on a stream, as only one of Node that is a terminal takes what moves the cursor. */
const isTerminal = (stream: ProgressStream): stream is NodeJS.WriteStream => stream.isTTY === true;

/** `95` seconds as "1:35". */
function clock(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}

/**
 * Shows how far a program is: a bar in a terminal, elsewhere a line at every tenth.
 *
 * @example
 * ```ts
 * const bar = new tl.training.ProgressBar(300);
 * for (let step = 1; step <= 300; step += 1) bar.update(step, 'loss 0.25');
 * bar.stop();
 * ```
 */
export class ProgressBar implements Disposable {
  /** The number of steps that are to be done. */
  readonly total: number;
  readonly #stream: ProgressStream;
  readonly #bar: progress.SingleBar | undefined;
  readonly #began = performance.now();
  #tenths = 0;

  /**
   * Begins to show.
   *
   * @param total - The number of steps that are to be done.
   * @param options - Options by name:
   * - `stream`: What it writes to. Default: `process.stderr`.
   * @throws `RangeError`: `total` is not a whole number of at least 1.
   * @throws `TypeError`: an option is unknown.
   */
  constructor(total: number, options: ProgressBarOptions = {}) {
    const { stream = process.stderr } = optionsOf('ProgressBar', options, OPTIONS);
    if (!Number.isSafeInteger(total) || total < 1) {
      throw new RangeError(`ProgressBar: total must be a whole number of at least 1, got ${found(total)}`);
    }
    this.total = total;
    this.#stream = stream;
    if (!isTerminal(stream)) return;
    // Loaded where a bar is drawn, which most programs never do.
    const { SingleBar }: typeof progress = require('cli-progress');
    this.#bar = new SingleBar({
      format: '{bar} step {value}/{total}{text} · {left} left',
      barCompleteChar: '━',
      barIncompleteChar: ' ',
      barsize: 24,
      hideCursor: true,
      stream,
      // Ctrl-C is the program's.
      gracefulExit: false,
    });
    this.#bar.start(total, 0, { text: '', left: '–:––' });
  }

  /**
   * Shows that so many steps are done.
   *
   * @param done - The number of steps done.
   * @param shown - What stands beside it, such as the loss, or a function that tells it where something is shown; nothing if left out.
   * @throws `TypeError`: `done` is not a number.
   * @example
   * ```ts
   * using bar = new tl.training.ProgressBar(100);
   * bar.update(50, 'loss 0.25');
   * ```
   */
  update(done: number, shown: string | (() => string) = ''): void {
    if (typeof done !== 'number') {
      throw new TypeError(`ProgressBar.update: done must be a number, got ${found(done)}`);
    }
    const tenths = Math.floor((10 * done) / this.total);
    if (this.#bar === undefined && tenths <= this.#tenths) return;
    this.#tenths = tenths;
    const seconds = (performance.now() - this.#began) / 1000;
    const left = done > 0 ? clock((seconds / done) * (this.total - done)) : '–:––';
    const beside = typeof shown === 'function' ? shown() : shown;
    const text = beside === '' ? '' : ` · ${beside}`;
    if (this.#bar === undefined) this.#stream.write(`step ${done}/${this.total}${text} · ${left} left\n`);
    else this.#bar.update(done, { text, left });
  }

  /**
   * Stops showing; what was shown last stays.
   *
   * @example
   * ```ts
   * const bar = new tl.training.ProgressBar(100);
   * bar.stop();
   * ```
   */
  stop(): void {
    this.#bar?.stop();
  }

  /**
   * Stops showing where a `using` declaration ends.
   *
   * @example
   * ```ts
   * {
   *   using bar = new tl.training.ProgressBar(100);
   *   bar.update(100);
   * }
   * ```
   */
  [Symbol.dispose](): void {
    this.stop();
  }
}
