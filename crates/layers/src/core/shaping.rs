//! Small layers without weights: shapes, dtypes, signs.
use crate::{
    assert_shape::assert_function,
    framework::pure::{elementwise, pure_layer},
    options, Count, Error, LayerRef, Num, Result, TensorSpec,
};
use std::io::Write;
use tallow_tensor::{DType, Tensor};

options! {
    /// Prints the shapes and dtypes of its inputs and passes them on.
    ///
    /// Shapes: any, kept. No weights, no state; the same in every mode. Each call writes one line to standard output.
    pub struct PrintShapeOptions for "PrintShape" () {
        /// Number of inputs.
        n_in "nIn": Count = Count(1),
        /// Text to print before the shapes.
        msg "msg": String = String::new(),
    }
}
options! {
    /// Joins the trailing axes of a tensor into one.
    ///
    /// Shapes: `[d1, ..., dk, ...]` to `[d1, ..., dk, n]` with `k = nAxesToKeep`. No weights, no state; the same in every mode.
    /// Errors: `ShapeMismatch` when the input has no axis beyond those to keep.
    pub struct FlattenOptions for "Flatten" () {
        /// Number of leading axes left as they are.
        n_axes_to_keep "nAxesToKeep": Count = Count(1),
    }
}
options! {
    /// Casts to float32.
    ///
    /// Shapes: any, kept. No weights, no state; the same in every mode.
    pub struct ToFloatOptions for "ToFloat" () {}
}
options! {
    /// Marks values above a threshold by 1, others by 0.
    ///
    /// Formula: `x > threshold`, as int32. Shapes: any, kept. No weights, no state, no gradient; the same in every mode.
    pub struct ThresholdToBinaryOptions for "ThresholdToBinary" () {
        /// Value that must be exceeded.
        threshold "threshold": Num = Num(0.5),
    }
}
options! {
    /// Changes the sign.
    ///
    /// Formula: `-x`. Shapes: any, kept, as is the dtype. No weights, no state; the same in every mode.
    pub struct NegateOptions for "Negate" () {}
}
options! {
    /// Passes its input on, and no gradient back.
    ///
    /// Shapes: any, kept, as is the dtype. No weights, no state; the same in every mode.
    pub struct StopGradientOptions for "StopGradient" () {}
}

/// Writes a line with shapes and dtypes to standard output.
pub(crate) fn print_shapes(msg: &str, xs: &[Tensor]) {
    let shapes: Vec<String> = xs.iter().map(|x| format!("{}[{}]", super::python_tuple(x.shape()), x.dtype())).collect();
    // A closed standard output is no reason to fail.
    let _ = writeln!(std::io::stdout(), "PrintShape: {msg}: [{}]", shapes.join(", "));
}

/// Prints the shapes of its inputs.
pub fn print_shape(n_in: usize, msg: String) -> LayerRef {
    pure_layer(
        format!("PrintShape_{n_in}"),
        n_in,
        n_in,
        |s| Ok(s.to_vec()),
        move |xs| {
            print_shapes(&msg, xs);
            Ok(xs.to_vec())
        },
    )
}

/// Joins the axes after the first `keep`.
pub fn flatten(keep: usize) -> LayerRef {
    let shape = move |shape: &[usize]| {
        if shape.len() <= keep {
            return Err(Error::shape(format!(
                "the input has rank {}, but Flatten needs an axis beyond the {keep} to keep",
                shape.len()
            )));
        }
        let mut out = shape[..keep].to_vec();
        out.push(shape[keep..].iter().product());
        Ok(out)
    };
    let signature = move |s: &[TensorSpec]| Ok(vec![s[0].with_shape(shape(&s[0].shape)?)]);
    pure_layer(format!("Flatten_keep{keep}"), 1, 1, signature, move |xs| {
        Ok(vec![xs[0].reshape(&shape(xs[0].shape())?)?])
    })
}

fn to_dtype(dtype: DType) -> impl Fn(&[TensorSpec]) -> Result<Vec<TensorSpec>> {
    move |s| Ok(vec![TensorSpec::new(s[0].shape.clone(), dtype)])
}

/// Casts to float32.
pub fn to_float() -> LayerRef {
    pure_layer("ToFloat", 1, 1, to_dtype(DType::F32), |xs| Ok(vec![xs[0].cast(DType::F32)?]))
}

/// 1 above the threshold, else 0.
pub fn threshold_to_binary(threshold: f64) -> LayerRef {
    pure_layer("ThresholdToBinary", 1, 1, to_dtype(DType::I32), move |xs| {
        Ok(vec![xs[0].gt_scalar(threshold)?.cast(DType::I32)?])
    })
}

/// Changes the sign.
///
/// # Errors
/// None; as all layer constructors.
pub fn negate() -> Result<LayerRef> {
    assert_function("...->...", elementwise("Negate", Tensor::neg))
}

/// Passes no gradient back.
///
/// # Errors
/// None; as all layer constructors.
pub fn stop_gradient() -> Result<LayerRef> {
    assert_function("...->...", elementwise("StopGradient", |x| Ok(x.detach())))
}
