/** Classes whose fields are layers: these are their sublayers. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import * as tl from '../../src/index.js';
import { root } from '../support/process.js';
import { f32, values } from '../support/values.js';
import { tensorOf, tensorsOf, treesOf, wrong } from '../support/types.js';

const key = tl.random.key(3);
const x = tl.random.normal(tl.random.key(4), [5, 3]);
const far = (a: tl.Tensor, b: tl.Tensor): number => a.sub(b).abs().max().item();

/** As `Serial(Dense(8), Dropout, Relu, Dense(4))`. */
class Block extends tl.Layer<tl.Tensor, 1> {
  readonly first = tl.Dense(8);
  readonly rest = [tl.Dropout({ rate: 0.5 }), tl.Relu()];
  readonly named = { last: tl.Dense(4) };
  override forward(input: tl.Tensor): tl.Tensor {
    const inner = this.rest.reduce((y, layer) => layer(y), this.first(input));
    return this.named.last(inner);
  }
}
const series = (): tl.Layer<tl.Tensor, 1> => tl.Serial(tl.Dense(8), tl.Dropout({ rate: 0.5 }), tl.Relu(), tl.Dense(4));

test('fields are sublayers: initialized, printed and computed as in a series', (t) => {
  const [block, serial] = [new Block(), series()];
  block.init(f32([5, 3]), { rng: key });
  serial.init(f32([5, 3]), { rng: key });
  t.deepEqual(values(block.weights), values(serial.weights));
  t.is(`${block}`, `${serial}`.replace('Serial', 'Block'));
  t.deepEqual(block.sublayers, [block.first, ...block.rest, block.named.last]);
  t.deepEqual(block(x, { rng: key }).array(), serial(x, { rng: key }).array());
  t.deepEqual(block.withMode('eval')(x).array(), serial.withMode('eval')(x).array());
  t.notDeepEqual(block(x, { rng: key }).array(), block.withMode('eval')(x).array());
  t.deepEqual(block.outputSignature(f32([2, 3])), f32([2, 4]));
  t.deepEqual(block.weightsAndStateSignature(f32([2, 3])), serial.weightsAndStateSignature(f32([2, 3])));
});

/** A batch of its own for each step, as the trainer disposes what it was given. */
const batch = (): tl.Tensor[] => [x.mul(1), tl.ones([5, 4]), tl.ones([5, 4])];

/** Trains a layer for five steps; its weights then. */
async function trained(layer: tl.Layer): Promise<unknown> {
  const model = tl.Serial(tl.Serial(layer), tl.L2Loss());
  model.init([f32([5, 3]), f32([5, 4]), f32([5, 4])], { rng: key });
  const trainer = new tl.Trainer(model, tl.optimizers.Adam({ learningRate: 0.01 }));
  await trainer.fit(Array.from({ length: 5 }, batch), { steps: 5, rng: key });
  return values(layer.weights);
}

/** The gradient of the sum of squares of what a layer makes of `x`. */
const gradientOf = (layer: tl.Layer): unknown =>
  tl
    .valueAndGrad((y: tl.Tensor) => tensorOf(layer(y)).square().sum())(x)[1]
    .array();

test('training changes the weights of fields exactly as those of a series', async (t) => {
  const [block, fresh] = [new Block(), new Block()];
  fresh.init(f32([5, 3]), { rng: key });
  t.deepEqual(await trained(block), await trained(series()));
  t.notDeepEqual(values(block.first.weights), values(fresh.first.weights));
});

