/**
 * What was measured on the way.
 *
 * @module
 */
import { found, isList, isRecord, text } from '../bridge/found.js';
import { plotHistory } from './plot.js';
import { refusal } from './refusal.js';

/** A value of a metric at a step. */
export interface HistoryEntry {
  /** Number of steps done when it was measured. */
  readonly step: number;
  /** The value. */
  readonly value: number;
}

/**
 * A {@link training.History} as plain data: by mode and metric, pairs of step and value.
 *
 * What is not finite is written as text.
 */
export type HistoryData = Readonly<
  Record<string, Readonly<Record<string, readonly (readonly [step: number, value: number | string])[]>>>
>;

const plain = (value: number): number | string => (Number.isFinite(value) ? value : `${value}`);
const pairs = (entries: readonly HistoryEntry[]): [number, number | string][] =>
  entries.map(({ step, value }) => [step, plain(value)]);

/**
 * The values of metrics by step, as Trax's history keeps them.
 *
 * A mode is `'train'` or `'eval'`. Losses and metrics are named `metrics/<name>`, other numbers of training `training/<name>`.
 *
 * @see {@link training.Loop}
 * @example
 * ```ts
 * const history = new tl.training.History();
 * history.append('eval', 'metrics/loss', 100, 0.5);
 * history.get('eval', 'metrics/loss'); // → [{ step: 100, value: 0.5 }]
 * ```
 */
export class History {
  readonly #values = new Map<string, Map<string, HistoryEntry[]>>();

  /**
   * Makes a history.
   *
   * @param data - What {@link training.History.toJSON} gave; empty if left out.
   * @throws {@link LayerError} `InvalidArgument`: `data` is nothing of that kind.
   */
  constructor(data: HistoryData = {}) {
    if (!isRecord(data))
      throw refusal('InvalidArgument', `History: data must be an object by mode, got ${found(data)}`);
    for (const [mode, metrics] of Object.entries(data)) {
      for (const [metric, entries] of Object.entries(isRecord(metrics) ? metrics : {})) {
        if (!isList(entries)) {
          throw refusal(
            'InvalidArgument',
            `History: ${mode} ${metric} must be an array of pairs, got ${found(entries)}`,
          );
        }
        for (const [step, value] of entries) this.append(mode, metric, step, Number(value));
      }
    }
  }

  /**
   * Adds a value.
   *
   * @param mode - `'train'` or `'eval'`, or a mode of the program's own.
   * @param metric - Name of the metric.
   * @param step - Number of steps done.
   * @param value - The value.
   * @throws `TypeError`: an argument is of another type.
   * @example
   * ```ts
   * const history = new tl.training.History();
   * history.append('train', 'metrics/loss', 1, 2.5);
   * history.modes; // → ['train']
   * ```
   */
  append(mode: string, metric: string, step: number, value: number): void {
    if (typeof step !== 'number' || typeof value !== 'number') {
      throw new TypeError(`History.append: step and value must be numbers, got ${found(step)} and ${found(value)}`);
    }
    const metrics = this.#values.get(text('History.append: mode', mode)) ?? new Map<string, HistoryEntry[]>();
    this.#values.set(mode, metrics);
    const entries = metrics.get(text('History.append: metric', metric)) ?? [];
    metrics.set(metric, entries);
    entries.push({ step, value });
  }

  /**
   * Gives the values of a metric in the order they were added.
   *
   * @param mode - Mode of the values.
   * @param metric - Name of the metric.
   * @returns Steps and values; none where nothing was added.
   * @throws `TypeError`: an argument is not a string.
   * @example
   * ```ts
   * new tl.training.History().get('eval', 'metrics/loss'); // → []
   * ```
   */
  get(mode: string, metric: string): readonly HistoryEntry[] {
    const metrics = this.#values.get(text('History.get: mode', mode));
    return metrics?.get(text('History.get: metric', metric)) ?? [];
  }

  /** Modes that have values. */
  get modes(): string[] {
    return [...this.#values.keys()];
  }

  /**
   * Tells which metrics have values in a mode.
   *
   * @param mode - The mode.
   * @returns Their names.
   * @throws `TypeError`: `mode` is not a string.
   * @example
   * ```ts
   * const history = new tl.training.History();
   * history.append('eval', 'metrics/accuracy', 1, 0.5);
   * history.metricsForMode('eval'); // → ['metrics/accuracy']
   * ```
   */
  metricsForMode(mode: string): string[] {
    return [...(this.#values.get(text('History.metricsForMode: mode', mode))?.keys() ?? [])];
  }

  /**
   * Draws all values by step as an SVG or a PNG, as {@link training.plotHistory} does.
   *
   * @param file - Path of the file, which ends in `.svg` or `.png`.
   * @returns When it is written.
   * @throws {@link LayerError} `Io`: the package `vega`, or for a PNG `@napi-rs/canvas`, is not installed.
   * @throws {@link LayerError} `InvalidArgument`: `file` ends in neither.
   * @throws `TypeError`: `file` is not a string.
   * @example
   * ```ts
   * const history = new tl.training.History();
   * [3, 2, 1.5].forEach((loss, i) => history.append('train', 'metrics/loss', i + 1, loss));
   * await history.plot('history.svg');
   * ```
   */
  async plot(file: string): Promise<void> {
    await plotHistory(this, file);
  }

  /**
   * Gives everything as plain data, which the constructor takes back.
   *
   * @returns By mode and metric, pairs of step and value.
   * @example
   * ```ts
   * const history = new tl.training.History();
   * history.append('eval', 'metrics/loss', 10, 0.25);
   * JSON.stringify(history); // → '{"eval":{"metrics/loss":[[10,0.25]]}}'
   * ```
   */
  toJSON(): HistoryData {
    return Object.fromEntries(
      [...this.#values].map(([mode, metrics]) => [
        mode,
        Object.fromEntries([...metrics].map(([metric, entries]) => [metric, pairs(entries)])),
      ]),
    );
  }
}
