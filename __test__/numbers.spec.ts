import test, { type ExecutionContext } from 'ava';
import * as tl from '../src/index.js';
import { wrong } from './support/types.js';

const integers = ['int32', 'int64', 'uint32', 'uint8'] as const;
const limits = {
  int32: [-(2n ** 31n), 2n ** 31n - 1n],
  int64: [-(2n ** 63n), 2n ** 63n - 1n],
  uint32: [0n, 2n ** 32n - 1n],
  uint8: [0n, 255n],
} as const;

const of = (dtype: tl.DType, values: readonly bigint[]): tl.Tensor => tl.tensor(values, null, { dtype });

const exact = (x: tl.Tensor): bigint[] => Array.from(x.cast('int64').dataSync() as BigInt64Array);

const bits = (x: tl.Tensor): number[] => Array.from(x.dataSync() as Uint16Array);

const slope = (f: (x: tl.Tensor) => tl.Tensor, x: number, dtype: tl.DType): unknown =>
  tl
    .grad((v: tl.Tensor) => f(v).sum())(tl.tensor([x], null, { dtype }))
    .array();

function refused(t: ExecutionContext, f: () => unknown, message: RegExp): void {
  const error = t.throws(f, { instanceOf: RangeError, message });
  t.is(error === undefined ? undefined : Reflect.get(error, 'code'), 'InvalidArgument');
}

test('a number beyond the dtype gives the result where it fits, else an error that names both', (t) => {
  for (const dtype of integers) {
    const [least, most] = limits[dtype];
    const x = of(dtype, [3n, 7n]);
    // For int64 the nearest numbers beyond are bigints.
    for (const above of dtype === 'int64' ? [most + 1n, 2 ** 63, 2 ** 80] : [Number(most) + 1, most + 5n, 2 ** 70]) {
      t.deepEqual(exact(x.minimum(above)), [3n, 7n]);
      t.deepEqual(exact(x.mod(above)), [3n, 7n]);
      t.is(x.minimum(above).dtype, dtype);
      const says = new RegExp(dtype);
      for (const f of [() => x.maximum(above), () => x.add(above), () => x.mul(above), () => x.clip(above, null)]) {
        refused(t, f, says);
      }
      refused(t, () => tl.full([1], above, { dtype }), says);
      refused(t, () => x.maskFill(tl.tensor([true, false]), above), says);
      refused(t, () => x.pad([[0, 1]], above), says);
      refused(t, () => tl.where(tl.tensor([true, false]), x, above), says);
      t.deepEqual(x.lt(above).array(), [true, true]);
      t.deepEqual(x.eq(above).array(), [false, false]);
      t.deepEqual(exact(x.clip(null, above)), [3n, 7n]);
    }
    t.deepEqual(exact(x.rsub(most + 2n)), [most - 1n, most - 5n]);
    const below = least - 1n;
    t.deepEqual(exact(x.maximum(below)), [3n, 7n]);
    refused(t, () => x.minimum(below), /does not fit/);
    t.deepEqual(x.ge(below).array(), [true, true]);
  }
  t.deepEqual(tl.tensor(Uint8Array.of(0, 200)).add(-0).array(), [0, 200]);
  t.deepEqual(tl.tensor(Uint8Array.of(9, 200)).add(-9).array(), [0, 191]);
  t.deepEqual(tl.tensor(Uint8Array.of(9, 200)).mod(-1).array(), [0, 0]);
});

test('a fraction is refused where values keep an integer dtype, and compared as it is', (t) => {
  const x = tl.tensor([16_777_216, 16_777_217]);
  refused(t, () => x.maskFill(tl.tensor([true, false]), 0.25), /int32.*0\.25/);
  refused(t, () => x.pad([[1, 1]], { value: -1.5 }), /-1\.5/);
  refused(t, () => tl.full([2], 2.5, { dtype: 'uint8' }), /2\.5/);
  refused(t, () => tl.arange(0, 1, 0.25, { dtype: 'int64' }), /0\.75/);
  t.deepEqual(x.gt(16_777_216.5).array(), [false, true]);
  t.deepEqual(x.le(16_777_216.5).array(), [true, false]);
  t.deepEqual(tl.tensor([0, 1, 9]).clip(0.5, 2.5).array(), [0.5, 1, 2.5]);
  t.deepEqual(tl.full([1], 65_520, { dtype: 'float16' }).array(), [Infinity]);
});

