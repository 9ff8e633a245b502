//! A block of queries of a chunk, and its attention strengths over the window.
use super::{Problem, Ring, LATER, MASKED, MASKED_KEY, NO_KEY, OWN, ROWS};
use crate::{
    kernels::{
        attention::{apart, Scalar},
        gemm::{padded, small, Mat, Side, Turned, PAD},
        real::simd,
    },
    memory, Result,
};
use smallvec::SmallVec;
use std::ops::Range;

/// Queries of a step, where positions ascend.
const STEP: usize = 8;

/// What a block of queries sees: its queries by steps, and for each step and chunk of the window how many keys.
#[derive(Default)]
pub(super) struct Sight {
    rows: usize,
    /// Queries of a step, and keys whose gradients are worked on together.
    step: usize,
    keys: usize,
    window: usize,
    seen: Vec<usize>,
    /// How many of them all queries of the step see as they are.
    plain: Vec<usize>,
    /// Whether a chunk of the window has no key in a segment of the block's queries.
    apart: Vec<bool>,
}

impl Sight {
    fn look<T: Scalar>(&mut self, p: &Problem<'_, T>, ring: &Ring<T>, row: usize, rows: usize) {
        (self.rows, self.window) = (rows, p.window());
        (self.step, self.keys) = (if p.ascends() { STEP } else { rows }, p.keys());
        self.seen.clear();
        self.plain.clear();
        self.apart.clear();
        let own = p.segments.as_ref().map(|_| &ring.at(p.before).segments[row..row + rows]);
        let of = |place| own.is_some_and(|own| apart(own, &ring.at(place).segments));
        self.apart.extend((0..self.window).map(of));
        for queries in ring.at(p.before).positions[row..row + rows].chunks(self.step) {
            let (first, last) = (queries[0], queries[queries.len() - 1]);
            for place in 0..self.window {
                if self.apart[place] {
                    self.seen.push(0);
                    self.plain.push(0);
                    continue;
                }
                let keys = &ring.at(place).positions;
                let seen = |at| keys.partition_point(|&key| key < at);
                self.seen.push(if p.ascends() { seen(last + 1) } else { keys.len() });
                self.plain.push(if p.ascends() { seen(first) } else { 0 });
            }
        }
    }
    pub(super) fn steps(&self) -> usize {
        self.rows.div_ceil(self.step)
    }
    /// The queries of a step.
    pub(super) fn rows(&self, step: usize) -> Range<usize> {
        step * self.step..self.rows.min((step + 1) * self.step)
    }
    /// How many keys of each chunk of the window a step sees.
    pub(super) fn seen(&self, step: usize) -> &[usize] {
        &self.seen[step * self.window..(step + 1) * self.window]
    }
    /// The columns that a step sees.
    fn parts(&self, p: &Problem<'_, impl Scalar>, step: usize) -> SmallVec<[Part; 4]> {
        let [.., wide] = p.strides();
        let plain = &self.plain[step * self.window..(step + 1) * self.window];
        let places = self.seen(step).iter().zip(plain).enumerate();
        let part = |at, plain, seen: usize| Part { at, taken: at + plain / PAD, end: at + seen.div_ceil(PAD) };
        places.map(|(place, (&seen, &plain))| part(place * wide / PAD, plain, seen)).collect()
    }
    /// Keys of the chunk at `place` that are worked on together, each with the first query that sees some of them.
    pub(super) fn by_keys(&self, place: usize, len: usize) -> impl Iterator<Item = (Range<usize>, usize)> + '_ {
        (0..len).step_by(self.keys).filter_map(move |key| {
            let step = (0..self.steps()).find(|&step| self.seen(step)[place] > key)?;
            Some((key..len.min(key + self.keys), step * self.step))
        })
    }
}

/// Columns of one chunk that a step sees, counted in registers.
struct Part {
    at: usize,
    /// Where those start from whose products something may be taken.
    taken: usize,
    end: usize,
}

pub(super) struct Block<T> {
    /// Attention strengths, [`Problem::cols`] a row. What a step does not see may hold anything.
    pub strengths: Vec<T>,
    /// Largest product of each row, and the sum of exp(product − top).
    pub top: Vec<T>,
    pub total: Vec<T>,
    /// Factors of dropout.
    pub factors: Vec<T>,
    pub sight: Sight,
    info: Vec<i32>,
    segments: Vec<i32>,
    words: Vec<u32>,
}

