//! Splitting vectors into heads and merging them again.
use crate::{
    assert_shape::assert_function, leaf, options, Call, Dim, Error, LayerRef, Leaf, Output, Result, TensorSpec,
};
use tallow_tensor::Tensor;

options! {
    /// Splits the last axis into heads: position `h · dHead + i` of a vector becomes position `i` of head `h`.
    ///
    /// Shapes: `[batch, length, d]` → `[batch · nHeads, length, d / nHeads]`; with `mergedBatchAndHead: false` →
    /// `[batch, nHeads, length, d / nHeads]`.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `ShapeMismatch`: the input does not have three axes, or `nHeads` does not divide `d`.
    /// Source: Trax.
    /// See: `MergeHeads`, which undoes it.
    /// Example:
    /// ```ts
    /// const layer = tl.SplitIntoHeads(2);
    /// layer.init({ shape: [1, 1, 4], dtype: 'int32' });
    /// layer([[[1, 2, 3, 4]]]); // → Tensor int32[2,1,2] [[[1,2]],[[3,4]]]
    /// ```
    pub struct SplitIntoHeadsOptions for "SplitIntoHeads" ("nHeads") {
        /// Number of heads.
        n_heads "nHeads": Dim,
        /// Whether batch and heads share one axis in the output.
        merged_batch_and_head "mergedBatchAndHead": bool = true,
    }
}

options! {
    /// Joins heads into one vector for each position; undoes `SplitIntoHeads`.
    ///
    /// Shapes: `[batch · nHeads, length, dHead]` → `[batch, length, nHeads · dHead]`; with `mergedBatchAndHead: false` from
    /// `[batch, nHeads, length, dHead]`.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `ShapeMismatch`: the input has another number of axes, or `nHeads` does not divide the first one.
    /// Source: Trax.
    /// See: `SplitIntoHeads`.
    /// Example:
    /// ```ts
    /// const layer = tl.MergeHeads(2);
    /// layer.init({ shape: [2, 1, 2], dtype: 'int32' });
    /// layer([[[1, 2]], [[3, 4]]]); // → Tensor int32[1,1,4] [[[1,2,3,4]]]
    /// ```
    pub struct MergeHeadsOptions for "MergeHeads" ("nHeads") {
        /// Number of heads.
        n_heads "nHeads": Dim,
        /// Whether batch and heads share one axis in the input.
        merged_batch_and_head "mergedBatchAndHead": bool = true,
    }
}

/// Refuses heads that the vectors of the layer or model `kind`, whose option for their depth is `option`, cannot be split into.
///
/// # Errors
/// `InvalidOption` when `depth` is no multiple of `n_heads`.
pub(crate) fn check_heads(kind: &str, option: &str, depth: Dim, n_heads: Dim) -> Result<()> {
    if depth.0.is_multiple_of(n_heads.0) {
        return Ok(());
    }
    let what = format!("{kind}: `{option}` must be a multiple of `nHeads`, as all heads are equally deep");
    Err(Error::option(format!("{what}: got {} for {} heads", depth.0, n_heads.0)))
}

/// The size of one head.
///
/// # Errors
/// `ShapeMismatch` when `d_feature` is no multiple of `n_heads`.
pub(crate) fn head_size(d_feature: usize, n_heads: usize) -> Result<usize> {
    if !d_feature.is_multiple_of(n_heads) {
        return Err(Error::shape(format!(
            "the depth {d_feature} cannot be split into {n_heads} heads; it must be a multiple of `nHeads`"
        )));
    }
    Ok(d_feature / n_heads)
}

/// `(batch, length, d_feature)` as a view `(batch, n_heads, length, d_head)`.
pub(crate) fn split(x: &Tensor, n_heads: usize) -> Result<Tensor> {
    let &[b, l, d] = x.shape() else { return Err(rank_error(x.shape(), 3)) };
    Ok(x.reshape(&[b, l, n_heads, head_size(d, n_heads)?])?.transpose(Some(&[0, 2, 1, 3]))?)
}

/// `(batch, n_heads, length, d_head)` joined to `(batch, length, n_heads·d_head)`.
pub(crate) fn merge(x: &Tensor) -> Result<Tensor> {
    let &[b, h, l, d] = x.shape() else { return Err(rank_error(x.shape(), 4)) };
    Ok(x.transpose(Some(&[0, 2, 1, 3]))?.reshape(&[b, l, h * d])?)
}

fn rank_error(shape: &[usize], rank: usize) -> Error {
    Error::shape(format!("expected {rank} axes, got shape {shape:?}"))
}

#[derive(Debug, Clone)]
struct SplitIntoHeads(SplitIntoHeadsOptions);

impl Leaf for SplitIntoHeads {
    fn name(&self) -> String {
        "SplitIntoHeads".into()
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        let x = &inputs[0];
        let &[b, l, d] = &x.shape[..] else { return Err(rank_error(&x.shape, 3)) };
        let (h, d_head) = (self.0.n_heads.0, head_size(d, self.0.n_heads.0)?);
        let shape = if self.0.merged_batch_and_head { vec![b * h, l, d_head] } else { vec![b, h, l, d_head] };
        Ok(vec![x.with_shape(shape)])
    }
    fn forward(&self, call: Call) -> Result<Output> {
        let y = split(&call.xs[0], self.0.n_heads.0)?;
        if !self.0.merged_batch_and_head {
            return Ok(y.into());
        }
        let &[b, h, l, d] = y.shape() else { return Err(rank_error(y.shape(), 4)) };
        Ok(y.reshape(&[b * h, l, d])?.into())
    }
}

#[derive(Debug, Clone)]
struct MergeHeads(MergeHeadsOptions);

impl MergeHeads {
    fn parts(&self, shape: &[usize]) -> Result<[usize; 4]> {
        let h = self.0.n_heads.0;
        match (self.0.merged_batch_and_head, shape) {
            (true, &[n, l, d]) if n % h == 0 => Ok([n / h, h, l, d]),
            (true, &[n, _, _]) => {
                Err(Error::shape(format!("the leading axis has size {n}, which is no multiple of nHeads {h}")))
            }
            (false, &[b, h, l, d]) => Ok([b, h, l, d]),
            (merged, _) => Err(rank_error(shape, if merged { 3 } else { 4 })),
        }
    }
}

impl Leaf for MergeHeads {
    fn name(&self) -> String {
        "MergeHeads".into()
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        let [b, h, l, d] = self.parts(&inputs[0].shape)?;
        Ok(vec![inputs[0].with_shape([b, l, h * d])])
    }
    fn forward(&self, call: Call) -> Result<Output> {
        let shape = self.parts(call.xs[0].shape())?;
        Ok(merge(&call.xs[0].reshape(&shape)?)?.into())
    }
}

/// Layer that splits vectors into heads.
///
/// # Errors
/// None.
pub(crate) fn split_into_heads(o: SplitIntoHeadsOptions) -> Result<LayerRef> {
    assert_function("bld->...lh", leaf(SplitIntoHeads(o)))
}

/// Layer that merges heads.
///
/// # Errors
/// None.
pub(crate) fn merge_heads(o: MergeHeadsOptions) -> Result<LayerRef> {
    assert_function("...lh->bld", leaf(MergeHeads(o)))
}
