import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createCanvas, loadImage } from '@napi-rs/canvas';
import test from 'ava';
import * as tl from '../../src/index.js';
import { run } from '../support/process.js';

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

test('a file that ends in .png is a picture of twice as many pixels, with what the other shows', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tallow-plot-'));
  const [svg, png] = ['history.svg', 'history.PNG'].map((name) => join(folder, name)) as [string, string];
  await tl.training.plotHistory(history, svg);
  await tl.training.plotHistory(history, png);
  const size = /width="(\d+)" height="(\d+)"/.exec(readFileSync(svg, 'utf8'))!.slice(1).map(Number);
  const image = await loadImage(readFileSync(png));
  t.deepEqual(
    [image.width, image.height],
    size.map((n) => 2 * n),
  );
  const context = createCanvas(image.width, image.height).getContext('2d');
  context.drawImage(image, 0, 0);
  const { data } = context.getImageData(0, 0, image.width, image.height);
  const seen = new Set<string>();
  for (let i = 0; i < data.length; i += 4) seen.add([...data.subarray(i, i + 3)].join());
  // Paper, and the lines of both modes.
  for (const colour of ['255,253,249', '181,72,42', '63,108,143']) t.true(seen.has(colour), colour);
});

test('another ending, and a library that is not there, are refused by name', async (t) => {
  for (const name of ['history.jpg', 'history']) {
    const message = `[InvalidArgument] plotHistory: file must end in .svg or .png, got "${name}"`;
    await t.throwsAsync(tl.training.plotHistory(history, name), { code: 'InvalidArgument', message });
  }
  const index = join(__dirname, '..', '..', 'src', 'index.ts');
  const saidWithout = async (hidden: string): Promise<string> => {
    const hooks = `export async function resolve(name, context, next) {
      if (name !== '${hidden}') return next(name, context);
      throw Object.assign(new Error('no such module'), { code: 'ERR_MODULE_NOT_FOUND' });
    }`;
    const script = `
      require('node:module').register('data:text/javascript,' + encodeURIComponent(${JSON.stringify(hooks)}));
      const tl = require(${JSON.stringify(index)});
      new tl.training.History().plot('/nowhere/a.png').catch((error) => console.log(error.message));`;
    const { code, output } = await run(process.execPath, ['--require=tsx/cjs', '-e', script]);
    t.is(code, 0, output);
    return output.trim();
  };
  t.is(
    await saidWithout('@napi-rs/canvas'),
    '[Io] plotHistory: it draws PNG files by the package @napi-rs/canvas, which is not installed: npm install @napi-rs/canvas',
  );
  t.is(
    await saidWithout('vega'),
    '[Io] plotHistory: it draws by the package vega, which is not installed: npm install vega',
  );
});

test('a history draws itself', async (t) => {
  const file = join(mkdtempSync(join(tmpdir(), 'tallow-plot-')), 'history.svg');
  const own = new tl.training.History();
  for (const [step, loss] of [3, 2, 1].entries()) own.append('train', 'metrics/loss', step, loss);
  await own.plot(file);
  t.regex(readFileSync(file, 'utf8'), /class="mark-line[^<]*<path d="M0,0L\d+,100L480,200"/);
});
