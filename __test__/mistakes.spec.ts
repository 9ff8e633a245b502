/** The first mistakes a user makes, and the exact words they are answered with. */
import test from 'ava';
import * as tl from '../src/index.js';
import { f32, one } from './support/values.js';
import { wrong } from './support/types.js';

/** A mistake, as a program that does not pass the compiler (or reads its options from a file) would make it. */
interface Mistake {
  readonly make: () => unknown;
  readonly type: new (...args: never[]) => Error;
  readonly code?: tl.ErrorCode;
  /** The message; of a `LayerError` without its code, its path, its inputs and its place, which stand beside it. */
  readonly says: string;
  readonly path?: readonly string[];
  readonly phase?: tl.LayerErrorDetails['phase'];
  readonly inputs?: readonly string[];
}

const x = (): tl.Tensor => tl.ones([2, 3]);
const made = (layer: tl.Layer, ...signature: tl.Signature[]): tl.Layer => {
  layer.init(signature, { rng: [0, 1] });
  return layer;
};
const disposed = (): tl.Tensor => {
  const t = x();
  t.dispose();
  return t;
};

const ids: tl.Signature = { shape: [2], dtype: 'int32' };
const option = { type: tl.LayerError, code: 'InvalidOption', path: [], phase: 'build', inputs: [] } as const;
const dense = { type: tl.LayerError, path: ['Dense_4'], phase: 'forward', inputs: ['float32[2,3]'] } as const;

