/** The sources and steps of datasets: what they give, and what they refuse. */
import test, { type ExecutionContext } from 'ava';
import * as tl from 'tallow';
import { wrong } from '../support/types.js';

const { fromArray, fromIterable, fromTensors } = tl.data;
const rng = tl.random.key(3);
const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** The error that reading throws, which is of this class. */
async function failure(t: ExecutionContext, dataset: tl.data.Dataset<unknown>): Promise<tl.data.DataError> {
  const error = await t.throwsAsync(dataset.toArray(), { instanceOf: tl.data.DataError });
  if (error === undefined) throw new Error('nothing was thrown');
  return error;
}

test('arrays, typed arrays, tensors and iterables are sources', async (t) => {
  t.deepEqual(await fromArray(['a', 'b']).toArray(), ['a', 'b']);
  t.deepEqual(await fromArray(Float32Array.of(0.5, 1)).toArray(), [0.5, 1]);
  const rows = await fromArray(
    tl.tensor([
      [1, 2],
      [3, 4],
    ]),
  ).toArray();
  t.deepEqual(
    rows.map((x) => x.array()),
    [
      [1, 2],
      [3, 4],
    ],
  );
  const pairs = await fromTensors({ x: tl.tensor([1, 2]), y: tl.tensor([[3], [4]]) }).toArray();
  t.deepEqual(
    pairs.map(({ x, y }) => [x.array(), y.array()]),
    [
      [1, [3]],
      [2, [4]],
    ],
  );
  t.deepEqual(await fromIterable(new Set([1, 2])).toArray(), [1, 2]);
  t.deepEqual(await fromIterable(async () => Promise.resolve([5])).toArray(), [5]);
  t.deepEqual(await fromIterable('ab').toArray(), ['a', 'b']);
  t.throws(() => fromArray(wrong(5)), { message: /fromArray: items must be an array.* got 5/ });
  t.throws(() => fromArray(tl.tensor(1)), { message: /has no axes/ });
  t.throws(() => fromTensors([tl.ones([2]), tl.ones([3])]), { message: /got 2 and 3/ });
  t.throws(() => fromTensors([]), { message: /at least one/ });
  t.throws(() => fromTensors(wrong([1])), { message: /got 1/ });
  t.throws(() => fromIterable(wrong(null)), { message: /got null/ });
});

test('map, filter, take, skip and repeat do what they say', async (t) => {
  const numbers = fromArray(upTo(6));
  t.deepEqual(
    await numbers.map((x, i) => [x * x, i]).toArray(),
    upTo(6).map((x) => [x * x, x]),
  );
  t.deepEqual(
    await numbers
      .map(async (x) => Promise.resolve(-x))
      .take(2)
      .toArray(),
    [-0, -1],
  );
  t.deepEqual(await numbers.filter((x) => x % 2 === 1).toArray(), [1, 3, 5]);
  t.deepEqual(await numbers.filter(async (_, i) => Promise.resolve(i > 3)).toArray(), [4, 5]);
  t.deepEqual(await numbers.skip(4).toArray(), [4, 5]);
  t.deepEqual(await numbers.skip(9).toArray(), []);
  t.deepEqual(await numbers.take(0).toArray(), []);
  t.deepEqual(await numbers.take(2).repeat(2).toArray(), [0, 1, 0, 1]);
  t.deepEqual(await numbers.take(2).repeat(0).toArray(), []);
  t.deepEqual(await numbers.skip(4).repeat().take(5).toArray(), [4, 5, 4, 5, 4]);
  t.deepEqual(await numbers.prefetch(3).toArray(), upTo(6));
});

