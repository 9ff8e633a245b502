//! Softmax attention in tiles of queries × keys: the matrix of attention strengths never exists as a whole.
//!
//! Forward keeps a running maximum and sum per query row; backward recomputes each tile from them. A tile whose positions
//! are all masked is left out while every row of its block has a maximum so far above the mask value that its strengths
//! round to zero; otherwise (rows that see no key at all) it takes part, so a fully masked row attends uniformly.
mod backward;
mod forward;

pub(crate) use backward::backward;
pub(crate) use forward::forward;

use super::gemm::{multiply_ready, Mat, Ready, Small};
use super::real::{self, simd, Float, Real};
use super::vecmath::exp_f32;
use crate::random::BitStream;
use smallvec::SmallVec;

/// Query rows per tile.
const ROWS: usize = 64;
/// Key columns per tile.
const COLS: usize = 128;

/// Floats attention is computed in.
pub(crate) trait Scalar: Real + Small + Float<Wide = Self> {
    /// exp of less than this is zero.
    const VANISHES: Self;
    /// e^x in arithmetic that vectorises.
    fn power(self) -> Self;
}
impl Scalar for f32 {
    const VANISHES: Self = -104.0;
    #[inline(always)]
    fn power(self) -> Self {
        exp_f32(self)
    }
}
impl Scalar for f64 {
    const VANISHES: Self = -746.0;
    #[inline(always)]
    fn power(self) -> Self {
        self.exp()
    }
}

/// Where matrix `item` (row-major over `sizes`) starts.
pub(super) fn start(sizes: &[usize], strides: &[usize], mut item: usize) -> usize {
    let mut at = 0;
    for (&n, &stride) in sizes.iter().zip(strides).rev() {
        at += item % n * stride;
        item /= n;
    }
    at
}

/// A stack of matrices whose columns are adjacent: the strides of the leading axes (0 where broadcast) and of the rows.
pub(crate) struct Stack<'a, T> {
    pub data: &'a [T],
    pub batch: SmallVec<[usize; 4]>,
    pub row: usize,
}

impl<T> Stack<'_, T> {
    /// `rows` rows of matrix `item` from row `from`.
    fn rows(&self, sizes: &[usize], item: usize, from: usize, [rows, cols]: [usize; 2]) -> Mat<'_, T> {
        Mat::new(&self.data[start(sizes, &self.batch, item) + from * self.row..], [rows, cols], [self.row, 1])
    }
    /// One row of matrix `item`.
    fn row(&self, sizes: &[usize], item: usize, row: usize, cols: usize) -> &[T] {
        let at = start(sizes, &self.batch, item) + row * self.row;
        &self.data[at..at + cols]
    }
}

/// Where each matrix and row of a result lies: like [`Stack`], without the data.
#[derive(Clone)]
pub(crate) struct Place {
    pub batch: SmallVec<[usize; 4]>,
    pub row: usize,
    /// Where the first row starts.
    pub first: usize,
}

impl Place {
    /// Where a row of matrix `item` starts.
    pub(super) fn offset(&self, sizes: &[usize], item: usize, row: usize) -> usize {
        self.first + start(sizes, &self.batch, item) + row * self.row
    }
}

/// Gradients at the full batch shape, each laid out as asked for.
pub(crate) struct Gradients<T> {
    pub q: Vec<T>,
    pub k: Vec<T>,
    pub v: Vec<T>,
}

/// What forward saved, and the cotangent.
pub(crate) struct Saved<'a, T> {
    pub out: Stack<'a, T>,
    pub top: &'a [T],
    pub total: &'a [T],
    pub ct: Stack<'a, T>,
}

/// A boolean mask as bytes, any strides; nonzero = attend.
pub(crate) struct MaskView<'a> {
    pub data: &'a [u8],
    pub batch: SmallVec<[usize; 4]>,
    pub row: usize,
    pub col: usize,
}

/// Dropout of attention strengths by a counter stream over the whole `[…, queries, keys]` matrix.
pub(crate) struct Dropout<T> {
    pub stream: BitStream,
    /// A strength is kept where `word >> 9` is below.
    pub threshold: u32,
    /// 1 / (1 − rate).
    pub scale: T,
    /// Whether all matrices share one draw.
    pub shared: bool,
}

/// Ids of the segments that queries and keys are of: keys of other segments than its own are no keys of a query.
pub(crate) struct Segments<'a> {
    pub queries: KeyView<'a, i32>,
    pub keys: KeyView<'a, i32>,
}

impl Segments<'_> {
    /// Those of a tile; ids of one matrix are adjacent.
    fn of(&self, sizes: &[usize], t: Tile) -> (&[i32], &[i32]) {
        let part = |ids: &'_ KeyView<'_, i32>, from: usize| start(sizes, &ids.batch, t.item) + from;
        let (q, k) = (part(&self.queries, t.row), part(&self.keys, t.col));
        (&self.queries.data[q..q + t.rows], &self.keys.data[k..k + t.cols])
    }
}

