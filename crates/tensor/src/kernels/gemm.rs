//! Matrix products on strided slices: batched, tiled over threads, optionally with a bias row.
//!
//! A product is cut into tiles of rows and columns at places that depend on its shape only, and each tile is computed
//! by one thread with the whole inner dimension in order: the bits do not depend on the number of threads.
use crate::threads;
use rayon::prelude::*;
use smallvec::SmallVec;

/// Elements that can be multiplied as matrices. Halves go through f32 (`ops/matmul.rs`).
pub(crate) trait Multiply: Copy + Send + Sync + Default + 'static {
    /// The factor that changes nothing.
    const ONE: Self;
    /// `out = factor · a · b`, or `out += factor · a · b` with `add`, on one thread.
    ///
    /// # Safety
    /// All elements that the sizes and strides reach lie in the allocations that the pointers come from; `out` overlaps
    /// neither operand, and its elements are initialised if `add`.
    unsafe fn tile(
        size: [usize; 3],
        out: Pointer<Self, *mut Self>,
        a: Pointer<Self, *const Self>,
        b: Pointer<Self, *const Self>,
        factor: Self,
        add: bool,
    );
}

/// A matrix in memory: where it starts and how far its rows and columns lie apart.
#[derive(Clone, Copy)]
pub(crate) struct Pointer<T, P> {
    at: P,
    rows: isize,
    cols: isize,
    _t: std::marker::PhantomData<T>,
}

impl<T, P> Pointer<T, P> {
    fn new(at: P, rows: usize, cols: usize) -> Self {
        Self { at, rows: rows as isize, cols: cols as isize, _t: std::marker::PhantomData }
    }
}

macro_rules! float {
    ($($t:ty),*) => {$(
        impl Multiply for $t {
            const ONE: Self = 1.0;
            #[inline]
            unsafe fn tile([m, n, k]: [usize; 3], out: Pointer<$t, *mut $t>, a: Pointer<$t, *const $t>, b: Pointer<$t, *const $t>, factor: $t, add: bool) {
                // SAFETY: the caller's promise is what gemm asks for.
                unsafe {
                    gemm::gemm(
                        m, n, k, out.at, out.cols, out.rows, add, a.at, a.cols, a.rows, b.at, b.cols, b.rows,
                        1.0, factor, false, false, false, gemm::Parallelism::None,
                    );
                }
            }
        }
    )*};
}
float!(f32, f64);

