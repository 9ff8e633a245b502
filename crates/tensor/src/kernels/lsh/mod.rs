//! Attention within chunks and their neighbours, along the sequence or along an order by hash buckets.
//!
//! A task walks over consecutive chunks of queries and keeps the chunks of keys they see in a ring, so that each is gathered,
//! and in backward scattered, once a walk. Rounds of hashing follow one another; within a round a position belongs to one
//! chunk only, so its tasks write to different rows.
//!
//! Positions of a causal chunk are worked on in ascending order, whatever their buckets: what is later than a few queries is then
//! the end of each chunk of keys, and is left out. It would weigh nothing, as each query sees at least itself.
mod backward;
mod block;
mod forward;
mod hash;
mod merge;
mod order;
mod problem;
mod ring;

pub(crate) use backward::backward;
pub(crate) use forward::forward;
pub(crate) use hash::{hash, Hash};
pub(crate) use order::{by_bucket, by_segment_and_bucket};

use super::{
    attention::{start, Scalar, Stack},
    gemm::{padded, PAD},
    prefetch::prefetch,
    real::simd,
};
pub(crate) use problem::{Dropout, Problem};
use problem::{LATER, MASKED, MASKED_KEY, NO_KEY, OWN, ROWS, WALK, WALKS};
use ring::{Keys, Ring};

/// How chunks are dealt to tasks, by shape alone.
#[derive(Clone, Copy)]
struct Schedule {
    /// Rounds that follow one another; one if chunks reach over the end of a round.
    rounds: usize,
    /// Chunks of a round.
    chunks: usize,
    /// Chunks of a walk.
    walk: usize,
}

impl Schedule {
    fn walks(&self) -> usize {
        self.chunks.div_ceil(self.walk)
    }
    /// The chunks of a walk, counted over all rounds.
    fn range(&self, round: usize, walk: usize) -> std::ops::Range<usize> {
        let first = round * self.chunks;
        first + walk * self.walk..first + ((walk + 1) * self.walk).min(self.chunks)
    }
}

impl<'a, T: Scalar> Problem<'a, T> {
    fn items(&self) -> usize {
        self.batch.iter().product()
    }
    /// Places in all chunks of a matrix.
    fn slots(&self) -> usize {
        self.rounds * self.length
    }
    fn chunks(&self) -> usize {
        self.slots().div_ceil(self.chunk)
    }
    /// Chunks of keys that a query sees.
    fn window(&self) -> usize {
        self.before + 1 + self.after
    }
    fn schedule(&self) -> Schedule {
        if self.whole_chunks() {
            let chunks = self.length / self.chunk;
            Schedule { rounds: self.rounds, chunks, walk: WALK.max(chunks.div_ceil(WALKS)) }
        } else {
            Schedule { rounds: 1, chunks: self.chunks(), walk: self.chunks() }
        }
    }
    /// Positions of a chunk.
    fn size(&self, chunk: usize) -> usize {
        self.chunk.min(self.slots() - chunk * self.chunk)
    }
    /// The positions in a chunk.
    fn positions(&self, item: usize, chunk: usize, out: &mut Vec<u32>) {
        let (from, len) = (chunk * self.chunk, self.size(chunk));
        out.clear();
        match self.order {
            Some(order) => out.extend_from_slice(&order[item * self.slots() + from..][..len]),
            None => out.extend(from as u32..(from + len) as u32),
        }
        if self.ascends() {
            out.sort_unstable();
        }
    }
    /// Whether every chunk is of one round.
    fn whole_chunks(&self) -> bool {
        self.length.is_multiple_of(self.chunk)
    }
    /// Whether positions of a chunk are worked on in ascending order, so that what is later need not be looked at. With masks a
    /// query may see nothing, and then it sees what is later too; dropout is by the place in a chunk.
    fn ascends(&self) -> bool {
        self.causal && self.mask.is_none() && self.dropout.is_none() && self.whole_chunks()
    }
    /// Keys whose gradients are worked on together.
    fn keys(&self) -> usize {
        if self.ascends() {
            PAD
        } else {
            self.chunk
        }
    }
    /// Floats from one row of queries or keys to the next in a task's memory, from one of values, and from one chunk's columns.
    fn strides(&self) -> [usize; 3] {
        [padded(self.depth), padded(self.value_depth), padded(self.chunk)]
    }
    /// Columns of strengths.
    fn cols(&self) -> usize {
        self.window() * padded(self.chunk)
    }
    /// Asks for the queries, keys and values of a chunk that is gathered next.
    fn ask(&self, item: usize, chunk: usize) {
        let Some(order) = self.order else { return };
        let order = &order[item * self.slots() + chunk * self.chunk..][..self.size(chunk)];
        self.view(&self.q, item).ask(order, self.depth);
        self.view(&self.v, item).ask(order, self.value_depth);
    }
    /// The chunk `offset` places along, around the end.
    fn neighbour(&self, chunk: usize, offset: isize) -> usize {
        (chunk as isize + offset).rem_euclid(self.chunks() as isize) as usize
    }
    fn view<'b>(&self, stack: &'b Stack<'a, T>, item: usize) -> Rows<'b, T> {
        Rows { data: &stack.data[start(&self.batch, &stack.batch, item)..], row: stack.row }
    }
}

/// Rows of one matrix.
#[derive(Clone, Copy)]
struct Rows<'a, T> {
    data: &'a [T],
    row: usize,
}

impl<T: Scalar> Rows<'_, T> {
    /// Asks for rows that will be read soon: they lie anywhere, so the processor cannot guess them.
    fn ask(&self, positions: &[u32], cols: usize) {
        for &at in positions {
            let from = at as usize * self.row;
            ask(&self.data[from..from + cols]);
        }
    }
    /// Copies rows to places `stride` apart.
    fn gather(&self, positions: &[u32], cols: usize, out: &mut [T], stride: usize) {
        gather(self.data, self.row, positions, cols, out, stride);
    }
}

simd! {
fn gather<T: Scalar>(data: &[T], row: usize, positions: &[u32], cols: usize, out: &mut [T], stride: usize) {
    for (out, &at) in out.chunks_exact_mut(stride.max(1)).zip(positions) {
        let from = &data[at as usize * row..][..cols];
        let ((to, to_rest), (from, from_rest)) = (out[..cols].as_chunks_mut::<PAD>(), from.as_chunks::<PAD>());
        for (to, from) in to.iter_mut().zip(from) {
            *to = *from;
        }
        to_rest.copy_from_slice(from_rest);
    }
}
}

/// Brings values towards the processor; changes nothing else.
#[inline(always)]
fn ask<T>(values: &[T]) {
    for line in (0..std::mem::size_of_val(values)).step_by(64) {
        prefetch::<false, _>(values.as_ptr().cast::<u8>().wrapping_add(line));
    }
}
