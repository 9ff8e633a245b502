//! Accuracies by a classifier of one's own, and of whole sequences.
use super::{
    category::hits,
    common::{number, unprinted, weighted_mean_layer},
    targets::{check_whole, one_each, weights_of, weights_shape, Items, Labels, LeftOut, BY_WEIGHT},
};
use crate::{core::arg_max, framework::pure::pure_layer, options, Error, LayerArg, LayerRef, Result, TensorSpec};
use tallow_tensor::{Axes, DType};

options! {
    /// Tells how often whole sequences are predicted right, on average over the batch.
    ///
    /// Positions of weight 0 do not matter.
    ///
    /// Formula: the share of sequences whose largest activation stands at the target in all positions whose weight is not zero.
    /// Shapes: activations `[..., length, N]`, targets `[..., length]` or `[..., length, 1]`, weights that broadcast to the targets →
    /// `float32[]`.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Gradient: none.
    /// Errors:
    /// - `ShapeMismatch`: the targets have another shape than the predictions, or there is no axis of positions.
    /// - `IndexOutOfRange`: a target whose weight is not zero is not below `N`.
    /// - `InvalidArgument`: a target whose weight is not zero is not a whole number.
    /// Source: Trax.
    /// See: `WeightedCategoryAccuracy`.
    /// Example:
    /// ```ts
    /// const layer = tl.MaskedSequenceAccuracy();
    /// const [y, target, w] = [tl.tensor([[[0.5, 2], [3, 0.5]]]), tl.tensor([[1, 1]]), tl.tensor([[1, 0]])];
    /// layer.init(tl.signature([y, target, w]));
    /// layer([y, target, w]); // → Tensor float32[] 1
    /// ```
    pub struct MaskedSequenceAccuracyOptions for "MaskedSequenceAccuracy" () {}
}
options! {
    /// Tells how often the category that a classifier gives is right, on average by weights.
    ///
    /// Newer code uses `WeightedCategoryAccuracy`. A target that the classifier never gives counts as wrong.
    ///
    /// Formula: `Σ w · [classifier(x) = target] / Σ w`. NaN for weights that sum to zero.
    /// Shapes: the input of the classifier, targets of the shape of its output (or with one more axis of size 1), weights that
    /// broadcast to it → `float32[]`.
    /// Weights: those of the classifier.
    /// State: that of the classifier.
    /// Modes: those of the classifier.
    /// Errors:
    /// - `ShapeMismatch`: the shapes do not fit each other.
    /// - `InvalidArgument`: categories are integers, and a target whose weight is not zero is not a whole number.
    /// Source: Trax.
    /// Example:
    /// ```ts
    /// const layer = tl.Accuracy();
    /// const [y, target, w] = [tl.tensor([[0.5, 2], [3, 0.5]]), tl.tensor([1, 1]), tl.tensor([1, 1])];
    /// layer.init(tl.signature([y, target, w]));
    /// layer([y, target, w]); // → Tensor float32[] 0.5
    /// ```
    pub struct AccuracyOptions for "Accuracy" () {
        /// Turns model outputs into categories.
        classifier "classifier": LayerArg = LayerArg(arg_max(Some(-1))),
    }
}
options! {
    /// Tells how often a classifier gives whole sequences right, on average over the batch.
    ///
    /// Newer code uses `MaskedSequenceAccuracy`. Positions of weight 0 do not matter, and a target that the classifier never gives
    /// counts as wrong.
    ///
    /// Formula: the mean over the first axis of `1 - min(1, Σ w · [classifier(x) ≠ target])`, for weights of 0 and 1.
    /// Shapes: the input of the classifier, targets of the shape of its output (or with one more axis of size 1), weights that
    /// broadcast to it → `float32[]`.
    /// Weights: those of the classifier.
    /// State: that of the classifier.
    /// Modes: those of the classifier.
    /// Errors:
    /// - `ShapeMismatch`: the shapes do not fit each other.
    /// - `InvalidArgument`: categories are integers, and a target whose weight is not zero is not a whole number.
    /// Source: Trax.
    /// Example:
    /// ```ts
    /// const layer = tl.SequenceAccuracy();
    /// const [y, target, w] = [tl.tensor([[[0.5, 2], [3, 0.5]]]), tl.tensor([[1, 1]]), tl.tensor([[1, 0]])];
    /// layer.init(tl.signature([y, target, w]));
    /// layer([y, target, w]); // → Tensor float32[] 1
    /// ```
    pub struct SequenceAccuracyOptions for "SequenceAccuracy" () {
        /// Turns model outputs into categories.
        classifier "classifier": LayerArg = LayerArg(arg_max(Some(-1))),
    }
}

