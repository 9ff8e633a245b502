//! What attention is told of positions beside their vectors: which are valid, and which sequence each is of.
use super::{heads::check_mask, shared::EfficientAttentionOptions};
use crate::{attention::check_segments_of, Output, Result, TensorSpec};
use tallow_tensor::{DType, Tensor};

/// Of each position of `[batch, length]` whether it is valid, and the id of its segment, if a layer is told.
#[derive(Debug, Clone, Default)]
pub(super) struct Positions {
    /// Bool.
    pub mask: Option<Tensor>,
    /// Integers.
    pub segments: Option<Tensor>,
}

impl Positions {
    /// What inputs that follow the vectors say.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(super) fn read(o: &EfficientAttentionOptions, xs: &[Tensor]) -> Result<Self> {
        let mask = if o.masked { xs.first().map(|mask| mask.cast(DType::Bool)).transpose()? } else { None };
        let segments = if o.use_segments { xs.last().cloned() } else { None };
        Ok(Self { mask, segments })
    }
    /// What is made by `f` of both.
    ///
    /// # Errors
    /// Those of `f`.
    pub(super) fn map(&self, f: impl Fn(&Tensor) -> tallow_tensor::Result<Tensor>) -> Result<Self> {
        let of = |t: &Option<Tensor>| t.as_ref().map(&f).transpose();
        Ok(Self { mask: of(&self.mask)?, segments: of(&self.segments)? })
    }
}

/// How many inputs tell of positions.
pub(super) fn count(o: &EfficientAttentionOptions) -> usize {
    usize::from(o.masked) + usize::from(o.use_segments)
}

/// Refuses inputs behind the vectors that are not of their positions.
///
/// # Errors
/// `ShapeMismatch`, `DTypeMismatch`.
pub(super) fn check(o: &EfficientAttentionOptions, inputs: &[TensorSpec], sizes: [usize; 2]) -> Result<()> {
    if let (true, Some(mask)) = (o.masked, inputs.first()) {
        check_mask(mask, sizes[0], sizes[1])?;
    }
    match inputs.last() {
        Some(segments) if o.use_segments => check_segments_of(segments, sizes),
        _ => Ok(()),
    }
}

/// The signatures of the outputs: `y`, and the segments where there are some.
pub(super) fn outputs(o: &EfficientAttentionOptions, y: TensorSpec, inputs: &[TensorSpec]) -> Vec<TensorSpec> {
    let segments = inputs.last().filter(|_| o.use_segments);
    [y].into_iter().chain(segments.cloned()).collect()
}

/// The output of a call with the segments behind it, where there are some.
pub(super) fn with_segments(o: &EfficientAttentionOptions, mut out: Output, xs: &[Tensor]) -> Output {
    out.ys.extend(xs.last().filter(|_| o.use_segments).cloned());
    out
}
