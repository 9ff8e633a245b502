/** Data of any make: where it comes from, how it is stored, and what it is refused for. */
import vm from 'node:vm';
import test from 'ava';
import * as tl from '../src/index.js';
import { values } from './support/values.js';
import { run } from './support/process.js';
import { tensorOf, wrong } from './support/types.js';

const read = (t: tl.Tensor): [dtype: string, shape: number[], values: unknown] => [t.dtype, t.shape, t.array()];

const of = (x: tl.TensorData, dtype?: tl.DType): unknown =>
  read(tl.tensor(x, null, dtype === undefined ? {} : { dtype }));

test('nested values: the dtype and the shape follow from them', (t) => {
  t.deepEqual(
    of([
      [1, 2, 3],
      [4, 5, -6],
    ]),
    [
      'int32',
      [2, 3],
      [
        [1, 2, 3],
        [4, 5, -6],
      ],
    ],
  );
  t.deepEqual(
    of([
      [1, 2],
      [3, 4.5],
    ]),
    [
      'float32',
      [2, 2],
      [
        [1, 2],
        [3, 4.5],
      ],
    ],
  );
  t.deepEqual(of([0.5, 3_000_000_000]), ['float32', [2], [0.5, 3_000_000_000]]);
  t.deepEqual(of([3_000_000_000, 0.5]), ['float32', [2], [3_000_000_000, 0.5]]);
  t.deepEqual(of([[true], [false]]), ['bool', [2, 1], [[true], [false]]]);
  t.deepEqual(of([true, 2, 0.5]), ['float32', [3], [1, 2, 0.5]]);
  t.deepEqual(of([1n, 2, true]), ['int64', [3], [1, 2, 1]]);
  t.deepEqual(of([2, 9_007_199_254_740_993n]), ['int64', [2], [2, 9_007_199_254_740_992]]);
  t.deepEqual(of([[], []]), ['float32', [2, 0], [[], []]]);
  t.deepEqual(of(7), ['int32', [], 7]);
  t.deepEqual(of([1, 2], 'float64'), ['float64', [2], [1, 2]]);
  t.deepEqual(of([-0, 0.25], 'float32'), ['float32', [2], [-0, 0.25]]);
  t.is(Object.is((tl.tensor([-0, 0.5]).array() as number[])[0], -0), true);
  t.deepEqual([...tl.tensor([2 ** 53], null, { dtype: 'int64' }).dataSync()], [9_007_199_254_740_992n]);
});

test('lists of typed arrays are rows', (t) => {
  const rows = tl.tensor([new Float64Array([1, 2, 3]), new Float64Array([4, 5, 0.1])]);
  t.deepEqual(read(rows), [
    'float64',
    [2, 3],
    [
      [1, 2, 3],
      [4, 5, 0.1],
    ],
  ]);
  t.deepEqual(read(tl.tensor([[new Uint8Array([1])], [new Uint8ClampedArray([255])]])), [
    'uint8',
    [2, 1, 1],
    [[[1]], [[255]]],
  ]);
  t.deepEqual(read(tl.tensor([new Int8Array([-1, 2]), new Int16Array([3, -400])])), [
    'int32',
    [2, 2],
    [
      [-1, 2],
      [3, -400],
    ],
  ]);
  t.deepEqual(read(tl.tensor([new Uint16Array([0x3c00]), new Uint16Array([0xc000])], null, { dtype: 'float16' })), [
    'float16',
    [2, 1],
    [[1], [-2]],
  ]);
  t.deepEqual(read(tl.tensor([new Int32Array([1, 2])], null, { dtype: 'float32' })), ['float32', [1, 2], [[1, 2]]]);
  t.deepEqual(
    tl
      .Relu()([new Float32Array([-1, 5])])
      .array(),
    [[0, 5]],
  );
  t.throws(() => tl.tensor([new Float32Array(3), new Float32Array(2)]), {
    instanceOf: RangeError,
    message: 'the arrays on axis 1 have different lengths: 3 and 2',
  });
  t.throws(() => tl.tensor([new Float32Array(2), new Int32Array(2)]), {
    instanceOf: TypeError,
    message: /of one kind, got a Float32Array and an Int32Array/,
  });
  t.throws(() => tl.tensor([new Float32Array(2), [1, 2]]), {
    instanceOf: TypeError,
    message: /of one kind, got a Float32Array and plain numbers/,
  });
  t.throws(() => tl.tensor([[1, 2], new Float32Array(2)]), { instanceOf: TypeError, message: /of one kind/ });
  t.throws(() => tl.tensor([new Float32Array(2), 1]), { instanceOf: TypeError, message: /different depths/ });
});

