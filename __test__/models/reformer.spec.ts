/** The Reformers, beyond what Trax's numbers tell: options, modes, positions, what a position rests on. */
import test from 'ava';
import * as tl from '../../src/index.js';
import { one } from '../support/values.js';
import { tensorOf, tensorsOf, wrong } from '../support/types.js';

const sizes = { dModel: 8, dFf: 16, nHeads: 2, maxLen: 16 };
const key = tl.random.key(3);
const ids = tl.tensor([
  [4, 1, 12, 7, 7, 2, 9, 3],
  [5, 5, 1, 0, 2, 11, 8, 6],
]);

/** A small language model. */
function made(options: tl.models.ReformerLMOptions = {}): tl.Layer {
  return tl.models.ReformerLM(13, { ...sizes, nLayers: 2, dAttentionKey: 4, dAttentionValue: 4, ...options });
}

const far = (a: tl.Tensor, b: tl.Tensor): number => a.sub(b).abs().max().item();
/** What a model in mode 'predict' says of positions that come one by one. */
const stepwise = (step: (x: tl.Tensor) => tl.Tensor, x: tl.Tensor): tl.Tensor =>
  tl.concat(
    Array.from({ length: x.shape[1]! }, (_, i) => step(x.slice([0, i], [null, i + 1]))),
    1,
  );
/** What a model that shifts its inputs is given, shifted already. */
const shifted = (x: tl.Tensor): tl.Tensor =>
  x
    .pad([
      [0, 0],
      [1, 0],
    ])
    .slice([0, 0], [null, -1]);

/** Positions of the output that change when those of the input from `at` on do. */
function moved(model: tl.Layer, at: number): number[] {
  const others = tl.concat([ids.slice([0, 0], [null, at]), ids.slice([0, at], [null, null]).add(1).mod(13)], 1);
  return one(model(others))
    .sub(one(model(ids)))
    .abs()
    .max({ axis: [0, 2] })
    .array() as number[];
}

test('ReformerLM: attention of several types takes turns, and is given what it is made with', (t) => {
  const given: unknown[] = [];
  const own = (options: tl.models.AttentionOptions): tl.Layer => {
    given.push(options);
    return tl.CausalAttention(8, { nHeads: options.nHeads, mode: options.mode });
  };
  const model = made({
    nLayers: 4,
    attentionType: [own, tl.CausalAttention],
    dropout: 0.2,
    mode: 'eval',
    dAttentionValue: 64,
  });
  const options = {
    nHeads: 2,
    dQk: 4,
    dV: 64,
    causal: true,
    masked: false,
    attentionDropout: 0.2,
    outputDropout: 0.2,
    mode: 'eval',
  };
  t.deepEqual(given, [options, options]);
  t.is(`${model}`.match(/DotProductCausalAttention/g)?.length, 4);
});

const positions: readonly tl.models.PositionOptions[] = [
  ...(['sin-cos', 'fixed-base', 'infinite', 'infinite-affine', 'no', '', null] as const).map((posType) => ({
    posType,
  })),
  { posType: 'axial', posAxialShape: [4, 2], posDAxialEmbs: [3, 5] },
];

test('ReformerLM: positions of every kind: step by step it predicts what it predicts at once', (t) => {
  for (const attentionType of [tl.SelfAttention, tl.CausalAttention]) {
    for (const options of positions) {
      const model = made({ ...options, attentionType, mode: 'eval' });
      model.init(tl.signature(ids), { rng: key });
      const [atOnce, predict] = [model(ids), model.withMode('predict')];
      t.deepEqual(one(atOnce).shape, [2, 8, 13]);
      const error = far(
        stepwise((x) => one(predict(x)), shifted(ids)),
        one(atOnce),
      );
      t.true(error < 1e-4, `${attentionType.name} ${JSON.stringify(options)}: ${error}`);
    }
  }
});

