/** What the mode of a layer changes: classes that look at it, copies in another mode, what predict mode remembers. */
import test from 'ava';
import * as tl from '../../src/index.js';
import { f32, values, one } from '../support/values.js';
import { instanceOf, tensorOf, wrong } from '../support/types.js';

const key = tl.random.key(5);
const far = (a: tl.Tensor, b: tl.Tensor): number => a.sub(b).abs().max().item();
const code = (layer: tl.Mode): number => ['train', 'eval', 'predict', 'viz'].indexOf(layer);

/** Adds 10 in mode 'train', 11 in 'eval', 12 in 'predict'; remembers in its weights the mode that it was initialized in. */
class Told extends tl.Layer {
  override initWeightsAndState() {
    this.weights = tl.tensor([code(this.mode)]);
  }
  override forward(x: tl.Tensor) {
    return x.add(10 + code(this.mode));
  }
}

class ToldPure extends tl.PureLayer {
  constructor(options: { mode?: tl.Mode } = {}) {
    super((x: tl.Tensor) => x, options);
  }
  override forward(x: tl.Tensor) {
    return x.add(10 + code(this.mode));
  }
}

class ToldReversible extends tl.ReversibleLayer {
  constructor() {
    super({ nIn: 2, nOut: 2 });
  }
  override forward([x, y]: tl.Tensor[]) {
    return [x!.add(10 + code(this.mode)), y!];
  }
  override reverse([x, y]: tl.Tensor[]) {
    return [x!.sub(10 + code(this.mode)), y!];
  }
}

const zero = tl.zeros([2, 1, 1]);

test('a class learns the mode it runs in, wherever it stands', (t) => {
  const around: Record<string, (layer: tl.Layer) => tl.Layer> = {
    alone: (l) => l,
    Serial: (l) => tl.Serial(tl.Serial(l)),
    Branch: (l) => tl.Serial(tl.Branch(l, null), tl.Select([0], { nIn: 2 })),
    Residual: (l) => tl.Residual(l),
    Scan: (l) => tl.Scan(l, { axis: 1, nCarry: 0 }),
    remat: (l) => tl.Scan(l, { axis: 1, nCarry: 0, remat: true }),
    Chunk: (l) => tl.Chunk(l, 1),
    BatchLeadingAxes: (l) => tl.BatchLeadingAxes(l),
    ReversibleHalfResidual: (l) =>
      tl.Serial(tl.Dup(), tl.ReversibleSerial(tl.ReversibleHalfResidual(l)), tl.Select([0], { nIn: 2 })),
    Cond: (l) => tl.Serial(tl.Dup(), tl.Cond(tl.Mean({ axis: [0, 1, 2] }), tl.Serial(), { false: l })),
  };
  for (const [name, build] of Object.entries(around)) {
    for (const make of [() => new Told(), () => new ToldPure()]) {
      const model = build(make());
      model.init(tl.signature(zero), { rng: key });
      const gets = (layer: tl.Layer): number => tensorOf(layer(zero)).slice([0, 0, 0], [1, 1, 1]).item();
      t.is(gets(model), 10, name);
      t.is(gets(model.withMode('eval')), 11, name);
      t.is(gets(model.withMode('predict')), 12, name);
      t.is(gets(model.withMode('eval').withMode('train')), 10, name);
      t.is(gets(model), 10, name);
    }
  }
});

test('a reversible class learns it, also on the way back', (t) => {
  const stack = tl.ReversibleSerial(new ToldReversible());
  for (const [mode, added] of [
    ['train', 10],
    ['eval', 11],
  ] as const) {
    const layer = stack.withMode(mode);
    const loss = (x: tl.Tensor): tl.Tensor => one(tl.Serial(layer, tl.Multiply())([x, x])).sum();
    const [value, gradient] = tl.valueAndGrad(loss)(tl.full([1], 3, { dtype: 'float32' }));
    t.is(value.item(), (3 + added) * 3);
    t.deepEqual(gradient.array(), [6 + added]);
  }
});

