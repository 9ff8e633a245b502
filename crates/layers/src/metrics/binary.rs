//! Predictions of one of two categories.
use super::{
    common::{number, same_shape, unprinted, weighted_mean_layer},
    targets::{check_shares, one_each, weights_of, weights_shape},
};
use crate::{framework::pure::pure_layer, options, Error, LayerRef, Result, TensorSpec};
use tallow_tensor::{Axes, DType, Tensor};

options! {
    /// Computes the cross-entropy of binary targets from activations, on average over the batch.
    ///
    /// Formula: the mean of `-(t log q + (1 - t) log(1 - q))` with `q = sigmoid(x)`. It is computed as `softplus(x) - t · x`, which
    /// does not overflow.
    /// Shapes: activations `[...]`, targets `[...]`, one of them perhaps with one more axis of size 1 → `float32[]`. Targets are 0, 1,
    /// or shares between them.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `ShapeMismatch`: the shapes differ.
    /// - `InvalidArgument`: a target is not from 0 to 1.
    /// Source: Trax.
    /// Example:
    /// ```ts
    /// const layer = tl.BinaryCrossEntropy();
    /// const [y, target] = [tl.tensor([0.5, -2]), tl.tensor([1, 0])];
    /// layer.init(tl.signature([y, target]));
    /// layer([y, target]); // → Tensor float32[] 0.300503
    /// ```
    pub struct BinaryCrossEntropyOptions for "BinaryCrossEntropy" () {}
}
options! {
    /// Computes the cross-entropy of binary targets from probabilities, on average by weights.
    ///
    /// Formula: `Σ w · c / Σ w`, with `c = -(t log q + (1 - t) log(1 - q))` for probabilities `q`. NaN for weights that sum to zero. In
    /// Trax the weights cancel.
    /// Shapes: probabilities and targets `[batch]` or `[batch, 1]`, weights, one for each item or any that broadcast → `float32[]`.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `ShapeMismatch`: probabilities and targets differ in shape.
    /// - `InvalidArgument`: a target whose weight is not zero is not from 0 to 1.
    /// Source: Trax.
    /// See: `BinaryCrossEntropy`, which takes activations.
    /// Example:
    /// ```ts
    /// const layer = tl.BinaryCrossEntropyLoss();
    /// const [q, target, w] = [tl.tensor([0.5, 0.25]), tl.tensor([1, 0]), tl.tensor([1, 0])];
    /// layer.init(tl.signature([q, target, w]));
    /// layer([q, target, w]); // → Tensor float32[] 0.693147
    /// ```
    pub struct BinaryCrossEntropyLossOptions for "BinaryCrossEntropyLoss" () {}
}
options! {
    /// Computes the mean cross-entropy of binary targets from probabilities, times the sum of the weights.
    ///
    /// Formula: `Σ w · mean(c)`, with `c = -(t log q + (1 - t) log(1 - q))` for probabilities `q`, as Trax computes it.
    /// Shapes: probabilities and targets `[batch]` or `[batch, 1]`, weights of any shape → `float32[]`.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `ShapeMismatch`: probabilities and targets differ in shape, or have more than two axes.
    /// - `InvalidArgument`: a target is not from 0 to 1.
    /// Source: Trax.
    /// Example:
    /// ```ts
    /// const layer = tl.BinaryCrossEntropySum();
    /// const [q, target, w] = [tl.tensor([0.5, 0.25]), tl.tensor([1, 0]), tl.tensor([1, 1])];
    /// layer.init(tl.signature([q, target, w]));
    /// layer([q, target, w]); // → Tensor float32[] 0.980829
    /// ```
    pub struct BinaryCrossEntropySumOptions for "BinaryCrossEntropySum" () {}
}

pub(super) fn binary_cross_entropy() -> LayerRef {
    let signature = |s: &[TensorSpec]| {
        common_shape(&s[0].shape, &s[1].shape)?;
        Ok(number(s[0].dtype.to_float().promote(s[1].dtype)))
    };
    pure_layer("BinaryCrossEntropy", 2, 1, signature, |xs| {
        let shape = common_shape(xs[0].shape(), xs[1].shape())?;
        let (x, targets) = (xs[0].cast(xs[0].dtype().to_float())?.reshape(shape)?, xs[1].reshape(shape)?);
        check_shares(&targets, None)?;
        Ok(vec![x.softplus()?.sub(&x.mul(&targets)?)?.mean(Axes::All, false)?])
    })
}

/// The shape of activations and targets; a column on one side is no matrix.
fn common_shape<'a>(activations: &'a [usize], targets: &'a [usize]) -> Result<&'a [usize]> {
    match activations {
        [lead @ .., 1] if lead == targets => Ok(lead),
        _ => one_each("targets", targets, activations, "the activations"),
    }
}

pub(super) fn loss() -> LayerRef {
    unprinted("BinaryCrossEntropyLoss", vec![item_losses(), weighted_mean_layer()])
}

pub(super) fn sum() -> LayerRef {
    unprinted("BinaryCrossEntropySum", vec![batch_mean(), times_weights()])
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

/// The loss of each item, and one weight for each.
fn item_losses() -> LayerRef {
    let signature = |s: &[TensorSpec]| {
        let (dtype, items) = (check(s)?, items(&s[0].shape));
        weights_shape(&s[2].shape, items)?;
        Ok(vec![TensorSpec::new(items, dtype), s[2].with_shape(items)])
    };
    pure_layer("_BinaryCrossEntropy", 3, 2, signature, |xs| {
        let (t, log_q, rest, log_rest) = logs(&xs[0], &xs[1])?;
        let weights = weights_of(&xs[2], items(t.shape()))?;
        check_shares(&t, Some(&weights))?;
        let losses = t.mul(&log_q)?.add(&rest.mul(&log_rest)?)?.neg()?;
        Ok(vec![losses.reshape(items(losses.shape()))?, weights])
    })
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
        check_shares(&t, None)?;
        let sum = t.transpose(None)?.matmul(&log_q)?.add(&rest.transpose(None)?.matmul(&log_rest)?)?;
        Ok(vec![sum.mul_scalar(-1.0 / xs[0].shape()[0] as f64)?.squeeze(Axes::All)?])
    })
}

/// The sum of a mean times weights of any shape.
fn times_weights() -> LayerRef {
    let signature = |s: &[TensorSpec]| Ok(number(s[0].broadcast(&s[1])?.dtype));
    pure_layer("_WeightedSum", 2, 1, signature, |xs| Ok(vec![xs[0].mul(&xs[1])?.sum(Axes::All, false)?]))
}
