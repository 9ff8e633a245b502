import test from 'ava';
import * as tl from '../../src/index.js';
import { close, f32, values } from '../support/values.js';
import { tensorOf, tensorsOf } from '../support/types.js';

const key: tl.Key = [0, 7];

test('Conv: shapes by padding and strides, weights as Trax nests them', (t) => {
  const layer = tl.Conv(8, [3, 3], { padding: 'SAME', strides: [2, 1] });
  const [weights] = layer.init(f32([2, 9, 7, 4]), { rng: key });
  t.deepEqual(
    tensorsOf(weights).map((w) => w.shape),
    [[3, 3, 4, 8], [8]],
  );
  t.deepEqual(layer(tl.ones([2, 9, 7, 4])).shape, [2, 5, 7, 8]);
  const [kernel] = tl.Conv(8, [3, 3], { useBias: false }).init(f32([1, 5, 5, 2]), { rng: key });
  t.deepEqual(tensorOf(kernel).shape, [3, 3, 2, 8]);
  t.is(layer.name, 'Conv');
});

test('AtariConvInit makes kernels within 1 / √(height · width · channels)', (t) => {
  const layer = tl.Conv(16, [3, 2], { kernelInitializer: tl.AtariConvInit });
  const [weights] = layer.init(f32([1, 5, 5, 4]), { rng: key });
  const [kernel] = tensorsOf(weights);
  const limit = 1 / Math.sqrt(3 * 2 * 4);
  const largest = kernel!.abs().max().item();
  t.true(largest <= limit && largest > 0.9 * limit, `${largest} of ${limit}`);
});

test('Conv computes a cross-correlation in any layout', (t) => {
  const image = tl
    .tensor([
      [1, 2, 3],
      [4, 5, 6],
      [7, 8, 9],
    ])
    .cast('float32');
  const kernel = tl
    .tensor([
      [1, 0],
      [0, 10],
    ])
    .cast('float32');
  const bias = tl.tensor([0.5], [], { dtype: 'float32' });
  const last = tl.Conv(1, [2, 2]);
  last.init(f32([1, 3, 3, 1]), { rng: key });
  last.weights = [kernel.reshape([2, 2, 1, 1]), bias];
  close(
    t,
    last(image.reshape([1, 3, 3, 1])).reshape([2, 2]),
    [
      [51.5, 62.5],
      [84.5, 95.5],
    ],
    1e-5,
  );
  const first = tl.Conv(1, [2, 2], {
    dimensionNumbers: ['NCHW', 'OIHW', 'NCHW'],
    padding: [
      [0, 0],
      [1, 0],
    ],
  });
  first.init(f32([1, 1, 3, 3]), { rng: key });
  first.weights = [kernel.reshape([1, 1, 2, 2]), bias];
  close(
    t,
    first(image.reshape([1, 1, 3, 3])).reshape([2, 3]),
    [
      [40.5, 51.5, 62.5],
      [70.5, 84.5, 95.5],
    ],
    1e-5,
  );
});

test('Conv1d, CausalConv and CausalDepthwiseConv on sequences', (t) => {
  const x = tl.random.normal(key, [2, 8, 4]);
  const conv = tl.Conv1d(6, 3, { stride: 2, padding: 'SAME' });
  conv.init(tl.signature(x), { rng: key });
  t.deepEqual(conv(x).shape, [2, 4, 6]);
  for (const causal of [tl.CausalConv(4, { kernelWidth: 3 }), tl.CausalDepthwiseConv({ kernelSize: 3 })]) {
    causal.init(tl.signature(x), { rng: key });
    const whole = causal(x);
    const start = causal(x.slice([0, 0, 0], [2, 5, 4]));
    t.deepEqual(whole.shape, [2, 8, 4]);
    close(t, whole.slice([0, 0, 0], [2, 5, 4]), values(start) as number[], 1e-5);
  }
});

test('ConvTranspose enlarges by its strides', (t) => {
  const layer = tl.ConvTranspose(3, [4, 4], { strides: [2, 2], padding: 'SAME' });
  layer.init(f32([1, 5, 6, 2]), { rng: key });
  t.deepEqual(layer(tl.ones([1, 5, 6, 2])).shape, [1, 10, 12, 3]);
  t.deepEqual(tl.ConvTranspose(3, [4, 3], { strides: [2, 4] }).outputSignature(f32([1, 5, 6, 2])), f32([1, 12, 24, 3]));
});

test('gradients flow to input and kernel', (t) => {
  const layer = tl.Conv(2, [2, 2]);
  const x = tl.ones([1, 3, 3, 1]);
  const [weights, state] = layer.init(tl.signature(x), { rng: key });
  const [w, b] = tensorsOf(weights);
  const [, pullback] = tl.vjp(
    (x: tl.Tensor, w: tl.Tensor, b: tl.Tensor) => layer.pureFn(x, [w, b], state)[0],
    x,
    w!,
    b!,
  );
  const [dx, dw, db] = pullback(tl.ones([1, 2, 2, 2]));
  t.deepEqual(dx!.shape, [1, 3, 3, 1]);
  close(t, dw!, tl.full([2, 2, 1, 2], 4).array(), 1e-6);
  close(t, db!, [4, 4], 1e-6);
});

test("what does not fit is refused in the caller's words", (t) => {
  t.throws(() => tl.Conv(3, [3, 3], { strides: [1] }), {
    message: /`strides` must have 2 entries, one for each spatial axis, got 1/,
  });
  t.throws(() => tl.Conv(3, [3, 3], { padding: 'CAUSAL' as 'SAME' }), {
    message: /`padding` must be 'VALID', 'SAME' or a list of pairs/,
  });
  t.throws(() => tl.Conv(3, [3, 3], { dimensionNumbers: ['NHWC', 'HWIO', 'NHW'] }), {
    message: /`dimensionNumbers` must name each axis of the output once/,
  });
  t.throws(() => tl.Conv(3, [0, 3]), { message: /`kernelSize` must be a list of whole numbers of at least 1/ });
  const layer = tl.Conv(3, [3, 3]);
  layer.init(f32([1, 5, 5, 2]), { rng: key });
  t.throws(() => layer(tl.ones([1, 2, 5, 2])), {
    message: /a window of \[3, 3\] does not fit in \[2, 5\]; use padding 'SAME'/,
  });
  t.throws(() => layer(tl.ones([1, 5, 5, 4])), { message: /number of channels is 4, weights were made for 2/ });
  t.throws(() => layer(tl.ones([5, 5])), { message: /an input in the layout 'NHWC' has 4 axes/ });
});
