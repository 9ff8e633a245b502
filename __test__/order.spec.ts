/** Calls, and what the program does with a layer beside them, happen in the order they are asked for. */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import * as tl from '../src/index.js';
import { f32, floats, one, values } from './support/values.js';
import { tensorOf, treesOf, wrong } from './support/types.js';

/** Returns the sum of all inputs so far, times a weight. */
class Total extends tl.Layer {
  calls = 0;
  override initWeightsAndState(): void {
    this.weights = tl.tensor(1.0, [], { dtype: 'float32' });
    this.state = tl.tensor(0.0, [], { dtype: 'float32' });
  }
  override forward(x: tl.Tensor): tl.Tensor {
    this.calls += 1;
    this.state = tensorOf(this.state).add(x.sum());
    return this.state.mul(tensorOf(this.weights));
  }
}

function total(): Total {
  const layer = new Total();
  layer.init(f32([1]));
  return layer;
}

const of = (v: number): tl.Tensor => floats([v]);
const scalar = (v: number): tl.Tensor => floats(v).reshape([]);
const number = async (y: Promise<tl.LayerOutputs> | tl.LayerOutputs): Promise<number> => one(await y).item();
const all = (ys: readonly (Promise<tl.LayerOutputs> | tl.LayerOutputs)[]): Promise<number[]> =>
  Promise.all(ys.map(number));

test('calls started together are as calls one after another', async (t) => {
  const layer = total();
  t.deepEqual(await all([1, 2, 3, 4, 5].map((v) => layer.callAsync(of(v)))), [1, 3, 6, 10, 15]);
  t.deepEqual(values(layer.state), 15);
});

test('layers of the addon keep their state from call to call too', async (t) => {
  const [together, apart] = [1, 2].map(() => {
    const layer = tl.Serial(
      tl.Dense(3),
      tl.GRU(3, { mode: 'predict' }),
      tl.BatchNorm({ axis: [0, 1], momentum: 0.75 }),
    );
    layer.init(f32([2, 1, 2]), { rng: tl.random.key(3) });
    return layer;
  }) as [tl.Layer, tl.Layer];
  const xs = [0.5, -1, 2, 3].map((v) => floats([[[v, 1]], [[-v, 2]]]));
  const found = await Promise.all(xs.map((x) => together.callAsync(x)));
  t.deepEqual(values(found), values(xs.map((x) => apart(x))));
  t.deepEqual(values(together.state), values(apart.state));
});

test('a call at once comes after those that wait', async (t) => {
  const layer = total();
  const [first, second, third] = [layer.callAsync(of(1)), layer(of(2)), layer.callAsync(of(3))];
  t.is(one(second).item(), 3);
  t.deepEqual(await all([first, third]), [1, 6]);
  const norm = tl.BatchNorm({ axis: [0], momentum: 0.5 });
  norm.init(f32([2, 1]));
  const waiting = norm.callAsync(floats([[1], [3]]));
  norm(floats([[1], [3]]));
  await waiting;
  t.deepEqual(values(treesOf(norm.state)[0]!), [[1.5]], 'neither update is lost');
});

test('state and weights are read and set in turn', async (t) => {
  const layer = total();
  const first = layer.callAsync(of(4));
  t.is(tensorOf(layer.state).item(), 4);
  layer.state = floats(10).reshape([]);
  const second = layer.callAsync(of(1));
  layer.weights = floats(100).reshape([]);
  const third = layer.callAsync(of(1));
  layer.init(f32([1]));
  t.deepEqual(await all([first, second, third, layer.callAsync(of(2))]), [4, 11, 1200, 2]);
});

test('weights and state given with a call are set when its turn comes', async (t) => {
  const layer = total();
  const calls = [
    layer.callAsync(of(1)),
    layer.callAsync(of(1), { weights: scalar(10) }),
    layer.callAsync(of(1), { state: scalar(5) }),
    layer.callAsync(of(1)),
  ];
  t.deepEqual(await all(calls), [1, 20, 60, 70]);
  await t.throwsAsync(layer.callAsync(of(1), { weights: [scalar(1), scalar(2)] }), {
    instanceOf: tl.LayerError,
    code: 'WeightsMismatch',
  });
  t.is(tensorOf(layer.weights).item(), 10);
});

test('layers that share an instance share its turn', async (t) => {
  const shared = total();
  const [one, other] = [
    tl.Serial(
      shared,
      tl.Fn('Twice', (x: tl.Tensor) => x.mul(2)),
    ),
    tl.Serial(shared),
  ];
  const calls = [one.callAsync(of(1)), other.callAsync(of(2)), shared(of(3)), one.callAsync(of(4))];
  t.deepEqual(await all(calls), [2, 3, 6, 20]);
});

test('layers that share nothing do not wait for each other', async (t) => {
  const [waiting, other] = [total(), total()];
  const call = waiting.callAsync(of(1));
  t.is(one(other(of(2))).item(), 2);
  t.is(tensorOf(other.state).item(), 2);
  t.is(waiting.calls, 0, 'its turn is when the event loop turns');
  t.is(one(await call).item(), 1);
});

test('a file has what the calls before it left', async (t) => {
  const layer = total();
  const path = join(mkdtempSync(join(tmpdir(), 'order-')), 'total.safetensors');
  const call = layer.callAsync(of(6));
  layer.saveToFile(path);
  const loading = [layer.callAsync(of(1))];
  layer.initFromFile(path);
  loading.push(layer.callAsync(of(1)));
  t.deepEqual(await all([call, ...loading]), [6, 7, 7]);
});

