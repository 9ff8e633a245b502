//! Plain networks of dense layers.
use super::{makers::LayerMaker, model};
use crate::{Mode, Shape};

model! {
    /// A multilayer perceptron: dense layers with an activation between them.
    ///
    /// The backward pass needs the activations of every layer.
    ///
    /// Formula: `y = dense(activation(dense(flatten(x))))`, with a dense layer for each of `layerWidths`.
    /// Shapes: `[batch, ...]` → `[batch, lastWidth]`; with `flatten: false` `[..., depth]` → `[..., lastWidth]`.
    /// Weights: those of a `Dense` for each of `layerWidths`.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - those of `Dense`.
    ///
    /// Source: Trax.
    /// See: `Dense`.
    /// Example:
    /// ```ts
    /// const model = tl.models.MLP({ layerWidths: [8, 2] });
    /// model.init({ shape: [1, 4, 4], dtype: 'float32' });
    /// model(tl.ones([1, 4, 4])).shape; // → [1, 2]
    /// ```
    pub struct MLPOptions for "MLP" () {
        /// Depths of the layers, first to last.
        layer_widths "layerWidths": Shape = Shape(vec![128, 64]),
        /// Makes the activation between layers.
        activation_fn "activationFn": LayerMaker = LayerMaker::Named("Relu"),
        /// Whether an activation follows the last layer too.
        out_activation "outActivation": bool = false,
        /// Whether all axes but the first become one, before everything else.
        flatten "flatten": bool = true,
        /// Changes nothing: the layers are the same in every mode.
        mode "mode": Mode = Mode::Train,
    }
    check |o| match o.layer_widths.0.contains(&0) {
        true => Err(crate::Error::option("MLP: `layerWidths` must be whole numbers of at least 1, got 0")),
        false => Ok(()),
    }
}
