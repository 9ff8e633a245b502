/** Layers of a class are collected once nothing needs them, and not before. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import test from 'ava';
import * as tl from '../src/index.js';
import { f32, values, one } from './support/values.js';
import { tensorOf } from './support/types.js';

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc');

/** Collects what can be collected, until `done`. */
async function collect(done: () => boolean = () => false): Promise<void> {
  for (let i = 0; i < 40 && !done(); i++) {
    gc();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

class Scale extends tl.Layer {
  override initWeightsAndState(signature: tl.Signature): void {
    this.weights = tl.full(signature.shape.slice(-1), 3, { dtype: 'float32' });
  }
  override forward(x: tl.Tensor): tl.Tensor {
    return x.mul(tensorOf(this.weights));
  }
}

/** Steps by 7, whatever the slope. */
class Seven extends tl.Layer {
  override forward(x: tl.Tensor): tl.Tensor {
    return x.mul(1);
  }
  override backward(_x: tl.Tensor, _y: tl.Tensor, grad: tl.Tensor): [tl.Tensor, null] {
    return [grad.mul(7), null];
  }
}

const x = (): tl.Tensor => tl.tensor([1.5, 2]);
let collected = 0;
const seen = new FinalizationRegistry(() => (collected += 1));

/** How many of the layers that `make` makes are collected. */
async function countCollected(
  t: { is: (a: number, b: number) => void },
  n: number,
  make: () => tl.Layer,
): Promise<void> {
  const before = collected;
  // A function of its own, so that no variable of this one holds the last layer.
  (() => {
    for (let i = 0; i < n; i++) seen.register(make(), undefined);
  })();
  await collect(() => collected - before === n);
  t.is(collected - before, n);
}

test.serial('a thousand layers of a class are collected', async (t) => {
  await countCollected(t, 1000, () => new Scale());
});

test.serial('layers of a class that were used are collected', async (t) => {
  await countCollected(t, 300, () => {
    const layer = new Scale();
    layer.init(f32([2]));
    one(layer(x())).dispose();
    tl.grad((w: tl.Tensor) => one(layer.pureFn(x(), w, [])[0]).sum())(tl.tensor([1, 1.5]));
    return layer;
  });
  await countCollected(t, 100, () => {
    const layer = new Seven();
    tl.grad((a: tl.Tensor) => one(layer(a)).sum())(x());
    return layer;
  });
});

test.serial('layers of a class are collected with the layers around them', async (t) => {
  await countCollected(t, 300, () => {
    const layer = new Scale();
    tl.Serial(tl.Residual(layer), tl.Relu()).init(f32([2]));
    return layer;
  });
  await countCollected(t, 100, () => {
    const layer = new Scale();
    const trainer = new tl.Trainer(
      tl.Serial(
        layer,
        tl.Fn('Sum', (a: tl.Tensor) => a.sum()),
      ),
      tl.optimizers.Adam(),
    );
    return trainer.modelWithLoss.sublayers[0]!.withMode('eval');
  });
});

const inside = (): tl.Layer => tl.Serial(tl.Serial(new Scale()), tl.Bidirectional(new Scale()));

test.serial('a layer around it keeps a layer of a class, whose own handle is gone', async (t) => {
  const layer = inside();
  const copy = inside().withMode('eval');
  layer.init(f32([1, 2]));
  copy.init(f32([1, 2]));
  await collect();
  const expected = [[13.5, 18, 13.5, 18]];
  t.deepEqual(one(layer([[1.5, 2]])).array(), expected);
  t.deepEqual(one(copy([[1.5, 2]])).array(), expected);
  t.deepEqual(one(await layer.callAsync([[1.5, 2]])).array(), expected);
  t.is(layer.sublayers[0]!.sublayers[0]!.name, 'Scale');
});

test.serial('a gradient to come keeps the layers that bring their own backward', async (t) => {
  const before = collected;
  const pullbacks = [
    () => {
      const layer = new Seven();
      seen.register(layer, undefined);
      return layer;
    },
    () => tl.Serial(new Seven(), tl.Relu()),
    () => tl.Chunk(new Seven(), 1),
  ].map((make) => tl.vjp((a: tl.Tensor) => make()(a), x())[1]);
  await collect();
  for (const pullback of pullbacks) t.deepEqual(values(pullback(tl.ones([2]))), [[7, 7]]);
  pullbacks.length = 0;
  await collect(() => collected > before);
  t.is(collected, before + 1);
});

test.serial('a call on the way keeps its layer', async (t) => {
  const results = Array.from({ length: 20 }, () => new Scale()).map((layer) => {
    layer.init(f32([2]));
    return layer.callAsync(x());
  });
  await collect();
  for (const y of await Promise.all(results)) t.deepEqual(one(y).array(), [4.5, 6]);
});

test.serial('errors still say where a layer was made', async (t) => {
  const layer = new Scale();
  layer.init(f32([2]));
  await collect();
  const error = t.throws(() => layer([x(), x()]), { instanceOf: tl.LayerError });
  t.regex(error?.createdAt ?? '', /collect\.spec\.ts/);
});

/** Layers and models that refer to themselves through what they are made of. */
const cycles: Record<string, () => tl.Layer> = {
  'a function': () => {
    const model: tl.Layer = tl.Serial(
      tl.Dense(8),
      tl.Fn('Peek', (a: tl.Tensor) => (void model, a)),
    );
    return model;
  },
  'a function within others': () => {
    const peek = tl.PureLayer((a: tl.Tensor) => (void model, a));
    const model: tl.Layer = tl.Serial(tl.Residual(tl.Serial(peek)), tl.Bidirectional(tl.Serial(peek)));
    return model;
  },
  'a field of a class': () => {
    class Inner extends tl.Layer {
      model: tl.Layer | undefined = undefined;
      override forward(a: tl.Tensor): tl.Tensor {
        return a.mul(2);
      }
    }
    const inner = new Inner();
    inner.model = tl.Serial(inner, tl.Dense(8));
    return inner.model;
  },
  'a closure of a class': () => {
    class Inner extends tl.Layer {
      override forward(a: tl.Tensor): tl.Tensor {
        void model;
        return a.mul(2);
      }
    }
    const model: tl.Layer = tl.Serial(new Inner(), tl.Dense(8));
    return model;
  },
  'a class of a pure layer': () => {
    class Twice extends tl.PureLayer {
      model: tl.Layer | undefined = undefined;
      constructor() {
        super((a: tl.Tensor) => (void this.model, a.mul(2)));
      }
    }
    const inner = new Twice();
    inner.model = tl.Serial(inner, tl.Dense(8));
    return inner.model;
  },
  'an initializer': () => {
    const model: tl.Layer = tl.Serial(
      tl.Dense(8, { kernelInitializer: (shape, key) => (void model, tl.random.normal(key, shape)) }),
    );
    return model;
  },
  'the function of a scan': () => {
    const step = (a: tl.Tensor, carry: tl.Tensor): tl.Tensor[] => (void model, [a.add(carry), carry]);
    const model: tl.Layer = tl.Serial(tl.Dup(), tl.Scan(tl.Fn('Step', step, { nOut: 2 })), tl.Select([0], { nIn: 2 }));
    return model;
  },
  'a copy in another mode': () => {
    const model: tl.Layer = tl.Serial(
      tl.Dense(8),
      tl.Fn('Peek', (a: tl.Tensor) => (void copy, a)),
    );
    const copy = model.withMode('eval');
    return copy;
  },
};

for (const [name, make] of Object.entries(cycles)) {
  test.serial(`a model that ${name} in it refers to is collected when it was used`, async (t) => {
    const { layers } = tl.memory();
    await countCollected(t, 20, () => {
      const model = make();
      model.init(f32([8, 8]));
      model(tl.ones([8, 8]));
      tl.grad((a: tl.Tensor) => tl.tree.leaves<tl.Tensor>(model(a))[0]!.sum())(tl.ones([8, 8]));
      return model;
    });
    await collect(() => tl.memory().layers <= layers);
    t.true(tl.memory().layers <= layers);
  });
}

test.serial('a model that refers to itself and is called on the compute thread is collected after that', async (t) => {
  const pending: Promise<unknown>[] = [];
  await countCollected(t, 10, () => {
    const model: tl.Layer = tl.Serial(tl.Fn('Peek', (a: tl.Tensor) => (void model, a.add(1))));
    pending.push(model.callAsync([1, 2]));
    return model;
  });
  t.is((await Promise.all(pending)).length, 10);
});

test.serial('functions live as long as anything can call them', async (t) => {
  const options = { layers: [tl.Fn('Plus', (a: tl.Tensor) => a.add(1))] };
  const model = tl.Serial(
    options.layers,
    tl.Chunk(
      tl.Fn('Twice', (a: tl.Tensor) => a.mul(2)),
      1,
    ),
  );
  // What the caller's own objects held is gone; the model must not depend on them.
  options.layers.length = 0;
  const trainer = new tl.Trainer(
    tl.Serial(
      model.withMode('eval'),
      tl.Dense(1),
      tl.Fn('Sum', (a: tl.Tensor) => a.sum()),
    ),
    tl.optimizers.Adam(),
  );
  trainer.modelWithLoss.init(f32([2, 2]));
  const sub = tl.Serial(tl.Serial(tl.Fn('Minus', (a: tl.Tensor) => a.sub(1)))).sublayers[0]!;
  await collect();
  t.deepEqual(model([[1, 2]]).array(), [[4, 6]]);
  t.deepEqual(one(sub([5])).array(), [4]);
  const fitted = trainer.fit(
    [
      [
        [1, 2],
        [3, 4],
      ],
    ].map((v) => tl.tensor(v, null, { dtype: 'float32' })),
    {
      steps: 1,
      rng: tl.random.key(0),
      schedule: (step) => 0.25 + step,
    },
  );
  await collect();
  t.is((await fitted).steps, 1);
});

test.serial('a trainer that its own schedule and progress refer to is collected', async (t) => {
  const before = collected;
  await (async () => {
    let trainer: tl.Trainer | undefined = undefined;
    const loss: tl.Layer = tl.Serial(
      tl.Dense(2),
      tl.Fn('Loss', (y: tl.Tensor) => (void trainer, y.square().mean())),
    );
    loss.init(f32([2, 2]));
    trainer = new tl.Trainer(loss, tl.optimizers.Adam());
    seen.register(trainer, undefined);
    seen.register(loss, undefined);
    const schedule = (): number => (void trainer, 0.1);
    const report = await trainer.fit([tl.ones([2, 2])], {
      steps: 1,
      rng: tl.random.key(0),
      schedule,
      onProgress: () => void trainer,
    });
    t.is(report.steps, 1);
  })();
  await collect(() => collected - before === 2);
  t.is(collected - before, 2);
});
