/** The parts of the Moby-Dick example, by value, and the shorter examples as a whole. */
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { run as trainOnCluster } from '../examples/cluster/train.js';
import { bestHead, draw as drawBuckets, seen } from '../examples/buckets.js';
import { run as readDigits } from '../examples/digits.js';
import { run as duplicate } from '../examples/duplication.js';
import { batches as duplicates, makeModel as makeDuplicator, type Setting } from '../examples/duplication/task.js';
import { counted, run as trainBigram } from '../examples/makemore/bigram.js';
import { run as trainMlp } from '../examples/makemore/mlp.js';
import { CHARACTERS, examplesOf, readNames } from '../examples/makemore/names.js';
import { run as trainWaveNet } from '../examples/makemore/wavenet.js';
import { batches } from '../examples/moby-dick/batches.js';
import { splitMobyDick, splitText } from '../examples/moby-dick/book.js';
import { curveOf } from '../examples/moby-dick/chart.js';
import { bitsPerCharacter, verdict, windows } from '../examples/moby-dick/evaluate.js';
import { buckets, grid, makeModel } from '../examples/moby-dick/models.js';
import { NGram } from '../examples/moby-dick/ngram.js';
import { parseOptions } from '../examples/moby-dick/options.js';
import { draw, sample } from '../examples/moby-dick/sample.js';
import { run as trainGpt } from '../examples/nano-gpt.js';
import { check as checkReformer } from '../examples/hf-reformer.js';
import { run as trainLstm } from '../examples/recurrent.js';
import * as tl from '../src/index.js';
import { one } from './support/values.js';

const near = (a: number, b: number, tolerance = 1e-12): boolean => Math.abs(a - b) <= tolerance;

test('book: no held-out chapter is trained on', (t) => {
  const { train, heldOut } = splitMobyDick();
  t.true(train.includes('Call me Ishmael.'));
  t.false(heldOut.includes('Call me Ishmael.'));
  t.true(train.length > 1_000_000);
  t.true(heldOut.length > 0.05 * train.length);
  for (let i = 0; i + 200 < heldOut.length; i += 5000) t.false(train.includes(heldOut.slice(i, i + 200)));
});

test('book: a text of the user gives its end', (t) => {
  const { train, heldOut } = splitText('a'.repeat(90) + 'b'.repeat(10));
  t.is(train, 'a'.repeat(90));
  t.is(heldOut, 'b'.repeat(10));
  t.is(splitText('x'.repeat(2_000_000)).heldOut.length, 100_000);
});