test('the mode of a class is an option, can be set, and is that of the copy', (t) => {
  t.is(new Told().mode, 'train');
  t.is(new Told({ mode: 'eval' }).mode, 'eval');
  t.is(
    one(new ToldPure({ mode: 'eval' })(zero))
      .max()
      .item(),
    11,
  );
  const layer = new Told();
  layer.mode = 'viz';
  t.is(tensorOf(layer(zero)).max().item(), 13);
  t.is(layer.withMode('eval').mode, 'eval');
  t.is(layer.mode, 'viz');
  t.is(tl.Serial(tl.Relu(), new Told({ mode: 'eval' })).mode, 'eval');
  t.is(tl.Dropout({ rate: 0.5, mode: 'eval' }).mode, 'eval');
  t.is(tl.Dropout({ rate: 0.5 }).withMode('predict').mode, 'predict');
  t.throws(() => (layer.mode = wrong('test')), { code: 'InvalidOption', message: /'test'|"test"/ });
});

test('one object runs in two modes at once, each call in its own', (t) => {
  const shared = new Told();
  const model = tl.Serial(tl.Cache(shared, { mode: 'train' }), shared);
  model.init(tl.signature(zero), { rng: key });
  t.is(tensorOf(model(zero)).max().item(), 20);
  // Below Cache a copy in predict mode computes once, in eval mode.
  t.is(tensorOf(model.withMode('predict')(zero)).max().item(), 11 + 12);
  t.is(tensorOf(model(zero)).max().item(), 20);
});

test('init tells a class its mode, and callAsync too', async (t) => {
  const layer = new Told({ mode: 'eval' });
  layer.init(f32([1]));
  t.deepEqual(values(layer.weights), [1]);
  t.is(
    tensorOf(await tl.Serial(layer).callAsync(zero))
      .max()
      .item(),
    11,
  );
});

test('Bidirectional refuses a layer that goes on from call to call', (t) => {
  const layer = tl.Bidirectional(tl.GRU(3));
  layer.init(f32([2, 4, 3]), { rng: key });
  const x = tl.random.normal(key, [2, 4, 3]);
  t.is(far(layer.withMode('eval')(x), layer(x)), 0);
  const predict = layer.withMode('predict');
  t.throws(() => predict(x), { code: 'InvalidOption', message: /Bidirectional: GRU_3 in mode 'predict'.*'eval'/ });
  t.throws(() => predict.outputSignature(tl.signature(x)), { code: 'InvalidOption' });
  t.throws(() => tl.Bidirectional(tl.GRU(3, { mode: 'predict' })), { code: 'InvalidOption', message: /Bidirectional/ });
  // What does not look at other positions may stay.
  t.deepEqual(tl.Bidirectional(tl.Relu()).withMode('predict')(x).shape, [2, 4, 6]);
});

const remembering: Record<string, () => tl.Layer> = {
  LSTM: () => tl.LSTM(4, { mode: 'predict' }),
  GRU: () => tl.GRU(4, { mode: 'predict' }),
  SRU: () => tl.SRU(4, { mode: 'predict' }),
  CausalAttention: () => tl.CausalAttention(4, { mode: 'predict', maxInferenceLength: 9 }),
  'CausalAttention with dconv': () => tl.CausalAttention(4, { mode: 'predict', useDconv: true }),
  CausalFavor: () => tl.CausalFavor(4, { mode: 'predict' }),
  ConvCausalAttention: () => tl.ConvCausalAttention(4, { mode: 'predict', kernelSize: 3 }),
  SelfAttention: () => tl.SelfAttention({ causal: true, mode: 'predict', predictMemLen: 8, predictDropLen: 2 }),
  LSHSelfAttention: () => tl.LSHSelfAttention({ causal: true, mode: 'predict', predictMemLen: 8, predictDropLen: 2 }),
  TimeBinPositionalEncoding: () => tl.TimeBinPositionalEncoding(3, { mode: 'predict' }),
  InfinitePositionalEncoding: () => tl.InfinitePositionalEncoding({ mode: 'predict' }),
  CausalConv: () => tl.CausalConv(4, { mode: 'predict' }),
};

