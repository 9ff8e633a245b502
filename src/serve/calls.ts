/**
 * Calls of a model for many requests: those that come at once, or while another one runs, are made together.
 *
 * @module
 */
import { setImmediate } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { isList } from '../bridge/found.js';
import { concat } from '../generated/tensorFunctions.js';
import { type Layer } from '../layer/layer.js';
import { type Tensor } from '../tensor/tensor.js';

/** The most examples of a call for several requests; one request may have more. */
const MOST_ROWS = 256;

/** What a call gives: each output as nested arrays. */
export type Arrays = readonly unknown[];

/** A request that waits for its answer. */
interface Call {
  readonly inputs: readonly Tensor[];
  /** Its examples. */
  readonly rows: number;
  /** What calls must have in common to be made together; nothing for one that is made alone. */
  readonly kind: string | undefined;
  readonly signal: AbortSignal;
  readonly resolve: (outputs: Arrays) => void;
  readonly reject: (error: unknown) => void;
}

/** The examples of inputs, and what they have in common with others of as many axes and sizes. */
function kindOf(inputs: readonly Tensor[]): Pick<Call, 'rows' | 'kind'> {
  const rows = inputs[0]?.shape[0];
  if (rows === undefined || inputs.some(({ shape }) => shape[0] !== rows)) return { rows: 1, kind: undefined };
  return { rows, kind: inputs.map(({ dtype, shape }) => `${dtype}[${shape.slice(1).join()}]`).join() };
}

/**
 * The calls of a model, one after another.
 *
 * Layers compute an example to the same bits in any company, so calls are made together. What a program made of functions of its own may not be so: the
 * first time, requests are answered alone too, and where the numbers differ it stays with that.
 */
export class Calls {
  readonly #layer: Layer;
  readonly #waiting: Call[] = [];
  #isRunning = false;
  /** Whether examples do not see each other; not known before several requests came at once. */
  #areApart: boolean | undefined;

  /** @param layer - the model in mode `'eval'` */
  constructor(layer: Layer) {
    this.#layer = layer;
  }

  /**
   * Calls the model.
   *
   * @param inputs - the inputs, which are the caller's to dispose of afterwards
   * @returns the outputs
   * @throws what the model refuses them with, or the signal's reason
   */
  async of(inputs: readonly Tensor[], signal: AbortSignal): Promise<Arrays> {
    signal.throwIfAborted();
    return new Promise((resolve, reject) => {
      // Who goes away is told at once; what it waits for goes on for the others. A signal is of one request, and ends with it.
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      this.#waiting.push({ inputs, ...kindOf(inputs), signal, resolve, reject });
      void this.#run();
    });
  }

  async #run(): Promise<void> {
    if (this.#isRunning) return;
    this.#isRunning = true;
    try {
      // One after another, and each when all requests of a turn of the event loop are there: those that come meanwhile are made together.
      do {
        // oxlint-disable-next-line no-await-in-loop
        await setImmediate();
        // oxlint-disable-next-line no-await-in-loop
        await this.#answer(this.#next());
      } while (this.#waiting.length > 0);
    } finally {
      this.#isRunning = false;
    }
  }
  /** The call that has waited longest, and all that can be made with it. */
  #next(): readonly Call[] {
    const waiting = this.#waiting.splice(0).filter(({ signal }) => !signal.aborted);
    const [first, ...others] = waiting;
    if (first === undefined) return [];
    const group = [first];
    let { rows } = first;
    for (const call of others) {
      const fits = call.kind === first.kind && rows + call.rows <= MOST_ROWS;
      if (!fits || first.kind === undefined || this.#areApart === false) this.#waiting.push(call);
      else {
        rows += call.rows;
        group.push(call);
      }
    }
    return group;
  }

  async #answer(group: readonly Call[]): Promise<void> {
    const together = group.length > 1 ? await this.#together(group) : undefined;
    if (together !== undefined && this.#areApart === true)
      return group.forEach(({ resolve }, i) => resolve(together[i]!));
    // Alone, too, where it is not known to be the same, and where one of them fails.
    const alone: (Arrays | undefined)[] = [];
    for (const call of group) {
      // oxlint-disable-next-line no-await-in-loop
      alone.push(await this.#alone(call));
    }
    if (together === undefined || alone.includes(undefined)) return;
    this.#areApart = isDeepStrictEqual(together, alone);
  }
  /** Answers one call by itself. */
  async #alone({ inputs, signal, resolve, reject }: Call): Promise<Arrays | undefined> {
    if (signal.aborted) return undefined;
    try {
      const outputs = await this.#called(inputs, signal);
      resolve(outputs);
      return outputs;
    } catch (error) {
      reject(error);
      return undefined;
    }
  }
  /** The outputs of each of some calls, from one call; nothing where that fails or gives something else than a row for each example. */
  async #together(group: readonly Call[]): Promise<readonly Arrays[] | undefined> {
    const joined: Tensor[] = [];
    const { signal, done } = allGone(group.map(({ signal }) => signal));
    try {
      for (const at of group[0]!.inputs.keys()) joined.push(concat(group.map(({ inputs }) => inputs[at]!)));
      const outputs = await this.#called(joined, signal);
      let from = 0;
      const parts = group.map(({ rows }) => {
        from += rows;
        return outputs.map((output) => (isList(output) ? output.slice(from - rows, from) : undefined));
      });
      const areRows = outputs.every((output) => isList(output) && output.length === from);
      if (!areRows) this.#areApart = false;
      return areRows ? parts : undefined;
    } catch {
      return undefined;
    } finally {
      done();
      joined.forEach((one) => one.dispose());
    }
  }
  async #called(inputs: readonly Tensor[], signal: AbortSignal): Promise<Arrays> {
    const outputs = await this.#layer.callAsync([...inputs], { signal });
    const all = isList(outputs) ? outputs : [outputs];
    try {
      return all.map((output) => output.array());
    } finally {
      all.forEach((output) => output.dispose());
    }
  }
}

/** A signal that is aborted when all of some are. */
function allGone(signals: readonly AbortSignal[]): { readonly signal: AbortSignal; done(): void } {
  const all = new AbortController();
  const gone = (): void => {
    if (signals.every(({ aborted }) => aborted)) all.abort();
  };
  signals.forEach((signal) => signal.addEventListener('abort', gone, { once: true }));
  return { signal: all.signal, done: () => signals.forEach((signal) => signal.removeEventListener('abort', gone)) };
}
