/** Layers give back what they hold: by `dispose`, at the end of `tidy`, or when V8 collects them, since it is told what they weigh. */
import test from 'ava';
import * as tl from '../src/index.js';
import { f32, floats, one } from './support/values.js';
import { tensorOf } from './support/types.js';

const WIDTH = 96;
/** Bytes of the weights of `Dense(WIDTH)` on inputs of that width. */
const DENSE = 4 * (WIDTH + 1) * WIDTH;

const signature = f32([1, WIDTH]);
const x = (): tl.Tensor => tl.ones([1, WIDTH]);
const ready = <L extends tl.Layer>(layer: L): L => {
  tl.dispose(layer.init(signature));
  return layer;
};
/** A schedule that has no rate for the third step. */
const failing = (step: number): number => {
  if (step > 1) throw new Error('no rate');
  return 0.1;
};
/** What was made since: bytes, and layers that have handles. */
const since = (before: tl.MemoryInfo): [bytes: number, layers: number] => {
  const now = tl.memory();
  return [now.bytes - before.bytes, now.layers - before.layers];
};

test.serial('batches of a loop that ends early are given back', async (t) => {
  const loss = tl.Serial(
    tl.Dense(2),
    tl.Fn('Loss', (y: tl.Tensor) => y.square().mean()),
  );
  tl.dispose(loss.init(f32([512, 512])));
  const trainer = new tl.Trainer(loss, tl.optimizers.Adam());
  const made: tl.Tensor[] = [];
  function* batches(): Generator<tl.Tensor> {
    for (;;) {
      made.push(tl.ones([512, 512]));
      yield made.at(-1)!;
    }
  }
  const fit = async (options: Partial<tl.FitOptions>): Promise<unknown> =>
    trainer.fit(batches(), { steps: 2, rng: [0, 1], ...options }).catch((error: Error) => error.message);
  await fit({});
  const before = tl.memory();
  await fit({});
  t.deepEqual([tl.memory().bytes, tl.memory().tensors], [before.bytes, before.tensors]);
  t.is(await fit({ steps: 5, schedule: failing }), 'no rate');
  const controller = new AbortController();
  await fit({ steps: 100, signal: controller.signal, onProgress: ({ done }) => void (done > 1 && controller.abort()) });
  t.deepEqual([tl.memory().bytes, tl.memory().tensors], [before.bytes, before.tensors]);
  t.true(made.every((x) => x.isDisposed));
});

test.serial('dispose gives the weights back, and ends the handle', (t) => {
  const before = tl.memory();
  const layer = ready(tl.Dense(WIDTH));
  t.deepEqual(since(before), [DENSE, 1]);
  layer.dispose();
  layer.dispose();
  t.deepEqual(since(before), [0, 0]);
  t.true(layer.isDisposed);
  t.is(String(layer), 'Dense_96 (disposed)');
  const disposed = {
    instanceOf: tl.DisposedError,
    code: 'Disposed',
    message: /^the layer Dense_96 was used after dispose/,
  } as const;
  t.throws(() => layer(x()), disposed);
  t.throws(() => layer.weights, disposed);
  t.throws(() => layer.init(signature), disposed);
  t.throws(() => layer.withMode('eval'), disposed);
  t.throws(() => tl.Serial(layer), disposed);
  t.throws(() => layer.sublayers, disposed);
});

test.serial(
  'calls of a disposed layer are refused on the compute thread too, but those that wait are completed',
  async (t) => {
    const layer = ready(tl.Dense(WIDTH));
    const call = layer.callAsync(x());
    layer.dispose();
    t.deepEqual((await call).shape, [1, WIDTH]);
    await t.throwsAsync(layer.callAsync(x()), { instanceOf: tl.DisposedError });
  },
);

test.serial('the layers made for a model go with it', (t) => {
  const before = tl.memory();
  const model = ready(tl.Serial(tl.Residual(tl.Dense(WIDTH), tl.Relu()), [tl.Serial(tl.Dense(WIDTH))]));
  t.is(since(before)[0], 2 * DENSE);
  model.dispose();
  t.deepEqual(since(before), [0, 0]);
  const lm = tl.models.TransformerLM(11, { dModel: 16, dFf: 32, nHeads: 2, nLayers: 2, maxLen: 8 });
  tl.dispose(lm.init({ shape: [1, 4], dtype: 'int32' }));
  t.true(since(before)[0] > 10_000);
  lm.dispose();
  t.deepEqual(since(before), [0, 0]);
});

test.serial('a layer that another one runs, or that was used by itself, lives on', (t) => {
  const before = tl.memory();
  const shared = tl.Dense(WIDTH);
  const [one, other] = [ready(tl.Serial(shared, tl.Relu())), tl.Serial(shared)];
  one.dispose();
  t.deepEqual(other(x()).shape, [1, WIDTH]);
  t.is(since(before)[1], 2);
  const used = ready(tl.Dense(WIDTH));
  tl.Serial(used).dispose();
  t.deepEqual(used(x()).shape, [1, WIDTH]);
  tl.dispose([other, { used }]);
  t.is(since(before)[1], 0);
  t.true(shared.isDisposed);
});

test.serial('copies in other modes share weights, and keep them', (t) => {
  const before = tl.memory();
  const layer = ready(tl.Serial(tl.Dense(WIDTH), tl.Dropout({ rate: 0.5 })));
  const [held] = since(before);
  const copy = layer.withMode('eval');
  copy.dispose();
  t.deepEqual(since(before), [held, 3]);
  const again = layer.withMode('eval');
  const expected = again(x()).array();
  layer.dispose();
  t.deepEqual(again(x()).array(), expected);
  again.dispose();
  t.is(tl.memory().layers, before.layers);
});

