//! Predictions of categories: accuracy and cross-entropy.
use super::common::{
    number, same_shape, unprinted, weighted_mean, weighted_mean_dtype, weighted_mean_layer, without_last,
};
use crate::{
    base::pure_layer,
    core::{is_category, log_softmax, one_hot},
    options, AxisList, Fraction, LayerRef, Num, Result, TensorSpec,
};
use tallow_tensor::{ops, Axes, DType, Tensor};

options! {
    /// Accuracy of predicted categories, averaged over the batch.
    ///
    /// Formula: the share of items whose greatest activation (the first of equal ones) stands at the target.
    /// Shapes: activations `[..., N]` and targets `[...]` to one float32 number. No weights, no state, no gradient; the same in every mode.
    /// Errors: `ShapeMismatch` when the targets have another shape than the predictions.
    pub struct CategoryAccuracyOptions for "CategoryAccuracy" () {}
}
options! {
    /// Accuracy of predicted categories, averaged over the batch by weights.
    ///
    /// Formula: `Σ w · [argmax(activations) = target] / Σ w`.
    /// Shapes: activations `[..., N]`, targets `[...]` and weights that broadcast to them, to one number. No weights of its own, no state;
    /// the same in every mode. Errors: `ShapeMismatch` when the targets have another shape than the predictions.
    pub struct WeightedCategoryAccuracyOptions for "WeightedCategoryAccuracy" () {}
}
options! {
    /// Cross-entropy between target categories and activations, averaged over the batch.
    ///
    /// Formula: the mean of `-Σ p log softmax(activations)` with `p = (1 - labelSmoothing) · oneHot(target) + labelSmoothing / N`.
    /// Softmax and cross-entropy are one operation that keeps no probabilities.
    /// Shapes: activations `[..., N]` and targets `[...]` to one number. A target that is no category contributes 0 (but for the smoothing).
    /// No weights, no state; the same in every mode. Errors: `InvalidOption` for smoothing outside 0 to 1.
    pub struct CategoryCrossEntropyOptions for "CategoryCrossEntropy" () {
        /// Share of probability spread evenly over all categories, from 0 to 1; `null`: none.
        label_smoothing "labelSmoothing": Option<Fraction> = None,
    }
}
options! {
    /// Cross-entropy between target categories and activations, averaged over the batch by weights.
    ///
    /// Formula: `Σ w · max(c - cutoff, 0) / Σ w` where `c = -Σ p log softmax(activations)` with
    /// `p = (1 - labelSmoothing) · oneHot(target) + labelSmoothing / N`. Softmax and cross-entropy are one operation that keeps no probabilities.
    /// Shapes: activations `[..., N]`, targets `[...]` and weights that broadcast to them, to one number. A target that is no category
    /// contributes 0 (but for the smoothing). No weights of its own, no state; the same in every mode.
    /// Errors: `InvalidOption` for smoothing outside 0 to 1.
    pub struct WeightedCategoryCrossEntropyOptions for "WeightedCategoryCrossEntropy" () {
        /// Share of probability spread evenly over all categories, from 0 to 1; `null`: none.
        label_smoothing "labelSmoothing": Option<Fraction> = None,
        /// Loss of an item, in nats, below which it counts as 0; what is above is reduced by as much.
        cutoff "cutoff": Num = Num(0.0),
    }
}
options! {
    /// Cross-entropy of target categories from logarithms of probabilities, averaged by weights; `LogSoftmax` must come before.
    ///
    /// Formula: `Σ w · (-logProb[target]) / Σ w`. Newer code uses `WeightedCategoryCrossEntropy`, which takes activations.
    /// Shapes: log-probabilities `[..., N]`, targets `[...]`, weights that broadcast to them, to one number. A target that is no category contributes 0.
    /// No weights of its own, no state; the same in every mode.
    pub struct CrossEntropyLossOptions for "CrossEntropyLoss" () {}
}
options! {
    /// Cross-entropy of target categories from activations, averaged by weights.
    ///
    /// Formula: `Σ w · (-logSoftmax(activations)[target]) / Σ w`.
    /// Shapes: activations `[..., N]`, targets `[...]`, weights that broadcast to them, to one number. A target that is no category contributes 0.
    /// No weights of its own, no state; the same in every mode.
    pub struct CrossEntropyLossWithLogSoftmaxOptions for "CrossEntropyLossWithLogSoftmax" () {}
}
options! {
    /// Cross-entropy of target categories from logarithms of probabilities, summed by weights; `LogSoftmax` must come before.
    ///
    /// Formula: `Σ w · (-logProb[target])`.
    /// Shapes: log-probabilities `[..., N]`, targets `[...]`, weights that broadcast to them, to one number. A target that is no category contributes 0.
    /// No weights of its own, no state; the same in every mode.
    pub struct CrossEntropySumOptions for "CrossEntropySum" () {}
}
options! {
    /// Adds up values by weights.
    ///
    /// Formula: `Σ values · weights`. Shapes: two that broadcast, to one number. No weights of its own, no state; the same in every mode.
    pub struct WeightedSumOptions for "WeightedSum" () {}
}

/// Predictions and whether they are right, as booleans.
pub(super) fn hits(activations: &Tensor, targets: &Tensor) -> Result<Tensor> {
    let predictions = activations.argmax(Some(-1), false)?;
    same_shape("targets", targets.shape(), predictions.shape(), "the predictions")?;
    Ok(predictions.eq(targets)?)
}

/// Checks targets against activations, by signature.
pub(super) fn check_targets(s: &[TensorSpec]) -> Result<()> {
    same_shape("targets", &s[1].shape, without_last(&s[0].shape)?, "the predictions")
}

