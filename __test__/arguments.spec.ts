/** Wrong arguments: the words they are answered with. */
import test from 'ava';
import * as tl from '../src/index.js';
import { one } from './support/values.js';
import { tensorOf, tensorsOf, wrong } from './support/types.js';

const half = '\ud83d';

/** Calls with a wrong argument: what they say, after the name of the error. */
const mistakes: Readonly<Record<string, readonly [call: () => unknown, says: string]>> = {
  zeros: [
    () => tl.zeros(wrong('x')),
    'TypeError: zeros: shape must be an array of whole numbers of at least 0, got the string "x"',
  ],
  ones: [
    () => tl.ones([2, -1]),
    'RangeError: ones: shape must be an array of whole numbers of at least 0, got -1 at [1]',
  ],
  full: [() => tl.full([1], wrong(null)), 'TypeError: full: value must be a number or a BigInt, got null'],
  'full of a size': [
    () => tl.full([0.5], 1),
    'RangeError: full: shape must be an array of whole numbers of at least 0, got 0.5 at [0]',
  ],
  eye: [() => tl.eye(Number.NaN), 'RangeError: eye: n must be a whole number of at least 0, got NaN'],
  tri: [() => tl.tri(2, 2, wrong('0')), 'TypeError: tri: k must be a whole number, got the string "0"'],
  arange: [() => tl.arange(wrong([5])), 'TypeError: arange: stop must be a number or a BigInt, got an array'],
  'the place': [() => tl.zeros([1], { device: wrong(7) }), 'TypeError: zeros: device must be a string, got 7'],
  dtype: [
    () => tl.zeros([1], { dtype: wrong(half) }),
    `TypeError: zeros: dtype must be one of float32, float64, float16, bfloat16, int32, int64, uint32, uint8, bool, got the string "\\ud83d"`,
  ],
  shape: [
    () => tl.tensor([1], wrong({})),
    'TypeError: tensor: shape must be an array of whole numbers of at least 0, got an object',
  ],
  concat: [() => tl.concat(wrong(tl.ones([1]))), 'TypeError: concat: tensors must be an array, got a Tensor'],
  stack: [
    () => tl.stack([tl.ones([1]), wrong([1])]),
    'TypeError: stack: tensors[1] must be a Tensor, got an array; tl.tensor(data) makes one',
  ],
  'the spec of einsum': [
    () => tl.einsum(`i${half}->i`, tl.ones([1])),
    'TypeError: einsum: spec must be a string of whole characters, got half a surrogate pair in "i\\ud83d->i"',
  ],
  add: [
    () => tl.ones([1]).add(wrong('1')),
    'TypeError: add: other must be a Tensor, got the string "1"; tl.tensor(data) makes one',
  ],
  rsub: [
    () => tl.ones([1]).rsub(wrong(undefined)),
    'TypeError: rsub: value must be a number or a BigInt, got undefined',
  ],
  sum: [
    () => tl.ones([1]).sum(wrong('0')),
    'TypeError: sum: options are given by name, as in {name: value}; got a string',
  ],
  'sum by place': [
    () => Reflect.apply(tl.ones([1]).sum, tl.ones([1]), [0, true]),
    'TypeError: sum takes one argument, an axis or options by name as in {axis: 0}; got 2',
  ],
  axes: [
    () => tl.ones([1]).max([0, wrong(half)]),
    'TypeError: max: axis must be an axis (a whole number), an array of axes, or null, got the string "\u{fffd}" at [1]',
  ],
  keepdims: [
    () => tl.ones([1]).logSumExp({ keepdims: wrong(1) }),
    'TypeError: logSumExp: keepdims must be true or false, got 1',
  ],
  reshape: [
    () => tl.ones([1]).reshape(wrong('x')),
    'TypeError: reshape: shape must be an array of whole numbers, got the string "x"',
  ],
  expandDims: [() => tl.ones([1]).expandDims(0.5), 'RangeError: expandDims: axis must be a whole number, got 0.5'],
  transpose: [
    () => tl.ones([1]).transpose(wrong(1)),
    'TypeError: transpose: perm must be an array of whole numbers, got 1',
  ],
  pad: [() => tl.ones([1]).pad(wrong([[1]])), 'TypeError: pad: widths[0] must be [before, after], got 1 numbers'],
  slice: [() => tl.ones([1]).slice(wrong(0), [1]), 'TypeError: slice: starts must be an array, got 0'],
  split: [
    () => tl.ones([1]).split(wrong('2')),
    'TypeError: split: parts must be an array of whole numbers of at least 0, got the string "2"',
  ],
  topK: [() => tl.ones([1]).topK(wrong({})), 'TypeError: topK: k must be a whole number of at least 0, got an object'],
  take: [
    () => tl.ones([1]).take(wrong([0])),
    'TypeError: take: indices must be a Tensor, got an array; tl.tensor(data) makes one',
  ],
  clip: [
    () => tl.ones([1]).clip(wrong('0'), 1),
    'TypeError: clip: lo must be a number or a BigInt, got the string "0"',
  ],
  to: [() => tl.ones([1]).to(wrong(null)), 'TypeError: to: device must be a string, got null'],
  oneHot: [
    () => tl.tensor([1]).oneHot(Infinity),
    'RangeError: oneHot: n must be a whole number of at least 0, got Infinity',
  ],
  key: [() => tl.random.key(wrong('seed')), 'TypeError: key: seed must be a whole number, got the string "seed"'],
  'no key': [
    () => tl.random.normal(wrong(null)),
    'TypeError: a random key is a uint32[2] tensor, a Uint32Array or an array of two words; random.key(seed) makes one; got null',
  ],
  'words of a key': [
    () => tl.random.bits([0.5, -1]),
    'TypeError: a random key is a uint32[2] tensor, a Uint32Array or an array of two words; random.key(seed) makes one; got [0.5, -1]',
  ],
  'split of a key': [
    () => tl.random.split([0, 1], -1),
    'RangeError: split: num must be a whole number of at least 0, got -1',
  ],
  foldIn: [
    () => tl.random.foldIn([0, 1], 2 ** 32),
    'RangeError: foldIn: data must be a whole number of 32 bits, got 4294967296',
  ],
  uniform: [
    () => tl.random.uniform([0, 1], [1], { minval: wrong('0') }),
    'TypeError: uniform: minval must be a number, got the string "0"',
  ],
  categorical: [
    () => tl.random.categorical([0, 1], wrong([1])),
    'TypeError: categorical: logits must be a Tensor, got an array; tl.tensor(data) makes one',
  ],
  initializer: [
    () => tl.RandomUniformInitializer()(wrong(3), [0, 1]),
    'TypeError: RandomUniformInitializer: shape must be an array of whole numbers of at least 0, got 3',
  ],
  schedule: [
    () => tl.lrSchedules.constant(1)(wrong('x')),
    'TypeError: constant: step must be a whole number of at least 0, got the string "x"',
  ],
  tidy: [() => tl.tidy(wrong(1)), 'TypeError: tidy: f must be a function, got 1'],
  grad: [() => tl.grad(wrong(null)), 'TypeError: grad: f must be a function, got null'],
  argnums: [
    () => tl.valueAndGrad((x: tl.Tensor) => x.sum(), { argnums: [0, 0.5] }),
    'RangeError: valueAndGrad: argnums must be whole numbers, got 0.5',
  ],
  hasAux: [
    () => tl.grad((x: tl.Tensor) => x.sum(), { hasAux: wrong('no') }),
    'TypeError: grad: hasAux must be true or false, got the string "no"',
  ],
  map: [() => tl.tree.map(wrong(1), [1]), 'TypeError: map: f must be a function, got 1'],
  unflatten: [
    () => tl.tree.unflatten(wrong({ kind: 'array' }), []),
    'TypeError: unflatten: structure.items must be an array, got undefined',
  ],
  setNumThreads: [
    () => tl.setNumThreads(wrong('2')),
    'TypeError: setNumThreads: n must be a whole number of at least 0, got the string "2"',
  ],
  loadSafetensors: [() => tl.loadSafetensors(wrong(1)), 'TypeError: loadSafetensors: path must be a string, got 1'],
  saveSafetensors: [
    () => tl.saveSafetensors(wrong([1]), 'x'),
    'TypeError: saveSafetensors: tensors must be an object of tensors by name, got an array',
  ],
  'a name in a file': [
    () => tl.saveSafetensors({ [half]: [1] }, 'x'),
    'TypeError: saveSafetensors: a name must be a string of whole characters, got half a surrogate pair in "\\ud83d"',
  ],
  npToFile: [() => tl.npToFile(wrong(1), 'x', 1), 'TypeError: npToFile: listOfNparrays must be an array, got 1'],
  'the name of a layer': [
    () => tl.Fn(half, (x: tl.Tensor) => x),
    'TypeError: Fn: `name` must be of whole characters, got half a surrogate pair in "\\ud83d"',
  ],
  'a date among options': [
    () => tl.Dense(2, { kernelInitializer: wrong(new Date()) }),
    'TypeError: Dense: `kernelInitializer` cannot be a Date',
  ],
  'a map of options': [
    () => tl.Dense(2, wrong(new Map())),
    'TypeError: Dense: options are given by name, as in {name: value}; got a Map',
  ],
  'a reference among options': [
    () => tl.Dense(2, wrong({ kernelInitializer: { $tensor: 0 } })),
    'TypeError: Dense: names that begin with $ mean something else, got "$tensor"',
  ],
  'a reference among weights': [
    () => (tl.Dense(2).weights = [{ $tensor: 1 }]),
    'TypeError: weights: names that begin with $ mean something else, got "$tensor"',
  ],
  'a promise as weights': [
    // @ts-expect-error: a promise is no tree of tensors
    () => (tl.Dense(2).weights = Promise.resolve()),
    'TypeError: weights: expected tensors, numbers, arrays or objects, got a Promise',
  ],
  'a path': [
    () => tl.Relu().saveToFile(wrong(undefined)),
    'TypeError: saveToFile: path must be a string, got undefined',
  ],
  weightsOnly: [
    () => tl.Relu().saveToFile('x', { weightsOnly: wrong(1) }),
    'TypeError: saveToFile: weightsOnly must be true or false, got 1',
  ],
  signature: [
    () => tl.Dense(2).init({ shape: [1, 2], dtype: wrong('f32') }),
    'TypeError: the dtype of a signature must be one of float32, float64, float16, bfloat16, int32, int64, uint32, uint8, bool, got the string "f32"',
  ],
  Trainer: [
    () => new tl.Trainer(wrong({}), tl.optimizers.Adam()),
    'TypeError: Trainer: modelWithLoss must be a layer, got an empty object',
  ],
  optimizer: [
    () => new tl.Trainer(tl.Relu(), wrong('adam')),
    'TypeError: Trainer: optimizer must be an optimizer, as tl.optimizers.Adam() makes one; got the string "adam"',
  ],
};

