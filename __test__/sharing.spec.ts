/** Layers of several threads on the same weights. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { type Worker } from 'node:worker_threads';
import test, { type ExecutionContext } from 'ava';
import * as tl from '../src/index.js';
import { wrong } from './support/types.js';
import { f32, floats, one, several, values } from './support/values.js';
import { dist, endWorkers, working } from './support/worker.js';

const x = [
  [0.5, -1, 2],
  [3, 0.25, -0.125],
];

function initialized<L extends tl.Layer>(layer: L, seed = 4): L {
  // Nothing but the layer shall hold its weights.
  tl.dispose(layer.init(f32([2, 3]), { rng: [0, seed] }));
  return layer;
}

test.after.always(endWorkers);

/** What was there may have been collected meanwhile, more there must not be. */
function nothingMoreThan(t: ExecutionContext, bytes: number): void {
  const now = tl.memory().bytes;
  t.true(now <= bytes, `${now} bytes, not ${bytes}`);
}

/** What a layer computes of `x`; nothing of it is left. */
const computed = (layer: tl.Layer): number[] => tl.tidy(() => [...(one(layer(x)).dataSync() as Float32Array)]);

/** Sends something to a worker. */
function send(worker: Worker, message: unknown): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker of Node, no window
  worker.postMessage(message);
}

const GONE = { instanceOf: tl.DisposedError, code: 'Disposed', message: /the layer that was shared is gone/ };

test.serial('a worker computes the same bits on the very weights, and gives back what it took', async (t) => {
  const model = initialized(tl.Serial(tl.Dense(256), tl.Relu(), tl.Dense(100_000)));
  const expected = computed(model);
  const before = tl.memory();
  const token = model.share();
  nothingMoreThan(t, before.bytes);
  const body = `
    const [first, again] = [tl.fromShared(data.token), tl.fromShared(data.token)];
    const { bytes, layers } = tl.memory();
    post({ copied: bytes > data.bytes + 1e5, layers, text: String(first), ys: [first, again].map((model) => [...model(${JSON.stringify(x)}).dataSync()]) });
    setInterval(() => {}, 1e6);`;
  const worker = working(body, { token, bytes: before.bytes });
  const [message] = await once(worker, 'message');
  const { ys, ...rest } = message as { ys: number[][] };
  t.deepEqual(rest, { copied: false, layers: 2, text: String(model) });
  t.true(ys.every((y) => y.every((v, i) => v === expected[i]) && y.length === expected.length));
  await worker.terminate();
  nothingMoreThan(t, before.bytes);
  using here = tl.fromShared(token);
  t.deepEqual(computed(here), expected, 'on the same thread too');
  model.dispose();
  t.throws(() => tl.fromShared(token), GONE);
});

test.serial('weights live as long as somebody has them', async (t) => {
  const base = tl.memory().bytes;
  const model = initialized(tl.Dense(250_000));
  const bytes = tl.memory().bytes - base;
  t.true(bytes >= 4 * 250_000 * (3 + 1));
  const worker = working(
    `const model = tl.fromShared(data);
     parentPort.on('message', (x) => post([...model(x).dataSync()]));
     post('ready');`,
    model.share(),
  );
  await once(worker, 'message');
  const expected = computed(model);
  model.dispose();
  t.true(tl.memory().bytes - base >= 4e6, 'the worker has them');
  nothingMoreThan(t, base + bytes);
  send(worker, x);
  t.deepEqual((await once(worker, 'message'))[0], expected);
  await worker.terminate();
  nothingMoreThan(t, base);
});

test.serial('what a worker shares is gone with it, but for those who have it', async (t) => {
  const base = tl.memory().bytes;
  const worker = working(
    `const model = tl.Dense(3);
     model.init({ shape: [2, 3], dtype: 'float32' }, { rng: [0, 9] });
     post([model.share(), model(${JSON.stringify(x)}).array()]);
     setInterval(() => model.share(), 1e6);`,
    null,
  );
  const [[token, y]] = (await once(worker, 'message')) as [[tl.SharedLayer<tl.Tensor, 1>, number[][]]];
  const model = tl.fromShared(token);
  await worker.terminate();
  t.deepEqual(computed(model), y.flat());
  t.throws(() => tl.fromShared(token), GONE);
  model.dispose();
  nothingMoreThan(t, base);
});