test('values of another realm are as good as our own', (t) => {
  const other = vm.runInNewContext(`({
    typed: [new Float32Array([1.5]), new Float64Array([2.5]), new Int32Array([3]), new Uint32Array([4]), new Uint8Array([5]),
      new Uint8ClampedArray([6]), new Int8Array([7]), new Int16Array([8]), new BigInt64Array([9n]), new BigUint64Array([10n])],
    words: new Uint16Array([0x3c00]), rows: [new Float32Array([1]), new Float32Array([2])], nested: [[1, 2]], key: new Uint32Array([3, 4]), pair: [3, 4],
    signature: { shape: [2, 3], dtype: 'float32' }, options: { axis: 0, keepdims: true }, biasless: { useBias: false }, dtype: { dtype: 'int32' },
    object: (a, b) => ({ a, list: [b] }), map: (a) => new Map([['a', a]]), set: (a) => new Set([a]),
  })`);
  const dtypes = ['float32', 'float64', 'int32', 'uint32', 'uint8', 'uint8', 'int32', 'int32', 'int64', 'int64'];
  const typed: tl.TypedArray[] = other['typed']!;
  t.deepEqual(
    typed.map((x) => read(tl.tensor(x))),
    [1.5, 2.5, 3, 4, 5, 6, 7, 8, 9, 10].map((x, i) => [dtypes[i]!, [1], [x]]),
  );
  t.deepEqual(tl.tensor(other['words']!, null, { dtype: 'float16' }).array(), [1]);
  t.deepEqual(tl.tensor(other['rows']!).array(), [[1], [2]]);
  t.deepEqual(tl.tensor(other['nested']!).array(), [[1, 2]]);
  t.deepEqual(tl.random.bits(other['key']!, [2]).array(), tl.random.bits([3, 4], [2]).array());
  t.deepEqual(tl.random.bits(other['pair']!, [2]).array(), tl.random.bits([3, 4], [2]).array());
  t.deepEqual(tl.ones([2, 3]).sum(other['options']!).array(), [[2, 2, 2]]);
  t.is(tl.zeros([1], other['dtype']!).dtype, 'int32');
  const dense = tl.Dense(2, other['biasless']!);
  dense.init(other['signature']!);
  t.deepEqual(tensorOf(dense.weights).shape, [3, 2]);
  t.deepEqual(dense.outputSignature(other['signature']!).shape, [2, 2]);
  const object: (a: unknown, b: unknown) => never = other['object']!;
  t.deepEqual(tl.tree.leaves(object(1, 2)), [1, 2]);
  const gradient = tl.grad((x: { a: tl.Tensor; list: tl.Tensor[] }) => x.a.mul(x.list[0]!).sum())(
    object(tl.tensor([2.5]), tl.tensor([3.5])),
  );
  t.deepEqual(values(gradient), { a: [3.5], list: [[2.5]] });
  dense.weights = vm.runInNewContext('[1, 2, 3].map((i) => new Float32Array([i, 0.5]))');
  t.deepEqual(tensorOf(dense.weights).array(), [
    [1, 0.5],
    [2, 0.5],
    [3, 0.5],
  ]);
});

