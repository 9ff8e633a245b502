/** The Hourglass, beyond what Trax's numbers tell: what a position rests on, hierarchies, ways of resampling, what is refused. */
import test from 'ava';
import * as tl from '../../src/index.js';
import { one } from '../support/values.js';
import { tensorOf, wrong } from '../support/types.js';

const sizes = { dModel: 8, dFf: 8, nHeads: 2 };
const key = tl.random.key(5);

function made(options: tl.models.HourglassLMOptions = {}): tl.Layer {
  return tl.models.HourglassLM(13, { ...sizes, ...options });
}

/** Positions of the output that change when those of the input from `at` on do. */
function moved(model: tl.Layer, ids: tl.Tensor, at: number): number[] {
  const others = tl.concat([ids.slice([0, 0], [null, at]), ids.slice([0, at], [null, null]).add(1).mod(13)], 1);
  return one(model(others))
    .sub(one(model(ids)))
    .abs()
    .max({ axis: [0, 2] })
    .array() as number[];
}

const ids = tl.random.randint(key, [2, 12], 0, 13);

const ways: Readonly<Record<string, tl.models.HourglassLMOptions>> = {
  'one level': { hierarchy: '1@3' },
  'two levels': { hierarchy: '1@2 1@6 1@2' },
  'three levels': { hierarchy: '1@2 1@4 1@12 1@4 1@2' },
  'plain resampling': { hierarchy: '1@4', downsamplingFn: tl.LinearPooling, upsamplingFn: tl.LinearUpsampling },
  'means and repetition': { hierarchy: '1@4', downsamplingFn: tl.AveragePooling, upsamplingFn: tl.NaiveUpsampling },
  'own ways': {
    hierarchy: '1@3',
    downsamplingFn: (factor: number, dModel: number, { mode }: tl.models.ResamplingOptions) => [
      tl.LinearPooling(factor, dModel, { mode }),
      tl.Relu(),
    ],
    attentionUpsamplingFn: (factor, dModel, { mode }) =>
      tl.Serial(tl.Tanh(), tl.LinearUpsampling(factor, dModel, { mode })),
  },
  'causal attention of another kind': {
    hierarchy: '1@3',
    vanillaAttnType: tl.CausalAttention,
    middleAttnType: tl.SelfAttention,
  },
};

for (const [name, options] of Object.entries(ways)) {
  test(`a position rests on those before it alone, and the first ones on none: ${name}`, (t) => {
    const model = made({ ...options, mode: 'eval' });
    model.init(tl.signature(ids), { rng: key });
    for (const at of [0, 1, 5, 11]) {
      const change = moved(model, ids, at);
      t.true(
        change.slice(0, at + 1).every((x) => x === 0),
        `${at}: ${change}`,
      );
      t.is(
        change.slice(at + 1).some((x) => x > 1e-5),
        at < 11,
        `${at}: ${change}`,
      );
    }
  });
}

test('what sees the shorter sequence is told how short it is', (t) => {
  const given: unknown[] = [];
  const downsamplingFn = (factor: number, dModel: number, options: tl.models.ResamplingOptions): tl.Layer => {
    const { contextBiasLayer, locationBiasLayer, ...rest } = options;
    t.deepEqual([contextBiasLayer, locationBiasLayer].map(String), [
      'Weights_(1, 2, 1, 4)_in0',
      'Weights_(1, 2, 1, 4)_in0',
    ]);
    given.push([factor, dModel, rest]);
    return tl.LinearPooling(factor, dModel, options);
  };
  made({ hierarchy: '1@2 1@6 1@2', dropout: 0.2, dropoutSharedAxes: [0], downsamplingFn, mode: 'eval' });
  const rest = {
    dFf: 8,
    nHeads: 2,
    dropout: 0.2,
    dropoutSharedAxes: [0],
    mode: 'eval',
    ffActivation: tl.FastGelu,
    resamplingFn: tl.AveragePooling,
  };
  t.deepEqual(
    given,
    [2, 3].map((factor, i) => [factor, 8, { ...rest, totalPooling: 2 ** i, isUpsampling: false }]),
  );
});

