/**
 * Errors of what stands around the step, and the options of it, as the core checks them.
 *
 * @module
 */
import { type ErrorCode, LayerError } from '../bridge/errors.js';
import { native } from '../bridge/native.js';
import { withPlain } from '../layer/construct.js';

/** The error of a loop, a task or a callback; `cause` is what it comes from. */
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

/** Whether an option is left out. */
export const isLeftOut = (x: unknown): x is null | undefined => x === null || x === undefined;

/** Options, of which none is left out. */
export type Filled<Options> = { readonly [Name in keyof Options]-?: Exclude<Options[Name], undefined> };

/** All options of a task, a loop or a callback: those given, checked, and defaults for those that are left out. */
export function filled<Options>(kind: string, given: object): Options {
  return withPlain(kind, given, (value) => native.loopOptionsOf(kind, value)) as Options;
}
