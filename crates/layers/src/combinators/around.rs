//! Layers around one other: what they have in common.
use crate::{
    stack::deep, Arity, Base, Cx, InitCx, Layer, LayerId, LayerRef, Loader, Mode, Rebuild, Result, TensorSpec, Tree,
    View,
};
use std::{fmt::Debug, sync::Arc};
use tallow_tensor::{random::Key, Tensor};

/// Where a layer's own state stands beside that of the layer inside.
#[derive(Clone, Copy)]
pub(super) enum OwnState {
    /// It has none: the state is `[the layer's]`.
    None,
    /// `[own, the layer's]`.
    First,
    /// `[the layer's, own]`.
    Last,
}

/// What a layer around one other adds to it; [`around`] makes a [`Layer`] of it, with the inputs and outputs of the one inside.
pub(super) trait Around: Debug + Clone + Send + Sync + 'static {
    /// Where its own state stands.
    const STATE: OwnState = OwnState::None;
    /// Signatures of what the layer inside is given.
    fn inside(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>>;
    /// Signatures of the outputs; `own` is the layer's identity.
    fn signature(&self, inner: &LayerRef, own: LayerId, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>>;
    /// Outputs; own weights and state are those of `own`.
    fn forward(&self, inner: &LayerRef, own: LayerId, cx: &mut Cx, xs: Vec<Tensor>, key: Key) -> Result<Vec<Tensor>>;
    /// The same in another mode.
    #[must_use]
    fn with_mode(&self, mode: Mode) -> Self {
        let _ = mode;
        self.clone()
    }
    /// Whether a call goes on where the one before ended, whatever the layer inside does; see [`Layer::goes_on`].
    fn goes_on(&self) -> bool {
        false
    }
    /// The layer built anew, on `base`.
    fn rebuild(&self, base: Base, inner: &LayerRef, r: &mut Rebuild) -> LayerRef {
        let how = r.mode.map_or_else(|| self.clone(), |m| self.with_mode(m));
        around_on(base, r.layer(inner), how)
    }
}

/// A layer around `inner`, under a name.
pub(super) fn around<A: Around>(name: &str, inner: LayerRef, how: A) -> LayerRef {
    around_on(Base::new(name), inner, how)
}

/// [`around`] on a given base.
pub(super) fn around_on<A: Around>(base: Base, inner: LayerRef, how: A) -> LayerRef {
    Arc::new(AroundLayer { base, inner: [inner], how })
}

#[derive(Debug)]
struct AroundLayer<A> {
    base: Base,
    inner: [LayerRef; 1],
    how: A,
}

impl<A: Around> Layer for AroundLayer<A> {
    fn base(&self) -> &Base {
        &self.base
    }
    fn arity(&self) -> Arity {
        self.inner[0].arity()
    }
    fn sublayers(&self) -> &[LayerRef] {
        &self.inner
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        self.how.signature(&self.inner[0], self.base.id, inputs)
    }
    fn init(&self, cx: &mut InitCx, inputs: &[TensorSpec], _key: Key) -> Result<()> {
        cx.init(&self.inner[0], &self.how.inside(inputs)?)
    }
    fn forward(&self, cx: &mut Cx, xs: Vec<Tensor>, key: Key) -> Result<Vec<Tensor>> {
        self.how.forward(&self.inner[0], self.base.id, cx, xs, key)
    }
    fn rebuild(&self, r: &mut Rebuild) -> LayerRef {
        let base = self.base.rebuilt(r);
        self.how.rebuild(base, &self.inner[0], r)
    }
    fn goes_on(&self) -> bool {
        self.how.goes_on() || deep(|| self.inner[0].goes_on())
    }
    fn view_state(&self, v: &mut View) -> Tree<Tensor> {
        let own = v.own(self.base.id);
        let inner = v.state_of(&self.inner[0]);
        Tree::Tuple(match A::STATE {
            OwnState::None => vec![inner],
            OwnState::First => vec![own, inner],
            OwnState::Last => vec![inner, own],
        })
    }
    fn load_state(&self, tree: &Tree<Tensor>, l: &mut Loader) -> Result<()> {
        let (own, inner) = match A::STATE {
            OwnState::None => return l.each(&self.base, tree, &self.inner, Loader::state_of),
            OwnState::First => l.pair(&self.base, tree)?.into(),
            OwnState::Last => {
                let [inner, own] = l.pair(&self.base, tree)?;
                (own, inner)
            }
        };
        l.own(self.base.id, own)?;
        l.state_of(&self.inner[0], inner)
    }
}
