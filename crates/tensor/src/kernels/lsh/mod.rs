//! Attention within chunks and their neighbours, along the sequence or along an order by hash buckets.
//!
//! A task walks over consecutive chunks of queries and keeps the chunks of keys they see in a ring, so that each is gathered,
//! and in backward scattered, once a walk. Rounds of hashing follow one another; within a round a position belongs to one
//! chunk only, so its tasks write to different rows.
mod backward;
mod forward;
mod hash;
mod order;

pub(crate) use backward::{backward, Saved};
pub(crate) use forward::forward;
pub(crate) use hash::{hash, Hash};
pub(crate) use order::by_bucket;

use super::{
    attention::{start, MaskView, Scalar, Stack},
    gemm::{multiply, Mat},
    real::{max, simd, sum, sum2},
};
use smallvec::SmallVec;

/// Rows of a chunk that are worked on at a time.
const ROWS: usize = 64;
/// Chunks that a task walks over, at least.
const WALK: usize = 16;
/// Walks per round and matrix, at most.
const WALKS: usize = 64;
/// What is taken from the product with a later, a masked, and the query's own key; Trax's numbers.
const LATER: f64 = 1e9;
const MASKED: f64 = 1e9;
const OWN: f64 = 1e5;
/// Added to the mean square of a query before it becomes a key.
const EPSILON: f64 = 1e-6;

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
    pub dropout: Option<Dropout<T>>,
}

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
        if self.length.is_multiple_of(self.chunk) {
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
    }
    /// Asks for the queries, keys and values of a chunk that is gathered next.
    fn ask(&self, item: usize, chunk: usize) {
        let Some(order) = self.order else { return };
        let order = &order[item * self.slots() + chunk * self.chunk..][..self.size(chunk)];
        let rows = || order.iter().copied();
        self.view(&self.q, item).ask(rows(), self.depth);
        self.view(&self.v, item).ask(rows(), self.value_depth);
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
    fn ask(&self, positions: impl Iterator<Item = u32>, cols: usize) {
        for at in positions {
            let from = at as usize * self.row;
            ask(&self.data[from..from + cols]);
        }
    }
    fn gather(&self, positions: &[u32], cols: usize, out: &mut [T]) {
        for (out, &at) in out.chunks_exact_mut(cols.max(1)).zip(positions) {
            let from = at as usize * self.row;
            out.copy_from_slice(&self.data[from..from + cols]);
        }
    }
}

