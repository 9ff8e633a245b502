//! Matrix products on strided slices: batched, tiled over threads, optionally with a bias row.
//!
//! A product is cut into tiles of rows and columns, and each tile is computed by one thread with the whole inner dimension in order:
//! the bits do not depend on the number of threads. Where the cuts are depends on the shape only, unless each element is the same
//! wherever it is cut ([`Multiply::any_cut`]).
mod block;
mod blocked;
mod dispatch;
mod element;
mod few;
mod kind;
mod micro;
#[cfg(target_arch = "aarch64")]
mod neon;
mod out;
mod outer;
mod pack;
mod pieces;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod plain;
mod quantized;
mod small;
#[cfg(target_arch = "x86_64")]
mod x86;

use crate::{element_count, memory, threads, Result};
use smallvec::SmallVec;
use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Instant,
};

pub(crate) use element::Multiply;
use element::{Pointer, Right, Start};
pub(crate) use out::Out;
pub(crate) use quantized::{Narrow, Product, Slivers};
pub(crate) use small::{padded, small, Side, Small, Turned, PAD};

/// A matrix in a slice. Strides may be anything, also zero.
#[derive(Clone, Copy)]
pub(crate) struct Mat<'a, T> {
    data: &'a [T],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a, T> Mat<'a, T> {
    /// `rows × cols` elements of `data` from its start.
    pub(crate) fn new(data: &'a [T], [rows, cols]: [usize; 2], [row_stride, col_stride]: [usize; 2]) -> Self {
        assert!(reach(&[(rows, row_stride), (cols, col_stride)]) <= data.len(), "a matrix lies within its slice");
        Self { data, rows, cols, row_stride, col_stride }
    }
    /// Row-major and without gaps.
    pub(crate) fn dense(data: &'a [T], rows: usize, cols: usize) -> Self {
        Self::new(data, [rows, cols], [cols, 1])
    }
    /// The transpose, a view.
    pub(crate) fn t(self) -> Self {
        Self { rows: self.cols, cols: self.rows, row_stride: self.col_stride, col_stride: self.row_stride, ..self }
    }
    fn pointer(&self) -> Pointer<*const T> {
        Pointer::new(self.data.as_ptr(), self.row_stride, self.col_stride)
    }
}

/// How many elements a strided block spans; 0 if it is empty.
fn reach(axes: &[(usize, usize)]) -> usize {
    if axes.iter().any(|&(n, _)| n == 0) {
        0
    } else {
        1 + axes.iter().map(|&(n, s)| (n - 1) * s).sum::<usize>()
    }
}

/// A right operand that several products use, packed once where that pays.
pub(crate) struct Ready<'a, T: Multiply> {
    mat: Mat<'a, T>,
    packed: Option<T::Packed>,
}

impl<'a, T: Multiply> Ready<'a, T> {
    pub(crate) fn new(mat: Mat<'a, T>) -> Result<Self> {
        // SAFETY: a matrix lies within its slice.
        let packed = unsafe { T::pack(mat.pointer(), [mat.rows, mat.cols]) }?;
        Ok(Self { mat, packed })
    }
    /// For one product: as it is.
    pub(crate) fn once(mat: Mat<'a, T>) -> Self {
        Self { mat, packed: None }
    }
    fn right(&self) -> Right<'_, T> {
        self.packed.as_ref().map_or_else(|| Right::Strided(self.mat.pointer()), |packed| Right::Packed(packed, 0))
    }
}

/// `out = factor · a · b`, or `out += factor · a · b` with `add`, on this thread. `out` has rows `stride` apart.
pub(crate) fn multiply<T: Multiply>(out: &mut [T], stride: usize, a: Mat<'_, T>, b: Mat<'_, T>, factor: T, add: bool) {
    multiply_ready(out, stride, a, &Ready::once(b), factor, add);
}

/// [`multiply`] by a right operand that is used more than once.
pub(crate) fn multiply_ready<T: Multiply>(
    out: &mut [T],
    stride: usize,
    a: Mat<'_, T>,
    b: &Ready<'_, T>,
    factor: T,
    add: bool,
) {
    let size = [a.rows, b.mat.cols, a.cols];
    assert_eq!(a.cols, b.mat.rows, "inner sizes of a product agree");
    assert!(reach(&[(size[0], stride), (size[1], 1)]) <= out.len(), "a product fits its output");
    assert!(stride >= size[1], "rows of an output do not overlap");
    if a.cols == 0 {
        if !add {
            (0..size[0]).for_each(|i| out[i * stride..i * stride + size[1]].fill(T::default()));
        }
        return;
    }
    // SAFETY: the three matrices lie within their slices, and `out` is borrowed alone.
    unsafe {
        let start = if add { Start::Keep } else { Start::Zero };
        T::tile(size, Pointer::new(out.as_mut_ptr(), stride, 1), a.pointer(), b.right(), factor, start);
    }
}

