//! Predictions of categories: accuracy and cross-entropy.
use super::{
    common::{number, unprinted, weighted_mean, weighted_mean_dtype, weighted_mean_layer},
    targets::{weights_of, weights_shape, Items, Labels, LeftOut, BY_LABEL, BY_WEIGHT},
};
use crate::{
    core::{is_category, log_softmax},
    framework::pure::{pure_layer, result_dtype},
    options, AxisList, Fraction, LayerRef, Num, Result, TensorSpec, Whole,
};
use tallow_tensor::{ops, Axes, DType, Tensor};

options! {
    /// Tells how often the predicted category is right, on average over the batch.
    ///
    /// Formula: the share of items whose largest activation stands at the target; of equal ones the first counts. NaN for no items.
    /// Shapes: activations `[..., N]`, targets `[...]` or `[..., 1]` → `float32[]`.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Gradient: none.
    /// Errors:
    /// - `ShapeMismatch`: the targets have another shape than the predictions.
    /// - `IndexOutOfRange`: a target is not below `N`.
    /// - `InvalidArgument`: a target is not a whole number.
    /// Source: Trax.
    /// See: `WeightedCategoryAccuracy`.
    /// Example:
    /// ```ts
    /// const layer = tl.CategoryAccuracy();
    /// const [y, target] = [tl.tensor([[0.5, 2], [3, 0.5]]), tl.tensor([1, 1])];
    /// layer.init(tl.signature([y, target]));
    /// layer([y, target]); // → Tensor float32[] 0.5
    /// ```
    pub struct CategoryAccuracyOptions for "CategoryAccuracy" () {
        /// Target of items that do not count; `null`: all count.
        ignore_label "ignoreLabel": Option<Whole> = None,
    }
}
options! {
    /// Tells how often the predicted category is right, on average by weights.
    ///
    /// Formula: `Σ w · [argmax(activations) = target] / Σ w`. NaN for weights that sum to zero.
    /// Shapes: activations `[..., N]`, targets `[...]` or `[..., 1]`, weights that broadcast to the targets → `float32[]`.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `ShapeMismatch`: the targets have another shape than the predictions, or the weights do not broadcast to it.
    /// - `IndexOutOfRange`: a target whose weight is not zero is not below `N`.
    /// - `InvalidArgument`: a target whose weight is not zero is not a whole number.
    /// Source: Trax.
    /// See: `CategoryAccuracy`, `MaskedSequenceAccuracy`.
    /// Example:
    /// ```ts
    /// const layer = tl.WeightedCategoryAccuracy();
    /// const [y, target, w] = [tl.tensor([[0.5, 2], [3, 0.5]]), tl.tensor([1, 1]), tl.tensor([3, 1])];
    /// layer.init(tl.signature([y, target, w]));
    /// layer([y, target, w]); // → Tensor float32[] 0.75
    /// ```
    pub struct WeightedCategoryAccuracyOptions for "WeightedCategoryAccuracy" () {
        /// Target of items that do not count, whatever they weigh; `null`: all count.
        ignore_label "ignoreLabel": Option<Whole> = None,
    }
}
options! {
    /// Computes the cross-entropy between target categories and activations, on average over the batch: the loss of a classifier.
    ///
    /// Softmax and cross-entropy are one operation, which keeps no probabilities.
    ///
    /// Formula: the mean of `-Σ p · logSoftmax(activations)`, with `p = (1 - labelSmoothing) · oneHot(target) + labelSmoothing / N`.
    /// NaN for no items.
    /// Shapes: activations `[..., N]`, targets `[...]` or `[..., 1]` → `float32[]`.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `ShapeMismatch`: the targets have another shape than the predictions.
    /// - `IndexOutOfRange`: a target is not below `N`.
    /// - `InvalidArgument`: a target is not a whole number.
    /// Source: Trax.
    /// See: `WeightedCategoryCrossEntropy`, with a weight for each item.
    /// Example:
    /// ```ts
    /// const layer = tl.CategoryCrossEntropy();
    /// const [y, target] = [tl.tensor([[0.5, 2], [3, 0.5]]), tl.tensor([1, 0])];
    /// layer.init(tl.signature([y, target]));
    /// layer([y, target]); // → Tensor float32[] 0.140152
    /// ```
    pub struct CategoryCrossEntropyOptions for "CategoryCrossEntropy" () {
        /// Share of probability spread evenly over all categories, from 0 to 1; `null`: none.
        label_smoothing "labelSmoothing": Option<Fraction> = None,
        /// Target of items that do not count; `null`: all count.
        ignore_label "ignoreLabel": Option<Whole> = None,
    }
}
options! {
    /// Computes the cross-entropy between target categories and activations, on average by weights.
    ///
    /// Softmax and cross-entropy are one operation, which keeps no probabilities. Weights of 0 leave items out, such as padding.
    ///
    /// Formula: `Σ w · max(c - cutoff, 0) / Σ w`, with `c = -Σ p · logSoftmax(activations)` and
    /// `p = (1 - labelSmoothing) · oneHot(target) + labelSmoothing / N`. NaN for weights that sum to zero.
    /// Shapes: activations `[..., N]`, targets `[...]` or `[..., 1]`, weights that broadcast to the targets → `float32[]`.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `ShapeMismatch`: the targets have another shape than the predictions, or the weights do not broadcast to it.
    /// - `IndexOutOfRange`: a target whose weight is not zero is not below `N`.
    /// - `InvalidArgument`: a target whose weight is not zero is not a whole number.
    /// Source: Trax.
    /// See: `CategoryCrossEntropy`.
    /// Example:
    /// ```ts
    /// const layer = tl.WeightedCategoryCrossEntropy();
    /// const [y, target, w] = [tl.tensor([[0.5, 2], [3, 0.5]]), tl.tensor([1, 0]), tl.tensor([1, 0])];
    /// layer.init(tl.signature([y, target, w]));
    /// layer([y, target, w]); // → Tensor float32[] 0.201413
    /// ```
    pub struct WeightedCategoryCrossEntropyOptions for "WeightedCategoryCrossEntropy" () {
        /// Share of probability spread evenly over all categories, from 0 to 1; `null`: none.
        label_smoothing "labelSmoothing": Option<Fraction> = None,
        /// Loss of an item, in nats, below which it counts as 0; what is above is reduced by as much.
        cutoff "cutoff": Num = Num(0.0),
        /// Target of items that do not count, whatever they weigh; `null`: all count.
        ignore_label "ignoreLabel": Option<Whole> = None,
    }
}
options! {
    /// Computes the cross-entropy of target categories from logarithms of probabilities, on average by weights.
    ///
    /// `LogSoftmax` must come before it. Newer code uses `WeightedCategoryCrossEntropy`, which takes activations.
    ///
    /// Formula: `Σ w · (-logProb[target]) / Σ w`. NaN for weights that sum to zero.
    /// Shapes: log-probabilities `[..., N]`, targets `[...]` or `[..., 1]`, weights that broadcast to the targets → `float32[]`.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `ShapeMismatch`: the targets have another shape than the predictions, or the weights do not broadcast to it.
    /// - `IndexOutOfRange`: a target whose weight is not zero is not below `N`.
    /// - `InvalidArgument`: a target whose weight is not zero is not a whole number.
    /// Source: Trax.
    /// Example:
    /// ```ts
    /// const layer = tl.CrossEntropyLoss();
    /// const y = tl.tensor([[0.5, 2], [3, 0.5]]).logSoftmax();
    /// const [target, w] = [tl.tensor([1, 0]), tl.tensor([1, 1])];
    /// layer.init(tl.signature([y, target, w]));
    /// layer([y, target, w]); // → Tensor float32[] 0.140152
    /// ```
    pub struct CrossEntropyLossOptions for "CrossEntropyLoss" () {}
}
options! {
    /// Computes the cross-entropy of target categories from activations, on average by weights.
    ///
    /// Newer code uses `WeightedCategoryCrossEntropy`.
    ///
    /// Formula: `Σ w · (-logSoftmax(activations)[target]) / Σ w`. NaN for weights that sum to zero.
    /// Shapes: activations `[..., N]`, targets `[...]` or `[..., 1]`, weights that broadcast to the targets → `float32[]`.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - those of `CrossEntropyLoss`.
    /// Source: Trax.
    /// Example:
    /// ```ts
    /// const layer = tl.CrossEntropyLossWithLogSoftmax();
    /// const [y, target, w] = [tl.tensor([[0.5, 2], [3, 0.5]]), tl.tensor([1, 0]), tl.tensor([1, 1])];
    /// layer.init(tl.signature([y, target, w]));
    /// layer([y, target, w]); // → Tensor float32[] 0.140152
    /// ```
    pub struct CrossEntropyLossWithLogSoftmaxOptions for "CrossEntropyLossWithLogSoftmax" () {}
}
options! {
    /// Computes the cross-entropy of target categories from logarithms of probabilities, summed by weights.
    ///
    /// `LogSoftmax` must come before it.
    ///
    /// Formula: `Σ w · (-logProb[target])`.
    /// Shapes: log-probabilities `[..., N]`, targets `[...]` or `[..., 1]`, weights that broadcast to the targets → `float32[]`.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - those of `CrossEntropyLoss`.
    /// Source: Trax.
    /// Example:
    /// ```ts
    /// const layer = tl.CrossEntropySum();
    /// const y = tl.tensor([[0.5, 2], [3, 0.5]]).logSoftmax();
    /// const [target, w] = [tl.tensor([1, 0]), tl.tensor([1, 1])];
    /// layer.init(tl.signature([y, target, w]));
    /// layer([y, target, w]); // → Tensor float32[] 0.280303
    /// ```
    pub struct CrossEntropySumOptions for "CrossEntropySum" () {}
}
options! {
    /// Adds up values by weights.
    ///
    /// Formula: `Σ values · weights`.
    /// Shapes: values `[...]`, weights that broadcast to them → `[]`.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `ShapeMismatch`: the weights do not broadcast to the values, or broadcast to more than them.
    /// Source: Trax.
    /// Example:
    /// ```ts
    /// const layer = tl.WeightedSum();
    /// const [values, w] = [tl.tensor([1.5, 2]), tl.tensor([2, 1])];
    /// layer.init(tl.signature([values, w]));
    /// layer([values, w]); // → Tensor float32[] 5
    /// ```
    pub struct WeightedSumOptions for "WeightedSum" () {}
}

