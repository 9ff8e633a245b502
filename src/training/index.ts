/**
 * Training: trainers, loops around them, what happens on the way, and their files.
 *
 * @module
 */
export {
  type Callback,
  type CallbackAnswer,
  type CheckpointEvent,
  type EvalEvent,
  type FailureEvent,
  type RunReport,
  type StepEvent,
} from './callback.js';
export { type LabeledData } from './batches.js';
export { History, type HistoryData, type HistoryEntry } from './history.js';
export { Loop, type RunOptions } from './loop.js';
export { type LoopOptions, type StepPredicate } from './plan.js';
export { EvalTask, type EvalTaskOptions, TrainTask, type TrainTaskOptions } from './task.js';
export { Trainer, type TrainerOptions } from './trainer.js';
export { type CheckpointInfo, checkpointInfo, type TensorInfo, verifyCheckpoint } from './checkpoints.js';
export { plotHistory, type Plottable } from './plot.js';
export { ProgressBar, type ProgressBarOptions, type ProgressStream } from './progressBar.js';
