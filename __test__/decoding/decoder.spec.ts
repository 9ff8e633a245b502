/** Requests that share a batch. */
import test from 'ava';
import * as tl from '../../src/index.js';
import { one } from '../support/values.js';
import { all, copying, ofBytes, PROMPT } from './support.js';

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

test('an output is the same bits alone and among others that come and go, on any number of threads', async (t) => {
  const threads = tl.numThreads();
  t.teardown(() => tl.setNumThreads(threads));
  for (const [model, startId, vocabulary] of [
    [copying(), 0, 13],
    [ofBytes(), null, 256],
  ] as const) {
    const request = (i: number): [number[], tl.decoding.GenerateOptions] => [
      Array.from({ length: 1 + ((i * 7) % 23) }, (_, j) => (i * j + i) % vocabulary),
      {
        startId,
        rng: tl.random.key(i),
        temperature: [0, 0.8, 1.5][i % 3]!,
        topP: 0.95,
        maxTokens: 1 + ((i * 5) % 20),
        logProbs: 1,
      },
    ];
    const alone = await Promise.all(Array.from({ length: 24 }, (_, i) => tl.decoding.sample(model, ...request(i))));
    for (const [n, maxBatch] of [
      [1, 3],
      [2, 8],
      [4, 64],
    ] as const) {
      tl.setNumThreads(n);
      const decoder = new tl.decoding.Decoder(model, { maxBatch });
      const together = alone.map(async (_, i) => {
        await pause((i * 3) % 7);
        if (i % 6 === 5) for await (const _token of decoder.generate(...request(i))) break;
        return decoder.sample(...request(i));
      });
      t.deepEqual(await Promise.all(together), alone);
      t.deepEqual(decoder.load, { running: 0, waiting: 0, bytes: 0 });
    }
  }
});

test('one that fails or is aborted leaves the others alone', async (t) => {
  const model = copying();
  const decoder = new tl.decoding.Decoder(model);
  const options = { temperature: 0, maxTokens: 30 };
  const expected = await decoder.sample(PROMPT, options);
  const controller = new AbortController();
  const outcomes = await Promise.allSettled([
    decoder.sample(PROMPT, options),
    decoder.sample([1, 99], options),
    all(decoder.generate(PROMPT, { ...options, signal: controller.signal })),
    decoder.sample(PROMPT, options).finally(() => undefined),
    Promise.resolve().then(() => controller.abort(new Error('gone'))),
  ]);
  t.deepEqual(
    outcomes.map(({ status }) => status),
    ['fulfilled', 'rejected', 'rejected', 'fulfilled', 'fulfilled'],
  );
  for (const i of [0, 3]) {
    const outcome = outcomes[i]!;
    t.deepEqual(outcome.status === 'fulfilled' ? outcome.value : undefined, expected);
  }
});

test('calls of layers have their turn between steps, and weights may be set', async (t) => {
  const model = ofBytes();
  const decoder = new tl.decoding.Decoder(model);
  const controller = new AbortController();
  const output = decoder.generate([7], {
    startId: null,
    temperature: 0,
    maxTokens: 1_000_000,
    signal: controller.signal,
  });
  await output.next();
  const other = tl.Dense(3);
  other.init({ shape: [2, 2], dtype: 'float32' });
  t.deepEqual(one(await other.callAsync(tl.ones([2, 2]))).shape, [2, 3]);
  const same = await model.withMode('eval').callAsync(tl.tensor([[1, 2]]));
  t.deepEqual(one(same).shape, [1, 2, 256]);
  model.weights = tl.tree.map((x: tl.Tensor) => x.mul(1), model.weights);
  t.is(decoder.load.running, 1, 'it goes on');
  controller.abort(new Error('enough'));
  await t.throwsAsync(all(output), { message: 'enough' });
});

test('time that is over ends an output with what it has', async (t) => {
  const options = { startId: null, temperature: 0, maxTokens: 1_000_000, timeoutMs: 40 };
  const output = await tl.decoding.sample(ofBytes(), [7], options);
  t.is(output.finishReason, 'cancelled');
  t.true(output.tokens.length > 1);
});

