/** Outputs, one at a time. */
import test from 'ava';
import * as tl from '../../src/index.js';
import { all, COPIED, copying, ofBytes, PROMPT } from './support.js';

const { generate, sample } = tl.decoding;

test('what Trax samples comes out', async (t) => {
  const model = copying();
  const tokens = await all(generate(model, PROMPT, { temperature: 0, maxTokens: 6 }));
  t.deepEqual(
    tokens.map(({ token }) => token),
    COPIED,
  );
  t.is(tokens[5]!.finishReason, 'length');
  t.true(tokens.every(({ logProb }) => logProb <= 0 && logProb > -0.01));
  const inputs = tl.tensor([[...PROMPT]]);
  const options = { inputs, temperature: 0, maxLength: 6 };
  t.deepEqual((await tl.decoding.autoregressiveSample(model, options)).array(), [[...COPIED]]);
  t.deepEqual((await tl.decoding.autoregressiveSample(model, { ...options, evalMode: true })).array(), [[...COPIED]]);
  const beams = await tl.decoding.beamSearch(model, PROMPT, { nBeams: 3, maxLength: 6 });
  t.deepEqual(
    beams.map((beam) => beam.tokens),
    [
      [3, 7, 5, 3, 2, 4],
      [3, 7, 5, 3, 2, 2],
      [3, 7, 5, 3, 3, 2],
    ],
  );
  [-0.00343, -6.91841, -7.48009].forEach((logProb, i) =>
    t.true(Math.abs(beams[i]!.logProb - logProb) < 2e-4, `${beams[i]!.logProb}`),
  );
  t.true(Math.abs(beams[0]!.score - beams[0]!.logProb / (11 / 6)) < 1e-9);
});

test('an output is whole or token by token, with the same numbers', async (t) => {
  const model = copying();
  const options = { rng: tl.random.key(3), temperature: 2, topK: 5, maxTokens: 12, logProbs: 2 };
  const whole = await sample(model, PROMPT, options);
  const parts = await all(generate(model, Int32Array.from(PROMPT), options));
  t.deepEqual(
    parts.map(({ token }) => token),
    whole.tokens,
  );
  t.deepEqual(
    parts.map(({ logProb }) => logProb),
    whole.logProbs,
  );
  t.is(whole.topLogProbs!.length, 12);
  t.true(whole.topLogProbs!.every((top) => top.length === 2 && top[0]!.logProb >= top[1]!.logProb));
  t.is(whole.text, undefined);
  const other = await sample(model, PROMPT, { ...options, rng: tl.random.key(4) });
  t.notDeepEqual(other.tokens, whole.tokens);
});

test('text goes in and comes out in whole characters, and ends before a string to stop at', async (t) => {
  const model = ofBytes();
  const encoder = tl.data.byteEncoder();
  const options = { startId: null, temperature: 0, maxTokens: 24, encoder };
  const bytes = await sample(model, [...encoder.encode('whale')], { ...options, encoder: null });
  const told = await all(generate(model, 'whale', options));
  t.deepEqual(
    told.map(({ token }) => token),
    bytes.tokens,
  );
  const text = told.map((token) => token.text ?? '').join('');
  t.is(text, encoder.decode(bytes.tokens));
  // 'é' and the newline are forced by a bias each, one after the other.
  const forced = (id: number): object => ({ ...options, maxTokens: 3, logitBias: { [id]: 1000 } });
  const half = await all(generate(model, 'a', forced(0xc3)));
  t.deepEqual(
    half.map((token) => token.text),
    ['', '�', '��'],
    'halves of characters wait, and are no characters at the end',
  );
  const stopped = await all(generate(model, 'a', { ...forced(0x61), stop: ['aa', 'x'] }));
  t.deepEqual(
    stopped.map(({ text: more, finishReason }) => [more, finishReason]),
    [
      ['', undefined],
      ['', 'stop'],
    ],
  );
  const near = await sample(model, 'a', { ...forced(0x61), stop: 'aaaa' });
  t.deepEqual([near.text, near.finishReason], ['aaa', 'length'], 'what waited is told at the end');
});

test('the event loop turns while it computes', async (t) => {
  const model = ofBytes();
  let turns = 0;
  const ticking = setInterval(() => (turns += 1), 1);
  const { tokens } = await sample(model, [1], { startId: null, temperature: 0, maxTokens: 2000 });
  clearInterval(ticking);
  t.is(tokens.length, 2000);
  t.true(turns > 0);
});

