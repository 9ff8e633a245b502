/**
 * Training: trainers, loops around them, what happens on the way, and their files.
 *
 * @module
 */
export { Trainer, type TrainerOptions } from './trainer.js';
export { type CheckpointInfo, checkpointInfo, type TensorInfo, verifyCheckpoint } from './checkpoints.js';
export { plotHistory, type Plottable } from './plot.js';
export { ProgressBar, type ProgressBarOptions, type ProgressStream } from './progressBar.js';