/// Accuracy of whole sequences; positions of weight 0 do not matter.
pub fn masked_sequence_accuracy() -> LayerRef {
    let signature = |s: &[TensorSpec]| {
        let items = sequences(s)?;
        weights_shape(&s[2].shape, items.shape)?;
        Ok(number(DType::F32))
    };
    pure_layer("MaskedSequenceAccuracy", 3, 1, signature, |xs| {
        let specs = [TensorSpec::of(&xs[0]), TensorSpec::of(&xs[1])];
        let items = sequences(&specs)?;
        let weights = weights_of(&xs[2].detach(), items.shape)?;
        let left_out = LeftOut { weights: Some(&weights), way_out: BY_WEIGHT, ..LeftOut::default() };
        let right = hits(&xs[0], &Labels::read(&xs[1], items, left_out)?)?;
        let right = right.logical_or(&weights.cast(DType::Bool)?.logical_not()?)?.all(-1, false)?;
        Ok(vec![right.mean(Axes::All, false)?])
    })
}

/// Outputs and targets that are sequences.
fn sequences(s: &[TensorSpec]) -> Result<Items<'_>> {
    let items = Items::with_targets(s)?;
    if items.shape.is_empty() {
        return Err(Error::shape("targets must be sequences along the last axis, got a 0-d tensor"));
    }
    Ok(items)
}

/// 1 where categories are equal, else 0, as float32; and one weight for each.
fn equal() -> LayerRef {
    let signature = |s: &[TensorSpec]| {
        one_each("targets", &s[1].shape, &s[0].shape, "the predictions")?;
        weights_shape(&s[2].shape, &s[0].shape)?;
        Ok(vec![TensorSpec::new(s[0].shape.clone(), DType::F32), s[2].with_shape(s[0].shape.clone())])
    };
    pure_layer("_Accuracy", 3, 2, signature, |xs| {
        let items = xs[0].shape();
        let targets = xs[1].detach().reshape(one_each("targets", xs[1].shape(), items, "the predictions")?)?;
        let weights = weights_of(&xs[2], items)?;
        if !xs[0].dtype().is_float() {
            check_whole(&targets, &weights)?;
        }
        Ok(vec![xs[0].eq(&targets)?.cast(DType::F32)?, weights])
    })
}

fn sequence_mean() -> LayerRef {
    let check = |rank: usize| match rank {
        0 => Err(Error::shape("sequences need an axis of items, got 0-d tensors")),
        _ => Ok(()),
    };
    let signature = move |s: &[TensorSpec]| {
        check(s[0].rank())?;
        Ok(number(s[0].dtype.promote(s[1].dtype).to_float()))
    };
    pure_layer("_WeightedSequenceMean", 2, 1, signature, move |xs| {
        check(xs[0].rank())?;
        let wrong = xs[0].rsub_scalar(1.0)?.mul(&xs[1])?;
        let positions: Vec<isize> = (1..wrong.rank() as isize).collect();
        let wrong = if positions.is_empty() { wrong } else { wrong.sum(&positions[..], false)? };
        Ok(vec![wrong.minimum_scalar(1.0)?.rsub_scalar(1.0)?.mean(Axes::All, false)?])
    })
}

/// Accuracy by a classifier, averaged by weights.
pub fn accuracy(classifier: LayerRef) -> LayerRef {
    unprinted("Accuracy", vec![classifier, equal(), weighted_mean_layer()])
}

/// Accuracy of whole sequences by a classifier.
pub fn sequence_accuracy(classifier: LayerRef) -> LayerRef {
    unprinted("SequenceAccuracy", vec![classifier, equal(), sequence_mean()])
}