test('gradients flow through fields, in pureFn, valueAndGrad and remat', (t) => {
  const [block, serial] = [new Block().withMode('eval'), series().withMode('eval')];
  const [weights, state] = block.init(f32([5, 3]), { rng: key });
  serial.init(f32([5, 3]), { rng: key });
  const loss = (layer: tl.Layer, s: tl.Nest) => (w: tl.Nest) =>
    tensorOf(layer.pureFn(x, w, s, key)[0])
      .square()
      .sum();
  const of = (layer: tl.Layer, s: tl.Nest): unknown => values(tl.grad(loss(layer, s))(weights));
  t.deepEqual(of(block, state), of(serial, serial.state));
  t.deepEqual(gradientOf(block), gradientOf(serial));
  // Central differences.
  const w = tensorsOf(block.sublayers[0]!.weights);
  const moved = (by: number): number => {
    const [own, ...others] = treesOf(weights);
    const first = tensorsOf(own, 2);
    const shift = tl.tensor([[by, ...Array.from({ length: 7 }, () => 0)]]).cast('float32');
    const changed = [[first[0]!.add(tl.concat([shift, tl.zeros([2, 8])], 0)), first[1]!], ...others];
    return loss(block, state)(wrong(changed)).item();
  };
  const [gradients] = treesOf(tl.grad(loss(block, state))(weights));
  const slope = tensorsOf(gradients)[0]!.slice([0, 0], [1, 1]).item();
  t.true(Math.abs((moved(1e-2) - moved(-1e-2)) / 2e-2 - slope) < 1e-2 * Math.max(1, Math.abs(slope)), `${slope}`);
  t.deepEqual(w[0]!.shape, [3, 8]);
  const scanned = (layer: tl.Layer): unknown => {
    const model = tl.Scan(tl.Serial(layer, tl.Dense(3)), { axis: 0, nCarry: 0, remat: true });
    model.init(f32([2, 5, 3]), { rng: key });
    const two = tl.stack([x, x.mul(2)], 0);
    return tl
      .grad((y: tl.Tensor) => tensorOf(model(y)).square().sum())(two)
      .array();
  };
  t.deepEqual(scanned(new Block().withMode('eval')), scanned(series().withMode('eval')));
});

test('one instance in two fields is shared', (t) => {
  class Twice extends tl.Layer<tl.Tensor, 1> {
    readonly a = tl.Dense(3);
    readonly b = this.a;
    override forward(input: tl.Tensor): tl.Tensor {
      return this.b(this.a(input));
    }
  }
  const [layer, dense] = [new Twice(), tl.Dense(3)];
  const serial = tl.Serial(dense, dense);
  layer.init(f32([5, 3]), { rng: key });
  serial.init(f32([5, 3]), { rng: key });
  t.deepEqual(values(layer.weights), values(serial.weights));
  t.deepEqual(treesOf(layer.weights)[1], tl.GET_WEIGHTS_FROM_CACHE);
  t.deepEqual(layer(x).array(), serial(x).array());
  t.deepEqual(gradientOf(layer), gradientOf(serial));
});

test('weights of a class come before those of its fields, and are what its methods see', (t) => {
  class Tied extends tl.Layer<tl.Tensor, 1> {
    readonly embed = tl.Embedding(7, 3);
    override initWeightsAndState(): void {
      this.weights = tl.tensor([2]).cast('float32');
      this.state = tl.tensor(0);
    }
    override forward(tokens: tl.Tensor): tl.Tensor {
      this.state = tensorOf(this.state).add(1);
      const vectors = this.embed(tokens).mul(tensorOf(this.weights));
      // The same table the other way, as the call has it.
      return vectors.matmul(tensorOf(this.embed.weights).transpose());
    }
  }
  const layer = new Tied();
  layer.init({ shape: [1, 2], dtype: 'int32' }, { rng: key });
  const [own, table] = tensorsOf(layer.weights, 2);
  t.deepEqual([own.array(), table.shape], [[2], [7, 3]]);
  t.deepEqual(layer([[1, 2]]).shape, [1, 2, 7]);
  t.is(tensorOf(treesOf(layer.state)[0]).item(), 1);
  t.is(tensorOf(treesOf(layer.withMode('eval').state)[0]).item(), 0);
  const loss = (w: tl.Nest): tl.Tensor => layer.pureFn([[1, 2]], w, layer.state, key)[0].sum();
  const changed = [own, tl.ones([7, 3])];
  t.is(loss(changed).item(), 2 * 7 * 3 * 2);
  const [, ofTable] = tensorsOf(tl.grad(loss)(wrong(changed)), 2);
  // Tokens 1 and 2 are read, and all rows are multiplied with.
  t.deepEqual(ofTable.sum({ axis: 1 }).array(), [12, 54, 54, 12, 12, 12, 12]);
});

