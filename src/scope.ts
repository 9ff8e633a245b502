/**
 * The stack of open `tidy()` scopes. Apart from `memory.ts`, so that `tensor.ts` can register new tensors.
 *
 * @module
 */

/** What is made while a scope is open, to be disposed when it ends. */
export interface Frame {
  readonly items: Set<Disposable>;
  readonly parent: Frame | null;
}

/** The innermost open scope. */
export const scope: { frame: Frame | null } = { frame: null };