for (const [what, [call, says]] of Object.entries(mistakes)) {
  test(`a wrong argument: ${what}`, (t) => {
    const error = t.throws(call);
    t.is(`${error.name}: ${error.message}`, says);
  });
}

test('options that are not finite are refused, not passed over', (t) => {
  t.throws(() => tl.optimizers.Adam({ learningRate: Number.NaN }), {
    message: /Adam: `learningRate` must be a finite number, got NaN/,
  });
  t.throws(() => tl.lrSchedules.constant(Infinity), {
    message: /constant: `value` must be a finite number, got Infinity/,
  });
  const trainer = new tl.Trainer(tl.L2Loss(), tl.optimizers.Adam());
  t.throws(() => trainer.oneStep([[1], [1], [1]], [0, 1], { learningRate: Number.NaN }), {
    message: /`learningRate` must be a finite number, got NaN/,
  });
});

test('what JavaScript throws while an argument is read comes out as it was', (t) => {
  const own = new Error('mine');
  const shape = Object.defineProperty([1, 2], 1, {
    get: () => {
      throw own;
    },
  });
  t.is(
    t.throws(() => tl.zeros(shape)),
    own,
  );
  t.is(
    t.throws(() => tl.ones([2]).reshape(shape)),
    own,
  );
  const text = Object.defineProperty([1], 0, {
    get: () => {
      throw 'no error';
    },
  });
  t.throws(() => tl.zeros(text), { instanceOf: TypeError, message: /got what throws the string "no error"$/ });
  t.deepEqual(tl.ones([2]).array(), [1, 1]);
});