test('fields go into predict mode with the class, and keep their state in its', (t) => {
  class Decoder extends tl.Layer<tl.Tensor, 1> {
    readonly attention = tl.CausalAttention(4, { nHeads: 2 });
    readonly seen: string[] = [];
    override forward(input: tl.Tensor): tl.Tensor {
      this.seen.push(`${this.mode} ${this.attention.mode}`);
      return this.attention(input).add(input);
    }
  }
  const decoder = new Decoder();
  const model = tl.Serial(decoder);
  const tokens = tl.random.normal(key, [1, 4, 4]);
  model.init(tl.signature(tokens), { rng: key });
  const whole = model.withMode('eval')(tokens);
  const predict = model.withMode('predict');
  decoder.seen.length = 0;
  const steps = [0, 1, 2, 3].map((i) => predict(tokens.slice([0, i, 0], [1, i + 1, 4])));
  t.true(far(tl.concat(steps, 1), whole) < 1e-5);
  t.deepEqual(new Set(decoder.seen), new Set(['predict predict']));
  t.is(decoder.attention.mode, 'train');
  t.throws(() => (decoder.mode = 'eval'), { code: 'InvalidOption', message: /withMode\('eval'\)/ });
});

test('layers made of fields in forward, layers in functions and nested classes run in the same call', async (t) => {
  class Outer extends tl.Layer<tl.Tensor, 1> {
    readonly inner = new Block({ mode: 'eval' });
    readonly scale = tl.Fn('Scale', (y: tl.Tensor) => y.mul(2));
    readonly map = new Map([['out', tl.Dense(2)]]);
    override forward(input: tl.Tensor): tl.Tensor {
      return tl.Serial(this.inner, this.scale, this.map.get('out')!)(input);
    }
  }
  const outer = tl.Serial(new Outer()).withMode('eval');
  const serial = tl
    .Serial(
      tl.Serial(
        series(),
        tl.Fn('Scale', (y: tl.Tensor) => y.mul(2)),
        tl.Dense(2),
      ),
    )
    .withMode('eval');
  const [weights] = serial.init(f32([5, 3]), { rng: key });
  outer.init(f32([5, 3]), { rng: key });
  t.deepEqual(values(outer.weights), values(weights));
  t.deepEqual(outer(x).array(), serial(x).array());
  t.deepEqual((await outer.callAsync(x)).array(), serial(x).array());
  const gradient = (of: tl.Layer): unknown =>
    values(
      tl.grad((w: tl.Nest) =>
        tensorOf(of.pureFn(x, w, of.state, key)[0])
          .square()
          .sum(),
      )(weights),
    );
  t.deepEqual(gradient(outer), gradient(serial));
});

test('a field that is set late, or is another than at the first use, is refused', (t) => {
  const block = new Block();
  block.init(f32([5, 3]), { rng: key });
  (block as { first: tl.Layer }).first = tl.Dense(8);
  t.throws(() => block(x), {
    instanceOf: TypeError,
    message: /^Block: the layer in the field `first` is another than at the first use/,
  });
  const list = new Block();
  list.init(f32([5, 3]), { rng: key });
  list.rest.push(tl.Relu());
  t.throws(() => list(x), { instanceOf: TypeError, message: /`rest\[2\]`/ });
  class Late extends tl.Layer<tl.Tensor, 1> {
    dense?: tl.Layer<tl.Tensor>;
    override initWeightsAndState(): void {
      this.dense = tl.Dense(2);
    }
    override forward(input: tl.Tensor): tl.Tensor {
      return this.dense!(input);
    }
  }
  const late = new Late();
  late.init(f32([5, 3]));
  t.throws(() => late(x), { instanceOf: TypeError, message: /Late: the layer in the field `dense`.*constructor/ });
});

