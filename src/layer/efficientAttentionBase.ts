/**
 * The base of attention classes that are written for one head of one example.
 *
 * @module
 */
import { type Run } from './classes.js';
import { Layer, type LayerOptions, type Mode } from './layer.js';
import { type Signature } from '../tensor/ops.js';
import { type Key } from '../tensor/random.js';
import { type Tensor } from '../tensor/tensor.js';
import { type Nest } from './wire.js';

/** Options of {@link EfficientAttentionBase}. */
export interface EfficientAttentionBaseOptions {
  /** Number of inputs; 1 if left out. */
  readonly nIn?: number;
  /** How many heads Trax computes at a time; here it is always one. */
  readonly nParallelHeads?: number | null;
  /** Whether the layer continues a sequence from call to call. */
  readonly incremental?: boolean;
  /** Positions remembered if `incremental`. */
  readonly predictMemLen?: number | null;
  /** Positions forgotten when the memory is full. */
  readonly predictDropLen?: number | null;
  /** Changes nothing: there is no compilation that a loop could shorten. */
  readonly usePythonLoop?: boolean;
  /** Whether to differentiate what forward recorded in place of computing it again. */
  readonly useReferenceCode?: boolean;
  /** Printed name; the name of the class if left out. */
  readonly name?: string;
  /** How the layer behaves, which its methods see as `this.mode`; `'train'` if left out. */
  readonly mode?: Mode;
}

/** What `forwardUnbatched` gets behind the inputs. */
export interface AttentionContext {
  /** Weights of the head. */
  readonly weights: Nest;
  /** State of the head of the example. */
  readonly state: Nest;
  /** Key of the call, the same for all heads and examples. */
  readonly rng: Key;
  /** Whether to update the state; not where the call is computed again for its gradient, with the state that it left. */
  readonly updateState: boolean;
}

/** What `incrementalForwardUnbatched` gets behind the inputs. */
export interface IncrementalAttentionContext extends AttentionContext {
  /** The first position of the inputs that is new; those before it are remembered. */
  readonly qStart: number;
  /** How many positions are new. */
  readonly qLen: number;
}

/**
 * The base of attention classes that are written for one head of one example.
 *
 * It runs them over all heads and examples and sums the heads. A class has `createWeightsUnbatched` and `forwardUnbatched`, and may have
 * `createStateUnbatched` and `incrementalForwardUnbatched`. Weights are stacked over heads, state over heads of examples. For its gradient each head of
 * each example is computed again, on its own, so that nothing the methods compute on the way is kept.
 *
 * @see {@link SelfAttention}, {@link LSHSelfAttention}
 * @example
 * ```ts
 * class Mean extends tl.EfficientAttentionBase {
 *   override createWeightsUnbatched() {
 *     return [];
 *   }
 *   override forwardUnbatched(x: tl.Tensor, { state }: tl.AttentionContext): [tl.Tensor, tl.Nest] {
 *     return [x.mean({ axis: 0, keepdims: true }).add(x), state];
 *   }
 * }
 * const layer = new Mean(2);
 * layer.init({ shape: [1, 2, 1], dtype: 'float32' });
 * layer([[[1], [2]]]); // → Tensor float32[1,2,1] [[[5],[7]]]
 * ```
 */
export class EfficientAttentionBase extends Layer<Tensor> {
  /** @internal */
  static override readonly kind: string = 'EfficientAttentionBase';

  /**
   * Makes the layer.
   *
   * @param nHeads - Number of heads.
   * @param options - Options by name, see {@link EfficientAttentionBaseOptions}.
   * @throws {@link LayerError} `InvalidOption`: an option is unknown or outside its bounds.
   */
  constructor(nHeads: number, options: EfficientAttentionBaseOptions = {}) {
    super({ ...options, nHeads } as LayerOptions);
  }

