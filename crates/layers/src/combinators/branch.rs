//! Layers on copies of the same inputs, and residual connections made of them.
use super::{
    add, parallel, select, serial,
    serial::{as_layer, flat, serial_printing},
};
use crate::{options, LayerList, LayerNest, LayerRef, Result};

options! {
    /// Applies layers to copies of the same inputs and puts all their outputs on the stack.
    ///
    /// `null` and `[]` pass one input on, a list is a `Serial`; a single layer is returned as it is.
    /// Shapes: each layer takes as many of the inputs as it needs, from the top; the outputs follow each other.
    /// Weights and state: `[[], [one element per layer]]`.
    /// Errors: `InvalidOption` for a layer without inputs, or without any layers.
    pub struct BranchOptions for "Branch" () ...("layers") {
        /// Layers, `null`, or lists of layers.
        layers "layers": LayerList = LayerList::default(),
        /// Printed name.
        name "name": String = "Branch".into(),
    }
}

options! {
    /// Adds the inputs to what the layers make of them: `x + layers(x)`.
    ///
    /// Shapes: the output of the layers must broadcast with the input (or with the output of `shortcut`).
    /// Weights and state: those of the layers, nested as in Trax.
    /// Errors: `ShapeMismatch` when the two do not broadcast.
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