test('a layer in its own fields is refused', (t) => {
  class Own extends tl.Layer<tl.Tensor, 1> {
    other: tl.Layer<tl.Tensor> | null = null;
    override forward(input: tl.Tensor): tl.Tensor {
      return this.other!(input);
    }
  }
  const own = new Own();
  own.other = own;
  t.throws(() => own(x), { instanceOf: TypeError, message: /own fields.*Own > Own/ });
  t.throws(() => own(x), { instanceOf: TypeError, message: /own fields/ });
  const [a, b] = [new Own({ name: 'A' }), new Own({ name: 'B' })];
  a.other = b;
  b.other = a;
  t.throws(() => tl.Serial(a), { instanceOf: TypeError, message: /A > B > A/ });
  // A model that it is a part of may be referred to, but not called.
  const c = new Own();
  c.other = tl.Serial(c);
  t.throws(() => c(x), { instanceOf: RangeError, message: /does a layer call itself\?$/ });
});

test('classes that bring their own gradients, or have no weights, take no layers in fields', (t) => {
  class Backward extends tl.Layer<tl.Tensor, 1> {
    readonly a = tl.Dense(3);
    override forward(input: tl.Tensor): tl.Tensor {
      return this.a(input);
    }
    override backward(): [unknown, unknown] {
      return [[], []];
    }
  }
  t.throws(() => new Backward()(x), {
    code: 'InvalidOption',
    message: /Backward has layers in its fields and a backward of its own/,
  });
  class Pure extends tl.PureLayer {
    readonly a = tl.Relu();
    constructor() {
      super((input: tl.Tensor) => input);
    }
    override forward(input: tl.Tensor): tl.Tensor {
      return this.a(input);
    }
  }
  t.throws(() => new Pure()(x), {
    instanceOf: TypeError,
    message: /field `a` of PureLayer is a layer.*extend tl.Layer/,
  });
});

