//! How well each category is predicted: counts of what was taken for what, and shares of them.
use super::{
    items::ItemOptions,
    targets::{Items, Labels},
};
use crate::{framework::pure::pure_layer, options, LayerRef, Positive, Result, TensorSpec};
use tallow_tensor::{memory, DType, Tensor};

options! {
    /// Counts how often each category was taken for each other.
    ///
    /// Formula: `c[i, j] = Σ w` over the items whose target is `i` and whose largest activation, of equal ones the first, stands at `j`.
    /// Shapes: activations `[..., N]`, targets `[...]` or `[..., 1]`, with `weighted` weights that broadcast to the targets →
    /// `float32[N, N]`: a row for each target, a column for each prediction.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Gradient: none.
    /// Errors:
    /// - `ShapeMismatch`: the targets have another shape than the predictions, or the weights do not broadcast to it.
    /// - `IndexOutOfRange`: a target that counts is not below `N`.
    /// - `InvalidArgument`: a target that counts is not a whole number.
    /// - `OutOfMemory`: memory cannot hold `N` times `N` numbers.
    /// Source: scikit-learn's `confusion_matrix`.
    /// See: `Precision`, `Recall`, `FScore`.
    /// Example:
    /// ```ts
    /// const layer = tl.ConfusionMatrix();
    /// const [y, target] = [tl.tensor([[0.5, 2], [3, 0.5], [0.5, 1]]), tl.tensor([1, 0, 0])];
    /// layer.init(tl.signature([y, target]));
    /// layer([y, target]); // → Tensor float32[2,2] [[1,1],[0,1]]
    /// ```
    pub struct ConfusionMatrixOptions for "ConfusionMatrix" () with (items: ItemOptions) {}
}
options! {
    /// Tells for each category which share of the items predicted to be of it is of it.
    ///
    /// Formula: `Σ w · [prediction = c and target = c] / Σ w · [prediction = c]` for each category `c`; 0 where that is 0/0, as for a
    /// category that is never predicted.
    /// Shapes: activations `[..., N]`, targets `[...]` or `[..., 1]`, with `weighted` weights that broadcast to the targets →
    /// `float32[N]`.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Gradient: none.
    /// Errors:
    /// - those of `Recall`.
    /// Source: scikit-learn's `precision_score` with `average=None`.
    /// See: `Recall`, `FScore`, `ConfusionMatrix`.
    /// Example:
    /// ```ts
    /// const layer = tl.Precision();
    /// const [y, target] = [tl.tensor([[0.5, 2], [3, 0.5], [0.5, 1]]), tl.tensor([1, 0, 0])];
    /// layer.init(tl.signature([y, target]));
    /// layer([y, target]); // → Tensor float32[2] [1,0.5]
    /// ```
    pub struct PrecisionOptions for "Precision" () with (items: ItemOptions) {}
}
options! {
    /// Tells for each category which share of the items of it is predicted to be of it.
    ///
    /// Formula: `Σ w · [prediction = c and target = c] / Σ w · [target = c]` for each category `c`; 0 where that is 0/0, as for a
    /// category that never occurs.
    /// Shapes: activations `[..., N]`, targets `[...]` or `[..., 1]`, with `weighted` weights that broadcast to the targets →
    /// `float32[N]`.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Gradient: none.
    /// Errors:
    /// - `ShapeMismatch`: the targets have another shape than the predictions, or the weights do not broadcast to it.
    /// - `IndexOutOfRange`: a target that counts is not below `N`.
    /// - `InvalidArgument`: a target that counts is not a whole number.
    /// Source: scikit-learn's `recall_score` with `average=None`.
    /// See: `Precision`, `FScore`, `ConfusionMatrix`.
    /// Example:
    /// ```ts
    /// const layer = tl.Recall();
    /// const [y, target] = [tl.tensor([[0.5, 2], [3, 0.5], [0.5, 1]]), tl.tensor([1, 0, 0])];
    /// layer.init(tl.signature([y, target]));
    /// layer([y, target]); // → Tensor float32[2] [0.5,1]
    /// ```
    pub struct RecallOptions for "Recall" () with (items: ItemOptions) {}
}
options! {
    /// Computes the F-score of each category: a mean of its precision and recall.
    ///
    /// Formula: `(1 + beta²) · p · r / (beta² · p + r)` for each category, with its precision `p` and recall `r`; 0 where that is 0/0.
    /// Shapes: activations `[..., N]`, targets `[...]` or `[..., 1]`, with `weighted` weights that broadcast to the targets →
    /// `float32[N]`.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Gradient: none.
    /// Errors:
    /// - those of `Recall`.
    /// Source: scikit-learn's `fbeta_score` with `average=None`.
    /// See: `Precision`, `Recall`; `MacroAveragedFScore` and `WeightedFScore`, which average over categories.
    /// Example:
    /// ```ts
    /// const layer = tl.FScore();
    /// const [y, target] = [tl.tensor([[0.5, 2], [3, 0.5], [0.5, 1]]), tl.tensor([1, 0, 0])];
    /// layer.init(tl.signature([y, target]));
    /// layer([y, target]); // → Tensor float32[2] [0.666667,0.666667]
    /// ```
    pub struct FScoreOptions for "FScore" () with (items: ItemOptions) {
        /// How many times as much recall matters as precision.
        beta "beta": Positive = Positive(1.0),
    }
}

