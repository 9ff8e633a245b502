/** Calls that come at once: made together, with the answers that each gets alone. */
import test from 'ava';
import * as tl from '../../src/index.js';
import { createServer } from '../../src/serve/index.js';
import { Calls } from '../../src/serve/calls.js';
import { one } from '../support/values.js';
import { points, texts } from './support/models.js';
import { bodyOf, post } from './support/running.js';

/** A signal that is not given. */
const never = (): AbortSignal => new AbortController().signal;

/** A layer that tells of how many examples each call has. */
function counting(): { readonly layer: tl.Layer; readonly rows: number[] } {
  const rows: number[] = [];
  const layer = tl.Fn('Count', (x: tl.Tensor) => {
    rows.push(x.shape[0]!);
    return x;
  });
  return { layer, rows };
}

/** Values that differ from example to example. */
const values = (shape: readonly number[], seed: number): tl.Tensor => tl.random.normal(tl.random.key(seed), shape);
const ids = (shape: readonly number[], seed: number): tl.Tensor =>
  tl.random.randint(tl.random.key(seed), shape, 0, 256);

const MODELS: readonly (readonly [name: string, make: () => tl.Layer, row: readonly number[], of: typeof values])[] = [
  ['points', () => points().model, [2], values],
  ['a Transformer', () => texts().model, [7], ids],
  ['LSTM', () => tl.Serial(tl.Embedding(256, 8), tl.LSTM(8), tl.Mean({ axis: 1 }), tl.Dense(3)), [5], ids],
  [
    'convolution',
    () => tl.Serial(tl.Conv(4, [3, 3]), tl.BatchNorm(), tl.Relu(), tl.Flatten(), tl.Dense(3)),
    [6, 6, 1],
    values,
  ],
  ['two outputs', () => tl.Branch(tl.Dense(2), tl.Serial(tl.Dense(3), tl.Softmax())), [4], values],
];

for (const [name, make, row, of] of MODELS) {
  test(`calls of ${name} that are made together have the bits that each has alone`, async (t) => {
    const made = make();
    made.init(tl.signature(of([1, ...row], 0)), { rng: tl.random.key(1) });
    const { layer, rows } = counting();
    const counted = tl.Serial(layer, made).withMode('eval');
    // The first call of a layer with a function tries it, to see what it gives.
    counted(of([1, ...row], 0));
    const calls = new Calls(counted);
    const alone = made.withMode('eval');
    for (const round of [0, 1]) {
      rows.length = 0;
      const asked = Array.from({ length: 20 }, (_, i) => of([1 + (i % 3), ...row], 100 * round + i));
      const answers = await Promise.all(asked.map((x) => calls.of([x], never())));
      answers.forEach((answer, i) => {
        const wanted = [alone(asked[i]!)].flat();
        t.deepEqual(
          answer,
          wanted.map((output) => output.array()),
          `call ${i}`,
        );
      });
      // What is not known yet is asked alone, too.
      const own = asked.map(({ shape }) => shape[0]!);
      t.deepEqual(rows, round === 0 ? [39, ...own] : [39], `round ${round}`);
    }
  });
}

test('calls of other sizes or types are made apart, and no more examples together than may be', async (t) => {
  const { layer, rows } = counting();
  const calls = new Calls(layer.withMode('eval'));
  await Promise.all([1, 1, 1].map((n) => calls.of([values([n, 2], n)], never())));
  rows.length = 0;
  await Promise.all([
    calls.of([values([1, 2], 0)], never()),
    calls.of([values([2, 2], 1)], never()),
    calls.of([values([3, 4], 2)], never()),
    calls.of([ids([4, 2], 3)], never()),
    calls.of([values([200, 2], 4)], never()),
    calls.of([values([100, 2], 5)], never()),
    calls.of([values([300, 2], 6)], never()),
    calls.of([values([5, 4], 7)], never()),
  ]);
  t.deepEqual(rows, [203, 8, 4, 100, 300]);
});

