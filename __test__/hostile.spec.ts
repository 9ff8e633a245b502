/**
 * Every function, method and layer, called with hostile values in each place: each call gives a result, or an error that tells
 * the caller in words what is wrong.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import * as tl from '../src/index.js';
import { one } from './support/values.js';
import { tensorOf, wrong } from './support/types.js';
import { attack, type Callee, dice, disposedTensor, type Failures } from './support/hostile.js';

/** Names that change the process or write files, and the class that is never made by hand. */
const LEFT_OUT = new Set([
  'setNumThreads',
  'Tensor',
  'dispose',
  'saveToFile',
  'save',
  'npToFile',
  'saveSafetensors',
  'saveNpz',
  'constructor',
]);

// Some take a name as that of a file or folder, and write it.
const home = process.cwd();
const folder = mkdtempSync(join(tmpdir(), 'tallow-hostile-'));
test.before(() => process.chdir(folder));
test.after.always(() => {
  process.chdir(home);
  rmSync(folder, { recursive: true });
});

/** Good arguments of what a hostile value alone would not get far in. */
const GOOD: Readonly<Record<string, readonly unknown[]>> = {
  tensor: [[1, 2], [2], {}],
  full: [[2], 1, {}],
  concat: [[tl.ones([1]), tl.ones([1])], 0],
  stack: [[tl.ones([1]), tl.ones([1])], 0],
  einsum: ['i->i', tl.ones([2])],
  where: [tl.tensor([1, 0]), 1, 2],
  vjp: [(x: unknown) => x, tl.ones([2])],
  grad: [(x: tl.Tensor) => x.sum(), {}],
  valueAndGrad: [(x: tl.Tensor) => x.sum(), {}],
  tidy: [() => 1],
  uniform: [[0, 1], [2], {}],
  normal: [[0, 1], [2], {}],
  truncatedNormal: [[0, 1], -1, 1, [2]],
  randint: [[0, 1], [2], 0, 3],
  categorical: [[0, 1], tl.ones([2]), {}],
  permutation: [[0, 1], 3, {}],
  map: [(x: unknown) => x, [1], [2]],
  unflatten: [{ kind: 'array', items: [{ kind: 'leaf' }] }, [1]],
};

/** Every function under a name, and what is nested in objects of them. */
function* functions(of: object, path: string): Generator<[name: string, f: Callee]> {
  for (const [name, value] of Object.entries(of)) {
    if (LEFT_OUT.has(name)) continue;
    if (typeof value === 'function') yield [path === '' ? name : `${path}.${name}`, value];
    else if (typeof value === 'object' && value !== null && path === '' && !(value instanceof tl.Tensor))
      yield* functions(value, name);
  }
}

const isClass = (f: Callee): boolean => /^class\b/.test(Function.prototype.toString.call(f));
const goodFor = (name: string): readonly unknown[] => GOOD[name.split('.').at(-1)!] ?? [tl.ones([2]), 1];

test.serial('functions and factories', async (t) => {
  const failures: Failures = [];
  const roll = dice(20_261_129);
  for (const [name, f] of functions(tl, '')) {
    const call: Callee = isClass(f) ? (...args) => Reflect.construct(f, args) : f;
    await attack(failures, name, call, goodFor(name), roll, 40);
  }
  t.deepEqual(failures, []);
  t.deepEqual(tl.ones([2]).add(1).array(), [2, 2]);
});

/** The names of an object's methods, those of the classes that it builds on included. */
function methodsOf(prototype: object): ReadonlySet<string> {
  const parent: object | null = Object.getPrototypeOf(prototype);
  const inherited = parent === null || parent === Object.prototype ? [] : methodsOf(parent);
  const own = Object.entries(Object.getOwnPropertyDescriptors(prototype));
  return new Set([...own.flatMap(([name, { value }]) => (typeof value === 'function' ? [name] : [])), ...inherited]);
}

