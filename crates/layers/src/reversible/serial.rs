//! Reversible layers one after another.
use crate::{
    combinators::{flat, Stack},
    framework::reversal::check_reversible,
    options, Base, LayerList, LayerRef, Phase, Result,
};

options! {
    /// Applies reversible layers one after another and keeps only the outputs for the backward pass, so that depth costs no memory.
    ///
    /// A layer is reversible if its inputs follow from its outputs. The backward pass goes from the last layer to the first and computes the
    /// activations between them again, with the dropout of the forward pass and the state that each call began with. It costs about one more
    /// forward pass. Gradients are those of `Serial` but for rounding.
    ///
    /// Shapes: what the first layers take from the stack → what is on it after the last. Further inputs stay behind the outputs.
    /// Weights: a list with one entry for each layer.
    /// State: a list with one entry for each layer.
    /// Modes: those of the layers.
    /// Gradient: none flows through the state.
    /// Errors:
    /// - `InvalidOption`: a layer is not reversible, or `null` stands among other layers.
    /// - `ArityMismatch`: there are fewer inputs than the layers take.
    ///
    /// Source: Trax; Gomez et al. 2017, arXiv:1707.04585.
    /// See: `ReversibleHalfResidual`, `Serial`.
    /// Example:
    /// ```ts
    /// const block = () => [tl.ReversibleHalfResidual(tl.Dense(4), tl.Tanh()), tl.ReversibleSwap()];
    /// const model = tl.Serial(tl.Dup(), tl.ReversibleSerial(block(), block()), tl.Concatenate());
    /// model.init({ shape: [2, 4], dtype: 'float32' });
    /// [model(tl.ones([2, 4]))].flat().map((y) => y.shape); // → [[2, 8]]
    /// ```
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
            let within = |e: crate::Error, base: &Base| base.within(e, Phase::Build, Vec::new);
            within(within(e.about(&format!("sublayer {i}")), layer.base()), &base)
        })?;
    }
    Ok(Stack { reversible: true }.of(base, layers))
}
