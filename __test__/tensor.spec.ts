import { inspect } from 'node:util';
import test from 'ava';
import * as tl from '../src/index.js';
import { wrong } from './support/types.js';

const range = (shape: number[]): tl.Tensor =>
  tl
    .arange(shape.reduce((a, b) => a * b, 1))
    .cast('float32')
    .reshape(shape);

test('typed arrays keep their natural dtype and values', (t) => {
  const cases: [tl.TypedArray, tl.DType][] = [
    [Float32Array.of(1.5, -2), 'float32'],
    [Float64Array.of(0.1, 3), 'float64'],
    [Int32Array.of(-7, 8), 'int32'],
    [Uint32Array.of(4294967295, 1), 'uint32'],
    [Uint8Array.of(255, 0), 'uint8'],
    [BigInt64Array.of(-9007199254740993n, 5n), 'int64'],
  ];
  for (const [values, dtype] of cases) {
    const x = tl.tensor(values);
    t.is(x.dtype, dtype);
    t.deepEqual(x.shape, [2]);
    t.deepEqual(x.dataSync(), values);
  }
});

test('a subarray is read from its own offset', (t) => {
  t.deepEqual(tl.tensor(Float32Array.of(9, 1, 2, 9).subarray(1, 3)).array(), [1, 2]);
});

test('nested values: whole numbers are int32, others float32, booleans bool, bigints int64', (t) => {
  t.is(
    tl.tensor([
      [1, 2],
      [3, 4],
    ]).dtype,
    'int32',
  );
  t.deepEqual(
    tl.tensor([
      [1, 2],
      [3, 4],
    ]).shape,
    [2, 2],
  );
  t.is(tl.tensor([1, 2.5]).dtype, 'float32');
  t.is(tl.tensor([]).dtype, 'float32');
  t.is(tl.tensor(NaN).dtype, 'float32');
  t.is(tl.tensor([true, false]).dtype, 'bool');
  t.deepEqual(tl.tensor([true, false]).array(), [true, false]);
  t.deepEqual(tl.tensor([true, false]).dataSync(), Uint8Array.of(1, 0));
  t.is(tl.tensor([1n]).dtype, 'int64');
  t.deepEqual(tl.tensor(7).shape, []);
  t.is(tl.tensor(7).item(), 7);
  t.deepEqual(tl.tensor([1.9, -1.9], null, { dtype: 'int32' }).array(), [1, -1]);
  t.deepEqual(tl.tensor([2, 0], null, { dtype: 'bool' }).array(), [true, false]);
});

test('ragged, mixed and unfit values are refused', (t) => {
  t.throws(() => tl.tensor([[1, 2], [3]]), {
    instanceOf: RangeError,
    message: /axis 1 have different lengths: 2 and 1/,
  });
  t.throws(() => tl.tensor([[1], 2]), { instanceOf: TypeError, message: /different depths/ });
  t.throws(() => tl.tensor(wrong(['a'])), { instanceOf: TypeError, message: /got the string "a"$/ });
  t.throws(() => tl.tensor([2 ** 31]), { instanceOf: RangeError, message: /int64/ });
  t.throws(() => tl.tensor(wrong(new DataView(new ArrayBuffer(4)))), { instanceOf: TypeError });
  t.throws(() => tl.tensor(Uint16Array.of(1)), { instanceOf: TypeError, message: /float16/ });
  t.throws(() => tl.tensor([1], null, { dtype: wrong('complex64') }), {
    instanceOf: TypeError,
    message: /complex64/,
  });
  t.throws(() => tl.tensor(Float32Array.of(1, 2), [3]), { instanceOf: tl.TensorError, code: 'ShapeMismatch' });
});

test('halves travel as bits and read as numbers', (t) => {
  const half = tl.tensor(Uint16Array.of(0x3c00, 0xc000), null, { dtype: 'float16' });
  t.deepEqual(half.array(), [1, -2]);
  t.deepEqual(half.dataSync(), Uint16Array.of(0x3c00, 0xc000));
  const brain = tl.tensor([1, -2], null, { dtype: 'bfloat16' });
  t.deepEqual(brain.dataSync(), Uint16Array.of(0x3f80, 0xc000));
});

test('data() fills what TypeScript allocated', async (t) => {
  const x = range([2, 3]).transpose();
  t.deepEqual(await x.data(), Float32Array.of(0, 3, 1, 4, 2, 5));
  t.deepEqual(x.array(), [
    [0, 3],
    [1, 4],
    [2, 5],
  ]);
  t.deepEqual(tl.zeros([0, 3]).array(), []);
  t.deepEqual(tl.zeros([2, 0]).array(), [[], []]);
});