test.serial('a gradient to come outlives its layer', (t) => {
  class Nine extends tl.Layer {
    override forward(input: tl.Tensor): tl.Tensor {
      return input.mul(1);
    }
    override backward(_x: tl.Tensor, _y: tl.Tensor, grad: tl.Tensor): [tl.Tensor, null] {
      return [grad.mul(9), null];
    }
  }
  const layer = tl.Serial(new Nine());
  const [, pullback] = tl.vjp((input: tl.Tensor) => layer(input), floats([1.5]));
  layer.dispose();
  t.deepEqual(tensorOf(pullback([1])[0]).array(), [9]);
});

test.serial('using disposes at the end of the block', (t) => {
  const before = tl.memory();
  {
    using layer = ready(tl.Dense(WIDTH));
    t.deepEqual(layer(x()).shape, [1, WIDTH]);
  }
  t.is(since(before)[1], 0);
});

test.serial('tidy disposes the layers made in it', (t) => {
  const before = tl.memory();
  let seen: tl.Layer | undefined;
  for (let i = 0; i < 3; i++) {
    tl.tidy(() => {
      seen = tl.Serial(tl.Dense(WIDTH), tl.LogSoftmax());
      seen.init(signature);
      seen(x());
    });
  }
  t.true(seen!.isDisposed);
  t.deepEqual(since(before), [0, 0]);
  t.throws(
    () =>
      tl.tidy(() => {
        tl.Dense(3);
        throw new Error('mine');
      }),
    { message: 'mine' },
  );
  t.is(since(before)[1], 0);
});

test.serial('tidy leaves the layers that it returns, with what they run', (t) => {
  const before = tl.memory();
  const { kept } = tl.tidy(() => {
    const inner = tl.Dense(WIDTH);
    tl.Serial(inner).init(signature);
    tl.Dense(7);
    return { kept: [tl.Serial(inner)] };
  });
  t.deepEqual(kept[0]!(x()).shape, [1, WIDTH]);
  t.is(since(before)[1], 2, 'the layer returned, and the one in it');
  tl.tidy(() => tl.tidy(() => tl.Serial(tl.Dense(2))));
  t.is(since(before)[1], 4, 'what the outer scope returns stays');
  tl.tidy(() => void tl.tidy(() => tl.Serial(tl.Dense(2))));
  t.is(since(before)[1], 4, "what an inner scope returns is the outer one's");
  kept[0]!.dispose();
  t.is(since(before)[1], 2);
});

test.serial('tidy leaves layers that functions may refer to, and layers that are kept', (t) => {
  const call = tl.tidy(() => {
    const layer = ready(tl.Dense(WIDTH));
    return (input: tl.Tensor) => layer(input);
  });
  t.deepEqual(call(x()).shape, [1, WIDTH]);
  const around = tl.tidy(() => {
    const layer = ready(tl.Dense(WIDTH));
    return tl.Fn('Around', (input: tl.Tensor) => layer(input));
  });
  t.deepEqual(around(x()).shape, [1, WIDTH]);
  class Holder extends tl.Layer {
    readonly inner = ready(tl.Dense(WIDTH));
    override forward(input: tl.Tensor): tl.Tensor {
      return this.inner(input);
    }
  }
  t.deepEqual(one(tl.tidy(() => new Holder())(x())).shape, [1, WIDTH]);
  let [plain, calling]: (tl.Layer | undefined)[] = [];
  tl.tidy(() => {
    plain = tl.keep(ready(tl.Dense(WIDTH)));
    const layer = ready(tl.Dense(WIDTH));
    calling = tl.keep(tl.Fn('Calling', (input: tl.Tensor) => layer(input)));
  });
  t.deepEqual(one(plain!(x())).shape, [1, WIDTH]);
  t.deepEqual(one(calling!(x())).shape, [1, WIDTH]);
});

test.serial('a function may make layers for later within tidy', (t) => {
  let made: tl.Layer | undefined;
  const lazy = tl.Fn('Lazy', (input: tl.Tensor) => {
    made ??= ready(tl.Dense(WIDTH));
    return made(input);
  });
  const first = tl.tidy(() => lazy(x()));
  t.deepEqual(one(tl.tidy(() => lazy(x()))).array(), one(first).array());
});

test.serial(
  'layers that nobody holds are collected once the event loop turns, by the weight of what they hold',
  async (t) => {
    const before = tl.memory().bytes;
    let most = 0;
    for (let i = 0; i < 100; i++) {
      tl.dispose(tl.Dense(1024).init(f32([1, 1024])));
      await new Promise((resolve) => setImmediate(resolve));
      most = Math.max(most, tl.memory().bytes - before);
    }
    t.true(most < 2e8, `${most} bytes; each layer has 4 MB of weights`);
  },
);

test.serial('copies that nobody holds are collected once the event loop turns', async (t) => {
  const layer = tl.Serial(
    tl.Embedding(4, 256),
    tl.CausalAttention(256, { nHeads: 2, maxInferenceLength: 1024, mode: 'eval' }),
  );
  tl.dispose(layer.init({ shape: [1, 2], dtype: 'int32' }));
  const before = tl.memory().bytes;
  let most = 0;
  for (let i = 0; i < 100; i++) {
    layer
      .withMode('predict')([[1]])
      .dispose();
    await new Promise((resolve) => setImmediate(resolve));
    most = Math.max(most, tl.memory().bytes - before);
  }
  t.true(most < 1.5e8, `${most} bytes; each copy has 2 MB of state`);
});
