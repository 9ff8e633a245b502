//! What attention is asked for, and of what sizes.
use crate::{ops::segments, random::Key, Result, Tensor};
use smallvec::SmallVec;

/// What [`attention`](super::attention()) does beside softmax(q · kᵀ) · v.
#[derive(Debug, Clone)]
pub struct AttentionOptions {
    /// Factor of the products of queries and keys; 1/√d in Trax.
    pub scale: f64,
    /// Query `i` attends to keys `0..=i` only.
    pub causal: bool,
    /// Bool, broadcast to `[…, Lq, Lk]`; true = attend.
    pub mask: Option<Tensor>,
    /// What replaces the product at masked positions, by `causal` or `mask`. Finite, so that a row whose positions are all
    /// masked attends uniformly to all keys.
    pub mask_value: f64,
    /// Ids of the segments of queries `[…, Lq]` and keys `[…, Lk]`, integers, broadcast over the leading axes: a query sees keys of its own
    /// segment only, whatever the mask, and its result is 0 where there are none.
    pub segments: Option<[Tensor; 2]>,
    /// Rate at which attention strengths are set to zero (the others are divided by 1 − rate), and the key of
    /// `random::bernoulli(key, 1 - rate, […, Lq, Lk])`, whose bits decide which.
    pub dropout: Option<(f64, Key)>,
}

impl Default for AttentionOptions {
    /// Scale 1, nothing masked, mask value −10⁹, one segment, no dropout.
    fn default() -> Self {
        Self { scale: 1.0, causal: false, mask: None, mask_value: -1e9, segments: None, dropout: None }
    }
}

impl AttentionOptions {
    /// The same, with segments as kernels compare them.
    pub(super) fn with_segments(&self) -> Result<Self> {
        let segments = self.segments.as_ref().map(|[q, k]| segments::as_int32([q, k])).transpose()?;
        Ok(Self { segments, ..self.clone() })
    }
}

/// Sizes that the operands agree on.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(super) batch: SmallVec<[usize; 4]>,
    pub(super) queries: usize,
    pub(super) keys: usize,
    pub(super) depth: usize,
    pub(super) value_depth: usize,
}

impl Shape {
    pub(super) fn with(&self, last: [usize; 2]) -> Vec<usize> {
        self.batch.iter().copied().chain(last).collect()
    }
}
