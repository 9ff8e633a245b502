//! What the metrics share: checks of shapes, weighted means.
use crate::{combinators::serial_printing, framework::pure::pure_layer, Error, LayerRef, Result, TensorSpec};
use tallow_tensor::{Axes, DType, Tensor};

/// The signature of one number.
pub(super) fn number(dtype: DType) -> Vec<TensorSpec> {
    vec![TensorSpec::new([], dtype)]
}

/// Checks that a shape is the one that goes with the model's output.
pub(super) fn same_shape(what: &str, got: &[usize], expected: &[usize], because: &str) -> Result<()> {
    if got == expected {
        return Ok(());
    }
    Err(Error::shape(format!("{what} must have shape {expected:?}, that of {because}, got {got:?}")))
}

/// `Σ values · weights / Σ weights` of values and weights of one shape; NaN, as in Trax, if the weights sum to zero.
pub(super) fn weighted_mean(values: &Tensor, weights: &Tensor) -> Result<Tensor> {
    let sum = values.mul(weights)?.sum(Axes::All, false)?;
    Ok(sum.div(&weights.sum(Axes::All, false)?)?)
}

/// The dtype of `Σ values · weights / Σ weights`.
pub(super) fn weighted_mean_dtype(values: DType, weights: DType) -> DType {
    values.promote(weights).to_float()
}

/// A layer of values and weights of one shape to their weighted mean.
pub(super) fn weighted_mean_layer() -> LayerRef {
    let signature = |s: &[TensorSpec]| Ok(number(weighted_mean_dtype(s[0].dtype, s[1].dtype)));
    pure_layer("_WeightedMean", 2, 1, signature, |xs| Ok(vec![weighted_mean(&xs[0], &xs[1])?]))
}

/// Layers in series that print as one.
pub(super) fn unprinted(name: &str, layers: Vec<LayerRef>) -> LayerRef {
    serial_printing(name, layers, Vec::new())
}
