//! The last axis seen as modules, and back.
use crate::{
    assert_shape::assert_function, framework::pure::pure_layer, options, Dim, Error, LayerRef, Result, TensorSpec,
};

options! {
    /// Splits the last axis into `numSplits` equal parts, which become an axis of their own.
    ///
    /// Shapes: `[..., n]` → `[..., numSplits, n / numSplits]`.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `ShapeMismatch`: `numSplits` does not divide the last axis.
    /// Source: Trax.
    /// See: `MergeLastTwoAxes`, which undoes it.
    /// Example:
    /// ```ts
    /// const layer = tl.SplitLastAxis(2);
    /// layer.init({ shape: [4], dtype: 'int32' });
    /// layer([1, 2, 3, 4]); // → Tensor int32[2,2] [[1,2],[3,4]]
    /// ```
    pub struct SplitLastAxisOptions for "SplitLastAxis" ("numSplits") {
        /// Number of parts.
        num_splits "numSplits": Dim,
    }
}
options! {
    /// Joins the last two axes into one.
    ///
    /// Shapes: `[..., a, b]` → `[..., a · b]`.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `ShapeMismatch`: the input has less than two axes.
    /// Source: Trax.
    /// See: `SplitLastAxis`.
    /// Example:
    /// ```ts
    /// const layer = tl.MergeLastTwoAxes();
    /// layer.init({ shape: [2, 2], dtype: 'int32' });
    /// layer([[1, 2], [3, 4]]); // → Tensor int32[4] [1,2,3,4]
    /// ```
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
