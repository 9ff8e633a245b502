/**
 * Errors of what stands around the step, and the options of it, as the core checks them.
 *
 * @module
 */
import { native } from '../bridge/native.js';
import { withPlain } from '../layer/construct.js';

export { refusal } from '../bridge/errors.js';

/** Whether an option is left out. */
export const isLeftOut = (x: unknown): x is null | undefined => x === null || x === undefined;

/** Options, of which none is left out. */
export type Filled<Options> = { readonly [Name in keyof Options]-?: Exclude<Options[Name], undefined> };

/** All options of a task, a loop or a callback: those given, checked, and defaults for those that are left out. */
export function filled<Options>(kind: string, given: object): Options {
  return withPlain(kind, given, (value) => native.loopOptionsOf(kind, value)) as Options;
}
