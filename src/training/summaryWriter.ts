/**
 * Event files for TensorBoard with a program's own values.
 *
 * @module
 */
import { found, text } from '../bridge/found.js';
import { native } from '../bridge/native.js';
import { type TensorLike, withTensors } from '../tensor/ops.js';

/**
 * Writes numbers, images, histograms and text to an event file, which TensorBoard shows.
 *
 * The file grows with what is written; `tensorboard --logdir <folder>` shows it while the program runs. It is closed by {@link SummaryWriter.close}, or
 * where a `using` declaration ends.
 *
 * @see {@link Trainer.fit}, whose `outputDir` writes the measures of each step
 * @example
 * ```ts
 * using writer = new tl.training.SummaryWriter('runs/first');
 * for (let step = 0; step < 3; step += 1) {
 *   writer.scalar('eval/accuracy', 0.5 + 0.1 * step, step);
 *   writer.histogram('weights/first', tl.random.normal(tl.random.key(step), [100]), step);
 * }
 * ```
 */
export class SummaryWriter implements Disposable {
  readonly #file: ReturnType<typeof native.newEventFile>;
  /** Path of the event file. */
  readonly path: string;

  /**
   * Makes a new event file.
   *
   * @param dir - Folder of the file, which is made if it is missing.
   * @throws {@link LayerError} `Io`: the folder cannot be made or written to.
   * @throws `TypeError`: `dir` is not a string.
   */
  constructor(dir: string) {
    this.#file = native.newEventFile(text('SummaryWriter: dir', dir));
    this.path = this.#file.path();
  }

  /**
   * Writes a number of a series.
   *
   * @param name - Name of the series; those with the same part before `/` stand together.
   * @param value - The number, which is written as float32.
   * @param step - Number of the step, a whole number of at least 0.
   * @throws {@link LayerError} `InvalidArgument`: the writer is closed.
   * @throws `TypeError`, `RangeError`: an argument is of another type, or `step` below 0.
   * @example
   * ```ts
   * using writer = new tl.training.SummaryWriter('runs/scalar');
   * writer.scalar('metrics/loss', 0.25, 100);
   * ```
   */
  scalar(name: string, value: number, step: number): void {
    if (typeof value !== 'number') {
      throw new TypeError(`SummaryWriter.scalar: value must be a number, got ${found(value)}`);
    }
    this.#file.scalar(text('SummaryWriter.scalar: name', name), value, step);
  }

  /**
   * Writes an image.
   *
   * @param name - Name of the series.
   * @param image - Pixels: `[height, width]`, or `[height, width, channels]` with 1, 3 or 4 channels. Floats go from 0 to 1, whole numbers from 0 to 255.
   * @param step - Number of the step, a whole number of at least 0.
   * @throws {@link LayerError} `ShapeMismatch`: `image` has another shape.
   * @throws {@link LayerError} `InvalidArgument`: the writer is closed.
   * @throws `TypeError`, `RangeError`: an argument is of another type, or `step` below 0.
   * @example
   * ```ts
   * using writer = new tl.training.SummaryWriter('runs/image');
   * writer.image('samples/noise', tl.random.uniform(tl.random.key(0), [28, 28]), 0);
   * ```
   */
  image(name: string, image: TensorLike, step: number): void {
    const of = text('SummaryWriter.image: name', name);
    withTensors([image], ([id]) => this.#file.image(of, id!, step));
  }

  /**
   * Writes how the values of a tensor are distributed.
   *
   * @param name - Name of the series.
   * @param values - The values.
   * @param step - Number of the step, a whole number of at least 0.
   * @throws {@link LayerError} `NotFinite`: a value is NaN or infinite.
   * @throws {@link LayerError} `ShapeMismatch`: there are no values.
   * @throws {@link LayerError} `InvalidArgument`: the writer is closed.
   * @throws `TypeError`, `RangeError`: an argument is of another type, or `step` below 0.
   * @example
   * ```ts
   * using writer = new tl.training.SummaryWriter('runs/histogram');
   * writer.histogram('weights/first', [0.5, 0.25, -1], 0);
   * ```
   */
  histogram(name: string, values: TensorLike, step: number): void {
    const of = text('SummaryWriter.histogram: name', name);
    withTensors([values], ([id]) => this.#file.histogram(of, id!, step));
  }

  /**
   * Writes text.
   *
   * @param name - Name of the series.
   * @param markdown - The text, in Markdown.
   * @param step - Number of the step, a whole number of at least 0.
   * @throws {@link LayerError} `InvalidArgument`: the writer is closed.
   * @throws `TypeError`, `RangeError`: an argument is of another type, or `step` below 0.
   * @example
   * ```ts
   * using writer = new tl.training.SummaryWriter('runs/text');
   * writer.text('samples/text', 'Call me **Ishmael**.', 0);
   * ```
   */
  text(name: string, markdown: string, step: number): void {
    this.#file.text(text('SummaryWriter.text: name', name), text('SummaryWriter.text: markdown', markdown), step);
  }

  /**
   * Hands what was written to the operating system.
   *
   * @throws {@link LayerError} `Io`: the file cannot be written, as when the disk is full.
   * @throws {@link LayerError} `InvalidArgument`: the writer is closed.
   * @example
   * ```ts
   * using writer = new tl.training.SummaryWriter('runs/flush');
   * writer.scalar('metrics/loss', 0.25, 100);
   * writer.flush();
   * ```
   */
  flush(): void {
    this.#file.flush();
  }

  /**
   * Flushes and closes the file; a second call does nothing.
   *
   * @throws {@link LayerError} `Io`: the file cannot be written.
   * @example
   * ```ts
   * const writer = new tl.training.SummaryWriter('runs/close');
   * writer.close();
   * ```
   */
  close(): void {
    this.#file.close();
  }

  /**
   * Closes the file where a `using` declaration ends.
   *
   * @example
   * ```ts
   * {
   *   using writer = new tl.training.SummaryWriter('runs/using');
   *   writer.scalar('metrics/loss', 0.25, 100);
   * }
   * ```
   */
  [Symbol.dispose](): void {
    this.close();
  }
}