test('a shuffle is that of its key, another one in each round, and mixes as far as its buffer goes', async (t) => {
  const numbers = fromArray(upTo(200));
  const shuffled = numbers.shuffle({ rng, bufferSize: 200 });
  const first = await shuffled.toArray();
  t.deepEqual(await shuffled.toArray(), first);
  t.deepEqual(
    first.toSorted((a, b) => a - b),
    upTo(200),
  );
  t.deepEqual(first.slice(0, 8), [95, 29, 142, 36, 45, 53, 15, 3]);
  t.true(first.filter((x, i) => x !== i).length > 180);
  t.notDeepEqual(await numbers.shuffle({ rng: tl.random.key(4), bufferSize: 200 }).toArray(), first);
  const rounds = await shuffled.repeat(2).toArray();
  t.notDeepEqual(rounds.slice(0, 200), rounds.slice(200));
  // An element comes at most so much too early.
  const near = await numbers.shuffle({ rng, bufferSize: 10 }).toArray();
  t.true(near.every((x, i) => x < i + 10));
  t.deepEqual(await numbers.shuffle({ rng, bufferSize: 1 }).toArray(), upTo(200));
});

test('batches are stacked by the structure of their elements', async (t) => {
  const [pair] = await fromArray<[number[], number]>([
    [[1, 2], 0.5],
    [[3, 4], 1],
  ])
    .batch(2)
    .toArray();
  t.deepEqual(
    [pair![0].array(), pair![1].array()],
    [
      [
        [1, 2],
        [3, 4],
      ],
      [0.5, 1],
    ],
  );
  t.deepEqual([pair![0].dtype, pair![1].dtype], ['int32', 'float32']);
  const records = fromArray([
    { bytes: Uint8Array.of(1, 2), inner: { flag: true } },
    { bytes: Uint8Array.of(3), inner: { flag: false } },
    { bytes: Uint8Array.of(), inner: { flag: true } },
  ]);
  const [record, last] = await records.batch(2, { pad: 9 }).toArray();
  t.deepEqual(record!.bytes.array(), [
    [1, 2],
    [3, 9],
  ]);
  t.is(record!.bytes.dtype, 'uint8');
  t.is(record!.inner.flag.dtype, 'bool');
  t.deepEqual(last!.bytes.shape, [1, 0]);
  t.is((await records.batch(2, { pad: 0, dropRemainder: true }).toArray()).length, 1);
  const matrices = fromArray([tl.ones([1, 2]), tl.ones([2, 1])]);
  const [padded] = await matrices.batch(2, { pad: -1 }).toArray();
  t.deepEqual(padded!.array(), [
    [
      [1, 1],
      [-1, -1],
    ],
    [
      [1, -1],
      [1, -1],
    ],
  ]);
});

test('numbers of a batch keep their type, and change it never by themselves', async (t) => {
  const batches = await fromArray([0.5, 1, 2, 3]).batch(2).toArray();
  t.deepEqual(
    batches.map((x) => x.dtype),
    ['float32', 'float32'],
  );
  const late = await failure(t, fromArray([1, 2, 3.5, 4]).batch(2));
  t.is(late.element, 2);
  t.regex(late.message, /have fractions now: give Float32Array/);
});

test('elements that do not fit into one batch are refused by their number', async (t) => {
  const cases: readonly [tl.data.Dataset<unknown>, RegExp][] = [
    [fromArray([[1, 2], [3]]).batch(2), /one shape, got \[1\] and \[2\]: give `pad`/],
    [fromArray<unknown>([[1], 5]).batch(2), /as many axes/],
    [fromArray<unknown>([{ a: 1 }, { b: 1 }]).batch(2), /one structure/],
    [fromArray<unknown>([['x'], ['y']]).batch(2), /got the string "x"/],
    [fromArray<unknown>([Int32Array.of(1), Float32Array.of(1)]).batch(2), /one type, got int32 and float32/],
    [fromArray([[1, 2], [3]]).batch(2, { pad: 0.5 }), /`pad` 0.5 does not fit int32/],
    [fromArray([Uint8Array.of(1, 2), Uint8Array.of(3)]).batch(2, { pad: -1 }), /`pad` -1 does not fit uint8/],
    [fromArray<unknown>([null, null]).batch(2), /got null/],
  ];
  for (const [dataset, message] of cases) {
    const error = await failure(t, dataset);
    t.is(error.code, 'InvalidArgument');
    t.is(error.step, 'Dataset.batch');
    t.is(error.element, 0);
    t.regex(error.message, message);
  }
});

