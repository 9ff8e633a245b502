/**
 * Every function, method and layer, called with hostile values in each place: each call gives a result, or an error that tells
 * the caller in words what is wrong.
 */
import { AssertionError } from 'node:assert';
import { types } from 'node:util';
import vm from 'node:vm';
import test from 'ava';
import * as tl from '../src/index.js';
import { one } from './support/values.js';
import { tensorOf, wrong } from './support/types.js';

/** A generator of numbers below `n` from a seed (xorshift), so that a failure can be repeated. */
function dice(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % n;
  };
}

/** What values of the pool throw themselves. */
class Own extends Error {}
const raise = (): never => {
  throw new Own('thrown by a value');
};

const cycle: unknown[] = [];
cycle.push(cycle);
const circle: Record<string, unknown> = {};
circle['circle'] = circle;
const disposedTensor = tl.ones([2]);
disposedTensor.dispose();
const revoked = Proxy.revocable({}, {});
revoked.revoke();
const throws = new Proxy(
  {},
  { get: raise, has: raise, ownKeys: raise, getPrototypeOf: raise, getOwnPropertyDescriptor: raise },
);
let deep: unknown = 0;
for (let i = 0; i < 20_000; i++) deep = [deep];
const detached = new Float32Array(2);
structuredClone(detached, { transfer: [detached.buffer] });

/** Sizes are small or beyond all memory: none of them can be made and fills the machine. */
const pool: readonly unknown[] = [
  undefined,
  null,
  true,
  false,
  Number.NaN,
  Infinity,
  -Infinity,
  -0,
  0,
  1,
  2,
  -1,
  0.5,
  2 ** 53,
  1e308,
  -1e308,
  '',
  'x',
  'float32',
  'a'.repeat(1000),
  '\ud800',
  '0\udfff',
  '__proto__',
  'constructor',
  '>f0',
  Symbol('s'),
  5n,
  2n ** 64n,
  -1n,
  () => 1,
  raise,
  async () => 1,
  class {
    x = 1;
  },
  new Date(0),
  new Date(Number.NaN),
  /x/g,
  Promise.resolve(1),
  new Map([[1, 2]]),
  new Set([1]),
  new WeakMap(),
  new Error('an error'),
  Object(1),
  Object('x'),
  Object(Symbol('s')),
  [],
  [0],
  [1, 2],
  [-1],
  [0.5],
  ['x'],
  [null],
  [undefined],
  [[1, 2], [3]],
  [[]],
  [2 ** 53],
  [2 ** 52, 2 ** 52],
  [1e308],
  [Number.NaN],
  // oxlint-disable-next-line no-sparse-arrays -- holes are among what is tested
  [1, , 2],
  cycle,
  [cycle, cycle],
  deep,
  Object.defineProperty([1, 2], 0, { get: raise }),
  {},
  { shape: [2], dtype: 'float32' },
  { shape: 'x' },
  { shape: [-1] },
  { axis: 0 },
  { axis: 'x' },
  { dtype: 'x' },
  { '\ud800': 1 },
  { $tensor: 1 },
  { $layer: 1 },
  circle,
  Object.create(null),
  {
    get shape(): never {
      return raise();
    },
  },
  { length: 3 },
  { toString: raise, valueOf: raise },
  throws,
  revoked.proxy,
  new Float32Array(2),
  new Float64Array([0.5]),
  new Uint16Array(2),
  new BigInt64Array(1),
  new BigUint64Array([2n ** 64n - 1n]),
  new Uint8Array(0),
  new DataView(new ArrayBuffer(4)),
  new ArrayBuffer(4),
  new SharedArrayBuffer(4),
  detached,
  Buffer.from('x'),
  vm.runInNewContext('new Float32Array([1, 2])'),
  vm.runInNewContext('({ axis: 0 })'),
  vm.runInNewContext('[1, 2]'),
  tl.ones([2]),
  tl.ones([2, 2]),
  tl.tensor(3),
  tl.tensor([1, 0]),
  tl.zeros([0]),
  tl.tensor([true]),
  disposedTensor,
  tl.random.key(0),
  tl.Relu(),
  tl.Relu,
  tl.Serial(),
  tl.optimizers.Adam(),
  tl.lrSchedules.constant(1),
  tl.RandomNormalInitializer(),
  tl.Tensor,
  tl.Layer,
];

/** Texts from within: of the addon's conversions, of other libraries, and of code that used an argument before it looked at it. */
const INNER =
  /hex escape|rust|napi|serde|panick|unwrap|a defect of tallow|\[Internal\]|is not a function|is not iterable|is not a constructor|Cannot read propert|Cannot (?:destructure|convert|mix|set prop)|call stack|undefined is not|recursion limit|EOF while|invalid type:|circular structure|Invalid (?:array|typed array) length|Array buffer allocation|Method .* called on incompatible/;

function describe(x: unknown): string {
  const at = pool.indexOf(x);
  return at < 0 ? '(one of ours)' : `pool[${at}]`;
}

/** What the calls of a test did wrong. */
type Failures = string[];

/** Judges what a call threw. */
function judge(failures: Failures, what: string, args: readonly unknown[], error: unknown): void {
  if (error instanceof Own) return;
  const call = `${what}(${args.map(describe).join(', ')})`;
  const ours =
    error instanceof AssertionError ||
    error instanceof TypeError ||
    error instanceof RangeError ||
    error instanceof tl.TensorError ||
    error instanceof tl.LayerError;
  // What a revoked proxy says when it is touched is V8's.
  if (error instanceof TypeError && /proxy that has been revoked/.test(error.message)) return;
  if (!ours) {
    failures.push(`${call} threw ${String((error as Error | undefined)?.stack ?? error)}`);
    return;
  }
  if (INNER.test(error.message) || error.message === '') {
    failures.push(`${call}: ${error.stack}`);
  }
  if (error.message.length > 3000)
    failures.push(`${call}: a message of ${error.message.length} characters: ${error.message.slice(0, 200)}`);
}

/** What is done with a result: promises are awaited, tensors given back. */
async function settle(failures: Failures, what: string, args: readonly unknown[], result: unknown): Promise<void> {
  if (types.isPromise(result)) {
    try {
      await result;
    } catch (error) {
      judge(failures, what, args, error);
    }
  }
}

type Callee = (...args: never[]) => unknown;

/** Calls `f` with hostile values in each place in turn, and some in several. */
async function attack(
  failures: Failures,
  what: string,
  f: Callee,
  good: readonly unknown[],
  roll: (n: number) => number,
  rounds: number,
): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    const args = [...good];
    const length = Math.max(1, Math.min(args.length + 1, 4));
    const places = round % 3 === 0 ? 2 : 1;
    for (let i = 0; i < places; i++) args[roll(length)] = pool[roll(pool.length)];
    let result: unknown;
    try {
      result = f(...Array.from(args, wrong));
    } catch (error) {
      judge(failures, what, args, error);
      continue;
    }
    await settle(failures, what, args, result);
    if (result !== undefined && !pool.includes(result) && !args.includes(result)) {
      try {
        tl.dispose(result);
      } catch (error) {
        judge(failures, `dispose of a result of ${what}`, args, error);
      }
    }
  }
}

/** Names that change the process or write files, and the class that is never made by hand. */
const LEFT_OUT = new Set([
  'setNumThreads',
  'Tensor',
  'dispose',
  'saveToFile',
  'save',
  'npToFile',
  'saveSafetensors',
  'constructor',
]);

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
      const method = (x as unknown as Record<string, unknown>)[name];
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