test('int64 is exact beside numbers and bigints', (t) => {
  const x = tl.tensor([2n ** 53n + 1n, -(2n ** 60n) - 1n]);
  t.deepEqual(x.eq(2 ** 53).array(), [false, false]);
  t.deepEqual(x.gt(2 ** 53).array(), [true, false]);
  t.deepEqual(x.lt(-(2 ** 60)).array(), [false, true]);
  t.deepEqual(x.eq(2n ** 53n + 1n).array(), [true, false]);
  t.deepEqual(exact(x.add(2 ** 60)), [2n ** 60n + 2n ** 53n + 1n, -1n]);
  t.deepEqual(exact(x.sub(2n ** 53n)), [1n, -(2n ** 60n) - 1n - 2n ** 53n]);
  t.deepEqual(exact(tl.where(tl.tensor([true, false]), x, 5n)), [2n ** 53n + 1n, 5n]);
  t.deepEqual(exact(tl.full([1], 2n ** 62n + 1n)), [2n ** 62n + 1n]);
  t.deepEqual(tl.full([1], -(2n ** 200n), { dtype: 'float64' }).array(), [-(2 ** 200)]);
  refused(t, () => tl.full([1], 2n ** 200n), /int64/);
  t.deepEqual(
    exact(
      tl
        .tensor([5n])
        .minimum(2n ** 200n)
        .maximum(-(2n ** 200n)),
    ),
    [5n],
  );
  t.deepEqual(exact(tl.arange(2n ** 60n, 2n ** 60n + 2n)), [2n ** 60n, 2n ** 60n + 1n]);
  t.is(tl.tensor([1, 2]).mul(3n).dtype, 'int32');
  for (const dtype of ['float32', 'float64', 'float16', 'bool'] as const) {
    t.throws(() => tl.zeros([1], { dtype }).add(1n), {
      instanceOf: tl.TensorError,
      code: 'DTypeMismatch',
      message: /BigInt/,
    });
    t.throws(() => tl.zeros([1], { dtype }).eq(1n), {
      instanceOf: tl.TensorError,
      code: 'DTypeMismatch',
      message: /BigInt/,
    });
  }
  t.throws(() => tl.zeros([1]).rsub(wrong('1')), {
    instanceOf: TypeError,
    message: /rsub: value must be a number or a BigInt, got the string "1"/,
  });
});

test('values given with a dtype must fit it', (t) => {
  refused(t, () => tl.tensor([1, 256], null, { dtype: 'uint8' }), /256 does not fit uint8/);
  refused(t, () => tl.tensor([-1], null, { dtype: 'uint32' }), /-1 does not fit uint32/);
  refused(t, () => tl.tensor([2 ** 33], null, { dtype: 'int32' }), /8589934592 does not fit int32.*int64/);
  refused(t, () => tl.tensor([NaN], null, { dtype: 'int32' }), /NaN/);
  refused(t, () => tl.tensor(Float32Array.of(-Infinity), null, { dtype: 'uint8' }), /-inf/);
  refused(t, () => tl.tensor(Int32Array.of(5, -2), null, { dtype: 'uint8' }), /-2 does not fit uint8/);
  refused(t, () => tl.tensor([2n ** 40n], null, { dtype: 'int32' }), /1099511627776/);
  for (const wide of [2n ** 63n, -(2n ** 63n) - 1n, 2 ** 63]) {
    t.throws(() => tl.tensor([1, wide], null, { dtype: 'int64' }), {
      instanceOf: RangeError,
      message: /does not fit int64/,
    });
  }
  t.deepEqual(tl.tensor([-(2n ** 63n)]).dataSync(), BigInt64Array.of(-(2n ** 63n)));
  t.deepEqual(tl.tensor([300, 5], null, { dtype: 'float16' }).array(), [300, 5]);
  refused(t, () => tl.arange(2 ** 31 - 1, 2 ** 31 + 3), /2147483648/);
  refused(
    t,
    () =>
      tl
        .arange(250, 260, 5, { dtype: 'uint8' })
        .sum()
        .add(tl.arange(256, 257, 1, { dtype: 'uint8' })),
    /256/,
  );
  // A cast is asked for: it saturates floats, and cuts bits off integers.
  t.deepEqual(tl.tensor([300.7, -4]).cast('uint8').array(), [255, 0]);
  t.deepEqual(tl.tensor([257, -1]).cast('uint8').array(), [1, 255]);
});

