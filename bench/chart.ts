/** The results as a picture: a row a case, a point an implementation, time on a logarithmic axis. */
import type { Spec } from 'vega';
import { AXIS, COLOURS, FONT, INK, PAPER, RULE } from '../src/training/pictures.js';
import { time } from './report.js';
import type { Result } from './measure.js';

const ROW = 17;

const label = (r: Result): string =>
  `${r.suite} ${r.case}${r.threads === 0 ? '' : `, ${r.threads} ${r.threads === 1 ? 'thread' : 'threads'}`}`;

/** An SVG of the least time of every case. */
export async function drawChart(results: readonly Result[]): Promise<string> {
  const points = results.map((r) => ({
    row: label(r),
    name: r.implementation,
    ms: r.min,
    text: `${r.implementation}: ${time(r.min)}`,
  }));
  const rows = [...new Set(points.map(({ row }) => row))];
  const spans = rows.map((row) => {
    const of = points.filter((point) => point.row === row).map(({ ms }) => ms);
    return { row, from: Math.min(...of), to: Math.max(...of) };
  });
  const names = [...new Set(['tallow', ...points.map(({ name }) => name)])];
  const axis = { ...AXIS, domain: false, ticks: false };
  const middle = { scale: 'y', field: 'row', band: 0.5 };
  const spec = {
    width: 560,
    height: rows.length * ROW,
    padding: 14,
    autosize: 'pad',
    background: PAPER,
    title: {
      text: 'Time of one repetition',
      subtitle: 'The least of interleaved runs; further to the left is faster',
      anchor: 'start',
      frame: 'bounds',
      font: FONT,
      fontSize: 17,
      color: INK,
      subtitleFont: FONT,
      subtitleFontSize: 12,
      subtitleColor: AXIS.labelColor,
      subtitlePadding: 5,
      offset: 14,
    },
    data: [
      { name: 'points', values: points },
      { name: 'spans', values: spans },
    ],
    scales: [
      { name: 'x', type: 'log', domain: { data: 'points', field: 'ms' }, range: 'width', nice: true },
      { name: 'y', type: 'band', domain: rows, range: 'height' },
      { name: 'colour', type: 'ordinal', domain: names, range: COLOURS },
    ],
    axes: [
      {
        ...axis,
        orient: 'bottom',
        scale: 'x',
        grid: true,
        labelOverlap: true,
        encode: {
          labels: {
            update: {
              text: {
                signal:
                  "datum.value < 1e-3 ? format(datum.value * 1e6, '~') + ' ns' : datum.value < 1 ? format(datum.value * 1e3, '~') + ' µs' : datum.value < 1e3 ? format(datum.value, '~') + ' ms' : format(datum.value / 1e3, '~') + ' s'",
              },
            },
          },
        },
      },
      { ...axis, orient: 'left', scale: 'y', labelLimit: 320, labelPadding: 8, labelColor: INK },
    ],
    legends: [{ fill: 'colour', symbolType: 'circle', labelFont: FONT, labelColor: INK, orient: 'right', offset: 16 }],
    marks: [
      {
        type: 'rule',
        from: { data: 'spans' },
        encode: {
          enter: {
            x: { scale: 'x', field: 'from' },
            x2: { scale: 'x', field: 'to' },
            y: middle,
            stroke: { value: RULE },
          },
        },
      },
      {
        type: 'symbol',
        from: { data: 'points' },
        encode: {
          enter: {
            x: { scale: 'x', field: 'ms' },
            y: middle,
            fill: { scale: 'colour', field: 'name' },
            tooltip: { field: 'text' },
            size: { signal: "datum.name === 'tallow' ? 70 : 45" },
            stroke: { value: PAPER },
            strokeWidth: { value: 1 },
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
