//! What chunked attention is asked for, of what operands and sizes.
use crate::{
    kernels::lsh::{by_bucket, by_segment_and_bucket},
    ops::segments,
    random::Key,
    Result, Tensor,
};
use smallvec::SmallVec;

/// How [`chunked_attention`](super::chunked_attention) forms chunks, what it masks and drops.
#[derive(Debug, Clone)]
pub struct ChunkedAttentionOptions {
    /// Positions per chunk; the last one may be shorter. Of several rounds that are shorter each is a chunk.
    pub chunk_len: usize,
    /// How many chunks before its own a query sees, around the ends.
    pub n_chunks_before: usize,
    /// How many chunks after its own a query sees, around the ends.
    pub n_chunks_after: usize,
    /// Takes 10⁹ from the products with later positions.
    pub causal: bool,
    /// Takes 10⁵ from the product of a position with itself.
    pub exclude_self: bool,
    /// Bool `[…, L]`, broadcast over the leading axes; where false, 10⁹ is taken from the products with that key (and nothing else).
    pub mask: Option<Tensor>,
    /// Ids of the segments of positions, integers `[…, L]`, broadcast over the leading axes: a query sees keys of its own segment only. With
    /// buckets the positions of a segment are sorted by themselves, so that nothing of a segment hangs on another.
    pub segments: Option<Tensor>,
    /// int32 `[…, rounds · L]`: for each round the positions are sorted by these, stably, before they are cut into chunks, and
    /// the rounds are weighed by exp(log-sum-exp). `None`: one round, in order.
    pub buckets: Option<Tensor>,
    /// Rate at which strengths are dropped and the key of `random::bernoulli(key, 1 - rate, [chunk_len, window · chunk_len])`,
    /// which all chunks share.
    pub dropout: Option<(f64, Key)>,
}

impl Default for ChunkedAttentionOptions {
    /// Chunks of 64 positions that see themselves only, nothing masked or dropped, in order.
    fn default() -> Self {
        Self {
            chunk_len: 64,
            n_chunks_before: 0,
            n_chunks_after: 0,
            causal: false,
            exclude_self: false,
            mask: None,
            segments: None,
            buckets: None,
            dropout: None,
        }
    }
}

impl ChunkedAttentionOptions {
    /// The same, with chunks no longer than one of several rounds: else a chunk would end within the next round, and the rest of that
    /// round would not see what a single chunk has room for; and with segments as kernels compare them.
    pub(super) fn for_rounds(&self, shape: &Shape) -> Result<Self> {
        let longest = if shape.rounds > 1 { shape.length } else { usize::MAX };
        let segments = self.segments.as_ref().map(|ids| segments::as_int32([ids])).transpose()?.map(|[ids]| ids);
        Ok(Self { chunk_len: self.chunk_len.min(longest), segments, ..self.clone() })
    }
}

/// The operands, of one float type.
#[derive(Clone)]
pub(super) struct Inputs {
    pub(super) q: Tensor,
    pub(super) k: Option<Tensor>,
    pub(super) v: Tensor,
}

impl Inputs {
    pub(super) fn detach(&self) -> Self {
        Self { q: self.q.detach(), k: self.k.as_ref().map(Tensor::detach), v: self.v.detach() }
    }
}

/// Sizes that the operands agree on.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(super) batch: SmallVec<[usize; 4]>,
    pub(super) length: usize,
    pub(super) depth: usize,
    pub(super) value_depth: usize,
    pub(super) rounds: usize,
}

impl Shape {
    pub(super) fn items(&self) -> usize {
        self.batch.iter().product()
    }
    pub(super) fn with(&self, last: &[usize]) -> Vec<usize> {
        self.batch.iter().chain(last).copied().collect()
    }
    pub(super) fn chunks(&self, chunk_len: usize) -> usize {
        (self.rounds * self.length).div_ceil(chunk_len)
    }
}

/// The positions in the order of their buckets, for each matrix and round.
pub(super) fn order(shape: &Shape, options: &ChunkedAttentionOptions) -> Result<Option<Vec<u32>>> {
    let Some(buckets) = &options.buckets else { return Ok(None) };
    let buckets = buckets.detach().broadcast_to(&shape.with(&[shape.rounds * shape.length]))?;
    let buckets = buckets.values::<i32>()?;
    Ok(Some(match &options.segments {
        None => by_bucket(&buckets, shape.length)?,
        Some(ids) => {
            let ids = ids.broadcast_to(&shape.with(&[shape.length]))?.values::<i32>()?;
            by_segment_and_bucket(&buckets, &ids, (shape.rounds, shape.length))?
        }
    }))
}
