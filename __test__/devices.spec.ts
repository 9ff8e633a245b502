/** Devices by name: which there are, the default one, and layers and tensors that are moved. */
import test from 'ava';
import * as tl from 'tallow';
import { tensorOf, wrong } from './support/types.js';

const missing = { instanceOf: tl.TensorError, code: 'Device' } as const;
const noCuda =
  'device "cuda:0" cannot be used: this build has no CUDA; build the addon with `npm run build -- --features cuda`, or compute on "cpu"';
const unknown = 'unknown device "gpu", expected "cpu", "cuda:N" or "metal:N"';
/** Inputs, targets and weights of a step. */
const batch = (): tl.Tensor[] => [tl.ones([2, 3]), tl.ones([2, 1]), tl.ones([2, 1])];

test('a build for the CPU lists the CPU alone', (t) => {
  t.deepEqual(tl.devices(), [{ name: 'cpu', kind: 'cpu' }]);
});

test('a device that is not there is refused wherever one is named, with what to do', (t) => {
  const layer = tl.Dense(2);
  layer.init({ shape: [1, 3], dtype: 'float32' });
  const x = tl.ones([2]);
  const calls = [
    (name: string) => tl.tensor([1], null, { device: name }),
    (name: string) => tl.zeros([1], { device: name }),
    (name: string) => x.to(name),
    (name: string) => layer.to(name),
    (name: string) => tl.setDefaultDevice(name),
  ];
  for (const call of calls) {
    t.is(t.throws(() => call('cuda:0'), missing).message, noCuda);
    t.is(t.throws(() => call('gpu'), { instanceOf: RangeError }).message, unknown);
    t.throws(() => call(wrong(7)), { instanceOf: TypeError, message: /: device must be a string/ });
  }
  t.is(tl.defaultDevice(), 'cpu', 'a device that is refused is not kept');
});

test('the default device is where tensors are made', (t) => {
  tl.setDefaultDevice('cpu:0');
  t.is(tl.defaultDevice(), 'cpu');
  t.is(tl.zeros([2]).device, 'cpu');
  t.is(tl.tensor([1]).device, 'cpu');
  t.is(tl.ones([2], { device: 'cpu' }).device, 'cpu');
});

test('a layer that is moved to where it is keeps its weights, and gives itself', (t) => {
  const model = tl.Serial(tl.Dense(4), tl.BatchNorm({ axis: [0] }), tl.Dense(2));
  model.init({ shape: [2, 3], dtype: 'float32' }, { rng: tl.random.key(0) });
  const x = tl.ones([2, 3]);
  const before = [tl.tree.leaves(model.weights), tl.tree.leaves(model.state)]
    .flat()
    .map((leaf) => tensorOf(leaf).array());
  const { bytes } = tl.memory();
  t.is(model.to('cpu'), model);
  t.is(tl.memory().bytes, bytes, 'nothing was copied');
  t.deepEqual(
    [tl.tree.leaves(model.weights), tl.tree.leaves(model.state)].flat().map((leaf) => tensorOf(leaf).array()),
    before,
  );
  t.deepEqual(model(x).shape, [2, 2]);
});

test('a layer without weights can be moved before it is made', (t) => {
  const layer = tl.Dense(2).to('cpu');
  layer.init({ shape: [1, 3], dtype: 'float32' });
  t.deepEqual(layer(tl.ones([1, 3])).shape, [1, 2]);
});

test('a layer that a loop trains is not moved', async (t) => {
  const model = tl.Serial(tl.Dense(1), tl.L2Loss());
  model.init(tl.signature(batch()), { rng: tl.random.key(0) });
  const trainer = new tl.Trainer(model, tl.optimizers.Adam());
  let go: () => void;
  const gate = new Promise<void>((resolve) => (go = resolve));
  async function* batches(): AsyncGenerator<tl.Tensor[]> {
    yield batch();
    await gate;
    yield batch();
  }
  let heard: () => void;
  const first = new Promise<void>((resolve) => (heard = resolve));
  const training = trainer.fit(batches(), { steps: 2, rng: tl.random.key(1), onProgress: () => heard() });
  await first;
  t.throws(() => model.to('cpu'), {
    instanceOf: tl.LayerError,
    code: 'Busy',
    message: /weights and state are moved, but a training loop runs/,
  });
  go!();
  t.is((await training).steps, 2);
  t.is(model.to('cpu'), model);
});

test('a profile on the CPU has no trips to it', (t) => {
  const taken = tl.profile(() => tl.tensor([3, 1, 2]).argsort());
  t.deepEqual(taken.hostTrips, []);
  t.false(`${taken}`.includes('trips'));
});