macro_rules! integer {
    ($($t:ty),*) => {$(
        impl Multiply for $t {
            const ONE: Self = 1;
            unsafe fn tile([m, n, k]: [usize; 3], out: Pointer<$t, *mut $t>, a: Pointer<$t, *const $t>, b: Pointer<$t, *const $t>, factor: $t, add: bool) {
                // SAFETY: the indices stay within the sizes, for which the caller vouches.
                unsafe {
                    for i in 0..m as isize {
                        for j in 0..n as isize {
                            let o = out.at.offset(i * out.rows + j * out.cols);
                            let mut sum: $t = 0;
                            for l in 0..k as isize {
                                let x = *a.at.offset(i * a.rows + l * a.cols);
                                sum = sum.wrapping_add(x.wrapping_mul(*b.at.offset(l * b.rows + j * b.cols)));
                            }
                            let sum = sum.wrapping_mul(factor);
                            o.write(if add { (*o).wrapping_add(sum) } else { sum });
                        }
                    }
                }
            }
        }
    )*};
}
integer!(i32, i64, u32, u8);

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
    fn pointer(&self) -> Pointer<T, *const T> {
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

/// `out = factor · a · b`, or `out += factor · a · b` with `add`, on this thread. `out` has rows `stride` apart.
pub(crate) fn multiply<T: Multiply>(out: &mut [T], stride: usize, a: Mat<'_, T>, b: Mat<'_, T>, factor: T, add: bool) {
    let size = [a.rows, b.cols, a.cols];
    assert_eq!(a.cols, b.rows, "inner sizes of a product agree");
    assert!(reach(&[(size[0], stride), (size[1], 1)]) <= out.len(), "a product fits its output");
    assert!(stride >= size[1], "rows of an output do not overlap");
    if a.cols == 0 {
        if !add {
            (0..size[0]).for_each(|i| out[i * stride..i * stride + size[1]].fill(T::default()));
        }
        return;
    }
    // SAFETY: the three matrices lie within their slices, and `out` is borrowed alone.
    unsafe { T::tile(size, Pointer::new(out.as_mut_ptr(), stride, 1), a.pointer(), b.pointer(), factor, add) }
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
const PIECE: usize = 1 << 21;
/// At most so many pieces: enough to balance, few enough that packing is not repeated for nothing.
const PIECES: usize = 32;

/// The start of an output that several threads write, each its own part.
pub(crate) struct Out<T>(*mut T);
// SAFETY: writing through it is unsafe, and who does so vouches that the parts are disjoint.
unsafe impl<T: Send> Sync for Out<T> {}

impl<T> Out<T> {
    /// Shares the whole of `data`, or all the room it has.
    pub(crate) fn new(data: &mut Vec<T>) -> Self {
        Self(data.as_mut_ptr())
    }
    /// `len` elements from `at`.
    ///
    /// # Safety
    /// They lie within the vector, which outlives the use, are initialised or only written, and nobody else uses them meanwhile.
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn part(&self, at: usize, len: usize) -> &mut [T] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(at), len) }
    }
}

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
    pub(crate) fn run(mut self) -> Vec<T> {
        self.fold();
        let [m, n, k] = self.size;
        let items: usize = self.batch.iter().map(|x| x[0]).product();
        let terms: usize = self.summed.iter().map(|x| x[0]).product();
        let len = items * m * n;
        if len == 0 {
            return Vec::new();
        }
        if k == 0 || terms == 0 {
            return match self.bias {
                None => vec![T::default(); len],
                Some(bias) => bias.iter().copied().cycle().take(len).collect(),
            };
        }
        let all = |inner: [usize; 2], strides: [usize; 2], which: usize| {
            let mut axes: SmallVec<[(usize, usize); 10]> =
                self.batch.iter().chain(&self.summed).map(|x| (x[0], x[which])).collect();
            axes.extend(inner.into_iter().zip(strides));
            reach(&axes)
        };
        assert!(all([m, k], self.a_strides, 1) <= self.a.len(), "left operand lies within its storage");
        assert!(all([k, n], self.b_strides, 2) <= self.b.len(), "right operand lies within its storage");
        assert!(self.bias.is_none_or(|b| b.len() == n), "one bias per column");
        let mut out: Vec<T> = Vec::with_capacity(len);
        let at = Out::new(&mut out);
        let work = m.saturating_mul(n).saturating_mul(k).saturating_mul(terms);
        let (rows, cols) = tile_size(m, n, (work.saturating_mul(items) / PIECE).clamp(1, PIECES).div_ceil(items));
        let (down, across) = (m.div_ceil(rows), n.div_ceil(cols));
        let tiles = items * down * across;
        // Small products are handed out several at a time.
        let group = (PIECE / (work / (down * across)).max(1)).max(tiles / 256).clamp(1, tiles);
        threads::for_each_index(tiles.div_ceil(group), if tiles > group { usize::MAX } else { 0 }, |g| {
            for tile in g * group..((g + 1) * group).min(tiles) {
                let (item, row, col) = (tile / (down * across), tile / across % down * rows, tile % across * cols);
                // SAFETY: tiles are disjoint and together cover the `len` elements of `out`; the operands were checked above.
                unsafe { self.tile(&at, item, [row, col], [rows.min(m - row), cols.min(n - col)]) }
            }
        });
        // SAFETY: every tile was written.
        unsafe { out.set_len(len) };
        out
    }

    /// Computes one tile, its summed axes in order.
    ///
    /// # Safety
    /// The operands are in bounds, `out` has room for the whole result and nobody else writes this tile.
    unsafe fn tile(&self, out: &Out<T>, item: usize, [row, col]: [usize; 2], [rows, cols]: [usize; 2]) {
        let [m, n, k] = self.size;
        let (a0, b0) = offsets(&self.batch, item);
        // SAFETY: within the result, see above.
        let dst = unsafe { out.0.add(item * m * n + row * n + col) };
        if let Some(bias) = self.bias {
            for i in 0..rows {
                // SAFETY: `cols` elements of a row of this tile.
                unsafe { std::ptr::copy_nonoverlapping(bias[col..].as_ptr(), dst.add(i * n), cols) };
            }
        }
        for term in 0..self.summed.iter().map(|x| x[0]).product() {
            let (a1, b1) = offsets(&self.summed, term);
            let a = &self.a[a0 + a1 + row * self.a_strides[0]..];
            let b = &self.b[b0 + b1 + col * self.b_strides[1]..];
            let (a, b) = (
                Pointer::new(a.as_ptr(), self.a_strides[0], self.a_strides[1]),
                Pointer::new(b.as_ptr(), self.b_strides[0], self.b_strides[1]),
            );
            // SAFETY: `run` checked that all indices lie within the operands; the tile is initialised from the second term on, or by the bias.
            unsafe { T::tile([rows, cols, k], Pointer::new(dst, n, 1), a, b, T::ONE, term > 0 || self.bias.is_some()) };
        }
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

/// Tile rows and columns for about `pieces` tiles, as square as they can be and not too small for the micro-kernels.
fn tile_size(m: usize, n: usize, pieces: usize) -> (usize, usize) {
    let (mut rows, mut cols) = (m, n);
    let mut have = 1;
    while have < pieces {
        if rows >= cols && rows >= 64 {
            rows = rows.div_ceil(2).next_multiple_of(8);
        } else if cols >= 128 {
            cols = cols.div_ceil(2).next_multiple_of(16);
        } else if rows >= 64 {
            rows = rows.div_ceil(2).next_multiple_of(8);
        } else {
            break;
        }
        have = m.div_ceil(rows) * n.div_ceil(cols);
    }
    (rows, cols)
}

/// Sums of the columns of a row-major matrix, in a fixed order.
pub(crate) fn column_sums<T: Multiply + std::ops::AddAssign>(x: &[T], cols: usize) -> Vec<T> {
    if cols == 0 {
        return Vec::new();
    }
    // Rows per partial sum, by shape only.
    let rows = (threads::GRAIN / cols).clamp(1, 4096).max(x.len() / cols / 64);
    let parts = x.len().div_ceil(rows * cols);
    let sum = |part: &[T], into: &mut [T]| {
        for row in part.chunks_exact(cols) {
            into.iter_mut().zip(row).for_each(|(s, &v)| *s += v);
        }
    };
    let mut out = vec![T::default(); cols];
    if parts <= 1 {
        sum(x, &mut out);
        return out;
    }
    let mut partial = vec![T::default(); parts * cols];
    threads::install(|| {
        partial.par_chunks_mut(cols).zip(x.par_chunks(rows * cols)).for_each(|(into, part)| sum(part, into));
    });
    sum(&partial, &mut out);
    out
}