  /**
   * Makes the weights of one head: a method that a class defines.
   *
   * @param inputSignature - Signatures of the inputs of one example, without the batch.
   * @param rng - Key of the head.
   * @returns The weights, nested as the class likes; `[]` for none.
   * @throws `TypeError`: the class does not define it.
   * @example
   * ```ts
   * class Scaled extends tl.EfficientAttentionBase {
   *   override createWeightsUnbatched([x]: tl.Signature[]) {
   *     return tl.ones([x!.shape.at(-1)!]);
   *   }
   * }
   * const [weights] = new Scaled(3).weightsAndStateSignature({ shape: [1, 5, 2], dtype: 'float32' });
   * weights; // → { shape: [3, 2], dtype: 'float32' }
   * ```
   */
  createWeightsUnbatched(inputSignature: Signature[], rng: Key): unknown {
    void [inputSignature, rng];
    throw new TypeError(`the class ${this.name} defines no createWeightsUnbatched`);
  }
  /**
   * Makes the state of one head of one example; a class that does not define it has none.
   *
   * @param inputSignature - Signatures of the inputs of one example, without the batch.
   * @param rng - Key of the head.
   * @returns The state, nested as the class likes.
   * @throws What the class throws.
   * @example
   * ```ts
   * class Counting extends tl.EfficientAttentionBase {
   *   override createWeightsUnbatched() {
   *     return [];
   *   }
   *   override createStateUnbatched() {
   *     return tl.zeros([]);
   *   }
   *   override forwardUnbatched(x: tl.Tensor, { state }: tl.AttentionContext): [tl.Tensor, tl.Nest] {
   *     return [x, state instanceof tl.Tensor ? state.add(1) : state];
   *   }
   * }
   * const layer = new Counting(1);
   * layer.init({ shape: [1, 2, 1], dtype: 'float32' });
   * layer([[[1], [2]]]);
   * layer.state; // → Tensor float32[1] [1]
   * ```
   */
  createStateUnbatched(inputSignature: Signature[], rng: Key): unknown {
    void [inputSignature, rng];
    return [];
  }
  /**
   * Computes the attention of one head in one example: a method that a class defines.
   *
   * @param args - The inputs without the batch, and behind them the {@link AttentionContext}.
   * @returns `[output, new state]`.
   * @throws `TypeError`: the class does not define it.
   * @see {@link EfficientAttentionBase} for an example
   */
  forwardUnbatched(...args: [...inputs: Tensor[], context: AttentionContext]): [output: Tensor, newState: unknown] {
    void args;
    throw new TypeError(`the class ${this.name} defines no forwardUnbatched`);
  }
  /**
   * Computes the attention of the new positions of one head in one example, to what is remembered and to themselves.
   *
   * A class that is `incremental` defines it.
   *
   * @param args - The inputs without the batch, and behind them the {@link IncrementalAttentionContext}.
   * @returns `[output, new state]`.
   * @throws `TypeError`: the class does not define it.
   * @see {@link EfficientAttentionBase} for an example of `forwardUnbatched`
   */
  incrementalForwardUnbatched(
    ...args: [...inputs: Tensor[], context: IncrementalAttentionContext]
  ): [output: Tensor, newState: unknown] {
    void args;
    throw new TypeError(`the class ${this.name} defines no incrementalForwardUnbatched`);
  }

  /** @internal */
  override driven(method: string, args: readonly unknown[], run: Run): unknown {
    switch (method) {
      case 'createWeightsUnbatched':
        return this.createWeightsUnbatched(...(args as [Signature[], Key]));
      case 'createStateUnbatched':
        return this.createStateUnbatched(...(args as [Signature[], Key]));
      case 'forwardUnbatched': {
        const [inputs, context] = args as [Tensor[], AttentionContext];
        return this.forwardUnbatched(...inputs, context);
      }
      case 'incrementalForwardUnbatched': {
        const [inputs, context] = args as [Tensor[], IncrementalAttentionContext];
        return this.incrementalForwardUnbatched(...inputs, context);
      }
      default:
        return super.driven(method, args, run);
    }
  }
}
