/**
 * Where time and memory go.
 *
 * @module
 */
import { writeFileSync } from 'node:fs';
import { inspect } from 'node:util';
import { callable, isThenable, text } from '../bridge/found.js';
import { native } from '../bridge/native.js';
import { isNamed, shownBytes, shownCount, shownMs, table } from './table.js';

/** What the calls of a layer in one place took, all together. */
export interface ProfileRow {
  /** Positions and names of the layers around and of the layer: `Serial/0.Dense_4`. `(no layer)` is the row of backward passes outside of layers. */
  readonly path: string;
  /** Its name. */
  readonly name: string;
  /** How many layers it lies in. */
  readonly depth: number;
  /** How often it ran forward. */
  readonly calls: number;
  /** Milliseconds of forward passes, those of the layers in it counted too. */
  readonly forwardMs: number;
  /** Milliseconds of forward passes without those of the layers in it. */
  readonly forwardSelfMs: number;
  /** Milliseconds of backward passes, with what they repeat of a forward pass, those of the layers in it counted too. */
  readonly backwardMs: number;
  /** Milliseconds of backward passes without those of the layers in it. */
  readonly backwardSelfMs: number;
  /** The most bytes of the outputs of a call. */
  readonly outputBytes: number;
  /** The most bytes that a call left behind: outputs, and what is kept for a backward pass. */
  readonly keptBytes: number;
  /** The most bytes that were alive at once within a call beside those that were alive before it. */
  readonly peakBytes: number;
}

/** What was computed on the CPU although its operands lay elsewhere. */
export interface HostTrip {
  /** What it was: `sort, argsort and top_k`. */
  readonly what: string;
  /** How often. */
  readonly times: number;
}

/** What {@link Profile} is made of. */
interface Measured {
  readonly rows: readonly ProfileRow[];
  readonly complete: boolean;
  readonly hostTrips: readonly HostTrip[];
}

/**
 * Where the time and memory of a function went, layer by layer.
 *
 * It prints as a table.
 *
 * @see {@link profile}
 * @example
 * ```ts
 * const layer = tl.Dense(2);
 * layer.init({ shape: [8, 4], dtype: 'float32' });
 * const taken = tl.profile(() => layer(tl.ones([8, 4])));
 * taken.rows.map((row) => row.name); // → ['Dense_2']
 * ```
 */
export class Profile<T = unknown> {
  /** What each layer took, in the order in which they first ran. */
  readonly rows: readonly ProfileRow[];
  /** Whether all was measured: of what runs very long, no more than the first million calls is. */
  readonly complete: boolean;
  /**
   * How often values went from an accelerator to the CPU, since an operation cannot be computed elsewhere, and by which operations. Each waits for the
   * accelerator. On the CPU there are none.
   */
  readonly hostTrips: readonly HostTrip[];
  readonly #trace: () => string;

  /** @internal */
  constructor(
    /** What the function returned. */
    readonly result: T,
    { rows, complete, hostTrips }: Measured,
    trace: () => string,
  ) {
    this.rows = rows;
    this.complete = complete;
    this.hostTrips = hostTrips;
    this.#trace = trace;
  }

  /**
   * Shows it as a table.
   *
   * @returns Lines of text.
   * @example
   * ```ts
   * const layer = tl.Relu();
   * `${tl.profile(() => layer([1, -1]))}`.split('\n')[0]?.split('  ')[0]; // → 'layer'
   * ```
   */
  toString(): string {
    const head = ['layer', 'calls', 'forward', 'self', 'backward', 'self', 'output', 'kept', 'peak'];
    const rows = this.rows
      .filter(isNamed)
      .map((row) => [
        `${'  '.repeat(row.depth)}${row.name}`,
        shownCount(row.calls),
        ...[row.forwardMs, row.forwardSelfMs, row.backwardMs, row.backwardSelfMs].map(shownMs),
        ...[row.outputBytes, row.keptBytes, row.peakBytes].map(shownBytes),
      ]);
    const trips = this.hostTrips.map(({ what, times }) => `${shownCount(times)} trips to the CPU: ${what}`);
    const rest = this.complete ? [] : ['Only the beginning was measured: profile fewer calls.'];
    return [table(head, rows), ...trips, ...rest].join('\n');
  }

  /**
   * Gives it as a trace that `chrome://tracing` and ui.perfetto.dev show: each call on a line of time, and the memory below.
   *
   * @returns JSON in the Trace Event Format.
   * @example
   * ```ts
   * const layer = tl.Softmax();
   * const trace = JSON.parse(tl.profile(() => layer([1, -1])).toChromeTrace());
   * trace.traceEvents[0].name; // → 'Softmax'
   * ```
   */
  toChromeTrace(): string {
    return this.#trace();
  }

  /**
   * Writes the trace of {@link Profile.toChromeTrace} to a file.
   *
   * @param file - Path of the file.
   * @throws `TypeError`: `file` is not a string.
   * @throws `Error`: the file cannot be written; it is the error of `node:fs`.
   * @example
   * ```ts
   * const layer = tl.Relu();
   * tl.profile(() => layer([1, -1])).writeChromeTrace('relu.json');
   * ```
   */
  writeChromeTrace(file: string): void {
    writeFileSync(text('writeChromeTrace: file', file), this.toChromeTrace());
  }

  /** @internal */
  [inspect.custom](): string {
    return this.toString();
  }
}

/**
 * Runs a function, and tells where its time and memory went: for each layer, forward and backward.
 *
 * What it awaits counts too: `callAsync`, and the steps of `Trainer.fit`. So does everything else that runs on this thread meanwhile. One profile is
 * taken at a time. Backward passes are told of layers that ran within the function. Bytes are those of the whole process. Measuring takes about
 * a microsecond for each call of a layer.
 *
 * @param f - A function, which may return a promise.
 * @returns The profile, with what the function returned; a promise of it if `f` returns one.
 * @throws `TypeError`: `f` is not a function.
 * @throws {@link LayerError} `InvalidArgument`: a profile is being taken already.
 * @see {@link summary}, which tells of shapes and weights
 * @example
 * ```ts
 * const model = tl.Serial(tl.Dense(64), tl.Softmax(), tl.Dense(10));
 * model.init({ shape: [8, 20], dtype: 'float32' });
 * const taken = tl.profile(() => tl.grad((x: tl.Tensor) => model(x).sum())(tl.ones([8, 20])));
 * taken.rows.map((row) => row.path); // → ['Serial', 'Serial/0.Dense_64', 'Serial/1.Softmax', 'Serial/2.Dense_10', '(no layer)']
 * ```
 */
export function profile<T>(f: () => PromiseLike<T>): Promise<Profile<T>>;
/** Of a synchronous function. */
export function profile<T>(f: () => T): Profile<T>;
export function profile<T>(f: () => T | PromiseLike<T>): Profile<T> | Promise<Profile<T>> {
  callable('profile: f', f);
  const taken = native.beginProfile();
  const before = native.hostTrips();
  const end = (): Measured => ({ ...(taken.end() as Measured), hostTrips: native.hostTripsSince(before) });
  const profileOf = (result: T): Profile<T> => new Profile(result, end(), () => taken.chromeTrace());
  let result: T | PromiseLike<T>;
  try {
    result = f();
  } catch (error) {
    end();
    throw error;
  }
  if (!isPromise(result)) return profileOf(result);
  return Promise.resolve(result).then(profileOf, (error: unknown) => {
    end();
    throw error;
  });
}

/** Whether a function gave a promise. */
function isPromise<T>(x: T | PromiseLike<T>): x is PromiseLike<T> {
  return isThenable(x);
}