test.serial('methods of tensors', async (t) => {
  const failures: Failures = [];
  const roll = dice(7);
  const names = [...methodsOf(tl.Tensor.prototype)].filter((name) => !LEFT_OUT.has(name));
  t.true(names.length > 90);
  for (const name of names) {
    for (const x of [
      tl.tensor([
        [1, 2],
        [0, 1],
      ]),
      tl.tensor([0.5, 2]),
      disposedTensor,
    ]) {
      const method: unknown = Reflect.get(x, name);
      if (typeof method !== 'function') continue;
      await attack(failures, `Tensor.${name}`, (...args) => Reflect.apply(method, x, args), [x, 0], roll, 60);
    }
  }
  t.deepEqual(failures, []);
  t.deepEqual(tl.tensor([1, 2]).mul(2).array(), [2, 4]);
});

/** Layers of several kinds, initialized. */
function fresh(): tl.Layer[] {
  const made = [
    tl.Dense(2),
    tl.Serial(tl.Embedding(3, 2), tl.LSTM(2)),
    tl.Add(),
    tl.BatchNorm(),
    tl.Dropout({ rate: 0.5 }),
  ];
  const inputs: (tl.Signature | tl.Signature[])[] = [
    { shape: [1, 2], dtype: 'float32' },
    { shape: [1, 2], dtype: 'int32' },
    [
      { shape: [2], dtype: 'float32' },
      { shape: [2], dtype: 'float32' },
    ],
    { shape: [2, 2, 2], dtype: 'float32' },
    { shape: [2], dtype: 'float32' },
  ];
  made.forEach((layer, i) => layer.init(inputs[i]!, { rng: [0, 1] }));
  return made;
}

test.serial('layers that were made', async (t) => {
  const failures: Failures = [];
  const roll = dice(99);
  const signature = { shape: [1, 2], dtype: 'float32' };
  for (const layer of [...fresh(), tl.Dense(3)]) {
    const x = tl.ones([1, 2]);
    await attack(failures, `${layer.name}()`, layer as Callee, [x, {}], roll, 150);
    await attack(
      failures,
      `${layer.name}.callAsync`,
      (...args) => Reflect.apply(layer.callAsync, layer, args),
      [x, {}],
      roll,
      40,
    );
    await attack(
      failures,
      `${layer.name}.pureFn`,
      (...args) => Reflect.apply(layer.pureFn, layer, args),
      [x, layer.weights, layer.state, [0, 1], {}],
      roll,
      150,
    );
    await attack(
      failures,
      `${layer.name}.init`,
      (...args) => Reflect.apply(layer.init, layer, args),
      [signature, {}],
      roll,
      100,
    );
    await attack(
      failures,
      `${layer.name}.outputSignature`,
      (...args) => Reflect.apply(layer.outputSignature, layer, args),
      [signature],
      roll,
      60,
    );
    await attack(
      failures,
      `${layer.name}.weightsAndStateSignature`,
      (...args) => Reflect.apply(layer.weightsAndStateSignature, layer, args),
      [signature],
      roll,
      60,
    );
    await attack(
      failures,
      `${layer.name}.withMode`,
      (...args) => Reflect.apply(layer.withMode, layer, args),
      ['eval'],
      roll,
      60,
    );
    await attack(
      failures,
      `${layer.name}.initFromFile`,
      (...args) => Reflect.apply(layer.initFromFile, layer, args),
      ['/nonexistent', {}],
      roll,
      60,
    );
    for (const property of ['weights', 'state', 'rng'] as const) {
      await attack(failures, `${layer.name}.${property} =`, (value) => (layer[property] = value), [], roll, 80);
    }
  }
  t.deepEqual(failures, []);
  const [dense] = fresh();
  dense!.weights = [tl.eye(2), tl.zeros([2])];
  t.deepEqual(one(dense!([[3, 4]])).array(), [[3, 4]]);
});

const batch = (): unknown => [[[1, 2]], [[1]], [[1]]];