/// The share of right predictions.
pub fn category_accuracy() -> LayerRef {
    let signature = |s: &[TensorSpec]| {
        check_targets(s)?;
        Ok(number(DType::F32))
    };
    pure_layer("CategoryAccuracy", 2, 1, signature, |xs| Ok(vec![hits(&xs[0], &xs[1])?.mean(Axes::All, false)?]))
}

/// The share of right predictions by weights.
pub fn weighted_category_accuracy() -> LayerRef {
    let signature = |s: &[TensorSpec]| {
        check_targets(s)?;
        s[1].broadcast(&s[2])?;
        Ok(number(s[2].dtype.to_float()))
    };
    pure_layer("WeightedCategoryAccuracy", 3, 1, signature, |xs| {
        let weights = xs[2].cast(xs[2].dtype().to_float())?;
        Ok(vec![weighted_mean(&hits(&xs[0], &xs[1])?, &weights)?])
    })
}

/// The cross-entropy of each item. Targets may be floats, and shapes may broadcast, as Trax's one-hot vectors do.
fn item_losses(activations: &Tensor, targets: &Tensor, smoothing: f64, cutoff: f64) -> Result<Tensor> {
    let lead = without_last(activations.shape())?;
    let x = activations.cast(activations.dtype().to_float())?;
    let losses = if targets.shape() == lead && !targets.dtype().is_float() && targets.dtype() != DType::Bool {
        ops::cross_entropy(&x, targets, smoothing)?
    } else {
        let n = x.shape()[x.rank() - 1];
        let p = one_hot(targets, n, x.dtype())?.mul_scalar(1.0 - smoothing)?.add_scalar(smoothing / n as f64)?;
        x.log_softmax(-1)?.mul(&p)?.sum(-1, false)?.neg()?
    };
    Ok(if cutoff > 0.0 { losses.maximum_scalar(cutoff)?.add_scalar(-cutoff)? } else { losses })
}

fn item_losses_spec(s: &[TensorSpec]) -> Result<TensorSpec> {
    let lead = s[0].with_shape(without_last(&s[0].shape)?);
    // Losses of halves are float32 where the fused operation gives them.
    let fused = lead.shape == s[1].shape && !s[1].dtype.is_float() && s[1].dtype != DType::Bool;
    let float = s[0].dtype.to_float();
    let dtype = if fused && float != DType::F64 { DType::F32 } else { float };
    Ok(TensorSpec::new(lead.broadcast(&s[1])?.shape, dtype))
}

/// The mean cross-entropy of activations and target categories.
pub fn category_cross_entropy(label_smoothing: f64) -> LayerRef {
    let signature = |s: &[TensorSpec]| Ok(number(item_losses_spec(s)?.dtype));
    pure_layer("CategoryCrossEntropy", 2, 1, signature, move |xs| {
        Ok(vec![item_losses(&xs[0], &xs[1], label_smoothing, 0.0)?.mean(Axes::All, false)?])
    })
}

/// The mean cross-entropy by weights.
pub fn weighted_category_cross_entropy(label_smoothing: f64, cutoff: f64) -> LayerRef {
    let signature = |s: &[TensorSpec]| {
        let losses = item_losses_spec(s)?;
        losses.broadcast(&s[2])?;
        Ok(number(weighted_mean_dtype(losses.dtype, s[2].dtype)))
    };
    pure_layer("WeightedCategoryCrossEntropy", 3, 1, signature, move |xs| {
        Ok(vec![weighted_mean(&item_losses(&xs[0], &xs[1], label_smoothing, cutoff)?, &xs[2])?])
    })
}

/// Logarithms of probabilities at the targets, negated: what Trax computes with one-hot vectors, with a mask in their place.
fn cross_entropy() -> LayerRef {
    let signature = |s: &[TensorSpec]| {
        let lead = s[0].with_shape(without_last(&s[0].shape)?);
        Ok(vec![TensorSpec::new(lead.broadcast(&s[1])?.shape, s[0].dtype.to_float())])
    };
    pure_layer("_CrossEntropy", 2, 1, signature, |xs| {
        let x = xs[0].cast(xs[0].dtype().to_float())?;
        let n = x.shape().last().copied().unwrap_or(0);
        // Chosen, not multiplied: a probability of 0 elsewhere does not make NaN of its logarithm.
        let nothing = Tensor::zeros(&[], x.dtype(), x.device())?;
        let picked = Tensor::where_(&is_category(&xs[1], n)?, &x, &nothing)?;
        Ok(vec![picked.sum(-1, false)?.neg()?])
    })
}

/// Cross-entropy from logarithms of probabilities, averaged by weights.
pub fn cross_entropy_loss() -> LayerRef {
    unprinted("CrossEntropyLoss", vec![cross_entropy(), weighted_mean_layer()])
}

/// Cross-entropy from activations, averaged by weights.
pub fn cross_entropy_loss_with_log_softmax() -> LayerRef {
    unprinted(
        "CrossEntropyLossWithLogSoftmax",
        vec![log_softmax(Some(AxisList(vec![-1]))), cross_entropy(), weighted_mean_layer()],
    )
}

/// Cross-entropy from logarithms of probabilities, summed by weights.
pub fn cross_entropy_sum() -> LayerRef {
    unprinted("CrossEntropySum", vec![cross_entropy(), weighted_sum()])
}

/// The sum of values times weights.
pub fn weighted_sum() -> LayerRef {
    let signature = |s: &[TensorSpec]| {
        let dtype = s[0].broadcast(&s[1])?.dtype;
        Ok(number(if matches!(dtype, DType::Bool | DType::U8) { DType::I32 } else { dtype }))
    };
    pure_layer("WeightedSum", 2, 1, signature, |xs| Ok(vec![xs[0].mul(&xs[1])?.sum(Axes::All, false)?]))
}
