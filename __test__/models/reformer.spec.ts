import test from 'ava';
import * as tl from '../../src/index.js';

const sizes = { dModel: 8, dFf: 16, nLayers: 2, nHeads: 2, maxLen: 16 };
const key = tl.random.key(3);
const ids = tl.tensor([[4, 1, 12, 7, 7, 2, 9, 3], [5, 5, 1, 0, 2, 11, 8, 6]]);

/** A language model with the attention that is always there. */
function made(options: Partial<tl.models.ReformerLMOptions> = {}): tl.Layer {
  return tl.models.ReformerLM(13, { ...sizes, attentionType: tl.CausalAttention, ...options });
}

/** The printed form of a half residual and its swap, line by line. */
function half(name: string, inner: readonly string[], ...more: string[]): string[] {
  return [
    `${name}_in2_out2[`,
    '  Serial[',
    ...inner.map((line) => `    ${line}`),
    '  ]',
    ...more.map((line) => `  ${line}`),
    ']',
    'ReversibleSwap_in2_out2',
  ];
}

test('ReformerLM: printed as Trax prints it, but for the attention', (t) => {
  const ff = ['LayerNorm', 'Dense_16', 'Dropout', 'Serial[', '  FastGelu', ']', 'Dense_8', 'Dropout'];
  const text = `${made({ attentionType: () => tl.ShiftRight() })}`;
  const block = [
    ...half('ReversibleHalfResidualDecoderAttn', ['LayerNorm'], 'Serial[', '  ShiftRight(1)', ']'),
    ...half('ReversibleHalfResidualDecoderFF', ff),
  ];
  const lines = [
    'Serial[',
    ...['Serial[', '  ShiftRight(1)', ']', 'Embedding_13_8', 'Dropout', 'Serial[', '  PositionalEncoding', ']', 'Dup_out2'].map((l) => `  ${l}`),
    '  ReversibleSerial_in2_out2[',
    ...[...block, ...block].map((line) => `    ${line}`),
    '  ]',
    ...['Concatenate_in2', 'LayerNorm', 'Dropout', 'Serial[', '  Dense_13', ']'].map((line) => `  ${line}`),
    ']',
  ];
  t.is(text, lines.join('\n'));
});

test('ReformerLM: attention of several types takes turns, and is given what it is made with', (t) => {
  const given: unknown[] = [];
  const own = (options: tl.models.AttentionOptions): tl.Layer => {
    given.push(options);
    return tl.CausalAttention(8, { nHeads: options.nHeads, mode: options.mode });
  };
  made({ nLayers: 4, attentionType: [own, tl.CausalAttention], dropout: 0.2, mode: 'eval', dAttentionKey: 4 });
  const options = { nHeads: 2, dQk: 4, dV: 64, causal: true, masked: false, attentionDropout: 0.2, outputDropout: 0.2, mode: 'eval' };
  t.deepEqual(given, [options, options]);
  t.throws(() => made({ nLayers: 3, attentionType: [own, own] }), { instanceOf: RangeError, message: /multiple of the 2/ });
});

test('ReformerLM: step by step it predicts what it predicts at once', (t) => {
  const model = made({ mode: 'eval' });
  model.init(tl.signature(ids), { rng: key });
  const atOnce = model(ids);
  t.deepEqual(atOnce.shape, [2, 8, 13]);
  const predict = model.withMode('predict');
  const steps = Array.from({ length: 8 }, (_, i) => predict(i === 0 ? tl.zeros([2, 1], { dtype: 'int32' }) : ids.slice([0, i - 1], [null, i])));
  t.true(tl.concat(steps, 1).sub(atOnce).abs().max().item() < 1e-4);
});

test('ReformerLM: positions of every kind, and chunks', (t) => {
  const kinds: Partial<tl.models.ReformerLMOptions>[] = [
    ...(['sin-cos', 'fixed-base', 'infinite', 'infinite-affine', 'no', '', null] as const).map((posType) => ({ posType })),
    { posType: 'axial', posAxialShape: [4, 2], posDAxialEmbs: [3, 5] },
    { ffChunkSize: 4, attentionChunkSize: 4 },
  ];
  for (const options of kinds) {
    const model = made(options);
    model.init(tl.signature(ids), { rng: key });
    t.deepEqual(model(ids).shape, [2, 8, 13], JSON.stringify(options));
  }
  t.throws(() => made({ posType: 'axial' }), { code: 'InvalidOption' });
});

test('ReformerLM: it learns', (t) => {
  const model = tl.Serial(made({ dropout: 0.1 }), tl.WeightedCategoryCrossEntropy());
  const batch = [ids, ids, tl.ones([2, 8])];
  model.init(tl.signature(batch), { rng: key });
  const trainer = new tl.Trainer(model, tl.optimizers.Adam({ learningRate: 0.03 }));
  const losses = Array.from({ length: 50 }, (_, step) => trainer.oneStep(batch, [0, step], { step })[0]);
  t.true(losses.at(-1)! < 0.5 * losses[0]!, `${losses[0]}, then ${losses.at(-1)}`);
});

test('ReformerShortenLM: a position rests on those before it only, whatever the factor', (t) => {
  for (const shortenFactor of [1, 2, 4]) {
    const options = { ...sizes, dEmbedding: 4, attentionType: tl.CausalAttention, shortenFactor, mode: 'eval' } as const;
    const model = tl.models.ReformerShortenLM(13, options);
    model.init(tl.signature(ids), { rng: key });
    const y = model(ids);
    t.deepEqual(y.shape, [2, 8, 13]);
    for (let at = 0; at < 8; at++) {
      const others = tl.concat([ids.slice([0, 0], [null, at]), ids.slice([0, at], [null, null]).add(1).mod(13)], 1);
      const moved = model(others).sub(y).abs().max({ axis: [0, 2] }).array() as number[];
      t.true(moved.slice(0, at + 1).every((d) => d < 1e-5), `factor ${shortenFactor}, changed from ${at}: ${moved}`);
      if (at < 7) t.true(Math.max(...moved.slice(at + 1)) > 1e-4, `factor ${shortenFactor}, ${at} changes nothing`);
    }
  }
});