test('shape, size, rank, device; the shape handed out is a copy', (t) => {
  const x = range([2, 3]);
  x.shape[0] = 9;
  t.deepEqual(x.shape, [2, 3]);
  t.is(x.size, 6);
  t.is(x.rank, 2);
  t.is(x.device, 'cpu');
});

test('arithmetic with tensors and numbers, broadcasting', (t) => {
  const x = range([2, 2]);
  t.deepEqual(x.add(tl.tensor([10, 20])).array(), [
    [10, 21],
    [12, 23],
  ]);
  t.deepEqual(x.sub(1).array(), [
    [-1, 0],
    [1, 2],
  ]);
  t.deepEqual(x.rsub(1).array(), [
    [1, 0],
    [-1, -2],
  ]);
  t.deepEqual(x.mul(x).array(), [
    [0, 1],
    [4, 9],
  ]);
  t.deepEqual(x.div(2).array(), [
    [0, 0.5],
    [1, 1.5],
  ]);
  t.deepEqual(x.rdiv(6).index(1).array(), [3, 2]);
  t.deepEqual(x.pow(2).array(), [
    [0, 1],
    [4, 9],
  ]);
  t.deepEqual(x.rpow(2).array(), [
    [1, 2],
    [4, 8],
  ]);
  t.deepEqual(tl.tensor([-3, 3]).mod(2).array(), [1, 1]);
  t.deepEqual(x.maximum(2).array(), [
    [2, 2],
    [2, 3],
  ]);
  t.deepEqual(x.minimum(tl.tensor([1, 1])).array(), [
    [0, 1],
    [1, 1],
  ]);
  t.deepEqual(x.ge(2).array(), [
    [false, false],
    [true, true],
  ]);
});

test('numbers are weak: they keep the dtype unless a fraction meets integers', (t) => {
  const i = tl.tensor([1, 2]);
  t.is(i.add(1).dtype, 'int32');
  t.is(i.add(1.5).dtype, 'float32');
  t.is(i.div(2).dtype, 'float32');
  t.is(tl.tensor([1], null, { dtype: 'bfloat16' }).mul(3).dtype, 'bfloat16');
  t.is(tl.tensor([true]).add(1).dtype, 'int32');
});

test('unary operations', (t) => {
  const close = (x: tl.Tensor, expected: number[]): void => {
    (x.array() as number[]).forEach((v, i) => t.true(Math.abs(v - expected[i]!) < 1e-6, `${v} ${expected[i]}`));
  };
  const x = tl.tensor([0.25, 1]);
  close(x.exp(), [Math.exp(0.25), Math.E]);
  close(x.expm1(), [Math.expm1(0.25), Math.E - 1]);
  close(x.log(), [Math.log(0.25), 0]);
  close(x.log1p(), [Math.log1p(0.25), Math.log(2)]);
  close(x.sqrt(), [0.5, 1]);
  close(x.rsqrt(), [2, 1]);
  close(x.reciprocal(), [4, 1]);
  close(x.sin(), [Math.sin(0.25), Math.sin(1)]);
  close(x.cos(), [Math.cos(0.25), Math.cos(1)]);
  close(x.tanh(), [Math.tanh(0.25), Math.tanh(1)]);
  close(x.sigmoid(), [1 / (1 + Math.exp(-0.25)), 1 / (1 + Math.exp(-1))]);
  close(x.erf(), [0.2763263901682369, 0.8427007929497149]);
  t.deepEqual(tl.tensor([-1.5, 0.5, 2.5]).round().array(), [-2, 0, 2]);
  t.deepEqual(tl.tensor([-1.5, 0.5]).floor().array(), [-2, 0]);
  t.deepEqual(tl.tensor([-1.5, 0.5]).ceil().array(), [-1, 1]);
  t.deepEqual(tl.tensor([-1.5, 0.5]).relu().array(), [0, 0.5]);
  t.deepEqual(tl.tensor([-3, 0, 4]).clip(-1, null).array(), [-1, 0, 4]);
  t.deepEqual(tl.tensor([-3, 0]).sign().neg().abs().array(), [1, 0]);
  t.deepEqual(tl.tensor([0, 2]).logicalNot().array(), [true, false]);
});