test.serial('a worker may end in the middle of a call', async (t) => {
  const model = initialized(tl.Serial(tl.Dense(2000), tl.Dense(2000)));
  const expected = computed(model);
  const base = tl.memory().bytes;
  const worker = working(
    `const model = tl.fromShared(data);
     const many = tl.zeros([2000, 3]);
     (async () => { for (;;) tl.dispose(await Promise.all([model.callAsync(many), model.callAsync(many)])); })();
     post('running');`,
    model.share(),
  );
  await once(worker, 'message');
  await worker.terminate();
  t.deepEqual(computed(model), expected);
  // A job that was under way ends by itself; what is asked for next comes after it.
  await model.callAsync(x).then((y) => y.dispose());
  nothingMoreThan(t, base);
});

test.serial('64 workers have one model', async (t) => {
  const model = initialized(tl.Serial(tl.Dense(1000), tl.Dense(1000)));
  const expected = computed(model);
  const base = tl.memory();
  const token = model.share();
  const body = `
    const model = tl.fromShared(data);
    const y = model(${JSON.stringify(x)});
    post([...y.dataSync()]);
    y.dispose();
    setInterval(() => {}, 1e6);`;
  const workers = Array.from({ length: 64 }, () => working(body, token));
  const messages = await Promise.all(workers.map((worker) => once(worker, 'message')));
  t.true(messages.every(([y]) => JSON.stringify(y) === JSON.stringify(expected)));
  // Outputs of a few numbers may not have been given back yet.
  t.true(tl.memory().bytes - base.bytes < 64 * 2 * 1000 * 4 + 1, 'one copy of 4 MB of weights');
  await Promise.all(workers.map((worker) => worker.terminate()));
  nothingMoreThan(t, base.bytes);
  t.true(tl.memory().layers <= base.layers);
});

/** The error of changing weights that are shared. */
const refused = (what: string): object => ({
  code: 'InvalidArgument',
  message: new RegExp(
    `${what}: the weights of Serial are shared with other threads, so they can only be read; do it with the layer that was shared`,
  ),
});

test('weights that are shared can be read and saved, but not changed', (t) => {
  const own = initialized(tl.Serial(tl.Dense(4), tl.BatchNorm({ axis: [0] }), tl.Dense(2)));
  const shared = tl.fromShared(own.share());
  t.deepEqual(values(shared.weights), values(own.weights));
  t.throws(() => (shared.weights = own.weights), refused('weights'));
  t.throws(() => shared(x, { weights: own.weights }), refused('weights'));
  t.throws(() => shared.init(f32([2, 3])), refused('init'));
  t.throws(() => shared.initFromFile('none.safetensors'), refused('initFromFile'));
  t.throws(() => shared.pureFn(x, own.weights, own.state, null, { useCache: true }), refused('weights'));
  t.throws(() => shared.withMode('eval').init(f32([2, 3])), refused('init'));
  const trained = tl.Serial(shared, tl.L2Loss());
  t.throws(() => new tl.Trainer(trained, tl.optimizers.SGD()), refused('Trainer'));
  t.throws(() => tl.Serial(shared, tl.Dense(1)).init(f32([2, 3])), refused('init'));
  t.throws(() => tl.tidy(() => (shared.sublayers[0]!.weights = [])), { message: /the weights of Dense_4 are shared/ });

  // What the message says to do: a layer of one's own on them, without a copy.
  const free = tl.Serial(tl.Dense(4), tl.BatchNorm({ axis: [0] }), tl.Dense(2));
  free.init(f32([2, 3]));
  const { bytes } = tl.memory();
  free.weights = shared.weights;
  t.true(tl.memory().bytes <= bytes);
  free.weights = initialized(tl.Serial(tl.Dense(4), tl.BatchNorm({ axis: [0] }), tl.Dense(2)), 7).weights;
  t.deepEqual(values(shared.weights), values(own.weights));
  // A head of one's own on a shared body.
  const head = tl.Dense(1);
  head.init(f32([2, 2]));
  t.deepEqual(tl.Serial(shared.withMode('eval'), head)(x).shape, [2, 1]);
});

