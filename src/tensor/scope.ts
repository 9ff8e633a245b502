/**
 * The stack of open `tidy()` scopes, in which tensors and layers register themselves.
 *
 * @module
 */

/** What is made while a scope is open, to be disposed when it ends. */
export interface Frame {
  readonly items: Set<Disposable>;
  /** Layers; `null` where they are none of the scope's business, as within a function that the addon calls, which may keep those it makes. */
  readonly layers: Set<Disposable> | null;
  readonly parent: Frame | null;
}

/** The innermost open scope. */
export const scope: { frame: Frame | null } = { frame: null };