for (const [name, make] of Object.entries(remembering)) {
  test(`${name} in predict mode takes any number of sequences to begin with, and no other afterwards`, (t) => {
    const layer = make();
    layer.init(f32([2, 1, 4]), { rng: key });
    const x = tl.random.normal(key, [3, 2, 4]).abs();
    const step = (i: number): tl.Tensor => one(layer(x.slice([0, i, 0], [3, i + 1, 4]), { rng: key }));
    t.deepEqual(step(0).shape, [3, 1, 4]);
    t.deepEqual(step(1).shape, [3, 1, 4]);
    const says = { code: 'ShapeMismatch', message: /2 sequences.*3.*under way.*init/ } as const;
    t.throws(() => layer(tl.zeros([2, 1, 4]), { rng: key }), says);
    // As if it had been made for three.
    const three = make();
    three.init(f32([3, 1, 4]), { rng: key });
    three.weights = layer.weights;
    layer.init(f32([2, 1, 4]), { rng: key });
    layer.weights = three.weights;
    const hashed = name === 'LSHSelfAttention';
    if (!hashed) t.is(far(step(0), one(three(x.slice([0, 0, 0], [3, 1, 4]), { rng: key }))), 0);
  });
}

test('the state of a copy in predict mode is there before its first call', (t) => {
  const model = tl.Serial(
    tl.ShiftRight(),
    tl.PositionalEncoding({ maxLen: 7 }),
    tl.CausalAttention(4, { maxInferenceLength: 6 }),
    tl.SRU(4),
  );
  const x = tl.random.normal(key, [2, 3, 4]);
  const first = x.slice([0, 0, 0], [2, 1, 4]);
  for (const known of [true, false]) {
    if (known) model.init(tl.signature(x), { rng: key });
    const fresh = known ? model : tl.Serial(model.sublayers);
    const read = fresh.withMode('predict');
    const shapes = tl.tree.leaves(read.state).filter((s) => s instanceof tl.Tensor);
    t.deepEqual(
      shapes.map((s) => s.shape),
      known ? [[], [2, 6, 4], [2, 6, 4], []] : [],
    );
    const { state: asRead } = read;
    read.state = asRead;
    const wanted = one(fresh.withMode('predict')(first));
    t.is(far(one(read(first)), wanted), 0, 'set to what it was');

    const pure = fresh.withMode('predict');
    const [y, state] = pure.pureFn(first, pure.weights, pure.state, key);
    t.is(far(one(y), wanted), 0, 'handed on');
    const second = x.slice([0, 1, 0], [2, 2, 4]);
    const [z] = pure.pureFn(second, pure.weights, state, key);
    t.is(far(one(z), one(read(second))), 0, 'handed on again');
  }
});

test('init begins anew: what Cache and the layers below it kept is gone', (t) => {
  const layer = tl.Serial(tl.Cache(tl.Serial(tl.LSTM(2, { mode: 'predict' }))), tl.Cache(tl.Relu()));
  const sig = f32([1, 1, 2]);
  const [one, two] = [tl.full([1, 1, 2], 0.5), tl.full([1, 1, 2], -2)];
  layer.init(sig, { rng: key });
  const a = layer(one);
  t.is(far(layer(two), a), 0);
  layer.init(sig, { rng: key });
  const b = layer(two);
  t.true(far(a, b) > 0);
  layer.init(sig, { rng: key });
  t.is(far(layer(one), a), 0);
});

test('Cache with a mode keeps its result in predict mode alone, and is the layer itself elsewhere', (t) => {
  const inner = tl.Dense(3);
  const model = tl.Serial(tl.Cache(inner, { mode: 'eval' }));
  t.is(`${model}`, 'Serial[\n  Dense_3\n]');
  model.init(f32([2, 3]), { rng: key });
  const [x, y] = [tl.random.normal(key, [2, 3]), tl.ones([2, 3])];
  t.true(far(model(x), model(y)) > 0);
  const predict = model.withMode('predict');
  t.is(`${predict}`, 'Serial[\n  Cache[\n    Dense_3\n  ]\n]');
  t.is(far(predict(x), model(x)), 0);
  t.is(far(predict(y), model(x)), 0);
  t.throws(() => predict(tl.ones([3, 3])), { code: 'ShapeMismatch', message: /3 sequences.*2/ });
  t.is(far(predict.withMode('eval')(y), model(y)), 0);
  t.is(predict.withMode('eval').toString(), model.toString());
});

