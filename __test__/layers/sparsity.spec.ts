import test from 'ava';
import * as tl from '../../src/index.js';
import { close, f32, values, one } from '../support/values.js';
import { tensorsOf, wrong } from '../support/types.js';

const key: tl.Key = [0, 7];

test('SplitLastAxis and MergeLastTwoAxes undo one another', (t) => {
  const x = tl.random.normal(key, [2, 3, 8]);
  const parts = tl.SplitLastAxis(4)(x);
  t.deepEqual(parts.shape, [2, 3, 4, 2]);
  close(t, tl.MergeLastTwoAxes()(parts), values(x) as number[], 0);
  t.throws(() => tl.SplitLastAxis(3)(x), { message: /cannot be split into 3 equal parts/ });
});

test('FactoredDense, LocallyConnectedDense and LocallyConvDense stand in for Dense', (t) => {
  const x = tl.random.normal(key, [2, 3, 8]);
  for (const layer of [
    tl.FactoredDense(2, 8, 8),
    tl.LocallyConnectedDense(4, 2, { kernelSize: 3 }),
    tl.LocallyConvDense(4, 2, 'train', { kernelSize: 3 }),
  ]) {
    layer.init(tl.signature(x), { rng: key });
    t.deepEqual(layer(x).shape, [2, 3, 8]);
  }
  t.throws(() => tl.FactoredDense(3, 4, 8), { message: /`dOut` must be a multiple of `nModules`, got 8 and 3/ });
  t.throws(() => tl.LocallyConvDense(2, 3, 'train', { kernelSize: 2 }), { message: /`kernelSize` must be odd, got 2/ });
});

test('SparseDenseWithOptions stands in for Dense by each type', (t) => {
  const x = tl.random.normal(key, [2, 3, 8]);
  for (const sparsityType of ['mult', 'lowrank', 'einsum', 'local', 'local3', 'None', null] as const) {
    const layer = tl.SparseDenseWithOptions(6, { dInput: 8, sparsityType, sparsity: 2, dLowrank: 3 });
    layer.init(tl.signature(x), { rng: key });
    t.deepEqual(layer(x).shape, [2, 3, 6]);
  }
  t.throws(() => tl.SparseDenseWithOptions(6, { sparsityType: 'mult', sparsity: 4 }), {
    message: /`nUnits` must be a multiple of `sparsity`, got 6 and 4/,
  });
  t.throws(() => tl.SparseDenseWithOptions(6, { sparsityType: wrong('odd') }), {
    message: /`sparsityType` must be 'mult', .*, got "odd"/,
  });
  t.throws(() => tl.SparseDenseWithOptions(6, wrong({ sparse: 2 })), {
    message: /unknown option `sparse`.*did you mean/,
  });
});

test('RandomLayer takes one of two layers, by lot', (t) => {
  const x = tl.ones([2, 3]);
  const layer = tl.RandomLayer(
    tl.Negate(),
    tl.Fn('Twice', (x: tl.Tensor) => x.mul(2)),
    0.25,
  );
  const drawn = Array.from({ length: 200 }, (_, i) =>
    one(layer(x, { rng: [7, i] }))
      .max()
      .item(),
  );
  const share = drawn.filter((y) => y === -1).length / drawn.length;
  t.true(drawn.every((y) => y === -1 || y === 2));
  t.true(Math.abs(share - 0.25) < 0.1, `${share}`);
});

test('sparse feed-forward layers compute in predict mode what they compute in eval mode', (t) => {
  const x = tl.random.normal(key, [2, 3, 8]);
  const layers = [
    tl.SparseFF(16, { nElementsInBlock: 4, dLowrank: 3, mode: 'eval' }),
    tl.BlockSparseFF(16, { nExperts: 4, mode: 'eval' }),
    tl.SwitchSparseFF(16, { nExperts: 4, mode: 'eval' }),
  ];
  for (const layer of layers) {
    layer.init(tl.signature(x), { rng: key });
    close(t, layer.withMode('predict')(x), values(layer(x)) as number[], 1e-5);
  }
});

test('sparse causal attention sees nothing later, and predicts step by step what it computes at once', (t) => {
  const x = tl.random.normal(key, [2, 5, 6]);
  const common = { nHeads: 2, mode: 'eval' } as const;
  const layers = [
    tl.ModularCausalAttention(6, { ...common, sparsity: 3, kernelSize: 3 }),
    tl.ConvCausalAttention(6, common),
    tl.LowRankCausalAttention(6, { ...common, lowrank: 2 }),
    tl.MultiplicativeCausalAttention(6, common),
    tl.MultiplicativeModularCausalAttention(6, common),
    tl.MultiplicativeConvCausalAttention(6, { ...common, outputLayerType: 'multconv', vConcatType: 'fixed' }),
  ];
  for (const layer of layers) {
    layer.init(tl.signature(x), { rng: key });
    const whole = layer(x);
    const before = layer(x.slice([0, 0, 0], [2, 3, 6]));
    close(t, before, values(whole.slice([0, 0, 0], [2, 3, 6])) as number[], 1e-5);
    const predict = layer.withMode('predict');
    const steps = Array.from({ length: 5 }, (_, i) => predict(x.slice([0, i, 0], [2, i + 1, 6])));
    close(t, tl.concat(steps, 1), values(whole) as number[], 1e-5);
  }
  t.throws(() => tl.MultiplicativeCausalAttention(6, { sparsity: 4 }), {
    message: /`dFeature` must be a multiple of `sparsity`, got 6 and 4/,
  });
  t.throws(() => tl.ConvCausalAttention(6, { nHeads: 4 }), { message: /ConvCausalAttention: .*4 heads/ });
});