test('what shares, tracks or lost its buffer', (t) => {
  const shared = new Float32Array(new SharedArrayBuffer(8));
  shared.set([1, 2]);
  const made = tl.tensor(shared);
  shared[0] = 5;
  t.deepEqual(made.array(), [1, 2]);
  const buffer = new (
    wrong(ArrayBuffer) as new (bytes: number, options: object) => ArrayBuffer & { resize(bytes: number): void }
  )(16, { maxByteLength: 32 });
  const tracking = new Int32Array(buffer);
  const fixed = new Int32Array(buffer, 8, 2);
  tracking.set([1, 2, 3, 4]);
  buffer.resize(24);
  t.deepEqual(tl.tensor(tracking).array(), [1, 2, 3, 4, 0, 0]);
  t.deepEqual(tl.tensor(fixed).array(), [3, 4]);
  buffer.resize(12);
  t.deepEqual(tl.tensor(tracking).array(), [1, 2, 3]);
  t.throws(() => tl.tensor(fixed), {
    instanceOf: TypeError,
    message: /buffer of the Int32Array was transferred away or made too short/,
  });
  const gone = new Float32Array([1, 2]);
  structuredClone(gone, { transfer: [gone.buffer] });
  t.throws(() => tl.tensor(gone), { instanceOf: TypeError, message: /buffer of the Float32Array was transferred/ });
  t.throws(() => tl.tensor([gone]), { instanceOf: TypeError, message: /transferred/ });
  t.deepEqual(tl.tensor(new Float32Array([9, 1, 2]).subarray(1)).array(), [1, 2]);
  t.deepEqual(read(tl.tensor(Buffer.from([1, 2, 255]))), ['uint8', [3], [1, 2, 255]]);
});

test('64-bit words that fit', (t) => {
  t.deepEqual(read(tl.tensor(new BigUint64Array([0n, 5n]))), ['int64', [2], [0, 5]]);
  t.deepEqual([...tl.tensor(new BigUint64Array([2n ** 63n - 1n])).dataSync()], [2n ** 63n - 1n]);
  t.throws(() => tl.tensor(new BigUint64Array([1n, 2n ** 63n])), {
    instanceOf: RangeError,
    message: /9223372036854775808 does not fit int64/,
  });
  t.throws(() => tl.tensor([2n ** 63n]), { instanceOf: RangeError, message: /does not fit int64/ });
  t.throws(() => tl.tensor([-(2n ** 63n) - 1n]), { instanceOf: RangeError, message: /does not fit int64/ });
  t.throws(() => tl.tensor([1e19], null, { dtype: 'int64' }), {
    instanceOf: RangeError,
    message: /10000000000000000000 does not fit int64/,
  });
  t.throws(() => tl.tensor([1n, 0.5]), { instanceOf: RangeError, message: /whole numbers only/ });
  t.throws(() => tl.tensor([0.5, 1n]), { instanceOf: RangeError, message: /whole numbers only/ });
  t.throws(() => tl.tensor([1, 2 ** 31]), { instanceOf: RangeError, message: /2147483648 does not fit int32/ });
});

const halves = (globalThis as { Float16Array?: new (values: number[]) => tl.TypedArray }).Float16Array;
(halves === undefined ? test.skip : test)('a Float16Array is float16', (t) => {
  t.deepEqual(read(tl.tensor(new halves!([1.5, -2]))), ['float16', [2], [1.5, -2]]);
  t.deepEqual(read(tl.tensor([new halves!([1]), new halves!([2])])), ['float16', [2, 1], [[1], [2]]]);
});

test('what is no data is refused for what it is', (t) => {
  const shrinking: number[] = [1, 2, 3];
  Object.defineProperty(shrinking, 0, { get: () => ((shrinking.length = 1), 1) });
  const throwing = Object.defineProperty([1, 2], 1, {
    get: () => {
      throw new Error('mine');
    },
  });
  const revoked = Proxy.revocable([1], {});
  revoked.revoke();
  for (const [data, says] of [
    // oxlint-disable-next-line no-sparse-arrays -- holes are what is tested
    [[1, , 3], /got undefined/],
    [{ length: 2, 0: 1, 1: 2 }, /got an object with "length"|got an object with "0"/],
    ['12', /got the string "12"/],
    [['1', '2'], /got the string "1"/],
    [new Date(0), /got a Date/],
    [Object(5), /got a Number/],
    [[Object(5)], /got a Number/],
    [new Map(), /got a Map/],
    [new ArrayBuffer(8), /got an ArrayBuffer/],
    [new DataView(new ArrayBuffer(8)), /got a DataView/],
    [null, /got null/],
    [Symbol('s'), /got a symbol/],
    [() => 1, /got a function/],
    [[tl.tensor([1])], /got a Tensor/],
    [new Uint16Array(1), /bits of float16 or bfloat16/],
    [shrinking, /different lengths: 3 and 1/],
    [throwing, /^mine$/],
    [revoked.proxy, /cannot be read/],
    [[1, [2]], /different depths/],
    [[[1], 2], /different depths/],
    [[[1, 2], [3]], /axis 1 have different lengths: 2 and 1/],
  ] as const) {
    t.throws(() => tl.tensor(wrong(data)), { message: says }, String(says));
  }
  t.deepEqual(tl.tensor(new Proxy([1, 2], {})).array(), [1, 2]);
});