/// Brings values towards the processor; changes nothing else.
#[inline(always)]
fn ask<T>(values: &[T]) {
    #[cfg(target_arch = "x86_64")]
    for line in (0..std::mem::size_of_val(values)).step_by(64) {
        use std::arch::x86_64::{_mm_prefetch, _MM_HINT_T0};
        // SAFETY: a prefetch of an address within the slice; SSE is there on every x86-64.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(values.as_ptr().cast::<i8>().add(line)) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = values;
}

/// A chunk of queries, keys and values, gathered.
struct Keys<T> {
    chunk: usize,
    positions: Vec<u32>,
    /// Position of each key; −1 where masked.
    info: Vec<i32>,
    q: Vec<T>,
    /// Keys divided by √depth.
    k: Vec<T>,
    v: Vec<T>,
    /// What a query was multiplied by to become this key.
    scale: Vec<T>,
    /// Gradients of `k` and `v` so far.
    dk: Vec<T>,
    dv: Vec<T>,
}

impl<T: Scalar> Keys<T> {
    fn new(p: &Problem<'_, T>, gradients: bool) -> Self {
        let of = |n| vec![T::default(); n];
        let part = |n| of(if gradients { n } else { 0 });
        let (nk, nv) = (p.chunk * p.depth, p.chunk * p.value_depth);
        let (positions, info) = (Vec::with_capacity(p.chunk), Vec::with_capacity(p.chunk));
        Self {
            chunk: 0,
            positions,
            info,
            q: of(nk),
            k: of(nk),
            v: of(nv),
            scale: of(p.chunk),
            dk: part(nk),
            dv: part(nv),
        }
    }
    fn len(&self) -> usize {
        self.positions.len()
    }
    fn load(&mut self, p: &Problem<'_, T>, item: usize, chunk: usize) {
        self.chunk = chunk;
        p.positions(item, chunk, &mut self.positions);
        let root = T::ONE / T::of(p.depth as f64).sqrt();
        p.view(&p.q, item).gather(&self.positions, p.depth, &mut self.q);
        match &p.k {
            Some(k) => p.view(k, item).gather(&self.positions, p.depth, &mut self.k),
            None => self.k.copy_from_slice(&self.q),
        }
        p.view(&p.v, item).gather(&self.positions, p.value_depth, &mut self.v);
        scale_keys(&mut self.k, p.depth, root, p.k.is_none(), &mut self.scale[..self.positions.len()]);
        self.info.clear();
        match &p.mask {
            None => self.info.extend(self.positions.iter().map(|&at| at as i32)),
            Some(mask) => {
                let data = &mask.data[start(&p.batch, &mask.batch, item)..];
                let seen = |at: u32| if data[at as usize * mask.col] != 0 { at as i32 } else { -1 };
                self.info.extend(self.positions.iter().map(|&at| seen(at)));
            }
        }
        self.dk.fill(T::default());
        self.dv.fill(T::default());
    }
}

simd! {
/// Multiplies each key by `root`, and by 1 / √(mean square + ε) before if `unit`; both factors together go to `scales`.
fn scale_keys<T: Scalar>(k: &mut [T], depth: usize, root: T, unit: bool, scales: &mut [T]) {
    for (key, scale) in k.chunks_exact_mut(depth.max(1)).zip(scales) {
        *scale = root;
        if unit {
            let mean = sum2(key, key, |a, b| a * b) / T::of(depth as f64);
            *scale = root / (mean + T::of(EPSILON)).sqrt();
        }
        for x in key {
            *x *= *scale;
        }
    }
}
}

/// The chunks of keys that a chunk of queries sees, in a ring.
struct Ring<T> {
    keys: Vec<Keys<T>>,
    /// Where the first of the window lies.
    first: usize,
    /// `info` of the window's keys, each chunk filled up with −2 for no key.
    info: Vec<i32>,
    full: bool,
}

impl<T: Scalar> Ring<T> {
    /// The window of a chunk.
    fn new(p: &Problem<'_, T>, item: usize, chunk: usize, gradients: bool) -> Self {
        let mut keys: Vec<Keys<T>> = (0..p.window()).map(|_| Keys::new(p, gradients)).collect();
        for (i, keys) in keys.iter_mut().enumerate() {
            keys.load(p, item, p.neighbour(chunk, i as isize - p.before as isize));
        }
        let mut ring = Self { keys, first: 0, info: vec![-2; p.window() * p.chunk], full: true };
        ring.describe(p);
        ring
    }
    /// The chunk at a place of the window.
    fn at(&self, place: usize) -> &Keys<T> {
        &self.keys[(self.first + place) % self.keys.len()]
    }
    fn at_mut(&mut self, place: usize) -> &mut Keys<T> {
        let n = self.keys.len();
        &mut self.keys[(self.first + place) % n]
    }
    /// Moves the window to the next chunk, `chunk`, over the place of its first chunk.
    fn advance(&mut self, p: &Problem<'_, T>, item: usize, chunk: usize) {
        let next = p.neighbour(chunk, p.after as isize);
        self.at_mut(0).load(p, item, next);
        p.ask(item, p.neighbour(next, 1));
        self.first = (self.first + 1) % self.keys.len();
        self.describe(p);
    }
    fn describe(&mut self, p: &Problem<'_, T>) {
        let n = self.keys.len();
        self.full = true;
        for place in 0..n {
            let keys = &self.keys[(self.first + place) % n];
            let info = &mut self.info[place * p.chunk..(place + 1) * p.chunk];
            info[..keys.len()].copy_from_slice(&keys.info);
            info[keys.len()..].fill(-2);
            self.full &= keys.len() == p.chunk;
        }
    }
}

/// A block of queries of a chunk, and its attention strengths over the window.
struct Block<T> {
    /// exp(product − top), `window · chunk` columns.
    strengths: Vec<T>,
    /// Largest product of each row, and the sum of its strengths.
    top: Vec<T>,
    total: Vec<T>,
    info: Vec<i32>,
    factors: Vec<T>,
    words: Vec<u32>,
}

impl<T: Scalar> Block<T> {
    fn new(p: &Problem<'_, T>) -> Self {
        let (rows, cols) = (ROWS.min(p.chunk), p.window() * p.chunk);
        let of = |n| vec![T::default(); n];
        let dropout = if p.dropout.is_some() { rows * cols } else { 0 };
        Self {
            strengths: of(rows * cols),
            top: of(rows),
            total: of(rows),
            info: Vec::with_capacity(rows),
            factors: of(dropout),
            words: vec![0; if dropout > 0 { cols } else { 0 }],
        }
    }
    /// Strengths of `rows` queries from row `row` of their chunk.
    fn attend(&mut self, p: &Problem<'_, T>, ring: &Ring<T>, row: usize, rows: usize) {
        let (own, cols) = (ring.at(p.before), p.window() * p.chunk);
        let q = Mat::dense(&own.q[row * p.depth..], rows, p.depth);
        for place in 0..p.window() {
            let keys = ring.at(place);
            let k = Mat::dense(&keys.k, keys.len(), p.depth);
            multiply(&mut self.strengths[place * p.chunk..], cols, q, k.t(), T::ONE, false);
        }
        self.info.clear();
        self.info.extend(own.positions[row..row + rows].iter().map(|&at| at as i32));
        let how = Penalties { causal: p.causal, own: p.exclude_self, masked: p.mask.is_some(), holes: !ring.full };
        let x = &mut self.strengths[..rows * cols];
        penalise(x, &self.info, &ring.info, how);
        exponentials(x, cols, &mut self.top[..rows], &mut self.total[..rows]);
    }
    /// 0 or 1 / (1 − rate) for each strength of `rows` rows from row `row` of a chunk; the same in each chunk.
    fn draw(&mut self, p: &Problem<'_, T>, row: usize, rows: usize) {
        let Some(dropout) = &p.dropout else { return };
        let cols = p.window() * p.chunk;
        for (i, out) in self.factors[..rows * cols].chunks_exact_mut(cols).enumerate() {
            dropout.stream.fill((row + i) * cols, &mut self.words);
            for (f, &w) in out.iter_mut().zip(&self.words) {
                *f = if w >> 9 < dropout.threshold { dropout.scale } else { T::default() };
            }
        }
    }
}

/// What is taken from products.
#[derive(Clone, Copy)]
struct Penalties {
    causal: bool,
    own: bool,
    masked: bool,
    /// Whether some columns are no keys.
    holes: bool,
}

simd! {
/// Takes from each product what Trax takes, in its order and rounding.
fn penalise<T: Scalar>(x: &mut [T], q: &[i32], k: &[i32], how: Penalties) {
    let (later, own, masked) = (T::of(-LATER), T::of(-OWN), T::of(-MASKED));
    for (row, &q) in x.chunks_exact_mut(k.len()).zip(q) {
        if how.causal {
            for (x, &k) in row.iter_mut().zip(k) {
                *x += if q < k { later } else { T::default() };
            }
        }
        if how.own {
            for (x, &k) in row.iter_mut().zip(k) {
                *x += if q == k { own } else { T::default() };
            }
        }
        if how.masked {
            for (x, &k) in row.iter_mut().zip(k) {
                *x += if k == -1 { masked } else { T::default() };
            }
        }
        if how.holes {
            for (x, &k) in row.iter_mut().zip(k) {
                *x = if k == -2 { T::LOWEST } else { *x };
            }
        }
    }
}
}

simd! {
/// Turns products into exp(product − top) with the row's largest as top, and sums them.
fn exponentials<T: Scalar>(x: &mut [T], cols: usize, top: &mut [T], total: &mut [T]) {
    for ((row, top), total) in x.chunks_exact_mut(cols).zip(top).zip(total) {
        *top = max(row);
        let from = if *top == T::LOWEST { T::default() } else { *top };
        for x in row.iter_mut() {
            *x = (*x - from).power();
        }
        *total = sum(row, |x| x);
    }
}
}

/// log Σ exp of a row of which the largest and the sum of exponentials are known, in the rounding that decides Trax's result
/// when everything is masked.
#[inline(always)]
fn log_sum<T: Scalar>(top: T, total: T) -> T {
    top + total.ln()
}

simd! {
/// Element-wise product into the first.
fn multiply_by<T: Scalar>(x: &mut [T], factors: &[T]) {
    for (x, &f) in x.iter_mut().zip(factors) {
        *x *= f;
    }
}
}
