/** The configurable Transformers, beyond what Trax's numbers tell: predict step by step, options handed on, what is refused. */
import test from 'ava';
import * as tl from '../../src/index.js';
import { one } from '../support/values.js';
import { tensorOf, wrong } from '../support/types.js';

const { testEvalEqualsPredictConfigs, testEvalEqualsPredictDiscrete } = tl.testUtils;
const sizes = { dModel: 8, dFf: 16, nHeads: 2, maxLen: 16, dropout: 0.2, ffDropout: 0.3 };
const key = tl.random.key(8);

const lm = (options: tl.models.ConfigurableTransformerLMOptions): tl.Layer =>
  tl.models.ConfigurableTransformerLM(12, { ...sizes, nLayers: 2, ...options });

const onGrid = (options: tl.models.ConfigurableTransformerLMOptions): tl.Layer =>
  lm({ posType: 'axial', posDAxialEmbs: [3, 5], ...options });

test('ConfigurableTransformerLM: step by step it predicts what it predicts at once', (t) => {
  const configs: readonly tl.models.ConfigurableTransformerLMOptions[] = [
    {},
    ...(['sin-cos', 'fixed-base', 'infinite', 'infinite-affine', 'no', ''] as const).map((posType) => ({ posType })),
    { ffUseSru: [2, 4], ffSparsity: 4 },
    { ffUseSru: 1, ffSparsity: [8, 3], lossSparsity: 2 },
    { ffSparsity: 4, ffSparsityType: 'Block', lossSparsityType: 'lowrank', lossSparsity: 1, lossDLowrank: 3 },
    { ffSparsity: 4, ffSparsityType: 'Switch' },
    { ffActivation: tl.Gelu, attentionType: tl.SelfAttention },
    {
      attentionType: (d, { nHeads, mode }) =>
        tl.MultiplicativeConvCausalAttention(d, { nHeads, mode, sparsity: 2, lengthKernelSize: 1 }),
    },
  ];
  for (const config of configs) {
    t.notThrows(
      () =>
        testEvalEqualsPredictDiscrete(({ mode, vocabSize }) =>
          tl.models.ConfigurableTransformerLM(vocabSize, { ...sizes, nLayers: 2, ...config, mode }),
        ),
      JSON.stringify(config),
    );
  }
});

test('ConfigurableTransformerLM: positions of a grid come step by step too', (t) => {
  // Zeros, which the tokens are shifted behind.
  t.notThrows(() =>
    testEvalEqualsPredictConfigs(tl.zeros([2, 6], { dtype: 'int32' }), onGrid, [
      { posAxialShape: [3, 2] },
      { posAxialShape: [1, 6] },
    ]),
  );
});

test('ConfigurableTransformer: step by step it predicts what it predicts at once, source read once', (t) => {
  const source = tl.random.randint(key, [2, 5], 1, 12);
  // Zeros, which the target is shifted behind.
  const target = tl.zeros([2, 6], { dtype: 'int32' });
  const configs: readonly tl.models.ConfigurableTransformerOptions[] = [
    {},
    { outputVocabSize: 9, posType: 'sin-cos' },
    { encDecAttentionSparsity: 2 },
    {
      encDecAttentionSparsity: [null, 4],
      encoderDecoderAttentionType: (d, o) => tl.CausalAttention(d, { ...o, useDconv: false }),
    },
    {
      ffSparsity: 2,
      lossSparsity: 2,
      ffUseSru: [1, 4],
      encoderDecoderAttentionType: (d, o) =>
        tl.MultiplicativeConvCausalAttention(d, { ...o, sparsity: 2, lengthKernelSize: 1 }),
    },
  ];
  t.notThrows(() =>
    testEvalEqualsPredictConfigs(
      [source, target],
      (options: tl.models.ConfigurableTransformerOptions) =>
        tl.models.ConfigurableTransformer(12, { ...sizes, nEncoderLayers: 1, nDecoderLayers: 2, ...options }),
      configs,
      { seqTensor: 1 },
    ),
  );
});

const anything = (...args: [number, tl.models.PlainAttentionOptions]): tl.Layer => tl.CausalAttention(...args);
const faulty = (...args: unknown[]): tl.Layer => {
  throw new RangeError(`given ${args.length}`);
};

