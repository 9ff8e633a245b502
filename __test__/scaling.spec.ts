import test from 'ava';
import * as tl from 'tallow';
import {
  bytesSent,
  exchangeSeconds,
  flopsPerToken,
  lastThatPays,
  models,
  pipelineEfficiency,
  sequenceBytes,
  shown,
  step,
  weights,
} from '../bench/scaling.js';
import rates from '../bench/scaling.json';

const tiny = { name: 'tiny', vocab: 10, dModel: 4, dFf: 8, layers: 2, length: 6 };
const rate = { source: 'round numbers', flops: 1e6, latency: 1e-3, bandwidth: 1e6, overlap: 0 };
const near = (a: number, b: number) => Math.abs(a - b) <= 1e-12 * Math.abs(b);

test('weights are those of the model', (t) => {
  const small = models[0]!;
  const { vocab, dModel, dFf, layers: nLayers, length: maxLen } = small;
  for (const [wanted, model] of [
    [weights(small), tl.models.TransformerLM(vocab, { dModel, dFf, nLayers, nHeads: 4, maxLen })],
    [weights(tiny), tl.models.TransformerLM(10, { dModel: 4, dFf: 8, nLayers: 2, nHeads: 2, maxLen: 6 })],
  ] as const) {
    model.init({ shape: [1, 4], dtype: 'int32' }, { rng: tl.random.key(0) });
    t.is(tl.summary(model, { shape: [1, 4], dtype: 'int32' }).weights, wanted);
  }
});

test('operations, bytes and seconds follow the formulas of docs/scaling.md', (t) => {
  // 2 layers of 4 · 16 + 2 · 32, and 40 at the end, are in products; attention looks at 3 of 6 tokens.
  t.is(flopsPerToken(tiny), 6 * (2 * (64 + 64) + 40 + 2 * 2 * 4 * 3));
  t.is(bytesSent(tiny, 1), 0);
  t.is(bytesSent(tiny, 4), 1.5 * 4 * weights(tiny));
  t.true(near(exchangeSeconds(tiny, 4, rate), 6e-3 + bytesSent(tiny, 4) / 1e6));
  const { compute, exchange, seconds, efficiency } = step(tiny, 4, 5, rate);
  t.true(near(compute, (5 * 6 * flopsPerToken(tiny)) / 1e6));
  t.true(near(seconds, compute + exchange) && near(efficiency, compute / seconds));
});

test('an exchange beside the backward pass is hidden as far as that is long enough', (t) => {
  const hidden = step(tiny, 4, 5, { ...rate, overlap: 1 });
  t.is(hidden.efficiency, 1);
  const slow = { ...rate, bandwidth: 1e4, overlap: 0.5 };
  const { compute, exchange, seconds } = step(tiny, 4, 5, slow);
  t.true(near(seconds, compute + exchange - compute / 3));
});

test('ranks stop paying where they exchange for longer than they compute', (t) => {
  const slow = { ...rate, flops: 1e7, latency: 1e-4 };
  const last = lastThatPays(tiny, 1024, slow);
  t.true(step(tiny, last, 1024 / last, slow).efficiency >= 0.5);
  t.true(step(tiny, 2 * last, 1024 / last / 2, slow).efficiency < 0.5);
  t.is(lastThatPays(tiny, 16, { ...slow, bandwidth: 1e15, latency: 0 }), 16);
});

test('pipelines and shared sequences', (t) => {
  t.is(pipelineEfficiency(4, 12), 0.8);
  t.is(pipelineEfficiency(1, 1), 1);
  t.is(sequenceBytes(tiny, 1, 3), 0);
  t.is(sequenceBytes(tiny, 2, 3), 4 * 2 * 3 * 6 * 4 * 4 * 0.5);
});

test('seconds in units that are easy to read, and rates that say where they are from', (t) => {
  t.deepEqual([0.0123, 12.3, 1200].map(shown), ['12.3 ms', '12.3 s', '20.0 min']);
  for (const given of Object.values(rates)) t.regex(given.source, /measured|assumed/i);
});