impl<T: Scalar> Block<T> {
    pub(super) fn new(p: &Problem<'_, T>) -> Result<Self> {
        let (rows, cols) = (ROWS.min(p.chunk), p.cols());
        let of = memory::zeros::<T>;
        let dropout = if p.dropout.is_some() { rows * cols } else { 0 };
        Ok(Self {
            strengths: of(rows * cols)?,
            top: of(rows)?,
            total: of(rows)?,
            factors: of(dropout)?,
            sight: Sight::default(),
            info: memory::room(rows)?,
            segments: memory::room(if p.segments.is_some() { rows } else { 0 })?,
            words: memory::zeros(if dropout > 0 { p.window() * p.chunk } else { 0 })?,
        })
    }
    /// Turns to `rows` queries from row `row` of their chunk.
    pub(super) fn look(&mut self, p: &Problem<'_, T>, ring: &Ring<T>, row: usize, rows: usize) {
        self.sight.look(p, ring, row, rows);
        self.info.clear();
        self.info.extend(ring.at(p.before).positions[row..row + rows].iter().map(|&at| at as i32));
        if p.segments.is_some() {
            self.segments.clear();
            self.segments.extend_from_slice(&ring.at(p.before).segments[row..row + rows]);
        }
    }
    /// Puts −∞ for the products of a step with keys of other segments.
    fn keep_own(&mut self, p: &Problem<'_, T>, ring: &Ring<T>, step: usize) {
        if p.segments.is_none() {
            return;
        }
        let (rows, cols) = (self.sight.rows(step), p.cols());
        let x = &mut self.strengths[rows.start * cols..rows.end * cols];
        keep_own(x, &self.sight.parts(p, step), (&self.segments[rows], &ring.segments));
    }
    /// The products of a step with the keys it sees; `row` is that of the block in its chunk.
    pub(super) fn products(&mut self, p: &Problem<'_, T>, ring: &Ring<T>, row: usize, step: usize) {
        let q = &ring.at(p.before).q[row * p.strides()[0]..];
        dots(&mut self.strengths, p, &self.sight, step, (q, p.depth), |place| &ring.at(place).turned_k);
    }
    /// Turns the products of a step into exp(product − top), and sums them.
    pub(super) fn exponentials(&mut self, p: &Problem<'_, T>, ring: &Ring<T>, step: usize) {
        self.keep_own(p, ring, step);
        let (rows, cols) = (self.sight.rows(step), p.cols());
        let x = &mut self.strengths[rows.start * cols..rows.end * cols];
        let (top, total) = (&mut self.top[rows.clone()], &mut self.total[rows.clone()]);
        let infos = (&self.info[rows], &ring.info[..]);
        exponentials(x, &self.sight.parts(p, step), infos, &Penalties::of(p, ring), top, total);
    }
    /// Turns the products of a step into exp(product − whole), and cotangents of these strengths into those of the products.
    pub(super) fn gradients(
        &mut self,
        p: &Problem<'_, T>,
        ring: &Ring<T>,
        step: usize,
        cotangents: &mut [T],
        whole: &[T],
        pull: &[T],
    ) {
        let (rows, cols) = (self.sight.rows(step), p.cols());
        let part = rows.start * cols..rows.end * cols;
        let xs = (&mut self.strengths[part.clone()], &mut cotangents[part]);
        let infos = (&self.info[rows.clone()], &ring.info[..]);
        let scalars = (&whole[rows.clone()], &pull[rows]);
        gradients(xs, &self.sight.parts(p, step), infos, &Penalties::of(p, ring), scalars);
    }
    /// 0 or 1 / (1 − rate) for each strength of `rows` rows from row `row` of a chunk; the same in each chunk.
    pub(super) fn draw(&mut self, p: &Problem<'_, T>, row: usize, rows: usize) {
        let Some(dropout) = &p.dropout else { return };
        let (cols, [.., wide]) = (p.cols(), p.strides());
        for (i, out) in self.factors[..rows * cols].chunks_exact_mut(cols).enumerate() {
            dropout.stream.fill((row + i) * self.words.len(), &mut self.words);
            for (out, words) in out.chunks_exact_mut(wide).zip(self.words.chunks_exact(p.chunk)) {
                for (f, &w) in out.iter_mut().zip(words) {
                    *f = if w >> 9 < dropout.threshold { dropout.scale } else { T::default() };
                }
            }
        }
    }
}