test('bucketByLength is that of Trax', async (t) => {
  const words = fromArray([1, 5, 9, 2, 3, 6, 12, 30].map((n) => Array.from({ length: n }, () => n)));
  const options = { boundaries: [4, 10], batchSizes: [3, 2, 1], length: (x: number[]) => x.length };
  const shapes = async (more: object): Promise<number[][]> =>
    (await words.bucketByLength({ ...options, ...more }).toArray()).map((x) => x.shape);
  // As trax.data.inputs.bucket_by_length gives them.
  t.deepEqual(await shapes({}), [
    [2, 10],
    [3, 4],
    [1, 12],
    [1, 30],
  ]);
  t.deepEqual(await shapes({ dropRemainder: false }), [
    [2, 10],
    [3, 4],
    [1, 12],
    [1, 30],
    [1, 10],
  ]);
  t.deepEqual(await shapes({ boundaries: [4, 64], batchSizes: [1, 3, 1], strictPadOnLen: true }), [
    [1, 4],
    [1, 4],
    [1, 4],
    [3, 64],
  ]);
  t.deepEqual(await shapes({ boundaries: [4, 64], batchSizes: [1, 3, 1] }), [
    [1, 1],
    [1, 4],
    [1, 4],
    [3, 16],
  ]);
  const error = await failure(t, words.bucketByLength({ ...options, length: () => NaN }));
  t.regex(error.message, /`length` must give a number of at least 0, got NaN/);
});

test('pack puts sequences into the first row with room', async (t) => {
  const sequences = fromArray([[1, 2, 3], [4, 5, 6, 7], [8, 9], [10], [11, 12, 13]]);
  const rows = await sequences.pack({ length: 5, buffer: 2 }).toArray();
  t.deepEqual(
    rows.map(({ tokens }) => [...tokens]),
    [
      [1, 2, 3, 8, 9],
      [4, 5, 6, 7, 10],
      [11, 12, 13, 0, 0],
    ],
  );
  t.deepEqual(
    rows.map(({ segments }) => [...segments]),
    [
      [1, 1, 1, 2, 2],
      [1, 1, 1, 1, 2],
      [1, 1, 1, 0, 0],
    ],
  );
  t.deepEqual(
    rows.map(({ positions }) => [...positions]),
    [
      [0, 1, 2, 0, 1],
      [0, 1, 2, 3, 0],
      [0, 1, 2, 0, 0],
    ],
  );
  const long = fromArray([Int32Array.of(1, 2, 3, 4, 5), Int32Array.of()]);
  t.deepEqual(
    (await long.pack({ length: 2, split: true }).toArray()).map(({ tokens }) => [...tokens]),
    [
      [1, 2],
      [3, 4],
      [5, 0],
    ],
  );
  t.regex((await failure(t, long.pack({ length: 2 }))).message, /5 tokens is longer than a row of 2: give split/);
  t.regex((await failure(t, fromArray([[0.5]]).pack({ length: 2 }))).message, /int32 holds, got float32/);
  t.regex((await failure(t, fromArray([Uint32Array.of(2 ** 31)]).pack({ length: 2 }))).message, /got uint32/);
});

