/**
 * What tallow throws. Wrong arguments are `TypeError` or `RangeError`, as everywhere in JavaScript.
 *
 * @module
 */
import { dirname } from 'node:path';
import { type ErrorDetails } from '../../binding.cjs';
import type { ErrorCode } from '../generated/errorCode.js';
import { found, text } from './found.js';

export type { ErrorCode };

/**
 * An error of a tensor operation: shapes or types that do not fit, an index out of range, no memory, a missing device.
 *
 * @see {@link ErrorCode} for what `code` can be
 * @example
 * ```ts
 * let code: tl.ErrorCode | undefined;
 * try {
 *   tl.ones([2]).add(tl.ones([3]));
 * } catch (error) {
 *   if (error instanceof tl.TensorError) code = error.code;
 * }
 * code; // → 'ShapeMismatch'
 * ```
 */
export class TensorError extends Error {
  /** What went wrong, in one word. */
  readonly code: ErrorCode;
  /**
   * Makes the error.
   *
   * @param code - What went wrong, in one word.
   * @param message - The whole sentence.
   * @throws `TypeError`: `message` is not a string.
   */
  constructor(code: ErrorCode, message: string) {
    super(text('TensorError: message', message));
    this.code = code;
  }
  static {
    this.prototype.name = 'TensorError';
  }
}

/**
 * The error of using a tensor or layer after `dispose()`, or after the `tidy()` that it was made in.
 *
 * @see {@link keep}, which takes a tensor or layer out of a `tidy()`
 * @example
 * ```ts
 * const x = tl.tensor([1, 2]);
 * x.dispose();
 * let code: tl.ErrorCode | undefined;
 * try {
 *   x.add(1);
 * } catch (error) {
 *   if (error instanceof tl.DisposedError) code = error.code;
 * }
 * code; // → 'Disposed'
 * ```
 */
export class DisposedError extends TensorError {
  /**
   * Makes the error.
   *
   * @param message - The whole sentence.
   * @throws `TypeError`: `message` is not a string.
   */
  constructor(message: string) {
    super('Disposed', message);
  }
  static {
    this.prototype.name = 'DisposedError';
  }
}

/** Where a {@link LayerError} happened. */
export interface LayerErrorDetails {
  /** Names of the layers, outermost first. */
  readonly path: readonly string[];
  /** What the layer was doing. */
  readonly phase: 'build' | 'init' | 'forward' | 'backward';
  /** Signatures of its inputs, as `float32[2,3]`. */
  readonly inputs: readonly string[];
  /** Where the program made the layer, as `file:line:column`, if known. */
  readonly createdAt: string | undefined;
}

/**
 * An error of a layer that cannot be made, initialized or run: it tells the path to the layer, its inputs and where it was made.
 *
 * @see {@link ErrorCode} for what `code` can be
 * @example
 * ```ts
 * const model = tl.Serial(tl.Dense(2), tl.Flatten({ nAxesToKeep: 4 }));
 * let path: readonly string[] = [];
 * try {
 *   model.init({ shape: [1, 3], dtype: 'float32' });
 * } catch (error) {
 *   if (error instanceof tl.LayerError) path = error.path;
 * }
 * path; // → ['Serial', 'Flatten_keep4']
 * ```
 */
export class LayerError extends Error implements LayerErrorDetails {
  /** What went wrong, in one word. */
  readonly code: ErrorCode;
  readonly path: readonly string[];
  readonly phase: 'build' | 'init' | 'forward' | 'backward';
  readonly inputs: readonly string[];
  readonly createdAt: string | undefined;
  /**
   * Makes the error.
   *
   * @param code - What went wrong, in one word.
   * @param message - The whole sentence.
   * @param details - The path to the layer, what it was doing, its inputs and where it was made.
   * @throws `TypeError`: `message` is not a string, or `details` is not an object.
   */
  constructor(code: ErrorCode, message: string, details: LayerErrorDetails) {
    super(text('LayerError: message', message));
    if (typeof details !== 'object' || details === null) {
      throw new TypeError(`LayerError: details must be an object of what is known, got ${found(details)}`);
    }
    this.code = code;
    this.path = details.path;
    this.phase = details.phase;
    this.inputs = details.inputs;
    this.createdAt = details.createdAt;
  }
  static {
    this.prototype.name = 'LayerError';
  }
}

