//! Accuracies by a classifier of one's own, and of whole sequences.
use super::{
    category::{check_targets, hits},
    common::{number, unprinted, weighted_mean_layer},
};
use crate::{base::pure_layer, core::arg_max, options, Error, LayerArg, LayerRef, TensorSpec};
use tallow_tensor::{Axes, DType};

options! {
    /// Accuracy of whole sequences, averaged over the batch; positions of weight 0 do not matter.
    ///
    /// Formula: the share of sequences whose greatest activation stands at the target in all positions of nonzero weight.
    /// Shapes: activations `[..., length, N]`, targets `[..., length]` and weights that broadcast to them, to one float32 number.
    /// No weights of its own, no state, no gradient; the same in every mode.
    /// Errors: `ShapeMismatch` when the targets have another shape than the predictions, or none has an axis of positions.
    pub struct MaskedSequenceAccuracyOptions for "MaskedSequenceAccuracy" () {}
}
options! {
    /// Accuracy of predicted categories by a classifier, averaged by weights.
    ///
    /// Formula: `Σ w · [classifier(x) = target] / Σ w`. Newer code uses `WeightedCategoryAccuracy`.
    /// Shapes: what the classifier takes, then targets and weights that broadcast with its output, to one number.
    /// Weights and state: those of the classifier; the same in every mode if the classifier is.
    pub struct AccuracyOptions for "Accuracy" () {
        /// Turns model outputs into categories.
        classifier "classifier": LayerArg = LayerArg(arg_max(Some(-1))),
    }
}
options! {
    /// Accuracy of whole sequences by a classifier, averaged over the batch; positions of weight 0 do not matter.
    ///
    /// Formula: the mean over the first axis of `1 - min(1, Σ w · [classifier(x) ≠ target])`, for weights of 0 and 1.
    /// Newer code uses `MaskedSequenceAccuracy`.
    /// Shapes: what the classifier takes, then targets and weights that broadcast with its output, to one number.
    /// Weights and state: those of the classifier; the same in every mode if the classifier is.
    pub struct SequenceAccuracyOptions for "SequenceAccuracy" () {
        /// Turns model outputs into categories.
        classifier "classifier": LayerArg = LayerArg(arg_max(Some(-1))),
    }
}

/// Accuracy of whole sequences; positions of weight 0 do not matter.
pub fn masked_sequence_accuracy() -> LayerRef {
    let signature = |s: &[TensorSpec]| {
        check_targets(s)?;
        if s[1].rank() == 0 {
            return Err(Error::shape("targets must be sequences along the last axis, got a 0-d tensor"));
        }
        s[1].broadcast(&s[2])?;
        Ok(number(DType::F32))
    };
    pure_layer("MaskedSequenceAccuracy", 3, 1, signature, |xs| {
        let padding = xs[2].eq_scalar(0)?;
        let right = hits(&xs[0], &xs[1])?.logical_or(&padding)?.all(-1, false)?;
        Ok(vec![right.mean(Axes::All, false)?])
    })
}

/// 1 where categories are equal, else 0, as float32.
fn equal() -> LayerRef {
    let signature = |s: &[TensorSpec]| Ok(vec![TensorSpec::new(s[0].broadcast(&s[1])?.shape, DType::F32)]);
    pure_layer("_Accuracy", 2, 1, signature, |xs| Ok(vec![xs[0].eq(&xs[1])?.cast(DType::F32)?]))
}

fn sequence_mean() -> LayerRef {
    let signature = |s: &[TensorSpec]| {
        let both = s[0].broadcast(&s[1])?;
        if both.rank() == 0 {
            return Err(Error::shape("sequences need an axis of items, got 0-d tensors"));
        }
        Ok(number(both.dtype.to_float()))
    };
    pure_layer("_WeightedSequenceMean", 2, 1, signature, |xs| {
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
