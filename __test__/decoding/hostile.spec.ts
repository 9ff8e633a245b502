/** What nobody should ask for: each is a typed error or an output, and the next request is right. */
import test, { type ExecutionContext } from 'ava';
import * as tl from '../../src/index.js';
import { all, COPIED, copying, ofBytes, PROMPT } from './support.js';

const { Decoder, sample } = tl.decoding;
const greedy = { temperature: 0, maxTokens: 6 };

/** The next request is right. */
async function isRight(t: ExecutionContext, decoder: tl.decoding.Decoder): Promise<void> {
  t.deepEqual((await decoder.sample(PROMPT, greedy)).tokens, [...COPIED]);
  t.deepEqual(decoder.load, { running: 0, waiting: 0, bytes: 0 });
}

/** A model of 13 tokens with these logits whatever comes. */
function fixed(logits: readonly number[]): tl.Layer {
  const model = tl.Serial(tl.Embedding(13, 4), tl.Dense(13));
  model.init({ shape: [1, 4], dtype: 'int32' }, { rng: tl.random.key(5) });
  const [table, [w]] = model.weights as [tl.Tensor, [tl.Tensor, tl.Tensor]];
  model.weights = [table, [w.mul(0), tl.tensor([...logits], null, { dtype: 'float32' })]];
  return model;
}

/** Logits that are 0 but for one. */
const with13 = (at: number, value: number): number[] => Array.from({ length: 13 }, (_, i) => (i === at ? value : 0));

const plain = { ...greedy, startId: null };

test('ids that no token has', async (t) => {
  const decoder = new Decoder(copying());
  for (const id of [-1, 0.5, NaN, Infinity, 2 ** 31, -(2 ** 31), Number.MAX_VALUE]) {
    t.throws(() => decoder.generate([1, id], greedy), { code: 'InvalidArgument', message: /at \[1\]/ }, `${id}`);
    for (const option of ['startId', 'eosId'])
      t.throws(() => decoder.generate([1], { ...greedy, [option]: id }), { code: 'InvalidOption' }, `${option} ${id}`);
    t.throws(() => decoder.generate([1], { ...greedy, stopTokens: [id] }), { code: 'InvalidOption' });
    t.throws(() => decoder.generate([1], { ...greedy, logitBias: { [id]: 1 } }), { code: 'InvalidOption' });
  }
  for (const id of [13, 2 ** 31 - 1]) {
    await t.throwsAsync(decoder.sample([1, id], greedy), { code: 'IndexOutOfRange', message: /Embedding/ });
    await t.throwsAsync(decoder.sample([1], { ...greedy, startId: id }), { code: 'IndexOutOfRange' });
    await t.throwsAsync(decoder.sample([1], { ...greedy, logitBias: { [id]: 1 } }), { code: 'IndexOutOfRange' });
    // Tokens that never come end nothing.
    const { finishReason } = await decoder.sample(PROMPT, { ...greedy, eosId: id, stopTokens: [id] });
    t.is(finishReason, 'length');
  }
  await isRight(t, decoder);
});

test('how many tokens', async (t) => {
  const decoder = new Decoder(copying());
  for (const maxTokens of [0, -1, 1.5, NaN, Infinity, 2 ** 64])
    t.throws(() => decoder.generate(PROMPT, { ...greedy, maxTokens }), {
      code: 'InvalidOption',
      message: /`maxTokens`/,
    });
  // As many as there are positions, and no memory for more.
  const long = await decoder.sample(PROMPT, { ...greedy, maxTokens: 2 ** 31 });
  t.deepEqual([long.tokens.length, long.finishReason], [256 - PROMPT.length, 'length']);
  const endless = new Decoder(ofBytes());
  const output = endless.generate([1], { ...plain, maxTokens: 2 ** 31 });
  for (let i = 0; i < 3; i += 1) t.false((await output.next()).done);
  await output.return?.();
  await isRight(t, decoder);
});