test.serial('a signal ends it at any point, memory returns, and the next output is right', async (t) => {
  const model = copying();
  const expected = await sample(model, PROMPT, { temperature: 0, maxTokens: 6 });
  const decoder = new tl.decoding.Decoder(model);
  await decoder.sample(PROMPT, { temperature: 0, maxTokens: 2 });
  const base = tl.memory().bytes;
  for (const at of [0, 1, 2, 3, 5, 8, 13]) {
    const controller = new AbortController();
    const reason = new Error(`after ${at}`);
    const output = decoder.generate(PROMPT, { temperature: 0, maxTokens: 200, signal: controller.signal });
    let seen = 0;
    const error = await t.throwsAsync(async () => {
      if (at === 0) controller.abort(reason);
      for await (const _ of output) {
        seen += 1;
        if (seen === at) controller.abort(reason);
      }
    });
    t.is(error, reason);
    t.is(seen, at);
    t.deepEqual(await decoder.sample(PROMPT, { temperature: 0, maxTokens: 6 }), expected);
    t.is(decoder.load.running + decoder.load.waiting, 0);
    t.true(tl.memory().bytes <= base, `${tl.memory().bytes} after ${base}`);
  }
  for await (const _ of decoder.generate(PROMPT, { temperature: 0, maxTokens: 200 })) break;
  t.deepEqual(await decoder.sample(PROMPT, { temperature: 0, maxTokens: 6 }), expected);
  t.true(tl.memory().bytes <= base);
  const aborted = AbortSignal.abort(new Error('before'));
  t.throws(() => generate(model, PROMPT, { temperature: 0, signal: aborted }), { message: 'before' });
  await t.throwsAsync(tl.decoding.beamSearch(model, PROMPT, { signal: aborted }), { message: 'before' });
});

test('a window lets an output go on past the positions of a model', async (t) => {
  const model = tl.models.TransformerLM(13, { dModel: 16, dFf: 16, maxLen: 24, nHeads: 2, nLayers: 1 });
  model.init({ shape: [1, 8], dtype: 'int32' }, { rng: tl.random.key(1) });
  const ended = await sample(model, [1, 2, 3], { temperature: 0, maxTokens: 100 });
  t.deepEqual([ended.tokens.length, ended.finishReason], [21, 'length'], 'the start and the prompt fill 4 of 24');
  const on = await sample(model, [1, 2, 3], { temperature: 0, maxTokens: 100, window: 24 });
  t.is(on.tokens.length, 100);
  t.deepEqual(on.tokens.slice(0, 21), ended.tokens);
  const long = Array.from({ length: 30 }, (_, i) => i % 13);
  await t.throwsAsync(sample(model, long, { temperature: 0 }), { message: /fills 31 positions, but the model has 24/ });
  await t.throwsAsync(sample(model, [1], { temperature: 0, window: 25 }), { message: /`window` is 25/ });
  t.is((await sample(model, long, { temperature: 0, window: 24, maxTokens: 3 })).tokens.length, 3);
});

test('a source goes beside the prompt of its target', async (t) => {
  const model = tl.models.Transformer(16, {
    dModel: 16,
    dFf: 32,
    nHeads: 2,
    nEncoderLayers: 1,
    nDecoderLayers: 1,
    maxLen: 32,
  });
  const pair = { shape: [1, 4], dtype: 'int32' } as const;
  model.init([pair, pair], { rng: tl.random.key(0) });
  const sources = [
    [3, 4, 5, 0],
    [6, 7, 8, 9, 2, 0],
    [9, 9, 1, 0],
  ];
  const decoder = new tl.decoding.Decoder(model);
  const made = await Promise.all(sources.map((inputs) => decoder.sample([], { inputs, temperature: 0, maxTokens: 8 })));
  for (const [i, inputs] of sources.entries()) {
    const whole = model.withMode('eval');
    const output: number[] = [];
    for (let j = 0; j < 8; j += 1) {
      const y = whole([tl.tensor([inputs]), tl.tensor([[...output, 0]])]);
      const logits = Array.isArray(y) ? y[0]! : y;
      output.push(
        logits
          .slice([0, j, 0], [1, j + 1, 16])
          .argmax(-1)
          .item(),
      );
    }
    t.deepEqual(made[i]!.tokens, output);
    t.deepEqual(await decoder.sample([], { inputs, temperature: 0, maxTokens: 8 }), made[i]);
  }
  t.throws(() => decoder.generate([], { inputs: [], temperature: 0 }), { message: /`inputs` are empty/ });
  await t.throwsAsync(sample(model, [1], { temperature: 0 }), { message: /give the source as `inputs`/ });
  const beams = await tl.decoding.beamSearch(model, [], { inputs: sources[0]!, nBeams: 2, maxLength: 4, eosId: null });
  t.is(beams[0]!.tokens.length, 4);
});

