import test, { type ExecutionContext } from 'ava';
import * as tl from '../../src/index.js';
import { close, f32, values, one } from '../support/values.js';
import { tensorOf, tensorsOf, wrong } from '../support/types.js';

const key: tl.Key = [0, 7];

/** Asserts equality up to float32 rounding. */
const same = (t: ExecutionContext, a: tl.Tensor, b: tl.Tensor): void => close(t, a, b.array(), 1e-5);

const mlp = (): tl.Layer => tl.Serial(tl.Dense(6), tl.Tanh(), tl.LayerNorm(), tl.Dense(2));

test('Accelerate computes what the layer computes, in values and gradients, for even and uneven batches', (t) => {
  for (const [batch, nDevices] of [
    [6, 1],
    [6, 2],
    [7, 2],
    [5, 4],
    [1, 3],
  ] as const) {
    const layer = mlp();
    const fast = tl.Accelerate(layer, { nDevices });
    t.is(fast.toString().split('\n')[0], 'Accelerate[');
    const x = tl.random.normal([1, batch], [batch, 5]);
    const [weights, state] = layer.init(tl.signature(x), { rng: key });
    t.deepEqual(values(fast.weights), values(weights), 'weights are the layer’s own');
    same(t, one(fast(x)), one(layer(x)));
    t.deepEqual(fast.outputSignature(tl.signature(x)), { shape: [batch, 2], dtype: 'float32' });
    const gradients = (f: tl.Layer): tl.Tensor[] => {
      const [y, pullback] = tl.vjp(
        (x: tl.Tensor, w: tl.Tree<tl.Tensor>) => one(f.pureFn(x, w, state, key)[0]).square(),
        x,
        weights,
      );
      return tl.tree.leaves(pullback(tl.onesLike(y)) as tl.Tree<tl.Tensor>);
    };
    const [a, b] = [gradients(fast), gradients(layer)];
    t.is(a.length, 7);
    a.forEach((g, i) => same(t, g, b[i]!));
  }
});

test('Accelerate un-pads several inputs and outputs; numbers become a vector of one from each device', (t) => {
  const [x, y] = [tl.random.normal([0, 1], [5, 2]), tl.random.normal([0, 2], [5, 2])];
  t.deepEqual(
    tl
      .Accelerate(tl.Swap(), { nDevices: 2 })([x, y])
      .map((v) => v.array()),
    [y.array(), x.array()],
  );
  const means = tl.Accelerate(tl.Mean({ axis: null }), { nDevices: 2 })(
    tl.tensor([[1], [3], [5], [9]]).cast('float32'),
  );
  t.deepEqual(means.array(), [2, 7]);
  t.deepEqual(tl.Accelerate(tl.Tanh(), { nDevices: 2 })(tl.zeros([0, 3])).shape, [0, 3]);
});

test('each device draws from its own key', (t) => {
  const dropout = tl.Dropout({ rate: 0.5 });
  const x = tl.ones([4, 8]);
  dropout.init(tl.signature(x), { rng: key });
  const y = tl.Accelerate(dropout, { nDevices: 2 })(x, { rng: key });
  const halves = tl.random
    .split(key, 2)
    .split(2)
    .map((k, i) => dropout(x.slice([2 * i, 0], [2 * i + 2, 8]), { rng: k.reshape([2]) }));
  t.deepEqual(y.array(), tl.concat(halves, 0).array());
});

test('layers that call JavaScript work in it, called at once and not', async (t) => {
  const fast = tl.Accelerate(
    tl.Serial(
      tl.Fn('Square', (x: tl.Tensor) => x.square()),
      tl.Dense(2),
    ),
    { nDevices: 2 },
  );
  const x = tl.random.normal([0, 3], [3, 4]);
  fast.init(tl.signature(x), { rng: key });
  const plain = fast.sublayers[0]!;
  same(t, fast(x), one(plain(x)));
  same(t, await fast.callAsync(x), one(plain(x)));
  const [, pullback] = tl.vjp((v) => fast(v), x);
  const [, expected] = tl.vjp((v) => plain(v), x);
  same(t, tensorOf(pullback(tl.ones([3, 2]))[0]), tensorOf(expected(tl.ones([3, 2]))[0]));
});

test('a pullback can be called twice', (t) => {
  const fast = tl.Accelerate(tl.Dense(2), { nDevices: 2 });
  const x = tl.random.normal([0, 3], [4, 4]);
  fast.init(tl.signature(x), { rng: key });
  const [, pullback] = tl.vjp((v) => fast(v), x);
  const [a, b] = [pullback(tl.ones([4, 2])), pullback(tl.ones([4, 2]))] as [[tl.Tensor], [tl.Tensor]];
  t.deepEqual(a[0].array(), b[0].array());
});

test('what is learned is averaged over devices', (t) => {
  const layer = tl.BatchNorm({ axis: [0] });
  const fast = tl.Accelerate(layer, { nDevices: 2 });
  const x = tl.random.normal([0, 4], [6, 3]);
  const [weights, state] = fast.init(tl.signature(x), { rng: key });
  const [, whole] = fast.pureFn(x, weights, state, key);
  const halves = [0, 3].map((from) =>
    tensorsOf(layer.pureFn(x.slice([from, 0], [from + 3, 3]), weights, state, key)[1]),
  );
  for (const i of [0, 1]) same(t, tensorsOf(whole)[i]!, halves[0]![i]!.add(halves[1]![i]!).mul(0.5));
});

