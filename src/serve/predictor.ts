/**
 * A model that answers calls, while it is served: `/predict`.
 *
 * @module
 */
import { found, isList } from '../bridge/found.js';
import { type Encoder } from '../data/encoder.js';
import { type Nested } from '../tensor/data.js';
import { type Layer } from '../layer/layer.js';
import { tensor } from '../tensor/ops.js';
import { type Tensor } from '../tensor/tensor.js';
import { Admission } from './admission.js';
import { Calls } from './calls.js';
import { invalid, Refusal, sentenceOf } from './errors.js';
import { type Limits, type ServedModel } from './options.js';
import { type PredictBody, textOf } from './schema.js';
import { type Scope } from './scope.js';

/** What stands behind the end of a shorter text: models that mask know it as padding. */
const PADDING = 0;

/** What a call is answered with. */
export interface Predicted {
  readonly model: string;
  /** The outputs as nested arrays; a list of them where the model has several. */
  readonly outputs: unknown;
}

const isFinite = (x: unknown): boolean => (isList(x) ? x.every(isFinite) : typeof x !== 'number' || Number.isFinite(x));

/** How deep arrays may be nested. */
const DEPTH = 16;

/** Whether they are finite numbers or booleans in arrays: JSON reads 1e999 as infinity. */
function isNested(x: unknown, depth = DEPTH): x is Nested<number | boolean> {
  if (isList(x)) return depth > 0 && x.every((item) => isNested(item, depth - 1));
  return Number.isFinite(x) || typeof x === 'boolean';
}

/** The first number that is not whole, if there is one. */
function fraction(x: Nested<number | boolean>): number | undefined {
  if (typeof x === 'number') return Number.isInteger(x) ? undefined : x;
  if (typeof x === 'boolean') return undefined;
  for (const item of x) {
    const inside = fraction(item);
    if (inside !== undefined) return inside;
  }
  return undefined;
}

/** A model that answers calls. */
export class Predictor {
  readonly task = 'predict';
  readonly name: string;
  readonly admission: Admission;
  readonly #layer: Layer;
  readonly #calls: Calls;
  readonly #encoder: Encoder | undefined;

  constructor({ name, model, encoder }: ServedModel, limits: Limits) {
    this.name = name;
    this.#layer = model.withMode('eval');
    this.#calls = new Calls(this.#layer);
    this.#encoder = encoder ?? undefined;
    this.admission = new Admission({ places: limits.batch, tokens: Infinity, bytes: Infinity, queue: limits.queue });
  }

  /** Calls the model, when it has its turn. */
  async answer({ inputs, dtype }: PredictBody, scope: Scope): Promise<Predicted> {
    const late = (): Refusal =>
      new Refusal(503, 'deadline_exceeded', `the server was too busy to answer within ${scope.ms} milliseconds`, {
        retryAfter: this.admission.retryAfter,
      });
    return scope.within(late, async () => {
      const leave = await this.admission.enter({ places: 1, tokens: 0, bytes: 0 }, scope.signal);
      try {
        const given = this.#layer.nIn === 1 ? [inputs] : this.#several(inputs);
        const outputs = await this.#called(given, dtype, scope);
        if (!isFinite(outputs))
          throw new Refusal(500, 'not_finite', `the outputs of the model ${this.name} are NaN or infinite`);
        return { model: this.name, outputs };
      } finally {
        leave();
      }
    });
  }

  #several(inputs: unknown): readonly unknown[] {
    const count = this.#layer.nIn;
    if (isList(inputs) && inputs.length === count) return inputs;
    throw invalid('inputs', `\`inputs\` must be a list of ${count}, as the model ${this.name} takes so many`);
  }

  async #called(given: readonly unknown[], dtype: PredictBody['dtype'], scope: Scope): Promise<unknown> {
    const made: Tensor[] = [];
    try {
      for (const input of given) {
        // In their order, so that the first fault is told.
        // oxlint-disable-next-line no-await-in-loop
        made.push(await this.#tensorOf(input, dtype));
      }
      const outputs = await this.#calls.of(made, scope.signal);
      return outputs.length === 1 ? outputs[0] : outputs;
    } finally {
      made.forEach((one) => one.dispose());
    }
  }

  async #tensorOf(input: unknown, dtype: PredictBody['dtype']): Promise<Tensor> {
    const isText = typeof input === 'string' || (isList(input) && input.length > 0 && typeof input[0] === 'string');
    const data = isText ? await this.#rows(isList(input) ? input : [input]) : input;
    if (!isNested(data)) {
      const wanted = `finite numbers or booleans, nested in at most ${DEPTH} arrays, or texts`;
      throw invalid('inputs', `\`inputs\` must be ${wanted}, got ${found(data)}`);
    }
    if (isList(data) && data.length === 0) throw invalid('inputs', '`inputs` are empty; send at least one example');
    const broken = dtype === 'int32' ? fraction(data) : undefined;
    if (broken !== undefined)
      throw invalid('inputs', `\`inputs\` must be whole numbers for the dtype int32, got ${broken}`);
    try {
      return tensor(data, null, dtype === undefined ? {} : { dtype });
    } catch (error) {
      throw error instanceof Error ? invalid('inputs', `\`inputs\`: ${sentenceOf(error)}`) : error;
    }
  }

  /** Texts as rows of ids that are equally long. */
  async #rows(texts: readonly unknown[]): Promise<readonly (readonly number[])[]> {
    if (this.#encoder === undefined)
      throw invalid(
        'inputs',
        `the model ${this.name} has no encoder, so it takes numbers; send nested arrays of numbers`,
      );
    const checked = texts.map((text, i) => textOf(`inputs[${i}]`, text));
    const rows = (await this.#encoder.encodeBatch(checked)).map((ids) => [...ids]);
    const longest = rows.reduce((most, { length }) => Math.max(most, length), 0);
    if (longest === 0) throw invalid('inputs', 'the texts of `inputs` are empty; send at least one character');
    return rows.map((ids) => [...ids, ...Array.from({ length: longest - ids.length }, () => PADDING)]);
  }
}
