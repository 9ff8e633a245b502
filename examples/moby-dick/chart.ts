/** The loss curve as a picture. */
import type { Spec } from 'vega';
import type { Score } from './evaluate.js';

/** What is drawn. */
export interface Curve {
  readonly title: string;
  readonly subtitle: string;
  /** Bits per character of each training step. */
  readonly training: readonly number[];
  /** Scores on the held-out text. */
  readonly own: Score;
  readonly rivals: readonly Score[];
}

const INK = '#3d3a36';
const FAINT = '#8d877e';
/** More points than this would not be seen. */
const MOST_POINTS = 640;
const FONT = 'Helvetica, Arial, sans-serif';

/** The mean of each value and up to `reach` on either side of it. */
export function movingAverage(values: readonly number[], reach: number): number[] {
  const sums = [0];
  for (const value of values) sums.push(sums.at(-1)! + value);
  return values.map((_, i) => {
    const [from, to] = [Math.max(0, i - reach), Math.min(values.length, i + reach + 1)];
    return (sums[to]! - sums[from]!) / (to - from);
  });
}

/** The heights of labels for lines at these heights: the same order, at least `gap` apart. */
export function spread(heights: readonly number[], gap: number): number[] {
  const out = [...heights];
  const order = heights.map((_, i) => i).toSorted((a, b) => heights[a]! - heights[b]!);
  order.forEach((label, k) => {
    if (k > 0) out[label] = Math.max(out[label]!, out[order[k - 1]!]! + gap);
  });
  return out;
}

/** A mark of vega's: one series as a line. */
const line = (field: string, opacity: number, width: number): object => ({
  type: 'line',
  from: { data: 'steps' },
  encode: {
    enter: {
      x: { scale: 'x', field: 'step' },
      y: { scale: 'y', field },
      stroke: { value: '#b5482a' },
      strokeOpacity: { value: opacity },
      strokeWidth: { value: width },
      strokeJoin: { value: 'round' },
    },
  },
});

/** An SVG of the loss by step, with the scores on the held-out text as lines across. */
export async function drawCurve({ title, subtitle, training, own, rivals }: Curve): Promise<string> {
  const smooth = movingAverage(training, Math.ceil(training.length / 100));
  const every = Math.ceil(training.length / MOST_POINTS);
  const steps = training
    .map((bits, i) => ({ step: i + 1, bits, smooth: smooth[i]! }))
    .filter((_, i) => i % every === 0);
  const marks = [...rivals.map((rival) => ({ ...rival, own: false })), { ...own, own: true }].map((mark) => ({
    ...mark,
    label: `${mark.name} ${mark.bits.toFixed(2)}`,
  }));
  const all = [...training, ...marks.map(({ bits }) => bits)];
  const highest = all.reduce((a, b) => Math.max(a, b));
  const lowest = all.reduce((a, b) => Math.min(a, b)) - 0.2;
  // A label is as high as 1/20 of the picture.
  const heights = spread(
    marks.map(({ bits }) => bits),
    (highest - lowest) / 20,
  );
  const labels = marks.map((mark, i) => ({ ...mark, height: heights[i]! }));
  const across = { x: { value: 0 }, x2: { signal: 'width' }, y: { scale: 'y', field: 'bits' } };
  const colour = { signal: `datum.own ? '#b5482a' : '${FAINT}'` };
  const spec = {
    width: 640,
    height: 320,
    padding: { left: 12, right: 12, top: 12, bottom: 12 },
    autosize: 'pad',
    background: '#fffdf9',
    title: {
      text: title,
      subtitle,
      anchor: 'start',
      font: FONT,
      fontSize: 17,
      color: INK,
      subtitleFont: FONT,
      subtitleFontSize: 12,
      subtitleColor: FAINT,
      subtitlePadding: 5,
      offset: 18,
    },
    data: [
      { name: 'steps', values: steps },
      { name: 'marks', values: labels },
    ],
    scales: [
      { name: 'x', type: 'linear', domain: [0, training.length], range: 'width' },
      { name: 'y', type: 'linear', domain: [lowest, highest], range: 'height', nice: true, zero: false },
    ],
    axes: [
      { orient: 'bottom', scale: 'x', title: 'step', tickCount: 6 },
      { orient: 'left', scale: 'y', title: 'bits per character', tickCount: 6, grid: true },
    ].map((axis) => ({
      ...axis,
      labelFont: FONT,
      titleFont: FONT,
      titleFontWeight: 'normal',
      labelColor: FAINT,
      titleColor: FAINT,
      titlePadding: 10,
      gridColor: '#efeae1',
      domainColor: '#d8d1c5',
      tickColor: '#d8d1c5',
      labelFontSize: 11,
      titleFontSize: 12,
    })),
    marks: [
      line('bits', 0.28, 1),
      line('smooth', 1, 2.2),
      {
        type: 'rule',
        from: { data: 'marks' },
        encode: { enter: { ...across, stroke: colour, strokeDash: { value: [4, 4] } } },
      },
      {
        type: 'text',
        from: { data: 'marks' },
        encode: {
          enter: {
            x: { signal: 'width + 8' },
            y: { scale: 'y', field: 'height' },
            text: { field: 'label' },
            baseline: { value: 'middle' },
            font: { value: FONT },
            fontSize: { value: 12 },
            fontWeight: { signal: `datum.own ? 'bold' : 'normal'` },
            fill: colour,
          },
        },
      },
    ],
  } as Spec;
  // An ES module that awaits at its top level: it cannot be required.
  const { parse, View } = await import('vega');
  const view = new View(parse(spec), { renderer: 'none' });
  try {
    return `${await view.toSVG()}\n`;
  } finally {
    view.finalize();
  }
}