test('arrays that are all holes are not walked to their end', (t) => {
  const holes: unknown = Array.from({ length: 0 }, Number);
  (holes as number[]).length = 2 ** 32 - 1;
  const layer = tl.Dense(2);
  layer.init({ shape: [1, 2], dtype: 'float32' });
  const takes: Record<string, (x: never) => unknown> = {
    tensor: (x) => tl.tensor(x),
    zeros: (x) => tl.zeros(x),
    reshape: (x) => tl.ones([1]).reshape(x),
    slice: (x) => tl.ones([1]).slice(x, [1]),
    pad: (x) => tl.ones([1]).pad(x),
    concat: (x) => tl.concat(x),
    signature: (x) => tl.signature(x),
    init: (x) => layer.init(x),
    'a call': (x) => layer(x),
    'a call of two inputs': (x) => tl.Add()(x),
    weights: (x) => (layer.weights = x),
    series: (x) => tl.Serial(x),
    flatten: (x) => tl.tree.flatten(x),
    key: (x) => tl.random.bits(x),
  };
  for (const [where, take] of Object.entries(takes)) {
    const error = t.throws(() => take(wrong(holes)), undefined, where);
    t.true(error instanceof TypeError || error instanceof RangeError, `${where}: ${error.stack}`);
  }
  t.notThrows(() => tl.tidy(() => holes));
  t.notThrows(() => tl.dispose([holes]));
  const far = tl.ones([1]);
  if (Array.isArray(holes)) holes[4_000_000_000] = far;
  tl.dispose(holes);
  t.true(far.isDisposed);
});

/** An array that holds itself, and what is nested without end for a stack. */
function endless(): Record<string, unknown> {
  const cycle: unknown[] = [];
  cycle.push(cycle);
  const twice: unknown[] = [];
  twice.push(twice, twice);
  const object: Record<string, unknown> = {};
  object['self'] = [object];
  let deep: unknown = 1;
  for (let i = 0; i < 100_000; i++) deep = i % 2 === 0 ? [deep] : { deep };
  let list: unknown = [1];
  for (let i = 0; i < 100_000; i++) list = [list];
  let wide: unknown = [1];
  for (let i = 0; i < 60; i++) wide = [wide, wide];
  return { cycle, twice, object, deep, list, wide };
}

test('data without end is an error wherever data is taken', async (t) => {
  const layer = tl.Dense(2);
  layer.init({ shape: [1, 2], dtype: 'float32' });
  const trainer = new tl.Trainer(tl.Serial(tl.Dense(1), tl.L2Loss()), tl.optimizers.Adam());
  const takes: Record<string, (x: never) => unknown> = {
    'a layer': (x) => layer(x),
    weights: (x) => (layer.weights = x),
    state: (x) => (layer.state = x),
    pureFn: (x) => layer.pureFn([[1, 2]], x, []),
    'call options': (x) => layer([[1, 2]], { weights: x }),
    signature: (x) => tl.signature(x),
    init: (x) => layer.init(x),
    options: (x) => tl.Dense(2, { kernelInitializer: x }),
    'layers of a series': (x) => tl.Serial(x),
    flatten: (x) => tl.tree.flatten(x),
    map: (x) => tl.tree.map((leaf) => leaf, x),
    grad: (x) => tl.grad((y: tl.Tensor) => y.sum())(x),
    'outputs of vjp': (x) => tl.vjp((y: tl.Tensor) => [x, y][0]!, tl.ones([1])),
    'cotangents of vjp': (x) => tl.vjp((y: tl.Tensor) => [y, y], tl.ones([1]))[1](x),
    slots: (x) => (trainer.slots = x),
    'what a function returns': (x) => tl.Fn('F', (y: tl.Tensor) => wrong([x, y][0]))(tl.ones([1])),
  };
  for (const [what, x] of Object.entries(endless())) {
    for (const [where, take] of Object.entries(takes)) {
      // Its end is found by counting, which takes a while.
      if (what === 'wide' && !['flatten', 'weights', 'signature'].includes(where)) continue;
      const error = t.throws(() => take(wrong(x)), undefined, `${where} of ${what}`);
      t.true(error instanceof TypeError || error instanceof RangeError, `${where} of ${what}: ${error.stack}`);
      t.notRegex(error.message, /call stack|recursion|circular|Internal|defect/i, `${where} of ${what}`);
    }
    if (what !== 'wide') {
      await t.throwsAsync(
        trainer.fit([wrong(x)], { steps: 1, rng: [0, 1] }),
        { message: /^(?!.*call stack)/s },
        `fit of ${what}`,
      );
    }
  }
});

