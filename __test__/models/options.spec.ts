/** Options of models: declared, checked and refused as those of layers are. */
import test from 'ava';
import * as tl from '../../src/index.js';
import { tensorOf, wrong } from '../support/types.js';

const sizes = { dModel: 8, dFf: 16, nHeads: 2 };
const small = { ...sizes, nLayers: 1, mode: 'eval' } as const;

/** What is thrown, without what only tells one name from another. */
function refusal(make: () => unknown): tl.LayerError {
  try {
    make();
  } catch (error) {
    if (error instanceof tl.LayerError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

/** A message without the names in it. */
const words = ({ message }: Error): string =>
  message.replace(/TransformerLM|Dense/gu, 'X').replace(/`\w+`(, `\w+`)*/gu, '`y`');

test('a misspelt option of a model fails in the words of one of a layer', (t) => {
  const model = refusal(() => tl.models.TransformerLM(10, wrong({ dmodel: 8 })));
  const layer = refusal(() => tl.Dense(4, wrong({ useBais: true })));
  t.is(words(model), words(layer));
  t.deepEqual([model.code, layer.code], ['InvalidOption', 'InvalidOption']);
  t.true(
    model.message.startsWith('[InvalidOption] TransformerLM: unknown option `dmodel`: it takes `vocabSize`, `nLayers`'),
  );
  t.true(model.message.endsWith('; did you mean `dModel`?'));
});

/** Rates of the dropout layers of a language model. */
const rates = (model: tl.Layer): number[] => {
  model.init({ shape: [1, 2], dtype: 'int32' });
  return tl.tree.leaves<unknown>(model.state).map((s) => tensorOf(s).item());
};

test('null is the default, and what is left out is the same', (t) => {
  const given = tl.models.TransformerLM(10, {
    ...sizes,
    nLayers: 1,
    dropout: null,
    maxLen: undefined,
    ffActivation: null,
  });
  t.is(
    `${given}`,
    `${tl.models.TransformerLM(10, { ...sizes, nLayers: 1, dropout: 0.1, maxLen: 2048, ffActivation: tl.Relu })}`,
  );
  t.regex(`${tl.models.TransformerLM(10, { nLayers: 1, dModel: null })}`, /Embedding_10_512/);
  // Where null means something of its own, it stays that.
  const lm = (ffDropout: number | null): tl.Layer =>
    tl.models.ConfigurableTransformerLM(10, { ...sizes, nLayers: 1, dropout: 0.5, ffDropout });
  t.true(rates(lm(null)).every((rate) => rate === 0 || rate === 0.5));
  t.true(rates(lm(0.25)).includes(0.25));
});

test('heads that do not divide the depth are refused where the model or the layer is made', (t) => {
  const wrong = { dModel: 9, nHeads: 2 };
  for (const make of [
    () => tl.models.TransformerLM(10, wrong),
    () => tl.models.TransformerEncoder(10, wrong),
    () => tl.models.TransformerDecoder(wrong),
    () => tl.models.Transformer(10, wrong),
    () => tl.models.ConfigurableTransformerLM(10, wrong),
    () => tl.models.ConfigurableTransformerEncoder(10, wrong),
    () => tl.models.ConfigurableTransformer(10, wrong),
  ]) {
    const { code, message } = refusal(make);
    t.is(code, 'InvalidOption');
    t.regex(message, /^\[InvalidOption\] \w+: `dModel` must be a multiple of `nHeads`, .*: got 9 for 2 heads$/);
    t.notRegex(message, /Attention/);
  }
  const attentions: ((dFeature: number, options: { nHeads: number }) => tl.Layer)[] = [
    tl.Attention,
    tl.AttentionQKV,
    tl.CausalAttention,
    tl.Favor,
    tl.ModularCausalAttention,
  ];
  for (const make of attentions) {
    t.throws(() => make(9, { nHeads: 2 }), {
      code: 'InvalidOption',
      message: new RegExp(
        `^\\[InvalidOption\\] ${make.name}: \`dFeature\` must be a multiple of \`nHeads\`, .*: got 9 for 2 heads$`,
      ),
    });
  }
});

test('functions are handed on as they are, and nothing else is taken for one', (t) => {
  const made: unknown[] = [];
  const ffActivation = (): tl.Layer => {
    made.push(ffActivation);
    return tl.Gelu();
  };
  const attentionType = (dModel: number, options: tl.models.PlainAttentionOptions): tl.Layer => {
    made.push(attentionType);
    return tl.CausalAttention(dModel, options);
  };
  t.regex(`${tl.models.ReformerLM(10, { ...small, ffActivation, attentionType })}`, /Gelu/);
  t.deepEqual(made, [attentionType, ffActivation]);
  t.throws(() => tl.models.MLP({ activationFn: wrong(tl.Relu()) }), {
    code: 'InvalidOption',
    message: '[InvalidOption] MLP: `activationFn` must be a layer factory, such as tl.Relu, got a layer',
  });
  t.throws(() => tl.models.ReformerLM(10, { ...small, attentionType: wrong([tl.SelfAttention, 'SelfAttention']) }), {
    code: 'InvalidOption',
    message:
      /^\[InvalidOption\] ReformerLM: `attentionType` must be a function that makes attention.*got \[.*"SelfAttention"\]$/,
  });
});

test('an error in a model begins with the model, while it runs and while it is made', (t) => {
  const model = tl.models.TransformerLM(10, { ...small, maxLen: 4 });
  model.init({ shape: [1, 4], dtype: 'int32' });
  const tooLong = (layer: tl.Layer): string[] => [...refusal(() => layer([[1, 2, 3, 4, 5]])).path];
  t.deepEqual(tooLong(model), ['TransformerLM', 'Serial', 'PositionalEncoding']);
  t.deepEqual(tooLong(model.withMode('train')), ['TransformerLM', 'Serial', 'PositionalEncoding']);
  t.deepEqual(tooLong(tl.Serial(model)), ['Serial', 'TransformerLM', 'Serial', 'PositionalEncoding']);
  t.is(model.name, 'Serial');
  t.true(`${model}`.startsWith('Serial[\n  Serial[\n    ShiftRight(1)\n'));
  // The grid does not fit: the layer says so, and the model whose layer it is.
  const made = refusal(() => tl.models.ReformerLM(10, { ...small, posType: 'axial', posAxialShape: [2, 2] }));
  t.deepEqual(made.path, ['ReformerLM']);
  t.true(made.message.startsWith('[InvalidOption] ReformerLM (build): AxialPositionalEncoding: '), made.message);
});

test('blocks of Reformers are declared as models are', (t) => {
  const { DecoderBlock, EncoderBlock, EncoderDecoderBlock } = tl.models.reformer;
  for (const block of [DecoderBlock, EncoderBlock, EncoderDecoderBlock]) {
    t.throws(() => block(8, wrong({ nHead: 2 })), {
      code: 'InvalidOption',
      message: new RegExp(
        `^\\[InvalidOption\\] ${block.name}: unknown option \`nHead\`: .*did you mean \`nHeads\`\\?$`,
      ),
    });
    t.throws(() => block(0), {
      code: 'InvalidOption',
      message: /`dModel` must be a whole number of at least 1, got 0/,
    });
  }
  t.is(tl.ReversibleSerial(DecoderBlock(8, { dFf: 16 })).nIn, 2);
});

test('WholeSequences takes whole sequences in predict mode, or refuses', (t) => {
  const x = tl.tensor([[1, 2, 3]]);
  const inner = tl.Serial(tl.ShiftRight(), tl.Relu());
  const whole = tl.WholeSequences(inner);
  t.is(`${whole}`, `${inner}`);
  t.deepEqual(whole(x).array(), [[0, 1, 2]]);
  t.deepEqual(whole.withMode('predict')(x).array(), [[0, 1, 2]]);
  t.deepEqual(whole.withMode('predict')(x).array(), [[0, 1, 2]]);
  const refusing = tl.WholeSequences(inner, { refusal: 'it reads whole sequences' });
  t.deepEqual(refusing.withMode('eval')(x).array(), [[0, 1, 2]]);
  t.throws(() => refusing.withMode('predict')(x), { code: 'InvalidOption', message: /it reads whole sequences/ });
  t.throws(() => tl.WholeSequences(wrong(5)), {
    code: 'InvalidOption',
    message: /WholeSequences: `layer` must be a layer, got 5/,
  });
});
