import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import test, { type ExecutionContext } from 'ava';
import * as tl from '../../src/index.js';
import { f32, values, one } from '../support/values.js';
import { tensorOf, tensorsOf, treesOf, wrong } from '../support/types.js';

const key: tl.Key = [0, 7];

/** Two inputs, two outputs, weights in two levels, a backward of its own. */
class Mix extends tl.Layer {
  constructor() {
    super({ nIn: 2, nOut: 2, name: 'Mixed' });
  }
  override initWeightsAndState(signatures: tl.Signature & tl.Signature[]): void {
    const [first] = signatures;
    this.weights = [tl.full(first!.shape, 2, { dtype: 'float32' }), [tl.ones([])]];
    this.state = tl.tensor(0);
  }
  override forward(inputs: tl.LayerOutputs): tl.Tensor[] {
    const [x, y] = inputs;
    const [first, rest] = treesOf(this.weights, 2);
    const [w, [b]] = [tensorOf(first), tensorsOf(rest, 1)];
    this.state = tensorOf(this.state).add(1);
    return [x!.mul(w), y!.add(b)];
  }
  override backward(
    inputs: tl.LayerOutputs,
    _outputs: tl.LayerOutputs,
    grads: tl.LayerOutputs,
    weights: tl.Nest,
  ): [tl.Tensor[], tl.Nest] {
    const [x] = inputs;
    const [gx, gy] = grads;
    const [first] = treesOf(weights, 2);
    const w = tensorOf(first);
    // The gradient of y is doubled, to be told from what differentiation gives.
    return [
      [gx!.mul(w), gy!.mul(2)],
      [gx!.mul(x!), [gy!.sum()]],
    ];
  }
}

test('PureLayer and Fn apply JavaScript functions; parameters are inputs', (t) => {
  const negate = tl.PureLayer((x: tl.Tensor) => x.neg(), { name: 'Negate' });
  t.is(String(negate), 'Negate');
  t.deepEqual(one(negate(tl.tensor([1.5]))).array(), [-1.5]);
  const both = tl.Fn('Both', (x: tl.Tensor, y: tl.Tensor) => [x.add(y), x.sub(y)], { nOut: 2 });
  t.is(String(both), 'Both_in2_out2');
  t.deepEqual([both.nIn, both.nOut], [2, 2]);
  t.deepEqual(
    both([tl.tensor([3.5]), tl.tensor([1])]).map((y) => y.array()),
    [[4.5], [2.5]],
  );
  const joined = tl.PureLayer((xs: tl.Tensor[]) => tl.concat(xs), { nIn: 2 });
  t.deepEqual(one(joined([tl.tensor([3.5]), tl.tensor([1.5])])).array(), [3.5, 1.5]);
});

test('an output signature needs neither weights nor values', (t) => {
  const layer = tl.Serial(
    tl.Dense(7),
    tl.Fn('Pair', (x: tl.Tensor) => [x, x.sum({ axis: -1 })], { nOut: 2 }),
  );
  t.deepEqual(layer.outputSignature(f32([2, 3])), [f32([2, 7]), f32([2])]);
  const [weights, state] = tl.Dense(7).weightsAndStateSignature(f32([2, 3]));
  t.deepEqual(weights, [f32([3, 7]), f32([7])]);
  t.deepEqual(state, []);
});

test('a class with nested weights, state and several inputs', (t) => {
  const layer = new Mix();
  t.deepEqual([layer.name, layer.nIn, layer.nOut, layer.hasBackward], ['Mixed', 2, 2, true]);
  t.is(String(layer), 'Mixed_in2_out2');
  layer.init([f32([2]), f32([2])], { rng: key });
  t.deepEqual(values(layer.weights), [[2, 2], [1]]);
  const [a, b] = layer([tl.tensor([1.5, 1]), tl.tensor([0.5, 1])]);
  t.deepEqual(
    [a!.array(), b!.array()],
    [
      [3, 2],
      [1.5, 2],
    ],
  );
  t.is(tensorOf(layer.state).item(), 1);
});

test('a backward of its own is what vjp takes, for inputs and weights, alone and inside of others', (t) => {
  const inner = new Mix();
  const layer = tl.Serial(inner, tl.Add());
  const [weights, state] = layer.init([f32([2]), f32([2])], { rng: key });
  const f = (x: tl.Tensor, y: tl.Tensor, w: tl.Nest): tl.Tensor => one(layer.pureFn([x, y], w, state)[0]);
  const [, pullback] = tl.vjp(f, tl.tensor([1.5, 3]), tl.tensor([0.5, 1]), weights);
  const found = pullback(tl.tensor([1, 10], null, { dtype: 'float32' }));
  t.deepEqual(found.map(values), [
    [2, 20],
    [2, 20],
    [[[1.5, 30], [11]], []],
  ]);
});

