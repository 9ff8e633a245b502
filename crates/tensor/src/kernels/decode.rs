//! Attention of single queries to keys and values that lie in blocks of positions.
//!
//! A query is computed on one thread, block after block, so its bits depend on its own past alone, not on how many others there are.
use super::{
    attention::Scalar,
    real::{max, simd, sum},
};
use crate::{threads, Result};

/// Positions of a block.
pub(crate) const BLOCK: usize = 64;

/// A block of one matrix: keys `[depth, BLOCK]`, values `[BLOCK, value_depth]`.
pub(crate) struct Block<'a, T> {
    pub keys: &'a [T],
    pub values: &'a [T],
}

/// What a group of matrices that stand at one position has read, the new positions included.
pub(crate) struct Seen<'a, T> {
    /// The blocks, each with all matrices of the group one after the other.
    pub blocks: Vec<Block<'a, T>>,
    /// How many matrices.
    pub rows: usize,
    /// How many positions.
    pub len: usize,
}

/// Sizes that all matrices have in common.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    /// New positions.
    pub new: usize,
    pub depth: usize,
    pub value_depth: usize,
}

/// The last `new` positions of each matrix attend to those up to each: `q [rows, new, depth]` of all groups, into
/// `out [rows, new, value_depth]`.
pub(crate) fn attend<T: Scalar>(q: &[T], seen: &[Seen<'_, T>], s: Sizes, scale: T, out: &mut [T]) -> Result<()> {
    // Which group each matrix belongs to, and which of it it is.
    let places = crate::memory::room(seen.iter().map(|g| g.rows).sum::<usize>());
    let mut places: Vec<(usize, usize)> = places?;
    places.extend(seen.iter().enumerate().flat_map(|(group, g)| (0..g.rows).map(move |row| (group, row))));
    let keys: usize = seen.iter().map(|g| g.rows * g.len).sum();
    let work = keys.saturating_mul(s.new).saturating_mul(s.depth + s.value_depth);
    threads::for_chunks_of(out, s.new * s.value_depth, work, |at, out| {
        let matrix = at / (s.new * s.value_depth);
        let (group, row) = places[matrix];
        let g = &seen[group];
        for (i, out) in out.chunks_exact_mut(s.value_depth).enumerate() {
            let q = &q[(matrix * s.new + i) * s.depth..][..s.depth];
            query(q, &g.blocks, row, g.len - s.new + i + 1, scale, out);
        }
    })
}

simd! {
/// One query and the first `keys` positions of matrix `row`.
fn query<T: Scalar>(q: &[T], blocks: &[Block<'_, T>], row: usize, keys: usize, scale: T, out: &mut [T]) {
    let (mut top, mut total) = (T::LOWEST, T::default());
    out.fill(T::default());
    let (of_keys, of_values) = (q.len() * BLOCK, out.len() * BLOCK);
    for (first, block) in (0..keys).step_by(BLOCK).zip(blocks) {
        let n = BLOCK.min(keys - first);
        let (keys, values) = (&block.keys[row * of_keys..][..of_keys], &block.values[row * of_values..][..of_values]);
        let mut shares = match n.div_ceil(GROUP) {
            1 => dots::<T, GROUP>(q, keys, scale),
            2 => dots::<T, { 2 * GROUP }>(q, keys, scale),
            3 => dots::<T, { 3 * GROUP }>(q, keys, scale),
            _ => dots::<T, BLOCK>(q, keys, scale),
        };
        let highest = max(&shares[..n]);
        if highest > top {
            let kept = (top - highest).exp_negative();
            total *= kept;
            out.iter_mut().for_each(|x| *x *= kept);
            top = highest;
        }
        shares.iter_mut().for_each(|x| *x = (*x - top).exp_negative());
        shares[n..].fill(T::default());
        total += sum(&shares, |x| x);
        add(&shares[..n], values, out);
    }
    let share = T::ONE / total;
    out.iter_mut().for_each(|x| *x *= share);
}
}

/// Positions of a block that are read or left together: a cache line of each element.
const GROUP: usize = 16;

/// The scaled products of a query with the first `N` keys of a block, 0 for the others.
#[inline(always)]
fn dots<T: Scalar, const N: usize>(q: &[T], keys: &[T], scale: T) -> [T; BLOCK] {
    let mut sums = [T::default(); N];
    for (&x, keys) in q.iter().zip(keys.chunks_exact(BLOCK)) {
        for (sum, &key) in sums.iter_mut().zip(keys) {
            *sum += x * key;
        }
    }
    let mut scaled = [T::default(); BLOCK];
    for (scaled, sum) in scaled.iter_mut().zip(sums) {
        *scaled = sum * scale;
    }
    scaled
}

/// Columns that are summed in registers.
const COLUMNS: usize = 32;

/// Adds the values, weighed by their shares.
#[inline(always)]
fn add<T: Scalar>(shares: &[T], values: &[T], out: &mut [T]) {
    let width = out.len();
    let mut parts = out.chunks_exact_mut(COLUMNS);
    let mut col = 0;
    for part in &mut parts {
        let mut sums = [T::default(); COLUMNS];
        sums.copy_from_slice(part);
        for (&share, row) in shares.iter().zip(values.chunks_exact(width)) {
            for (sum, &value) in sums.iter_mut().zip(&row[col..col + COLUMNS]) {
                *sum += share * value;
            }
        }
        part.copy_from_slice(&sums);
        col += COLUMNS;
    }
    for (x, col) in parts.into_remainder().iter_mut().zip(col..) {
        for (&share, row) in shares.iter().zip(values.chunks_exact(width)) {
            *x += share * row[col];
        }
    }
}
