//! The innermost loops of products by quantized weights: a few rows times a few registers of columns, widened as they are read.
//!
//! Each element of the result is one chain of multiply-adds over the inner index in order, as in the products of float32 weights.
//! Processors that round between multiplying and adding do so here too.

/// Columns of a sliver of weights.
pub(super) const SLIVER: usize = 64;
/// Columns come in multiples of this: whole registers of any processor.
pub(super) const PAD: usize = 16;
/// The most rows of any kernel.
pub(super) const ROWS: usize = 12;

/// One block of a product: `out = a · b`, or `out += a · b`.
pub(super) struct Block<T> {
    /// The inner size.
    pub inner: usize,
    /// The left operand, its elements side by side, and its row stride.
    pub a: *const f32,
    pub a_rows: usize,
    /// The right operand, its columns side by side, and its inner stride.
    pub b: *const T,
    pub b_inner: usize,
    /// The result, its rows [`SLIVER`] apart.
    pub out: *mut f32,
    pub add: bool,
}

/// A kernel of a fixed number of rows and of registers of columns.
///
/// # Safety
/// The processor has what the kernel was compiled for, and all that the block's sizes and strides reach is in bounds.
pub(super) type Micro<T> = unsafe fn(&Block<T>);

/// The kernels of one kind of processor.
pub(crate) struct Kernels<T: 'static> {
    /// Elements in a register.
    pub(super) lanes: usize,
    /// The most rows of a kernel with two registers of columns.
    pub(super) rows: usize,
    /// The most rows of a kernel with four.
    pub(super) wide_rows: usize,
    /// By rows (from 1 on) and by registers of columns: 1, 2 and 4.
    pub(super) table: &'static [[Micro<T>; 3]],
    /// Widens rows of so many neighbouring elements, a multiple of the registers' length: from where, how far apart, to where, one
    /// after the other, how many elements and rows.
    pub(super) widen: unsafe fn(*const T, usize, *mut f32, [usize; 2]),
}

impl<T> Kernels<T> {
    /// The most registers of columns, of so many that are left, that a kernel of so many rows has; and that kernel.
    #[inline]
    pub(super) fn get(&self, rows: usize, left: usize) -> (usize, Micro<T>) {
        let vectors = match left {
            1 => 1,
            4.. if rows <= self.wide_rows => 4,
            _ => 2,
        };
        (vectors, self.table[rows - 1][vectors / 2])
    }
}

/// Compiles the kernels for one kind of processor and of weights, as those of float32.
macro_rules! compile {
    ($name:ident, $type:ty, [$($features:literal)?], $lanes:literal, $rows:literal, $wide:literal, [$($r:literal)*],
     $zero:ident, $load:ident, $store:ident, $splat:ident, $multiply_add:ident, $plus:ident, $widened:expr) => {
        pub(super) mod $name {
            use super::super::micro::{Block, Kernels, SLIVER};
            use super::*;
            use crate::kernels::prefetch::prefetch;

            pub(in super::super) static KERNELS: Kernels<$type> = Kernels {
                lanes: $lanes,
                rows: $rows,
                wide_rows: $wide,
                // Kernels of more rows than registers hold beside four of columns are not called.
                table: &[$([run::<$r, 1>, run::<$r, 2>, run::<{ if $r <= $wide { $r } else { 1 } }, 4>]),*],
                widen,
            };

            /// # Safety
            /// As [`super::super::micro::Micro`].
            $(#[target_feature(enable = $features)])?
            // Indices of fixed size are what keeps the sums in registers.
            #[allow(clippy::needless_range_loop)]
            unsafe fn run<const R: usize, const V: usize>(block: &Block<$type>) {
                let &Block { inner, mut a, a_rows, mut b, b_inner, out, add } = block;
                let mut sums = [[$zero(); V]; R];
                // SAFETY: within what the caller vouches for.
                unsafe {
                    for _ in 0..inner {
                        // Beyond the end it does nothing.
                        prefetch::<true, _>(b.wrapping_add(32 * b_inner));
                        let mut columns = [$zero(); V];
                        for v in 0..V {
                            columns[v] = $widened(b.add(v * $lanes));
                        }
                        for i in 0..R {
                            let x = $splat(*a.add(i * a_rows));
                            for v in 0..V {
                                sums[i][v] = $multiply_add(x, columns[v], sums[i][v]);
                            }
                        }
                        // After the last step they point further behind the operands than `add` may.
                        a = a.wrapping_add(1);
                        b = b.wrapping_add(b_inner);
                    }
                    for i in 0..R {
                        for v in 0..V {
                            let to = out.add(i * SLIVER + v * $lanes);
                            $store(to, if add { $plus(sums[i][v], $load(to)) } else { sums[i][v] });
                        }
                    }
                }
            }

            /// # Safety
            /// Both sides are in bounds, and the processor has what this was compiled for.
            $(#[target_feature(enable = $features)])?
            unsafe fn widen(from: *const $type, stride: usize, to: *mut f32, [n, rows]: [usize; 2]) {
                for row in 0..rows {
                    for at in (0..n).step_by($lanes) {
                        // SAFETY: the caller's promise.
                        unsafe { $store(to.add(row * n + at), $widened(from.add(row * stride + at))) };
                    }
                }
            }
        }
    };
}
pub(super) use compile;
