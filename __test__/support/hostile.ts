/** Hostile values, and how calls with them are judged. */
import { AssertionError } from 'node:assert';
import { types } from 'node:util';
import vm from 'node:vm';
import * as tl from '../../src/index.js';
import { wrong } from './types.js';

/** A generator of numbers below `n` from a seed (xorshift), so that a failure can be repeated. */
export function dice(seed: number): (n: number) => number {
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
export const disposedTensor = tl.ones([2]);
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
export type Failures = string[];

/** What a reader of a file quotes of the parser that it asked, which knows the place in the file. */
const QUOTED = /(?:its header|the tokenizer says|not an encoder): [^]*/;

/** What is wrong with an error that the package threw: it is none of ours, or does not tell its user what to mend. Nothing where it is right. */
export function errorFault(error: unknown, isOfFile = false): string | undefined {
  if (error instanceof Own) return undefined;
  const ours =
    error instanceof AssertionError ||
    error instanceof TypeError ||
    error instanceof RangeError ||
    error instanceof tl.TensorError ||
    error instanceof tl.LayerError;
  // What a revoked proxy says when it is touched is V8's.
  if (error instanceof TypeError && /proxy that has been revoked/.test(error.message)) return undefined;
  if (!ours) return `threw ${String((error as Error | undefined)?.stack ?? error)}`;
  const words = isOfFile ? error.message.replace(QUOTED, 'quoted') : error.message;
  if (INNER.test(words) || words === '') return `threw, in words of its inner parts, ${error.stack}`;
  if (error.message.length > 3000)
    return `threw a message of ${error.message.length} characters: ${error.message.slice(0, 200)}`;
  return undefined;
}

/** Judges what a call threw. */
function judge(failures: Failures, what: string, args: readonly unknown[], error: unknown): void {
  const fault = errorFault(error);
  if (fault !== undefined) failures.push(`${what}(${args.map(describe).join(', ')}) ${fault}`);
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

export type Callee = (...args: never[]) => unknown;

/** Calls `f` with hostile values in each place in turn, and some in several. */
export async function attack(
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
