import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import * as tl from '../../src/index.js';
import { bytesOf, eventsOf, fields } from '../support/events.js';

const folder = (): string => mkdtempSync(join(tmpdir(), 'tallow-events-'));
const doubles = (of: Buffer): number[] => Array.from({ length: of.length / 8 }, (_, i) => of.readDoubleLE(8 * i));

test('numbers, images, histograms and text are written in the form that TensorBoard reads', (t) => {
  const dir = join(folder(), 'runs', 'first');
  const writer = new tl.training.SummaryWriter(dir);
  writer.scalar('metrics/loss', 0.25, 3);
  writer.scalar('metrics/loss', NaN, 4);
  writer.image('samples/row', tl.tensor([[0, 128, 255]]), 4);
  writer.histogram('weights/first', [0, 0.5, 32, 63.5, 64], 5);
  writer.text('samples/text', 'Call me **Ishmael** — ü.', 6);
  writer.flush();
  t.deepEqual(
    readdirSync(dir).map((name) => join(dir, name)),
    [writer.path],
  );
  const all = eventsOf(writer.path);
  t.deepEqual(
    all.map(({ step, tag }) => [step, tag]),
    [
      [3, 'metrics/loss'],
      [4, 'metrics/loss'],
      [4, 'samples/row'],
      [5, 'weights/first'],
      [6, 'samples/text'],
    ],
  );
  t.deepEqual(
    [0, 1].map((i) => bytesOf(all[i]!.value, 2).readFloatLE()),
    [0.25, NaN],
  );
  const image = fields(bytesOf(all[2]!.value, 4));
  t.deepEqual(
    [1, 2, 3].map((field) => image.get(field)?.[0]),
    [1n, 3n, 1n],
  );
  t.is(bytesOf(image, 4).toString('latin1', 1, 4), 'PNG');
  const histogram = fields(bytesOf(all[3]!.value, 5));
  t.deepEqual(
    [1, 2, 3, 4].map((field) => doubles(bytesOf(histogram, field))[0] ?? 0),
    [0, 64, 5, 160],
  );
  const [limits, counts] = [doubles(bytesOf(histogram, 6)), doubles(bytesOf(histogram, 7))];
  t.deepEqual([limits.length, limits[0], limits[63]], [64, 1, 64]);
  t.deepEqual([counts[0], counts[32], counts[63]], [2, 1, 2]);
  const text = all[4]!.value;
  t.is(bytesOf(fields(bytesOf(text, 8)), 8).toString(), 'Call me **Ishmael** — ü.');
  t.is(bytesOf(fields(bytesOf(fields(bytesOf(text, 9)), 1)), 1).toString(), 'text');
  writer.close();
});

test('a writer that is closed, and what cannot be written, are refused by name', (t) => {
  const dir = folder();
  const writer = new tl.training.SummaryWriter(dir);
  const code = (f: () => void): string | undefined => t.throws(f, { instanceOf: tl.LayerError }).code;
  t.is(
    code(() => writer.histogram('h', [1, NaN], 0)),
    'NotFinite',
  );
  t.is(
    code(() => writer.histogram('h', tl.zeros([0]), 0)),
    'ShapeMismatch',
  );
  t.is(
    code(() => writer.image('i', tl.zeros([2, 2, 2]), 0)),
    'ShapeMismatch',
  );
  t.throws(() => writer.scalar('s', 1, -1), { message: /SummaryWriter: step must be .*, got -1/ });
  t.throws(() => writer.scalar('s', 1, 0.5), { message: /step/ });
  // @ts-expect-error a number is wanted
  t.throws(() => writer.scalar('s', '1', 0), { instanceOf: TypeError, message: /value must be a number/ });
  // @ts-expect-error a string is wanted
  t.throws(() => writer.text('s', 5, 0), { instanceOf: TypeError, message: /markdown must be a string/ });
  writer.scalar('s', 1, 0);
  writer.close();
  writer.close();
  t.deepEqual(
    eventsOf(writer.path).map(({ tag }) => tag),
    ['s'],
  );
  const error = t.throws(() => writer.scalar('s', 1, 1), { instanceOf: tl.LayerError });
  t.is(error.code, 'InvalidArgument');
  t.true(error.message.includes(`${writer.path} is closed; make a new SummaryWriter`), error.message);
  const file = join(dir, 'file');
  writeFileSync(file, '');
  t.is(
    code(() => new tl.training.SummaryWriter(join(file, 'below'))),
    'Io',
  );
  let path: string;
  {
    using own = new tl.training.SummaryWriter(dir);
    own.scalar('in a block', 1, 0);
    path = own.path;
  }
  t.is(eventsOf(path).length, 1);
  t.not(path, writer.path);
  t.true(readFileSync(path).length > 0);
});