test('ReformerLM: a prompt at once, then position by position; as many positions as maxLen are remembered', (t) => {
  const model = made({ posType: 'sin-cos', maxLen: 4, nLayers: 1, mode: 'eval' });
  model.init(tl.signature(ids), { rng: key });
  const long = made({ posType: 'sin-cos', maxLen: 8, nLayers: 1, mode: 'predict' });
  const predict = model.withMode('predict');
  const x = shifted(ids);
  for (const step of [predict, long]) {
    if (step === long) {
      long.init({ shape: [2, 3], dtype: 'int32' }, { rng: key });
      long.weights = model.weights;
    }
    const begin = step(x.slice([0, 0], [null, 3]));
    const y = tl.concat([one(begin), stepwise((x) => one(step(x)), x.slice([0, 3], [null, null]))], 1);
    const error = y
      .sub(one(model(ids)))
      .abs()
      .max({ axis: [0, 2] })
      .array() as number[];
    t.true(
      error.slice(0, 4).every((e) => e < 1e-4),
      `${error}`,
    );
    t.is(
      error.slice(4).some((e) => e > 1e-3),
      step === predict,
      `${error}`,
    );
  }
});

test('ReformerLM with LSHSelfAttention: step by step it predicts what it predicts at once', (t) => {
  const model = made({ attentionType: tl.LSHSelfAttention, mode: 'eval' });
  model.init(tl.signature(ids), { rng: key });
  const predict = model.withMode('predict');
  // Position 0 sees nothing but itself, from whose product 1e5 is taken: float32 keeps two digits behind the point.
  const error = far(
    stepwise((x) => one(predict(x)), shifted(ids)),
    one(model(ids)),
  );
  t.true(error < 5e-3, `${error}`);
});

test('ReformerLM: chunks, recurrent layers, several layers in a block, no mean, halves: a position rests on those before it only', (t) => {
  for (const options of [
    { ffChunkSize: 4 },
    { attentionChunkSize: 4 },
    { ffUseSru: 1 },
    { ffUseSru: [2, 5], ffChunkSize: 2 },
    { nAttentionLayers: 2, nFeedforwardLayers: 0 },
    { centerLayernorm: false },
    { useBfloat16: true },
    { ffDropout: 0.5 },
    { ffSparsity: 4 },
    { ffSparsity: [2, 3], ffChunkSize: 2, ffUseSru: 1, useBfloat16: true },
    { lossSparsityType: 'einsum', lossSparsity: 1 },
  ] as tl.models.ReformerLMOptions[]) {
    const model = made({ ...options, mode: 'eval' });
    model.init(tl.signature(ids), { rng: key });
    const changes = moved(model, 4);
    const what = JSON.stringify(options);
    t.deepEqual(changes.slice(0, 5), [0, 0, 0, 0, 0], what);
    t.true(changes[5]! > 1e-3, what);
    const [grads] = tl.vjp((w: tl.Nest) => model.pureFn(ids, w, model.state, key)[0], model.weights)[1](
      tl.ones([2, 8, 13]),
    );
    t.true(
      tl.tree.leaves(grads).every((g) => Number.isFinite(tensorOf(g).cast('float32').sum().item())),
      what,
    );
  }
});

test('ReformerLM: recurrent layers go on in predict mode', (t) => {
  const model = made({ ffUseSru: 2, attentionType: tl.CausalAttention, mode: 'eval' });
  model.init(tl.signature(ids), { rng: key });
  const predict = model.withMode('predict');
  t.true(
    far(
      stepwise((x) => one(predict(x)), shifted(ids)),
      one(model(ids)),
    ) < 1e-4,
  );
});

test('ReformerLM with a sparse feed-forward part: step by step it predicts what it predicts at once', (t) => {
  const model = made({ ffSparsity: [4, 3], mode: 'eval' });
  model.init(tl.signature(ids), { rng: key });
  const predict = model.withMode('predict');
  t.regex(`${predict}`, /_SparseFFController_16_in2\n/);
  t.true(
    far(
      stepwise((x) => one(predict(x)), shifted(ids)),
      one(model(ids)),
    ) < 1e-4,
  );
});