/// Whether predictions are right, as booleans of the shape of the labels.
pub(super) fn hits(activations: &Tensor, labels: &Labels) -> Result<Tensor> {
    Ok(activations.argmax(Some(-1), false)?.eq(&labels.places)?)
}

/// What a metric without weights leaves out: items of one label.
pub(super) fn label_left_out(ignore_label: Option<i64>) -> LeftOut<'static> {
    LeftOut { label: ignore_label, weights: None, way_out: BY_LABEL }
}

/// The share of right predictions.
pub fn category_accuracy(ignore_label: Option<i64>) -> LayerRef {
    let signature = |s: &[TensorSpec]| {
        Items::with_targets(s)?;
        Ok(number(DType::F32))
    };
    pure_layer("CategoryAccuracy", 2, 1, signature, move |xs| {
        let labels = Labels::read(&xs[1], Items::of(xs[0].shape())?, label_left_out(ignore_label))?;
        let right = hits(&xs[0], &labels)?;
        Ok(vec![match labels.weights(DType::F32)? {
            None => right.mean(Axes::All, false)?,
            Some(weights) => weighted_mean(&right, &weights)?,
        }])
    })
}

/// One weight for each item, and the labels of those that count.
pub(super) fn weighed(xs: &[Tensor], ignore_label: Option<i64>) -> Result<(Labels, Tensor)> {
    weighed_items(&xs[1], &xs[2], Items::of(xs[0].shape())?, ignore_label)
}