test('layers that do not look at their input are initialized without a signature', (t) => {
  const embedding = tl.Embedding(4, 3);
  const [weights] = embedding.init(null, { rng: key });
  embedding.init({ shape: [2, 2], dtype: 'int32' }, { rng: key });
  t.deepEqual(values(weights), values(embedding.weights));
  const model = tl.Serial(tl.Embedding(4, 3), tl.Relu(), tl.Dense(2));
  model.init(null, { rng: key });
  t.deepEqual(model([[1, 2]]).shape, [1, 2, 2]);
  t.notThrows(() => tl.Relu().init(null));
  tl.Weights(tl.RandomNormalInitializer(), { shape: [2, 3] }).init(null);
  for (const layer of [
    tl.Dense(2),
    tl.LayerNorm(),
    tl.Conv(2, [1, 1]),
    tl.LSTM(3),
    tl.CausalAttention(4),
    tl.BatchNorm(),
  ]) {
    t.throws(() => layer.init(null), {
      code: 'InvalidArgument',
      message: new RegExp(`${layer.name}: weights or state depend on the inputs; call init\\(signature\\)`),
    });
  }
});

/** What a function returns, or the code of its error. */
const gives = (f: () => unknown): string => {
  try {
    return JSON.stringify(f());
  } catch (error) {
    return instanceOf(tl.LayerError, error).code;
  }
};

test('what a tree declares, its call gives; or both refuse', (t) => {
  const dense = tl.Dense(4);
  const apart = tl.Serial(dense, tl.Relu(), dense);
  t.throws(() => apart.outputSignature(f32([2, 3])), {
    code: 'ShapeMismatch',
    message: /two places.*float32\[2,3\].*float32\[2,4\]/,
  });
  t.deepEqual(apart.outputSignature(f32([2, 4])), f32([2, 4]));
  const truth = { shape: [2], dtype: 'bool' } as const;
  for (const layer of [tl.Relu(), tl.Serial(tl.Dup(), tl.Multiply()), tl.Serial(tl.Dup(), tl.Add()), tl.Negate()]) {
    const x = tl.tensor([true, false]);
    t.is(
      gives(() => layer.outputSignature(truth)),
      gives(() => tl.signature(layer(x))),
      `${layer}`,
    );
  }
  t.deepEqual(tl.HardSigmoid().outputSignature(truth), tl.signature(tl.HardSigmoid()(tl.tensor([true, false]))));
});

test('a first piece of several positions sees what it would see in a whole sequence', (t) => {
  // One chunk takes in everything, so that hashing changes nothing.
  const sizes = { causal: true, chunkLen: 16, nChunksBefore: 0, nBuckets: 4, mode: 'eval' } as const;
  const lsh = tl.LSHSelfAttention({ ...sizes, nHeads: 2, dQk: 4, dV: 3 });
  const x = tl.random.normal(key, [2, 7, 5]);
  lsh.init(tl.signature(x), { rng: key });
  const predict = lsh.withMode('predict');
  const pieces = [x.slice([0, 0, 0], [2, 5, 5]), x.slice([0, 5, 0], [2, 6, 5]), x.slice([0, 6, 0], [2, 7, 5])];
  t.true(
    far(
      tl.concat(
        pieces.map((piece) => predict(piece)),
        1,
      ),
      lsh(x),
    ) < 1e-2,
  );
  const mixed = tl.efficientAttention.MixedLSHSelfAttention({ ...sizes, stdLength: 3, nHeads: 1 });
  const [qk, v] = [tl.random.normal(key, [1, 7, 4]), tl.random.normal(tl.random.key(6), [1, 7, 3])];
  mixed.init([tl.signature(qk), tl.signature(v)], { rng: key });
  const going = mixed.withMode('predict');
  const part = (from: number, to: number): tl.Tensor => going([qk, v].map((a) => a.slice([0, from, 0], [1, to, null])));
  // Single positions are short, but go on with what the first piece began.
  t.true(far(tl.concat([part(0, 5), part(5, 6), part(6, 7)], 1), mixed([qk, v])) < 1e-2);
});