test('ReformerLM: a sparse loss layer of every type, which evaluation always takes', (t) => {
  const types = { mult: 13, einsum: 1, lowrank: 1, local: 1, local3: 13 } as const;
  for (const [lossSparsityType, lossSparsity] of Object.entries(types) as [keyof typeof types, number][]) {
    const options = { lossSparsityType, lossSparsity, lossDLowrank: 3, dModel: 26 };
    const model = made({ ...options, lossSparsityProb: 0.5 });
    const [weights] = model.init(tl.signature(ids), { rng: key });
    const evaluated = model.withMode('eval')(ids);
    t.deepEqual(one(evaluated).shape, [2, 8, 13]);
    const sparse = made({ ...options, mode: 'eval' });
    sparse.init(tl.signature(ids), { rng: key });
    // The weights of the last layer: (checks, (decision, sparse, dense), checks).
    const all = weights as readonly tl.Nest[];
    sparse.weights = [...all.slice(0, -1), ((all.at(-1) as readonly tl.Nest[])[1] as readonly tl.Nest[])[1]!];
    t.is(far(one(evaluated), one(sparse(ids))), 0, lossSparsityType);
  }
});

test('ReformerLM: it learns', (t) => {
  const attentionType = [tl.SelfAttention, tl.LSHSelfAttention];
  for (const options of [{}, { ffSparsity: 4, lossSparsity: 13 }]) {
    const model = tl.Serial(made({ attentionType, dropout: 0.1, ...options }), tl.WeightedCategoryCrossEntropy());
    const batch = [ids, ids, tl.ones([2, 8])];
    model.init(tl.signature(batch), { rng: key });
    const trainer = new tl.Trainer(model, tl.optimizers.Adam({ learningRate: 0.03 }));
    const losses = Array.from({ length: 50 }, (_, step) => trainer.oneStep(batch, [0, step], { step })[0]);
    t.true(losses.at(-1)! < 0.5 * losses[0]!, `${losses[0]}, then ${losses.at(-1)}`);
  }
});

test('options that do not fit are refused by name', (t) => {
  const refused = (options: object, error: object): void => {
    t.throws(() => made(options), error, JSON.stringify(options));
  };
  refused(
    { nLayer: 2 },
    {
      instanceOf: tl.LayerError,
      message: /^\[InvalidOption\] ReformerLM: unknown option `nLayer`: it takes .*`nLayers`/,
    },
  );
  refused(
    { nLayers: 2.5 },
    {
      instanceOf: tl.LayerError,
      message: '[InvalidOption] ReformerLM: `nLayers` must be a whole number of at least 0, got 2.5',
    },
  );
  refused(
    { nLayers: '2' },
    {
      instanceOf: tl.LayerError,
      message: '[InvalidOption] ReformerLM: `nLayers` must be a whole number of at least 0, got "2"',
    },
  );
  refused(
    { nLayers: 3, attentionType: [tl.SelfAttention, tl.SelfAttention] },
    { instanceOf: tl.LayerError, message: /multiple of the 2 attention types, got 3/ },
  );
  refused({ attentionType: [] }, { instanceOf: tl.LayerError, message: /0 attention types/ });
  refused(
    { posType: 'axail' },
    { instanceOf: tl.LayerError, message: /^\[InvalidOption\] ReformerLM: `posType` must be null, .* got "axail"/ },
  );
  refused({ posType: 'axial' }, { code: 'InvalidOption' });
  refused({ mode: 'test' }, { code: 'InvalidOption', message: /`mode`/ });
  refused({ dropout: 2 }, { code: 'InvalidOption' });
  refused({ ffUseSru: -1 }, { instanceOf: tl.LayerError, message: /`ffUseSru`/ });
  refused({ ffChunkSize: -1 }, { instanceOf: tl.LayerError, message: /`ffChunkSize`/ });
  refused({ ffSparsity: -1 }, { instanceOf: tl.LayerError, message: /`ffSparsity`/ });
  refused(
    { ffSparsity: [4] },
    {
      instanceOf: tl.LayerError,
      message: '[InvalidOption] ReformerLM: `ffSparsity` must be a number or a list of 2 or 4 numbers, got [4]',
    },
  );
  refused(
    { ffSparsity: 5 },
    { code: 'InvalidOption', message: /`dFf` must be a multiple of `nElementsInBlock`, got 16 and 5/ },
  );
  refused(
    { lossSparsityType: 'multi', lossSparsity: 2 },
    { code: 'InvalidOption', message: /`lossSparsityType` must be 'mult', .* got "multi"/ },
  );
  refused({ lossSparsityType: 'lowrank', lossSparsity: 1 }, { code: 'InvalidOption', message: /`dLowrank`/ });
  refused({ attentionChunkSize: 0.5 }, { instanceOf: tl.LayerError, message: /`attentionChunkSize`/ });
  t.throws(() => tl.models.ReformerLM(13, wrong(5)), {
    instanceOf: TypeError,
    message: /ReformerLM: options are given by name/,
  });
  t.throws(() => tl.models.ReformerShortenLM(13, wrong({ lossSparsity: 2 })), {
    instanceOf: tl.LayerError,
    message: /unknown option `lossSparsity`/,
  });
  t.throws(() => tl.models.ReformerShortenLM(13, { mode: wrong('predict') }), {
    instanceOf: tl.LayerError,
    message: /'predict'/,
  });
  const shorten = tl.models.ReformerShortenLM(13, { ...sizes, nLayers: 1, mode: 'eval' });
  shorten.init(tl.signature(ids), { rng: key });
  t.throws(() => shorten.withMode('predict')(ids), {
    code: 'InvalidOption',
    message: /ReformerShortenLM: `mode` cannot be 'predict'/,
  });
  t.is(far(shorten.withMode('predict').withMode('eval')(ids), shorten(ids)), 0);
  t.throws(() => tl.models.Reformer(13, { nEncoderLayers: -1 }), {
    instanceOf: tl.LayerError,
    message: /`nEncoderLayers`/,
  });
  t.throws(() => tl.models.MLP(wrong({ layerWidth: [3] })), {
    instanceOf: tl.LayerError,
    message: /MLP: unknown option `layerWidth`/,
  });
  t.notThrows(() => tl.models.ReformerLM(13, { nLayers: undefined }));
});

