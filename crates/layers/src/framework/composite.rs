//! Layers made of others: what combinators have in common.
use crate::{
    framework::{
        context::Reversal,
        layer::{Nesting, Reversible},
        stack::deep,
    },
    Arity, Base, Cx, ErrorKind, InitCx, Layer, LayerId, LayerRef, Mode, Rebuild, Result, TensorSpec, Traits,
};
use std::{fmt::Debug, sync::Arc};
use tallow_tensor::{random::Key, Tensor};

/// What a layer made of others is made of.
#[derive(Debug)]
pub struct Parts {
    /// Identity, name, slot.
    pub base: Base,
    /// The layers it runs.
    pub layers: Vec<LayerRef>,
    /// Inputs and outputs.
    pub arity: Arity,
}

impl Parts {
    /// The identity of the layer itself, which its own state is kept by.
    pub fn id(&self) -> LayerId {
        self.base.id
    }
    /// The same parts in another mode, or as deep copies.
    pub fn rebuilt(&self, r: &mut Rebuild) -> Self {
        Self { base: self.base.rebuilt(r), layers: r.layers(&self.layers), arity: self.arity }
    }
}

/// Whoever lets go of a layer last, and wherever that is, there is room to drop what lies deep in it.
impl Drop for Parts {
    fn drop(&mut self) {
        let layers = std::mem::take(&mut self.layers);
        if !layers.is_empty() {
            deep(|| drop(layers));
        }
    }
}

/// What a layer does with the layers it is made of; [`composite`] makes a [`Layer`] of it.
///
/// Parts run only through [`Cx::apply`] and are initialized only through [`InitCx::init`]. What is said there of who checks what holds here.
pub trait Composite: Debug + Clone + Send + Sync + 'static {
    /// Signatures of the outputs.
    ///
    /// # Errors
    /// Inputs the layer does not take.
    fn signature(&self, parts: &Parts, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>>;
    /// Makes weights and state of the parts.
    ///
    /// # Errors
    /// Inputs the layer does not take.
    fn init(&self, parts: &Parts, cx: &mut InitCx, inputs: &[TensorSpec]) -> Result<()>;
    /// Computes outputs.
    ///
    /// # Errors
    /// Inputs or weights that do not fit.
    fn forward(&self, parts: &Parts, cx: &mut Cx, xs: Vec<Tensor>, key: Key) -> Result<Vec<Tensor>>;
    /// Where its mode stands, if it has one: a copy in another mode differs there, and in its parts.
    fn mode(&mut self) -> Option<&mut Mode> {
        None
    }
    /// What it is itself, its parts left out.
    fn traits(&self) -> Traits {
        Traits::COMPOSITE
    }
    /// How weights and state lie in Trax's nesting.
    fn nesting(&self) -> Nesting<'_> {
        Nesting::Plain
    }
    /// How it runs backwards, if it can.
    fn reversal(&self) -> Option<&dyn ReverseParts> {
        None
    }
    /// The layer in another mode, or as a deep copy.
    fn rebuild(&self, parts: &Parts, r: &mut Rebuild) -> LayerRef {
        let mut how = self.clone();
        if let (Some(mode), Some(place)) = (r.mode, how.mode()) {
            *place = mode;
        }
        composite(parts.rebuilt(r), how)
    }
}

/// A layer made of others whose inputs follow from its outputs.
pub trait ReverseParts: Debug {
    /// See [`Reversible::reverse`].
    ///
    /// # Errors
    /// Outputs that do not fit.
    fn reverse(&self, parts: &Parts, r: &mut Reversal, ys: Vec<Tensor>, key: Key) -> Result<Vec<Tensor>>;
    /// See [`Reversible::reverse_and_grad`].
    ///
    /// # Errors
    /// Outputs that do not fit.
    fn reverse_and_grad(
        &self,
        parts: &Parts,
        r: &mut Reversal,
        ys: Vec<Tensor>,
        cts: Vec<Option<Tensor>>,
        key: Key,
    ) -> Result<(Vec<Tensor>, Vec<Option<Tensor>>)>;
    /// Whether all it does is to run its layers one after another on the stack.
    fn is_chain(&self) -> bool {
        false
    }
}

/// Makes a layer of its parts and what it does with them.
pub fn composite<C: Composite>(parts: Parts, how: C) -> LayerRef {
    Arc::new(CompositeLayer { parts, how })
}

#[derive(Debug)]
struct CompositeLayer<C> {
    parts: Parts,
    how: C,
}

impl<C: Composite> Layer for CompositeLayer<C> {
    fn base(&self) -> &Base {
        &self.parts.base
    }
    fn arity(&self) -> Arity {
        self.parts.arity
    }
    fn sublayers(&self) -> &[LayerRef] {
        &self.parts.layers
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        self.how.signature(&self.parts, inputs)
    }
    fn init(&self, cx: &mut InitCx, inputs: &[TensorSpec], _key: Key) -> Result<()> {
        self.how.init(&self.parts, cx, inputs)
    }
    fn forward(&self, cx: &mut Cx, xs: Vec<Tensor>, key: Key) -> Result<Vec<Tensor>> {
        self.how.forward(&self.parts, cx, xs, key)
    }
    fn rebuild(&self, r: &mut Rebuild) -> LayerRef {
        self.how.rebuild(&self.parts, r)
    }
    fn traits(&self) -> Traits {
        self.how.traits()
    }
    fn nesting(&self) -> Nesting<'_> {
        self.how.nesting()
    }
    fn reversible(&self) -> Option<&dyn Reversible> {
        self.how.reversal().map(|_| self as &dyn Reversible)
    }
}

impl<C: Composite> CompositeLayer<C> {
    fn reversal(&self) -> Result<&dyn ReverseParts> {
        self.how.reversal().ok_or_else(|| crate::Error::new(ErrorKind::Internal, "this layer is not reversible"))
    }
}

impl<C: Composite> Reversible for CompositeLayer<C> {
    fn reverse(&self, r: &mut Reversal, ys: Vec<Tensor>, key: Key) -> Result<Vec<Tensor>> {
        self.reversal()?.reverse(&self.parts, r, ys, key)
    }
    fn reverse_and_grad(
        &self,
        r: &mut Reversal,
        ys: Vec<Tensor>,
        cts: Vec<Option<Tensor>>,
        key: Key,
    ) -> Result<(Vec<Tensor>, Vec<Option<Tensor>>)> {
        self.reversal()?.reverse_and_grad(&self.parts, r, ys, cts, key)
    }
    fn chain(&self) -> Option<&[LayerRef]> {
        self.how.reversal().filter(|how| how.is_chain()).map(|_| &self.parts.layers[..])
    }
}
