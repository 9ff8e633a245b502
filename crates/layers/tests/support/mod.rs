//! Reversible stacks for tests, and the same stacks run plainly.
use std::sync::Arc;
use tallow_layers::{
    combinators::serial,
    reversible::{half_residual, reversible_serial, reversible_swap},
    Arity, Base, Cx, InitCx, Layer, LayerRef, Nesting, Rebuild, Result, TensorSpec, Traits,
};
use tallow_tensor::{random::Key, Tensor};

/// A layer that is not known to be reversible, so that autodiff records what it does.
#[derive(Debug)]
struct Plain(LayerRef);

impl Layer for Plain {
    fn base(&self) -> &Base {
        self.0.base()
    }
    fn arity(&self) -> Arity {
        self.0.arity()
    }
    fn sublayers(&self) -> &[LayerRef] {
        self.0.sublayers()
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        self.0.signature(inputs)
    }
    fn init(&self, cx: &mut InitCx, inputs: &[TensorSpec], key: Key) -> Result<()> {
        self.0.init(cx, inputs, key)
    }
    fn forward(&self, cx: &mut Cx, xs: Vec<Tensor>, key: Key) -> Result<Vec<Tensor>> {
        self.0.forward(cx, xs, key)
    }
    fn rebuild(&self, r: &mut Rebuild) -> LayerRef {
        Arc::new(Self(self.0.rebuild(r)))
    }
    fn traits(&self) -> Traits {
        self.0.traits()
    }
    fn nesting(&self) -> Nesting<'_> {
        self.0.nesting()
    }
}

/// Half residuals over these layers, swapped after each: reversible, and plainly with the same weights.
pub fn stacks(blocks: impl IntoIterator<Item = Vec<LayerRef>>) -> (LayerRef, LayerRef) {
    let layers: Vec<LayerRef> =
        blocks.into_iter().flat_map(|block| [half_residual(block, None), reversible_swap()]).collect();
    (reversible_serial(layers.clone()).expect("reversible layers"), plainly(layers))
}

/// Reversible layers in a row that autodiff records, with the same weights.
pub fn plainly(layers: Vec<LayerRef>) -> LayerRef {
    serial(layers.into_iter().map(plainly_one).collect())
}

/// A reversible layer that autodiff records, with the same weights.
pub fn plainly_one(layer: LayerRef) -> LayerRef {
    Arc::new(Plain(layer))
}