test('n-grams: Witten-Bell smoothing, computed by hand', (t) => {
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

test('n-grams: probabilities add up to 1, and longer contexts help on a regular text', (t) => {
  const text = Int32Array.from({ length: 300 }, (_, i) => 1 + ((i * i) % 5));
  const models = [1, 2, 3].map((order) => new NGram(order, 6, text));
  for (const model of models) {
    const sum = [0, 1, 2, 3, 4, 5].reduce((total, next) => total + model.probability(Int32Array.of(2, 5, next), 2), 0);
    t.true(near(sum, 1), `order ${model.order}: ${sum}`);
  }
  const [one, two, three] = models.map((model) => model.bits(text)) as [number, number, number];
  t.true(three < two && two < one);
});

test('windows: each character counts once, with at least half a window before it', (t) => {
  for (const [size, length] of [
    [8, 8],
    [9, 8],
    [100, 8],
    [37, 5],
    [10, 2],
    [64, 9],
  ] as const) {
    const counted = Array.from({ length: size }, () => 0);
    for (const { start, countFrom } of windows(size, length)) {
      t.true(start >= 0 && start + length <= size);
      if (start > 0) t.true(countFrom >= Math.floor(length / 2));
      for (let i = start + countFrom; i < start + length; i++) counted[i]!++;
    }
    t.deepEqual(
      counted,
      Array.from({ length: size }, () => 1),
      `${size} by ${length}`,
    );
  }
});

const tiny = (): tl.Layer<tl.Tensor, 1> => {
  const model = tl.models.TransformerLM(5, { dModel: 8, dFf: 8, nLayers: 1, nHeads: 2, maxLen: 6, dropout: 0 });
  model.init({ shape: [1, 6], dtype: 'int32' }, { rng: tl.random.key(0) });
  return model;
};

test('bits per character: what the model says of each character', async (t) => {
  const model = tiny();
  const ids = Int32Array.of(1, 2, 3, 4, 3, 2);
  const logits = one(model(tl.tensor(ids, [1, 6])))
    .logSoftmax()
    .array() as number[][][];
  const want = -ids.reduce((sum, id, i) => sum + logits[0]![i]![id]!, 0) / Math.LN2 / 6;
  t.true(near(await bitsPerCharacter(model, ids, 6), want, 1e-5));
});

test('batches: windows of the text, the same for the same key', (t) => {
  const ids = Int32Array.from({ length: 50 }, (_, i) => i);
  const first = (key: tl.Key): number[][] => {
    const iterator = batches(ids, 4, 7, key);
    return [0, 1].map(() => Array.from(iterator.next().value![0]!.dataSync()));
  };
  const [a, b] = [first(tl.random.key(1)), first(tl.random.key(1))];
  t.deepEqual(a, b);
  t.notDeepEqual(a, first(tl.random.key(2)));
  t.notDeepEqual(a[0], a[1]);
  a[0]!.forEach((id, i) => t.is(id, a[0]![i - (i % 7)]! + (i % 7)));
});

test('draw: by probability and temperature; never 0', (t) => {
  const logits = [9, Math.log(1), Math.log(3)];
  t.deepEqual(
    [0, 0.24, 0.26, 0.999].map((u) => draw(logits, 1, u)),
    [1, 1, 2, 2],
  );
  t.is(draw(logits, 0.01, 0.1), 2);
  t.is(draw(logits, 1, 1), 2);
});

test('sample: as many characters as asked for, the same for the same key, also beyond what the model can read', async (t) => {
  const options = { count: 20, length: 6, temperature: 1, key: tl.random.key(5) };
  const text = await sample(tiny(), options);
  t.is(text.length, 20);
  t.true(text.every((id) => id >= 1 && id < 5));
  t.deepEqual(await sample(tiny(), options), text);
});

test('verdict: one line, whoever is ahead', (t) => {
  const rivals = [
    { name: 'A', bits: 4 },
    { name: 'B', bits: 3 },
    { name: 'C', bits: 2 },
  ];
  const of = (bits: number): string => verdict({ name: 'Mine', bits }, rivals);
  t.is(of(1), 'Mine predicts better than all of them.');
  t.is(of(2.5), 'Mine predicts better than A and B, but not than C; more steps would help.');
  t.is(of(4), 'Mine predicts no better than any of them; more steps would help.');
});

test('grid: at most 32 columns', (t) => {
  t.deepEqual([1, 13, 64, 8192, 74].map(grid), [
    [1, 1],
    [1, 13],
    [2, 32],
    [256, 32],
    [37, 2],
  ]);
});

test('Reformer: two buckets a chunk; it samples step by step', async (t) => {
  t.is(buckets(8192, 64), 256);
  const options = parseOptions([
    '--model',
    'reformer',
    '--length',
    '32',
    '--chunk',
    '8',
    '--d-model',
    '8',
    '--heads',
    '2',
  ]);
  t.like(options, { layers: 2, batch: 1, hashes: 2 });
  const model = makeModel(5, options);
  model.init({ shape: [1, 32], dtype: 'int32' }, { rng: tl.random.key(0) });
  t.regex(`${model}`, /SelfAttention[^]*LSHSelfAttention/);
  const text = await sample(model, { count: 40, length: 32, temperature: 1, key: tl.random.key(5) });
  t.is(text.length, 40);
  t.true(text.every((id) => id >= 1 && id < 5));
});

test('chart: an SVG with curve and scores', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'chart-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const losses = [5, 4, 3.5, 3].map((bits, i) => ({ step: i + 1, value: bits * Math.LN2 }));
  const curve = curveOf('A <title>: bits per character', losses, [
    { name: 'Unigram', bits: 4.4 },
    { name: 'Reformer', bits: 3.25 },
  ]);
  t.deepEqual(curve.modes, ['Training', 'Unigram 4.40', 'Reformer 3.25']);
  const values = (mode: string): number[] => curve.get(mode, 'A <title>: bits per character').map(({ value }) => value);
  t.true(values('Training').every((bits, i) => near(bits, [5, 4, 3.5, 3][i]!)));
  t.deepEqual(values('Reformer 3.25'), [3.25, 3.25, 3.25, 3.25]);
  await curve.plot(join(folder, 'loss.svg'));
  const svg = readFileSync(join(folder, 'loss.svg'), 'utf8');
  t.true(svg.startsWith('<svg'));
  for (const text of ['A &lt;title&gt;', 'Unigram 4.40', 'Reformer 3.25', 'bits per character'])
    t.true(svg.includes(text), text);
  t.false(svg.includes('NaN'));
});

test('the program for clusters learns on one process too', async (t) => {
  const { accuracy } = await trainOnCluster(60, null);
  t.true(accuracy > 0.8, `right about ${accuracy}`);
});

test('recurrent: the LSTM predicts better than pairs of characters, and writes on', async (t) => {
  const { bits, sample } = await trainLstm();
  t.true(bits.lstm < bits.bigram, `${bits.lstm} and ${bits.bigram}`);
  t.true(sample.startsWith('The whale '));
  t.is(sample.length, 70);
});

test('digits: the convolutional net reads at least 97 of 100 held-out digits', async (t) => {
  const { accuracy } = await readDigits();
  t.true(accuracy >= 0.97, `${accuracy}`);
});

const [seed, silent] = [1, (): void => {}];

test('makemore: names are split into three parts by the seed, and each character is asked for once', async (t) => {
  const names = await readNames(seed);
  const all = [...names.train, ...names.validation, ...names.test];
  t.deepEqual([names.train.length, names.validation.length, names.test.length], [6722, 840, 841]);
  t.is(new Set(all).size, 8403);
  t.deepEqual(await readNames(seed), names);
  t.notDeepEqual((await readNames(2)).train, names.train);
  const asked = examplesOf(['ada'], 2).map(
    ([context, next]) => `${CHARACTERS.decode(context)} ${CHARACTERS.decode([next])}`,
  );
  t.deepEqual(asked, ['.. a', '.a d', 'ad a', 'da .']);
});

test('makemore: a table of logits learns what counting pairs gives', async (t) => {
  const { test: loss, counts, names } = await trainBigram({ steps: 400, seed }, silent);
  t.true(Math.abs(loss - counts) < 0.03, `${loss} and ${counts}`);
  t.is(counts, await counted(seed));
  t.is(names.length, 10);
  t.true(names.every((name) => /^[a-z]{0,20}$/.test(name)));
});

test('makemore: the multilayer perceptron and the WaveNet predict better than pairs', async (t) => {
  for (const run of [trainMlp, trainWaveNet]) {
    const { test: loss, names, history } = await run({ steps: 400, seed }, silent);
    t.true(loss < (await counted(seed)) - 0.05, `${loss}`);
    t.is(names.length, 10);
    const validation = history.get('eval', 'metrics/validation');
    t.true(validation[0]!.value > 3 && validation.at(-1)!.value < 2.4, JSON.stringify(validation));
  }
});

test('makemore: the same seed gives the same bits and names', async (t) => {
  const lines: string[] = [];
  const runs = [0, 1].map(() => trainMlp({ steps: 40, seed }, (line) => lines.push(line)));
  const [a, b] = (await Promise.all(runs)).map(({ history, ...rest }) => [
    rest,
    history.get('eval', 'metrics/validation'),
  ]);
  t.deepEqual(a, b);
  t.is(lines[0], 'MLP: 12097 weights, 40 steps of 64 from 47217 characters of 6722 names');
  t.regex(lines.join('\n'), /\n {2}test {9}\d\.\d{3}\n/);
});

test('nano-gpt: it learns, and writes as much as it is asked for', async (t) => {
  const { bits, sample } = await trainGpt({ width: 32, layers: 2, heads: 2, length: 32, batch: 8, steps: 500 });
  const [before, after] = [bits[0]!, bits.at(-1)!];
  t.true(after < 3.8 && after < before - 2, `${before} to ${after}`);
  t.is(sample.length, 32);
  t.true(sample.startsWith('The '));
});

test('nano-gpt: goes on from its checkpoint', async (t) => {
  const outputDir = mkdtempSync(join(tmpdir(), 'nano-gpt-'));
  t.teardown(() => rmSync(outputDir, { recursive: true, force: true }));
  const tiny = { width: 16, layers: 1, heads: 2, length: 16, batch: 4, steps: 20 };
  const first = await trainGpt(tiny, { outputDir });
  // All steps are done, so that the second run measures and writes by the weights of the file.
  const steps: number[] = [];
  const again = await trainGpt(tiny, { outputDir, callbacks: [{ onStep: (loop) => void steps.push(loop.step) }] });
  t.deepEqual(again, first);
  t.deepEqual(steps, []);
});

const short: Setting = {
  length: 16,
  nLayers: 1,
  dModel: 64,
  nHeads: 4,
  chunkLen: 4,
  batch: 16,
  steps: 300,
  learningRate: 1e-2,
};

test('duplication: the second half says the first again, and only there anything counts', (t) => {
  const [inputs, targets, weights] = duplicates(short, tl.random.key(1))
    .next()
    .value!.map((x: tl.Tensor) => x.array()) as number[][][];
  t.deepEqual(inputs, targets);
  for (const row of inputs!) {
    t.deepEqual(row.slice(0, 8), row.slice(8));
    t.deepEqual(
      row.map((symbol) => symbol === 0),
      row.map((_, i) => i % 8 === 0),
    );
  }
  t.deepEqual(
    weights![0],
    inputs![0]!.map((_, i) => (i < 8 ? 0 : 1)),
  );
});

test('duplication: LSH attention learns it, and other attentions are as good with its weights', async (t) => {
  const lines: string[] = [];
  const [row] = await duplicate(short, [4], 1, (line) => lines.push(line));
  t.is(row!.trained, 4);
  const [full, lsh8, lsh4] = row!.accuracies as [number, number, number];
  t.true(full > 0.9 && lsh8 > 0.9 && lsh4 > 0.9, lines.join('\n'));
  t.is(lines[0], 'Sequences of 16 symbols, 1 layers of width 64, 300 steps of 16 sequences');
  t.regex(lines.at(-2)!, /^LSH-4( +\d+\.\d %){5}$/);
  t.is(lines.at(-1)!.replace(/ +/g, ' '), ' paper 0.8 % 100.0 % 99.9 % 99.4 % 91.9 %');
});

test('buckets: which positions see each other, drawn by hand', (t) => {
  // Sorted by bucket: 1, 3 | 0, 2. The second chunk sees the first, and the first the second; 3 copies nothing of its bucket, 2 looks back to 1.
  const hashed = { buckets: [1, 0, 1, 0], chunkLen: 2 };
  t.deepEqual(seen(hashed, false), {
    chunk: 'M0,4.5H3M3,7.5H6M0,10.5H3M6,10.5H9',
    bucket: 'M0,7.5H3M3,10.5H6',
    copy: '',
  });
  t.is(seen({ buckets: [0, 0, 0, 0], chunkLen: 4 }, true).copy, 'M0,4.5H3M3,7.5H6M6,10.5H9');
});

test('buckets: of a model, as a picture', async (t) => {
  const model = makeDuplicator(short, 2);
  model.init({ shape: [1, 16], dtype: 'int32' });
  const hashed = await bestHead(short, model.weights);
  t.is(hashed.buckets.length, 16);
  // Two for each chunk.
  t.true(hashed.buckets.every((bucket) => bucket >= 0 && bucket < 8));
  const svg = await drawBuckets(hashed);
  t.true(svg.startsWith('<svg') && svg.includes('what it is to copy') && !svg.includes('NaN'));
});

test('hf-reformer: a Reformer of transformers, local and LSH, answers what it answers there', (t) => {
  const errors = checkReformer(join(__dirname, 'support', 'hf-reformer-tiny'));
  t.is(errors.length, 64);
  // Also at position 0, which sees nothing but itself, from whose product LSH attention takes 1e5.
  t.true(Math.max(...errors) < 1e-5, `${errors}`);
});

test('hf-reformer: the configuration tells the epsilon of layer normalization, the activation, and chunks of any length', (t) => {
  const [from, folder] = [join(__dirname, 'support'), mkdtempSync(join(tmpdir(), 'hf-reformer-'))];
  const config = JSON.parse(readFileSync(join(from, 'hf-reformer-tiny', 'config.json'), 'utf8'));
  // The sequence fits a chunk, and so it sees itself as a whole in each round of hashing.
  const other = { layer_norm_eps: 0.02, hidden_act: 'gelu_new', lsh_attn_chunk_length: 100, num_hashes: 3 };
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ ...config, ...other }));
  copyFileSync(join(from, 'hf-reformer-tiny', 'model.safetensors'), join(folder, 'model.safetensors'));
  // Computed in NumPy's float64 by the published formulas, which give what transformers answers in the case above.
  copyFileSync(join(from, 'hf-reformer-epsilon.safetensors'), join(folder, 'reference.safetensors'));
  const errors = checkReformer(folder);
  t.is(errors.length, 64);
  t.true(Math.max(...errors) < 1e-5, `${errors}`);
  rmSync(folder, { recursive: true });
});