test('what sees other examples is called for each request alone', async (t) => {
  const sizes: number[] = [];
  const centered = tl.Fn('Centered', (x: tl.Tensor) => {
    sizes.push(x.shape[0]!);
    return x.sub(x.mean({ axis: 0, keepdims: true }));
  });
  const total = tl.Fn('Total', (x: tl.Tensor) => x.sum({ axis: 0 }));
  for (const layer of [centered, total]) {
    const calls = new Calls(layer.withMode('eval'));
    for (const round of [0, 1]) {
      const asked = Array.from({ length: 6 }, (_, i) => values([2, 3], 10 * round + i));
      const answers = await Promise.all(asked.map((x) => calls.of([x], never())));
      t.deepEqual(
        answers,
        asked.map((x) => [one(layer(x)).array()]),
      );
    }
  }
  t.deepEqual(sizes.filter((size) => size > 2).length, 1, 'together once, to see');
});

test('of calls that are made together one may fail or be given up, and the others are answered', async (t) => {
  const made = tl.Embedding(8, 2);
  made.init({ shape: [1, 2], dtype: 'int32' }, { rng: tl.random.key(1) });
  const calls = new Calls(made.withMode('eval'));
  const gone = new AbortController();
  const reason = new Error('gone');
  const asked = [[[1, 2]], [[3, 4]], [[5, 600]], [[6, 7]], [[0, 1]]].map((x) => tl.tensor(x));
  const answers = Promise.allSettled(asked.map((x, i) => calls.of([x], i === 3 ? gone.signal : never())));
  gone.abort(reason);
  const settled = await answers;
  settled.forEach((answer, i) => {
    if (answer.status === 'fulfilled') t.deepEqual(answer.value, [one(made(asked[i]!)).array()]);
  });
  t.deepEqual(
    settled.map(({ status }) => status),
    ['fulfilled', 'fulfilled', 'rejected', 'rejected', 'fulfilled'],
  );
  t.is((settled[3] as PromiseRejectedResult).reason, reason);
  t.is(((settled[2] as PromiseRejectedResult).reason as tl.LayerError).code, 'IndexOutOfRange');
  t.is(await t.throwsAsync(calls.of([asked[0]!], gone.signal)), reason, 'it had gone before');
});

test.serial(
  '/predict answers many requests at once as it answers each alone, and leaves no tensor behind',
  async (t) => {
    const server = await createServer({ models: [points(), texts()], metrics: false });
    t.teardown(() => server.close());
    const url = await server.listen({ port: 0 });
    await server.ready();
    const [ofPoints, ofTexts] = [points().model.withMode('eval'), texts().model.withMode('eval')];
    const encoder = tl.data.byteEncoder({ reserved: 1 });
    const before = tl.memory().tensors;
    const asked = Array.from({ length: 60 }, (_, i) => {
      if (i % 5 === 4) return { model: 'texts', inputs: [[1, 9999]] };
      if (i % 2 === 0) return { model: 'points', inputs: [[i, 0.5 - i]] };
      return { model: 'texts', inputs: ['abcdefgh'.slice(i % 4), 'xy'] };
    });
    const answers = await Promise.all(asked.map((body) => post(`${url}/predict`, body)));
    t.true(tl.memory().tensors <= before, `${tl.memory().tensors} tensors after ${before}`);
    answers.forEach((answer, i) => {
      t.is(answer.status, i % 5 === 4 ? 400 : 200, answer.text);
      if (i % 5 === 4) return;
      const { model, inputs } = asked[i]!;
      const rows = inputs.map((row) => (typeof row === 'string' ? [...encoder.encode(row)] : row));
      const longest = Math.max(...rows.map(({ length }) => length));
      const full = rows.map((row) => [...row, ...Array.from({ length: longest - row.length }, () => 0)]);
      const wanted = model === 'points' ? ofPoints(full) : ofTexts(full);
      t.deepEqual(bodyOf(answer).outputs, one(wanted).array(), `request ${i}`);
    });
  },
);