test('all relative attention has the same biases', (t) => {
  const model = made({ hierarchy: '2@2', mode: 'eval' });
  model.init({ shape: [1, 4], dtype: 'int32' }, { rng: key });
  const shapes = tl.tree.leaves<unknown>(model.weights).map((w) => tensorOf(w).shape.join());
  t.is(shapes.filter((shape) => shape === '1,2,1,4').length, 2);
  t.is(`${model}`.match(/RelativeAttention_in7/gu)?.length, 6);
});

test('it learns', (t) => {
  const model = tl.Serial(made({ hierarchy: '1@2', dropout: 0 }), tl.CrossEntropyLossWithLogSoftmax());
  const trainer = new tl.Trainer(model, tl.optimizers.Adam({ learningRate: 0.01 }));
  const batch = [ids, ids, tl.ones([2, 12])];
  model.init(
    batch.map((x) => tl.signature(x)),
    { rng: key },
  );
  const losses = Array.from({ length: 12 }, (_, step) => trainer.oneStep(batch, [0, step], { step })[0]);
  t.true(losses.at(-1)! < 0.8 * losses[0]!, `${losses}`);
});

test('hierarchies that are none are refused', (t) => {
  const refused = (hierarchy: string, why: string): void => {
    const message = `HourglassLM: \`hierarchy\` ${why}, got ${JSON.stringify(hierarchy)}`;
    t.throws(() => made({ hierarchy }), { instanceOf: tl.LayerError, message: `[InvalidOption] ${message}` });
  };
  refused('1@2 1@6', "must read the same backwards, as '1@2 4@6 1@2'");
  for (const hierarchy of ['', '6', '6@', 'a@2', '-1@2', '1@2.5', '1@2  1@2'])
    refused(hierarchy, "must hold levels of blocks and tokens, as '4@6'");
  for (const hierarchy of ['1@1', '1@0', '1@2 1@3 1@2', '1@4 1@2 1@4', '1@2 1@2']) {
    refused(hierarchy, 'must have more tokens in each level, and a multiple of those in the one around it');
  }
});

test('options that do not fit are refused', (t) => {
  t.throws(() => made({ mode: wrong('predict') }), {
    instanceOf: tl.LayerError,
    message: /`mode` cannot be 'predict'/u,
  });
  t.throws(() => made({ vanillaLayers: [1, -1] }), {
    instanceOf: tl.LayerError,
    message: /`vanillaLayers` must be a whole number of at least 0, got -1/u,
  });
  for (const hierarchy of [3, ['1@2']]) {
    t.throws(() => made({ hierarchy: wrong(hierarchy) }), {
      instanceOf: tl.LayerError,
      message: /`hierarchy` must be a string, got/u,
    });
  }
  for (const vanillaLayers of [1, [1], [1, 1, 1]]) {
    t.throws(() => made({ vanillaLayers: wrong(vanillaLayers) }), {
      instanceOf: tl.LayerError,
      message: /`vanillaLayers` must be two numbers of blocks/u,
    });
  }
  t.throws(() => made({ nHeads: 3 }), {
    instanceOf: tl.LayerError,
    message: /`dModel` must be even and a multiple of `nHeads`, got 8 for 3 heads/u,
  });
  t.throws(() => made(wrong({ levels: 2 })), { instanceOf: tl.LayerError, message: /unknown option `levels`/u });
  for (const length of [7, 5, 2]) {
    const model = made({ hierarchy: '1@3' });
    t.throws(
      () => model.init({ shape: [1, length], dtype: 'int32' }),
      { instanceOf: tl.LayerError, code: 'ShapeMismatch' },
      `${length}`,
    );
  }
});