test('reductions take an axis as number, list or option', (t) => {
  const x = range([2, 3]);
  t.is(x.sum().item(), 15);
  t.deepEqual(x.sum(0).array(), [3, 5, 7]);
  t.deepEqual(x.sum([0, 1]).shape, []);
  t.deepEqual(x.sum({ axis: -1, keepdims: true }).array(), [[3], [12]]);
  t.deepEqual(x.mean({ axis: 1 }).array(), [1, 4]);
  t.deepEqual(x.max({ axis: 0 }).array(), [3, 4, 5]);
  t.is(x.min().item(), 0);
  t.is(x.slice([0, 1], [2, 3]).prod().item(), 40);
  t.deepEqual(x.variance({ axis: 0 }).array(), [2.25, 2.25, 2.25]);
  t.true(Math.abs(x.logSumExp().item() - 5.456193) < 1e-5);
  t.is(x.argmax().item(), 5);
  t.deepEqual(x.argmin({ axis: 1 }).array(), [0, 0]);
  t.deepEqual(x.cumsum({ axis: 1 }).array(), [
    [0, 1, 3],
    [3, 7, 12],
  ]);
  t.deepEqual(x.cumsum().array(), [0, 1, 3, 6, 10, 15]);
  t.is(x.any().item(), 1);
  t.is(x.all().item(), 0);
  t.true(Math.abs((x.softmax().sum({ axis: -1 }).array() as number[])[1]! - 1) < 1e-6);
  t.true(Math.abs(x.logSoftmax({ axis: 0 }).index(1).index(0).item() - Math.log(1 / (1 + Math.exp(-3)))) < 1e-6);
});

test('shape operations', (t) => {
  const x = range([2, 3]);
  t.deepEqual(x.reshape([3, -1]).shape, [3, 2]);
  t.deepEqual(x.transpose([1, 0]).array(), x.swapAxes(0, -1).array());
  t.deepEqual(x.transpose([-1, 0]).shape, [3, 2]);
  t.deepEqual(range([2, 3, 4]).moveAxis(0, -1).shape, [3, 4, 2]);
  t.deepEqual(x.expandDims(1).shape, [2, 1, 3]);
  t.deepEqual(x.expandDims(1).squeeze().shape, [2, 3]);
  t.deepEqual(tl.tensor([1, 2]).broadcastTo([2, 2]).array(), [
    [1, 2],
    [1, 2],
  ]);
  t.deepEqual(x.slice([0, null], [null, null], [1, -2]).array(), [
    [2, 0],
    [5, 3],
  ]);
  t.deepEqual(x.slice([1, -2], [2, 3]).array(), [[4, 5]]);
  t.deepEqual(
    x.split(3, { axis: 1 }).map((p) => p.array()),
    [
      [[0], [3]],
      [[1], [4]],
      [[2], [5]],
    ],
  );
  t.deepEqual(
    x.split([1], 1).map((p) => p.shape),
    [
      [2, 1],
      [2, 2],
    ],
  );
  t.deepEqual(
    x
      .pad(
        [
          [0, 1],
          [1, 0],
        ],
        { value: 7 },
      )
      .array(),
    [
      [7, 0, 1, 2],
      [7, 3, 4, 5],
      [7, 7, 7, 7],
    ],
  );
  t.deepEqual(x.flip({ axis: 1 }).array(), [
    [2, 1, 0],
    [5, 4, 3],
  ]);
  t.deepEqual(x.roll(1, { axis: 1 }).array(), [
    [2, 0, 1],
    [5, 3, 4],
  ]);
  t.deepEqual(x.roll(1).array(), [
    [5, 0, 1],
    [2, 3, 4],
  ]);
  t.deepEqual(tl.tensor([1, 2]).tile([2]).array(), [1, 2, 1, 2]);
  t.deepEqual(tl.tensor([1, 2]).repeat(2).array(), [1, 1, 2, 2]);
  t.deepEqual(tl.concat([x, x], { axis: 0 }).shape, [4, 3]);
  t.deepEqual(tl.stack([x, x], 1).shape, [2, 2, 3]);
  t.deepEqual(
    [...x].map((row) => row.array()),
    [
      [0, 1, 2],
      [3, 4, 5],
    ],
  );
});