/// Many matrices in a slice: each batch axis with the strides of both operands; the result is row-major.
pub(crate) struct Batched<'a, T> {
    /// Left operand from its first element.
    pub a: &'a [T],
    /// Right operand from its first element.
    pub b: &'a [T],
    /// Rows and columns of the result, and the inner size.
    pub size: [usize; 3],
    /// Row and column stride of the left operand.
    pub a_strides: [usize; 2],
    /// Row and column stride of the right operand.
    pub b_strides: [usize; 2],
    /// Axes of the result before its rows: size, stride in `a`, stride in `b`.
    pub batch: SmallVec<[[usize; 3]; 4]>,
    /// Axes summed over, like the inner dimension: size, stride in `a`, stride in `b`.
    pub summed: SmallVec<[[usize; 3]; 4]>,
    /// Added to every row.
    pub bias: Option<&'a [T]>,
}

/// Multiplications below which a piece of work is not worth handing to another thread.
const PIECE: usize = 1 << 20;
/// The most columns of a piece.
const COLS: usize = 1024;
/// Elements of a right operand that are packed at a time.
const SLAB: usize = 1 << 22;
/// At most so many pieces, unless each is still a [`LARGE`] one: enough to balance, few enough that rows are not copied for few columns.
const PIECES: usize = 16;
/// Multiplications of a piece from which there may be more than [`PIECES`].
const LARGE: usize = 1 << 28;

/// To read an element of the right operand takes as long as so many multiplications: what products of few rows wait for.
const READING: usize = 32;
/// Columns below which a piece of few rows would read too little of each row of the right operand.
const NARROW: usize = 128;

/// No piece has more multiplications: about a tenth of a second, after which a product sees that it is cancelled.
const HUGE: usize = 1 << 31;