test('sums of integers are exact or refused', (t) => {
  const bytes = tl.full([3_000_001, 3], 240, { dtype: 'uint8' });
  t.is(bytes.sum().item(), 3_000_001 * 720);
  t.is(bytes.sum().dtype, 'uint32');
  t.deepEqual(bytes.sum(0).array(), [720_000_240, 720_000_240, 720_000_240]);
  t.is(bytes.mean().item(), 240);
  t.is(bytes.cumsum().index(-1).item(), 3_000_001 * 720);
  t.is(tl.tensor([true, true, false]).sum().dtype, 'int32');
  const large = tl.full([2], 2 ** 30 + 1);
  refused(t, () => large.sum(), /int32.*int64/);
  refused(t, () => large.cumsum(), /int32/);
  refused(t, () => large.prod(), /int32/);
  refused(t, () => large.matmul(tl.tensor([1, 1])), /int32/);
  refused(t, () => tl.einsum('i,i->', large, tl.tensor([1, 1])), /int32/);
  refused(t, () => tl.tensor([10, 11]).pow(10), /int32/);
  refused(t, () => tl.tensor([-(2 ** 31)]).abs(), /^abs\(int32\[1\]\).*int32/);
  refused(t, () => large.scatterAdd(tl.tensor([0]), large.index(0).reshape([1])), /int32/);
  t.is(large.mean().item(), 2 ** 30);
  t.is(large.cast('int64').sum().item(), 2 ** 31 + 2);
});

test('halves are rounded once, from floats and from integers', (t) => {
  const up = 1 + 3 * 2 ** -11 + 2 ** -35;
  for (const [dtype, number, bit] of [
    ['float16', up, 0x3c02],
    ['float16', 2049 + 2 ** -30, 0x6801],
    ['bfloat16', 1 + 3 * 2 ** -8 - 2 ** -42, 0x3f81],
  ] as const) {
    t.deepEqual(bits(tl.tensor([number], null, { dtype })), [bit]);
    t.deepEqual(bits(tl.full([1], number, { dtype })), [bit]);
    t.deepEqual(bits(tl.tensor(Float64Array.of(number)).cast(dtype)), [bit]);
    t.deepEqual(bits(tl.zeros([1], { dtype }).add(number)), [bit]);
  }
  // 2^25 + 3 · 2^17 is halfway between two bfloat16, and one more is not, which float32 does not see.
  for (const [number, bit] of [
    [2 ** 25 + 2 ** 17, 0x4c00],
    [2 ** 25 + 2 ** 17 + 1, 0x4c01],
    [2 ** 25 + 3 * 2 ** 17 - 1, 0x4c01],
  ] as const) {
    for (const dtype of ['int32', 'int64', 'uint32'] as const) {
      t.deepEqual(bits(tl.full([1], number, { dtype }).cast('bfloat16')), [bit], `${number} ${dtype}`);
    }
  }
});

test('slopes at the edges are those of mathematics, and of JAX', (t) => {
  for (const dtype of ['float32', 'float64', 'bfloat16'] as const) {
    const zero = tl.zeros([1], { dtype });
    for (const x of [Infinity, -Infinity, NaN, 0, -3]) {
      t.deepEqual(
        slope((v) => v.pow(zero), x, dtype),
        [0],
      );
      t.deepEqual(
        slope((v) => v.pow(0), x, dtype),
        [0],
      );
    }
    t.deepEqual(
      slope((v) => zero.add(Infinity).pow(v), -2, dtype),
      [0],
    );
    t.deepEqual(
      slope((v) => tl.concat([v, zero]).prod(), Infinity, dtype),
      [0],
    );
  }
  const mean = tl.grad((v: tl.Tensor) => v.mean())(tl.ones([70_000], { dtype: 'float16' }));
  t.true(Math.abs(mean.index(5).item() * 70_000 - 1) < 1e-2);
});