test.serial('what outputs have in common is read once', async (t) => {
  const model = copying();
  const decoder = new tl.decoding.Decoder(model);
  const options = { temperature: 0, maxTokens: 6 };
  const expected = await decoder.sample(PROMPT, options);
  const base = tl.memory().bytes;
  const prefix = await decoder.prefix(PROMPT.slice(0, 5));
  t.true(decoder.load.bytes > 0);
  for (const _ of [1, 2]) t.deepEqual(await decoder.sample(PROMPT.slice(5), { ...options, prefix }), expected);
  const other = new tl.decoding.Decoder(model);
  t.throws(() => other.generate([1], { ...options, prefix }), { message: /another decoder/ });
  t.throws(() => decoder.generate([1], { ...options, prefix, inputs: [1] }), { message: /has its own `inputs`/ });
  prefix.dispose();
  t.throws(() => decoder.generate([1], { ...options, prefix }), { instanceOf: tl.DisposedError });
  t.is(decoder.load.bytes, 0);
  t.true(tl.memory().bytes <= base);
  await t.throwsAsync(
    decoder.prefix([99]).then((made) => decoder.sample([1], { ...options, prefix: made })),
    {
      code: 'IndexOutOfRange',
    },
  );
});

/** A small model with a layer of a program. */
function around(own: tl.Layer): tl.Layer {
  const model = tl.Serial(tl.Embedding(32, 8), tl.LSTM(8), own, tl.Dense(32));
  model.init({ shape: [1, 4], dtype: 'int32' }, { rng: tl.random.key(5) });
  return model;
}

test('functions and classes of a program run in it, and what they throw comes out', async (t) => {
  class Twice extends tl.Layer {
    override forward(x: tl.Tensor): tl.Tensor {
      return x.mul(2);
    }
  }
  const options = { startId: null, temperature: 0, maxTokens: 8 };
  const plain = await tl.decoding.sample(around(tl.Fn('Twice', (x: tl.Tensor) => x.mul(2))), [3, 4], options);
  const decoder = new tl.decoding.Decoder(around(new Twice()));
  const both = await Promise.all([decoder.sample([3, 4], options), decoder.sample([3, 4], options)]);
  t.deepEqual(both, [plain, plain]);
  const planned = new Error('planned');
  const thrower = tl.Fn('Thrower', (x: tl.Tensor) => {
    if (x.shape[1] === 1) throw planned;
    return x.mul(2);
  });
  t.is(await t.throwsAsync(tl.decoding.sample(around(thrower), [3, 4], options)), planned);
});

test('a model with LSH attention writes what it writes in eval mode, as long as it hashes nothing', async (t) => {
  // Up to the length of a chunk a position sees all before it. Beyond that, each mode leaves out others.
  const model = tl.models.ReformerLM(32, {
    dModel: 16,
    dFf: 32,
    nLayers: 2,
    nHeads: 2,
    maxLen: 64,
    mode: 'eval',
    attentionType: tl.LSHSelfAttention,
  });
  model.init({ shape: [1, 64], dtype: 'int32' }, { rng: tl.random.key(1) });
  const options = { inputs: tl.tensor([[3, 4, 5]]), temperature: 0, maxLength: 8 };
  const [step, whole] = await Promise.all([
    tl.decoding.autoregressiveSample(model, options),
    tl.decoding.autoregressiveSample(model, { ...options, evalMode: true, evalMinLength: 64 }),
  ]);
  t.deepEqual(step.array(), whole.array());
});

test('a decoder tells how many positions its model can read', async (t) => {
  const decoder = new tl.decoding.Decoder(copying());
  t.is(decoder.positions, 256);
  const { finishReason, tokens } = await decoder.sample(
    Array.from({ length: 254 }, () => 1),
    { temperature: 0 },
  );
  t.deepEqual([finishReason, tokens.length], ['length', 2], 'the start token has a position, too');
  t.is(new tl.decoding.Decoder(ofBytes()).positions, null);
});

test('who leaves while a step is running leaves nothing behind, though nobody else comes', async (t) => {
  const decoder = new tl.decoding.Decoder(ofBytes());
  const outputs = Array.from({ length: 4 }, (_, i) =>
    decoder.generate([i], { startId: null, temperature: 0, maxTokens: 1_000_000 }),
  );
  await Promise.all(outputs.map((output) => output.next()));
  t.is(decoder.load.running, 4);
  for (const output of outputs) await output.return?.();
  for (let i = 0; i < 500 && decoder.load.running > 0; i += 1) await pause(10);
  t.deepEqual(decoder.load, { running: 0, waiting: 0, bytes: 0 });
});