const mistakes: Readonly<Record<string, Mistake>> = {
  'a layer is called before init': {
    ...dense,
    make: () => tl.Serial(tl.Dense(4), tl.Relu())(x()),
    code: 'NotInitialized',
    path: ['Serial', 'Dense_4'],
    says: 'the layer has no weights or state yet; call init(signature) first',
  },
  'an input without the axes a layer needs': {
    make: () => tl.LocallyConnected1d(4, 3).init(f32([4])),
    type: tl.LayerError,
    code: 'ShapeMismatch',
    path: ['LocallyConnected1d_4_3'],
    phase: 'init',
    inputs: ['float32[4]'],
    says: 'the input needs an axis of positions and one of features, got shape [4]',
  },
  'attention of a vector': {
    make: () => tl.Attention(4).init([f32([4]), { shape: [1, 1, 1, 1], dtype: 'bool' }]),
    type: tl.LayerError,
    code: 'ShapeMismatch',
    path: ['Serial', ''],
    phase: 'init',
    inputs: ['float32[4]', 'bool[1,1,1,1]'],
    says: "tensors: expected shapes 'bld,b1xl', got [4], [1, 1, 1, 1]",
  },
  'floats where ids are needed': {
    make: () => made(tl.Embedding(10, 4), ids)(tl.tensor([1.5, 2])),
    type: tl.LayerError,
    code: 'DTypeMismatch',
    path: ['Embedding_10_4'],
    phase: 'forward',
    inputs: ['float32[2]'],
    says: "ids must be integers, got float32; cast them first, e.g. with cast('int32')",
  },
  'an id outside the vocabulary': {
    make: () => made(tl.Serial(tl.Embedding(10, 4), tl.Dense(2)), ids)([3, 10]),
    type: tl.LayerError,
    code: 'IndexOutOfRange',
    path: ['Serial', 'Embedding_10_4'],
    phase: 'forward',
    inputs: ['int32[2]'],
    says: 'embedding: id 10 is outside the vocabulary of 10',
  },
  'too many inputs': {
    ...dense,
    make: () => made(tl.Dense(4), f32([2, 3]))([x(), x()]),
    code: 'ArityMismatch',
    inputs: ['float32[2,3]', 'float32[2,3]'],
    says: 'the layer takes 1 input, got 2',
  },
  'too few inputs': {
    make: () => tl.Add()(x()),
    type: tl.LayerError,
    code: 'ArityMismatch',
    path: ['Add'],
    phase: 'forward',
    inputs: ['float32[2,3]'],
    says: 'the layer takes 2 inputs, got 1',
  },
  'another last axis than in init': {
    ...dense,
    make: () => made(tl.Serial(tl.Dense(4), tl.Relu()), f32([2, 3]))(tl.ones([2, 5])),
    code: 'ShapeMismatch',
    path: ['Serial', 'Dense_4'],
    inputs: ['float32[2,5]'],
    says: 'last axis is 5, weights were made for 3',
  },
  'shapes that do not go together, deep inside': {
    make: () => tl.Serial(tl.Residual(tl.Dense(4), tl.Dense(5))).init(f32([2, 3])),
    type: tl.LayerError,
    code: 'ShapeMismatch',
    path: ['Serial', 'Serial', 'Add'],
    phase: 'init',
    inputs: ['float32[2,3]', 'float32[2,5]'],
    says: 'float32[2,3] and float32[2,5] do not broadcast',
  },
  'an option misspelt': {
    ...option,
    make: () => tl.Dense(4, wrong({ useBais: false })),
    says: 'Dense: unknown option `useBais`: it takes `nUnits`, `kernelInitializer`, `biasInitializer`, `useBias`, `useBfloat16`; did you mean `useBias`?',
  },
  'an option half remembered': {
    ...option,
    make: () => tl.Attention(4, wrong({ heads: 2 })),
    says: 'Attention: unknown option `heads`: it takes `dFeature`, `nHeads`, `dropout`, `mode`; did you mean `nHeads`?',
  },
  'an optimizer option of another library': {
    ...option,
    make: () => tl.optimizers.Adam(wrong({ lr: 0.1 })),
    says: 'Adam: unknown option `lr`: it takes `learningRate`, `weightDecayRate`, `b1`, `b2`, `eps`, `clipGradNorm`, `clipGradValue`',
  },
  'a mode misspelt': {
    ...option,
    make: () => tl.Dropout({ mode: wrong('training') }),
    says: "Dropout: `mode` must be 'train', 'eval', 'predict' or 'viz', got \"training\"",
  },
  'withMode of a mode misspelt': {
    ...option,
    make: () => tl.Dropout().withMode(wrong('test')),
    says: "`mode` must be 'train', 'eval', 'predict' or 'viz', got \"test\"",
  },
  'a negative size': {
    ...option,
    make: () => tl.Dense(-1),
    says: 'Dense: `nUnits` must be a whole number of at least 1, got -1',
  },
  'a string where a number belongs': {
    ...option,
    make: () => tl.Dense(wrong('4')),
    says: 'Dense: `nUnits` must be a whole number of at least 1, got "4"',
  },
  'a parameter left out': {
    ...option,
    make: () => tl.Dense(wrong(undefined)),
    says: 'Dense: `nUnits` is required and must be a whole number of at least 1',
  },
  'a rate above 1': {
    ...option,
    make: () => tl.Dropout({ rate: 1.5 }),
    says: 'Dropout: `rate` must be at least 0 and below 1, got 1.5',
  },
  'the name of an initializer for the initializer': {
    ...option,
    make: () => tl.Dense(4, { kernelInitializer: wrong('glorot') }),
    says: 'Dense: `kernelInitializer` must be an initializer, got "glorot"',
  },
  'something else among layers': {
    ...option,
    make: () => tl.Serial(tl.Dense(3), wrong(7)),
    says: 'Serial: `sublayers` must be layers, nulls or nested lists of them, got 7',
  },
  'a factory that was not called': {
    ...option,
    make: () => tl.Serial(tl.Dense(3), wrong(tl.Relu)),
    says: 'Serial: `sublayers` must be layers, nulls or nested lists of them, got a layer factory that was not called',
  },
  'undefined among layers': {
    make: () => tl.Serial(tl.Dense(3), wrong(undefined)),
    type: TypeError,
    says: 'Serial: `sublayers[1]` cannot be undefined',
  },
  'null among layers': {
    ...option,
    make: () => tl.Serial(tl.Dense(3), null, tl.Relu()),
    says: 'Serial: null stands among layers; it is a no-op only when it stands alone',
  },
  'weights of another shape': {
    ...dense,
    make: () => {
      const layer = made(tl.Dense(4), f32([2, 3]));
      layer.weights = [tl.ones([3, 5]), tl.ones([5])];
    },
    code: 'WeightsMismatch',
    phase: 'init',
    inputs: [],
    says: 'weights[0] cannot become float32[3,5]: the layer holds float32[3,4]',
  },
  'pureFn with weights in another nesting': {
    ...dense,
    make: () => tl.Dense(4).pureFn(x(), tl.ones([3, 4]), []),
    code: 'WeightsMismatch',
    says: 'expected a tuple of 2 tensors, got float32[3,4]',
  },
  'pureFn with weights for fewer layers': {
    make: () => tl.Serial(tl.Dense(4), tl.Relu()).pureFn(x(), [[]], []),
    type: tl.LayerError,
    code: 'WeightsMismatch',
    path: ['Serial'],
    phase: 'init',
    inputs: [],
    says: 'Serial has 2 sublayers, but got (())',
  },
  'a tensor after its end': {
    make: () => tl.Relu()(disposed()),
    type: tl.DisposedError,
    code: 'Disposed',
    says: 'a tensor was used after dispose(), or after the tidy() that made it',
  },
  'an asynchronous function in a layer': {
    make: () =>
      tl.Fn(
        'Later',
        wrong(async (a: tl.Tensor) => a),
      )(x()),
    type: TypeError,
    says: 'Fn: `f` must be synchronous, but it returned a promise',
  },
  'a function that returns more than the layer gives': {
    make: () => tl.Fn('Two', (a: tl.Tensor) => [a, a])(x()),
    type: tl.LayerError,
    code: 'ArityMismatch',
    path: ['Two'],
    phase: 'forward',
    inputs: ['float32[2,3]'],
    says: 'the function returned 2 tensors, but the layer was made with nOut 1',
  },
  'a class without forward': {
    make: () => new (class Mine extends tl.Layer {})()(x()),
    type: TypeError,
    says: 'Mine does not define forward(inputs)',
  },
  'rows of different lengths': {
    make: () => tl.Relu()([[1, 2], [3]]),
    type: RangeError,
    says: 'the arrays on axis 1 have different lengths: 2 and 1',
  },
  'no input at all': {
    make: () => tl.Relu()(wrong(undefined)),
    type: TypeError,
    says: 'a tensor is made of numbers, booleans or bigints, got undefined',
  },
  'a signature without a shape': {
    make: () => tl.Dense(4).init(wrong({ dtype: 'float32' })),
    type: TypeError,
    says: 'a signature is {shape, dtype}, or an array of such, got {dtype}',
  },
  'a tensor for a signature': {
    make: () => tl.Dense(4).init(wrong(x())),
    type: TypeError,
    says: 'a signature is {shape, dtype}, or an array of such, got a Tensor; tl.signature(x) makes one',
  },
  'a shape with a wildcard': {
    make: () => tl.Dense(4).init(f32([-1, 3])),
    type: RangeError,
    says: 'the sizes of a shape are whole numbers of at least 0, got -1 for axis 0',
  },
  'a key of three words': {
    make: () => tl.Dense(4).init(f32([2, 3]), { rng: wrong([1, 2, 3]) }),
    type: TypeError,
    says: 'a random key is a uint32[2] tensor, a Uint32Array or an array of two words; random.key(seed) makes one; got [1, 2, 3]',
  },
  'the gradient of whole numbers': {
    make: () => tl.grad((a: tl.Tensor) => a.cast('int32'))(x()),
    type: tl.TensorError,
    code: 'DTypeMismatch',
    says: 'the function must return a float tensor, it returned int32[2,3]',
  },
  'the gradient of what is no tensor': {
    make: () => tl.grad((a: tl.Tensor) => wrong(a.sum().item()))(x()),
    type: TypeError,
    says: 'the function must return a float tensor, it returned 6; for more outputs use vjp()',
  },
  'the gradient with respect to integers': {
    make: () => tl.grad((a: tl.Tensor) => a.sum())(tl.tensor([1, 2])),
    type: TypeError,
    says: 'gradients are taken with respect to float tensors only; use vjp() where some are not',
  },
  'a second derivative': {
    make: () =>
      tl.grad((a: tl.Tensor) =>
        tl
          .grad((b: tl.Tensor) => b.pow(3).sum())(a)
          .sum(),
      )(x()),
    type: tl.TensorError,
    code: 'Autodiff',
    says: 'second derivatives are not supported: this value was itself computed as a gradient; use stopGradient to treat it as a constant',
  },
  'a layer where the options belong': {
    make: () => tl.Cond(tl.Dense(1), tl.Dense(2), wrong(tl.Dense(2))),
    type: TypeError,
    says: 'Cond: options are given by name, as in {name: value}; got a function',
  },
  'an option given by place': {
    make: () => tl.Dense(4, wrong(false)),
    type: TypeError,
    says: 'Dense: options are given by name, as in {name: value}; got a boolean',
  },
  'training what was not initialized': {
    ...option,
    make: () => new tl.Trainer(tl.Dense(4), tl.optimizers.Adam()).oneStep(x(), [0, 0]),
    code: 'NotInitialized',
    says: 'the model has no weights to train; call init(signature) first',
  },
};

