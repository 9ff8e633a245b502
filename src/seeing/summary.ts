/**
 * What a model is made of.
 *
 * @module
 */
import { inspect } from 'node:util';
import { found } from '../bridge/found.js';
import { native } from '../bridge/native.js';
import { type Layer } from '../layer/layer.js';
import { checked } from '../layer/signature.js';
import { type Signature, type SignatureLike } from '../tensor/ops.js';
import { type Names, optionsOf } from '../tensor/rest.js';
import { numberOfLayer } from '../layer/given.js';
import { isNamed, shownBytes, shownCount, table } from './table.js';

/** A use of a layer in a {@link Summary}. */
export interface SummaryRow {
  /** Positions and names of the layers around and of the layer, as weights are named: `0.Serial/2.Dense_4`. Empty for the model itself. */
  readonly path: string;
  /** Its name. */
  readonly name: string;
  /** How many layers it lies in. */
  readonly depth: number;
  /** Signatures of what it takes. */
  readonly inputs: readonly Signature[];
  /** Signatures of what it gives. */
  readonly outputs: readonly Signature[];
  /** How many tensors are on the data stack behind it, with those that wait below. */
  readonly height: number;
  /** How many numbers its weights and those of the layers in it are. */
  readonly weights: number;
  /** How many of these training changes: those that are floats. */
  readonly trainable: number;
  /** Bytes of weights and state, of the layer and those in it. */
  readonly bytes: number;
  /** Whether it is a layer that an earlier row has: what it holds counts there. */
  readonly shared: boolean;
  /** What its own large matrices are held in where they are quantized, else `null`: its weights are held as they are. */
  readonly quantized: 'int8' | 'bfloat16' | null;
}

/** Options of {@link summary}. */
export interface SummaryOptions {
  /** Leaves out layers that lie in more layers than so; none if left out. */
  readonly depth?: number | undefined;
}

const SUMMARY: Names<SummaryOptions> = { depth: true };

/** `float32[8,64]` */
const shown = ({ dtype, shape }: Signature): string => `${dtype}[${shape.join(',')}]`;

/**
 * The layers of a model with what they give and hold.
 *
 * It prints as a table.
 *
 * @example
 * ```ts
 * const rows = tl.summary(tl.Dense(2), { shape: [8, 4], dtype: 'float32' }).rows;
 * rows[0]?.weights; // → 10
 * ```
 */
export class Summary {
  /** @internal */
  constructor(
    /**
     * A row for each use of a layer, in the order in which they run.
     *
     * The first is the model. The layers in one that is shared stand once.
     */
    readonly rows: readonly SummaryRow[],
  ) {}

  /** How many numbers the weights of the model are. */
  get weights(): number {
    return this.rows[0]!.weights;
  }

  /** How many numbers training changes. */
  get trainable(): number {
    return this.rows[0]!.trainable;
  }

  /** Bytes of the weights and state of the model. */
  get bytes(): number {
    return this.rows[0]!.bytes;
  }

  /**
   * Shows it as a table.
   *
   * @returns Lines of text.
   * @example
   * ```ts
   * `${tl.summary(tl.Softmax(), { shape: [2], dtype: 'float32' })}`.split('\n')[2]; // → 'Softmax  float32[2]      1        0    0 B'
   * ```
   */
  toString(): string {
    const isQuantized = this.rows.some((row) => row.quantized !== null);
    const head = ['layer', 'output', 'stack', 'weights', 'bytes', ...(isQuantized ? ['matrices'] : [])];
    const rows = this.rows
      .filter(isNamed)
      .map((row) => [
        `${'  '.repeat(row.depth)}${row.name}`,
        row.outputs.map(shown).join(' '),
        `${row.height}`,
        row.shared ? 'shared' : shownCount(row.weights),
        row.shared ? '' : shownBytes(row.bytes),
        ...(isQuantized ? [row.quantized ?? ''] : []),
      ]);
    const trainable = `${shownCount(this.trainable)} trainable`;
    const total = ['total', trainable, '', shownCount(this.weights), shownBytes(this.bytes)];
    return table(head, rows, isQuantized ? [...total, ''] : total);
  }

  /** @internal */
  [inspect.custom](): string {
    return this.toString();
  }
}

/**
 * Tells what a model is made of: its layers, the shapes they give, the data stack, weights and bytes.
 *
 * The model need not be initialized, and no weights are made. Layers in it that are classes of JavaScript run once, on zeros.
 *
 * @param layer - The model.
 * @param inputs - Signatures of its inputs, as `init` takes them.
 * @param options - Options by name:
 * - `depth`: Leaves out layers that lie in more layers than so; 0 leaves the model alone. Default: none are left out.
 * @returns A row for each layer; it prints as a table.
 * @throws {@link LayerError} `ShapeMismatch`, `DTypeMismatch`: a layer does not take such inputs. The error names the layer.
 * @throws {@link LayerError} `ArityMismatch`: the model takes another number of inputs.
 * @throws `TypeError`: `layer` is not a layer, `inputs` no signature, or an option is unknown.
 * @throws `RangeError`: `depth` is no whole number of at least 0.
 * @see {@link profile}, which tells of time and memory
 * @example
 * ```ts
 * const model = tl.Serial(tl.Dense(64), tl.Softmax(), tl.Dense(10));
 * console.log(`${tl.summary(model, { shape: [8, 784], dtype: 'float32' })}`);
 * // → layer                 output  stack  weights   bytes
 * //   ────────────────────────────────────────────────────
 * //   Serial         float32[8,10]      1   50,890  204 kB
 * //     Dense_64     float32[8,64]      1   50,240  201 kB
 * //     Softmax      float32[8,64]      1        0     0 B
 * //     Dense_10     float32[8,10]      1      650  2.6 kB
 * //   ────────────────────────────────────────────────────
 * //   total       50,890 trainable          50,890  204 kB
 * ```
 */
export function summary<D extends string>(
  layer: Layer,
  inputs: SignatureLike<D> | readonly SignatureLike<D>[],
  options: SummaryOptions = {},
): Summary {
  const id = numberOfLayer('summary: layer', layer);
  const { depth = Infinity } = optionsOf('summary', options, SUMMARY);
  if (depth !== Infinity && (!Number.isSafeInteger(depth) || depth < 0))
    throw new RangeError(`summary: \`depth\` must be a whole number of at least 0, got ${found(depth)}`);
  const rows = native.layerSummary(id, checked(inputs)) as SummaryRow[];
  return new Summary(rows.filter((row) => row.depth <= depth));
}
