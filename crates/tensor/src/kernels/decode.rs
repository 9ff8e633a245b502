//! Attention of single queries to keys and values that lie in blocks of positions.
//!
//! A query is computed on one thread, block after block, so its bits depend on its own past alone, not on how many others there are.
use super::{
    attention::Scalar,
    prefetch::prefetch,
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
    let read = keys.saturating_mul(s.depth + s.value_depth).saturating_mul(size_of::<T>());
    let work = keys.saturating_mul(s.new).saturating_mul(s.depth + s.value_depth);
    threads::for_chunks_of(out, s.new * s.value_depth, work, |at, out| {
        let matrix = at / (s.new * s.value_depth);
        let (group, row) = places[matrix];
        let g = &seen[group];
        // What this thread most likely reads next.
        let (group, next) = places.get(matrix + 1).copied().unwrap_or((group, row));
        let after = Keys::of(&seen[group].blocks, next, 0, s.depth, seen[group].len);
        let after = (read >= FAR).then_some(after);
        for (i, out) in out.chunks_exact_mut(s.value_depth).enumerate() {
            let q = &q[(matrix * s.new + i) * s.depth..][..s.depth];
            query(q, &g.blocks, row, g.len - s.new + i + 1, scale, after, out);
        }
    })
}

/// The keys of a block of one matrix.
#[derive(Clone, Copy)]
struct Keys<'a, T> {
    all: &'a [T],
    /// Positions of it that are read.
    count: usize,
}

impl<'a, T> Keys<'a, T> {
    /// Those of block `at` of matrix `row`, of which `len` positions are read in all blocks.
    fn of(blocks: &[Block<'a, T>], row: usize, at: usize, depth: usize, len: usize) -> Self {
        let of_keys = depth * BLOCK;
        let all = blocks.get(at).map_or(&[][..], |block| &block.keys[row * of_keys..][..of_keys]);
        Self { all, count: BLOCK.min(len.saturating_sub(at * BLOCK)) }
    }
    /// What is read of them, in order.
    fn rows(self) -> impl Iterator<Item = &'a [T]> {
        let read = self.count.next_multiple_of(GROUP);
        self.all.chunks_exact(BLOCK).map(move |row| &row[..read])
    }
}

/// Asks for what is read soon.
#[inline(always)]
fn ask<T>(row: &[T]) {
    row.chunks(LINE / size_of::<T>()).for_each(|line| prefetch::<AHEAD, _>(line.as_ptr()));
}

simd! {
/// One query and the first `len` positions of matrix `row`; the keys `after` are read next, where they and all others come from far.
///
/// A processor by itself reads ahead within 4 KB, and a matrix of a block is 16 KB. So values are asked for while the keys of their block are
/// read, and the keys of the next block meanwhile.
fn query<T: Scalar>(
    q: &[T],
    blocks: &[Block<'_, T>],
    row: usize,
    len: usize,
    scale: T,
    after: Option<Keys<'_, T>>,
    out: &mut [T],
) {
    let (mut top, mut total) = (T::LOWEST, T::default());
    out.fill(T::default());
    let of_values = out.len() * BLOCK;
    for (at, block) in blocks.iter().enumerate().take(len.div_ceil(BLOCK)) {
        let keys = Keys::of(blocks, row, at, q.len(), len);
        let n = keys.count;
        let next = after.map(|after| match (at + 1) * BLOCK < len {
            true => Keys::of(blocks, row, at + 1, q.len(), len),
            false => after,
        });
        let values = &block.values[row * of_values..][..n * out.len()];
        let soon = values.chunks_exact(out.len()).take(if after.is_some() { n } else { 0 });
        let mut shares = match n.div_ceil(GROUP) {
            1 => dots::<T, GROUP>(q, keys.all, scale, soon),
            2 => dots::<T, { 2 * GROUP }>(q, keys.all, scale, soon),
            3 => dots::<T, { 3 * GROUP }>(q, keys.all, scale, soon),
            _ => dots::<T, BLOCK>(q, keys.all, scale, soon),
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
        add(&shares[..n], values, out, next.into_iter().flat_map(Keys::rows));
    }
    let share = T::ONE / total;
    out.iter_mut().for_each(|x| *x *= share);
}
}

/// Positions of a block that are read or left together: a cache line of each element.
const GROUP: usize = 16;
/// Bytes of all that is read in a call from which on caches of a processor's own do not hold it.
const FAR: usize = 1 << 21;
/// Bytes of a cache line.
const LINE: usize = 64;
/// Whether what is read soon is brought to the first-level cache, or to the second.
const AHEAD: bool = false;

/// The scaled products of a query with the first `N` keys of a block, 0 for the others; `soon` is read next.
#[inline(always)]
fn dots<'a, T: Scalar, const N: usize>(
    q: &[T],
    keys: &[T],
    scale: T,
    mut soon: impl Iterator<Item = &'a [T]>,
) -> [T; BLOCK] {
    let mut sums = [T::default(); N];
    for (&x, keys) in q.iter().zip(keys.chunks_exact(BLOCK)) {
        if let Some(row) = soon.next() {
            ask(row);
        }
        for (sum, &key) in sums.iter_mut().zip(keys) {
            *sum += x * key;
        }
    }
    soon.for_each(ask);
    let mut scaled = [T::default(); BLOCK];
    for (scaled, sum) in scaled.iter_mut().zip(sums) {
        *scaled = sum * scale;
    }
    scaled
}

/// Adds the values, weighed by their shares; `soon` is read next.
#[inline(always)]
fn add<'a, T: Scalar>(shares: &[T], values: &[T], out: &mut [T], mut soon: impl Iterator<Item = &'a [T]>) {
    // As many columns at once as registers hold, so that a row of a head is read in one go.
    let mut done = 0;
    if size_of::<T>() <= size_of::<f32>() {
        done = columns::<T, 64>(shares, values, out, done, &mut soon);
    }
    done = columns::<T, 32>(shares, values, out, done, &mut soon);
    let width = out.len();
    for (x, col) in out[done..].iter_mut().zip(done..) {
        for (&share, row) in shares.iter().zip(values.chunks_exact(width)) {
            *x += share * row[col];
        }
    }
    soon.for_each(ask);
}

/// [`add`] for columns from `done` on, `N` at a time as long as there are so many. Returns up to where.
#[inline(always)]
fn columns<'a, T: Scalar, const N: usize>(
    shares: &[T],
    values: &[T],
    out: &mut [T],
    mut done: usize,
    soon: &mut impl Iterator<Item = &'a [T]>,
) -> usize {
    let width = out.len();
    for part in out[done..].chunks_exact_mut(N) {
        let mut sums = [T::default(); N];
        sums.copy_from_slice(part);
        for (&share, row) in shares.iter().zip(values.chunks_exact(width)) {
            if let Some(row) = soon.next() {
                ask(row);
            }
            for (sum, &value) in sums.iter_mut().zip(&row[done..done + N]) {
                *sum += share * value;
            }
        }
        part.copy_from_slice(&sums);
        done += N;
    }
    done
}