/// Products of the rows of a step, of `x` with their size, with the matrices at the places of the window.
pub(super) fn dots<'a, T: Scalar>(
    out: &mut [T],
    p: &Problem<'_, T>,
    sight: &Sight,
    step: usize,
    (x, depth): (&[T], usize),
    turned: impl Fn(usize) -> &'a Turned<T>,
) {
    let (rows, cols, [.., wide]) = (sight.rows(step), p.cols(), p.strides());
    let x = Mat::new(&x[rows.start * padded(depth)..], [rows.len(), depth], [padded(depth), 1]);
    for (place, &seen) in sight.seen(step).iter().enumerate().filter(|seen| *seen.1 > 0) {
        let out = &mut out[rows.start * cols + place * wide..];
        small(out, cols, x, Side::Turned(turned(place)), padded(seen), false);
    }
}

/// The rows of a step of `x`, with a column for each key of the window, times the rows of the chunks at its places, `row` apart.
pub(super) fn sums<'a, T: Scalar>(
    out: &mut [T],
    p: &Problem<'_, T>,
    sight: &Sight,
    step: usize,
    x: &[T],
    row: usize,
    chunk: impl Fn(usize) -> &'a [T],
) {
    let (rows, cols, [.., wide]) = (sight.rows(step), p.cols(), p.strides());
    let out = &mut out[rows.start * row..rows.end * row];
    let mut any = false;
    for (place, &seen) in sight.seen(step).iter().enumerate().filter(|seen| *seen.1 > 0) {
        let x = Mat::new(&x[rows.start * cols + place * wide..], [rows.len(), seen], [cols, 1]);
        small(out, row, x, Side::Rows(chunk(place), row), row, any);
        any = true;
    }
    if !any {
        out.fill(T::default());
    }
}

/// What is taken from products.
struct Penalties<T> {
    later: T,
    own: T,
    masked: T,
    /// Whether keys may be masked, or columns be no keys.
    rare: bool,
}

impl<T: Scalar> Penalties<T> {
    fn of(p: &Problem<'_, T>, ring: &Ring<T>) -> Self {
        let of = |on, much: f64| if on { T::of(-much) } else { T::default() };
        Self {
            later: of(p.causal, LATER),
            own: of(p.exclude_self, OWN),
            masked: T::of(-MASKED),
            rare: p.mask.is_some() || ring.holes,
        }
    }
    /// Takes from a register's products what Trax does, in its order and rounding.
    #[inline(always)]
    fn take_all(&self, x: &mut [T; PAD], q: i32, k: &[i32; PAD]) {
        for i in 0..PAD {
            x[i] += if q < k[i] { self.later } else { T::default() };
        }
        for i in 0..PAD {
            x[i] += if q == k[i] { self.own } else { T::default() };
        }
        if self.rare {
            for i in 0..PAD {
                x[i] += if k[i] == MASKED_KEY { self.masked } else { T::default() };
            }
            for i in 0..PAD {
                x[i] = if k[i] == NO_KEY { T::LOWEST } else { x[i] };
            }
        }
    }
}

/// A row by registers.
#[inline(always)]
fn registers<T>(x: &[T]) -> &[[T; PAD]] {
    x.as_chunks().0
}

/// The same, to be written.
#[inline(always)]
fn registers_mut<T>(x: &mut [T]) -> &mut [[T; PAD]] {
    x.as_chunks_mut().0
}

#[inline(always)]
fn larger<T: Scalar>(a: T, b: T) -> T {
    if b > a {
        b
    } else {
        a
    }
}

/// Lane by lane the larger.
#[inline(always)]
fn raise<T: Scalar>(tops: &mut [T; PAD], x: &[T; PAD]) {
    for i in 0..PAD {
        tops[i] = larger(tops[i], x[i]);
    }
}

