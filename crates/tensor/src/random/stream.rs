//! The words of one draw, from any position, and their conversion to elements in parallel.
//!
//! A draw of n words splits the counters 0 … n-1 into two halves, the second padded with one 0 when n is odd, and
//! block i takes a counter from each: so word i and word i + ⌈n/2⌉ come from the same block.
use super::{key::Key, threefry};
use crate::{memory, threads, Result};

/// Draws of this many words or more are cut into pieces with keys of their own, as counters have 32 bits.
const PIECE: usize = u32::MAX as usize;
/// Words made at a time: two buffers of this size stay in the first-level cache.
const BUFFER: usize = 1024;
/// Words per task.
const CHUNK: usize = 8 * BUFFER;

/// The `len` words that a draw of that length from `key` has, readable at any position without making the others.
#[derive(Debug, Clone)]
pub(crate) struct BitStream {
    pieces: Vec<Piece>,
}

/// Up to [`PIECE`] words under one key.
#[derive(Debug, Clone, Copy)]
struct Piece {
    key: Key,
    len: usize,
}

impl Piece {
    /// Words in the first half.
    fn half(&self) -> usize {
        self.len.div_ceil(2)
    }
    /// Words `start..` of the first half into `low` and `half + start..` of the second into `high`, from the same blocks.
    ///
    /// `low` and `high` have the same length; at the end of an odd draw the last word of `high` is the one dropped.
    fn fill_pair(&self, start: usize, low: &mut [u32], high: &mut [u32]) {
        let half = self.half();
        threefry::blocks(self.key, start as u32, (half + start) as u32, low, high);
        if self.len % 2 == 1 && start + low.len() == half && !low.is_empty() {
            // The last block of an odd draw has the padding as its second counter.
            let [a, b] = threefry::threefry_2x32(self.key, [(half - 1) as u32, 0]);
            (low[low.len() - 1], high[high.len() - 1]) = (a, b);
        }
    }
    /// Words `start..` of this piece.
    fn fill(&self, start: usize, out: &mut [u32]) {
        let half = self.half();
        let mut other = [0u32; BUFFER];
        let (first, second) = out.split_at_mut(out.len().min(half.saturating_sub(start)));
        for (i, part) in first.chunks_mut(BUFFER).enumerate() {
            let n = part.len();
            self.fill_pair(start + i * BUFFER, part, &mut other[..n]);
        }
        let start = start.max(half) - half;
        for (i, part) in second.chunks_mut(BUFFER).enumerate() {
            let n = part.len();
            self.fill_pair(start + i * BUFFER, &mut other[..n], part);
        }
    }
}

impl BitStream {
    /// The draw of `len` words from `key`.
    pub(crate) fn new(key: Key, len: usize) -> Self {
        let (whole, rest) = (len / PIECE, len % PIECE);
        if whole == 0 {
            return Self { pieces: vec![Piece { key, len }] };
        }
        let lens = (0..=whole).map(|i| if i < whole { PIECE } else { rest });
        Self { pieces: key.split(whole + 1).into_iter().zip(lens).map(|(key, len)| Piece { key, len }).collect() }
    }
    /// The distance between the two words of a block: word `i` below it and word `i + half` share one.
    ///
    /// `None` for the giant draws that are cut into pieces (2^32 - 1 words and more); use [`fill`](Self::fill) there.
    pub(crate) fn half(&self) -> Option<usize> {
        match &self.pieces[..] {
            [piece] => Some(piece.half()),
            _ => None,
        }
    }
    /// Words `start..start + out.len()` of the draw. Costs two words each, as a block's other word is thrown away.
    pub(crate) fn fill(&self, start: usize, out: &mut [u32]) {
        let (mut start, mut out) = (start, out);
        for piece in &self.pieces {
            if out.is_empty() {
                return;
            }
            if start < piece.len {
                let (now, later) = out.split_at_mut(out.len().min(piece.len - start));
                piece.fill(start, now);
                (start, out) = (piece.len, later);
            }
            start -= piece.len;
        }
    }
    /// Words `start..` of the first half into `low` and `half + start..` into `high`, at the cost of one word each.
    ///
    /// Both slices have the same length. Only where [`half`](Self::half) is `Some`; at the end of an odd draw the last
    /// word of `high` lies beyond the draw and means nothing.
    pub(crate) fn fill_pair(&self, start: usize, low: &mut [u32], high: &mut [u32]) {
        self.pieces[0].fill_pair(start, low, high);
    }
}

/// Fills `out` from a draw of 32-bit words, each word giving `per_word` consecutive elements through `convert(words, part)`.
pub(super) fn generate<T: Send>(
    key: Key,
    out: &mut [T],
    per_word: usize,
    convert: impl Fn(&[u32], &mut [T]) + Sync,
) -> Result<()> {
    let stream = BitStream::new(key, out.len().div_ceil(per_word));
    let mut rest = out;
    for piece in &stream.pieces {
        let (part, later) = rest.split_at_mut(rest.len().min(piece.len * per_word));
        rest = later;
        let (low, high) = part.split_at_mut(part.len().min(piece.half() * per_word));
        let task = |(i, low, high): (usize, &mut [T], &mut [T])| {
            let (mut a, mut b) = ([0u32; BUFFER], [0u32; BUFFER]);
            let step = BUFFER * per_word;
            for (j, low) in low.chunks_mut(step).enumerate() {
                let n = low.len().div_ceil(per_word);
                piece.fill_pair(i * CHUNK + j * BUFFER, &mut a[..n], &mut b[..n]);
                convert(&a[..n], low);
                let from = (j * step).min(high.len());
                let to = (from + step).min(high.len());
                let part = &mut high[from..to];
                convert(&b[..part.len().div_ceil(per_word)], part);
            }
        };
        in_pairs(low, high, CHUNK * per_word, task)?;
    }
    Ok(())
}

/// Fills `out` from a draw of 64-bit words: `convert(low, high, part)` gets the high and low halves of each.
pub(super) fn generate_wide<T: Send>(
    key: Key,
    out: &mut [T],
    convert: impl Fn(&[u32], &[u32], &mut [T]) + Sync,
) -> Result<()> {
    let n = out.len();
    let stream = BitStream::new(key, 2 * n);
    threads::for_chunks(out, CHUNK, |start, part| {
        let (mut a, mut b) = ([0u32; BUFFER], [0u32; BUFFER]);
        for (j, part) in part.chunks_mut(BUFFER).enumerate() {
            let (start, len) = (start + j * BUFFER, part.len());
            if stream.half().is_some() {
                stream.fill_pair(start, &mut a[..len], &mut b[..len]);
            } else {
                stream.fill(start, &mut a[..len]);
                stream.fill(start + n, &mut b[..len]);
            }
            convert(&a[..len], &b[..len], part);
        }
    })
}

/// Calls `task(i, low_part, high_part)` for the `i`-th parts of both, in parallel when it pays. `high` may be shorter.
fn in_pairs<T: Send>(
    low: &mut [T],
    high: &mut [T],
    chunk: usize,
    task: impl Fn((usize, &mut [T], &mut [T])) + Sync,
) -> Result<()> {
    let count = low.len().div_ceil(chunk);
    let work = low.len() + high.len();
    let lows = low.chunks_mut(chunk);
    let highs = high.chunks_mut(chunk).map(Some).chain(std::iter::repeat_with(|| None));
    let mut parts = memory::room(count)?;
    for (i, (low, high)) in lows.zip(highs).enumerate() {
        parts.push((i, low, high.unwrap_or_default()));
    }
    threads::for_tasks(parts, work, task)
}