test('each has state of its own', (t) => {
  const own = initialized(tl.BatchNorm({ axis: [0] }));
  const input = floats(x);
  own(input);
  const shared = tl.fromShared(own.share());
  const state = values(own.state);
  t.deepEqual(values(shared.state), state);
  shared(input.mul(2));
  t.notDeepEqual(values(shared.state), state);
  t.deepEqual(values(own.state), state);
  const saved = values(shared.state);
  own(input);
  t.deepEqual(values(shared.state), saved);
});

test('a sequence goes on in each by itself, and init begins a new one', (t) => {
  const model = tl.models.TransformerLM(7, { dModel: 8, dFf: 8, nHeads: 2, nLayers: 1, maxLen: 16 });
  model.init({ shape: [1, 1], dtype: 'int32' }, { rng: tl.random.key(1) });
  const writer = model.withMode('predict');
  const said = [[3], [1], [5]].map((token) => one(writer([token])).array());
  const shared = tl.fromShared(model.withMode('predict').share());
  t.deepEqual(
    [[3], [1]].map((token) => one(shared([token])).array()),
    said.slice(0, 2),
  );
  const third = tl.fromShared(shared.share());
  t.deepEqual([one(shared([[5]])).array(), one(third([[5]])).array()], [said[2], said[2]]);
  shared.init({ shape: [1, 1], dtype: 'int32' });
  t.deepEqual(
    [[3], [1], [5]].map((token) => one(shared([token])).array()),
    said,
  );
});

test('who trains on leaves to the others what they have, and shares anew under the same token', (t) => {
  const model = initialized(tl.Dense(1));
  const token = model.share();
  const before = tl.fromShared(token);
  const y = before(x).array();
  const trainer = new tl.Trainer(tl.Serial(model, tl.L2Loss()), tl.optimizers.SGD({ learningRate: 0.1 }));
  trainer.oneStep([x, [[1], [2]], [[1], [1]]], tl.random.key(0));
  t.notDeepEqual(model(x).array(), y);
  t.deepEqual(before(x).array(), y);
  t.deepEqual(tl.fromShared(token)(x).array(), y, 'until it is shared again');
  t.deepEqual(model.share(), token);
  t.deepEqual(tl.fromShared(token)(x).array(), model(x).array());
  t.deepEqual(before(x).array(), y);
});

test('what a layer has twice, the shared one has twice', (t) => {
  const dense = tl.Dense(3);
  const model = initialized(tl.Serial(dense, tl.Relu(), dense));
  const shared = tl.fromShared(model.share());
  t.deepEqual(several([shared(x)].flat())[0]!.array(), model(x).array());
  t.is(shared.weightNames.length, 2);
});

class Own extends tl.Layer<tl.Tensor> {
  override forward(y: tl.Tensor): tl.Tensor {
    return y.mul(2);
  }
}
class Holding extends tl.Layer<tl.Tensor> {
  readonly dense = tl.Dense(2);
  override forward(y: tl.Tensor): tl.Tensor {
    return this.dense(y);
  }
}

const ones = (shape: readonly number[]): tl.Tensor => tl.ones(shape);
const dense = (): tl.Layer<tl.Tensor, 1> => tl.Dense(3, { kernelInitializer: ones });