/// A register's products become strengths, and cotangents of these those of the products.
#[inline(always)]
fn turn<T: Scalar>(x: &mut [T; PAD], g: &mut [T; PAD], whole: T, pull: T) {
    for i in 0..PAD {
        // No product is above the logarithm of the sum but by its rounding.
        x[i] = (x[i] - whole).exp_negative();
        g[i] = x[i] * (g[i] - pull);
    }
}

/// The lanes of a register come to one value, by halves.
#[inline(always)]
fn fold<T: Scalar>(lanes: &[T; PAD], f: impl Fn(T, T) -> T) -> T {
    // Unseen by the compiler, which else cuts the loop before into the pairs that come last, or gathers lanes of several rows.
    let mut lanes = std::hint::black_box(*lanes);
    let mut width = PAD / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] = f(lanes[i], lanes[i + width]);
        }
        width /= 2;
    }
    lanes[0]
}

simd! {
fn keep_own<T: Scalar>(x: &mut [T], parts: &[Part], (q, k): (&[i32], &[i32])) {
    let (wide, k) = (k.len() / PAD, registers(k));
    for (x, &q) in registers_mut(x).chunks_mut(wide).zip(q) {
        for at in parts.iter().flat_map(|part| part.at..part.end) {
            for (x, &k) in x[at].iter_mut().zip(&k[at]) {
                *x = if k == q { *x } else { T::LOWEST };
            }
        }
    }
}
}

// Row within register, not register within row: rows do not wait for one another, and registers are few and soon at an end.
simd! {
fn exponentials<T: Scalar>(
    x: &mut [T],
    parts: &[Part],
    (q, k): (&[i32], &[i32]),
    how: &Penalties<T>,
    top: &mut [T],
    total: &mut [T],
) {
    let (wide, k) = (k.len() / PAD, registers(k));
    let groups = registers_mut(x).chunks_mut(STEP * wide).zip(q.chunks(STEP));
    for ((x, q), (top, total)) in groups.zip(top.chunks_mut(STEP).zip(total.chunks_mut(STEP))) {
        let (mut tops, mut sums) = ([[T::LOWEST; PAD]; STEP], [[T::default(); PAD]; STEP]);
        for part in parts {
            for at in part.taken..part.end {
                for (row, &q) in q.iter().enumerate() {
                    how.take_all(&mut x[row * wide + at], q, &k[at]);
                }
            }
            for at in part.at..part.end {
                for (row, tops) in tops[..q.len()].iter_mut().enumerate() {
                    raise(tops, &x[row * wide + at]);
                }
            }
        }
        for (top, tops) in top.iter_mut().zip(&tops) {
            *top = fold(tops, larger);
        }
        for part in parts {
            for at in part.at..part.end {
                for (row, (sums, &top)) in sums.iter_mut().zip(top.iter()).enumerate() {
                    let from = if top == T::LOWEST { T::default() } else { top };
                    let x = &mut x[row * wide + at];
                    for x in x.iter_mut() {
                        *x = (*x - from).exp_negative();
                    }
                    for (sum, &x) in sums.iter_mut().zip(x.iter()) {
                        *sum += x;
                    }
                }
            }
        }
        for (total, sums) in total.iter_mut().zip(&sums) {
            *total = fold(sums, |a, b| a + b);
        }
    }
}
}

simd! {
fn gradients<T: Scalar>(
    (x, g): (&mut [T], &mut [T]),
    parts: &[Part],
    (q, k): (&[i32], &[i32]),
    how: &Penalties<T>,
    (whole, pull): (&[T], &[T]),
) {
    let wide = k.len() / PAD;
    let (x, g, k) = (registers_mut(x), registers_mut(g), registers(k));
    for part in parts {
        for at in part.taken..part.end {
            for (row, &q) in q.iter().enumerate() {
                how.take_all(&mut x[row * wide + at], q, &k[at]);
            }
        }
        for at in part.at..part.end {
            for (row, (&whole, &pull)) in whole.iter().zip(pull).enumerate() {
                turn(&mut x[row * wide + at], &mut g[row * wide + at], whole, pull);
            }
        }
    }
}
}
