/**
 * Data on its way to a model: datasets, and encoders of text.
 *
 * @module
 */
export {
  type BatchOptions,
  type BucketOptions,
  Dataset,
  type DatasetState,
  type PackOptions,
  type ShuffleOptions,
} from './dataset.js';
export { type Json } from './cursor.js';
export { DataError, type DataErrorCode, type DataErrorDetails } from './errors.js';
export {
  byteEncoder,
  type BytePairOptions,
  characterEncoder,
  type DecodeOptions,
  type EncodeOptions,
  Encoder,
  type Ids,
  loadEncoder,
  type ReservedOptions,
  type TextDecoding,
  trainBytePair,
} from './encoder.js';
export { inWorker, type WorkerOptions } from './inWorker.js';
export { type Several } from './flatMap.js';
export { type Packed, type Tokens } from './pack.js';
export { segmentMask } from './segmentMask.js';
export { fromArray, fromIterable, fromTensors, type Source } from './sources.js';
export { type Batched, type Scalar, type Stackable, type StackedField } from './stack.js';
export { csv, type CsvOptions, parquet, type ParquetOptions } from './tables.js';
export { jsonl, textFile, type TextFileOptions } from './textFile.js';
