/** The parts of the Moby-Dick example, by value, and the shorter examples as a whole. */
import test from 'ava';
import { run as readDigits } from '../examples/digits.js';
import { batches } from '../examples/moby-dick/batches.js';
import { splitMobyDick, splitText, Vocabulary } from '../examples/moby-dick/book.js';
import { drawCurve, movingAverage, spread } from '../examples/moby-dick/chart.js';
import { bitsPerCharacter, windows } from '../examples/moby-dick/evaluate.js';
import { NGram } from '../examples/moby-dick/ngram.js';
import { clock } from '../examples/moby-dick/progress.js';
import { draw, sample } from '../examples/moby-dick/sample.js';
import { run as trainLstm } from '../examples/recurrent.js';
import * as tl from '../src/index.js';

const near = (a: number, b: number, tolerance = 1e-12): boolean => Math.abs(a - b) <= tolerance;

test('book: no held-out chapter is trained on', t => {
  const { train, heldOut } = splitMobyDick();
  t.true(train.includes('Call me Ishmael.'));
  t.false(heldOut.includes('Call me Ishmael.'));
  t.true(train.length > 1_000_000);
  t.true(heldOut.length > 0.05 * train.length);
  for (let i = 0; i + 200 < heldOut.length; i += 5000) t.false(train.includes(heldOut.slice(i, i + 200)));
});

test('book: a text of the user gives its end', t => {
  const { train, heldOut } = splitText('a'.repeat(90) + 'b'.repeat(10));
  t.is(train, 'a'.repeat(90));
  t.is(heldOut, 'b'.repeat(10));
  t.is(splitText('x'.repeat(2_000_000)).heldOut.length, 100_000);
});

test('vocabulary: there and back; what is not in it is 0', t => {
  const vocabulary = new Vocabulary('hello 🐋');
  t.is(vocabulary.size, 7);
  t.is(vocabulary.decode(vocabulary.encode('hole 🐋')), 'hole 🐋');
  t.deepEqual([...vocabulary.encode('?')], [0]);
});

test('n-grams: Witten-Bell smoothing, computed by hand', t => {
  // The text 1 2 1 2 1 of 4 possible characters: 1 three times, 2 twice, two different ones.
  const text = Int32Array.of(1, 2, 1, 2, 1);
  const unigram = new NGram(1, 4, text);
  const p1 = (3 + 2 / 4) / (5 + 2);
  t.true(near(unigram.probability(text, 0), p1));
  t.true(near(unigram.probability(Int32Array.of(3), 0), 2 / 4 / 7));
  t.true(near(unigram.bits(Int32Array.of(1, 3)), -(Math.log2(p1) + Math.log2(2 / 28)) / 2));
  // After 2 came 1, twice; nothing else.
  const bigram = new NGram(2, 4, text);
  t.true(near(bigram.probability(text, 2), (2 + p1) / (2 + 1)));
  // A context never seen leaves it to the shorter one.
  t.true(near(bigram.probability(Int32Array.of(3, 1), 1), p1));
});

test('n-grams: probabilities add up to 1, and longer contexts help on a regular text', t => {
  const text = Int32Array.from({ length: 300 }, (_, i) => 1 + ((i * i) % 5));
  const models = [1, 2, 3].map(order => new NGram(order, 6, text));
  for (const model of models) {
    const sum = [0, 1, 2, 3, 4, 5].reduce((total, next) => total + model.probability(Int32Array.of(2, 5, next), 2), 0);
    t.true(near(sum, 1), `order ${model.order}: ${sum}`);
  }
  const [one, two, three] = models.map(model => model.bits(text)) as [number, number, number];
  t.true(three < two && two < one);
});

test('windows: each character counts once, with at least half a window before it', t => {
  for (const [size, length] of [[8, 8], [9, 8], [100, 8], [37, 5], [10, 2], [64, 9]] as const) {
    const counted = Array.from({ length: size }, () => 0);
    for (const { start, countFrom } of windows(size, length)) {
      t.true(start >= 0 && start + length <= size);
      if (start > 0) t.true(countFrom >= Math.floor(length / 2));
      for (let i = start + countFrom; i < start + length; i++) counted[i]!++;
    }
    t.deepEqual(counted, Array.from({ length: size }, () => 1), `${size} by ${length}`);
  }
});

