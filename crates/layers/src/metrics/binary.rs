//! Predictions of one of two categories.
use super::common::{number, same_shape, unprinted, weighted_mean, weighted_mean_dtype};
use crate::{base::pure_layer, metrics::weighted_sum, options, Error, LayerRef, Result, TensorSpec};
use tallow_tensor::{Axes, DType, Tensor};

options! {
    /// Cross-entropy of binary targets from activations, averaged over the batch.
    ///
    /// Formula: the mean of `-(t log q + (1 - t) log(1 - q))` with `q = sigmoid(x)`, computed as `softplus(x) - t · x`, which does not overflow.
    /// Shapes: activations and targets (0 or 1) that broadcast, to one number. No weights, no state; the same in every mode.
    pub struct BinaryCrossEntropyOptions for "BinaryCrossEntropy" () {}
}
options! {
    /// Cross-entropy of binary targets from probabilities, averaged by weights.
    ///
    /// Formula: `Σ w · c / Σ w` with `c = -(t log q + (1 - t) log(1 - q))` for probabilities `q`. (In Trax the weights cancel.)
    /// Shapes: probabilities and targets of the same shape, with or without a last axis of size 1, and one weight per item or weights
    /// that broadcast, to one number. No weights of its own, no state; the same in every mode.
    /// Errors: `ShapeMismatch` when probabilities and targets differ in shape.
    pub struct BinaryCrossEntropyLossOptions for "BinaryCrossEntropyLoss" () {}
}
options! {
    /// Mean cross-entropy of binary targets from probabilities, times the sum of the weights.
    ///
    /// Formula: `Σ w · mean(c)` with `c = -(t log q + (1 - t) log(1 - q))` for probabilities `q`, as Trax computes it.
    /// Shapes: probabilities and targets `[batch]` or `[batch, 1]`, weights of any shape, to one number. No weights of its own, no state; the same in every mode.
    /// Errors: `ShapeMismatch` when probabilities and targets differ in shape or have more than two axes.
    pub struct BinaryCrossEntropySumOptions for "BinaryCrossEntropySum" () {}
}

pub(super) fn binary_cross_entropy() -> LayerRef {
    let signature = |s: &[TensorSpec]| {
        let float = TensorSpec::new(s[0].shape.clone(), s[0].dtype.to_float());
        Ok(number(float.broadcast(&s[1])?.dtype))
    };
    pure_layer("BinaryCrossEntropy", 2, 1, signature, |xs| {
        let x = xs[0].cast(xs[0].dtype().to_float())?;
        Ok(vec![x.softplus()?.sub(&x.mul(&xs[1])?)?.mean(Axes::All, false)?])
    })
}

pub(super) fn loss() -> LayerRef {
    unprinted("BinaryCrossEntropyLoss", vec![item_losses(), item_weighted_mean()])
}

pub(super) fn sum() -> LayerRef {
    unprinted("BinaryCrossEntropySum", vec![batch_mean(), weighted_sum()])
}

/// A shape without a last axis of size 1, unless it is the only one.
fn items(shape: &[usize]) -> &[usize] {
    match shape {
        [lead @ .., 1] if !lead.is_empty() => lead,
        _ => shape,
    }
}

fn check(s: &[TensorSpec]) -> Result<DType> {
    same_shape("targets", &s[1].shape, &s[0].shape, "the model's output")?;
    Ok(s[0].dtype.promote(s[1].dtype).to_float())
}

/// `t log q` and `(1 - t) log(1 - q)`.
fn logs(q: &Tensor, t: &Tensor) -> Result<(Tensor, Tensor, Tensor, Tensor)> {
    let dtype = check(&[TensorSpec::of(q), TensorSpec::of(t)])?;
    let (q, t) = (q.cast(dtype)?, t.cast(dtype)?);
    Ok((t.clone(), q.log()?, t.rsub_scalar(1)?, q.rsub_scalar(1)?.log()?))
}

fn item_losses() -> LayerRef {
    let signature = |s: &[TensorSpec]| Ok(vec![TensorSpec::new(items(&s[0].shape), check(s)?)]);
    pure_layer("_BinaryCrossEntropy", 2, 1, signature, |xs| {
        let (t, log_q, rest, log_rest) = logs(&xs[0], &xs[1])?;
        let losses = t.mul(&log_q)?.add(&rest.mul(&log_rest)?)?.neg()?;
        Ok(vec![losses.reshape(items(losses.shape()))?])
    })
}

fn item_weighted_mean() -> LayerRef {
    let signature = |s: &[TensorSpec]| {
        s[0].broadcast(&s[1].with_shape(weights_shape(&s[0].shape, &s[1].shape)))?;
        Ok(number(weighted_mean_dtype(s[0].dtype, s[1].dtype)))
    };
    pure_layer("_WeightedMean", 2, 1, signature, |xs| {
        let losses = &xs[0];
        let weights = xs[1].reshape(weights_shape(losses.shape(), xs[1].shape()))?.broadcast_to(losses.shape())?;
        Ok(vec![weighted_mean(losses, &weights)?])
    })
}

/// Weights with the last axis of size 1 that the losses have lost, without it.
fn weights_shape<'a>(losses: &[usize], weights: &'a [usize]) -> &'a [usize] {
    if weights.len() == losses.len() + 1 {
        items(weights)
    } else {
        weights
    }
}

/// The mean over the batch as Trax computes it: a product of transposed targets and logarithms, without axes of size 1.
fn batch_mean() -> LayerRef {
    let signature = |s: &[TensorSpec]| {
        let dtype = check(s)?;
        let shape = match s[0].shape[..] {
            [_] | [_, 1] => vec![],
            [_, k] => vec![k, k],
            _ => return Err(Error::shape(format!("the model's output must have one or two axes, got {}", s[0]))),
        };
        Ok(vec![TensorSpec::new(shape, dtype)])
    };
    pure_layer("_BinaryCrossEntropy", 2, 1, signature, move |xs| {
        signature(&[TensorSpec::of(&xs[0]), TensorSpec::of(&xs[1])])?;
        let (t, log_q, rest, log_rest) = logs(&xs[0], &xs[1])?;
        let sum = t.transpose(None)?.matmul(&log_q)?.add(&rest.transpose(None)?.matmul(&log_rest)?)?;
        Ok(vec![sum.mul_scalar(-1.0 / xs[0].shape()[0] as f64)?.squeeze(Axes::All)?])
    })
}