test('layers that call functions of the program stay in their thread, and are named', (t) => {
  for (const [layer, path] of [
    [tl.Fn('Twice', (y: tl.Tensor) => y.mul(2)), ['Twice']],
    [dense(), ['Dense_3']],
    [tl.Serial(tl.Dense(3), tl.Residual(dense())), ['Branch', 'Parallel', 'Dense_3']],
    [tl.Serial(tl.Dense(3), new Own()), ['Serial', 'Own']],
    [new Holding(), ['Holding']],
  ] as const) {
    const model = initialized(tl.Serial(layer));
    const error = t.throws(() => model.share(), { instanceOf: tl.LayerError, code: 'InvalidArgument' });
    t.regex(
      error!.message,
      /share: the layer calls functions of the program, which belong to one thread; make the layer/,
    );
    t.deepEqual((error as tl.LayerError).path.slice(-path.length), path);
    t.throws(() => model.withMode('eval').share(), { code: 'InvalidArgument' });
  }
  // What is made with a layer that has a function has none itself.
  const part = initialized(
    tl.Serial(
      tl.Dense(2),
      tl.Fn('Id', (y: tl.Tensor) => y),
    ),
  );
  t.notThrows(() => part.sublayers[0]!.share());
  // Initializers of the package cross.
  const known = initialized(tl.Dense(2, { kernelInitializer: tl.RandomNormalInitializer() }));
  t.deepEqual(tl.fromShared(known.share())(x).array(), known(x).array());
});

test('tokens of nothing are refused', (t) => {
  const model = initialized(tl.Dense(2));
  const token = model.share();
  for (const garbage of [null, undefined, 5, 'token', {}, [], { process: 1 }, { process: '1', layer: 1 }, model]) {
    t.throws(() => tl.fromShared(wrong(garbage)), {
      instanceOf: TypeError,
      message: /^fromShared: token must be what layer\.share\(\) gave, got /,
    });
  }
  for (const layer of [0, -1, 1.5, NaN, Infinity, 2 ** 52, token.layer + 0.5]) {
    const error = { instanceOf: RangeError, code: 'InvalidArgument', message: /nothing was shared by this token/ };
    t.throws(() => tl.fromShared({ ...token, layer }), error);
  }
  for (const number of [0, NaN, token.process + 1]) {
    const error = { instanceOf: RangeError, message: /the token is of another process/ };
    t.throws(() => tl.fromShared({ ...token, process: number }), error);
  }
  const script = `
    const tl = require(${dist});
    try { tl.fromShared(${JSON.stringify(token)}); } catch (error) { console.log(error.message); }`;
  t.regex(execFileSync(process.execPath, ['-e', script], { encoding: 'utf8' }), /of another process/);
  t.throws(() => tl.Dense(2).share(), {
    code: 'NotInitialized',
    message: /share: Dense_2 has no weights to share; call init/,
  });
  model.dispose();
  t.throws(() => model.share(), { instanceOf: tl.DisposedError });
  t.throws(() => tl.fromShared(token), GONE);
});

test('what is shared in tidy ends with it', (t) => {
  const token = tl.tidy(() => initialized(tl.Dense(2)).share());
  t.throws(() => tl.fromShared(token), GONE);
});

/** A small language model. */
function language(seed: number): tl.Layer {
  const model = tl.models.TransformerLM(11, { dModel: 32, dFf: 32, nHeads: 2, nLayers: 2, maxLen: 4096, dropout: 0 });
  model.init({ shape: [1, 1], dtype: 'int32' }, { rng: tl.random.key(seed) });
  return model;
}

/** As many steps of the one as this may pass by between two looks at the other: what JavaScript is told comes in packets. */
const PACKET = 100;

/** Trains until the second of the counts is set; the first counts the steps. */
const TRAINING = `
  const model = tl.Serial(tl.Dense(64), tl.Relu(), tl.Dense(64), tl.L2Loss());
  const signature = { shape: [32, 64], dtype: 'float32' };
  model.init([signature, signature, signature]);
  const trainer = new tl.Trainer(model, tl.optimizers.SGD({ learningRate: 1e-3 }));
  function* batches() { for (;;) yield [tl.ones([32, 64]), tl.zeros([32, 64]), tl.ones([32, 64])]; }
  const stop = new AbortController();
  const onProgress = ({ done }) => {
    Atomics.store(data, 0, done);
    if (Atomics.load(data, 1) !== 0) stop.abort(new Error('enough'));
  };
  trainer.fit(batches(), { steps: 1e9, rng: [0, 1], signal: stop.signal, onProgress }).catch((error) => post(error.message));`;

