import { Worker } from 'node:worker_threads';
import { join } from 'node:path';
import test from 'ava';
import { root, run, type Ended } from './support/process.js';
import * as tl from '../src/index.js';
import { wrong } from './support/types.js';

const live = (): number => tl.memory().tensors;

test.serial('a worker that ends, or is stopped in the middle, takes its tensors with it', async (t) => {
  const before = tl.memory().bytes;
  const binding = join(__dirname, '..', 'binding.cjs');
  const source = `
    const native = require(${JSON.stringify(binding)});
    native.connect((code, message) => new Error(message), () => {});
    for (let i = 0; i < 8; i++) native.full([65536], i, 0, null);
    require('node:worker_threads').parentPort.postMessage(native.memory().tensors);
    setInterval(() => native.full([65536], 1, 0, null), 1);
  `;
  for (let i = 0; i < 3; i++) {
    const worker = new Worker(source, { eval: true });
    const handles = await new Promise<number>((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
    });
    t.is(handles, 8);
    await worker.terminate();
  }
  t.is(tl.memory().bytes, before);
});

test.serial('tidy disposes what it made and keeps what it returns', (t) => {
  const before = live();
  let inner: tl.Tensor | undefined;
  const result = tl.tidy(() => {
    inner = tl.tensor([1, 2]);
    return { y: [inner.mul(2)] };
  });
  t.is(live(), before + 1);
  t.true(inner!.isDisposed);
  t.deepEqual(result.y[0]!.array(), [2, 4]);
  tl.dispose(result);
  t.is(live(), before);
});

test.serial('an inner tidy hands its result to the outer one', (t) => {
  const before = live();
  tl.tidy(() => {
    const x = tl.tidy(() => tl.tensor([1]).add(1));
    t.deepEqual(x.array(), [2]);
  });
  t.is(live(), before);
});

test.serial('keep takes a tensor out of all open scopes', (t) => {
  let kept: tl.Tensor | undefined;
  tl.tidy(() => {
    const outer = tl.tensor([5]);
    tl.tidy(() => {
      kept = tl.keep(tl.tensor([3]));
      tl.keep(outer);
    });
    t.false(outer.isDisposed);
  });
  t.deepEqual(kept!.array(), [3]);
  kept!.dispose();
});

test.serial('tidy disposes everything when it throws, and refuses promises', (t) => {
  const before = live();
  t.throws(
    () =>
      tl.tidy(() => {
        tl.tensor([1]);
        throw new Error('mine');
      }),
    { message: 'mine' },
  );
  t.is(live(), before);
  t.throws(() => tl.tidy(async () => tl.tensor([1])), { instanceOf: TypeError, message: /promise/ });
  t.is(live(), before);
});

test('use after dispose throws; a second dispose does nothing', (t) => {
  const x = tl.tensor([1, 2]);
  t.deepEqual(x.shape, [2]);
  x.dispose();
  x.dispose();
  t.throws(() => x.add(1), { instanceOf: tl.DisposedError, code: 'Disposed' });
  t.throws(() => x.shape, { instanceOf: tl.DisposedError });
  t.throws(() => x.dataSync(), { instanceOf: tl.DisposedError });
  t.is(String(x), 'Tensor (disposed)');
});

test('using disposes at the end of the block', (t) => {
  let seen: tl.Tensor;
  {
    using x = tl.tensor([1]);
    seen = x;
  }
  t.true(seen.isDisposed);
});

test.serial('memory counts storages once and bytes exactly', (t) => {
  const before = tl.memory();
  const x = tl.zeros([1024]);
  const view = x.reshape([32, 32]);
  const now = tl.memory();
  t.is(now.bytes - before.bytes, 4096);
  t.is(now.storages - before.storages, 1);
  t.is(now.tensors - before.tensors, 2);
  t.true(now.peakBytes >= now.bytes);
  tl.dispose([x, view]);
  t.is(tl.memory().bytes, before.bytes);
  tl.resetPeakMemory();
  t.is(tl.memory().peakBytes, tl.memory().bytes);
});