test('ReformerShortenLM: a position rests on those before it only, whatever the factor', (t) => {
  for (const shortenFactor of [1, 2, 4]) {
    const options = {
      ...sizes,
      nLayers: 2,
      dEmbedding: 4,
      attentionType: tl.CausalAttention,
      shortenFactor,
      mode: 'eval',
    } as const;
    const model = tl.models.ReformerShortenLM(13, options);
    model.init(tl.signature(ids), { rng: key });
    t.deepEqual(model(ids).shape, [2, 8, 13]);
    for (let at = 0; at < 8; at++) {
      const changes = moved(model, at);
      t.true(
        changes.slice(0, at + 1).every((d) => d < 1e-5),
        `factor ${shortenFactor}, changed from ${at}: ${changes}`,
      );
      if (at < 7) t.true(Math.max(...changes.slice(at + 1)) > 1e-4, `factor ${shortenFactor}, ${at} changes nothing`);
    }
  }
  const uneven = tl.models.ReformerShortenLM(13, { ...sizes, shortenFactor: 3 });
  t.throws(() => uneven.init(tl.signature(ids)), {
    message: /length must be a multiple of `shortenFactor`, which is 3, got 8/,
  });
});

const source = tl.tensor([
  [3, 4, 5, 0, 0],
  [6, 7, 8, 9, 1],
]);

/** A small translator, with weights. */
function translator(options: tl.models.ReformerOptions = {}): tl.Layer {
  const model = tl.models.Reformer(13, { ...sizes, nEncoderLayers: 2, nDecoderLayers: 2, mode: 'eval', ...options });
  model.init(
    [source, ids].map((x) => tl.signature(x)),
    { rng: key },
  );
  return model;
}

const logits = (model: tl.Layer, from: tl.Tensor, to: tl.Tensor): tl.Tensor => tensorsOf(model([from, to]))[0]!;

test('Reformer: it reads the source without its padding, and of the target what comes before a position', (t) => {
  const attentions = [
    {},
    { encoderDecoderAttentionType: tl.AttentionQKV, encoderAttentionType: tl.Attention },
    { encoderAttentionType: tl.LSHSelfAttention },
  ];
  for (const options of attentions) {
    const model = translator(options);
    const [y, target] = model([source, ids]);
    t.deepEqual([y!.shape, target!.array()], [[2, 8, 13], ids.array()]);
    const longer = tl.concat([source, tl.zeros([2, 2], { dtype: 'int32' })], 1);
    if (options.encoderAttentionType !== tl.LSHSelfAttention) t.true(far(logits(model, longer, ids), y!) < 1e-4);
    t.true(far(logits(model, source.add(1), ids), y!) > 1e-3);
    const others = tl.concat([ids.slice([0, 0], [null, 4]), ids.slice([0, 4], [null, null]).add(1).mod(13)], 1);
    const changes = logits(model, source, others)
      .sub(y!)
      .abs()
      .max({ axis: [0, 2] })
      .array() as number[];
    t.true(
      changes.slice(0, 5).every((d) => d < 1e-5),
      `${changes}`,
    );
    t.true(changes[5]! > 1e-3);
  }
});

