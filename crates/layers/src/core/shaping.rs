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
    /// Each call writes one line to standard output.
    ///
    /// Shapes: any → the same.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors: none.
    /// Source: Trax.
    /// See: `AssertShape`.
    /// Example:
    /// ```ts
    /// const layer = tl.PrintShape({ msg: 'input' });
    /// layer([[1, 2, 3]]).shape; // → [1, 3]
    /// ```
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
    /// Shapes: with `nAxesToKeep` 1, `[batch, ...]` → `[batch, n]`, where `n` is the product of the other sizes. Otherwise `nAxesToKeep`
    /// leading axes
    /// stay.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `ShapeMismatch`: the input has no axis beyond those to keep.
    ///
    /// Source: Trax.
    /// Example:
    /// ```ts
    /// tl.Flatten()(tl.zeros([2, 3, 4])).shape; // → [2, 12]
    /// ```
    pub struct FlattenOptions for "Flatten" () {
        /// Number of leading axes left as they are.
        n_axes_to_keep "nAxesToKeep": Count = Count(1),
    }
}
options! {
    /// Casts its input to float32.
    ///
    /// Shapes: `[...]` → `float32[...]`.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors: none.
    /// Source: Trax.
    /// Example:
    /// ```ts
    /// tl.ToFloat()([1, 2]); // → Tensor float32[2] [1,2]
    /// ```
    pub struct ToFloatOptions for "ToFloat" () {}
}
options! {
    /// Marks values above a threshold by 1 and all others by 0.
    ///
    /// Formula: `y = 1` where `x > threshold`, else 0.
    /// Shapes: `[...]` → `int32[...]`.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Gradient: none flows back.
    /// Errors: none.
    /// Source: Trax.
    /// Example:
    /// ```ts
    /// tl.ThresholdToBinary()([0.2, 0.5, 0.9]); // → Tensor int32[3] [0,0,1]
    /// ```
    pub struct ThresholdToBinaryOptions for "ThresholdToBinary" () {
        /// Value that must be exceeded.
        threshold "threshold": Num = Num(0.5),
    }
}
options! {
    /// Changes the sign of its input.
    ///
    /// Formula: `y = -x`.
    /// Shapes: `[...]` → `[...]`, the same, as is the type.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors: none.
    /// Source: Trax.
    /// Example:
    /// ```ts
    /// tl.Negate()([1, -2]); // → Tensor int32[2] [-1,2]
    /// ```
    pub struct NegateOptions for "Negate" () {}
}
options! {
    /// Passes its input on, and no gradient back.
    ///
    /// Shapes: `[...]` → `[...]`, the same, as is the type.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Gradient: none flows back.
    /// Errors: none.
    /// Source: Trax.
    /// Example:
    /// ```ts
    /// const layer = tl.StopGradient();
    /// tl.grad((x: tl.Tensor) => x.add(layer(x)).sum())(tl.tensor([1.5])); // → Tensor float32[1] [1]
    /// ```
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
