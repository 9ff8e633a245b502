/**
 * What a loop makes of its tasks once it has a first batch.
 *
 * @module
 */
import { Serial } from '../../generated/combinators.js';
import { type Layer } from '../../layer/layer.js';
import { type Signature } from '../../tensor/ops.js';
import { type Key } from '../../tensor/random.js';
import { BatchSource } from './batches.js';
import { Evaluator, hasWeights, initBehind, signaturesOf } from './evaluator.js';
import { type Plan, prefixesOf } from './plan.js';
import { type Running } from './stretch.js';
import { Trainer } from '../trainer.js';

/** Everything that needs a first batch. */
export interface Prepared {
  readonly running: readonly Running[];
  readonly evaluators: readonly Evaluator[];
  readonly evalSources: readonly BatchSource[];
}

/** Takes a first batch of each task, and initializes what has no weights yet: the model with the first key, the rest with the second. */
export async function prepare(
  { tasks, evalTasks, overfitBatches, fastDevRun, trainer: options }: Plan,
  model: Layer,
  evalModel: Layer,
  [forModel, forOthers]: readonly [Key, Key],
): Promise<Prepared> {
  const running: Running[] = [];
  let ofModel: readonly Signature[] = [];
  for (const [index, task] of tasks.entries()) {
    const source = new BatchSource(`TrainTask ${index}: labeledData`, task.labeledData, overfitBatches);
    const withLoss = Serial(model, task.lossLayer);
    const [batch] = await source.peek(1);
    const signatures = signaturesOf(withLoss, batch!);
    if (index === 0) ofModel = signatures.slice(0, model.nIn);
    if (!hasWeights(model)) withLoss.init(signatures, { rng: forModel });
    else if (!hasWeights(task.lossLayer)) initBehind(model, task.lossLayer, signatures, forOthers);
    running.push({ task, source, trainer: new Trainer(withLoss, task.optimizer, options) });
  }
  if (!hasWeights(evalModel)) evalModel.init(ofModel, { rng: forOthers });
  const evalSources = evalTasks.map((task, i) => new BatchSource(`EvalTask ${i}: labeledData`, task.labeledData));
  const prefixes = prefixesOf(evalTasks);
  const evaluators = evalTasks.map((task, i) => {
    const nBatches = fastDevRun ? 1 : task.nEvalBatches;
    return new Evaluator(task, evalModel, evalSources[i]!, forOthers, { prefix: prefixes[i]!, nBatches });
  });
  return { running, evaluators, evalSources };
}