test.serial('tensors that nothing refers to are given back without being asked for', async (t) => {
  const before = live();
  // When V8 collects is its own affair; that it does is ours, since it hears of every tensor's bytes.
  let made = 0;
  while (live() - before === made && made < 1000) {
    tl.zeros([1 << 20]);
    made++;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  t.true(live() - before < made, `${made} tensors of 4 MB are still there`);
});

test('the number of threads can be set; nonsense is refused', (t) => {
  const before = tl.numThreads();
  tl.setNumThreads(2);
  t.is(tl.numThreads(), 2);
  tl.setNumThreads(before);
  t.throws(() => tl.setNumThreads(0), { instanceOf: RangeError });
  t.throws(() => tl.setNumThreads(1.5), { instanceOf: RangeError });
  t.throws(() => tl.setNumThreads(wrong('2')), { instanceOf: TypeError });
});

/** Runs a script that has the package as `tl` in a process of its own, which may take so much address space. */
function alone(
  script: string,
  { env = {}, kilobytes = 40_000_000 }: { env?: NodeJS.ProcessEnv; kilobytes?: number } = {},
): Promise<Ended> {
  const whole = `const tl = require(${JSON.stringify(join(root, 'dist', 'index.js'))}); (async () => { ${script} })()`;
  return run('bash', ['-c', `ulimit -v ${kilobytes}; exec "$0" -e "$1"`, process.execPath, whole], { env });
}

test('what memory cannot hold is an error with a code, and the process lives on', async (t) => {
  const cases: [string, () => unknown][] = [
    ['zeros', () => tl.zeros([2 ** 41])],
    ['ones', () => tl.ones([2 ** 21, 2 ** 21])],
    ['eye', () => tl.eye(2 ** 22)],
    [
      'weights of heads',
      () =>
        tl.SelfAttention({ nHeads: 2 ** 20, dQk: 2 ** 12, dV: 2 ** 12 }).init({ shape: [1, 2, 512], dtype: 'float32' }),
    ],
    ['arange', () => tl.arange(0, 2e13, 1, { dtype: 'float64' })],
    ['add', () => tl.ones([2 ** 22, 1]).add(tl.ones([1, 2 ** 22]))],
    ['matmul', () => tl.ones([2 ** 22, 1]).matmul(tl.ones([1, 2 ** 22]))],
    ['pad', () => tl.ones([3]).pad([[2 ** 42, 1]])],
    ['tile', () => tl.ones([3]).tile([2 ** 42])],
    ['one_hot', () => tl.tensor([1, 2]).oneHot(2 ** 42)],
    ['uniform', () => tl.random.uniform(tl.random.key(1), [2 ** 42])],
    ['normal', () => tl.random.normal(tl.random.key(1), [2 ** 41, 2])],
    ['split', () => tl.random.split(tl.random.key(1), 2 ** 41)],
    [
      'exp',
      () =>
        tl
          .ones([1])
          .broadcastTo([2 ** 43])
          .exp(),
    ],
    [
      'dataSync',
      () =>
        tl
          .ones([1])
          .broadcastTo([2 ** 43])
          .dataSync(),
    ],
    ['init', () => tl.Embedding(2 ** 33, 2 ** 10).init({ shape: [1], dtype: 'int32' })],
    ['init of a dense layer', () => tl.Dense(2 ** 40).init({ shape: [1, 8], dtype: 'float32' })],
    [
      'a table of positions',
      () => tl.PositionalEncoding({ maxLen: 2 ** 40 }).init({ shape: [1, 2, 8], dtype: 'float32' }),
    ],
  ];
  for (const [name, make] of cases) {
    const error = t.throws(make, { message: /bytes/ }, name);
    t.true(error instanceof tl.TensorError || error instanceof tl.LayerError, name);
    t.like(error, { code: 'OutOfMemory' }, name);
  }
  t.deepEqual(tl.random.split(tl.random.key(3), 2).shape, [2, 2]);
  t.throws(
    () =>
      tl
        .ones([1, 1])
        .broadcastTo([2 ** 30, 4])
        .array(),
    { instanceOf: RangeError },
  );
  await t.throwsAsync(
    async () =>
      tl
        .ones([1])
        .broadcastTo([2 ** 43])
        .data(),
    { code: 'OutOfMemory' },
  );
  const message = t.throws(() => tl.ones([3, 2 ** 41]))?.message ?? '';
  t.regex(message, /\[3, 2199023255552\].*26388279066624 bytes \(24\.0 TiB\)/);
});

test.serial('a limit on memory refuses what would exceed it, and a step that it stops changes nothing', (t) => {
  t.throws(() => tl.setMemoryLimit(0), { instanceOf: RangeError });
  t.throws(() => tl.setMemoryLimit(wrong('1 GB')), { instanceOf: TypeError });
  const machine = tl.memoryLimit();
  t.true(machine > 2 ** 26);
  const layer = tl.Serial(tl.Dense(256), tl.Relu(), tl.Dense(1), tl.L2Loss());
  const inputs = [tl.ones([64, 128]), tl.ones([64, 1]), tl.ones([64, 1])];
  layer.init(tl.signature(inputs));
  const trainer = new tl.Trainer(layer, tl.optimizers.Adam());
  const rng = tl.random.key(0);
  trainer.oneStep(inputs, rng, { step: 0 });
  const values = (): unknown => [...tl.tree.leaves(layer.weights), ...trainer.slots.flat()].map((x) => x.array());
  const before = values();
  try {
    for (const room of [1000, 20_000, 70_000, 150_000, 240_000]) {
      tl.setMemoryLimit(tl.memory().bytes + room);
      t.throws(() => trainer.oneStep(inputs, rng, { step: 1 }), { code: 'OutOfMemory' }, `${room} bytes`);
      t.deepEqual(values(), before, `${room} bytes`);
    }
  } finally {
    tl.setMemoryLimit(null);
  }
  t.is(tl.memoryLimit(), machine);
  trainer.oneStep(inputs, rng, { step: 1 });
  t.notDeepEqual(values(), before);
});

test('what a process may not have is an error too, not its end', async (t) => {
  const { code, output } = await alone(
    `let code; const held = [];
     try { for (;;) held.push(tl.zeros([2 ** 26])); } catch (e) { code = e.code; }
     console.log(code, tl.ones([2, 2]).sum().item());`,
    { kilobytes: 4_000_000 },
  );
  t.is(code, 0, output);
  t.regex(output, /^OutOfMemory 4\s*$/);
});

test('threads that cannot be had are fewer threads, or an error', async (t) => {
  const many = await alone(`console.log(tl.numThreads() <= 1024, tl.ones([300, 300]).sum().item())`, {
    env: { TALLOW_NUM_THREADS: '5000' },
  });
  t.is(many.code, 0, many.output);
  t.regex(many.output, /^true 90000\s*$/);
  const refused = `const before = tl.numThreads(); const found = [];
    for (const n of [0, -1, 5000, 1e9, 2 ** 53, 1.5, NaN]) try { tl.setNumThreads(n); found.push('set'); } catch (e) { found.push(e.name); }
    console.log(tl.numThreads() === before, new Set(found).size, found[0]);`;
  t.deepEqual(await alone(refused), { code: 0, output: 'true 1 RangeError\n' });
  // The stacks of 900 threads take more addresses than there are.
  const short = await alone(
    `let code; try { tl.setNumThreads(900); } catch (e) { code = e.code; }
     console.log(code, tl.numThreads() < 900, tl.ones([400, 400]).matmul(tl.ones([400, 1])).sum().item());`,
    { kilobytes: 8_000_000 },
  );
  t.deepEqual(short, { code: 0, output: 'InvalidArgument true 160000\n' });
  const fewer = await alone(`console.log(tl.numThreads() < 900, tl.ones([400, 400]).sum().item());`, {
    env: { TALLOW_NUM_THREADS: '900' },
    kilobytes: 8_000_000,
  });
  t.deepEqual(fewer, { code: 0, output: 'true 160000\n' });
});

/** The most bytes of tensors that a training step of a small GPT with the vocabulary of GPT-2 holds at once. */
function peakOfStep(head: 'plain' | 'fused' | 'tied'): number {
  const [vocabSize, dModel] = [50_257, 48];
  const embedding = tl.Embedding(vocabSize, dModel);
  const decoder = tl.models.TransformerDecoder({ dModel, dFf: 192, nHeads: 3, nLayers: 3, maxLen: 128, dropout: 0 });
  const loss = {
    plain: () => tl.Serial(tl.Dense(vocabSize), tl.WeightedCategoryCrossEntropy()),
    fused: () => tl.WeightedLinearCrossEntropy(vocabSize),
    tied: () => tl.WeightedLinearCrossEntropy(vocabSize, { embedding, useBias: false }),
  }[head]();
  const model = tl.Serial(tl.ShiftRight(), embedding, decoder, loss);
  return tl.tidy(() => {
    const ids = tl.random.randint(tl.random.key(1), [8, 128], 1, vocabSize);
    const batch = [ids, ids, tl.ones([8, 128])];
    model.init(tl.signature(batch), { rng: tl.random.key(0) });
    const trainer = new tl.Trainer(model, tl.optimizers.Adam({ learningRate: 1e-3 }));
    trainer.oneStep(batch, [0, 0], { step: 0 });
    const before = tl.memory().bytes;
    tl.resetPeakMemory();
    trainer.oneStep(batch, [0, 1], { step: 1 });
    const { peakBytes } = tl.memory();
    return peakBytes - before + weightsAndSlots(trainer);
  });
}

/** Bytes of what a trainer holds between steps. */
const weightsAndSlots = (trainer: tl.Trainer): number =>
  tl.tree.leaves([trainer.modelWithLoss.weights, trainer.slots]).reduce((sum, x) => sum + 4 * x.size, 0);

test.serial('the logits of a large vocabulary are most of a step, and a fused loss does without them', (t) => {
  const mib = 2 ** 20;
  const [plain, fused, tied] = [peakOfStep('plain'), peakOfStep('fused'), peakOfStep('tied')];
  // A third of what the layers apart took when this was measured first.
  t.true(fused <= (634 / 3) * mib, `${fused / mib} MiB fused, ${plain / mib} MiB apart`);
  t.true(plain >= 3 * fused, `${fused / mib} MiB fused, ${plain / mib} MiB apart`);
  t.true(tied <= fused, `${tied / mib} MiB tied`);
});
