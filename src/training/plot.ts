/**
 * The history of a training as a picture.
 *
 * @module
 */
import { writeFile } from 'node:fs/promises';
import { extname } from 'node:path';
import type * as Vega from 'vega';
import { found, isList, quoted, text } from '../bridge/found.js';
import { library } from '../bridge/library.js';
import { type HistoryEntry } from './history.js';
import { AXIS, COLOURS, FONT, INK, PAPER } from './pictures.js';
import { refusal } from './refusal.js';

/** What can be drawn: the values of metrics by step, as a {@link training.History} has them. */
export interface Plottable {
  /** Modes that have values, as `'train'`. */
  readonly modes: readonly string[];
  /** The metrics of a mode. */
  metricsForMode(mode: string): readonly string[];
  /** The values of a metric. */
  get(mode: string, metric: string): readonly HistoryEntry[];
}

/** A picture of one metric: a line for each mode. */
function panel(metric: string, values: readonly object[]): object {
  return {
    type: 'group',
    title: { text: metric, anchor: 'start', font: FONT, fontSize: 14, color: INK, offset: 8 },
    encode: { enter: { width: { value: 480 }, height: { value: 200 } } },
    signals: [
      { name: 'width', value: 480 },
      { name: 'height', value: 200 },
    ],
    data: [{ name: 'values', values }],
    scales: [
      { name: 'x', type: 'linear', domain: { data: 'values', field: 'step' }, range: 'width', zero: false },
      {
        name: 'y',
        type: 'linear',
        domain: { data: 'values', field: 'value' },
        range: 'height',
        nice: true,
        zero: false,
      },
    ],
    axes: [
      { ...AXIS, orient: 'bottom', scale: 'x', title: 'step', tickCount: 6 },
      { ...AXIS, orient: 'left', scale: 'y', grid: true, tickCount: 5 },
    ],
    marks: [
      {
        type: 'group',
        from: { facet: { name: 'series', data: 'values', groupby: 'mode' } },
        marks: [
          {
            type: 'line',
            from: { data: 'series' },
            encode: {
              enter: {
                x: { scale: 'x', field: 'step' },
                y: { scale: 'y', field: 'value' },
                stroke: { scale: 'mode', field: 'mode' },
                strokeWidth: { value: 2 },
              },
            },
          },
        ],
      },
    ],
  };
}

/** Whether a value has what is drawn of a history. */
function isPlottable(x: Partial<Plottable> | null | undefined): boolean {
  return isList(x?.modes) && typeof x.metricsForMode === 'function' && typeof x.get === 'function';
}

function spec(history: Plottable): Vega.Spec {
  const modes = [...history.modes];
  const metrics = [...new Set(modes.flatMap((mode) => history.metricsForMode(mode)))];
  const valuesOf = (metric: string): object[] =>
    modes.flatMap((mode) =>
      // What is not finite has no place on an axis.
      history
        .get(mode, metric)
        .filter(({ value }) => Number.isFinite(value))
        .map(({ step, value }) => ({ mode, step, value })),
    );
  return {
    padding: 12,
    background: PAPER,
    layout: { columns: 1, padding: 24, bounds: 'full' },
    scales: [{ name: 'mode', type: 'ordinal', domain: modes, range: COLOURS }],
    legends: [{ stroke: 'mode', symbolType: 'stroke', labelFont: FONT, labelColor: INK, orient: 'right' }],
    marks: metrics.map((metric) => panel(metric, valuesOf(metric))),
  } as Vega.Spec;
}

/** Says that a library is missing. */
const missing = (message: string, cause: unknown): Error => refusal('Io', `plotHistory: ${message}`, cause);

/** Pixels of a PNG for each unit of the picture: sharp on dense screens too. */
const DENSITY = 2;

/** A picture as a file of a kind holds it. */
async function drawn(view: Vega.View, ending: '.svg' | '.png'): Promise<string | Uint8Array> {
  if (ending === '.svg') return `${await view.toSVG()}\n`;
  const name = '@napi-rs/canvas';
  const { createCanvas, loadImage } = await library(name, 'draws PNG files', () => import('@napi-rs/canvas'), missing);
  const image = await loadImage(Buffer.from(await view.toSVG(DENSITY)));
  const canvas = createCanvas(image.width, image.height);
  canvas.getContext('2d').drawImage(image, 0, 0);
  return canvas.encode('png');
}

/**
 * Draws the values of all metrics by step, a line for each mode, and writes them as an SVG or a PNG.
 *
 * It needs the package `vega`, and for a PNG `@napi-rs/canvas` too, which draws letters in fonts of the system. Neither is installed with this one.
 *
 * @param history - What to draw: a {@link training.History}, or anything of its form.
 * @param file - Path of the file, which ends in `.svg` or `.png`.
 * @returns When it is written.
 * @throws {@link LayerError} `Io`: the package `vega` or `@napi-rs/canvas` is not installed.
 * @throws {@link LayerError} `InvalidArgument`: `file` ends in neither.
 * @throws `TypeError`: `history` has no modes, metrics and values, or `file` is not a string.
 * @throws `Error`: the file cannot be written; it is the error of `node:fs`.
 * @example
 * ```ts
 * const losses = [2.5, 1.2, 0.8].map((value, step) => ({ step, value }));
 * const history = { modes: ['train'], metricsForMode: () => ['metrics/loss'], get: () => losses };
 * await tl.training.plotHistory(history, 'loss.svg');
 * ```
 */
export async function plotHistory(history: Plottable, file: string): Promise<void> {
  if (!isPlottable(history)) {
    throw new TypeError(`plotHistory: history must be a history, as a Loop has one; got ${found(history)}`);
  }
  const path = text('plotHistory: file', file);
  const ending = extname(path).toLowerCase();
  if (ending !== '.svg' && ending !== '.png') {
    throw refusal('InvalidArgument', `plotHistory: file must end in .svg or .png, got ${quoted(path)}`);
  }
  const { parse, View } = await library('vega', 'draws', () => import('vega'), missing);
  const view = new View(parse(spec(history)), { renderer: 'none' });
  try {
    await writeFile(path, await drawn(view, ending));
  } finally {
    view.finalize();
  }
}
