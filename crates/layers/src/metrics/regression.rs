//! Losses of numbers against numbers.
use super::common::{number, same_shape, weighted_mean};
use crate::{framework::pure::pure_layer, options, LayerRef, Result, TensorSpec};
use tallow_tensor::Tensor;

options! {
    /// Computes the squared error, on average by weights.
    ///
    /// Formula: `Σ w (y - t)² / Σ w`.
    /// Shapes: outputs `[...]`, targets `[...]`, weights `[...]`, all of one shape → `float32[]`.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `ShapeMismatch`: the shapes differ.
    /// Source: Trax.
    /// See: `SmoothL1Loss`.
    /// Example:
    /// ```ts
    /// const layer = tl.L2Loss();
    /// const [y, target, w] = [tl.tensor([1.5, 2]), tl.tensor([1, 0]), tl.tensor([1, 1])];
    /// layer.init(tl.signature([y, target, w]));
    /// layer([y, target, w]); // → Tensor float32[] 2.125
    /// ```
    pub struct L2LossOptions for "L2Loss" () {}
}
options! {
    /// Computes an error that is squared where it is small and linear where it is large (Huber loss), on average by weights.
    ///
    /// Formula: `Σ w e / Σ w`, with `e = d² / 2` for `d = |y - t| < 1`, else `e = d - 1/2`.
    /// Shapes: outputs `[...]`, targets `[...]`, weights `[...]`, all of one shape → `float32[]`.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `ShapeMismatch`: the shapes differ.
    /// Source: Trax.
    /// See: `L2Loss`.
    /// Example:
    /// ```ts
    /// const layer = tl.SmoothL1Loss();
    /// const [y, target, w] = [tl.tensor([1.5, 2]), tl.tensor([1, 0]), tl.tensor([1, 1])];
    /// layer.init(tl.signature([y, target, w]));
    /// layer([y, target, w]); // → Tensor float32[] 0.8125
    /// ```
    pub struct SmoothL1LossOptions for "SmoothL1Loss" () {}
}

fn smooth(d: &Tensor) -> tallow_tensor::Result<Tensor> {
    let d = d.abs()?;
    Tensor::where_(&d.lt_scalar(1)?, &d.square()?.mul_scalar(0.5)?, &d.add_scalar(-0.5)?)
}

pub(super) fn l2_loss() -> LayerRef {
    loss("L2Loss", Tensor::square)
}

pub(super) fn smooth_l1_loss() -> LayerRef {
    loss("SmoothL1Loss", smooth)
}

fn loss(name: &'static str, error: fn(&Tensor) -> tallow_tensor::Result<Tensor>) -> LayerRef {
    let signature = |s: &[TensorSpec]| {
        same_shape("targets", &s[1].shape, &s[0].shape, "the model's output")?;
        same_shape("weights", &s[2].shape, &s[0].shape, "the model's output")?;
        Ok(number(s[0].dtype.promote(s[1].dtype).promote(s[2].dtype).to_float()))
    };
    pure_layer(name, 3, 1, signature, move |xs: &[Tensor]| {
        let dtype = signature(&xs.iter().map(TensorSpec::of).collect::<Vec<_>>())?[0].dtype;
        let d = xs[0].cast(dtype)?.sub(&xs[1])?;
        let r: Result<Tensor> = weighted_mean(&error(&d)?, &xs[2]);
        Ok(vec![r?])
    })
}