test('options are checked where a step is declared', (t) => {
  const numbers = fromArray([1]);
  const refusals: readonly [() => unknown, RegExp][] = [
    [() => numbers.take(-1), /Dataset.take: `count` must be a whole number of at least 0, got -1/],
    [() => numbers.skip(0.5), /Dataset.skip: `count`/],
    [() => numbers.repeat(-2), /Dataset.repeat: `count`/],
    [() => numbers.batch(0), /Dataset.batch: `size` must be a whole number of at least 1, got 0/],
    [() => numbers.batch(2, wrong({ padding: 0 })), /unknown option `padding`.*did you mean `pad`/],
    [() => numbers.batch(2, { pad: NaN }), /`pad` must be a finite number/],
    [() => numbers.shuffle({ rng, bufferSize: 0 }), /`bufferSize` must be a whole number of at least 1/],
    [() => numbers.shuffle(wrong({ rng })), /`bufferSize` is required/],
    [() => numbers.prefetch(0), /Dataset.prefetch: `size`/],
    [() => fromArray([[1]]).pack(wrong({})), /Dataset.pack: `length` is required/],
    [
      () => numbers.bucketByLength({ boundaries: [3, 2], batchSizes: [1, 1, 1], length: () => 1 }),
      /`boundaries` must rise/,
    ],
    [() => numbers.bucketByLength({ boundaries: [3], batchSizes: [1], length: () => 1 }), /one more than the 1/],
    [() => numbers.bucketByLength({ boundaries: [3], batchSizes: [1, 0], length: () => 1 }), /at least 1, got/],
  ];
  for (const [declare, message] of refusals)
    t.throws(declare, { instanceOf: tl.LayerError, code: 'InvalidOption', message });
  t.throws(() => numbers.shuffle(wrong({ bufferSize: 2 })), { instanceOf: TypeError, message: /random key/ });
  t.throws(() => numbers.map(wrong(3)), { instanceOf: TypeError, message: /Dataset.map: f must be a function, got 3/ });
  t.throws(() => numbers.batch(wrong(5n)), { instanceOf: TypeError, message: /`size` cannot be a bigint/ });
  t.throws(() => numbers.bucketByLength(wrong({ boundaries: [], batchSizes: [1] })), {
    message: /length must be a function/,
  });
});

test('what a source or function throws keeps its stack, and says where', async (t) => {
  const ended: string[] = [];
  const source = fromIterable(function* () {
    try {
      yield* [1, 2, 3, 4];
    } finally {
      ended.push('source');
    }
  });
  const boom = new RangeError('boom');
  const error = await failure(
    t,
    source
      .filter((x) => x !== 2)
      .map((x) => {
        if (x === 4) throw boom;
        return x;
      })
      .batch(2)
      .prefetch(2),
  );
  t.is(error.message, '[Thrown] Dataset.map, element 2: boom');
  t.is(error.cause, boom);
  t.deepEqual([error.step, error.element, error.code], ['Dataset.map', 2, 'Thrown']);
  t.true(error.stack?.includes('dataset.spec.ts'), error.stack);
  t.deepEqual(ended, ['source']);
  const thrown = await failure(
    t,
    fromIterable(function* () {
      yield 1;
      throw 'a string';
    }),
  );
  t.is(thrown.message, '[Thrown] fromIterable, element 1: a string');
  t.regex((await failure(t, fromIterable(wrong(() => 5)))).message, /must make an iterable, got 5/);
});

test('a source ends where the loop does, and goes on where it left off', async (t) => {
  let open = 0;
  const numbers = fromIterable(function* () {
    open += 1;
    try {
      for (let i = 0; ; i += 1) yield i;
    } finally {
      open -= 1;
    }
  });
  const dataset = numbers.shuffle({ rng, bufferSize: 4 }).batch(3).prefetch(2).repeat(2);
  const whole: number[] = [];
  for await (const batch of dataset) {
    whole.push(...Array.from(batch.dataSync(), Number));
    if (whole.length >= 30) break;
  }
  t.is(open, 0);
  const first = dataset[Symbol.asyncIterator]();
  const some = await Promise.all([first.next(), first.next(), first.next()]);
  t.deepEqual(
    some.flatMap(({ value }) => Array.from(value?.dataSync() ?? [], Number)),
    whole.slice(0, 9),
  );
  // The last two wait for a step, and count as not given; another is on its way.
  const under = first.next();
  const state = dataset.state(2);
  await under;
  await first.return?.();
  t.is(open, 0);
  dataset.restore(state);
  const rest: number[] = [];
  for await (const batch of dataset) {
    rest.push(...Array.from(batch.dataSync(), Number));
    if (rest.length === 9) break;
  }
  t.deepEqual(rest, whole.slice(3, 12));
  t.is(open, 0);
  t.throws(() => dataset.state(65), { instanceOf: RangeError });
  t.throws(() => dataset.state(-1), { instanceOf: RangeError });
});

function* three(): Generator<number> {
  yield* [1, 2, 3];
}