test('what nothing can be chosen from', async (t) => {
  const code = async (logits: readonly number[], options: object = {}): Promise<unknown> => {
    const failed = async () => await sample(fixed(logits), [1], { ...plain, ...options });
    return (await t.throwsAsync(failed, { instanceOf: tl.LayerError }))?.code;
  };
  const drawing = { temperature: 1, rng: tl.random.key(1) };
  for (const options of [{}, drawing]) {
    t.is(await code(with13(7, NaN), options), 'NotFinite');
    t.is(await code(with13(7, Infinity), options), 'NotFinite');
    t.is(
      await code(
        Array.from({ length: 13 }, () => -Infinity),
        options,
      ),
      'InvalidArgument',
    );
    const nothing = Object.fromEntries(Array.from({ length: 13 }, (_, id) => [id, -Infinity]));
    t.is(await code(with13(0, 1), { ...options, logitBias: nothing }), 'InvalidArgument');
    const { 4: _, ...rest } = nothing;
    t.deepEqual(
      (await sample(fixed(with13(0, 1)), [1], { ...plain, ...options, logitBias: rest })).tokens,
      [4, 4, 4, 4, 4, 4],
    );
  }
});

test('shares and numbers of tokens at their ends', async (t) => {
  const decoder = new Decoder(copying());
  const drawn = { maxTokens: 6, rng: tl.random.key(7) };
  const all13 = await decoder.sample(PROMPT, drawn);
  for (const topK of [13, 14, 2 ** 31, 2 ** 53 - 1])
    t.deepEqual(await decoder.sample(PROMPT, { ...drawn, topK }), all13);
  t.deepEqual(await decoder.sample(PROMPT, { ...drawn, topP: 1 }), all13);
  for (const topP of [Number.MIN_VALUE, 1e-300])
    t.deepEqual((await decoder.sample(PROMPT, { ...drawn, topP })).tokens, [...COPIED]);
  for (const topP of [0, -0, 2, 1 + Number.EPSILON, NaN, -1])
    t.throws(() => decoder.generate(PROMPT, { ...drawn, topP }), { code: 'InvalidOption', message: /`topP`/ });
  t.deepEqual((await decoder.sample(PROMPT, { ...drawn, temperature: Number.MIN_VALUE })).tokens, [...COPIED]);
  t.is((await decoder.sample(PROMPT, { ...drawn, temperature: Number.MAX_VALUE })).tokens.length, 6);
  for (const temperature of [-Number.MIN_VALUE, Infinity, NaN])
    t.throws(() => decoder.generate(PROMPT, { ...drawn, temperature }), { code: 'InvalidOption' });
  const told = await decoder.sample(PROMPT, { ...greedy, logProbs: 2 ** 31 });
  t.true(told.topLogProbs!.every((top) => top.length === 13));
  for (const penalty of ['presencePenalty', 'frequencyPenalty', 'repetitionPenalty'])
    t.throws(() => decoder.generate(PROMPT, { ...greedy, [penalty]: NaN }), { code: 'InvalidOption' });
  t.is((await decoder.sample(PROMPT, { ...greedy, presencePenalty: Number.MAX_VALUE })).tokens.length, 6);
  await isRight(t, decoder);
});

test('strings to stop at, long ones and many', async (t) => {
  const encoder = tl.data.byteEncoder();
  const decoder = new Decoder(ofBytes());
  const options = { ...plain, encoder, maxTokens: 40 };
  const { text } = await decoder.sample('whale', options);
  const far = 'x'.repeat(1e6);
  t.is((await decoder.sample('whale', { ...options, stop: far })).text, text);
  const many = Array.from({ length: 1e4 }, (_, i) => `${i} and no more`);
  t.is((await decoder.sample('whale', { ...options, stop: many })).text, text);
  // One that fits all the way but for its end waits, and is told.
  t.is((await decoder.sample('whale', { ...options, stop: `${text}${far}` })).text, text);
  for (const stop of ['', [''], ['a', ''], [1], 1])
    t.throws(() => decoder.generate('whale', { ...options, stop: stop as string }), { code: 'InvalidOption' });
});

