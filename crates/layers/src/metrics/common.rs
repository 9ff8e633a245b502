//! What the metrics share: checks of shapes, weighted means.
use crate::{base::pure_layer, combinators::serial_printing, Error, LayerRef, Result, TensorSpec};
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

/// The shape of a batch of categories that vectors of this shape predict.
pub(super) fn without_last(shape: &[usize]) -> Result<&[usize]> {
    match shape {
        [] => Err(Error::shape("model outputs must be vectors along the last axis, got a 0-d tensor")),
        [lead @ .., _] => Ok(lead),
    }
}

/// What a weighted metric is divided by: the sum of the weights.
pub(super) fn total_weight(weights: &Tensor) -> Result<Tensor> {
    Ok(weights.sum(Axes::All, false)?)
}

/// `Σ values · weights / Σ weights`.
pub(super) fn weighted_mean(values: &Tensor, weights: &Tensor) -> Result<Tensor> {
    let sum = values.mul(weights)?.sum(Axes::All, false)?;
    Ok(sum.div(&total_weight(weights)?)?)
}

/// The dtype of `Σ values · weights / Σ weights`.
pub(super) fn weighted_mean_dtype(values: DType, weights: DType) -> DType {
    values.promote(weights).to_float()
}

/// A layer of values and weights to their weighted mean.
pub(super) fn weighted_mean_layer() -> LayerRef {
    let signature = |s: &[TensorSpec]| {
        s[0].broadcast(&s[1])?;
        Ok(number(weighted_mean_dtype(s[0].dtype, s[1].dtype)))
    };
    pure_layer("_WeightedMean", 2, 1, signature, |xs| Ok(vec![weighted_mean(&xs[0], &xs[1])?]))
}

/// Layers in series that print as one.
pub(super) fn unprinted(name: &str, layers: Vec<LayerRef>) -> LayerRef {
    serial_printing(name, layers, Vec::new())
}
