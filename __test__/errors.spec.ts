import test from 'ava';
import * as tl from '../src/index.js';
import { wrong } from './support/types.js';

test('shapes that do not fit are a TensorError with a code, and the stack begins at the caller', (t) => {
  const error = t.throws(() => tl.tensor([1, 2]).add(tl.tensor([1, 2, 3])), { instanceOf: tl.TensorError });
  t.is(error?.code, 'ShapeMismatch');
  t.is(error?.name, 'TensorError');
  t.regex(error?.message ?? '', /add/);
  t.regex(error?.stack ?? '', /errors\.spec\.ts/);
});

test('arguments of the wrong type are a TypeError, outside their domain a RangeError', (t) => {
  const x = tl.tensor([1, 2]);
  t.throws(() => x.expandDims(wrong('a')), {
    instanceOf: TypeError,
    message: /^expandDims: axis must be a whole number, got the string "a"$/,
  });
  t.throws(() => x.expandDims(0.5), { instanceOf: RangeError, code: 'InvalidArgument' });
  t.throws(() => x.sum({ axis: 3 }), { instanceOf: RangeError, message: /axis 3/ });
  t.throws(() => x.reshape(wrong('ab')), { instanceOf: TypeError });
  t.throws(() => x.reshape([Number.NaN]), { instanceOf: RangeError });
  t.throws(() => x.broadcastTo([-1]), { instanceOf: RangeError });
  t.throws(() => x.add(wrong([1, 2])), {
    instanceOf: TypeError,
    message: /^add: other must be a Tensor, got an array;/,
  });
  t.throws(() => x.add(wrong(undefined)), { instanceOf: TypeError });
  t.throws(() => x.cast(wrong('float')), { instanceOf: TypeError, message: /float32/ });
  t.throws(() => tl.zeros([1], { device: 'tpu:0' }), { instanceOf: RangeError, message: /tpu:0/ });
  t.throws(() => tl.zeros([1], { device: 'cuda:0' }), { instanceOf: tl.TensorError, code: 'Device' });
});

test('item of several elements and iteration of a scalar are refused', (t) => {
  t.throws(() => tl.tensor([1, 2]).item(), { instanceOf: tl.TensorError, code: 'ShapeMismatch' });
  t.throws(() => [...tl.tensor(1)], { instanceOf: TypeError });
});

test('after an error the next result is right', (t) => {
  const x = tl.tensor([1, 2]);
  for (let i = 0; i < 100; i++) {
    t.throws(() => x.matmul(tl.zeros([3, 3])));
  }
  t.deepEqual(x.add(1).array(), [2, 3]);
});

/**
 * A call that throws each code. `Internal` is a defect, of a call that was aborted the reason is thrown, and for `RankFailed` it takes several
 * ranks.
 */
const thrown: Readonly<Record<Exclude<tl.ErrorCode, 'Internal' | 'Aborted' | 'RankFailed'>, () => unknown>> = {
  ShapeMismatch: () => tl.ones([2]).add(tl.ones([3])),
  DTypeMismatch: () => tl.random.uniform([0, 1], [2], { dtype: 'int32' }),
  InvalidArgument: () => tl.ones([2]).expandDims(0.5),
  IndexOutOfRange: () => tl.ones([2]).take(tl.tensor([2])),
  Autodiff: () =>
    tl.grad((x: tl.Tensor) =>
      tl
        .grad((y: tl.Tensor) => y.mul(y).sum())(x)
        .sum(),
    )(tl.ones([2])),
  Device: () => tl.zeros([1], { device: 'cuda:0' }),
  OutOfMemory: () => tl.zeros([1e12]),
  Io: () => tl.Dense(2).initFromFile('no such file.safetensors'),
  Disposed: () => {
    const x = tl.ones([2]);
    x.dispose();
    return x.add(1);
  },
  Busy: async () => {
    const trainer = training();
    const loop = trainer.fit(
      Array.from({ length: 50 }, () => batch()),
      { steps: 50, rng: [0, 1] },
    );
    try {
      trainer.oneStep(batch(), [0, 1]);
    } finally {
      await loop;
    }
  },
  NotInitialized: () => tl.Dense(2)(tl.ones([1, 3])),
  InvalidOption: () => tl.Dense(-1),
  ArityMismatch: () => tl.Add()(tl.ones([2])),
  WeightsMismatch: () => {
    const layer = tl.Dense(2);
    layer.init({ shape: [1, 3], dtype: 'float32' });
    layer.weights = [tl.ones([5, 5]), tl.ones([2])];
  },
  NotFinite: () => {
    const trainer = training();
    return trainer.oneStep(batch(Number.NaN), [0, 1]);
  },
};

const batch = (value = 1): tl.Tensor[] => [
  tl.full([8, 3], value, { dtype: 'float32' }),
  tl.ones([8, 1]),
  tl.ones([8, 1]),
];

function training(): tl.Trainer {
  const model = tl.Serial(tl.Dense(1), tl.L2Loss());
  model.init(tl.signature(batch()));
  return new tl.Trainer(model, tl.optimizers.Adam());
}

for (const [code, make] of Object.entries(thrown)) {
  test(`an error with the code ${code}`, async (t) => {
    await t.throwsAsync(async () => make(), { code });
  });
}
