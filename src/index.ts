/// <reference lib="esnext.disposable" preserve="true" />
/**
 * The `trax.layers` API for Node.js: tensors, gradients, random keys, layers.
 *
 * @module
 */

export { version } from './bridge/version.js';
export { type DType } from './bridge/native.js';
export { type HalfArray, type Nested, type TypedArray } from './tensor/data.js';
export { DisposedError, type ErrorCode, LayerError, type LayerErrorDetails, TensorError } from './bridge/errors.js';
export {
  type AxisArgument,
  type Operand,
  type ReduceArgument,
  type ReduceOptions,
  type TensorOptions,
} from './tensor/arguments.js';
export { Tensor } from './tensor/tensor.js';
export {
  signature,
  type Signature,
  type SignatureLike,
  tensor,
  type TensorData,
  type TensorLike,
} from './tensor/ops.js';
export * from './generated/tensorFunctions.js';
export { dispose, keep, tidy } from './layer/tidy.js';
export { defaultDevice, type DeviceInfo, devices, setDefaultDevice } from './tensor/devices.js';
export {
  memory,
  memoryLimit,
  type MemoryInfo,
  numThreads,
  resetPeakMemory,
  setMemoryLimit,
  setNumThreads,
} from './tensor/memory.js';
export {
  type Argument,
  type CotangentOf,
  grad,
  type GradientOf,
  type GradOptions,
  valueAndGrad,
  vjp,
} from './tensor/gradients.js';
export { type Key } from './tensor/random.js';
export * as random from './tensor/random.js';
export { type Tree, type TreeStructure } from './tensor/tree.js';
export * as tree from './tensor/tree.js';
export * as models from './models/index.js';
export * as data from './data/index.js';
export * as decoding from './decoding/index.js';
export {
  type AsyncCallOptions,
  type CallOptions,
  type FileOptions,
  type InitFromFileOptions,
  Layer,
  type LayerInputs,
  type LayerOptions,
  type LayerOutputs,
  type LoadMismatch,
  type LoadReport,
  type NestLike,
  type Mode,
  type SaveToFileOptions,
  type TensorForm,
} from './layer/layer.js';
export { fromShared, type SharedLayer } from './layer/shared.js';
export { hasArity, type Outputs } from './layer/arity.js';
export { type KernelInitializer } from './layer/construct.js';
export { EMPTY_STATE, EMPTY_WEIGHTS, GET_STATE_FROM_CACHE, GET_WEIGHTS_FROM_CACHE, type Nest } from './layer/wire.js';

export * from './generated/index.js';
export { type ForwardFunction, type JitForwardOptions } from './layer/jitForward.js';
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
} from './layer/efficientAttentionBase.js';
export { type NamedTensors } from './tensor/named.js';
export { loadNpz, saveNpz } from './tensor/npz.js';
export { loadSafetensors, type LoadSafetensorsOptions, saveSafetensors } from './tensor/safetensors.js';
export * as reversible from './reversible.js';
export * as testUtils from './testUtils.js';
export { ReversibleLayer } from './layer/reversibleLayer.js';
export * from './seeing/index.js';
export * as training from './training/index.js';
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
  type WeightGroup,
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
  type TensorTree,
} from './layer/types.js';
