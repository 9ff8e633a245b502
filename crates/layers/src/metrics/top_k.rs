//! How often the right category is among the best.
use super::{
    common::number,
    items::{mean_by, ItemOptions},
};
use crate::{core::is_category, framework::pure::pure_layer, options, Dim, Error, LayerRef, Result, TensorSpec};
use tallow_tensor::{DType, Tensor};

options! {
    /// Tells how often the target is among the `k` categories of the largest activations, on average.
    ///
    /// Of equal activations the first counts as larger, as in `CategoryAccuracy`, which this is for `k` = 1. NaN counts as larger than
    /// any number, and a target whose activation is NaN as wrong.
    ///
    /// Formula: `Σ w · [rank(target) < k] / Σ w`, where the rank is the number of larger activations. NaN for no items, or weights that
    /// sum to zero.
    /// Shapes: activations `[..., N]`, targets `[...]` or `[..., 1]`, with `weighted` weights that broadcast to the targets →
    /// `float32[]`.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Gradient: that of the mean by the weights; none of the activations.
    /// Errors:
    /// - `ShapeMismatch`: the targets have another shape than the predictions, the weights do not broadcast to it, or `k` is above `N`.
    /// - `IndexOutOfRange`: a target that counts is not below `N`.
    /// - `InvalidArgument`: a target that counts is not a whole number.
    /// Source: scikit-learn's `top_k_accuracy_score`.
    /// See: `CategoryAccuracy`.
    /// Example:
    /// ```ts
    /// const layer = tl.TopKAccuracy(2);
    /// const [y, target] = [tl.tensor([[0.5, 2, 1], [3, 0.5, 1]]), tl.tensor([2, 1])];
    /// layer.init(tl.signature([y, target]));
    /// layer([y, target]); // → Tensor float32[] 0.5
    /// ```
    pub struct TopKAccuracyOptions for "TopKAccuracy" ("k") with (items: ItemOptions) {
        /// How many of the largest activations count.
        k "k": Dim,
    }
}

pub(super) fn top_k_accuracy(o: TopKAccuracyOptions) -> LayerRef {
    let TopKAccuracyOptions { k, items } = o;
    let k = k.0;
    let (arity, declared) = (items.arity(), items.clone());
    let signature = move |s: &[TensorSpec]| {
        let n = declared.check(s)?.categories;
        if k > n {
            let why = format!("`k` is {k}, but there are {n} categories, so every target would count as right");
            return Err(Error::shape(format!("{why}; make `k` less than the number of categories")));
        }
        Ok(number(declared.mean_dtype(DType::F32, s)))
    };
    pure_layer("TopKAccuracy", arity.n_in, arity.n_out, signature.clone(), move |xs| {
        signature(&xs.iter().map(TensorSpec::of).collect::<Vec<_>>())?;
        let (labels, weights) = items.read(xs)?;
        let right = among(&xs[0].detach(), &labels.places, k)?;
        Ok(vec![mean_by(&right.cast(DType::F32)?, weights.as_ref())?])
    })
}

/// Whether fewer than `k` activations are larger than that at the place.
fn among(x: &Tensor, places: &Tensor, k: usize) -> Result<Tensor> {
    let n = x.shape().last().copied().unwrap_or(0);
    let at = is_category(places, n)?;
    // A place that is none, of an item left out, compares with zeros.
    let own = x.mask_fill(&at.logical_not()?, 0.0)?.cast(x.dtype())?.sum(-1, true)?;
    let before = Tensor::iota(n, DType::I32, x.device())?.lt(&places.expand_dims(-1)?)?;
    let larger = x.gt(&own)?.logical_or(&x.isnan()?)?.logical_or(&x.eq(&own)?.logical_and(&before)?)?;
    let rank = larger.cast(DType::I32)?.sum(-1, false)?;
    let number = own.isnan()?.logical_not()?.squeeze(-1)?;
    Ok(rank.lt_scalar(k as i64)?.logical_and(&number)?)
}
