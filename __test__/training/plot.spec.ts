import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import * as tl from '../../src/index.js';

const values: Readonly<Record<string, Readonly<Record<string, number[]>>>> = {
  train: { 'metrics/loss': [3, 2, NaN, 1] },
  eval: { 'metrics/loss': [3.5, 2.5], 'metrics/accuracy': [0.25, 0.75] },
};
const history: tl.training.Plottable = {
  modes: Object.keys(values),
  metricsForMode: (mode) => Object.keys(values[mode]!),
  get: (mode, metric) => (values[mode]![metric] ?? []).map((value, i) => ({ step: 10 * i, value })),
};

test('a picture has a line for each mode of each metric, without what is not finite', async (t) => {
  const file = join(mkdtempSync(join(tmpdir(), 'tallow-plot-')), 'history.svg');
  await tl.training.plotHistory(history, file);
  const svg = readFileSync(file, 'utf8');
  t.regex(svg, /^<svg /);
  for (const text of ['metrics/loss', 'metrics/accuracy', 'train', 'eval', 'step'])
    t.true(svg.includes(`>${text}<`), text);
  const lines = [...svg.matchAll(/class="mark-line[^<]*<path d="([^"]*)"/g)].map(([, d]) => d!);
  t.is(lines.length, 3);
  t.false(svg.includes('NaN'));
  // The first line: three finite values of four, going down (where heights grow).
  const points = lines[0]!
    .split(/[ML]/)
    .filter(Boolean)
    .map((point) => point.split(',').map(Number));
  t.is(points.length, 3);
  t.true(points[0]![1]! < points[1]![1]! && points[1]![1]! < points[2]![1]!);
});

test('a file that cannot be written is an error', async (t) => {
  await t.throwsAsync(tl.training.plotHistory(history, join(tmpdir(), 'nowhere', 'history.svg')), { code: 'ENOENT' });
  // @ts-expect-error a path is wanted
  await t.throwsAsync(tl.training.plotHistory(history, 5), { instanceOf: TypeError });
});

test('a history draws itself', async (t) => {
  const file = join(mkdtempSync(join(tmpdir(), 'tallow-plot-')), 'history.svg');
  const own = new tl.training.History();
  for (const [step, loss] of [3, 2, 1].entries()) own.append('train', 'metrics/loss', step, loss);
  await own.plot(file);
  t.regex(readFileSync(file, 'utf8'), /class="mark-line[^<]*<path d="M0,0L\d+,100L480,200"/);
});