test('a generator that runs already is read once', async (t) => {
  const once = fromIterable(three());
  t.deepEqual(await once.toArray(), [1, 2, 3]);
  t.regex((await failure(t, once)).message, /can be read once only: give a function/);
  t.regex((await failure(t, fromIterable(three()).repeat(2))).message, /once only/);
});

test('what never ends lets the event loop turn, and what is empty is not repeated for ever', async (t) => {
  t.regex((await failure(t, fromArray([]).repeat())).message, /has no elements/);
  const going = { on: true };
  const never = fromIterable(function* () {
    while (going.on) yield 1;
  }).filter((x) => x !== 1);
  const waits = never.toArray();
  await new Promise((resolve) => setTimeout(resolve, 20));
  t.is(await Promise.race([waits, Promise.resolve('still waiting')]), 'still waiting');
  going.on = false;
  t.deepEqual(await waits, []);
});

test('a state of another pipeline, or of a longer source, is refused', async (t) => {
  const numbers = fromArray([1, 2, 3]);
  for await (const _ of numbers.map((x) => x)) break;
  const mapped = numbers.map((x) => x);
  for await (const x of mapped) if (x === 2) break;
  const state = mapped.state();
  const other = await failure(t, numbers.filter(() => true).restore(state));
  t.is(other.code, 'InvalidOption');
  t.regex(other.message, /the state is of Dataset.map/);
  const batches = numbers.shuffle({ rng, bufferSize: 3 });
  for await (const _ of batches) break;
  const shorter = fromArray([1]).shuffle({ rng, bufferSize: 3 }).restore(batches.state());
  t.regex((await failure(t, shorter)).message, /it is another one, or shorter/);
  t.throws(() => numbers.shuffle({ rng, bufferSize: 3 }).restore(batches.state()).map(String), {
    code: 'InvalidOption',
    message: /add the steps first, then restore/,
  });
  for (const odd of [null, 5, 'state', [], {}]) {
    t.throws(() => numbers.restore(wrong(odd)), { instanceOf: tl.data.DataError, code: 'InvalidOption' });
  }
  const broken = { step: 'Dataset', skip: 0, from: { step: 'fromArray', index: -1 } };
  t.regex((await failure(t, fromArray([1]).restore(broken))).message, /`index` of the state cannot be -1/);
  t.regex(
    (await failure(t, numbers.restore({ step: 'Dataset', skip: 0 }))).message,
    /`from` of the state cannot be undefined/,
  );
});

test.serial('tensors that a pipeline makes on the way are freed', async (t) => {
  const [x, y] = [tl.random.normal(rng, [64, 8]), tl.zeros([64])];
  const dataset = fromTensors([x, y]).shuffle({ rng, bufferSize: 16 }).batch(8).prefetch(2).repeat();
  const before = tl.memory().tensors;
  let count = 0;
  for await (const [inputs, targets] of dataset) {
    inputs.dispose();
    targets.dispose();
    count += 1;
    if (count === 40) break;
  }
  // Slices that wait in the buffer of the shuffle are left to the collector.
  t.true(tl.memory().tensors - before <= 2 * 16 + 2, `${tl.memory().tensors - before} tensors are left`);
  t.false(x.isDisposed);
});

test('a dataset of batches trains a model', async (t) => {
  const x = tl.random.normal(rng, [64, 4]);
  const y = x.sum({ axis: 1, keepdims: true });
  const model = tl.Serial(tl.Dense(1), tl.L2Loss());
  const batches = fromTensors([x, y, tl.ones([64, 1])])
    .shuffle({ rng, bufferSize: 64 })
    .batch(16)
    .repeat()
    .prefetch(2);
  model.init(
    [
      { shape: [16, 4], dtype: 'float32' },
      { shape: [16, 1], dtype: 'float32' },
      { shape: [16, 1], dtype: 'float32' },
    ],
    { rng },
  );
  const trainer = new tl.Trainer(model, tl.optimizers.Adam({ learningRate: 0.1 }));
  const { losses } = await trainer.fit(batches, { steps: 60, rng });
  t.is(losses.length, 60);
  t.true(losses.at(-1)! < 0.1 * losses[0]!);
});
