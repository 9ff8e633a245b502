//! Products of blocks that lie in the nearest caches: nothing is copied or cut, the kernels run where the operands lie.
//!
//! Columns come in whole registers, so whoever makes the blocks gives their rows room up to a multiple of [`PAD`].
use super::{
    element::{Multiply, Pointer, Right, Start},
    kind::kernels,
    micro::{every_third, Block, Soon, WIDEST},
    pack::pack,
    reach, Mat,
};

use crate::{memory, Result};

/// Columns of right operands and of results are multiples of this: whole registers of any processor.
pub(crate) const PAD: usize = 16;

/// Room for `n` columns.
pub(crate) fn padded(n: usize) -> usize {
    n.next_multiple_of(PAD)
}

/// Elements of which small blocks are multiplied; the defaults are those of types without kernels of our own.
pub(crate) trait Small: Multiply {
    /// Whether there are kernels for this type.
    fn has_kernels() -> bool {
        false
    }
    /// Writes the transpose of a matrix as the kernels read right operands.
    ///
    /// # Safety
    /// There are kernels, the matrix is in bounds, and `to` has room for it with its columns padded.
    unsafe fn turn(_from: Pointer<*const Self>, _size: [usize; 2], _to: *mut Self) {}
    /// `out = a · b`, or added to what it holds.
    ///
    /// # Safety
    /// There are kernels, all that the sizes and strides reach is in bounds, `cols` a multiple of [`PAD`].
    unsafe fn run(_product: &Product<Self>) {}
}

/// A product in pointers.
pub(crate) struct Product<T> {
    rows: usize,
    cols: usize,
    inner: usize,
    out: *mut T,
    stride: usize,
    a: Pointer<*const T>,
    b: *const T,
    /// Distance of the right operand's rows; if it is in slivers, 0.
    b_rows: usize,
    /// Columns of all slivers.
    b_cols: usize,
    add: bool,
}

/// The transpose of a matrix as a right operand of several products.
#[derive(Default)]
pub(crate) struct Turned<T> {
    values: Vec<T>,
    inner: usize,
    cols: usize,
}

impl<T: Small> Turned<T> {
    /// Becomes the transpose of the first `rows` rows of `cols` elements that lie `stride` apart.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn load(&mut self, from: &[T], [rows, cols]: [usize; 2], stride: usize) -> Result<()> {
        assert!(reach(&[(rows, stride), (cols, 1)]) <= from.len(), "a matrix lies within its slice");
        (self.inner, self.cols) = (cols, padded(rows));
        if self.values.len() < self.inner * self.cols {
            self.values = memory::zeros(self.inner * self.cols)?;
        }
        if !T::has_kernels() {
            for (l, to) in self.values.chunks_exact_mut(self.cols.max(1)).take(cols).enumerate() {
                (0..rows).for_each(|j| to[j] = from[j * stride + l]);
                to[rows..].fill(T::default());
            }
            return Ok(());
        }
        // SAFETY: the matrix lies within the slice, and the vector has the room.
        unsafe { T::turn(Pointer::new(from.as_ptr(), 1, stride), [cols, rows], self.values.as_mut_ptr()) };
        Ok(())
    }
}

