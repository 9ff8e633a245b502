//! Losses of numbers against numbers.
use super::common::{number, same_shape, weighted_mean};
use crate::{framework::pure::pure_layer, options, LayerRef, Result, TensorSpec};
use tallow_tensor::{Axes, DType, Tensor};

options! {
    /// Computes the mean squared error.
    ///
    /// Targets of another shape are refused, also where they would broadcast: a column beside a row would be a matrix.
    ///
    /// Formula: the mean of `(y - t)²` over all elements. NaN for no elements.
    /// Shapes: outputs `[...]`, targets `[...]`, both of one shape → `float32[]`.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `ShapeMismatch`: the shapes differ.
    /// Source: scikit-learn's `mean_squared_error`.
    /// See: `L2Loss`, with weights; `MeanAbsoluteError`.
    /// Example:
    /// ```ts
    /// const layer = tl.MeanSquaredError();
    /// const [y, target] = [tl.tensor([1.5, 2]), tl.tensor([1, 0])];
    /// layer.init(tl.signature([y, target]));
    /// layer([y, target]); // → Tensor float32[] 2.125
    /// ```
    pub struct MeanSquaredErrorOptions for "MeanSquaredError" () {}
}
options! {
    /// Computes the mean absolute error.
    ///
    /// Targets of another shape are refused, also where they would broadcast: a column beside a row would be a matrix.
    ///
    /// Formula: the mean of `|y - t|` over all elements. NaN for no elements.
    /// Shapes: outputs `[...]`, targets `[...]`, both of one shape → `float32[]`.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Gradient: 0 where output and target are equal.
    /// Errors:
    /// - `ShapeMismatch`: the shapes differ.
    /// Source: scikit-learn's `mean_absolute_error`.
    /// See: `MeanSquaredError`, `SmoothL1Loss`.
    /// Example:
    /// ```ts
    /// const layer = tl.MeanAbsoluteError();
    /// const [y, target] = [tl.tensor([1.5, 2]), tl.tensor([1, 0])];
    /// layer.init(tl.signature([y, target]));
    /// layer([y, target]); // → Tensor float32[] 1.25
    /// ```
    pub struct MeanAbsoluteErrorOptions for "MeanAbsoluteError" () {}
}

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

pub(super) fn mean_squared_error() -> LayerRef {
    mean_error("MeanSquaredError", Tensor::square)
}

pub(super) fn mean_absolute_error() -> LayerRef {
    mean_error("MeanAbsoluteError", absolute)
}

/// As `abs`, with a gradient of 0 at 0: what is right already is not moved.
fn absolute(d: &Tensor) -> tallow_tensor::Result<Tensor> {
    d.mul(&d.detach().sign()?)
}

/// The type of differences of outputs and targets of one shape.
fn difference_dtype(s: &[TensorSpec]) -> Result<DType> {
    same_shape("targets", &s[1].shape, &s[0].shape, "the model's output")?;
    Ok(s[0].dtype.promote(s[1].dtype).to_float())
}

fn mean_error(name: &'static str, error: fn(&Tensor) -> tallow_tensor::Result<Tensor>) -> LayerRef {
    let signature = |s: &[TensorSpec]| Ok(number(difference_dtype(s)?));
    pure_layer(name, 2, 1, signature, move |xs: &[Tensor]| {
        let dtype = difference_dtype(&[TensorSpec::of(&xs[0]), TensorSpec::of(&xs[1])])?;
        Ok(vec![error(&xs[0].cast(dtype)?.sub(&xs[1])?)?.mean(Axes::All, false)?])
    })
}

fn loss(name: &'static str, error: fn(&Tensor) -> tallow_tensor::Result<Tensor>) -> LayerRef {
    let signature = |s: &[TensorSpec]| {
        let dtype = difference_dtype(s)?;
        same_shape("weights", &s[2].shape, &s[0].shape, "the model's output")?;
        Ok(number(dtype.promote(s[2].dtype).to_float()))
    };
    pure_layer(name, 3, 1, signature, move |xs: &[Tensor]| {
        let dtype = signature(&xs.iter().map(TensorSpec::of).collect::<Vec<_>>())?[0].dtype;
        let d = xs[0].cast(dtype)?.sub(&xs[1])?;
        let r: Result<Tensor> = weighted_mean(&error(&d)?, &xs[2]);
        Ok(vec![r?])
    })
}