/** The error of what stands around layers, such as loops and folders of models; `cause` is what it comes from. */
export function refusal(code: ErrorCode, message: string, cause?: unknown): LayerError {
  const error = new LayerError(code, `[${code}] ${message}`, {
    path: [],
    phase: 'build',
    inputs: [],
    createdAt: undefined,
  });
  if (cause !== undefined) error.cause = cause;
  return error;
}

/** A message without the code that it begins with, for those who read sentences. */
export const withoutCode = (message: string): string => message.replace(/^\[\w+\] /, '');

/** The stack where a layer was made; read only when an error needs it, as that costs time. */
export interface CreationSite {
  readonly stack?: string;
}

/** Where each layer was made, by the number of the layer. A stack may hold the layers it runs through, so it is their handles' own. */
export const creationSites = new Map<number, WeakRef<CreationSite>>();

/** Where the files of this package are. */
const facade = dirname(__dirname);

/** The first place on a stack that is not in this package, as `file:line:column`. */
function callerIn(stack: string | undefined): string | undefined {
  const frames = stack?.split('\n').slice(1) ?? [];
  const frame = frames.find((line) => !line.includes(facade) && !line.includes('node:'));
  return frame === undefined ? undefined : /(?:\(|at )([^()]+:\d+:\d+)\)?$/.exec(frame.trim())?.[1];
}

function layerError(code: ErrorCode, message: string, details: ErrorDetails): Error {
  const { path, phase, inputs } = details;
  const createdAt =
    details.layer === undefined || details.layer === null
      ? undefined
      : callerIn(creationSites.get(details.layer)?.deref()?.stack);
  const names = path.map((name) => name || '(unnamed)');
  const where = path.length > 0 ? `${names.join(' > ')} (${phase}): ` : '';
  const given = inputs.length > 0 ? ` · inputs ${inputs.join(', ')}` : '';
  const made = createdAt === undefined ? '' : ` · created at ${createdAt}`;
  return new LayerError(code, `[${code}] ${where}${message}${given}${made}`, { path, phase, inputs, createdAt });
}

/** An error of a layer, as it is below these layers, outermost first; others as they are. */
export function inLayers(error: unknown, outer: readonly string[]): unknown {
  // What a class of the program's own says stays its own.
  if (!(error instanceof LayerError) || Object.getPrototypeOf(error) !== LayerError.prototype) return error;
  const { code, phase, inputs, createdAt } = error;
  const head = `[${code}] `;
  const rest = error.message.startsWith(head) ? error.message.slice(head.length) : error.message;
  const path = [...outer, ...error.path];
  const names = outer.map((name) => name || '(unnamed)').join(' > ');
  const where = error.path.length === 0 ? `${names} (${phase}): ` : `${names} > `;
  const placed = new LayerError(code, `${head}${where}${rest}`, { path, phase, inputs, createdAt });
  if (error.stack !== undefined) placed.stack = error.stack.replace(error.message, () => placed.message);
  return placed;
}

function plainError(code: string, message: string): Error {
  switch (code) {
    case 'TypeError':
      return new TypeError(message);
    case 'InvalidArgument':
      return Object.assign(new RangeError(message), { code });
    case 'Disposed':
      return new DisposedError(message);
    default:
      return new TensorError(code as ErrorCode, message);
  }
}

/** Builds the exception for an error of the addon, which calls this. `details` are given for errors of layers. */
export function makeError(code: string, message: string, details: ErrorDetails | null): Error {
  const error = details === null ? plainError(code, message) : layerError(code as ErrorCode, message, details);
  Error.captureStackTrace(error, makeError);
  return error;
}
