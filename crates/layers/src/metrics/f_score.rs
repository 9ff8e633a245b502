//! F-scores over categories.
use super::{
    common::number,
    targets::{Items, Labels, LeftOut},
};
use crate::{framework::pure::pure_layer, options, Count, Error, LayerRef, Num, Result, TensorSpec};
use tallow_tensor::{memory, DType, Tensor};

options! {
    /// Computes the F-score of each category, and averages it over the categories alike.
    ///
    /// Formula: the mean over categories of `(1 + beta²) · p · r / (beta² · p + r)`, with the precision `p` and the recall `r` of a
    /// category; 0 where that is 0/0.
    /// Shapes: activations `[..., N]`, targets `[...]` or `[..., 1]` → `float32[]`.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Gradient: none.
    /// Errors:
    /// - `ShapeMismatch`: the targets have another shape than the predictions, or no category counts.
    /// - `IndexOutOfRange`: a target is not below `N`.
    /// - `InvalidArgument`: a target is not a whole number.
    /// Source: Trax.
    /// See: `WeightedFScore`.
    /// Example:
    /// ```ts
    /// const layer = tl.MacroAveragedFScore();
    /// const [y, target] = [tl.tensor([[0.5, 2], [3, 0.5], [0.5, 1]]), tl.tensor([1, 0, 0])];
    /// layer.init(tl.signature([y, target]));
    /// layer([y, target]); // → Tensor float32[] 0.666667
    /// ```
    pub struct MacroAveragedFScoreOptions for "MacroAveragedFScore" () {
        /// Weight of recall against precision.
        beta "beta": Num = Num(1.0),
        /// First category that counts.
        initial_category_index "initialCategoryIndex": Count = Count(0),
    }
}
options! {
    /// Computes the F-score of each category, and averages it by how often each is a target.
    ///
    /// Formula: the weighted mean over categories of `(1 + beta²) · p · r / (beta² · p + r)`, with the precision `p` and the recall `r`
    /// of a category; 0 where that is 0/0, and where no target counts.
    /// Shapes: activations `[..., N]`, targets `[...]` or `[..., 1]` → `float32[]`.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Gradient: none.
    /// Errors:
    /// - `ShapeMismatch`: the targets have another shape than the predictions, or no category counts.
    /// - `IndexOutOfRange`: a target is not below `N`.
    /// - `InvalidArgument`: a target is not a whole number.
    /// Source: Trax.
    /// See: `MacroAveragedFScore`.
    /// Example:
    /// ```ts
    /// const layer = tl.WeightedFScore();
    /// const [y, target] = [tl.tensor([[0.5, 2], [3, 0.5], [0.5, 1]]), tl.tensor([1, 0, 0])];
    /// layer.init(tl.signature([y, target]));
    /// layer([y, target]); // → Tensor float32[] 0.666667
    /// ```
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
    let check = move |s: &[TensorSpec]| {
        let n = Items::with_targets(s)?.categories;
        if first < n {
            return Ok(());
        }
        Err(Error::shape(format!("`initialCategoryIndex` {first} leaves none of {n} categories")))
    };
    let signature = move |s: &[TensorSpec]| {
        check(s)?;
        Ok(number(DType::F32))
    };
    pure_layer(name, 2, 1, signature, move |xs| {
        check(&[TensorSpec::of(&xs[0]), TensorSpec::of(&xs[1])])?;
        Ok(vec![score(&xs[0], &xs[1], (beta * beta) as f32, first, weighted)?])
    })
}

/// How often a category was predicted, is a target, and both at once.
#[derive(Clone, Copy, Default)]
struct Counts {
    predicted: f32,
    actual: f32,
    correct: f32,
}

/// As Trax does, categories are counted over the first axis; positions of further axes have scores of their own.
fn score(activations: &Tensor, targets: &Tensor, beta2: f32, first: usize, weighted: bool) -> Result<Tensor> {
    let predictions = activations.argmax(Some(-1), false)?.to_f64_vec()?;
    let items = Items::of(activations.shape())?;
    let expected = Labels::read(targets, items, LeftOut::default())?.places.to_f64_vec()?;
    let columns: usize = items.shape.iter().skip(1).product();
    let (mut sum, mut total) = (0.0f32, 0.0f32);
    let mut counts = memory::full(items.categories, Counts::default())?;
    for column in 0..columns {
        counts.fill(Counts::default());
        for i in (column..predictions.len()).step_by(columns) {
            let (p, t) = (predictions[i], expected[i]);
            counts[p as usize].predicted += 1.0;
            counts[t as usize].actual += 1.0;
            counts[t as usize].correct += f32::from(u8::from(p == t));
        }
        for c in &counts[first..] {
            let (precision, recall) = (ratio(c.correct, c.predicted), ratio(c.correct, c.actual));
            let score = ratio((beta2 + 1.0) * (precision * recall), beta2 * precision + recall);
            let weight = if weighted { c.actual } else { 1.0 };
            sum += weight * score;
            total += weight;
        }
    }
    Ok(Tensor::scalar(ratio(sum, total)).to_device(activations.device())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(first: usize, weighted: bool, targets: Vec<f32>) -> Result<f32> {
        let categories = 3;
        // The predictions are 0, 1, 1, 2.
        let activations = vec![9., 0., 0., 0., 9., 0., 0., 9., 0., 0., 0., 9.];
        let xs = [Tensor::from_vec(activations, &[4, categories])?, Tensor::from_vec(targets, &[4])?];
        let y = crate::pure_fn(
            &f_score("F", 1.0, first, weighted),
            xs.to_vec(),
            &crate::Store::new(),
            crate::Store::new(),
            tallow_tensor::random::Key::new(0),
        )?;
        Ok(y.0[0].to_f64_vec()?[0] as f32)
    }

    #[test]
    fn scores_by_hand() {
        // Category 0: p = 1, r = 1/2; 1: p = 1/2, r = 1; 2: neither.
        let close = |a: f32, b: f32| assert!((a - b).abs() < 1e-6, "{a} is not {b}");
        let targets = || vec![0., 1., 2., 0.];
        close(run(0, false, targets()).unwrap(), 4.0 / 9.0);
        close(run(0, true, targets()).unwrap(), 1.0 / 2.0);
        close(run(1, false, targets()).unwrap(), 1.0 / 3.0);
        close(run(2, true, targets()).unwrap(), 0.0);
        for (wrong, code) in [(0.5, "InvalidArgument"), (f32::NAN, "InvalidArgument"), (-1.0, "IndexOutOfRange")] {
            assert_eq!(run(0, true, vec![0., 1., 2., wrong]).unwrap_err().code(), code);
        }
        let e = run(3, false, targets()).unwrap_err();
        assert_eq!((e.code(), e.message()), ("ShapeMismatch", "`initialCategoryIndex` 3 leaves none of 3 categories"));
    }
}