test('a class is trained like any other layer', (t) => {
  class Scale extends tl.Layer {
    override initWeightsAndState(): void {
      this.weights = tl.ones([1]);
    }
    override forward(x: tl.Tensor): tl.Tensor {
      return x.mul(tensorOf(this.weights));
    }
  }
  const scale = new Scale();
  const model = tl.Serial(tl.Parallel(scale, null), tl.L2Loss());
  model.init([f32([4]), f32([4]), f32([4])], { rng: key });
  const trainer = new tl.Trainer(model, tl.optimizers.Adam({ learningRate: 0.1, weightDecayRate: 0 }));
  const x = tl.tensor([1.5, -1, 2, 0.5]);
  for (let step = 0; step < 150; step++) {
    trainer.oneStep([x, x.mul(3), tl.ones([4])], [0, step], { step });
  }
  const [learnt] = tensorOf(scale.weights).array() as number[];
  t.true(Math.abs(learnt! - 3) < 0.05, `learnt ${learnt}`);
});

test('this.rng of a class is the key of the call', (t) => {
  class Noise extends tl.Layer {
    override forward(x: tl.Tensor): tl.Tensor {
      return x.add(tl.random.uniform(this.rng!, x.shape));
    }
  }
  const layer = new Noise();
  const run = (rng: tl.Key): unknown => one(layer.pureFn(tl.zeros([3]), [], [], rng)[0]).array();
  t.deepEqual(run([1, 2]), tl.random.uniform([1, 2], [3]).array());
  t.notDeepEqual(run([1, 3]), run([1, 2]));
});

test('a layer that calls itself is refused, and the process lives on', (t) => {
  class Endless extends tl.Layer {
    override forward(x: tl.Tensor): tl.Tensor {
      return one(this(x));
    }
  }
  t.throws(() => new Endless()(tl.ones([1])), { instanceOf: RangeError, message: /does a layer call itself\?$/ });
  t.deepEqual(tl.Relu()([-1, 2]).array(), [0, 2]);
});

test('callAsync of JavaScript functions gives what the call gives', async (t) => {
  const layer = tl.Serial(
    tl.Fn('Twice', (x: tl.Tensor) => x.mul(2)),
    new (class Plus extends tl.Layer {
      override forward(x: tl.Tensor): tl.Tensor {
        return x.add(0.5);
      }
    })(),
  );
  t.deepEqual(one(await layer.callAsync([1, 2])).array(), one(layer([1, 2])).array());
});

test('PureLayer is a class too: with new, and to extend', (t) => {
  t.deepEqual(one(new tl.PureLayer((x: tl.Tensor) => x.neg())([1.5])).array(), [-1.5]);
  class Shift extends tl.PureLayer {
    constructor(readonly by: number) {
      super((x: tl.Tensor) => x.add(by), { name: 'Shift' });
    }
  }
  const shift = new Shift(2);
  t.true(
    shift instanceof tl.PureLayer &&
      shift instanceof tl.Layer &&
      tl.PureLayer((x: tl.Tensor) => x) instanceof tl.PureLayer,
  );
  t.false(tl.Dense(2) instanceof tl.PureLayer);
  t.deepEqual([String(shift), shift.by, shift.hasBackward], ['Shift', 2, false]);
  t.deepEqual(one(tl.Serial(shift, new Shift(3))([1.5])).array(), [6.5]);
  t.deepEqual(tensorOf(shift.forward(wrong(tl.tensor([1.5])))).array(), [3.5]);
  class Overridden extends tl.PureLayer {
    constructor() {
      super((x: tl.Tensor) => x, { nIn: 2 });
    }
    override forward([a, b]: [tl.Tensor, tl.Tensor]): tl.Tensor {
      return a.sub(b);
    }
  }
  t.deepEqual(one(tl.Serial(new Overridden())([[3.5], [1]])).array(), [2.5]);
  t.is(tl.base.PureLayer, tl.PureLayer);
  t.throws(() => tl.PureLayer(wrong(3)), { instanceOf: tl.LayerError, message: /forwardFn/ });
});

test('a class may print sublayers', (t) => {
  const layer = new tl.Layer({ name: 'Block', sublayersToPrint: [tl.Dense(2), tl.Relu()] });
  t.is(String(layer), 'Block[\n  Dense_2\n  Serial[\n    Relu\n  ]\n]');
});

