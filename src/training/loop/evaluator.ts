/**
 * Evaluations: the metrics of a task, from one pass of the model for each batch.
 *
 * @module
 */
import { Branch, Serial } from '../../generated/combinators.js';
import { itemsOf } from '../../layer/calls.js';
import { type Layer } from '../../layer/layer.js';
import { listOf } from '../../layer/parts.js';
import { tidy } from '../../layer/tidy.js';
import { type CancelSignal } from '../../layer/types.js';
import { asTensor, type Signature, signature, tensor, type TensorLike } from '../../tensor/ops.js';
import { type Key } from '../../tensor/random.js';
import { type Tensor } from '../../tensor/tensor.js';
import { leaves } from '../../tensor/tree.js';
import { type BatchSource } from './batches.js';
import { refusal } from '../refusal.js';
import { type EvalTask } from './task.js';
import { type Batch } from '../trainer.js';

/** Whether a layer holds weights. */
export const hasWeights = (layer: Layer): boolean => tidy(() => leaves(layer.weights).length > 0);

/** The signatures of what a batch has for a layer. */
export const signaturesOf = (layer: Layer, batch: Batch): Signature[] =>
  tidy(() => itemsOf(layer, batch).map((x) => signature(x)));

/** Initializes a layer for what lies on the stack behind a model: its outputs, and what it left of the batch. */
export function initBehind(model: Layer, layer: Layer, batch: readonly Signature[], rng: Key): void {
  const outputs = listOf(model.outputSignature(batch.slice(0, model.nIn)));
  layer.init([...outputs, ...batch.slice(model.nIn)].slice(0, layer.nIn), { rng });
}

const double = (xs: number[] | undefined): Tensor => tensor(xs ?? [], null, { dtype: 'float64' });

/** Measures a model on a task. */
export class Evaluator {
  readonly #task: EvalTask;
  readonly #model: Layer;
  readonly #source: BatchSource;
  readonly #nBatches: number | 'all';
  readonly #initKey: Key;
  #withMetrics: Layer | undefined;
  readonly names: readonly string[];

  /** @param initKey - for metrics that have weights */
  constructor(
    task: EvalTask,
    model: Layer,
    source: BatchSource,
    initKey: Key,
    { prefix, nBatches }: { readonly prefix: string; readonly nBatches: number | 'all' },
  ) {
    this.#initKey = initKey;
    this.#task = task;
    this.#model = model;
    this.#source = source;
    this.#nBatches = nBatches;
    this.names = task.metricNames.map((name) => `${prefix}${name}`);
  }

  /** The mean of each metric over the batches. */
  async run(newRng: () => Key, signal: CancelSignal | undefined): Promise<[name: string, value: number][]> {
    const values: number[][] = this.names.map(() => []);
    const weights: number[][] = this.names.map(() => []);
    const tell = (metric: number, value: number, weight: number): void => {
      values[metric]!.push(value);
      weights[metric]!.push(weight);
    };
    const measure = async (batch: Batch): Promise<void> => {
      signal?.throwIfAborted();
      await this.#measure(batch, newRng, signal, tell);
    };
    if (this.#nBatches === 'all') await this.#source.each(measure);
    else for (let i = 0; i < this.#nBatches; i += 1) await this.#source.next(measure);
    return this.names.map((name, i) => {
      const mean = tidy(() => {
        const weight = double(weights[i]);
        return double(values[i]).mul(weight).sum().div(weight.sum()).item();
      });
      return [name, mean];
    });
  }

  async #measure(
    batch: Batch,
    newRng: () => Key,
    signal: CancelSignal | undefined,
    tell: (metric: number, value: number, weight: number) => void,
  ): Promise<void> {
    const withMetrics = (this.#withMetrics ??= this.#make(batch));
    const inputs = itemsOf(withMetrics, batch).slice(0, withMetrics.nIn);
    const rng = newRng();
    const outputs = listOf(await withMetrics.callAsync(inputs, signal === undefined ? { rng } : { rng, signal }));
    const { metrics } = this.#task;
    outputs.forEach((y, i) => {
      if (y.size !== 1 || metrics.length !== outputs.length) {
        const got = outputs.map((output) => `${output.dtype}[${output.shape}]`).join(', ');
        throw refusal(
          'ShapeMismatch',
          `EvalTask: each of its metrics, ${this.names.join(', ')}, must give one number; they gave ${got}`,
        );
      }
      tell(i, y.item(), this.#weight(metrics[i]!, inputs));
    });
    outputs.forEach((y) => y.dispose());
  }

  /** How much a batch weighs for a metric: the sum of the weights that it takes behind the targets, or the number of rows. */
  #weight(metric: Layer, items: readonly TensorLike[]): number {
    return tidy(() => {
      const weights = items[this.#model.nIn + 1];
      if (metric.nIn > this.#model.nOut + 1 && weights !== undefined) {
        return asTensor(weights).cast('float64').sum().item();
      }
      return signature(items[0]!).shape[0] ?? 1;
    });
  }

  #make(batch: Batch): Layer {
    const metrics = Branch(...this.#task.metrics);
    const whole = Serial(this.#model, metrics);
    if (!hasWeights(metrics)) initBehind(this.#model, metrics, signaturesOf(whole, batch), this.#initKey);
    return whole;
  }
}