test('a call that is stopped or fails changes nothing, and the others go on', async (t) => {
  const layer = total();
  const controller = new AbortController();
  const calls = [
    layer.callAsync(of(1)),
    layer.callAsync(of(2), { signal: controller.signal }),
    layer.callAsync([of(1), of(1)]),
    layer.callAsync(of(3)),
  ];
  controller.abort(new Error('mine'));
  const ended = await Promise.allSettled(calls);
  t.deepEqual(
    ended.map((e) => (e.status === 'fulfilled' ? one(e.value).item() : String(e.reason.code ?? e.reason.message))),
    [1, 'mine', 'ArityMismatch', 4],
  );
});

test('what a call does within itself waits for nothing', async (t) => {
  const inner = total();
  const outer = tl.Fn('Outer', (x: tl.Tensor) => inner(x));
  const calls = [inner.callAsync(of(1)), outer.callAsync(of(2)), inner.callAsync(of(4))];
  const found = await all(calls);
  t.is(tensorOf(inner.state).item(), 7);
  t.is(found[0], 1);
  const nested = tl.Serial(
    outer,
    tl.Fn('Again', (x: tl.Tensor) => outer(x)),
  );
  const [waiting, y] = [nested.callAsync(of(1)), nested(of(1))];
  t.deepEqual([one(await waiting).item(), one(y).item()], [16, 34]);
});

test('beside a training loop a layer can be called, and what the loop would overwrite is refused', async (t) => {
  const norm = tl.BatchNorm({ axis: [0] });
  const model = tl.Serial(tl.Dense(1), norm);
  const loss = tl.Serial(
    model,
    tl.Fn('Loss', (y: tl.Tensor) => y.square().mean()),
  );
  loss.init(f32([2, 2]), { rng: tl.random.key(1) });
  const evaluating = model.withMode('eval');
  const x = floats([
    [1, 2],
    [3, 5],
  ]);
  const trainer = new tl.Trainer(loss, tl.optimizers.Adam());
  let go: () => void;
  const gate = new Promise<void>((resolve) => (go = resolve));
  t.teardown(() => go());
  async function* batches(): AsyncGenerator<tl.Tensor> {
    yield floats([
      [1, 2],
      [3, 5],
    ]);
    await gate;
    yield floats([
      [0, 2],
      [1, 5],
    ]);
  }
  let heard: () => void;
  const first = new Promise<void>((resolve) => (heard = resolve));
  const training = trainer.fit(batches(), { steps: 2, rng: tl.random.key(2), onProgress: () => heard() });
  await first;
  const beside = await evaluating.callAsync(x);
  t.deepEqual(beside.array(), evaluating(x).array(), 'it ran between two steps, while the loop waited for a batch');
  t.deepEqual(evaluating(x).shape, [2, 1]);
  t.is(treesOf(model.weights).length, 2);
  const busy = { instanceOf: tl.LayerError, code: 'Busy' } as const;
  t.throws(() => model(x), busy);
  const { weights } = model;
  const { state } = norm;
  t.throws(() => (model.weights = weights), busy);
  t.throws(() => (norm.state = state), busy);
  t.throws(() => model.init(f32([2, 2])), busy);
  t.notThrows(() => tl.Dense(2).init(f32([1, 2])));
  go!();
  t.is((await training).steps, 2);
  t.notDeepEqual(beside.array(), evaluating(x).array(), 'the second step came later');
  t.deepEqual(model(x).shape, [2, 1]);
});

test.serial('outputs that nobody takes are given back', async (t) => {
  const layer = tl.Dense(4);
  // What init returns may be collected at any time, and would then be missed below.
  tl.dispose(layer.init(f32([2, 4])));
  const input = tl.ones([2, 4]);
  const before = tl.memory().tensors;
  for (let i = 0; i < 50; i++) {
    const controller = new AbortController();
    const call = layer.callAsync(input, { signal: controller.signal });
    // The work is done before the call is stopped: a call at once completes it.
    layer.state = [];
    controller.abort();
    t.is(await call.catch((error: Error) => error.name), 'AbortError');
  }
  t.is(tl.memory().tensors, before);
});

test.serial('a function that fails after it made its results gives them back', (t) => {
  const before = tl.memory().tensors;
  const layer = tl.Fn('Half', (x: tl.Tensor) => wrong([x.mul(2), { odd: () => {} }]), { nOut: 2 });
  for (let i = 0; i < 3; i++) t.throws(() => layer(1.5), { instanceOf: TypeError });
  const gone = tl.Fn('Gone', (x: tl.Tensor) => {
    const y = x.mul(2);
    y.dispose();
    return [x, y];
  });
  t.throws(() => gone(1.5), { instanceOf: tl.DisposedError });
  t.is(tl.memory().tensors, before);
});

test('a loop has ended when its promise is resolved, and what comes right after it is not refused', async (t) => {
  const model = tl.Serial(
    tl.Dense(1),
    tl.Fn('Sum', (x: tl.Tensor) => x.sum()),
  );
  model.init(f32([1, 2]), { rng: tl.random.key(0) });
  const trainer = new tl.Trainer(model, tl.optimizers.Adam());
  for (let i = 0; i < 200; i += 1) {
    // oxlint-disable-next-line no-await-in-loop -- one after another is what is tested
    await trainer.fit([tl.ones([1, 2])], { steps: 1, rng: tl.random.key(i) });
    const [loss] = trainer.oneStep(tl.ones([1, 2]), tl.random.key(i));
    t.true(Number.isFinite(loss));
  }
});
