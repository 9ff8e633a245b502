/**
 * Checks of models for tests in any runner, and a model that says what it is told to.
 *
 * Trax's module `trax.layers.test_utils`.
 *
 * The checks throw an `AssertionError` of `node:assert`, which holds the values that differ.
 *
 * @module
 */
import { AssertionError } from 'node:assert';
import { callable, found as gotten, isRecord, list, text } from './bridge/found.js';
import { Layer, type LayerInputs, type Mode, type NestLike } from './layer/layer.js';
import { listOf } from './layer/parts.js';
import { tidy } from './layer/tidy.js';
import { filledIn, shown } from './testOptions.js';
import { arange, concat } from './generated/tensorFunctions.js';
import { asTensor, tensor, type TensorLike } from './tensor/ops.js';
import { key, randint } from './tensor/random.js';
import { Tensor } from './tensor/tensor.js';
import { leaves, map } from './tensor/tree.js';
import { EMPTY_STATE, type Nest } from './layer/wire.js';

/** What a check makes a model with: its mode, beside what the check says. */
export interface ModelOptions {
  /** How the model is to behave. */
  readonly mode: Mode;
}

/** What is added to messages. */
export interface MessageOptions {
  /** Text behind the message of an error. @defaultValue `''` */
  readonly message?: string;
}

/** Options of {@link testEvalEqualsPredictConfigs}. */
export interface SequenceOptions extends MessageOptions {
  /** The axis of positions; negative ones count from the end. @defaultValue `1` */
  readonly seqAxis?: number;
  /** Which of several inputs is the sequence that comes in pieces; `null`: there is one input. @defaultValue `null` */
  readonly seqTensor?: number | null;
}

/** Options of {@link testEvalEqualsPredict}. */
export interface EvalEqualsPredictOptions extends SequenceOptions {
  /** How many positions come in the first call; those after them come one by one. @defaultValue `3` */
  readonly initTokens?: number;
}

/** Options of {@link testEvalEqualsPredictDiscrete}. */
export interface DiscreteOptions {
  /** Number of different tokens. @defaultValue `10` */
  readonly vocabSize?: number;
  /** How many positions there are. @defaultValue `5` */
  readonly length?: number;
  /** How many sequences there are. @defaultValue `3` */
  readonly batchSize?: number;
}

/** How far values may be apart: they agree in five digits behind the point, as `numpy.testing.assert_array_almost_equal` counts them. */
const CLOSE = 1.5e-5;

function refuse(message: string, operator: string, actual: unknown, expected: unknown): never {
  throw new AssertionError({ message, operator, actual, expected });
}

/** Refuses values that are not the same in five digits; values that are no numbers agree with each other. */
function almostEqual(check: string, what: string, got: Tensor, wanted: Tensor): void {
  if (got.shape.join() !== wanted.shape.join()) {
    refuse(
      `${check}: ${what} has shape [${got.shape.join()}], expected [${wanted.shape.join()}]`,
      check,
      got.shape,
      wanted.shape,
    );
  }
  const [a, b] = [got, wanted].map((x) => [...x.cast('float64').dataSync()].map(Number)) as [number[], number[]];
  const differs = (x: number, i: number): boolean => !(Object.is(x, b[i]) || x === b[i] || Math.abs(x - b[i]!) < CLOSE);
  const at = a.findIndex(differs);
  if (at < 0) return;
  const count = a.filter(differs).length;
  const place = got.shape.map(
    (_, axis) => Math.floor(at / got.shape.slice(axis + 1).reduce((n, size) => n * size, 1)) % got.shape[axis]!,
  );
  const found = `${what} is ${a[at]} at [${place.join()}], expected ${b[at]}; ${count} of ${a.length} values differ`;
  refuse(`${check}: ${found}`, check, got.array(), wanted.array());
}

/** The inputs of a model as a list of tensors. */
function inputsOf(inp: LayerInputs, several: boolean): Tensor[] {
  const isList = Array.isArray(inp) && (several || inp.some((x) => x instanceof Tensor));
  return Array.from(isList ? inp : [inp as TensorLike], asTensor);
}

