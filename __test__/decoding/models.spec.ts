/** Every model that writes says the same bits alone and in any company. */
import test from 'ava';
import * as tl from '../../src/index.js';
import { dice } from '../support/hostile.js';
import { one } from '../support/values.js';

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const VOCABULARY = 31;
const IDS: tl.Signature = { shape: [1, 64], dtype: 'int32' };

type Options = Record<string, unknown>;

const common = { dModel: 16, dFf: 32, nHeads: 2, maxLen: 64, dropout: 0 };
const deep = { ...common, dAttentionKey: 8, dAttentionValue: 8, nLayers: 1 };
const near = (options: tl.models.AttentionOptions): tl.Layer =>
  tl.SelfAttention({ ...options, chunkLen: 4, nChunksBefore: 1 });
const alike = (options: tl.models.AttentionOptions): tl.Layer =>
  tl.LSHSelfAttention({ ...options, chunkLen: 4, nHashes: 2, nBuckets: 4 });
const apart = (options: tl.models.AttentionOptions): tl.Layer =>
  tl.PureLSHSelfAttentionWrapper({ ...options, chunkLen: 4, nHashes: 2, nBuckets: 4, rotaryPositionEmb: true });

const reformer = (options: Options = {}): tl.Layer => tl.models.ReformerLM(VOCABULARY, { ...deep, ...options });
const configurable = (options: Options = {}): tl.Layer =>
  tl.models.ConfigurableTransformerLM(VOCABULARY, { ...common, nLayers: 1, ...options });

/** Language models by name. */
const WRITERS: Record<string, () => tl.Layer> = {
  TransformerLM: () => tl.models.TransformerLM(VOCABULARY, { ...common, nLayers: 2 }),
  ReformerLM: () => reformer(),
  'ReformerLM of near and similar positions': () => reformer({ nLayers: 2, attentionType: [near, alike] }),
  'ReformerLM of attention without weights': () => reformer({ attentionType: apart }),
  'ReformerLM of CausalAttention': () => reformer({ attentionType: tl.CausalAttention }),
  'ReformerLM with pieces of the batch': () => reformer({ attentionChunkSize: 1, ffChunkSize: 2 }),
  'ReformerLM with a recurrent part': () => reformer({ ffUseSru: 1, posType: 'sin-cos' }),
  'ReformerLM with sparse parts': () => reformer({ ffSparsity: 8, posType: 'infinite' }),
  'ReformerLM with positions of axes': () =>
    reformer({
      posType: 'axial',
      posAxialShape: [8, 8],
      posDAxialEmbs: [8, 8],
      lossSparsityType: 'mult',
      lossSparsity: 1,
    }),
  ConfigurableTransformerLM: () => configurable({ posType: 'fixed-base' }),
  'ConfigurableTransformerLM of experts': () => configurable({ ffSparsity: 4, ffSparsityType: 'Switch' }),
  'ConfigurableTransformerLM of blocks': () => configurable({ ffSparsity: 4, ffSparsityType: 'Block', ffChunkSize: 4 }),
  'ConfigurableTransformerLM of sparse attention': () =>
    configurable({ attentionType: tl.MultiplicativeConvCausalAttention, posType: 'infinite-affine' }),
};

const depths = { ...common, nEncoderLayers: 1, nDecoderLayers: 1 };

/** Models of a source and a target by name. */
const TRANSLATORS: Record<string, () => tl.Layer> = {
  Transformer: () => tl.models.Transformer(VOCABULARY, depths),
  Reformer: () => tl.models.Reformer(VOCABULARY, depths),
  ConfigurableTransformer: () => tl.models.ConfigurableTransformer(VOCABULARY, { ...depths, ffSparsity: 8 }),
};

/** Requests that differ, some from a source. */
function requests(seed: number, hasSource: boolean): [number[], tl.decoding.GenerateOptions][] {
  const below = dice(seed);
  const ids = (n: number): number[] => Array.from({ length: n }, () => 1 + below(VOCABULARY - 1));
  return Array.from({ length: 12 }, (_, i) => [
    ids(1 + below(14)),
    {
      temperature: [0, 0.8, 1.4][below(3)]!,
      topP: [1, 0.9][below(2)]!,
      maxTokens: 1 + below(12),
      rng: tl.random.key(i),
      logProbs: 2,
      ...(hasSource ? { inputs: ids(3 + 2 * below(2)) } : {}),
    },
  ]);
}

test.serial('every model says the same bits in any company', async (t) => {
  const threads = tl.numThreads();
  t.teardown(() => tl.setNumThreads(threads));
  for (const [name, make] of [...Object.entries(WRITERS), ...Object.entries(TRANSLATORS)]) {
    const hasSource = name in TRANSLATORS;
    const model = make();
    model.init(hasSource ? [IDS, IDS] : IDS, { rng: tl.random.key(4) });
    const asked = requests(name.length, hasSource);
    const alone: tl.decoding.Sample[] = [];
    for (const request of asked) alone.push(await tl.decoding.sample(model, ...request));
    for (const [n, maxBatch] of [
      [1, 3],
      [2, 5],
      [4, 64],
    ] as const) {
      tl.setNumThreads(n);
      const decoder = new tl.decoding.Decoder(model, { maxBatch });
      const all = Promise.all(asked.map((request) => decoder.sample(...request)));
      for await (const _ of decoder.generate(...asked[0]!)) break;
      t.deepEqual(await all, alone, name);
      // Who left while a step was running is gone with it.
      for (let i = 0; i < 500 && decoder.load.running > 0; i += 1) await pause(10);
      t.deepEqual(decoder.load, { running: 0, waiting: 0, bytes: 0 }, name);
    }
    model.dispose();
  }
});

test('a model that joins positions says that it has no mode predict', async (t) => {
  for (const model of [
    tl.models.HourglassLM(VOCABULARY, {
      dModel: 16,
      dFf: 32,
      nHeads: 2,
      vanillaLayers: [1, 1],
      hierarchy: '1@2',
    }),
    tl.models.ReformerShortenLM(VOCABULARY, { ...deep, dEmbedding: 16, shortenFactor: 2 }),
  ]) {
    model.init(IDS, { rng: tl.random.key(4) });
    const error = await t.throwsAsync(tl.decoding.sample(model, [1, 2], { temperature: 0 }), { code: 'InvalidOption' });
    t.regex(error.message, /`mode` cannot be 'predict', as several positions are computed as one/);
  }
});

test.serial('the state of a model that has read nothing takes no memory to show, and is what it begins with', (t) => {
  const model = tl.models.TransformerLM(VOCABULARY, { ...common, nLayers: 2, maxLen: 4096, mode: 'predict' });
  model.init({ shape: [4, 1], dtype: 'int32' }, { rng: tl.random.key(4) });
  const before = tl.memory().bytes;
  const { state } = model;
  t.true(tl.memory().bytes - before < 1000);
  const leaves = tl.tree.leaves(state).filter((leaf) => leaf.shape.length === 3);
  t.deepEqual(
    leaves.map(({ shape }) => shape),
    Array.from({ length: 4 }, () => [8, 4096, 8]),
  );
  t.is(leaves[0]!.abs().max().item(), 0);
  const x = tl.tensor([[1], [2], [3], [4]]);
  const first = one(model(x)).array();
  t.notDeepEqual(one(model(x)).array(), first);
  model.state = state;
  t.deepEqual(one(model(x)).array(), first);
});
