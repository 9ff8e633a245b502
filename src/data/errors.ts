/**
 * Errors on the way of data.
 *
 * @module
 */
import { type ErrorCode } from '../bridge/errors.js';
import { found, text } from '../bridge/found.js';

/** What went wrong on the way of data: a code of tallow, or `Thrown` for what a function or source of the program threw. */
export type DataErrorCode = ErrorCode | 'Thrown';

/** Where a {@link DataError} happened. */
export interface DataErrorDetails {
  /** The source or step, as `Dataset.map`. */
  readonly step: string;
  /** The number of the element that it worked on, counted from 0, if it worked on one. */
  readonly element: number | undefined;
  /** What was thrown, if it was not the step itself that refused. */
  readonly cause?: unknown;
}

/**
 * An error of a dataset: it tells the step, the number of the element, and what was thrown there.
 *
 * @example
 * ```ts
 * const numbers = tl.data.fromArray(['1', '2', 'three']).map((word) => {
 *   if (Number.isNaN(Number(word))) throw new RangeError(`${word} is no number`);
 *   return Number(word);
 * });
 * let message = '';
 * try {
 *   await numbers.toArray();
 * } catch (error) {
 *   if (error instanceof tl.data.DataError) message = error.message;
 * }
 * message; // → '[Thrown] Dataset.map, element 2: three is no number'
 * ```
 */
export class DataError extends Error implements DataErrorDetails {
  /** What went wrong, in one word. */
  readonly code: DataErrorCode;
  readonly step: string;
  readonly element: number | undefined;
  /**
   * Makes the error.
   *
   * @param code - What went wrong, in one word.
   * @param message - The sentence, without the step.
   * @param details - The step, the number of the element, and what was thrown.
   * @throws `TypeError`: `message` is not a string, or `details` is not an object.
   */
  constructor(code: DataErrorCode, message: string, details: DataErrorDetails) {
    const { step, element, cause } = checked(details);
    const where = element === undefined ? step : `${step}, element ${element}`;
    super(`[${code}] ${where}: ${text('DataError: message', message)}`, cause === undefined ? {} : { cause });
    this.code = code;
    this.step = step;
    this.element = element;
    // The stack of what was thrown leads to the program's own line.
    if (cause instanceof Error && cause.stack !== undefined) {
      this.stack = `${this.name}: ${this.message}\n${cause.stack.slice(cause.stack.search(/^ +at /m))}`;
    }
  }
  static {
    this.prototype.name = 'DataError';
  }
}

function checked(details: DataErrorDetails): DataErrorDetails {
  if (typeof details !== 'object' || details === null) {
    throw new TypeError(`DataError: details must be an object of what is known, got ${found(details)}`);
  }
  return details;
}

/** What a function or source of the program threw, with the place; an error that has one already stays as it is. */
export function thrownAt(step: string, element: number | undefined, cause: unknown, code: DataErrorCode = 'Thrown') {
  if (cause instanceof DataError) return cause;
  const message = cause instanceof Error ? cause.message : String(cause);
  return new DataError(code, message, { step, element, cause });
}

/** An error of the step itself. */
export function refused(step: string, element: number | undefined, code: ErrorCode, message: string): DataError {
  return new DataError(code, message, { step, element });
}
