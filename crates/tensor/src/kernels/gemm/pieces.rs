//! Where the inner axis of a product is cut.

/// The longest piece of the inner axis: a sliver of the left operand then fits the first-level cache, and the result is read and
/// written seldom.
pub(super) const INNER: usize = 512;

/// Where inner piece `i` of `pieces` starts.
pub(super) fn cut(inner: usize, pieces: usize, i: usize) -> usize {
    (inner * i / pieces).next_multiple_of(8).min(inner)
}

/// How many pieces the inner axis is cut into.
pub(super) fn pieces(inner: usize) -> usize {
    inner.div_ceil(INNER).max(1)
}
