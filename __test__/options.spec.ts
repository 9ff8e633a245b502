/** Options that a call does not know, and those that it says it knows. */
import test from 'ava';
import * as tl from '../src/index.js';
import { wrong } from './support/types.js';

/** Calls that take options, each with one too many. */
const known: Readonly<Record<string, readonly [call: (options: never) => unknown, names: string]>> = {
  tensor: [(o) => tl.tensor([1], null, o), '`dtype`, `device`'],
  full: [(o) => tl.full([1], 1, o), '`dtype`, `device`'],
  zeros: [(o) => tl.zeros([1], o), '`dtype`, `device`'],
  ones: [(o) => tl.ones([1], o), '`dtype`, `device`'],
  arange: [(o) => tl.arange(1, 2, 1, o), '`dtype`, `device`'],
  eye: [(o) => tl.eye(1, 1, o), '`dtype`, `device`'],
  concat: [(o) => tl.concat([tl.ones([1])], o), '`axis`'],
  stack: [(o) => tl.stack([tl.ones([1])], o), '`axis`'],
  ...Object.fromEntries(
    (
      [
        'sum',
        'mean',
        'max',
        'min',
        'prod',
        'variance',
        'logSumExp',
        'any',
        'all',
        'argmax',
        'argmin',
        'squeeze',
        'flip',
      ] as const
    ).map((name) => [name, [(o: never) => tl.ones([1])[name](o), '`axis`, `keepdims`'] as const]),
  ),
  ...Object.fromEntries(
    (['cumsum', 'softmax', 'logSoftmax'] as const).map((name) => [
      name,
      [(o: never) => tl.ones([1])[name](o), '`axis`'] as const,
    ]),
  ),
  ...Object.fromEntries(
    (['sort', 'argsort'] as const).map((name) => [
      name,
      [(o: never) => tl.ones([1])[name](o), '`axis`, `descending`'] as const,
    ]),
  ),
  index: [(o) => tl.ones([1]).index(0, o), '`axis`'],
  split: [(o) => tl.ones([1]).split(1, o), '`axis`'],
  roll: [(o) => tl.ones([1]).roll(1, o), '`axis`'],
  repeat: [(o) => tl.ones([1]).repeat(1, o), '`axis`'],
  take: [(o) => tl.ones([1]).take(tl.tensor([0]), o), '`axis`'],
  takeAlongAxis: [(o) => tl.ones([1]).takeAlongAxis(tl.tensor([0]), o), '`axis`'],
  scatter: [(o) => tl.ones([1]).scatter(tl.tensor([0]), tl.ones([1]), o), '`axis`'],
  pad: [(o) => tl.ones([1]).pad([[0, 1]], o), '`value`'],
  oneHot: [(o) => tl.tensor([0]).oneHot(1, o), '`dtype`'],
  uniform: [(o) => tl.random.uniform([0, 1], [1], o), '`dtype`, `minval`, `maxval`'],
  normal: [(o) => tl.random.normal([0, 1], [1], o), '`dtype`'],
  truncatedNormal: [(o) => tl.random.truncatedNormal([0, 1], -1, 1, [1], o), '`dtype`'],
  randint: [(o) => tl.random.randint([0, 1], [1], 0, 2, o), '`dtype`'],
  gumbel: [(o) => tl.random.gumbel([0, 1], [1], o), '`dtype`'],
  permutation: [(o) => tl.random.permutation([0, 1], 3, o), '`axis`'],
  categorical: [(o) => tl.random.categorical([0, 1], tl.ones([2]), o), '`axis`, `shape`'],
  grad: [(o) => tl.grad((x: tl.Tensor) => x.sum(), o), '`argnums`, `hasAux`'],
  valueAndGrad: [(o) => tl.valueAndGrad((x: tl.Tensor) => x.sum(), o), '`argnums`, `hasAux`'],
  Dropout: [(o) => tl.Dropout()(tl.ones([1]), o), '`weights`, `state`, `rng`'],
  'Dropout.init': [(o) => tl.Dropout().init({ shape: [1], dtype: 'float32' }, o), '`rng`, `useCache`'],
  'Dropout.pureFn': [(o) => tl.Dropout().pureFn([1], [], [], null, o), '`useCache`'],
  'Dropout.saveToFile': [(o) => tl.Dropout().saveToFile('x', o), '`weightsOnly`, `inputSignature`, `weights`'],
  'Dropout.initFromFile': [
    (o) => tl.Dropout().initFromFile('x', o),
    '`weightsOnly`, `inputSignature`, `strict`, `prefix`, `into`',
  ],
};