/** The model that a function makes. */
function made<O>(check: string, modelFn: (options: O) => Layer, options: O): Layer {
  const model = callable(`${check}: modelFn`, modelFn)(options);
  if (!(model instanceof Layer)) {
    throw new TypeError(`${check}: modelFn must make a layer, got ${gotten(model)}`);
  }
  return model;
}

/** Two models of the same weights, initialized for these inputs. */
function pair(check: string, first: Layer, second: Layer, inputs: readonly Tensor[]): void {
  const signature = inputs.map(({ shape, dtype }) => ({ shape, dtype }));
  first.init(signature);
  second.init(signature);
  const values = leaves(first.weights);
  const count = leaves(second.weights).length;
  if (values.length !== count) {
    refuse(
      `${check}: the two models have ${values.length} and ${count} weights; modelFn must make the same model in each mode`,
      check,
      count,
      values.length,
    );
  }
  // They may be nested otherwise: a layer that keeps what it computed is one level deeper.
  let next = 0;
  second.weights = map<Tensor, Tensor>(() => values[next++]!, second.weights);
}

function outputsOf(model: Layer, inputs: readonly Tensor[]): readonly Tensor[] {
  return listOf<Tensor>(model([...inputs], { rng: key(0) }));
}

/** Positions `start` to `end`, that excluded, of an axis. */
function along(x: Tensor, axis: number, start: number, end: number): Tensor {
  return x.take(arange(start, end), { axis });
}

/**
 * Checks that a model says the same each time in mode `'eval'`: two models with the same weights agree on an input.
 *
 * @param inp - An input, or an array of several.
 * @param modelFn - Makes the model, of `{ mode }`.
 * @param options - Options by name:
 * - `message`: Text behind the message of an error. Default: `''`.
 * @throws `AssertionError`: the outputs differ; it holds the values.
 * @example
 * ```ts
 * tl.testUtils.testEvalIsDeterministic(tl.ones([2, 3]), () => tl.Dense(4));
 * ```
 */
export function testEvalIsDeterministic(
  inp: LayerInputs,
  modelFn: (options: ModelOptions) => Layer,
  options: MessageOptions = {},
): void {
  const name = 'testEvalIsDeterministic';
  const { message } = filledIn<Required<MessageOptions>>(name, { message: '' }, options);
  text(`${name}: message`, message);
  tidy(() => {
    const [first, second] = [made(name, modelFn, { mode: 'eval' }), made(name, modelFn, { mode: 'eval' })];
    const inputs = inputsOf(inp, false);
    pair(name, first, second, inputs);
    const [once, again] = [outputsOf(first, inputs), outputsOf(second, inputs)];
    once.forEach((y, i) => almostEqual(name, `output ${i} of the second model${message}`, again[i]!, y));
  });
}

/**
 * Checks that a model says the same at once, in mode `'eval'`, and piece by piece, in mode `'predict'`.
 *
 * @param inp - An input, or an array of several.
 * @param modelFn - Makes the model, of `{ mode }`.
 * @param options - Options by name:
 * - `seqAxis`: The axis of positions; negative ones count from the end. Default: `1`.
 * - `seqTensor`: Which of several inputs is the sequence that comes in pieces; `null` if there is one input. Default: `null`.
 * - `initTokens`: How many positions come in the first call; those after them come one by one. Default: `3`.
 * - `message`: Text behind the message of an error. Default: `''`.
 * @throws `AssertionError`: the outputs differ; it holds the values.
 * @throws `RangeError`: the sequence is less than two positions longer than `initTokens`.
 * @example
 * ```ts
 * tl.testUtils.testEvalEqualsPredict(tl.ones([2, 6, 4]), ({ mode }) => tl.CausalConv(4, { mode }));
 * ```
 */