function* batches(): Generator<tl.Tensor[]> {
  for (;;) yield [tl.ones([32, 64]), tl.zeros([32, 64]), tl.ones([32, 64])];
}

/** The same on this thread. */
async function train(counts: Int32Array): Promise<string> {
  const model = tl.Serial(tl.Dense(64), tl.Relu(), tl.Dense(64), tl.L2Loss());
  model.init([f32([32, 64]), f32([32, 64]), f32([32, 64])]);
  const trainer = new tl.Trainer(model, tl.optimizers.SGD({ learningRate: 1e-3 }));
  const stop = new AbortController();
  const onProgress = ({ done }: { readonly done: number }): void => {
    counts[0] = done;
    if (counts[1] !== 0) stop.abort(new Error('enough'));
  };
  const run = trainer.fit(batches(), { steps: 1e9, rng: [0, 1], signal: stop.signal, onProgress });
  return run.then(
    () => 'it has no end',
    (error: Error) => error.message,
  );
}

/** Writes 300 tokens beside a loop that counts its steps, and ends that. */
async function write(t: ExecutionContext, writing: tl.Layer, counts: Int32Array): Promise<readonly number[]> {
  // oxlint-disable-next-line no-await-in-loop -- it waits for the first step
  while (Atomics.load(counts, 0) === 0) await new Promise(setImmediate);
  const before = Atomics.load(counts, 0);
  const tokens: number[] = [];
  let [last, most] = [before, 0];
  for await (const { token } of tl.decoding.generate(writing, [3], { temperature: 0, maxTokens: 300 })) {
    tokens.push(token);
    const steps = Atomics.load(counts, 0);
    [last, most] = [steps, Math.max(most, steps - last)];
  }
  t.true(most <= PACKET, `${most} steps between two tokens`);
  t.true(last - before >= 300 / PACKET, `${last - before} steps beside 300 tokens`);
  Atomics.store(counts, 1, 1);
  return tokens;
}

test.serial(
  'a model writes while another is trained, in a worker or here: neither waits for the other to end',
  async (t) => {
    const writing = language(1);
    const { tokens } = await tl.decoding.sample(writing, [3], { temperature: 0, maxTokens: 300 });
    const counts = new Int32Array(new SharedArrayBuffer(8));
    const worker = working(TRAINING, counts);
    const ended = once(worker, 'message');
    t.deepEqual(await write(t, writing, counts), tokens);
    t.deepEqual(await ended, ['enough']);
    await worker.terminate();
    counts.fill(0);
    const here = train(counts);
    t.deepEqual(await write(t, writing, counts), tokens);
    t.is(await here, 'enough');
  },
);

test.serial('the worker that trains shares what it has learnt with one that writes', async (t) => {
  const source = `
    const model = tl.Serial(tl.Dense(1), tl.L2Loss());
    const one = { shape: [4, 3], dtype: 'float32' }, y = { shape: [4, 1], dtype: 'float32' };
    model.init([one, y, y], { rng: [0, 3] });
    const body = model.sublayers[0];
    const trainer = new tl.Trainer(model, tl.optimizers.SGD({ learningRate: 0.001 }));
    const batch = [tl.ones([4, 3]), tl.ones([4, 1]), tl.ones([4, 1])];
    parentPort.on('message', () => {
      trainer.oneStep(batch, [0, 1]);
      post([body.share(), body([[1, 2, 3]]).array()]);
    });`;
  const worker = working(source, null);
  const seen = new Set<string>();
  const tokens = new Set<number>();
  for (let i = 0; i < 20; i += 1) {
    send(worker, null);
    // oxlint-disable-next-line no-await-in-loop -- one step after the other
    const [[token, y]] = (await once(worker, 'message')) as [[tl.SharedLayer<tl.Tensor, 1>, number[][]]];
    const same = tl.fromShared(token);
    t.deepEqual(same([[1, 2, 3]]).array(), y);
    seen.add(JSON.stringify(y));
    tokens.add(token.layer);
    same.dispose();
  }
  t.is(seen.size, 20);
  t.is(tokens.size, 1);
  await worker.terminate();
});