/// [`weighed`] of items whose outputs are not there.
pub(super) fn weighed_items(
    targets: &Tensor,
    weights: &Tensor,
    items: Items,
    ignore_label: Option<i64>,
) -> Result<(Labels, Tensor)> {
    let weights = weights_of(weights, items.shape)?;
    let left_out = LeftOut { label: ignore_label, weights: Some(&weights), way_out: BY_WEIGHT };
    let labels = Labels::read(targets, items, left_out)?;
    let weights = labels.counted(&weights)?;
    Ok((labels, weights))
}

/// The share of right predictions by weights.
pub fn weighted_category_accuracy(ignore_label: Option<i64>) -> LayerRef {
    let signature = |s: &[TensorSpec]| {
        weights_shape(&s[2].shape, Items::with_targets(s)?.shape)?;
        Ok(number(s[2].dtype.to_float()))
    };
    pure_layer("WeightedCategoryAccuracy", 3, 1, signature, move |xs| {
        let (labels, weights) = weighed(xs, ignore_label)?;
        Ok(vec![weighted_mean(&hits(&xs[0], &labels)?, &weights.cast(weights.dtype().to_float())?)?])
    })
}

/// The cross-entropy of each item, 0 for those of a label that is left out.
pub(super) fn item_losses(activations: &Tensor, labels: &Labels, smoothing: f64, cutoff: f64) -> Result<Tensor> {
    let x = activations.cast(activations.dtype().to_float())?;
    let losses = labels.counted(&ops::cross_entropy(&x, &labels.places, smoothing)?)?;
    Ok(if cutoff > 0.0 { losses.maximum_scalar(cutoff)?.add_scalar(-cutoff)? } else { losses })
}

