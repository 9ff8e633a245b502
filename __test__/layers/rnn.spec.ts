import test from 'ava';
import * as tl from '../../src/index.js';
import { f32 } from '../support/values.js';

const key: tl.Key = [0, 7];
const normal = (...shape: number[]): tl.Tensor => tl.random.normal(key, shape);
const close = (a: tl.Tensor, b: tl.Tensor, tolerance = 1e-5): boolean => a.sub(b).abs().max().item() < tolerance;

test('LSTM: names, shapes, weights as Trax nests them', (t) => {
  const layer = tl.LSTM(5);
  t.is(layer.toString(), 'LSTM_5');
  t.deepEqual([layer.nIn, layer.nOut], [1, 1]);
  const [weights] = layer.init(f32([2, 4, 3]), { rng: key });
  t.deepEqual(
    tl.tree.leaves(weights).map((w) => w.shape),
    [[8, 20], [20]],
  );
  t.deepEqual(layer(normal(2, 4, 3)).shape, [2, 4, 5]);
});

test('LSTM: state in and out', (t) => {
  const layer = tl.LSTM(2, { initialState: true, returnState: true });
  t.deepEqual([layer.nIn, layer.nOut], [2, 2]);
  const x = normal(3, 4, 6);
  layer.init([f32([3, 4, 6]), f32([3, 4])], { rng: key });
  const [all, last] = layer([x, tl.zeros([3, 4])]);
  // The last state is what the last step gave: its second half the hidden values.
  t.true(close(all!.slice([0, 3], [3, 4]).reshape([3, 2]), last!.slice([0, 2], [3, 4])));
  const [first, middle] = layer([x.slice([0, 0], [3, 2]), tl.zeros([3, 4])]);
  const [second] = layer([x.slice([0, 2], [3, 4]), middle!]);
  t.true(close(tl.concat([first!, second!], 1), all!));
});

for (const [name, make] of [
  ['LSTM', tl.LSTM],
  ['GRU', tl.GRU],
  ['SRU', tl.SRU],
] as const) {
  test(`${name}: one step at a time gives what the whole sequence gives`, (t) => {
    const layer = make(4);
    const x = normal(2, 5, 3);
    layer.init(f32([2, 5, 3]), { rng: key });
    const whole = layer(x);
    t.deepEqual(whole.shape, [2, 5, 4]);
    const predict = layer.withMode('predict');
    const steps = Array.from({ length: 5 }, (_, i) => predict(x.slice([0, i], [2, i + 1])));
    t.true(close(tl.concat(steps, 1), whole));
  });

  test(`${name}: reads both ways in Bidirectional`, (t) => {
    const layer = tl.Bidirectional(make(3));
    layer.init(f32([2, 4, 3]), { rng: key });
    t.deepEqual(layer(normal(2, 4, 3)).shape, [2, 4, 6]);
  });

  test(`${name}: gradients reach inputs and weights`, (t) => {
    const layer = make(3);
    const [weights, state] = layer.init(f32([2, 4, 2]), { rng: key });
    const loss = (x: tl.Tensor, w: tl.Tree<tl.Tensor>): tl.Tensor => layer.pureFn(x, w, state)[0].square().sum();
    const [gx, gw] = tl.grad(loss, { argnums: [0, 1] })(normal(2, 4, 2), weights);
    t.deepEqual(gx.shape, [2, 4, 2]);
    t.true(gx.abs().sum().item() > 0);
    t.true(tl.tree.leaves(gw).every((g) => g.abs().sum().item() > 0));
  });
}

test('GeneralGRUCell drops in training alone', (t) => {
  const cell = tl.GeneralGRUCell(() => tl.Dense(50), { dropoutRateC: 0.5 });
  cell.init(f32([2, 50]), { rng: key });
  const x = normal(2, 50);
  t.false(close(cell(x, { rng: [0, 1] }), cell(x, { rng: [0, 2] })));
  const evaluated = cell.withMode('eval');
  t.true(close(evaluated(x, { rng: [0, 1] }), evaluated(x, { rng: [0, 2] }), 1e-12));
});

test('ConvGRUCell keeps the shape of its state, with kernels of any size', (t) => {
  const cell = tl.ConvGRUCell(3, { kernelSize: [1, 3], mode: 'eval' });
  const [weights] = cell.init(f32([2, 4, 5, 3]), { rng: key });
  t.deepEqual(
    tl.tree.leaves(weights).map((w) => w.shape),
    [[1, 3, 3, 3], [3], [1, 3, 3, 3], [3], [1, 3, 3, 3], [3]],
  );
  t.deepEqual(cell(normal(2, 4, 5, 3)).shape, [2, 4, 5, 3]);
  const error = t.throws(() => cell.init(f32([2, 4, 5, 2])), { code: 'ShapeMismatch' });
  t.regex(error.message, /float32\[2,4,5,3\] and float32\[2,4,5,2\] do not broadcast/);
  const broadcast = tl.ConvGRUCell(3, { mode: 'eval' });
  broadcast.init(f32([2, 4, 5, 1]), { rng: key });
  t.deepEqual(broadcast(normal(2, 4, 5, 1)).shape, [2, 4, 5, 3]);
});

test('errors name the layer, the option and the shapes', (t) => {
  t.throws(() => tl.LSTM(0), { message: /`nUnits` must be a whole number of at least 1, got 0/ });
  t.throws(() => tl.ScanSRUCell('train', { monkeyPatchedMask: tl.Weights(tl.RandomNormalInitializer()) }), {
    message: /'predict' alone/,
  });
  const layer = tl.GRU(4);
  layer.init(f32([2, 3, 5]), { rng: key });
  t.throws(() => layer(normal(2, 3, 6)), { message: /GRU_4 > Scan > GRUCell.*weights were made for 9/ });
  const scan = tl.ScanSRUCell('eval');
  t.throws(() => scan([normal(2, 3, 4), normal(2, 5, 4), normal(2, 4)]), {
    message: /Scan.*float32\[2,3,4\] and float32\[2,5,4\]/,
  });
});
