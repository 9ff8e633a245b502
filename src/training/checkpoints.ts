/**
 * What checkpoints hold, and whether they are whole.
 *
 * @module
 */
import { native } from '../bridge/native.js';
import { text } from '../bridge/found.js';

/** A tensor of a file. */
export interface TensorInfo {
  /** Its name: its kind, the path of layers to it, and its place among their tensors. */
  readonly name: string;
  /** Its shape. */
  readonly shape: number[];
  /** Its type; what the format calls it, if tensors have no such type. */
  readonly dtype: string;
  /** Bytes it takes in the file. */
  readonly bytes: number;
}

/** What {@link checkpointInfo} tells of a file. */
export interface CheckpointInfo {
  /** Number of the next step; `null` if no trainer wrote the file. */
  readonly step: number | null;
  /** The notes that `Trainer.save` was given; `null` if there are none. */
  readonly notes: Record<string, unknown> | null;
  /** The tensors, sorted by name. */
  readonly tensors: TensorInfo[];
}

/**
 * Tells what a checkpoint holds: its step, its notes, and the names, shapes and types of its tensors.
 *
 * Only the header is read, so that this takes no longer for a large file. Any other safetensors file can be asked, too. The numbers are not checked: see
 * {@link verifyCheckpoint}.
 *
 * @param path - Path of the file.
 * @returns What the header says.
 * @throws {@link LayerError} `Io`: the file is missing, no regular file, cut off, or its header is damaged.
 * @see {@link Trainer.save}
 * @example
 * ```ts
 * const model = tl.Serial(tl.Dense(1), tl.L2Loss());
 * model.init([[8, 3], [8, 1], [8, 1]].map((shape) => ({ shape, dtype: 'float32' })));
 * await new tl.Trainer(model, tl.optimizers.Adam()).save('run.safetensors', 100, { epoch: 2 });
 *
 * const info = await tl.training.checkpointInfo('run.safetensors');
 * info.step; // → 100
 * info.notes; // → { epoch: 2 }
 * info.tensors[0]; // → { name: 'weights/0.Dense_1/0', shape: [3, 1], dtype: 'float32', bytes: 12 }
 * ```
 */
export async function checkpointInfo(path: string): Promise<CheckpointInfo> {
  const { step, notes, tensors } = await native.checkpointInfo(text('checkpointInfo: path', path));
  return { step, notes: notes === null ? null : (JSON.parse(notes) as Record<string, unknown>), tensors };
}

/**
 * Reads a checkpoint to its end, and checks the checksum of each tensor.
 *
 * No tensor is made, and a training loop goes on beside it. Loading checks the same, so this is for files that are not loaded now, such as copies.
 *
 * @param path - Path of the file.
 * @returns When all of it was read, and is as it was written.
 * @throws {@link LayerError} `Io`: the file is missing, cut off or damaged, and the error names the tensor; or it has no checksums, since another program
 * wrote it.
 * @see {@link checkpointInfo}
 * @example
 * ```ts
 * tl.saveSafetensors({ w: tl.ones([2]) }, 'weights.safetensors');
 * await tl.training.verifyCheckpoint('weights.safetensors'); // → undefined
 * ```
 */
export async function verifyCheckpoint(path: string): Promise<void> {
  await native.verifyCheckpoint(text('verifyCheckpoint: path', path));
}