test('numbers as weights take the type of what they replace', (t) => {
  const dense = tl.Dense(2);
  dense.init({ shape: [1, 3], dtype: 'float32' });
  dense.weights = [
    [
      [1, 2],
      [3, 4],
      [5, 6],
    ],
    [7, 8],
  ];
  t.deepEqual(
    tensorsOf(dense.weights).map((w) => [w.dtype, w.array()]),
    [
      [
        'float32',
        [
          [1, 2],
          [3, 4],
          [5, 6],
        ],
      ],
      ['float32', [7, 8]],
    ],
  );
  t.deepEqual(dense([[1, 1, 1]]).array(), [[16, 20]]);
  dense.weights = [
    tl.tensor([
      [1, 0],
      [0, 1],
      [0, 0],
    ]),
    new Float32Array([0.5, 2]),
  ];
  t.deepEqual(dense([[1, 2, 3]]).array(), [[1.5, 4]]);
  dense.weights = [
    [new Float32Array([1, 1]), new Float32Array([2, 2]), new Float32Array([0, 0])],
    [0, 0],
  ];
  t.deepEqual(dense([[1, 2, 3]]).array(), [[5, 5]]);
  t.deepEqual(
    dense([[1, 1, 1]], {
      weights: [
        [
          [1, 0],
          [0, 1],
          [1, 1],
        ],
        [1, -1],
      ],
    }).array(),
    [[3, 1]],
  );
  t.deepEqual(
    dense
      .pureFn(
        [[1, 1, 1]],
        [
          [
            [2, 0],
            [0, 2],
            [1, 1],
          ],
          [0, 0],
        ],
        [],
      )[0]
      .array(),
    [[3, 3]],
  );
  t.throws(
    () =>
      (dense.weights = [
        [
          [1, 2],
          [3, 4],
        ],
        [7, 8],
      ]),
    { message: /weights\[0\] cannot become float32\[2,2\]: the layer holds float32\[3,2\]/ },
  );
  t.throws(
    () =>
      (dense.weights = [
        tl.tensor([
          [16_777_217, 0],
          [0, 0],
          [0, 0],
        ]),
        [0, 0],
      ]),
    { message: /cannot become/ },
  );
  const norm = tl.LayerNorm();
  norm.init({ shape: [1, 2], dtype: 'float32' });
  norm.weights = [
    [2, 3],
    [0.5, 1],
  ];
  t.deepEqual(
    tensorsOf(norm.weights).map((w) => [w.dtype, w.array()]),
    [
      ['float32', [2, 3]],
      ['float32', [0.5, 1]],
    ],
  );
  class Own extends tl.Layer {
    override initWeightsAndState(): void {
      this.weights = [
        [1, 2],
        [3, 4],
      ];
      this.state = 5;
    }
    override forward(x: tl.Tensor): tl.Tensor {
      return x.matmul(tensorOf(this.weights)).add(tensorOf(this.state));
    }
  }
  const own = new Own();
  own.init({ shape: [1, 2], dtype: 'int32' });
  t.deepEqual(one(own([[1, 1]])).array(), [[9, 11]]);
  own.state = 6;
  t.deepEqual(one(own([[1, 1]])).array(), [[10, 12]]);
});