test.serial('trainers, optimizers and functions that are called back', async (t) => {
  const failures: Failures = [];
  const roll = dice(3);
  const model = tl.Serial(tl.Dense(1, { useBias: false }), tl.L2Loss());
  const one: tl.Signature = { shape: [1, 1], dtype: 'float32' };
  model.init([{ shape: [1, 2], dtype: 'float32' }, one, one], { rng: [0, 1] });
  const trainer = new tl.Trainer(model, tl.optimizers.Adam());
  await attack(
    failures,
    'new Trainer',
    (...args) => Reflect.construct(tl.Trainer, args),
    [model, tl.optimizers.Adam(), {}],
    roll,
    200,
  );
  await attack(
    failures,
    'oneStep',
    (...args) => Reflect.apply(trainer.oneStep, trainer, args),
    [batch(), [0, 1], {}],
    roll,
    200,
  );
  await attack(
    failures,
    'fit',
    (...args) => Reflect.apply(trainer.fit, trainer, args),
    [[batch()], { steps: 1, rng: [0, 1] }],
    roll,
    100,
  );
  for (const option of ['steps', 'rng', 'firstStep', 'schedule', 'signal', 'onProgress', 'reportEveryMs'] as const) {
    const fit: Callee = (value) => trainer.fit(wrong([batch()]), { steps: 1, rng: [0, 1], [option]: value });
    await attack(failures, `fit ${option}`, fit, [], roll, 40);
  }
  await attack(failures, 'load', (...args) => Reflect.apply(trainer.load, trainer, args), ['/nonexistent'], roll, 60);
  await attack(failures, 'slots =', (value) => (trainer.slots = value), [], roll, 100);
  await attack(
    failures,
    'a result of Fn',
    (value) => tl.Fn('F', (y: tl.Tensor) => [value, y][0]!)(tl.ones([2])),
    [],
    roll,
    150,
  );
  await attack(
    failures,
    'a result of vjp',
    (value) => tl.vjp((y: tl.Tensor) => [value, y][0]!, tl.ones([2])),
    [],
    roll,
    100,
  );
  await attack(
    failures,
    'a cotangent',
    (value) => tl.vjp((x: tl.Tensor) => x.mul(2), tl.ones([2]))[1](value),
    [],
    roll,
    100,
  );
  await attack(
    failures,
    'a result of an initializer',
    (value) => tl.Dense(2, { kernelInitializer: (...args: unknown[]) => wrong([value, args][0]!) }).init(one),
    [],
    roll,
    150,
  );
  class Held extends tl.Layer {
    constructor(readonly held: tl.NestLike) {
      super();
    }
    override initWeightsAndState(): void {
      this.weights = this.held;
    }
    override forward(x: tl.Tensor): tl.Tensor {
      return x.add(tensorOf(this.weights));
    }
  }
  const held: Callee = (value) => {
    const layer = new Held(value);
    layer.init(one);
    return layer([[1]]);
  };
  await attack(failures, 'weights of a class', held, [], roll, 150);
  t.deepEqual(failures, []);
});

/** The options that a factory says it takes when it is given another. */
function optionsKnownTo(f: Callee): string[] {
  for (let before = 0; before < 5; before++) {
    try {
      f(...[...Array.from({ length: before }, () => 2), { unheardOf: 1 }].map(wrong));
    } catch (error) {
      const listed = /unknown option `unheardOf`: it takes (.*)/.exec((error as Error).message)?.[1];
      if (listed !== undefined) return [...listed.matchAll(/`(\w+)`/g)].map((match) => match[1]!);
    }
  }
  return [];
}

test.serial('options of every layer', async (t) => {
  const failures: Failures = [];
  const roll = dice(11);
  let seen = 0;
  for (const [name, f] of functions(tl, '')) {
    if (!/^(?:.*\.)?[A-Z]\w*$/.test(name) || isClass(f)) continue;
    const known = optionsKnownTo(f);
    seen += known.length;
    for (const key of known) {
      const call: Callee = (value) => f(...[2, 2].slice(0, roll(3)).map(wrong), wrong({ [key]: value }));
      await attack(failures, `${name} with ${key}`, call, [], roll, 6);
    }
  }
  t.true(seen > 300, `${seen} options`);
  t.deepEqual(failures, []);
});