/// The right operand of a small product.
#[derive(Clone, Copy)]
pub(crate) enum Side<'a, T> {
    /// Rows so far apart.
    Rows(&'a [T], usize),
    Turned(&'a Turned<T>),
}

/// `out = a · b`, or `out += a · b` with `add`, for `cols` columns, a multiple of [`PAD`]. Rows of `out` lie `stride` apart.
pub(crate) fn small<T: Small>(out: &mut [T], stride: usize, a: Mat<'_, T>, b: Side<'_, T>, cols: usize, add: bool) {
    assert!(cols.is_multiple_of(PAD) && stride >= cols, "columns in whole registers, rows that do not overlap");
    assert!(reach(&[(a.rows, stride), (cols, 1)]) <= out.len(), "a product fits its output");
    let (b, b_rows, b_cols) = match b {
        Side::Rows(b, rows) => {
            assert!(reach(&[(a.cols, rows), (cols, 1)]) <= b.len(), "a right operand lies within its slice");
            (b.as_ptr(), rows, cols)
        }
        Side::Turned(t) => {
            assert!(t.inner == a.cols && cols <= t.cols, "sizes of a product agree");
            (t.values.as_ptr(), if T::has_kernels() { 0 } else { t.cols }, t.cols)
        }
    };
    if a.cols == 0 {
        if !add {
            (0..a.rows).for_each(|i| out[i * stride..i * stride + cols].fill(T::default()));
        }
        return;
    }
    let (rows, inner, out) = (a.rows, a.cols, out.as_mut_ptr());
    // SAFETY: the operands lie within their slices, checked above, and `out` is borrowed alone.
    unsafe {
        if T::has_kernels() {
            T::run(&Product { rows, cols, inner, out, stride, a: a.pointer(), b, b_rows, b_cols, add });
        } else {
            let start = if add { Start::Keep } else { Start::Zero };
            let (out, b) = (Pointer::new(out, stride, 1), Right::Strided(Pointer::new(b, b_rows, 1)));
            T::tile([rows, cols, inner], out, a.pointer(), b, T::ONE, start);
        }
    }
}

impl Small for f32 {
    fn has_kernels() -> bool {
        true
    }
    unsafe fn turn(from: Pointer<*const f32>, size: [usize; 2], to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { pack(kernels(), from, size, PAD, to) };
    }
    unsafe fn run(p: &Product<f32>) {
        let kernels = kernels();
        let slivers = p.rows.div_ceil(kernels.rows);
        for sliver in 0..slivers {
            let (first, last) = (p.rows * sliver / slivers, p.rows * (sliver + 1) / slivers);
            let (most, width) = (if last - first <= kernels.wide_rows { WIDEST } else { 2 }, kernels.width());
            let mut col = 0;
            while col < p.cols {
                let left = (p.cols - col) / kernels.lanes;
                // SAFETY: a block within the product, which the caller vouches for.
                unsafe {
                    let (vectors, b, b_inner) = if p.b_rows == 0 {
                        (left.min(2), p.b.add(col * p.inner), width.min(p.b_cols - col))
                    } else {
                        (if left >= most { most } else { left.min(2) }, p.b.add(col), p.b_rows)
                    };
                    let out = p.out.add(first * p.stride + col);
                    kernels.get(last - first, vectors)(&Block {
                        inner: p.inner,
                        a: every_third(p.a.moved(first, 0).at, p.a.rows as usize),
                        a_rows: p.a.rows as usize,
                        a_inner: p.a.cols as usize,
                        b,
                        b_inner,
                        soon: Soon::ahead(b, b_inner, [last - first, vectors], kernels.lanes),
                        out,
                        out_rows: p.stride,
                        start: if p.add { out } else { std::ptr::null() },
                        start_rows: p.stride,
                        factor: 1.0,
                    });
                    col += vectors * kernels.lanes;
                }
            }
        }
    }
}

impl Small for f64 {}

#[cfg(test)]
mod tests {
    use super::{super::kind::tests::on_each_kind, *};

    /// Small whole numbers over 8, whose products and sums are exact.
    fn numbers<T: From<f32>>(n: usize, seed: usize) -> Vec<T> {
        (0..n).map(|i| T::from(((i * 7919 + seed * 104_729) % 61) as f32 / 8.0 - 3.5)).collect()
    }

    fn holds<
        T: Small + From<f32> + PartialEq + std::fmt::Debug + std::ops::Mul<Output = T> + std::ops::Add<Output = T>,
    >() {
        // The last columns fill a whole sliver of a kernel, half of one, or less.
        let sizes = [[1, 1, 1], [8, 64, 64], [5, 20, 3], [3, 9, 5], [2, 28, 4], [13, 48, 70], [64, 33, 16], [4, 56, 9]];
        for [m, n, k] in sizes.into_iter().filter(|s| !cfg!(miri) || s.iter().product::<usize>() < 1000) {
            let (wide, a) = (padded(n), numbers::<T>(m * k, 1));
            let columns = numbers::<T>(n * (k + 3), 2);
            let mut rows = vec![T::default(); k * wide];
            (0..n * k).for_each(|i| rows[i % k * wide + i / k] = columns[i / k * (k + 3) + i % k]);
            let mut turned = Turned::default();
            turned.load(&columns, [n, k], k + 3).expect("memory for a small matrix");
            for (b, transposed, add) in [
                (Side::Rows(&rows, wide), false, false),
                (Side::Rows(&rows, wide), true, true),
                (Side::Turned(&turned), false, true),
                (Side::Turned(&turned), true, false),
            ] {
                let at = |i: usize, l: usize| if transposed { a[l * m + i] } else { a[i * k + l] };
                let left = Mat::new(&a, [m, k], if transposed { [1, m] } else { [k, 1] });
                for cols in (PAD..=wide).step_by(PAD) {
                    let mut out = vec![T::from(2.0); m * (wide + 5)];
                    small(&mut out, wide + 5, left, b, cols, add);
                    for (i, j) in (0..m * (wide + 5)).map(|x| (x / (wide + 5), x % (wide + 5))) {
                        let start = if add || j >= cols { T::from(2.0) } else { T::default() };
                        let terms = (0..if j < cols { k } else { 0 }).map(|l| at(i, l) * rows[l * wide + j]);
                        assert_eq!(out[i * (wide + 5) + j], terms.fold(start, |s, x| s + x), "{m} {n} {k} {i} {j}");
                    }
                }
            }
        }
    }

    #[test]
    fn small_products_are_exact_and_write_nothing_else() {
        holds::<f32>();
        holds::<f64>();
    }

    #[test]
    fn small_products_are_exact_on_each_kind_of_processor() {
        on_each_kind(|_| holds::<f32>());
    }
}
