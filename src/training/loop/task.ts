/**
 * Tasks: data with what it is to do with a model.
 *
 * @module
 */
import { callable, found, isList, list, text } from '../../bridge/found.js';
import { Layer } from '../../layer/layer.js';
import { listOf } from '../../layer/parts.js';
import { namedOptions } from '../../tensor/rest.js';
import { type LabeledData } from './batches.js';
import { Optimizer } from '../optimizers.js';
import { filled, isLeftOut, refusal } from '../refusal.js';
import { type Schedule } from '../schedules.js';

/** Options of {@link training.TrainTask}. */
export interface TrainTaskOptions {
  /** Learning rate of each step, which count from 1; the optimizer's if left out. */
  readonly lrSchedule?: Schedule | ((step: number) => number) | null | undefined;
  /** Steps between two checkpoints and evaluations of the loop, 100 if left out; `null`: none. */
  readonly nStepsPerCheckpoint?: number | null | undefined;
  /** Steps between two checkpoints that stay; none if left out. */
  readonly nStepsPerPermanentCheckpoint?: number | null | undefined;
  /** Name of the loss among the metrics; that of its layer if left out. */
  readonly lossName?: string | null | undefined;
  /** Name of the task, which stands before those of its metrics where there are several tasks. */
  readonly exportPrefix?: string | null | undefined;
}

/** Options of {@link training.EvalTask}. */
export interface EvalTaskOptions {
  /** Names of the metrics, one for each; those of their layers if left out. */
  readonly metricNames?: readonly string[] | null | undefined;
  /** Batches that an evaluation takes, or `'all'` of the data, once; 1 if left out. */
  readonly nEvalBatches?: number | 'all' | undefined;
  /** Name of the task, which stands before those of its metrics. */
  readonly exportPrefix?: string | null | undefined;
}

/** Refuses what cannot be batches. */
function checkData(what: string, data: LabeledData): void {
  const known: unknown = data;
  const iterable =
    typeof known === 'object' && known !== null && (Symbol.asyncIterator in known || Symbol.iterator in known);
  if (!iterable) {
    throw new TypeError(`${what}: labeledData must be an (async) iterable of batches, got ${found(known)}`);
  }
}

/**
 * A task to train a model on: batches, a loss and an optimizer.
 *
 * A batch is an array: the inputs of the model, then those of the loss beside its outputs, such as targets. An array of batches, and a pipeline that can
 * be read again, begin anew when they end. A pipeline that has `state()` and `restore()` is saved with its position. All other data is read from its beginning
 * when a run goes on, and what was used is passed over.
 *
 * @see {@link training.Loop}
 * @example
 * ```ts
 * const batches = [[tl.ones([8, 3]), tl.ones([8, 1]), tl.ones([8, 1])]];
 * const task = new tl.training.TrainTask(batches, tl.L2Loss(), tl.optimizers.Adam({ learningRate: 0.01 }));
 * task.lossName; // → 'L2Loss'
 * ```
 */
export class TrainTask {
  /** Batches. */
  readonly labeledData: LabeledData;
  /** Layer that makes the loss of the model's outputs and what else is in a batch. */
  readonly lossLayer: Layer;
  /** The optimizer. */
  readonly optimizer: Optimizer;
  /** Learning rate of each step; `null`: the optimizer's. */
  readonly lrSchedule: Schedule | ((step: number) => number) | null;
  /** Steps between two checkpoints and evaluations. */
  readonly nStepsPerCheckpoint: number | null;
  /** Steps between two checkpoints that stay. */
  readonly nStepsPerPermanentCheckpoint: number | null;
  /** Name of the loss. */
  readonly lossName: string;
  /** Name of the task. */
  readonly exportPrefix: string | null;

  /**
   * Makes a task.
   *
   * @param labeledData - Batches: an array, an iterable or an async iterable. Tensors of batches that do not come from an array are disposed once used.
   * @param lossLayer - Layer from the outputs of the model and what else is in a batch to one number.
   * @param optimizer - What {@link optimizers.Adam} makes.
   * @param options - Options by name:
   * - `lrSchedule`: Learning rate of each step; the optimizer's if left out.
   * - `nStepsPerCheckpoint`: Steps between two checkpoints and evaluations; `null`: none. Default: `100`.
   * - `nStepsPerPermanentCheckpoint`: Steps between two checkpoints that stay. Default: `null`.
   * - `lossName`: Name of the loss; that of its layer if left out.
   * - `exportPrefix`: Name of the task, before those of its metrics.
   * @throws `TypeError`: an argument is of another type.
   * @throws {@link LayerError} `InvalidOption`: an option is unknown or outside its bounds.
   */
  constructor(labeledData: LabeledData, lossLayer: Layer, optimizer: Optimizer, options: TrainTaskOptions = {}) {
    checkData('TrainTask', labeledData);
    if (!(lossLayer instanceof Layer)) {
      throw new TypeError(`TrainTask: lossLayer must be a layer, got ${found(lossLayer)}`);
    }
    if (!(optimizer instanceof Optimizer)) {
      throw new TypeError(
        `TrainTask: optimizer must be an optimizer, as tl.optimizers.Adam() makes one; got ${found(optimizer)}`,
      );
    }
    const { lrSchedule, ...rest } = namedOptions('TrainTask', options) ?? {};
    const all = filled<{
      nStepsPerCheckpoint: number | null;
      nStepsPerPermanentCheckpoint: number | null;
      lossName: string | null;
      exportPrefix: string | null;
    }>('TrainTask', rest);
    this.labeledData = labeledData;
    this.lossLayer = lossLayer;
    this.optimizer = optimizer;
    this.lrSchedule = isLeftOut(lrSchedule) ? null : callable('TrainTask: lrSchedule', lrSchedule);
    this.nStepsPerCheckpoint = all.nStepsPerCheckpoint;
    this.nStepsPerPermanentCheckpoint = all.nStepsPerPermanentCheckpoint;
    this.lossName = all.lossName ?? lossLayer.name;
    this.exportPrefix = all.exportPrefix;
  }
}