test('scopes walk whatever holds tensors, each object once', (t) => {
  class Holder {
    readonly [Symbol.toStringTag] = 'Holder';
    constructor(readonly inner: unknown) {}
  }
  const made: tl.Tensor[] = [];
  const fresh = (): tl.Tensor => {
    made.push(tl.tensor([made.length]));
    return made.at(-1)!;
  };
  const everywhere = (): unknown => {
    const cycle: Record<string, unknown> = { list: [fresh(), new Map([['k', fresh()]]), new Set([fresh()])] };
    cycle['self'] = cycle;
    cycle['holder'] = new Holder([cycle, new Map<object, unknown>([[fresh(), new Holder(fresh())]])]);
    return cycle;
  };
  const before = tl.memory().tensors;
  const kept = tl.tidy(() => {
    fresh();
    return everywhere();
  });
  t.deepEqual(
    made.map((x) => x.isDisposed),
    [true, false, false, false, false, false],
  );
  tl.dispose(kept);
  t.is(tl.memory().tensors, before);
  made.length = 0;
  tl.tidy(() => void tl.keep(everywhere()));
  t.deepEqual(
    made.map((x) => x.isDisposed),
    [false, false, false, false, false],
  );
  tl.dispose(made);
  for (const [what, x] of Object.entries(endless())) {
    if (what !== 'wide') t.notThrows(() => tl.tidy(() => x), what);
    t.notThrows(() => tl.keep(x), what);
    t.notThrows(() => tl.dispose(x), what);
  }
});

test('array() refuses what JavaScript has no room for', (t) => {
  const wide = tl.zeros([1], { dtype: 'uint8' });
  t.throws(() => wide.broadcastTo([100_000_001]).array(), {
    instanceOf: RangeError,
    message: /longer than 100000000 items; read its values with dataSync/,
  });
  t.throws(() => wide.broadcastTo([60_000, 60_000]).array(), {
    instanceOf: RangeError,
    message: /the heap of JavaScript has no room/,
  });
  t.throws(() => wide.broadcastTo(Array.from({ length: 65 }, () => 1)).array(), {
    instanceOf: RangeError,
    message: /deeper than 64 levels/,
  });
  t.deepEqual(tl.zeros([2, 0, 3]).array(), [[], []]);
  t.deepEqual(tl.arange(24).reshape([2, 3, 4]).index(1).array(), [
    [12, 13, 14, 15],
    [16, 17, 18, 19],
    [20, 21, 22, 23],
  ]);
});

test('nested arrays of any size end no process', async (t) => {
  // A tenth of what V8 takes into one array, under a heap of which it is most: values must not be collected in an array first.
  const program = `const tl = require('./src/index.ts');
     const row = Array.from({ length: 4000 }, (_, i) => i + 0.5);
     const x = tl.tensor(Array(4000).fill(row));
     console.log(x.shape, x.dtype, x.index(3999).dataSync()[3999]);`;
  const { code, output } = await run(process.execPath, ['--max-old-space-size=100', '--import=tsx', '-e', program]);
  t.is(code, 0, output);
  t.regex(output, /\[ 4000, 4000 \] float32 3999\.5/);
});
