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
  type RunEvent,
  type RunReport,
  type StepEvent,
} from './loop/callback.js';
export { type LabeledData } from './loop/batches.js';
export { BestCheckpoint, type BestCheckpointOptions } from './callbacks/bestCheckpoint.js';
export { CsvLog } from './callbacks/csvLog.js';
export { EarlyStopping, type EarlyStoppingOptions } from './callbacks/earlyStopping.js';
export { JsonlLog } from './callbacks/jsonlLog.js';
export { LastCheckpoints, type LastCheckpointsOptions } from './callbacks/lastCheckpoints.js';
export { LearningRateFinder, type LearningRateFinderOptions } from './callbacks/learningRateFinder.js';
export { NanGuard } from './callbacks/nanGuard.js';
export { Progress, type ProgressOptions } from './callbacks/progress.js';
export { StopAt, type StopAtOptions } from './callbacks/stopAt.js';
export { TensorBoard } from './callbacks/tensorBoard.js';
export { Throughput } from './callbacks/throughput.js';
export { type Objective } from './loop/best.js';
export { History, type HistoryData, type HistoryEntry } from './history.js';
export { Loop, type RunOptions, type RunUntil } from './loop/loop.js';
export { loadLora, mergeLora, saveLora, withLora, type WithLoraOptions } from './lora.js';
export { type LoopOptions, type StepPredicate } from './loop/plan.js';
export { EvalTask, type EvalTaskOptions, TrainTask, type TrainTaskOptions } from './loop/task.js';
export { Trainer, type TrainerOptions } from './trainer.js';
export { type CheckpointInfo, checkpointInfo, type TensorInfo, verifyCheckpoint } from './checkpoints.js';
export { plotHistory, type Plottable } from './plot.js';
export { type LocalRank, localRanks, type Rank, rank } from './ranks.js';
export { ProgressBar, type ProgressBarOptions, type ProgressStream } from './progressBar.js';
export { SummaryWriter } from './summaryWriter.js';
