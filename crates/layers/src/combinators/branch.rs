//! Layers on copies of the same inputs, and residual connections made of them.
use super::{
    add, parallel, select, serial,
    serial::{as_layer, flat, serial_printing},
};
use crate::{options, LayerList, LayerNest, LayerRef, Result};

options! {
    /// Applies layers to copies of the same inputs and puts all their outputs on the stack.
    ///
    /// `null` and `[]` pass one input on; a list of layers is a `Serial`. A single layer is returned as it is.
    ///
    /// Shapes: the inputs that the layer with most inputs takes → the outputs of all layers, in order. Each layer takes its inputs from the
    /// top.
    /// Weights: `[[], [one entry for each layer]]`.
    /// State: `[[], [one entry for each layer]]`.
    /// Modes: those of the layers.
    /// Errors:
    /// - `InvalidOption`: there are no layers, or a layer takes no input.
    ///
    /// Source: Trax.
    /// See: `Parallel`, `Residual`.
    /// Example:
    /// ```ts
    /// tl.Branch(tl.Negate(), null)([1, 2]); // → [Tensor int32[2] [-1,-2], Tensor int32[2] [1,2]]
    /// ```
    pub struct BranchOptions for "Branch" () ...("layers") {
        /// Layers, `null`, or lists of layers.
        layers "layers": LayerList = LayerList::default(),
        /// Printed name.
        name "name": String = "Branch".into(),
    }
}

options! {
    /// Adds the inputs to what the layers make of them: a residual connection.
    ///
    /// Formula: `y = x + layers(x)`, or `y = shortcut(x) + layers(x)`.
    /// Shapes: those of the layers. Their output must broadcast with the input, or with the output of `shortcut`.
    /// Weights: those of `Serial(Branch(shortcut, layers), Add())`.
    /// State: those of `Serial(Branch(shortcut, layers), Add())`.
    /// Modes: those of the layers.
    /// Errors:
    /// - `InvalidOption`: the layers take no input.
    /// - `ShapeMismatch`: the two outputs do not broadcast.
    ///
    /// Source: Trax; He et al. 2015, arXiv:1512.03385.
    /// See: `ReversibleHalfResidual`.
    /// Example:
    /// ```ts
    /// tl.Residual(tl.Relu())([-1, 2]); // → Tensor int32[2] [-1,4]
    /// ```
    pub struct ResidualOptions for "Residual" () ...("layers") {
        /// Layers, applied one after another.
        layers "layers": LayerList = LayerList::default(),
        /// Layer applied to a copy of the inputs, instead of passing them on.
        shortcut "shortcut": LayerNest = LayerNest::Null,
    }
}

/// Layers on copies of the same inputs; `None` passes one input on.
///
/// # Errors
/// `InvalidOption` for a layer without inputs, or without any layers.
pub fn branch<L: Into<LayerNest>>(layers: Vec<L>) -> Result<LayerRef> {
    branch_named("Branch", layers)
}

/// [`branch`] under another printed name.
///
/// # Errors
/// Those of [`branch`].
pub fn branch_named<L: Into<LayerNest>>(name: &str, layers: Vec<L>) -> Result<LayerRef> {
    let mut shown: Vec<LayerNest> = layers.into_iter().map(Into::into).collect();
    if shown.len() == 1 {
        return as_layer(shown.remove(0));
    }
    let inner = parallel(shown.clone())?;
    let indices: Vec<usize> = inner.sublayers().iter().flat_map(|l| 0..l.arity().n_in).collect();
    Ok(serial_printing(name, vec![select(&indices, None)?, inner], shown))
}

/// `x + layers(x)`, or `shortcut(x) + layers(x)`.
///
/// # Errors
/// `InvalidOption` for layers without inputs.
pub fn residual<L: Into<LayerNest>>(layers: Vec<L>, shortcut: impl Into<LayerNest>) -> Result<LayerRef> {
    let mut layers = flat("Residual", layers.into_iter().map(Into::into).collect())?;
    let layer = if layers.len() == 1 { layers.remove(0) } else { serial(layers) };
    Ok(serial(vec![branch(vec![shortcut.into(), layer.into()])?, add()]))
}