/** How many arrays of weights a layer has. */
const count = (model: tl.Layer): number => tl.tree.leaves(model.weights).filter((w) => w instanceof tl.Tensor).length;

test('Reformer: an embedding for the target of its own, or the same', (t) => {
  t.is(logits(translator({ outputVocabSize: 20 }), source, ids).shape.at(-1), 20);
  t.is(count(translator({ outputVocabSize: 13 })), count(translator()) + 1);
});

test('Reformer: step by step it predicts what it predicts at once, and encodes the source once', (t) => {
  const attentions = [{}, { encoderDecoderAttentionType: tl.AttentionQKV }];
  for (const options of attentions) {
    const model = translator(options);
    const predict = tl.models.Reformer(13, {
      ...sizes,
      nEncoderLayers: 2,
      nDecoderLayers: 2,
      ...options,
      mode: 'predict',
    });
    predict.init(
      [source, ids.slice([0, 0], [null, 1])].map((x) => tl.signature(x)),
      { rng: key },
    );
    const [select, mask, encoder, ...decoder] = model.weights as readonly tl.Nest[];
    predict.weights = [select!, mask!, [encoder!], ...decoder];
    let read = source;
    const steps = stepwise((x) => {
      const y = logits(predict, read, x);
      read = tl.zerosLike(source);
      return y;
    }, shifted(ids));
    t.true(far(steps, logits(model, source, ids)) < 1e-4);
    const copy = model.withMode('predict');
    t.is(`${copy}`, `${predict}`);
    t.true(
      far(
        stepwise((x) => logits(copy, source, x), shifted(ids)),
        logits(model, source, ids),
      ) < 1e-4,
    );
    t.is(far(logits(copy.withMode('eval'), source, ids), logits(model.withMode('eval'), source, ids)), 0);
  }
});

test('epsilon goes to every layer normalization: by default it is that of LayerNorm', (t) => {
  type Given = Pick<tl.models.ReformerLMOptions, 'epsilon'>;
  const few = { ...sizes, dAttentionKey: 4, dAttentionValue: 4, dropout: 0, mode: 'eval' } as const;
  const models: Readonly<Record<string, (given: Given) => tl.Layer>> = {
    ReformerLM: (given) => tl.models.ReformerLM(13, { ...few, nLayers: 1, ...given }),
    'ReformerLM, recurrent': (given) =>
      tl.models.ReformerLM(13, { ...few, nLayers: 1, ffUseSru: 1, ffSparsity: 2, ...given }),
    ReformerShortenLM: (given) =>
      tl.models.ReformerShortenLM(13, { ...few, nLayers: 1, shortenFactor: 2, dEmbedding: 8, ...given }),
    Reformer: (given) =>
      tl.models.Reformer(13, {
        dModel: 8,
        dFf: 16,
        nHeads: 2,
        maxLen: 16,
        nEncoderLayers: 1,
        nDecoderLayers: 1,
        dropout: 0,
        mode: 'eval',
        ...given,
      }),
  };
  for (const [name, make] of Object.entries(models)) {
    const inputs = name === 'Reformer' ? [ids, ids] : [ids];
    const run = (given: Given): tl.Tensor => {
      const model = make(given);
      model.init(tl.signature(inputs), { rng: key });
      return tensorOf([model(inputs, { rng: key })].flat()[0]);
    };
    const wanted = run({});
    t.is(far(run({ epsilon: null }), wanted), 0, name);
    t.is(far(run({ epsilon: 1e-6 }), wanted), 0, name);
    t.true(far(run({ epsilon: 0.5 }), wanted) > 1e-3, name);
    t.throws(
      () => make({ epsilon: -1 }),
      { message: /(LM|Reformer|Block): `epsilon` must be a number of at least 0, got -1/ },
      name,
    );
  }
});
