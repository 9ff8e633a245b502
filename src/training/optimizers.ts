/**
 * Optimizers, as the addon takes them.
 *
 * @module
 */
import { native } from '../bridge/native.js';
import { withPlain } from '../layer/construct.js';

/**
 * An optimizer with its options, as {@link optimizers.Adam} makes one.
 *
 * It holds no state. A {@link Trainer} keeps the slots: the tensors that the optimizer has for each weight.
 *
 * @see {@link Trainer}
 * @example
 * ```ts
 * const optimizer = tl.optimizers.Adam({ learningRate: 0.01 });
 * optimizer.kind; // → 'Adam'
 * ```
 */
export class Optimizer {
  /** Registered name. */
  readonly kind: string;
  /** Options as given. */
  readonly options: Readonly<object>;

  /** @internal */
  constructor(kind: string, options: object) {
    this.kind = kind;
    this.options = Object.freeze({ ...options });
  }
  /**
   * Writes the name and the options that were given.
   *
   * @returns The text.
   * @example
   * ```ts
   * String(tl.optimizers.Adam({ learningRate: 0.01 })); // → 'Adam({"learningRate":0.01})'
   * ```
   */
  toString(): string {
    return `${this.kind}(${JSON.stringify(this.options)})`;
  }
}

/** An optimizer of a registered kind. */
export function makeOptimizer(kind: string, options: object): Optimizer {
  withPlain(kind, options, (value) => native.checkOptimizer(kind, value));
  return new Optimizer(kind, options);
}
