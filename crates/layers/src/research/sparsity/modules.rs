//! The last axis seen as modules, and back.
use crate::{
    assert_shape::assert_function, framework::pure::pure_layer, options, Dim, Error, LayerRef, Result, TensorSpec,
};

options! {
    /// Splits the last axis into `numSplits` equal parts, which become an axis of their own.
    ///
    /// Shapes: `[..., n]` to `[..., numSplits, n / numSplits]`. No weights, no state; the same in every mode.
    /// Errors: `ShapeMismatch` unless `numSplits` divides the last axis.
    pub struct SplitLastAxisOptions for "SplitLastAxis" ("numSplits") {
        /// Number of parts.
        num_splits "numSplits": Dim,
    }
}
options! {
    /// Joins the last two axes into one.
    ///
    /// Shapes: `[..., a, b]` to `[..., a · b]`. No weights, no state; the same in every mode.
    /// Errors: `ShapeMismatch` for an input of fewer than two axes.
    pub struct MergeLastTwoAxesOptions for "MergeLastTwoAxes" () {}
}

/// A layer that reshapes its input.
fn reshaping(name: String, shape: impl Fn(&[usize]) -> Result<Vec<usize>> + Clone + Send + Sync + 'static) -> LayerRef {
    let of = shape.clone();
    let signature = move |s: &[TensorSpec]| Ok(vec![s[0].with_shape(of(&s[0].shape)?)]);
    pure_layer(name, 1, 1, signature, move |xs| Ok(vec![xs[0].reshape(&shape(xs[0].shape())?)?]))
}

/// Splits the last axis.
///
/// # Errors
/// None; as all layer constructors.
pub fn split_last_axis(parts: usize) -> Result<LayerRef> {
    let shape = move |s: &[usize]| match s {
        [rest @ .., n] if n % parts == 0 => Ok([rest, &[parts, n / parts]].concat()),
        _ => Err(Error::shape(format!("the last axis of {s:?} cannot be split into {parts} equal parts"))),
    };
    assert_function("...a->...bc", reshaping(format!("SplitLastAxis_{parts}"), shape))
}

/// Joins the last two axes.
///
/// # Errors
/// None; as all layer constructors.
pub fn merge_last_two_axes() -> Result<LayerRef> {
    let shape = |s: &[usize]| match s {
        [rest @ .., a, b] => Ok([rest, &[a * b]].concat()),
        _ => Err(Error::shape(format!("two axes are needed to join, got shape {s:?}"))),
    };
    assert_function("...ab->...c", reshaping("MergeLastTwoAxes".into(), shape))
}