test('attention is given what it is made with', (t) => {
  const given: unknown[] = [];
  const own = (options: tl.models.AttentionOptions): tl.Layer => {
    given.push(options);
    return tl.CausalAttention(8, { nHeads: options.nHeads, mode: options.mode });
  };
  const plain = (d: number, options: tl.models.PlainAttentionOptions): tl.Layer => {
    given.push([d, options]);
    return tl.Attention(d, options);
  };
  // A function of rest parameters is found out.
  t.is(`${lm({ attentionType: anything })}`, `${lm({})}`);
  t.throws(() => lm({ attentionType: faulty }), { instanceOf: RangeError, message: 'given 1' });
  lm({ attentionType: own, nLayers: 1 });
  tl.models.ConfigurableTransformerEncoder(12, { ...sizes, nLayers: 1, attentionType: plain, mode: 'eval' });
  tl.models.ConfigurableTransformer(12, {
    ...sizes,
    nEncoderLayers: 0,
    nDecoderLayers: 1,
    encoderDecoderAttentionType: own,
  });
  const options = {
    nHeads: 2,
    dQk: 4,
    dV: 4,
    attentionDropout: 0.2,
    outputDropout: 0.2,
    causal: true,
    masked: false,
    mode: 'train',
  };
  t.deepEqual(given, [options, [8, { nHeads: 2, dropout: 0.2, mode: 'eval' }], { ...options, masked: true }]);
});

/** Rates of the dropout layers of a language model. */
function rates(options: tl.models.ConfigurableTransformerLMOptions): number[] {
  const model = lm({ nLayers: 1, ...options });
  model.init({ shape: [1, 2], dtype: 'int32' });
  return tl.tree.leaves<unknown>(model.state).map((s) => Number(tensorOf(s).item().toFixed(3)));
}

test('the feed-forward part drops by its own rate, or by that of all where it is null', (t) => {
  t.true(rates({}).includes(0.3));
  t.deepEqual(
    rates({ ffDropout: null }).filter((rate) => rate > 0 && rate !== 0.2),
    [],
  );
});

test('an encoder gives logits of classes, whatever the padding', (t) => {
  const model = tl.models.ConfigurableTransformerEncoder(12, { ...sizes, nLayers: 2, nClasses: 3, mode: 'eval' });
  const ids = tl.tensor([
    [4, 1, 7, 0],
    [4, 1, 7, 9],
  ]);
  model.init(tl.signature(ids), { rng: key });
  t.deepEqual(one(model(ids)).shape, [2, 3]);
  t.is(`${model}`.match(/PureAttention/gu)?.length, 2);
});

test('options that do not fit are refused', (t) => {
  const refused = (options: object, type: new (...args: never[]) => Error, message: RegExp): void => {
    t.throws(() => lm(options), { instanceOf: type, message });
  };
  refused(
    { ffSparsityType: '1ofN' },
    tl.LayerError,
    /`ffSparsityType` must be '1inN', 'Block' or 'Switch', got "1ofN"/u,
  );
  refused(
    { ffSparsityType: 'Block', ffSparsity: [4, 2] },
    tl.LayerError,
    /`ffSparsity` must be the number of experts where `ffSparsityType` is 'Block', got \[4,2\]/u,
  );
  refused({ ffSparsity: '4 2 1' }, tl.LayerError, /`ffSparsity` must be a number or a list of 2 or 4 numbers/u);
  refused(
    { ffSparsity: 'few two' },
    tl.LayerError,
    /`ffSparsity` must be a number or a list of 2 or 4 numbers, got "few two"/u,
  );
  refused({ nLayers: 1.5 }, tl.LayerError, /`nLayers` must be a whole number/u);
  refused({ posType: 'time-bin' }, tl.LayerError, /ConfigurableTransformerLM: `posType` must be/u);
  refused({ useBfloat16: true }, tl.LayerError, /unknown option `useBfloat16`/u);
  refused(
    { attentionType: tl.RelativeAttentionWrapper },
    tl.LayerError,
    /RelativeAttentionWrapper: `contextBiasLayer` is required/u,
  );
  for (const sparsity of [[2], [2, 2, 2], '2']) {
    const message = /`encDecAttentionSparsity` must be a number or a pair/u;
    t.throws(() => tl.models.ConfigurableTransformer(8, { encDecAttentionSparsity: wrong(sparsity) }), {
      instanceOf: tl.LayerError,
      message,
    });
  }
  // Null is the default, as for layers.
  t.is(
    `${tl.models.ConfigurableTransformer(8, { ...sizes, encDecAttentionSparsity: null })}`,
    `${tl.models.ConfigurableTransformer(8, sizes)}`,
  );
  t.throws(() => tl.models.ConfigurableTransformer(8, { encDecAttentionSparsity: 3, ...sizes }), {
    instanceOf: tl.LayerError,
    message: /no multiple of the sparsity 3/u,
  });
});