const tiny = (): tl.Layer => {
  const model = tl.models.TransformerLM(5, { dModel: 8, dFf: 8, nLayers: 1, nHeads: 2, maxLen: 6, dropout: 0 });
  model.init({ shape: [1, 6], dtype: 'int32' }, { rng: tl.random.key(0) });
  return model;
};

test('bits per character: what the model says of each character', async t => {
  const model = tiny();
  const ids = Int32Array.of(1, 2, 3, 4, 3, 2);
  const logits = model(tl.tensor(ids, [1, 6])).logSoftmax().array() as number[][][];
  const want = -ids.reduce((sum, id, i) => sum + logits[0]![i]![id]!, 0) / Math.LN2 / 6;
  t.true(near(await bitsPerCharacter(model, ids, 6), want, 1e-5));
});

test('batches: windows of the text, the same for the same key', t => {
  const ids = Int32Array.from({ length: 50 }, (_, i) => i);
  const first = (key: tl.Key): number[][] => {
    const iterator = batches(ids, 4, 7, key);
    return [0, 1].map(() => Array.from(iterator.next().value![0]!.dataSync() as Int32Array));
  };
  const [a, b] = [first(tl.random.key(1)), first(tl.random.key(1))];
  t.deepEqual(a, b);
  t.notDeepEqual(a, first(tl.random.key(2)));
  t.notDeepEqual(a[0], a[1]);
  a[0]!.forEach((id, i) => t.is(id, a[0]![i - (i % 7)]! + (i % 7)));
});

test('draw: by probability and temperature; never 0', t => {
  const logits = [9, Math.log(1), Math.log(3)];
  t.deepEqual([0, 0.24, 0.26, 0.999].map(u => draw(logits, 1, u)), [1, 1, 2, 2]);
  t.is(draw(logits, 0.01, 0.1), 2);
  t.is(draw(logits, 1, 1), 2);
});

test('sample: as many characters as asked for, the same for the same key, also beyond what the model can read', async t => {
  const options = { count: 20, length: 6, temperature: 1, key: tl.random.key(5) };
  const text = await sample(tiny(), options);
  t.is(text.length, 20);
  t.true(text.every(id => id >= 1 && id < 5));
  t.deepEqual(await sample(tiny(), options), text);
});

test('chart: an SVG with curve and scores', async t => {
  const svg = await drawCurve({ title: 'A <title>', subtitle: 'b', training: [5, 4, 3.5, 3], heldOut: 3.25, rivals: [{ name: 'Unigram', bits: 4.4 }] });
  t.true(svg.startsWith('<svg'));
  for (const text of ['A &lt;title&gt;', 'Unigram 4.40', 'Transformer 3.25', 'bits per character']) t.true(svg.includes(text), text);
  t.false(svg.includes('NaN'));
});

test('moving average, labels apart, clock', t => {
  t.deepEqual(movingAverage([2, 4, 6, 14], 1), [3, 4, 8, 10]);
  t.deepEqual(spread([3, 1, 1.2], 0.5), [3, 1, 1.5]);
  t.deepEqual([0, 59.6, 95, -1].map(clock), ['0:00', '1:00', '1:35', '0:00']);
});

test('recurrent: the LSTM predicts better than pairs of characters, and writes on', async t => {
  const { bits, sample } = await trainLstm();
  t.true(bits.lstm < bits.bigram, `${bits.lstm} and ${bits.bigram}`);
  t.true(sample.startsWith('The whale '));
  t.is(sample.length, 70);
});

test('digits: the convolutional net reads at least 97 of 100 held-out digits', async t => {
  const { accuracy } = await readDigits();
  t.true(accuracy >= 0.97, `${accuracy}`);
});