impl<T: Multiply> Batched<'_, T> {
    /// Joins axes so that fewer and larger products remain: a batch axis over which only the left operand moves becomes
    /// rows, a summed axis becomes inner dimension, where the strides allow.
    fn fold(&mut self) {
        self.batch.retain(|x| x[0] != 1);
        self.summed.retain(|x| x[0] != 1);
        while let Some(&[n, a, 0]) = self.batch.last() {
            let rows = self.size[0];
            if rows == 1 {
                self.a_strides[0] = a;
            } else if a != rows * self.a_strides[0] {
                break;
            }
            self.size[0] = rows * n;
            self.batch.pop();
        }
        while let Some(&[n, a, b]) = self.summed.last() {
            let inner = self.size[2];
            if inner == 1 {
                (self.a_strides[1], self.b_strides[0]) = (a, b);
            } else if a != inner * self.a_strides[1] || b != inner * self.b_strides[0] {
                break;
            }
            self.size[2] = inner * n;
            self.summed.pop();
        }
    }

    /// The product, in a new vector.
    ///
    /// # Errors
    /// `OutOfMemory`; `Aborted` when the work is cancelled meanwhile.
    pub(crate) fn run(self) -> Result<Vec<T>> {
        Ok(self.run_whole()?.0)
    }

    /// The product, and whether all its elements fit: those of integers may not.
    ///
    /// # Errors
    /// As [`Batched::run`].
    pub(crate) fn run_whole(mut self) -> Result<(Vec<T>, bool)> {
        self.fold();
        let [m, n, k] = self.size;
        let begun = log::log_enabled!(target: "tallow::product", log::Level::Trace).then(Instant::now);
        let items: usize = self.batch.iter().map(|x| x[0]).product();
        let terms: usize = self.summed.iter().map(|x| x[0]).product();
        let shape = [items, m, n];
        let len = element_count(&shape)?;
        if len == 0 {
            return Ok((Vec::new(), true));
        }
        if k == 0 || terms == 0 {
            let values = match self.bias {
                None => memory::zeros(&shape)?,
                Some(bias) => {
                    let mut out = memory::room(&shape)?;
                    out.extend(bias.iter().copied().cycle().take(len));
                    out
                }
            };
            return Ok((values, true));
        }
        let fits = AtomicBool::new(true);
        let all = |inner: [usize; 2], strides: [usize; 2], which: usize| {
            let mut axes: SmallVec<[(usize, usize); 10]> =
                self.batch.iter().chain(&self.summed).map(|x| (x[0], x[which])).collect();
            axes.extend(inner.into_iter().zip(strides));
            reach(&axes)
        };
        assert!(all([m, k], self.a_strides, 1) <= self.a.len(), "left operand lies within its storage");
        assert!(all([k, n], self.b_strides, 2) <= self.b.len(), "right operand lies within its storage");
        assert!(self.bias.is_none_or(|b| b.len() == n), "one bias per column");
        let mut out: Vec<T> = memory::room(&shape)?;
        let at = Out::new(&mut out);
        let work = m.saturating_mul(n).saturating_mul(k).saturating_mul(terms);
        // What the work costs, in multiplications.
        let cost = work.max(READING.saturating_mul(n).saturating_mul(k).saturating_mul(terms));
        let all = cost.saturating_mul(items);
        // The left operand of such a product is copied for each tile, so there are few, and all sides of them are long.
        let outer = T::any_cut()
            && outer::is_outer([m, n, k], &Pointer::new(self.a.as_ptr(), self.a_strides[0], self.a_strides[1]));
        let near = outer::is_near(&Pointer::new(self.b.as_ptr(), self.b_strides[0], self.b_strides[1]));
        let (rows, cols) = if outer {
            square_tile(m, n, pieces(all).min(2 * threads::num_threads()).max(all / HUGE).div_ceil(items))
        } else {
            tile_size(m, n, pieces(all).div_ceil(items))
        };
        // One right operand for several tiles of rows is packed once for all of them, so many columns at a time.
        let shared = items * terms == 1 && rows < m && !(outer && near);
        let slab = if shared { (SLAB / k).max(1).next_multiple_of(cols) } else { n };
        for first in (0..n).step_by(slab) {
            let width = slab.min(n - first);
            let packed = if shared {
                let at = self.b[first * self.b_strides[1]..].as_ptr();
                // SAFETY: columns of the right operand, which was checked above.
                unsafe { T::pack(Pointer::new(at, self.b_strides[0], self.b_strides[1]), [k, width]) }?
            } else {
                None
            };
            let (down, across) = (m.div_ceil(rows), width.div_ceil(cols));
            let tiles = items * down * across;
            // Small products are handed out several at a time.
            let group =
                (PIECE / (cost / (m.div_ceil(rows) * n.div_ceil(cols))).max(1)).max(tiles / 256).clamp(1, tiles);
            let heavy = work / (m.div_ceil(rows) * n.div_ceil(cols)) > PIECE;
            threads::for_each_index(tiles.div_ceil(group), if tiles > group { usize::MAX } else { 0 }, |g| {
                for tile in g * group..((g + 1) * group).min(tiles) {
                    if heavy {
                        threads::check()?;
                    }
                    let (item, row, col) = (tile / (down * across), tile / across % down * rows, tile % across * cols);
                    let size = [rows.min(m - row), cols.min(width - col)];
                    // SAFETY: tiles are disjoint and together cover the `len` elements of `out`; the operands were checked above.
                    let good =
                        unsafe { self.tile(&at, item, [row, first + col], size, packed.as_ref().map(|p| (p, col))) };
                    if !good {
                        fits.store(false, Relaxed);
                    }
                }
                Ok(())
            })?;
        }
        // SAFETY: every tile was written.
        unsafe { out.set_len(len) };
        if let Some(begun) = begun {
            log::trace!(
                target: "tallow::product",
                "{items} of [{m}, {k}] by [{k}, {n}], each the sum of {terms}, in tiles of [{rows}, {cols}] by {}{}, {:?}",
                T::code(),
                if shared { ", the right one packed" } else { "" },
                begun.elapsed()
            );
        }
        Ok((out, fits.into_inner()))
    }

    /// Computes one tile, its summed axes in order; whether all its elements fit.
    ///
    /// # Safety
    /// The operands are in bounds, `out` has room for the whole result and nobody else writes this tile. What is packed is the
    /// right operand, with the tile's first column in it.
    unsafe fn tile(
        &self,
        out: &Out<T>,
        item: usize,
        [row, col]: [usize; 2],
        [rows, cols]: [usize; 2],
        packed: Option<(&T::Packed, usize)>,
    ) -> bool {
        let mut fits = true;
        let [m, n, k] = self.size;
        let (a0, b0) = offsets(&self.batch, item);
        // SAFETY: within the result, see above.
        let dst = unsafe { out.0.add(item * m * n + row * n + col) };
        for term in 0..self.summed.iter().map(|x| x[0]).product() {
            let (a1, b1) = offsets(&self.summed, term);
            let a = Pointer::new(
                self.a[a0 + a1 + row * self.a_strides[0]..].as_ptr(),
                self.a_strides[0],
                self.a_strides[1],
            );
            let b = match packed {
                Some((packed, col)) => Right::Packed(packed, col),
                None => Right::Strided(Pointer::new(
                    self.b[b0 + b1 + col * self.b_strides[1]..].as_ptr(),
                    self.b_strides[0],
                    self.b_strides[1],
                )),
            };
            let start = match self.bias {
                _ if term > 0 => Start::Keep,
                Some(bias) => Start::Row(bias[col..].as_ptr()),
                None => Start::Zero,
            };
            // SAFETY: `run` checked that all indices lie within the operands; the tile is initialised from the second term on.
            fits &= unsafe { T::tile([rows, cols, k], Pointer::new(dst, n, 1), a, b, T::ONE, start) };
        }
        fits
    }
}

