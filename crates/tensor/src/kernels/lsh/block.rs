//! A block of queries of a chunk, and its attention strengths over the window.
use super::{Problem, Ring, LATER, MASKED, OWN, ROWS};
use crate::kernels::{
    attention::Scalar,
    gemm::{padded, small, Mat, Side, Turned, PAD},
    real::simd,
};
use std::ops::Range;

/// Queries of a step, where positions ascend.
const STEP: usize = 8;
/// Keys whose gradients are worked on together, where positions ascend.
const KEYS: usize = PAD;

/// What a block of queries sees: its queries by steps, and for each step and chunk of the window how many keys.
#[derive(Default)]
pub(super) struct Sight {
    rows: usize,
    /// Queries of a step, and keys whose gradients are worked on together.
    step: usize,
    keys: usize,
    window: usize,
    seen: Vec<usize>,
}

impl Sight {
    fn look<T: Scalar>(&mut self, p: &Problem<'_, T>, ring: &Ring<T>, row: usize, rows: usize) {
        (self.rows, self.window) = (rows, p.window());
        (self.step, self.keys) = if p.ascends() { (STEP, KEYS) } else { (rows, p.chunk) };
        self.seen.clear();
        for queries in ring.at(p.before).positions[row..row + rows].chunks(self.step) {
            let last = queries[queries.len() - 1];
            for place in 0..self.window {
                let keys = &ring.at(place).positions;
                self.seen.push(if p.ascends() { keys.partition_point(|&at| at <= last) } else { keys.len() });
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
    /// Keys of the chunk at `place` that are worked on together, each with the first query that sees some of them.
    pub(super) fn by_keys(&self, place: usize, len: usize) -> impl Iterator<Item = (Range<usize>, usize)> + '_ {
        (0..len).step_by(self.keys).filter_map(move |key| {
            let step = (0..self.steps()).find(|&step| self.seen(step)[place] > key)?;
            Some((key..len.min(key + self.keys), step * self.step))
        })
    }
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
    words: Vec<u32>,
}

impl<T: Scalar> Block<T> {
    pub(super) fn new(p: &Problem<'_, T>) -> Self {
        let (rows, cols) = (ROWS.min(p.chunk), p.cols());
        let of = |n| vec![T::default(); n];
        let dropout = if p.dropout.is_some() { rows * cols } else { 0 };
        Self {
            strengths: of(rows * cols),
            top: of(rows),
            total: of(rows),
            factors: of(dropout),
            sight: Sight::default(),
            info: Vec::with_capacity(rows),
            words: vec![0; if dropout > 0 { p.window() * p.chunk } else { 0 }],
        }
    }
    /// Turns to `rows` queries from row `row` of their chunk.
    pub(super) fn look(&mut self, p: &Problem<'_, T>, ring: &Ring<T>, row: usize, rows: usize) {
        self.sight.look(p, ring, row, rows);
        self.info.clear();
        self.info.extend(ring.at(p.before).positions[row..row + rows].iter().map(|&at| at as i32));
    }
    /// The products of a step with the keys it sees; `row` is that of the block in its chunk.
    pub(super) fn products(&mut self, p: &Problem<'_, T>, ring: &Ring<T>, row: usize, step: usize) {
        let q = &ring.at(p.before).q[row * p.strides()[0]..];
        dots(&mut self.strengths, p, &self.sight, step, (q, p.depth), |place| &ring.at(place).turned_k);
    }
    /// Turns the products of a step into exp(product − top), and sums them.
    pub(super) fn exponentials(&mut self, p: &Problem<'_, T>, ring: &Ring<T>, step: usize) {
        let (rows, cols) = (self.sight.rows(step), p.cols());
        let x = &mut self.strengths[rows.start * cols..rows.end * cols];
        let (top, total) = (&mut self.top[rows.clone()], &mut self.total[rows.clone()]);
        let infos = (&self.info[rows], &ring.info[..]);
        exponentials(x, &parts(p, self.sight.seen(step)), infos, &Penalties::of(p, ring), top, total);
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
        gradients(xs, &parts(p, self.sight.seen(step)), infos, &Penalties::of(p, ring), scalars);
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

/// Where the columns that a step sees start, and how many there are, in whole registers.
fn parts<T: Scalar>(p: &Problem<'_, T>, seen: &[usize]) -> smallvec::SmallVec<[(usize, usize); 8]> {
    let [.., wide] = p.strides();
    seen.iter().enumerate().map(|(place, &n)| (place * wide, padded(n))).collect()
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
    /// A product less what Trax takes from it, in its order and rounding.
    #[inline(always)]
    fn take<const RARE: bool>(&self, x: T, q: i32, k: i32) -> T {
        let x = x + if q < k { self.later } else { T::default() };
        let x = x + if q == k { self.own } else { T::default() };
        if !RARE {
            return x;
        }
        let x = x + if k == -1 { self.masked } else { T::default() };
        if k == -2 {
            T::LOWEST
        } else {
            x
        }
    }
    /// The largest of a row's products after taking.
    #[inline(always)]
    fn take_row<const RARE: bool>(&self, row: &mut [T], q: i32, k: &[i32], top: &mut [T; PAD]) {
        for (x, k) in row.chunks_exact_mut(PAD).zip(k.chunks_exact(PAD)) {
            for i in 0..PAD {
                x[i] = self.take::<RARE>(x[i], q, k[i]);
                top[i] = if x[i] > top[i] { x[i] } else { top[i] };
            }
        }
    }
}

simd! {
fn exponentials<T: Scalar>(
    x: &mut [T],
    parts: &[(usize, usize)],
    (q, k): (&[i32], &[i32]),
    how: &Penalties<T>,
    top: &mut [T],
    total: &mut [T],
) {
    for (((row, &q), top), total) in x.chunks_exact_mut(k.len()).zip(q).zip(top).zip(total) {
        let mut tops = [T::LOWEST; PAD];
        for &(at, n) in parts {
            let (row, k) = (&mut row[at..at + n], &k[at..at + n]);
            if how.rare {
                how.take_row::<true>(row, q, k, &mut tops);
            } else {
                how.take_row::<false>(row, q, k, &mut tops);
            }
        }
        *top = tops.into_iter().fold(T::LOWEST, |m, x| if x > m { x } else { m });
        let from = if *top == T::LOWEST { T::default() } else { *top };
        let mut sums = [T::default(); PAD];
        for &(at, n) in parts {
            for x in row[at..at + n].chunks_exact_mut(PAD) {
                for i in 0..PAD {
                    x[i] = (x[i] - from).power();
                    sums[i] += x[i];
                }
            }
        }
        *total = fold(sums);
    }
}
}

/// The sum of all lanes.
#[inline(always)]
fn fold<T: Scalar>(mut lanes: [T; PAD]) -> T {
    let mut width = PAD / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    lanes[0]
}

simd! {
fn gradients<T: Scalar>(
    (x, g): (&mut [T], &mut [T]),
    parts: &[(usize, usize)],
    (q, k): (&[i32], &[i32]),
    how: &Penalties<T>,
    (whole, pull): (&[T], &[T]),
) {
    let rows = x.chunks_exact_mut(k.len()).zip(g.chunks_exact_mut(k.len()));
    for ((((x, g), &q), &whole), &pull) in rows.zip(q).zip(whole).zip(pull) {
        for &(at, n) in parts {
            let (x, g, k) = (&mut x[at..at + n], &mut g[at..at + n], &k[at..at + n]);
            if how.rare {
                gradients_row::<T, true>(x, g, (q, k), how, whole, pull);
            } else {
                gradients_row::<T, false>(x, g, (q, k), how, whole, pull);
            }
        }
    }
}
}

#[inline(always)]
fn gradients_row<T: Scalar, const RARE: bool>(
    x: &mut [T],
    g: &mut [T],
    (q, k): (i32, &[i32]),
    how: &Penalties<T>,
    whole: T,
    pull: T,
) {
    for ((x, g), k) in x.chunks_exact_mut(PAD).zip(g.chunks_exact_mut(PAD)).zip(k.chunks_exact(PAD)) {
        for i in 0..PAD {
            let e = (how.take::<RARE>(x[i], q, k[i]) - whole).power();
            x[i] = e;
            g[i] = e * (g[i] - pull);
        }
    }
}
