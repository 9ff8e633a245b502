//! Reversible layers one after another.
use crate::{
    combinators::{flat, Stack},
    framework::reversal::check_reversible,
    options, Base, LayerList, LayerRef, Phase, Result,
};

options! {
    /// Applies reversible layers one after another, over a stack, and keeps nothing but the outputs for the backward pass.
    ///
    /// Like `Serial` in outputs, weights, state and keys. Its backward pass computes the activations between the layers anew, from
    /// the last to the first, with the dropout of the forward pass and the state each call began with; gradients are those of
    /// `Serial` but for rounding. It costs about one more forward pass. State is a constant to gradients.
    /// Shapes: `nIn` is what the layers need of the stack below them, `nOut` what they leave; further inputs stay behind the outputs.
    /// Weights and state: one element per layer. Memory for activations does not grow with the number of layers.
    /// Errors: `InvalidOption` for a layer that is not reversible; `ArityMismatch` for too few inputs.
    /// Source: Gomez et al. 2017, arXiv:1707.04585.
    pub struct ReversibleSerialOptions for "ReversibleSerial" () ...("sublayers") {
        /// Reversible layers, or nested lists of them.
        sublayers "sublayers": LayerList = LayerList::default(),
    }
}

pub(super) fn build(o: ReversibleSerialOptions) -> Result<LayerRef> {
    reversible_serial(flat("ReversibleSerial", o.sublayers.0)?)
}

/// Reversible layers one after another.
///
/// # Errors
/// `InvalidOption`, with the path to it, for a layer that is not reversible.
pub fn reversible_serial(layers: Vec<LayerRef>) -> Result<LayerRef> {
    let base = Base::new("ReversibleSerial");
    for (i, layer) in layers.iter().enumerate() {
        check_reversible(layer).map_err(|e| {
            let within = |e: crate::Error, base: &Base| e.within(&base.name, base.id, Phase::Build, Vec::new);
            within(within(e.about(&format!("sublayer {i}")), layer.base()), &base)
        })?;
    }
    Ok(Stack { reversible: true }.of(base, layers))
}
