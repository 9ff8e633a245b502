//! A sequence read in both directions.
use super::{branch, concatenate, serial};
use crate::{
    composite, deep_copy, framework::pure::pure_layer, options, Arity, Axis, Base, Composite, Cx, Error, InitCx,
    LayerArg, LayerNest, LayerRef, Parts, Result, TensorSpec, Traits,
};
use std::sync::OnceLock;
use tallow_tensor::{random::Key, Tensor};

options! {
    /// Reads a sequence forward with a layer and backward with a copy of it, and merges the two.
    ///
    /// The copy has weights of its own, drawn with another key.
    ///
    /// Shapes: those of the layer, merged: by default `[batch, length, depth]` → `[batch, length, 2 · depth]`.
    /// Weights: those of `Serial(Branch(forwardLayer, backward), merge)`.
    /// State: those of `Serial(Branch(forwardLayer, backward), merge)`.
    /// Modes: those of the layer, but `'predict'` is refused for layers that go on where the last call ended.
    /// Errors:
    /// - those of the layers.
    /// - `InvalidOption`: the layer is in mode `'predict'`, where the end of the sequence has not come yet.
    ///
    /// Source: Trax.
    /// See: `LSTM`, `GRU`.
    /// Example:
    /// ```ts
    /// const layer = tl.Bidirectional(tl.GRU(4));
    /// layer.init({ shape: [2, 5, 4], dtype: 'float32' });
    /// layer(tl.ones([2, 5, 4])).shape; // → [2, 5, 8]
    /// ```
    pub struct BidirectionalOptions for "Bidirectional" ("forwardLayer") {
        /// Layer such as `LSTM` or `GRU`.
        forward_layer "forwardLayer": LayerArg,
        /// Time axis of the inputs.
        axis "axis": Axis = Axis(1),
        /// Layer or layers that merge the two outputs; `null` is `Concatenate`.
        merge_layer "mergeLayer": LayerNest = LayerNest::Null,
    }
}

/// A layer and, backward along `axis`, a copy of it, merged by `merge_layers` in series.
///
/// # Errors
/// `InvalidOption` for a layer without inputs, or one in mode `'predict'`.
pub fn bidirectional(forward_layer: &LayerRef, axis: isize, merge_layers: Option<Vec<LayerRef>>) -> Result<LayerRef> {
    // One instance for the process, as Trax's default argument is: it shows in trees as a shared layer does.
    static MERGE: OnceLock<LayerRef> = OnceLock::new();
    check(forward_layer)?;
    let merge = merge_layers.unwrap_or_else(|| vec![MERGE.get_or_init(|| concatenate(2, -1)).clone()]);
    let along = move |s: &[TensorSpec]| s[0].axis(axis).map(|_| s.to_vec());
    let flip = pure_layer("_FlipAlongTimeAxis", 1, 1, along, move |xs| Ok(vec![xs[0].flip(axis)?]));
    let layers = vec![flip.clone(), deep_copy(forward_layer), flip];
    let backward = composite(Parts { base: Base::new("Serial"), arity: Arity::of_stack(&layers), layers }, Backward);
    Ok(serial([vec![branch(vec![forward_layer.clone(), backward])?], merge].concat()))
}

/// Refuses a layer that goes on where its last call ended: backward a sequence is read from its end, which has not come yet.
fn check(layer: &LayerRef) -> Result<()> {
    if !layer.goes_on() {
        return Ok(());
    }
    let name = &layer.base().name;
    Err(Error::option(format!(
        "Bidirectional: {name} in mode 'predict' goes on where the last call ended, but backward a sequence is read from its end; use mode 'eval' on whole sequences"
    )))
}

/// Flips, reads and flips again.
#[derive(Debug, Clone)]
struct Backward;

impl Composite for Backward {
    fn signature(&self, parts: &Parts, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        check(&parts.layers[1])?;
        crate::stack_signature(&parts.layers, inputs)
    }
    fn init(&self, parts: &Parts, cx: &mut InitCx, inputs: &[TensorSpec]) -> Result<()> {
        check(&parts.layers[1])?;
        cx.init_stack(&parts.layers, inputs).map(drop)
    }
    fn forward(&self, parts: &Parts, cx: &mut Cx, xs: Vec<Tensor>, key: Key) -> Result<Vec<Tensor>> {
        check(&parts.layers[1])?;
        cx.apply_stack(&parts.layers, xs, key)
    }
    fn traits(&self) -> Traits {
        Traits::ON_STACK
    }
}