/// The type of such losses: those of float16 and bfloat16 are float32.
pub(super) fn loss_dtype(activations: DType) -> DType {
    if activations == DType::F64 {
        DType::F64
    } else {
        DType::F32
    }
}

/// The mean cross-entropy of activations and target categories.
pub fn category_cross_entropy(label_smoothing: f64, ignore_label: Option<i64>) -> LayerRef {
    let signature = |s: &[TensorSpec]| {
        Items::with_targets(s)?;
        Ok(number(loss_dtype(s[0].dtype)))
    };
    pure_layer("CategoryCrossEntropy", 2, 1, signature, move |xs| {
        let labels = Labels::read(&xs[1], Items::of(xs[0].shape())?, label_left_out(ignore_label))?;
        let losses = item_losses(&xs[0], &labels, label_smoothing, 0.0)?;
        Ok(vec![match labels.weights(losses.dtype())? {
            None => losses.mean(Axes::All, false)?,
            Some(weights) => weighted_mean(&losses, &weights)?,
        }])
    })
}

/// The mean cross-entropy by weights.
pub fn weighted_category_cross_entropy(label_smoothing: f64, cutoff: f64, ignore_label: Option<i64>) -> LayerRef {
    let signature = |s: &[TensorSpec]| {
        weights_shape(&s[2].shape, Items::with_targets(s)?.shape)?;
        Ok(number(weighted_mean_dtype(loss_dtype(s[0].dtype), s[2].dtype)))
    };
    pure_layer("WeightedCategoryCrossEntropy", 3, 1, signature, move |xs| {
        let (labels, weights) = weighed(xs, ignore_label)?;
        Ok(vec![weighted_mean(&item_losses(&xs[0], &labels, label_smoothing, cutoff)?, &weights)?])
    })
}

/// Logarithms of probabilities at the targets, negated: what Trax computes with one-hot vectors, with a mask in their place. And one
/// weight for each.
fn cross_entropy() -> LayerRef {
    let signature = |s: &[TensorSpec]| {
        let items = Items::with_targets(s)?.shape;
        weights_shape(&s[2].shape, items)?;
        Ok(vec![TensorSpec::new(items, s[0].dtype.to_float()), s[2].with_shape(items)])
    };
    pure_layer("_CrossEntropy", 3, 2, signature, |xs| {
        let (labels, weights) = weighed(xs, None)?;
        let x = xs[0].cast(xs[0].dtype().to_float())?;
        let n = x.shape().last().copied().unwrap_or(0);
        // Chosen, not multiplied: a probability of 0 elsewhere does not make NaN of its logarithm.
        let nothing = Tensor::zeros(&[], x.dtype(), x.device())?;
        let picked = Tensor::where_(&is_category(&labels.places, n)?, &x, &nothing)?;
        Ok(vec![picked.sum(-1, false)?.neg()?, weights])
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
        weights_shape(&s[1].shape, &s[0].shape)?;
        let sum = |xs: &[Tensor]| Ok(xs[0].mul(&xs[1])?.sum(Axes::All, false)?);
        Ok(number(result_dtype(&[s[0].dtype, s[1].dtype], sum)?))
    };
    pure_layer("WeightedSum", 2, 1, signature, |xs| {
        let weights = weights_of(&xs[1], xs[0].shape())?;
        Ok(vec![xs[0].mul(&weights)?.sum(Axes::All, false)?])
    })
}