/// Whether no id can be among both: whether all of one are below all of the other.
pub(super) fn apart(a: &[i32], b: &[i32]) -> bool {
    let range = |ids: &[i32]| ids.iter().fold((i32::MAX, i32::MIN), |(low, high), &id| (low.min(id), high.max(id)));
    let ((a_low, a_high), (b_low, b_high)) = (range(a), range(b));
    a_high < b_low || b_high < a_low
}

/// What attention is computed of.
pub(crate) struct Problem<'a, T> {
    /// Sizes of the leading axes.
    pub batch: SmallVec<[usize; 4]>,
    pub q: Stack<'a, T>,
    pub k: Stack<'a, T>,
    pub v: Stack<'a, T>,
    pub queries: usize,
    pub keys: usize,
    /// Size of a query and a key.
    pub depth: usize,
    /// Size of a value.
    pub value_depth: usize,
    pub scale: T,
    pub causal: bool,
    pub mask: Option<MaskView<'a>>,
    pub mask_value: T,
    /// Takes amounts from products in place of replacing them; `mask` is `None` then.
    pub penalties: Option<Penalties<'a, T>>,
    pub segments: Option<Segments<'a>>,
    pub dropout: Option<Dropout<T>>,
}

/// What is taken from products: −`mask_value` where the key is later (if causal), and the following.
pub(crate) struct Penalties<'a, T> {
    /// Taken where query and key have the same position.
    pub own: T,
    /// Taken from the products with each key.
    pub keys: Option<KeyView<'a, T>>,
    /// Whether strengths sum to 1 also where float32 loses the logarithm of the sum beside what was taken.
    pub sums_to_one: bool,
}

/// A number for each key of each matrix.
pub(crate) struct KeyView<'a, T> {
    pub data: &'a [T],
    pub batch: SmallVec<[usize; 4]>,
    pub col: usize,
}

/// How much of a tile may be attended to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    All,
    Some,
    None,
    /// Nothing, whatever a row has seen: its keys are of other segments than its queries.
    Apart,
}

/// A tile: query rows and key columns of one matrix.
#[derive(Clone, Copy)]
struct Tile {
    item: usize,
    row: usize,
    rows: usize,
    col: usize,
    cols: usize,
}