test('FavorAttention comes near to softmax attention with many features', (t) => {
  const [q, k, v] = tensorsOf(
    [1, 2, 3].map((seed) => tl.random.normal(tl.random.key(seed), [2, 6, 4]).mul(0.4)),
    3,
  );
  const softmax = q
    .matmul(k.transpose([0, 2, 1]))
    .div(2)
    .softmax(-1)
    .matmul(v);
  const far = (nRandomFeatures: number): number => {
    const layer = tl.FavorAttention({
      dFeature: 4,
      nRandomFeatures,
      useApproximateSoftmax: true,
      normalizeData: true,
      epsilon: 0,
    });
    const [y] = layer([q, k, v, tl.ones([2, 1, 1, 6])]);
    return y!.sub(softmax).abs().max().item();
  };
  t.true(far(4096) < 0.05, `${far(4096)}`);
  t.true(far(8) > far(4096));
});

test('Favor: scaleByNorm is yes or no, also as the number that the reference writes', (t) => {
  const x = tl.random.normal(tl.random.key(1), [1, 3, 4]);
  const mask = tl.ones([1, 1, 1, 3]);
  const favor = (scaleByNorm: boolean | 0 | 1): unknown => {
    const layer = tl.Favor(4, { nRandomFeatures: 3, useApproximateSoftmax: true, scaleByNorm });
    layer.init(tl.signature([x, mask]), { rng: tl.random.key(0) });
    return layer([x, mask])[0]!.array();
  };
  t.deepEqual(favor(1), favor(true));
  t.deepEqual(favor(0), favor(false));
  t.notDeepEqual(favor(1), favor(0));
  t.throws(() => tl.Favor(4, { scaleByNorm: 2 as 1 }), { message: /`scaleByNorm` must be true, false, 1 or 0, got 2/ });
});

test('FavorAttention: masked keys are not seen, and where all are the result is 0', (t) => {
  const x = tl.random.normal(key, [2, 3, 4]);
  for (const useApproximateSoftmax of [false, true]) {
    const layer = tl.FavorAttention({ dFeature: 4, useApproximateSoftmax });
    const attend = (x: tl.Tensor): tl.Tensor =>
      layer([
        x,
        x,
        x,
        tl.tensor([
          [1, 1, 0],
          [0, 0, 0],
        ]),
      ])[0]!;
    const y = attend(x);
    t.deepEqual(y.slice([1, 0, 0], [2, 3, 4]).array(), tl.zeros([1, 3, 4]).array());
    close(
      t,
      y.slice([0, 0, 0], [1, 2, 4]),
      values(
        layer([
          x,
          x,
          x,
          tl.tensor([
            [1, 1, 0],
            [1, 1, 0],
          ]),
        ])[0]!.slice([0, 0, 0], [1, 2, 4]),
      ) as number[],
      0,
    );
    const grads = tl.grad((x: tl.Tensor) => attend(x).sum())(x);
    t.true(Number.isFinite(grads.sum().item()));
  }
  t.throws(() => tl.FavorAttention({ nHeads: 2 })([x, x, x, tl.ones([2, 3])]), { message: /does not mask the keys/ });
  t.throws(() => tl.FavorAttention({ dFeature: 8, useApproximateSoftmax: true })([x, x, x, tl.ones([2, 3])]), {
    message: /heads are 4 deep, but dFeature . nHeads is 8/,
  });
});

test('CausalFavor sees nothing later, and predicts step by step what it computes at once', (t) => {
  const x = tl.random.normal(key, [2, 80, 6]);
  const layer = tl.CausalFavor(6, { nHeads: 2, mode: 'eval' });
  layer.init(tl.signature(x), { rng: key });
  const whole = layer(x);
  close(t, layer(x.slice([0, 0, 0], [2, 30, 6])), values(whole.slice([0, 0, 0], [2, 30, 6])) as number[], 1e-5);
  const predict = layer.withMode('predict');
  const pieces = [
    [0, 1],
    [1, 2],
    [2, 70],
    [70, 80],
  ] as const;
  const steps = pieces.map(([from, to]) => predict(x.slice([0, from, 0], [2, to, 6])));
  close(t, tl.concat(steps, 1), values(whole) as number[], 1e-5);
});

test('LocallyConvDense goes on where the call before ended in predict mode', (t) => {
  const x = tl.random.normal(key, [1, 5, 6]);
  const layer = tl.LocallyConvDense(3, 2, 'eval', { kernelSize: 3, lengthKernelSize: 3 });
  layer.init(tl.signature(x), { rng: key });
  const whole = layer(x);
  const predict = layer.withMode('predict');
  const steps = Array.from({ length: 5 }, (_, i) => predict(x.slice([0, i, 0], [1, i + 1, 6])));
  close(t, tl.concat(steps, 1), values(whole) as number[], 1e-5);
  t.deepEqual(layer.outputSignature(f32([1, 5, 6])), f32([1, 5, 6]));
});

test('AttentionQKV takes sparse projections', (t) => {
  const x = tl.random.normal(key, [1, 4, 8]);
  const layer = tl.AttentionQKV(8, { nHeads: 2, qSparsity: 2, resultSparsity: 4, mode: 'eval' });
  const inputs = [x, x, x, tl.ones([1, 1, 1, 4])];
  layer.init(tl.signature(inputs), { rng: key });
  t.deepEqual(layer(inputs)[0]!.shape, [1, 4, 8]);
});