/**
 * A task to measure a model on: batches, and metrics of them.
 *
 * The model is computed once for each batch, and all metrics of its outputs. A value is the mean over the batches. Each batch weighs as much as it has items:
 * the sum of its weights, for metrics that take weights behind the targets, or else its rows.
 *
 * @see {@link training.Loop}
 * @example
 * ```ts
 * const batches = [[tl.ones([8, 3]), tl.ones([8], { dtype: 'int32' })]];
 * const task = new tl.training.EvalTask(batches, [tl.CategoryCrossEntropy(), tl.CategoryAccuracy()]);
 * task.metricNames; // → ['CategoryCrossEntropy', 'CategoryAccuracy']
 * ```
 */
export class EvalTask {
  /** Batches. */
  readonly labeledData: LabeledData;
  /** Layers that make one number each of the model's outputs and what else is in a batch. */
  readonly metrics: readonly Layer[];
  /** Names of the metrics. */
  readonly metricNames: readonly string[];
  /** Batches that an evaluation takes, or `'all'` of the data, once. */
  readonly nEvalBatches: number | 'all';
  /** Name of the task. */
  readonly exportPrefix: string | null;

  /**
   * Makes a task.
   *
   * @param labeledData - Batches: an array, an iterable or an async iterable. Evaluations take them one after another; an array begins anew when it ends.
   * @param metrics - A layer that gives one number, or an array of them.
   * @param options - Options by name:
   * - `metricNames`: Names of the metrics; those of their layers if left out.
   * - `nEvalBatches`: Batches that an evaluation takes, or `'all'`: each batch of the data once, which must end. Default: `1`.
   * - `exportPrefix`: Name of the task, before those of its metrics.
   * @throws `TypeError`: an argument is of another type.
   * @throws {@link LayerError} `InvalidOption`: an option is unknown or outside its bounds, or there are more or fewer names than metrics.
   */
  constructor(labeledData: LabeledData, metrics: Layer | readonly Layer[], options: EvalTaskOptions = {}) {
    checkData('EvalTask', labeledData);
    const layers = listOf(metrics);
    if (layers.length === 0)
      throw refusal('InvalidOption', 'EvalTask: `metrics` must be a layer or some layers, got none');
    for (const layer of layers) {
      if (!(layer instanceof Layer)) throw new TypeError(`EvalTask: metrics must be layers, got ${found(layer)}`);
    }
    const { metricNames, nEvalBatches, ...rest } = namedOptions('EvalTask', options) ?? {};
    const isAll = nEvalBatches === 'all';
    const counted = isAll || nEvalBatches === undefined ? rest : { ...rest, nEvalBatches };
    const all = filled<{ nEvalBatches: number; exportPrefix: string | null }>('EvalTask', counted);
    const names = isLeftOut(metricNames) ? layers.map(({ name }) => name) : list('EvalTask: metricNames', metricNames);
    if (names.length !== layers.length) {
      const given = `${names.length} names for ${layers.length} metrics`;
      throw refusal('InvalidOption', `EvalTask: \`metricNames\` must be one for each metric, got ${given}`);
    }
    this.labeledData = labeledData;
    this.metrics = [...layers];
    this.metricNames = names.map((name) => text('EvalTask: a metric name', name));
    this.nEvalBatches = isAll ? 'all' : all.nEvalBatches;
    this.exportPrefix = all.exportPrefix;
  }
}

/** Tasks given as one or several. */
export function tasksOf<Task extends object>(
  what: string,
  Class: abstract new (...args: never[]) => Task,
  given: Task | readonly Task[],
): readonly Task[] {
  const tasks = isList(given) ? [...given] : [given];
  for (const task of tasks) {
    if (!(task instanceof Class)) throw new TypeError(`${what} must be of ${Class.name}, got ${found(task)}`);
  }
  return tasks;
}