test('a private field stays apart: its layer is used as it is', (t) => {
  const teacher = tl.Dense(4);
  teacher.init(f32([5, 3]), { rng: key });
  class Student extends tl.Layer<tl.Tensor, 1> {
    readonly dense = tl.Dense(4);
    readonly #teacher = teacher;
    override forward(input: tl.Tensor): tl.Tensor {
      return this.dense(input).sub(this.#teacher(input));
    }
  }
  const student = new Student();
  student.init(f32([5, 3]), { rng: key });
  t.deepEqual(student.sublayers, [student.dense]);
  t.true(far(student(x), student.dense(x).sub(teacher(x))) === 0);
});

test('what a field holds cannot be set in a method, and an error in one names it with its path', (t) => {
  class Wrong extends tl.Layer<tl.Tensor, 1> {
    readonly dense = tl.Dense(4);
    doing = 'nothing';
    override forward(input: tl.Tensor): tl.Tensor {
      if (this.doing === 'sets') this.dense.weights = [];
      return this.dense(this.doing === 'widens' ? tl.concat([input, input], 1) : input);
    }
  }
  const wrong = new Wrong();
  wrong.init(f32([5, 3]), { rng: key });
  wrong.doing = 'sets';
  t.throws(() => wrong(x), { code: 'InvalidArgument', message: /weights of Dense_4 cannot be set while Wrong runs/ });
  wrong.doing = 'widens';
  t.throws(() => tl.Serial(wrong)(x), { code: 'ShapeMismatch', message: /Dense_4 \(forward\)/ });
  class Stateful extends tl.Layer<tl.Tensor, 1> {
    readonly dense = tl.Dense(4);
    override forward(input: tl.Tensor): tl.Tensor {
      this.state = tl.tensor(1);
      return this.dense(input);
    }
  }
  t.throws(() => new Stateful().init(f32([5, 3])), {
    message: /Stateful sets this\.state, so it must define initWeightsAndState/,
  });
});

test('a field that forward does not reach is initialized in initWeightsAndState', (t) => {
  class Two extends tl.Layer<tl.Tensor, 1> {
    readonly a = tl.Dense(3);
    readonly b = tl.Dense(3);
    useB = false;
    override initWeightsAndState(signature: tl.Signature): void {
      this.b.init(signature);
    }
    override forward(input: tl.Tensor): tl.Tensor {
      return this.useB ? this.b(input) : this.a(input);
    }
  }
  const two = new Two();
  two.init(f32([5, 3]), { rng: key });
  two.useB = true;
  t.deepEqual(two(x).shape, [5, 3]);
  t.deepEqual(treesOf(two.weights).length, 3);
});

test('dispose gives the fields back with the class', (t) => {
  const before = tl.memory().layers;
  const block = new Block();
  block.init(f32([5, 3]), { rng: key });
  block(x).dispose();
  block.dispose();
  t.is(tl.memory().layers, before);
  t.true(block.first.isDisposed);
});

const folder = (t: ExecutionContext): string => {
  const path = mkdtempSync(join(tmpdir(), 'tallow-classes-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
};

test('fields are saved, and loaded in another process', (t) => {
  const path = join(folder(t), 'block.safetensors');
  const block = new Block();
  block.init(f32([5, 3]), { rng: key });
  block.saveToFile(path, { inputSignature: f32([5, 3]) });
  const script = `
    const tl = require(${JSON.stringify(join(root, 'src/index.ts'))});
    class Block extends tl.Layer {
      first = tl.Dense(8);
      rest = [tl.Dropout({ rate: 0.5 }), tl.Relu()];
      named = { last: tl.Dense(4) };
      forward(x) { return this.named.last(this.rest.reduce((y, l) => l(y), this.first(x))); }
    }
    const block = new Block({ mode: 'eval' });
    block.initFromFile(${JSON.stringify(path)});
    console.log(JSON.stringify(block.withMode('eval')(tl.ones([1, 3])).array()));
  `;
  const file = join(folder(t), 'load.cjs');
  writeFileSync(file, script);
  const out = execFileSync(process.execPath, ['--import=tsx', file], { cwd: root, encoding: 'utf8' });
  t.deepEqual(
    JSON.parse(out),
    block
      .withMode('eval')(tl.ones([1, 3]))
      .array(),
  );
});

test('a class may state its name, which is that in files; loading says what to do where names differ', (t) => {
  const path = join(folder(t), 'scale.safetensors');
  class Scale extends tl.Layer<tl.Tensor, 1> {
    static override readonly layerName: string | undefined = 'Scale';
    override initWeightsAndState(): void {
      this.weights = tl.tensor([1.5]);
    }
    override forward(input: tl.Tensor): tl.Tensor {
      return input.mul(tensorOf(this.weights));
    }
  }
  // As a minifier leaves a class.
  class a extends Scale {}
  class b extends Scale {
    static override readonly layerName = 'Scale';
  }
  t.deepEqual([new Scale().name, new a().name, new b().name, new b({ name: 'c' }).name], ['Scale', 'a', 'Scale', 'c']);
  const model = tl.Serial(tl.Dense(3), new Scale());
  model.init(f32([5, 3]), { rng: key });
  model.saveToFile(path, { inputSignature: f32([5, 3]) });
  tl.Serial(tl.Dense(3), new b()).initFromFile(path);
  t.throws(() => tl.Serial(tl.Dense(3), new a()).initFromFile(path), {
    code: 'WeightsMismatch',
    message:
      /weights\/1\.a, but weights\/1\.Scale: the layer a of the model is Scale in the file.*`static layerName = 'Scale'`.*option `name`/,
  });
  class Bad extends Scale {
    static override readonly layerName = wrong(5);
  }
  t.throws(() => new Bad(), { instanceOf: TypeError, message: /layerName/ });
});