export function testEvalEqualsPredict(
  inp: LayerInputs,
  modelFn: (options: ModelOptions) => Layer,
  options: EvalEqualsPredictOptions = {},
): void {
  const name = 'testEvalEqualsPredict';
  const defaults: Required<EvalEqualsPredictOptions> = { seqAxis: 1, seqTensor: null, initTokens: 3, message: '' };
  const { seqAxis, seqTensor, initTokens, message } = filledIn(name, defaults, options);
  text(`${name}: message`, message);
  for (const [option, value] of Object.entries({ seqAxis, seqTensor: seqTensor ?? 0 })) {
    if (!Number.isSafeInteger(value))
      throw new TypeError(`${name}: ${option} must be a whole number, got ${gotten(value)}`);
  }
  tidy(() => {
    const inputs = inputsOf(inp, seqTensor !== null);
    const at = seqTensor ?? 0;
    const length = inputs[at]?.shape.at(seqAxis);
    if (length === undefined) {
      throw new RangeError(
        `${name}: there is no axis ${seqAxis} of input ${at} to go along; give \`seqAxis\` and \`seqTensor\``,
      );
    }
    if (!Number.isSafeInteger(initTokens) || initTokens < 1 || length < initTokens + 2) {
      throw new RangeError(
        `${name}: \`initTokens\` must be from 1 to two less than the length ${length}, got ${initTokens}`,
      );
    }
    const [whole, step] = [made(name, modelFn, { mode: 'eval' }), made(name, modelFn, { mode: 'predict' })];
    pair(name, whole, step, inputs);
    const wanted = outputsOf(whole, inputs);
    const pieces = [
      [0, initTokens],
      ...Array.from({ length: length - initTokens }, (_, i) => [initTokens + i, initTokens + i + 1]),
    ];
    for (const [start, end] of pieces as [number, number][]) {
      const piece = inputs.map((x, i) => (i === at ? along(x, seqAxis, start, end) : x));
      const found = outputsOf(step, piece);
      wanted.forEach((y, i) => {
        const what = `output ${i} for positions ${start} to ${end - 1} of ${length} in mode 'predict'${message}`;
        almostEqual(name, what, along(found[i]!, seqAxis, 0, end - start), along(y, seqAxis, start, end));
      });
    }
  });
}

/**
 * Runs {@link testEvalEqualsPredict} on models of several configurations.
 *
 * @param inp - An input, or an array of several.
 * @param modelFn - Makes the model, of `{ mode }` and the fields of a configuration.
 * @param configs - The configurations.
 * @param options - Options by name:
 * - `seqAxis`: The axis of positions; negative ones count from the end. Default: `1`.
 * - `seqTensor`: Which of several inputs is the sequence that comes in pieces; `null` if there is one input. Default: `null`.
 * - `message`: Text behind the message of an error. Default: `''`.
 * @throws `AssertionError`: the outputs differ; it holds the values and names the configuration.
 * @example
 * ```ts
 * const configs = [{ kernelWidth: 2 }, { kernelWidth: 3 }];
 * tl.testUtils.testEvalEqualsPredictConfigs(tl.ones([2, 6, 4]), (options) => tl.CausalConv(4, options), configs);
 * ```
 */
export function testEvalEqualsPredictConfigs<C extends object>(
  inp: LayerInputs,
  modelFn: (options: C & ModelOptions) => Layer,
  configs: readonly C[],
  options: SequenceOptions = {},
): void {
  const defaults: Required<SequenceOptions> = { seqAxis: 1, seqTensor: null, message: '' };
  const { message, ...sequence } = filledIn('testEvalEqualsPredictConfigs', defaults, options);
  text('testEvalEqualsPredictConfigs: message', message);
  callable('testEvalEqualsPredictConfigs: modelFn', modelFn);
  for (const config of list('testEvalEqualsPredictConfigs: configs', configs)) {
    const names = isRecord(config)
      ? Object.entries(config).map(([name, value]) => [name, typeof value === 'function' ? value.name : value])
      : [];
    const said = shown(Object.fromEntries(names));
    testEvalEqualsPredict(inp, ({ mode }) => modelFn({ ...config, mode }), {
      ...sequence,
      message: ` with ${said}${message}`,
    });
  }
}

/**
 * Checks that a language model says the same of random tokens in mode `'eval'` and, one after another, in mode `'predict'`.
 *
 * @param modelFn - Makes the model, of `{ mode, vocabSize }`.
 * @param options - Options by name:
 * - `vocabSize`: Number of different tokens. Default: `10`.
 * - `length`: Number of positions. Default: `5`.
 * - `batchSize`: Number of sequences. Default: `3`.
 * @throws `AssertionError`: the outputs differ; it holds the values.
 * @example
 * ```ts
 * tl.testUtils.testEvalEqualsPredictDiscrete(({ mode, vocabSize }) =>
 *   tl.models.TransformerLM(vocabSize, { dModel: 8, dFf: 16, nLayers: 1, nHeads: 2, maxLen: 16, mode }),
 * );
 * ```
 */