const folder = (t: ExecutionContext): string => {
  const path = mkdtempSync(join(tmpdir(), 'tallow-base-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
};

test("npToFile and npFromFile: lists of arrays in NumPy's format, in gzip", (t) => {
  const at = folder(t);
  const path = join(at, 'weights.npy.gz');
  const arrays = [
    tl.tensor([
      [1.5, 2],
      [3, 4.25],
    ]),
    tl.tensor(7),
    tl.tensor([true, false]),
    tl.tensor(new Float64Array([0.1])),
  ];
  tl.npToFile([...arrays, [1, 2, 3]], path, 2);
  const plain = gunzipSync(readFileSync(path));
  t.is(plain.toString('latin1', 0, 8), '\x93NUMPY\x01\0');
  t.is(plain.toString('latin1', 10, 128).trim(), "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }");
  t.is(plain.readFloatLE(128 + 12), 4.25);
  const read = tl.npFromFile(path, 2);
  t.deepEqual(
    read.map((a) => [a.dtype, a.array()]),
    [...arrays, tl.tensor([1, 2, 3])].map((a) => [a.dtype, a.array()]),
  );
  t.deepEqual(readdirSync(at), ['weights.npy.gz']);
  for (const bytes of [readFileSync(path).subarray(0, 60), plain, gzipSync(plain.subarray(0, 140)), Buffer.alloc(0)]) {
    writeFileSync(join(at, 'bad'), bytes);
    t.throws(() => tl.npFromFile(join(at, 'bad'), 2), { code: 'Io', message: /bad/ });
  }
  t.throws(() => tl.npFromFile(join(at, 'absent'), 2), { code: 'Io', message: /absent/ });
  t.throws(() => tl.npToFile([], path, 10), { code: 'InvalidOption', message: /compresslevel/ });
  t.throws(() => tl.npToFile([], join(at, 'no', 'folder'), 1), { code: 'Io' });
});

test('shard cuts tensors into parts, and unshard puts them together', (t) => {
  t.is(tl.N_WEIGHTS_SHARDS, 1);
  const tensors = [
    tl.tensor([
      [1, 2],
      [3, 4],
    ]),
    [tl.tensor([1, 2, 3, 4]), tl.arange(24).reshape([2, 3, 4])],
  ] as const;
  const parts = tl.shard(tensors, { nShards: 2 });
  t.deepEqual(values(parts[0]), [[[1, 2]], [[3, 4]]]);
  t.deepEqual(values(parts[1]![0]), [
    [1, 2],
    [3, 4],
  ]);
  t.deepEqual(parts[1]![1]!.shape, [2, 2, 3, 2]);
  t.deepEqual(values(tl.unshard(parts, { nShards: 2 })), values(tensors));
  t.deepEqual(values(tl.shard(tensors[0])), [
    [
      [1, 2],
      [3, 4],
    ],
  ]);
  t.throws(() => tl.shard(tensors[0], { nShards: 3 }), { code: 'ShapeMismatch', message: /3 shards/ });
  t.throws(() => tl.shard(tl.tensor(1.5)), { code: 'ShapeMismatch' });
  t.throws(() => tl.unshard(tensors[0], { nShards: 3 }), { code: 'ShapeMismatch' });
  t.deepEqual(tl.unshardInPmap(tensors, 2), [tensors, false]);
});

const refused = (message: RegExp): object => ({ instanceOf: tl.LayerError, code: 'WeightsMismatch', message });

test('weights and state that do not fit are refused when they are set', (t) => {
  const norm = tl.BatchNorm({ axis: [0] });
  const layer = tl.Serial(tl.Dense(4), tl.Serial(norm));
  layer.weights = [[tl.ones([5, 5]), tl.ones([5])], [[]]]; // Nothing is known of the shapes yet.
  layer.init(f32([2, 3]));
  const before = values(layer.weights);
  t.throws(
    () => (layer.weights = [[tl.ones([3, 5]), tl.ones([4])], [[]]]),
    refused(/Serial > Dense_4 .*weights\[0\] cannot become float32\[3,5\]: the layer holds float32\[3,4\]/),
  );
  t.throws(() => (layer.weights = [[tl.ones([3, 4])], []]), refused(/Dense_4/));
  t.throws(() => (layer.weights = [[], [], []]), refused(/3|sublayers/));
  const error = t.throws(() => layer(tl.ones([2, 3]), { state: [[], [[tl.ones([7]), tl.ones([4]), tl.tensor(0)]]] }), {
    instanceOf: tl.LayerError,
  });
  t.deepEqual(error?.path, ['Serial', 'Serial', 'BatchNorm']);
  t.deepEqual(values(layer.weights), before);
  layer.weights = [[tl.ones([3, 4]), tl.zeros([4])], layer.weights[1]!];
  t.deepEqual(values(layer.weights[0]!), [
    [
      [1, 1, 1, 1],
      [1, 1, 1, 1],
      [1, 1, 1, 1],
    ],
    [0, 0, 0, 0],
  ]);
});

const make = (): tl.Layer => tl.Serial(tl.Dense(4), tl.BatchNorm({ axis: [0] }));

test('a file keeps what the layer was initialized for', (t) => {
  const path = join(folder(t), 'layer.safetensors');
  const layer = make();
  layer.init(f32([2, 3]), { rng: key });
  layer(tl.arange(6).reshape([2, 3]).cast('float32'));
  layer.saveToFile(path, { inputSignature: f32([2, 3]) });
  const same = make();
  same.initFromFile(path);
  t.deepEqual([values(same.weights), values(same.state)], [values(layer.weights), values(layer.state)]);
  layer.saveToFile(path, { weightsOnly: true });
  t.throws(() => make().initFromFile(path), { code: 'NotInitialized' });
  t.throws(() => same.initFromFile(path), { code: 'WeightsMismatch', message: /state/ });
  const fresh = make();
  fresh.initFromFile(path, { weightsOnly: true, inputSignature: f32([2, 3]) });
  t.deepEqual(values(fresh.weights), values(layer.weights));
  t.notDeepEqual(values(fresh.state), values(layer.state));
});