/// Where item `index` (row-major over `axes`) starts in both operands.
fn offsets(axes: &[[usize; 3]], mut index: usize) -> (usize, usize) {
    let (mut a, mut b) = (0, 0);
    for &[n, sa, sb] in axes.iter().rev() {
        a += index % n * sa;
        b += index % n * sb;
        index /= n;
    }
    (a, b)
}

/// How many pieces so many multiplications are cut into.
fn pieces(work: usize) -> usize {
    (work / PIECE).clamp(1, PIECES).max((work / LARGE).min(4 * PIECES)).max(work / HUGE)
}

/// Tile rows and columns for about `pieces` tiles of the same size: the more columns, the fewer copies of rows, and few rows still
/// use what they read of the right operand several times.
fn tile_size(m: usize, n: usize, pieces: usize) -> (usize, usize) {
    let whole = |cols: usize| cols.next_multiple_of(32).min(n.next_multiple_of(32));
    let narrow = if m < READING { NARROW } else { 64 };
    let (mut rows, mut cols) = (m, if pieces > 1 { whole(n.div_ceil(n.div_ceil(COLS))) } else { n });
    while m.div_ceil(rows) * n.div_ceil(cols) < pieces {
        if rows >= 48 {
            rows = rows.div_ceil(2);
        } else if cols >= narrow {
            cols = whole(cols.div_ceil(2));
        } else {
            break;
        }
    }
    (rows, cols)
}

/// Tile rows and columns for about `pieces` tiles, which read least of both operands.
fn square_tile(m: usize, n: usize, pieces: usize) -> (usize, usize) {
    let (mut rows, mut cols) = (m, if n > COLS { n.div_ceil(n.div_ceil(COLS)).next_multiple_of(32) } else { n });
    while m.div_ceil(rows) * n.div_ceil(cols) < pieces {
        if cols >= rows && cols >= 2 * NARROW {
            cols = cols.div_ceil(2).next_multiple_of(32);
        } else if rows >= NARROW {
            rows = rows.div_ceil(2);
        } else {
            break;
        }
    }
    (rows, cols)
}

/// Sums of the columns of a row-major matrix, in a fixed order.
pub(crate) fn column_sums<T: Multiply + std::ops::AddAssign>(x: &[T], cols: usize) -> Result<Vec<T>> {
    if cols == 0 {
        return Ok(Vec::new());
    }
    // Rows per partial sum, by shape only.
    let rows = (threads::GRAIN / cols).clamp(1, 4096).max(x.len() / cols / 64);
    let parts = x.len().div_ceil(rows * cols);
    let sum = |part: &[T], into: &mut [T]| {
        for row in part.chunks_exact(cols) {
            into.iter_mut().zip(row).for_each(|(s, &v)| *s += v);
        }
    };
    let mut out: Vec<T> = memory::zeros(cols)?;
    if parts <= 1 {
        sum(x, &mut out);
        return Ok(out);
    }
    let mut partial: Vec<T> = memory::zeros(parts * cols)?;
    threads::for_chunks_of(&mut partial, cols, usize::MAX, |at, into| {
        let from = at / cols * rows * cols;
        sum(&x[from..x.len().min(from + rows * cols)], into);
    })?;
    sum(&partial, &mut out);
    Ok(out)
}
