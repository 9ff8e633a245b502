import test from 'ava';
import * as tl from '../../src/index.js';
import { close, f32, values } from '../support/values.js';

const key: tl.Key = [0, 7];
const mask: tl.Signature = { shape: [1, 1, 1, 4], dtype: 'bool' };

function largest(a: tl.Tensor, b: tl.Tensor): number {
  return a.sub(b).abs().max().item();
}

function positions(y: tl.Tensor, from: number, to: number): tl.Tensor {
  return y.slice([0, from], [null, to]);
}

test('Attention returns activations and the mask, with weights nested as in Trax', (t) => {
  const layer = tl.Attention(8, { nHeads: 2, mode: 'eval' });
  t.deepEqual([layer.nIn, layer.nOut], [2, 2]);
  t.deepEqual(layer.outputSignature([f32([1, 4, 8]), mask]), [f32([1, 4, 8]), mask]);
  const [weights] = layer.init([f32([1, 4, 8]), mask], { rng: key });
  const shapes = tl.tree.leaves(weights).map((w) => w.shape);
  t.deepEqual(
    shapes,
    [0, 1, 2, 3].flatMap(() => [[8, 8], [8]]),
  );
});

test('masked positions do not count', (t) => {
  const layer = tl.Attention(8, { nHeads: 2, mode: 'eval' });
  layer.init([f32([1, 4, 8]), mask], { rng: key });
  const x = tl.random.normal(key, [1, 4, 8]);
  const keep = tl.tensor([true, true, true, false]).reshape([1, 1, 1, 4]);
  const other = tl.concat([x.slice([0, 0], [null, 3]), tl.random.normal([0, 8], [1, 1, 8])], 1);
  const [a, b] = [x, other].map((input) => positions(layer([input, keep])[0]!, 0, 3));
  t.true(largest(a!, b!) < 1e-6);
  const all = tl.ones([1, 1, 1, 4]).cast('bool');
  t.true(largest(positions(layer([x, all])[0]!, 0, 3), positions(layer([other, all])[0]!, 0, 3)) > 1e-3);
});

test('causal attention sees nothing of what comes later', (t) => {
  const layer = tl.CausalAttention(8, { nHeads: 2, mode: 'eval' });
  layer.init(f32([1, 4, 8]), { rng: key });
  const x = tl.random.normal(key, [1, 4, 8]);
  const other = tl.concat([x.slice([0, 0], [null, 2]), tl.random.normal([0, 8], [1, 2, 8])], 1);
  const [a, b] = [layer(x), layer(other)];
  t.true(largest(positions(a, 0, 2), positions(b, 0, 2)) < 1e-6);
  t.true(largest(positions(a, 2, 4), positions(b, 2, 4)) > 1e-3);
});

test('prediction step by step gives what evaluation gives at once', (t) => {
  const layer = tl.CausalAttention(8, { nHeads: 2, mode: 'eval', maxInferenceLength: 6 });
  layer.init(f32([2, 5, 8]), { rng: key });
  const x = tl.random.normal(key, [2, 5, 8]);
  const whole = layer(x);
  const predict = layer.withMode('predict');
  const before = values(layer.weights);
  for (let i = 0; i < 5; i++) {
    const y = predict(x.slice([0, i], [null, i + 1]));
    t.true(largest(y, whole.slice([0, i], [null, i + 1])) < 1e-5, `step ${i}`);
  }
  t.deepEqual(values(layer.weights), before);
});

test('heads are split and merged', (t) => {
  const x = tl.arange(0, 24).reshape([1, 3, 8]).cast('float32');
  const split = tl.SplitIntoHeads(2)(x);
  t.deepEqual(split.shape, [2, 3, 4]);
  t.deepEqual(tl.MergeHeads(2)(split).array(), x.array());
});

test('ShiftRight, PaddingMask, PositionalEncoding', (t) => {
  t.deepEqual(
    tl
      .ShiftRight()(tl.tensor([[1, 2, 3]]))
      .array(),
    [[0, 1, 2]],
  );
  t.deepEqual(
    tl
      .PaddingMask()(tl.tensor([[4, 0]]))
      .array(),
    [[[[true, false]]]],
  );
  const layer = tl.PositionalEncoding({ maxLen: 8, mode: 'eval' });
  layer.init(f32([1, 3, 4]), { rng: key });
  close(t, layer(tl.zeros([1, 1, 4])), [[[0, 1, 0, 1]]]);
});

test('callAsync equals the call', async (t) => {
  const layer = tl.CausalAttention(8, { nHeads: 4, mode: 'eval' });
  layer.init(f32([2, 5, 8]), { rng: key });
  const x = tl.random.normal(key, [2, 5, 8]);
  t.deepEqual((await layer.callAsync(x)).array(), layer(x).array());
});