export function testEvalEqualsPredictDiscrete(
  modelFn: (options: ModelOptions & { readonly vocabSize: number }) => Layer,
  options: DiscreteOptions = {},
): void {
  const name = 'testEvalEqualsPredictDiscrete';
  const defaults: Required<DiscreteOptions> = { vocabSize: 10, length: 5, batchSize: 3 };
  const { vocabSize, length, batchSize } = filledIn(name, defaults, options);
  tidy(() => {
    const [whole, step] = [
      made(name, modelFn, { mode: 'eval', vocabSize }),
      made(name, modelFn, { mode: 'predict', vocabSize }),
    ];
    // The same key gives both the same weights.
    for (const model of [whole, step]) model.init({ shape: [batchSize, 1], dtype: 'int32' }, { rng: key(0) });
    // A model that shifts its input sees zeros first.
    const tokens = randint(key(0), [batchSize, length], 0, vocabSize);
    const shifted = tokens.pad([
      [0, 0],
      [1, 0],
    ]);
    const [wanted] = outputsOf(whole, [tokens]);
    for (let i = 0; i < length; i++) {
      const [found] = outputsOf(step, [along(shifted, 1, i, i + 1)]);
      almostEqual(name, `what is said of position ${i} in mode 'predict'`, found!, along(wanted!, 1, i, i + 1));
    }
  });
}

/** Function from the tokens so far, an int32 vector, to the next one. */
export type SequenceFunction = (tokens: Tensor) => number | Tensor;

class MockTransformerLMLayer extends Layer<Tensor, 1> {
  readonly #next: (tokens: readonly number[]) => number;
  readonly #mode: Mode;
  readonly #vocabSize: number;

  constructor(sequenceFn: SequenceFunction, mode: Mode, vocabSize: number) {
    callable('MockTransformerLM: sequenceFn', sequenceFn);
    if (!['train', 'eval', 'predict', 'viz'].includes(mode)) {
      throw new TypeError(`MockTransformerLM: mode must be 'train', 'eval', 'predict' or 'viz', got ${gotten(mode)}`);
    }
    if (!Number.isSafeInteger(vocabSize) || vocabSize < 1) {
      throw new RangeError(
        `MockTransformerLM: vocabSize must be a whole number of at least 1, got ${gotten(vocabSize)}`,
      );
    }
    super({ name: 'MockTransformerLM' });
    this.#mode = mode;
    this.#vocabSize = vocabSize;
    this.#next = (tokens) => {
      const said: unknown = sequenceFn(tensor(Int32Array.from(tokens)));
      const token = said instanceof Tensor ? Number(said.item()) : said;
      if (typeof token !== 'number') {
        throw new TypeError(
          `MockTransformerLM: the function must give a number or a tensor of one, got ${gotten(said)}`,
        );
      }
      if (!Number.isSafeInteger(token) || token < 0 || token >= vocabSize) {
        throw new RangeError(
          `MockTransformerLM: the function must give a token from 0 to ${vocabSize - 1}, got ${token}`,
        );
      }
      return token;
    };
    // It has no weights, so it need not be initialized to be called.
    this.init({ shape: [1, 1], dtype: 'int32' });
  }

  override get state(): Nest {
    return super.state;
  }
  /** More tokens, or less, than now are another shape of state, which only a layer without state takes. */
  override set state(state: NestLike) {
    super.state = EMPTY_STATE;
    super.state = state;
  }

  override forward(inputs: Tensor): Tensor {
    if (inputs.rank !== 2 || /float|bool/u.test(inputs.dtype)) {
      throw new TypeError(
        `MockTransformerLM takes tokens (batch, length) of whole numbers, got ${inputs.dtype}[${inputs.shape.join()}]`,
      );
    }
    const tokens = inputs.cast('int32');
    const symbols =
      this.#mode === 'predict' ? this.#goOn(tokens) : (tokens.array() as number[][]).map((row) => this.#all(row));
    const shape = [symbols.length, symbols[0]?.length ?? inputs.shape[1]!];
    // Logits that are as good as certain.
    return tensor(Int32Array.from(symbols.flat()), shape).oneHot(this.#vocabSize).mul(1000);
  }

  /** The next token behind each beginning of a sequence, which is shifted to the right. */
  #all(tokens: readonly number[]): number[] {
    const shifted = [0, ...tokens];
    return tokens.map((_, i) => this.#next(shifted.slice(0, i + 1)));
  }

  /** The next token behind what came so far, which the state holds. */
  #goOn(tokens: Tensor): number[][] {
    const known = this.#buffers;
    if (known !== undefined && known.shape[0] !== tokens.shape[0]) {
      throw new RangeError(`MockTransformerLM was given ${known.shape[0]} sequences before, now ${tokens.shape[0]}`);
    }
    const all = known === undefined ? tokens : concat([known, tokens], 1);
    this.state = all;
    return (all.array() as number[][]).map((row) => [this.#next(row)]);
  }

  /** The tokens given in mode `'predict'`, `(batch, length)`; none before the first call. */
  get #buffers(): Tensor | undefined {
    const { state } = this;
    return state instanceof Tensor ? state : undefined;
  }

  assertPredictionBuffersEqual(expectedBuffers: TensorLike): void {
    tidy(() => {
      const expected = asTensor(expectedBuffers).array();
      const actual = this.#buffers?.array() ?? (Array.isArray(expected) ? expected.map(() => []) : []);
      if (JSON.stringify(actual) === JSON.stringify(expected)) return;
      const name = 'assertPredictionBuffersEqual';
      refuse(
        `${name}: the model was given ${JSON.stringify(actual)}, expected ${JSON.stringify(expected)}`,
        name,
        actual,
        expected,
      );
    });
  }
}