for (const [what, mistake] of Object.entries(mistakes)) {
  test(what, (t) => {
    const error = t.throws(mistake.make, { instanceOf: mistake.type });
    t.is(error instanceof tl.LayerError || error instanceof tl.TensorError ? error.code : undefined, mistake.code);
    if (!(error instanceof tl.LayerError)) {
      t.is(error?.message, mistake.says);
      return;
    }
    const { code, path, phase, inputs, createdAt } = error;
    t.deepEqual({ path, phase, inputs }, { path: mistake.path!, phase: mistake.phase!, inputs: mistake.inputs! });
    const where = path.length > 0 ? `${path.map((name) => name || '(unnamed)').join(' > ')} (${phase}): ` : '';
    const given = inputs.length > 0 ? ` · inputs ${inputs.join(', ')}` : '';
    // A layer that was never built has no place where it was made.
    const place = path.length > 0 ? ` · created at ${createdAt}` : '';
    t.is(error.message, `[${code}] ${where}${mistake.says}${given}${place}`);
    if (path.length > 0) t.regex(createdAt ?? '', /mistakes\.spec\.ts:\d+:\d+$/);
  });
}

test('after every mistake the same layer gives the right result', (t) => {
  const layer = made(tl.Dense(1, { useBias: false }), f32([1, 2]));
  layer.weights = tl.tensor([[2], [3.5]]);
  for (const input of [tl.ones([1, 3]), [[1], [2, 3]], wrong('x'), disposed()]) {
    t.throws(() => layer(input));
    t.deepEqual(one(layer([[1, 2]])).array(), [[9]]);
  }
});