test('prompts of every kind', async (t) => {
  const decoder = new Decoder(copying());
  for (const prompt of [
    null,
    undefined,
    {},
    3,
    [[1]],
    [null],
    ['1'],
    tl.tensor([1.5]),
    tl.tensor([[1], [2]]),
    tl.tensor([true]),
  ])
    t.throws(() => decoder.generate(prompt as number[], greedy), { message: /prompt/ }, String(prompt));
  t.is((await decoder.sample([], greedy)).tokens.length, 6);
  t.is((await decoder.sample(tl.tensor([[...PROMPT]]), greedy)).tokens.length, 6);
  await t.throwsAsync(
    decoder.sample(
      Array.from({ length: 1e6 }, () => 1),
      greedy,
    ),
    {
      code: 'InvalidArgument',
      message: /fills 1000001 positions, but the model has 256/,
    },
  );
  await isRight(t, decoder);
});

test('a model that is disposed of while it writes', async (t) => {
  const model = copying();
  const expected = await sample(model, PROMPT, { ...greedy, maxTokens: 40 });
  const decoder = new Decoder(model);
  const output = decoder.generate(PROMPT, { ...greedy, maxTokens: 40 });
  const tokens = [(await output.next()).value as tl.decoding.GeneratedToken];
  model.dispose();
  tokens.push(...(await all(output)));
  // What is under way has the weights it began with.
  t.deepEqual(
    tokens.map(({ token }) => token),
    expected.tokens,
  );
  t.throws(() => model(tl.tensor([[1]])), { instanceOf: tl.DisposedError });
  t.throws(() => new Decoder(model), { instanceOf: tl.DisposedError });
  await isRight(t, new Decoder(copying()));
});

test('a model that is initialized again while it writes', async (t) => {
  const model = ofBytes();
  const decoder = new Decoder(model);
  const output = decoder.generate([1], { ...plain, maxTokens: 60 });
  await output.next();
  model.init({ shape: [1, 4], dtype: 'int32' }, { rng: tl.random.key(77) });
  t.is((await all(output)).length, 59, 'it goes on with the new weights');
  const other = ofBytes();
  other.init({ shape: [1, 4], dtype: 'int32' }, { rng: tl.random.key(77) });
  t.deepEqual(await decoder.sample([1, 2, 3], plain), await sample(other, [1, 2, 3], plain));
  t.deepEqual(decoder.load, { running: 0, waiting: 0, bytes: 0 });
});

test('an end while a prompt is read', async (t) => {
  const model = tl.Serial(tl.Embedding(50, 64), tl.LSTM(64), tl.LSTM(64), tl.Dense(50));
  model.init({ shape: [1, 4], dtype: 'int32' }, { rng: tl.random.key(5) });
  const decoder = new Decoder(model, { promptTokens: 64 });
  const expected = await decoder.sample([1, 2, 3], plain);
  const long = Array.from({ length: 200_000 }, (_, i) => i % 50);
  const controller = new AbortController();
  const reading = t.throwsAsync(decoder.sample(long, { ...plain, signal: controller.signal }), { message: 'enough' });
  // Others go on meanwhile.
  t.deepEqual(await decoder.sample([1, 2, 3], plain), expected);
  t.is(decoder.load.running, 1);
  controller.abort(new Error('enough'));
  await reading;
  t.deepEqual(await decoder.sample([1, 2, 3], plain), expected);
  t.deepEqual(decoder.load, { running: 0, waiting: 0, bytes: 0 });
  const late = await t.throwsAsync(decoder.sample(long, { ...plain, timeoutMs: 1 }), { code: 'Aborted' });
  t.regex(late.message, /`timeoutMs` was over before the first token/);
});