test('indexing', (t) => {
  const x = range([2, 3]);
  const i = tl.tensor([2, 0]);
  t.deepEqual(x.take(i, { axis: 1 }).array(), [
    [2, 0],
    [5, 3],
  ]);
  t.deepEqual(x.take(tl.tensor([5, -1])).array(), [5, 5]);
  t.deepEqual(x.takeAlongAxis(tl.tensor([[1], [0]]), 1).array(), [[1], [3]]);
  t.deepEqual(x.gather(tl.tensor([[1], [0]]), { axis: 1 }).array(), [[1], [3]]);
  t.deepEqual(
    tl
      .zeros([3])
      .scatterAdd(tl.tensor([1, 1]), tl.tensor([2.5, 4]))
      .array(),
    [0, 6.5, 0],
  );
  t.deepEqual(
    tl
      .zeros([3])
      .scatter(tl.tensor([1, 1]), tl.tensor([2.5, 4]))
      .array(),
    [0, 4, 0],
  );
  t.deepEqual(i.oneHot(3).array(), [
    [0, 0, 1],
    [1, 0, 0],
  ]);
  t.is(i.oneHot(3, { dtype: 'bool' }).dtype, 'bool');
  t.throws(() => x.take(tl.tensor([3]), 1), { instanceOf: tl.TensorError, code: 'IndexOutOfRange', message: /3/ });
});

test('sorting and einsum', (t) => {
  const x = tl.tensor([
    [3, 1, 2],
    [1, 5, 1],
  ]);
  // oxlint-disable-next-line no-array-sort -- a tensor, not an array
  t.deepEqual(x.sort().array(), [
    [1, 2, 3],
    [1, 1, 5],
  ]);
  // oxlint-disable-next-line no-array-sort -- see above
  t.deepEqual(x.sort({ descending: true }).array(), [
    [3, 2, 1],
    [5, 1, 1],
  ]);
  t.deepEqual(x.argsort().array(), [
    [1, 2, 0],
    [0, 2, 1],
  ]);
  t.deepEqual(x.argsort({ axis: 0 }).array(), [
    [1, 0, 1],
    [0, 1, 0],
  ]);
  const [values, indices] = x.topK(2);
  t.deepEqual(
    [values.array(), indices.array()],
    [
      [
        [3, 2],
        [5, 1],
      ],
      [
        [0, 2],
        [1, 0],
      ],
    ],
  );
  t.deepEqual(tl.einsum('ij,kj->ik', x, x).array(), [
    [14, 10],
    [10, 27],
  ]);
  t.is(tl.einsum('ii->', tl.eye(3)).item(), 3);
});

test('where takes tensors and numbers', (t) => {
  const c = tl.tensor([true, false]);
  t.deepEqual(tl.where(c, tl.tensor([1, 2]), -1).array(), [1, -1]);
  t.is(tl.where(c, tl.tensor([1, 2]), -1).dtype, 'int32');
  t.is(tl.where(c, 0.5, tl.tensor([1, 2])).dtype, 'float32');
  t.is(c.where(1, 0).dtype, 'int32');
  t.is(c.where(1.5, 0).dtype, 'float32');
  t.deepEqual(tl.tensor([1.5, 2.5]).maskFill(c, 0).array(), [0, 2.5]);
});

test('matmul, and making tensors of nothing', (t) => {
  t.deepEqual(
    range([2, 3])
      .matmul(range([3, 2]))
      .array(),
    [
      [10, 13],
      [28, 40],
    ],
  );
  t.deepEqual(tl.eye(2).array(), [
    [1, 0],
    [0, 1],
  ]);
  t.deepEqual(tl.tri(2).array(), [
    [true, false],
    [true, true],
  ]);
  t.deepEqual(tl.arange(2, 8, 3).array(), [2, 5]);
  t.is(tl.arange(0, 1, 0.25).dtype, 'float32');
  t.is(tl.full([2], 3).dtype, 'int32');
  t.is(tl.zeros([1]).dtype, 'float32');
  t.deepEqual(tl.onesLike(tl.tensor([4n])).dataSync(), BigInt64Array.of(1n));
  t.throws(() => tl.arange(0, 1, 0), { instanceOf: RangeError });
});

test('signatures of one tensor and of several', (t) => {
  t.deepEqual(tl.signature(range([2, 3])), { shape: [2, 3], dtype: 'float32' });
  t.deepEqual(tl.signature([range([1]), tl.tensor([1])]), [
    { shape: [1], dtype: 'float32' },
    { shape: [1], dtype: 'int32' },
  ]);
});

test('printing shows dtype, shape and the values of small tensors', (t) => {
  t.is(inspect(tl.tensor([[1, 2.5]])), 'Tensor float32[1,2] [[1,2.5]]');
  t.is(String(tl.zeros([200])), 'Tensor float32[200]');
});

test('a tensor cannot be cloned or sent', (t) => {
  t.throws(() => structuredClone(tl.tensor([1])), { any: true, name: 'DataCloneError' });
});
