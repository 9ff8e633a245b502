/**
 * The stack of open `tidy()` scopes. Apart from `memory.ts`, so that `tensor.ts` can register new tensors.
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

/** How scopes end the layers made in them; `layer.ts` sets it, since layers are built on this module. */
export const scopedLayers: {
  /** Whether `x` is a layer. */
  isLayer: (x: unknown) => x is Disposable;
  /** Whether `x` may refer to layers that nothing can see from outside, as functions do. */
  mayRefer: (x: unknown) => boolean;
  /** Disposes those of `made` that nothing else runs; gives the others. */
  end: (made: readonly Disposable[]) => Disposable[];
} = { isLayer: (_x): _x is Disposable => false, mayRefer: () => false, end: (made) => [...made] };
