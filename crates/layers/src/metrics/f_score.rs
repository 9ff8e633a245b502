//! F-scores over categories.
use super::{category::check_targets, common::number};
use crate::{base::pure_layer, options, Count, LayerRef, Num, Result, TensorSpec};
use tallow_tensor::{DType, Tensor};

options! {
    /// F-score of each category, averaged over categories alike.
    ///
    /// Formula: the mean of `(1 + beta²) · p · r / (beta² · p + r)` with the precision `p` and recall `r` of a category; 0 where that is 0/0.
    /// Shapes: activations `[..., N]` and targets `[...]` to one float32 number. No weights, no state, no gradient; the same in every mode.
    /// Errors: `ShapeMismatch` when the targets have another shape than the predictions.
    pub struct MacroAveragedFScoreOptions for "MacroAveragedFScore" () {
        /// Weight of recall against precision.
        beta "beta": Num = Num(1.0),
        /// First category that counts.
        initial_category_index "initialCategoryIndex": Count = Count(0),
    }
}
options! {
    /// F-score of each category, averaged by how often it is a target.
    ///
    /// Formula: the weighted mean of `(1 + beta²) · p · r / (beta² · p + r)` with the precision `p` and recall `r` of a category; 0 where that is 0/0.
    /// Shapes: activations `[..., N]` and targets `[...]` to one float32 number. No weights, no state, no gradient; the same in every mode.
    /// Errors: `ShapeMismatch` when the targets have another shape than the predictions.
    pub struct WeightedFScoreOptions for "WeightedFScore" () {
        /// Weight of recall against precision.
        beta "beta": Num = Num(1.0),
        /// First category that counts.
        initial_category_index "initialCategoryIndex": Count = Count(0),
    }
}

fn ratio(a: f32, b: f32) -> f32 {
    let r = a / b;
    if r.is_nan() {
        0.0
    } else {
        r
    }
}

pub(super) fn f_score(name: &'static str, beta: f64, first: usize, weighted: bool) -> LayerRef {
    let signature = |s: &[TensorSpec]| {
        check_targets(s)?;
        Ok(number(DType::F32))
    };
    pure_layer(name, 2, 1, signature, move |xs| {
        check_targets(&[TensorSpec::of(&xs[0]), TensorSpec::of(&xs[1])])?;
        Ok(vec![score(&xs[0], &xs[1], (beta * beta) as f32, first, weighted)?])
    })
}

/// As Trax does, categories are counted over the first axis; positions of further axes have scores of their own.
fn score(activations: &Tensor, targets: &Tensor, beta2: f32, first: usize, weighted: bool) -> Result<Tensor> {
    let predictions = activations.argmax(Some(-1), false)?.to_f64_vec()?;
    let expected = targets.to_f64_vec()?;
    let categories = activations.shape()[activations.rank() - 1];
    let columns: usize = targets.shape().iter().skip(1).product();
    let (mut sum, mut total) = (0.0f32, 0.0f32);
    for k in first..categories {
        let k = k as f64;
        for column in 0..columns {
            let (mut correct, mut predicted, mut actual) = (0.0f32, 0.0f32, 0.0f32);
            for i in (column..predictions.len()).step_by(columns) {
                let (p, t) = (predictions[i] == k, expected[i] == k);
                correct += f32::from(u8::from(p && t));
                predicted += f32::from(u8::from(p));
                actual += f32::from(u8::from(t));
            }
            let (precision, recall) = (ratio(correct, predicted), ratio(correct, actual));
            let score = ratio((beta2 + 1.0) * (precision * recall), beta2 * precision + recall);
            let weight = if weighted { actual } else { 1.0 };
            sum += weight * score;
            total += weight;
        }
    }
    Ok(Tensor::scalar(sum / total).to_device(activations.device())?)
}