/**
 * A language model that says with certainty what a function tells it to, for tests of programs that sample from models.
 *
 * The logit is 1000 for the token that the function gives and 0 for all others. In mode `'predict'` each call goes on where the last one ended and says the
 * next token only. In other modes the input is shifted to the right, as by `TransformerLM`. It need not be initialized.
 *
 * **Shapes**: `int32[batch, length]` → `float32[batch, length, vocabSize]`, or `[batch, 1, vocabSize]` in mode `'predict'`.
 *
 * **State**: in mode `'predict'` what came so far, `int32[batch, positions]`. Setting it rewinds.
 *
 * No weights.
 *
 * @throws `RangeError`: the function gives no token.
 * @throws `TypeError`: the inputs are not tokens.
 * @example
 * ```ts
 * const model = tl.testUtils.MockTransformerLM((tokens) => tokens.index(-1).add(1).mod(10), 'predict', 10);
 * model([[4]]).argmax(-1).array(); // → [[ 5 ]]
 * model.assertPredictionBuffersEqual([[4]]);
 * ```
 */
export interface MockTransformerLM extends Layer<Tensor, 1> {
  /**
   * Checks that the model was given these tokens in mode `'predict'`.
   *
   * @param expectedBuffers - The tokens, `[batch, positions]`.
   * @throws `AssertionError`: it was given others.
   */
  assertPredictionBuffersEqual(expectedBuffers: TensorLike): void;
}

/** What makes a {@link MockTransformerLM}. */
export interface MockTransformerLMClass {
  /** The class's own prototype. */
  readonly prototype: MockTransformerLM;
  /**
   * @param sequenceFn - Function from the tokens so far, an int32 vector, to the next one.
   * @param mode - Whether calls go on where the last one ended (`'predict'`) or not (all others).
   * @param vocabSize - Number of different tokens.
   */
  new (sequenceFn: SequenceFunction, mode: Mode, vocabSize: number): MockTransformerLM;
  /** The same without `new`. */
  (sequenceFn: SequenceFunction, mode: Mode, vocabSize: number): MockTransformerLM;
}

/** See the interface of the same name. */
export const MockTransformerLM: MockTransformerLMClass = new Proxy(MockTransformerLMLayer, {
  apply: (make, _this, args: [SequenceFunction, Mode, number]) => new make(...args),
}) as unknown as MockTransformerLMClass;
