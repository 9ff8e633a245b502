/**
 * The `trax.layers` API for Node.js: tensors, gradients, random keys, layers.
 *
 * @module
 */

/** The version of this package. */
export const version = '0.1.0';

export { type DType } from './native.js';
export { type HalfArray, type Nested, type TypedArray } from './data.js';
export { DisposedError, type ErrorCode, LayerError, type LayerErrorDetails, TensorError } from './errors.js';
export { type AxisArgument, type Operand, type ReduceArgument, type ReduceOptions, Tensor } from './tensor.js';
export {
  arange,
  concat,
  einsum,
  eye,
  full,
  matmul,
  ones,
  onesLike,
  signature,
  type Signature,
  stack,
  stopGradient,
  tensor,
  type TensorData,
  type TensorLike,
  type TensorOptions,
  tri,
  where,
  zeros,
  zerosLike,
} from './ops.js';
export {
  dispose,
  keep,
  memory,
  memoryLimit,
  type MemoryInfo,
  numThreads,
  resetPeakMemory,
  setMemoryLimit,
  setNumThreads,
  tidy,
} from './memory.js';
export { type Argument, grad, type Gradient, type GradOptions, valueAndGrad, vjp } from './gradients.js';
export { type Key } from './random.js';
export * as random from './random.js';
export { type Tree, type TreeStructure } from './tree.js';
export * as tree from './tree.js';
export * as models from './models/index.js';
export {
  type AsyncCallOptions,
  type CallOptions,
  type FileOptions,
  Layer,
  type LayerInputs,
  type LayerOptions,
  type LayerOutputs,
  type Mode,
} from './layer.js';
export { type KernelInitializer } from './options.js';
export { EMPTY_STATE, EMPTY_WEIGHTS, GET_STATE_FROM_CACHE, GET_WEIGHTS_FROM_CACHE, type Nest } from './wire.js';

export * from './generated/index.js';
export { type ForwardFunction, type JitForwardOptions } from './acceleration.js';
export * as base from './base.js';
export {
  N_WEIGHTS_SHARDS,
  npFromFile,
  npToFile,
  PureLayer,
  type PureLayerClass,
  type PureLayerOptions,
  unshardInPmap,
} from './base.js';
export {
  type AttentionContext,
  type EfficientAttentionBaseOptions,
  type IncrementalAttentionContext,
} from './efficientAttention.js';
export { loadSafetensors, type LoadSafetensorsOptions, saveSafetensors } from './safetensors.js';
export * as reversible from './reversible.js';
export * as testUtils from './testUtils.js';
export { ReversibleLayer } from './reversibleLayer.js';
export { Optimizer } from './training/optimizers.js';
export { type Schedule } from './training/schedules.js';
export {
  type Batch,
  type FitOptions,
  type StepStats,
  Trainer,
  type TrainerOptions,
  type TrainingProgress,
  type TrainingReport,
} from './training/trainer.js';
export {
  type CancelSignal,
  type KeyLike,
  type LayerFactory,
  type LayerNest,
  type ResamplingArgument,
  type ResamplingFactory,
  type SignatureTree,
  type TensorFunction,
  type TensorResult,
  type TensorTree,
} from './types.js';
