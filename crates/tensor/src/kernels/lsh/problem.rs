//! What chunked attention is computed of, and the numbers that stand for what is not there.
use crate::kernels::attention::{KeyView, MaskView, Stack};
use smallvec::SmallVec;

/// Rows of a chunk that are worked on at a time.
pub(super) const ROWS: usize = 64;
/// Chunks that a task walks over, at least.
pub(super) const WALK: usize = 8;
/// Walks per round and matrix, at most.
pub(super) const WALKS: usize = 32;
/// What is taken from the product with a later, a masked, and the query's own key; Trax's numbers.
pub(super) const LATER: f64 = 1e9;
pub(super) const MASKED: f64 = 1e9;
pub(super) const OWN: f64 = 1e5;
/// What stands for the position of a key that is masked, and of a column that is no key.
pub(super) const MASKED_KEY: i32 = -1;
pub(super) const NO_KEY: i32 = -2;
/// Added to the mean square of a query before it becomes a key.
pub(super) const EPSILON: f64 = 1e-6;

/// Dropout of attention strengths by a draw of one chunk's shape, shared by all chunks.
pub(crate) struct Dropout<T> {
    /// The words of the draw.
    pub stream: crate::random::BitStream,
    /// A strength is kept where `word >> 9` is below.
    pub threshold: u32,
    /// 1 / (1 − rate).
    pub scale: T,
}

/// What attention is computed of.
pub(crate) struct Problem<'a, T> {
    /// Sizes of the leading axes.
    pub batch: SmallVec<[usize; 4]>,
    pub q: Stack<'a, T>,
    /// Keys; without them, queries of length 1 are the keys.
    pub k: Option<Stack<'a, T>>,
    pub v: Stack<'a, T>,
    /// Positions.
    pub length: usize,
    /// Size of a query and a key.
    pub depth: usize,
    /// Size of a value.
    pub value_depth: usize,
    /// For each matrix and round the positions in the order in which they form chunks; without it, their own.
    pub order: Option<&'a [u32]>,
    pub rounds: usize,
    /// Positions per chunk.
    pub chunk: usize,
    /// Chunks seen before the query's own, and after.
    pub before: usize,
    pub after: usize,
    pub causal: bool,
    pub exclude_self: bool,
    /// Which keys may be seen; `row` is not used.
    pub mask: Option<MaskView<'a>>,
    /// Ids of the segments that positions are of, adjacent; a query sees keys of its own only.
    pub segments: Option<KeyView<'a, i32>>,
    pub dropout: Option<Dropout<T>>,
}