pub(super) fn confusion_matrix(items: ItemOptions) -> LayerRef {
    counted(
        "ConfusionMatrix",
        items,
        |n| vec![n, n],
        |n, pairs| {
            let mut counts = memory::full(n.saturating_mul(n), 0.0)?;
            pairs.iter().for_each(|pair| counts[pair.target * n + pair.predicted] += pair.weight);
            Ok(counts)
        },
    )
}

pub(super) fn precision(items: ItemOptions) -> LayerRef {
    shares("Precision", items, Counts::precision)
}

pub(super) fn recall(items: ItemOptions) -> LayerRef {
    shares("Recall", items, Counts::recall)
}

pub(super) fn f_score(o: FScoreOptions) -> LayerRef {
    let beta2 = o.beta.0 * o.beta.0;
    // By counts, so that a precision and a recall of 0 need no case of their own.
    shares("FScore", o.items, move |c| ratio((1.0 + beta2) * c.correct, beta2 * c.actual + c.predicted))
}

/// The weights of the items that were predicted to be of a category, are of it, and both.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    predicted: f64,
    actual: f64,
    correct: f64,
}

impl Counts {
    fn precision(self) -> f64 {
        ratio(self.correct, self.predicted)
    }
    fn recall(self) -> f64 {
        ratio(self.correct, self.actual)
    }
}

fn ratio(part: f64, all: f64) -> f64 {
    if part == 0.0 && all == 0.0 {
        0.0
    } else {
        part / all
    }
}

/// An item: what it is, what it was taken for, and how much it counts.
struct Pair {
    target: usize,
    predicted: usize,
    weight: f64,
}

fn pairs(o: &ItemOptions, xs: &[Tensor]) -> Result<Vec<Pair>> {
    let (Labels { places, .. }, weights) = o.read(xs)?;
    let predicted = xs[0].argmax(Some(-1), false)?.to_f64_vec()?;
    let targets = places.to_f64_vec()?;
    let weights = weights.map(|w| w.to_f64_vec()).transpose()?;
    let pairs = (0..targets.len()).filter_map(|i| {
        let weight = weights.as_ref().map_or(1.0, |w| w[i]);
        // The target of what does not count may be anything.
        (weight != 0.0).then(|| Pair { target: targets[i] as usize, predicted: predicted[i] as usize, weight })
    });
    Ok(pairs.collect()) // as many as the targets, which are read already
}

/// A layer of one share for each category.
fn shares(name: &'static str, items: ItemOptions, share: impl Fn(Counts) -> f64 + Send + Sync + 'static) -> LayerRef {
    counted(
        name,
        items,
        |n| vec![n],
        move |n, pairs| {
            let mut counts = memory::full(n, Counts::default())?;
            for pair in pairs {
                counts[pair.predicted].predicted += pair.weight;
                counts[pair.target].actual += pair.weight;
                if pair.predicted == pair.target {
                    counts[pair.target].correct += pair.weight;
                }
            }
            Ok(counts.into_iter().map(&share).collect())
        },
    )
}

/// A layer that counts pairs of targets and predictions.
fn counted(
    name: &'static str,
    items: ItemOptions,
    shape: fn(usize) -> Vec<usize>,
    count: impl Fn(usize, &[Pair]) -> Result<Vec<f64>> + Send + Sync + 'static,
) -> LayerRef {
    let (arity, declared) = (items.arity(), items.clone());
    let signature = move |s: &[TensorSpec]| {
        let n = declared.check(s)?.categories;
        Ok(vec![TensorSpec::new(shape(n), DType::F32)])
    };
    pure_layer(name, arity.n_in, arity.n_out, signature, move |xs| {
        let n = Items::of(xs[0].shape())?.categories;
        let values = count(n, &pairs(&items, xs)?)?;
        Ok(vec![Tensor::from_f64(&values, &shape(n), DType::F32, xs[0].device())?])
    })
}