for (const [what, [call, names]] of Object.entries(known)) {
  test(`options that are not known: ${what}`, (t) => {
    t.throws(() => call(wrong({ dtypes: 1 })), {
      instanceOf: TypeError,
      message: `${what}: unknown option \`dtypes\`: it takes ${names}`,
    });
    t.throws(() => call(wrong('int32')), {
      instanceOf: TypeError,
      message: `${what}: options are given by name, as in {name: value}; got a string`,
    });
    t.throws(() => call(wrong(true)), { instanceOf: TypeError });
    t.notThrows(() => (what.includes('File') ? undefined : call(wrong({}))));
  });
}

test('options that are not known: what runs beside the event loop', async (t) => {
  const layer = tl.Dropout();
  await t.throwsAsync(layer.callAsync([1], wrong({ key: [0, 1] })), {
    instanceOf: TypeError,
    message: 'Dropout.callAsync: unknown option `key`: it takes `weights`, `state`, `rng`, `signal`',
  });
  await t.throwsAsync(layer.callAsync([1], { signal: wrong('now') }), {
    instanceOf: TypeError,
    message: 'callAsync: signal must be an AbortSignal, got the string "now"',
  });
  const trainer = new tl.Trainer(tl.L2Loss(), tl.optimizers.Adam());
  const fit = (options: object, batches: unknown = []): Promise<unknown> =>
    trainer.fit(wrong(batches), wrong({ steps: 1, rng: [0, 1], ...options }));
  await t.throwsAsync(fit({ epochs: 2 }), {
    instanceOf: tl.LayerError,
    code: 'InvalidOption',
    message:
      /Trainer\.fit: unknown option `epochs`: it takes `steps`, `rng`, `firstStep`, `schedule`, `signal`, `onProgress`, `reportEveryMs`, `outputDir`$/,
  });
  await t.throwsAsync(fit({ onProgress: 'log' }), {
    instanceOf: TypeError,
    message: 'Trainer.fit: onProgress must be a function, got the string "log"',
  });
  await t.throwsAsync(fit({ schedule: 0.1 }), {
    instanceOf: TypeError,
    message: 'Trainer.fit: schedule must be a function, got 0.1',
  });
  await t.throwsAsync(fit({ steps: Number.NaN }), { message: /`steps` must be a whole number of at least 0, got NaN/ });
  await t.throwsAsync(fit({}, 7), {
    instanceOf: TypeError,
    message: 'Trainer.fit: batches must be an (async) iterable of batches, got 7',
  });
  await t.throwsAsync(trainer.fit([], wrong(undefined)), { instanceOf: TypeError, message: /random key/ });
  await t.throwsAsync(trainer.save(wrong(0)), {
    instanceOf: TypeError,
    message: 'Trainer.save: path must be a string, got 0',
  });
  t.throws(() => trainer.oneStep([[1], [1], [1]], [0, 1], wrong({ rate: 1 })), {
    message: /Trainer\.oneStep: unknown option `rate`: it takes `step`, `learningRate`/,
  });
  t.throws(() => new tl.Trainer(tl.L2Loss(), tl.optimizers.Adam(), wrong({ devices: 2 })), {
    message: /unknown option `devices`/,
  });
});
