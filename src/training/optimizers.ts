/**
 * Optimizers, as the addon takes them.
 *
 * @module
 */
import { native } from '../bridge/native.js';
import { withPlain } from '../layer/construct.js';

/** An optimizer with its options, as {@link optimizers.Adam} makes one; the trainer keeps its slots, the tensors that it has for each weight. */
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
   * Name and options, as text.
   *
   * @returns The text.
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