test('numbers as slots of an optimizer', (t) => {
  const model = tl.Serial(tl.Dense(1, { useBias: false }), tl.L2Loss());
  model.init([
    { shape: [1, 2], dtype: 'float32' },
    { shape: [1, 1], dtype: 'float32' },
    { shape: [1, 1], dtype: 'float32' },
  ]);
  const trainer = new tl.Trainer(model, tl.optimizers.Adam());
  trainer.oneStep([[[1, 2]], [[1]], [[1]]], [0, 1]);
  trainer.slots = wrong([
    [
      [[1], [2]],
      [[3], [4.5]],
    ],
  ]);
  t.deepEqual(
    trainer.slots.map((slots) => slots.map((s) => [s.dtype, s.array()])),
    [
      [
        ['float32', [[1], [2]]],
        ['float32', [[3], [4.5]]],
      ],
    ],
  );
  t.throws(() => (trainer.slots = wrong(5)), {
    instanceOf: TypeError,
    message: /slots must be an array with an array of tensors/,
  });
});

test('hashVecs counts its buckets in a number', (t) => {
  const [buckets, count] = tl.efficientAttention.hashVecs(tl.ones([3, 2]), [2, 6], 2, [0, 1]);
  t.is(count, 12);
  t.deepEqual(buckets.shape, [2, 3]);
});