test('what cannot be split is refused', (t) => {
  t.throws(() => tl.Accelerate(tl.Dense(2), { nDevices: 0 }), {
    message: /`nDevices` must be a whole number of at least 1, got 0/,
  });
  const add = tl.Accelerate(tl.Add(), { nDevices: 2 });
  const error = t.throws(() => add([tl.ones([3, 1]), tl.ones([2, 1])]), { instanceOf: tl.LayerError });
  t.is(error?.code, 'ShapeMismatch');
  t.throws(() => tl.Accelerate(tl.Tanh(), { nDevices: 2 })(tl.tensor(1.5)), {
    message: /along their first axis, but float32\[\] has no axes/,
  });
});

test('reshapeByDevice, forNDevices and meanOrPmean; onCpu and onAccelerator give what they are given', (t) => {
  const x = tl.tensor([
    [1, 2],
    [3, 4],
    [5, 6],
    [7, 8],
  ]);
  t.deepEqual(tl.reshapeByDevice(x, 2).array(), [
    [
      [1, 2],
      [3, 4],
    ],
    [
      [5, 6],
      [7, 8],
    ],
  ]);
  t.deepEqual(
    tl.reshapeByDevice([x, x], 4).map((v) => v.shape),
    [
      [4, 1, 2],
      [4, 1, 2],
    ],
  );
  t.throws(() => tl.reshapeByDevice(x, 3), { message: /3 devices do not divide the batch size 4/ });
  t.deepEqual(tl.forNDevices(tl.tensor([1, 2]), 3).array(), [
    [1, 2],
    [1, 2],
    [1, 2],
  ]);
  t.deepEqual(tl.forNDevices(tl.tensor([1, 2]), 1).array(), [1, 2]);
  t.deepEqual([tl.meanOrPmean(2, x).item(), tl.meanOrPmean(2, x, { axis: 0 }).array()], [4.5, [4, 5]]);
  t.deepEqual([tl.onCpu(x).array(), tl.onAccelerator(x).array()], [x.array(), x.array()]);
});

test('jitForward runs a forward function for each device', (t) => {
  const layer = tl.Dense(3);
  const x = tl.random.normal([0, 5], [4, 2]);
  const [weights, state] = layer.init(tl.signature(x), { rng: key });
  const forward = (x: tl.Tensor, w: tl.Nest, s: tl.Nest, rng: tl.Tensor): [tl.Tensor, tl.Nest] =>
    layer.pureFn(x, w, s, rng);
  const replicated = tl.forNDevices(wrong(weights), 2);
  const [y] = tl.jitForward(forward, 2, { doMean: false })(x, replicated, state, key);
  same(t, one(y), layer(x));
  same(t, one(tl.jitForward(forward, 2)(x, replicated, state, key)[0]), layer(x).mean({ axis: 0 }));
  same(t, one(tl.acceleration.jitForward(forward, 1)(x, weights, state, key)[0]), layer(x));
  t.throws(() => tl.jitForward(forward, 2)(x, weights, state, key), {
    message: /weights of shape \[3\] have no slice for each of 2 devices/,
  });
  t.throws(
    () =>
      tl.jitForward(
        wrong(() => 3),
        1,
      )(x, weights, state, key),
    {
      message: /must return \[outputs, new state\]/,
    },
  );
});

/** What devices draw in step below `path`, which leads from a device's key to the layer's. */
const inStep = (path: (key: tl.Tensor) => tl.Tensor, shape: number[]): tl.Tensor => {
  const [a, b] = tl.random
    .split(key, 2)
    .split(2)
    .map((k) => path(k.reshape([2])).dataSync());
  const words = Uint32Array.from([0, 1], (i) => Number(a![i]) + Number(b![i]));
  return tl.random.uniform(words, shape);
};

test('devices draw in step where they are asked to, by the sum of their keys', (t) => {
  for (const host of [false, true]) {
    const noise = tl.Serial(
      host ? tl.Fn('Same', (x: tl.Tensor) => x) : tl.Relu(),
      tl.RandomUniform({ shape: [2, 3], sync: true }),
      tl.Add(),
    );
    const common = inStep((k) => tl.random.split(k, 3).slice([1, 0], [2, 2]).reshape([2]), [2, 3]);
    const y = tl.Accelerate(noise, { nDevices: 2 })(tl.zeros([4, 3]), { rng: key });
    t.deepEqual(y.array(), tl.concat([common, common], 0).array());
  }
  const draw = tl.RandomUniform({ shape: [3], sync: true });
  t.deepEqual(draw([], { rng: key }).array(), tl.random.uniform(key, [3]).array(), 'alone it draws by its own key');
});

test('the devices of a trainer draw in step too', (t) => {
  // The loss is the mean of what the devices draw, and of what they are given: one weight, 0.
  const loss = tl.Serial(
    tl.Dense(1, { kernelInitializer: tl.RandomNormalInitializer({ stddev: 0 }), useBias: false }),
    tl.Mean({ axis: null }),
    tl.RandomUniform({ sync: true }),
    tl.Add(),
  );
  loss.init(f32([2, 2]), { rng: key });
  const trainer = new tl.Trainer(loss, tl.optimizers.Adam(), { nDevices: 2 });
  close(t, tl.tensor([trainer.oneStep([tl.ones([4, 2])], key)[0]]), [
    inStep((k) => tl.random.split(k, 4).slice([2, 0], [3, 2]).reshape([2]), []).item(),
  ]);
});
