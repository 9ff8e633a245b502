//! Layers around one other: what they have in common.
use crate::{composite, Base, Composite, LayerRef, Parts};

/// A layer around `inner`, under a name, with the inputs and outputs of that.
pub(super) fn around<C: Composite>(name: &str, inner: LayerRef, how: C) -> LayerRef {
    around_on(Base::new(name), inner, how)
}

/// [`around`] on a given base.
pub(super) fn around_on<C: Composite>(base: Base, inner: LayerRef, how: C) -> LayerRef {
    let arity = inner.arity();
    composite(Parts { base, layers: vec![inner], arity }, how)
}
