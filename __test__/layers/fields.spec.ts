/** Classes whose fields are layers: in replicas, in errors, beside fields that hold much else, and in files under another name. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import * as tl from '../../src/index.js';
import { root } from '../support/process.js';
import { tensorOf } from '../support/types.js';
import { close, f32, values } from '../support/values.js';

const key = tl.random.key(3);
const x = tl.random.normal(tl.random.key(4), [6, 3]);

/** As `Serial(Dense(8), Tanh, Dense(4))`. */
class Block extends tl.Layer<tl.Tensor, 1> {
  static override readonly layerName = 'Block';
  readonly first = tl.Dense(8);
  readonly rest = [tl.Tanh(), tl.Dense(4)];
  override forward(input: tl.Tensor): tl.Tensor {
    return this.rest.reduce((y, layer) => layer(y), this.first(input));
  }
}
const series = (): tl.Layer<tl.Tensor, 1> => tl.Serial(tl.Dense(8), tl.Tanh(), tl.Dense(4));

test('replicas of a class compute and have the gradients of the class', (t) => {
  const block = new Block();
  block.init(f32([6, 3]), { rng: key });
  for (const nDevices of [2, 3, 4]) {
    const fast = tl.Accelerate(block, { nDevices });
    const gradient = (layer: tl.Layer): tl.Tensor => tl.grad((y: tl.Tensor) => tensorOf(layer(y)).square().sum())(x);
    close(t, tensorOf(fast(x)), block(x).array(), 1e-5);
    close(t, gradient(fast), gradient(block).array(), 1e-5);
  }
});

/** The weights after five steps on two devices. */
async function trainedOnTwo(layer: tl.Layer): Promise<unknown> {
  const model = tl.Serial(layer, tl.L2Loss());
  model.init([f32([6, 3]), f32([6, 4]), f32([6, 4])], { rng: key });
  const trainer = new tl.Trainer(model, tl.optimizers.Adam({ learningRate: 0.01 }), { nDevices: 2 });
  const batches = Array.from({ length: 5 }, () => [x.mul(1), tl.ones([6, 4]), tl.ones([6, 4])]);
  const { steps } = await trainer.fit(batches, { steps: 5, rng: key });
  return [steps, values(layer.weights)];
}

test('a class is trained in replicas as a series is', async (t) => {
  const [block, serial] = [new Block(), series()];
  t.deepEqual(await trainedOnTwo(block), await trainedOnTwo(serial));
  const fresh = new Block();
  fresh.init(f32([6, 3]), { rng: key });
  t.notDeepEqual(values(block.first.weights), values(fresh.first.weights));
});

/** The path of the error that `f` throws. */
const pathOf = (f: () => unknown): readonly string[] | undefined => {
  try {
    f();
  } catch (error) {
    if (error instanceof tl.LayerError) return error.path;
  }
  return undefined;
};

test('an error in a field has the path through the class, at once and on the compute thread', async (t) => {
  class Wide extends tl.Layer<tl.Tensor, 1> {
    readonly inner = tl.Serial(new Block(), tl.Relu());
    wide = false;
    override forward(input: tl.Tensor): tl.Tensor {
      return tensorOf(this.inner(this.wide ? tl.concat([input, input], 1) : input));
    }
  }
  const wide = new Wide();
  const model = tl.Serial(tl.Serial(wide), tl.Relu());
  model.init(f32([6, 3]), { rng: key });
  wide.wide = true;
  const path = ['Serial', 'Serial', 'Wide', 'Serial', 'Block', 'Dense_8'];
  const message =
    /^\[ShapeMismatch\] Serial > Serial > Wide > Serial > Block > Dense_8 \(forward\): last axis is 6, weights were made for 3 · inputs float32\[6,6\] · created at .*fields\.spec/;
  t.deepEqual(
    pathOf(() => model(x)),
    path,
  );
  const error = t.throws(() => model(x), { instanceOf: tl.LayerError, code: 'ShapeMismatch', message });
  t.true(error.stack?.startsWith(`LayerError: ${error.message}`), error.stack);
  await t.throwsAsync(model.callAsync(x), { instanceOf: tl.LayerError, code: 'ShapeMismatch', message });
});

test('a layer that a function calls has the path through the function', (t) => {
  const dense = tl.Dense(2);
  dense.init(f32([1, 5]));
  const model = tl.Serial(tl.Fn('Twice', (y: tl.Tensor) => dense(y)));
  t.deepEqual(
    pathOf(() => model(x)),
    ['Serial', 'Twice', 'Dense_2'],
  );
});

test('what a method throws of its own comes out as it is', (t) => {
  class Own extends tl.LayerError {}
  const details = { path: [], phase: 'forward', inputs: [], createdAt: undefined } as const;
  for (const thrown of [new Error('mine'), new TypeError('mine'), new Own('ShapeMismatch', 'mine', details)]) {
    class Throws extends tl.Layer<tl.Tensor, 1> {
      readonly dense = tl.Dense(2);
      override forward(): tl.Tensor {
        throw thrown;
      }
    }
    t.is(
      t.throws(() => tl.Serial(new Throws()).init(f32([6, 3])), { any: true }),
      thrown,
    );
  }
});

test('fields that hold much data are not looked through at each call, and another layer in one is still noticed', (t) => {
  const looks = { at: 0 };
  class Counted extends Map<number, unknown> {
    override [Symbol.iterator](): MapIterator<[number, unknown]> {
      looks.at += 1;
      return super[Symbol.iterator]();
    }
  }
  class Heavy extends tl.Layer<tl.Tensor, 1> {
    readonly dense = tl.Dense(4);
    readonly numbers = Array.from({ length: 100_000 }, (_, i) => i);
    table: Map<number, unknown> = new Counted(this.numbers.map((i) => [i, { i }]));
    override forward(input: tl.Tensor): tl.Tensor {
      return this.dense(input);
    }
  }
  const heavy = new Heavy();
  heavy.init(f32([6, 3]), { rng: key });
  for (let i = 0; i < 100; i += 1) heavy(x).dispose();
  t.true(looks.at <= 2, `${looks.at}`);
  heavy.table = new Map([[0, tl.Dense(4)]]);
  t.throws(() => heavy(x), {
    instanceOf: TypeError,
    message: /Heavy: the layer in the field `table\.get\(0\)` is another/,
  });
});

test('a class that states its name is loaded by a class of another name, in another process', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tallow-fields-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'block.safetensors');
  const model = tl.Serial(new Block(), tl.Relu());
  model.init(f32([6, 3]), { rng: key });
  model.saveToFile(path, { inputSignature: f32([6, 3]) });
  // As a minifier leaves the class.
  const script = `
    const tl = require(${JSON.stringify(join(root, 'src/index.ts'))});
    class e extends tl.Layer {
      static layerName = 'Block';
      a = tl.Dense(8);
      b = [tl.Tanh(), tl.Dense(4)];
      forward(x) { return this.b.reduce((y, l) => l(y), this.a(x)); }
    }
    const model = tl.Serial(new e(), tl.Relu());
    model.initFromFile(${JSON.stringify(path)});
    console.log(JSON.stringify(model(tl.ones([1, 3])).array()));
  `;
  const file = join(folder, 'load.cjs');
  writeFileSync(file, script);
  const out = execFileSync(process.execPath, ['--import=tsx', file], { cwd: root, encoding: 'utf8' });
  t.deepEqual(JSON.parse(out), tensorOf(model(tl.ones([1, 3]))).array());
});