impl<T: Scalar> Problem<'_, T> {
    fn items(&self) -> usize {
        self.batch.iter().product()
    }
    fn tile(&self, item: usize, row: usize, col: usize) -> Tile {
        Tile { item, row, rows: ROWS.min(self.queries - row), col, cols: COLS.min(self.keys - col) }
    }
    /// Which positions of a tile may be attended to; for [`Kind::Some`] also as bytes in `allowed`.
    fn kind(&self, t: Tile, allowed: &mut [u8]) -> Kind {
        if let Some(segments) = &self.segments {
            let (queries, keys) = segments.of(&self.batch, t);
            if apart(queries, keys) {
                return Kind::Apart;
            }
        }
        if self.causal && t.col > t.row + t.rows - 1 {
            return Kind::None;
        }
        let diagonal = self.causal && t.col + t.cols - 1 > t.row;
        if let Some(penalties) = &self.penalties {
            let own = penalties.own != T::default() && t.col < t.row + t.rows && t.row < t.col + t.cols;
            let (mut any, mut every) = (diagonal || own, false);
            if let Some(keys) = &penalties.keys {
                let taken = &keys.data[start(&self.batch, &keys.batch, t.item) + t.col * keys.col..];
                let taken = || (0..t.cols).map(|j| taken[j * keys.col]);
                any |= taken().any(|x| x != T::default());
                every = taken().all(|x| x >= -self.mask_value);
            }
            return match (any, every) {
                (_, true) => Kind::None,
                (true, _) => Kind::Some,
                _ => Kind::All,
            };
        }
        let Some(mask) = &self.mask else {
            if !diagonal {
                return Kind::All;
            }
            for (i, row) in allowed.chunks_mut(t.cols).take(t.rows).enumerate() {
                let seen = (t.row + i + 1).saturating_sub(t.col).min(t.cols);
                row[..seen].fill(1);
                row[seen..].fill(0);
            }
            return Kind::Some;
        };
        let start = start(&self.batch, &mask.batch, t.item) + t.row * mask.row + t.col * mask.col;
        let (mut any, mut every) = (false, true);
        for (i, row) in allowed.chunks_mut(t.cols).take(t.rows).enumerate() {
            if i > 0 && mask.row == 0 && !diagonal {
                // All rows are like the first, which is counted; copies are made below.
                continue;
            }
            let seen = if diagonal { (t.row + i + 1).saturating_sub(t.col).min(t.cols) } else { t.cols };
            let from = &mask.data[start + i * mask.row..];
            let mut count = 0;
            for (j, a) in row[..seen].iter_mut().enumerate() {
                *a = u8::from(from[j * mask.col] != 0);
                count += usize::from(*a);
            }
            row[seen..].fill(0);
            any |= count > 0;
            every &= count == t.cols;
        }
        match (any, every) {
            (false, _) => Kind::None,
            (_, true) => Kind::All,
            _ => {
                if mask.row == 0 && !diagonal {
                    let (first, rest) = allowed.split_at_mut(t.cols);
                    rest.chunks_mut(t.cols).take(t.rows - 1).for_each(|row| row.copy_from_slice(first));
                }
                Kind::Some
            }
        }
    }
    /// Whether masked positions count beside what these rows have seen: whether exp(mask value − maximum) is not zero in all.
    fn masked_count(&self, top: &[T]) -> bool {
        // Written so that NaN counts.
        top.iter().any(|&m| !matches!((self.mask_value - m).partial_cmp(&T::VANISHES), Some(std::cmp::Ordering::Less)))
    }
    /// The keys of the tiles from column `col` on, transposed.
    fn keys(&self, item: usize, col: usize) -> Mat<'_, T> {
        self.k.rows(&self.batch, item, col, [COLS.min(self.keys - col), self.depth]).t()
    }
    /// The scaled products of queries and keys of a tile, masked.
    fn dots(&self, t: Tile, kind: Kind, keys: &Ready<'_, T>, allowed: &[u8], out: &mut [T]) {
        let out = &mut out[..t.rows * t.cols];
        if kind == Kind::None && self.penalties.is_none() {
            out.fill(self.mask_value);
        } else {
            let q = self.q.rows(&self.batch, t.item, t.row, [t.rows, self.depth]);
            multiply_ready(out, t.cols, q, keys, self.scale, false);
            match &self.penalties {
                None if kind == Kind::Some => choose(out, &allowed[..t.rows * t.cols], self.mask_value),
                Some(penalties) if kind != Kind::All => self.penalize(penalties, t, out),
                _ => {}
            }
        }
        if let Some(segments) = &self.segments {
            let (queries, keys) = segments.of(&self.batch, t);
            keep_own(out, queries, keys);
        }
    }
    /// Takes the penalties from the products of a tile, one after the other as Trax does.
    fn penalize(&self, penalties: &Penalties<'_, T>, t: Tile, out: &mut [T]) {
        for (i, row) in out.chunks_mut(t.cols).enumerate() {
            let at = t.row + i;
            if self.causal {
                let later = (at + 1).saturating_sub(t.col).min(t.cols);
                row[later..].iter_mut().for_each(|x| *x += self.mask_value);
            }
            if (t.col..t.col + t.cols).contains(&at) {
                row[at - t.col] += -penalties.own;
            }
            if let Some(keys) = &penalties.keys {
                let taken = &keys.data[start(&self.batch, &keys.batch, t.item) + t.col * keys.col..];
                row.iter_mut().enumerate().for_each(|(j, x)| *x += -taken[j * keys.col]);
            }
        }
    }
    /// What a row's exponentials are multiplied by to become attention.
    fn share(&self, top: T, total: T) -> T {
        if self.keys == 0 || self.sees_nothing(total) {
            // Without keys there is nothing to sum.
            T::ONE
        } else if self.penalties.as_ref().is_some_and(|p| !p.sums_to_one) {
            // In the rounding of Trax, which decides the result where everything is masked.
            (top - (top + total.ln())).power()
        } else {
            T::ONE / total
        }
    }
    /// Whether a row with this sum of exponentials has no key in its segment; its result is 0.
    fn sees_nothing(&self, total: T) -> bool {
        self.segments.is_some() && total == T::default()
    }
    /// Multiplies strengths of a tile by what dropout leaves of them; `factors` gets 0 or 1 / (1 − rate) for each.
    fn keep_factors(&self, dropout: &Dropout<T>, t: Tile, words: &mut [u32], factors: &mut [T]) {
        for (i, row) in factors[..t.rows * t.cols].chunks_mut(t.cols).enumerate() {
            let words = &mut words[..t.cols];
            let item = if dropout.shared { 0 } else { t.item };
            dropout.stream.fill((item * self.queries + t.row + i) * self.keys + t.col, words);
            for (f, &w) in row.iter_mut().zip(words.iter()) {
                *f = if w >> 9 < dropout.threshold { dropout.scale } else { T::default() };
            }
        }
    }
}

simd! {
/// Puts `value` where nothing is allowed.
fn choose<T: Real>(x: &mut [T], allowed: &[u8], value: T) {
    for (x, &a) in x.iter_mut().zip(allowed) {
        *x = if a != 0 { *x } else { value };
    }
}
}

simd! {
/// Puts −∞ where a key is of another segment than the query of the row.
fn keep_own<T: Scalar>(x: &mut [T], queries: &[i32], keys: &[i32]) {
    for (row, &query) in x.chunks_exact_mut(keys.len()).zip(queries) {
        for (x, &key) in row.iter_mut().zip(keys) {
            *x = if key == query { *x } else { T::LOWEST };
        }
    }
}
}

simd! {
/// Element-wise product into the first.
fn scale_by<T: Real>(x: &mut [T], factors: &[T]) {
    for (x, &f) in x.iter_mut().zip(factors) {
        *x *= f;
    }
}
}

simd! {
pub(super) fn dot<T: Scalar>(x: &[T], y: &[T]) -> T {
    real::dot(x, y)
}
}
