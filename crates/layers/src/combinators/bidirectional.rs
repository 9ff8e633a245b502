//! A sequence read in both directions.
use super::{branch, concatenate, serial};
use crate::{base::pure_layer, deep_copy, options, Axis, LayerArg, LayerNest, LayerRef, Result};
use std::sync::OnceLock;

options! {
    /// Reads a sequence forward with a layer and backward with a copy of it, and merges the two.
    ///
    /// Shapes: those of the layer, merged. Weights and state: of the layer, of the copy (its own, from another key), of the merge.
    /// Errors: those of the layers.
    pub struct BidirectionalOptions for "Bidirectional" ("forwardLayer") {
        /// Layer such as `LSTM` or `GRU`.
        forward_layer "forwardLayer": LayerArg,
        /// Time axis of the inputs.
        axis "axis": Axis = Axis(1),
        /// Layer or layers that merge the two outputs; `null` is one `Concatenate`, the same everywhere.
        merge_layer "mergeLayer": LayerNest = LayerNest::Null,
    }
}

/// A layer and, backward along `axis`, a copy of it, merged by `merge_layers` in series.
///
/// # Errors
/// `InvalidOption` for a layer without inputs.
pub fn bidirectional(forward_layer: &LayerRef, axis: isize, merge_layers: Option<Vec<LayerRef>>) -> Result<LayerRef> {
    // One instance for the process, as Trax's default argument is: it shows in trees as a shared layer does.
    static MERGE: OnceLock<LayerRef> = OnceLock::new();
    let merge = merge_layers.unwrap_or_else(|| vec![MERGE.get_or_init(|| concatenate(2, -1)).clone()]);
    let flip = pure_layer("_FlipAlongTimeAxis", 1, 1, |s| Ok(s.to_vec()), move |xs| Ok(vec![xs[0].flip(axis)?]));
    let backward = serial(vec![flip.clone(), deep_copy(forward_layer), flip]);
    Ok(serial([vec![branch(vec![forward_layer.clone(), backward])?], merge].concat()))
}