test('what cannot be asked for is refused in a sentence', async (t) => {
  const model = copying();
  const now = (prompt: tl.decoding.Prompt, options: object): void => void generate(model, prompt, options);
  const option = (options: object, message: RegExp): void =>
    void t.throws(() => now(PROMPT, { temperature: 0, ...options }), { code: 'InvalidOption', message });
  option({ temperature: -1 }, /generate: `temperature` must be a number of at least 0, got -1/);
  option({ temperature: NaN }, /`temperature`/);
  option({ topK: 0 }, /`topK` must be a whole number of at least 1, got 0/);
  option({ topP: 0 }, /`topP` must be above 0 and at most 1, got 0/);
  option({ topP: 1.5 }, /`topP`/);
  option({ maxTokens: 0 }, /`maxTokens`/);
  option({ logitBias: { a: 1 } }, /`logitBias`/);
  option({ stop: 'x' }, /`stop` needs an `encoder`/);
  option({ maxTokns: 3 }, /unknown option `maxTokns`.* did you mean `maxTokens`\?/);
  t.throws(() => now(PROMPT, {}), { code: 'InvalidOption', message: /`rng` is required unless `temperature` is 0/ });
  t.throws(() => now([], { temperature: 0, startId: null }), {
    code: 'InvalidArgument',
    message: /nothing to go on from/,
  });
  t.throws(() => now([1, -1], { temperature: 0 }), { message: /ids of tokens .* got -1 at \[1\]/ });
  t.throws(() => now('text', { temperature: 0 }), { message: /needs an `encoder`/ });
  t.throws(() => now(PROMPT, { temperature: 0, encoder: Object.create(null) }), { instanceOf: TypeError });
  await t.throwsAsync(sample(model, [1, 13], { temperature: 0 }), { code: 'IndexOutOfRange', message: /Embedding/ });
  await t.throwsAsync(sample(model, PROMPT, { temperature: 0, logitBias: { 13: 1 } }), { code: 'IndexOutOfRange' });
  await t.throwsAsync(tl.decoding.beamSearch(model, PROMPT, { nBeams: 14 }), {
    message: /`nBeams` is 14, but the model has 13 tokens/,
  });
  await t.throwsAsync(sample(tl.Serial(tl.Embedding(4, 4)), [1], { temperature: 0 }), { code: 'NotInitialized' });
  const broken = ofBytes();
  broken.weights = tl.tree.map((x: tl.Tensor) => x.mul(NaN), broken.weights);
  await t.throwsAsync(sample(broken, [1], { temperature: 0, startId: null }), {
    code: 'NotFinite',
    message: /token 0 of the output: the logit of token 0 is NaN/,
  });
  t.deepEqual((await sample(model, PROMPT, { temperature: 0, maxTokens: 6 })).tokens, [...COPIED]);
});

test('samples of a batch go on together', async (t) => {
  const model = copying();
  const inputs = tl.tensor([[...PROMPT], [0, 5, 5, 2, 0, 0, 0, 0]]);
  const given = { inputs, batchSize: 2, rng: tl.random.key(2) };
  const tokens = await tl.decoding.autoregressiveSample(model, { ...given, maxLength: 4 });
  t.deepEqual(tokens.shape, [2, 4]);
  const columns: unknown[] = [];
  for await (const column of tl.decoding.autoregressiveSampleStream(model, given)) {
    columns.push(column.array());
    if (columns.length === 4) break;
  }
  t.deepEqual(
    columns,
    [0, 1, 2, 3].map((at) => tokens.slice([0, at], [2, at + 1]).array()),
  );
  const wrong = { code: 'InvalidArgument', message: /must be \[batchSize, length\] with a batchSize of 3/ };
  await t.throwsAsync(tl.decoding.autoregressiveSample(model, { ...given, batchSize: 3 }), wrong);
  await t.throwsAsync(tl.decoding.autoregressiveSample(model, { temperature: 0, startId: null }), {
    message: /nothing to go on from/,
  });
  const ended = await tl.decoding.autoregressiveSample(model, {
    inputs: tl.tensor([[...PROMPT]]),
    temperature: 0,
    eosId: 2,
    maxLength: 50,
  });
  t.deepEqual(ended.array(), [[3, 7, 5, 3, 2]], 'it ends where all rows have');
});
