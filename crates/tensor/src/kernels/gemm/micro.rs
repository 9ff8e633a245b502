//! The innermost loops of a float32 product: a few rows times a few registers of columns. They are compiled for each kind of processor,
//! in `x86`, `neon` and `plain`.
//!
//! Each element of the result is one chain of multiply-adds over the inner index in order, wherever it lies in a block, so all block sizes
//! give the same bits. AVX-512, AVX2 and NEON fuse a multiplication with its addition, so they give the same bits as one another; the
//! others round in between.

/// One block of a product: `out = factor · a · b`, plus `start` where there is one.
pub(super) struct Block {
    /// The inner size.
    pub inner: usize,
    /// The left operand's rows 0, 3, 6 and 9 ([`every_third`]), its row stride and its inner stride.
    pub a: [*const f32; 4],
    pub a_rows: usize,
    pub a_inner: usize,
    /// The right operand, its columns side by side, and its inner stride.
    pub b: *const f32,
    pub b_inner: usize,
    /// What is asked for while the kernel runs: of each step of the inner axis as many cache lines as it reads.
    pub soon: Soon,
    /// The result, its columns side by side, and its row stride.
    pub out: *mut f32,
    pub out_rows: usize,
    /// What the product is added to (null: nothing), and its row stride.
    pub start: *const f32,
    pub start_rows: usize,
    pub factor: f32,
}

/// Cache lines that are read next, any addresses.
#[derive(Clone, Copy)]
pub(super) struct Soon {
    /// Those of the first step of the inner axis.
    pub at: *const f32,
    /// Distance to those of the next step.
    pub inner: usize,
    /// Distance of neighbouring registers; 0 asks for one line only.
    pub lanes: usize,
}

impl Soon {
    /// The same columns, so many steps of the inner axis further on that they come from another cache in time.
    #[inline(always)]
    pub(super) fn ahead(b: *const f32, b_inner: usize, [rows, vectors]: [usize; 2], lanes: usize) -> Self {
        Self { at: b.wrapping_add(b_inner * (256 / (rows * vectors)).clamp(8, 32)), inner: b_inner, lanes }
    }
}

/// Where every third row starts. From one pointer a kernel would walk from row to row in each step of the inner axis, and so many
/// additions in a chain take as long as the multiplications; from four it has them as registers and addresses beside these.
#[inline(always)]
pub(super) fn every_third(a: *const f32, rows: usize) -> [*const f32; 4] {
    std::array::from_fn(|i| a.wrapping_add(3 * i * rows))
}

/// A kernel of a fixed number of rows and of registers of columns.
///
/// # Safety
/// The processor has what the kernel was compiled for, and all that the block's sizes and strides reach is in bounds.
pub(super) type Micro = unsafe fn(&Block);

/// The most registers of columns a kernel has.
pub(super) const WIDEST: usize = 4;

/// The kernels of one kind of processor.
#[derive(Clone, Copy)]
pub(super) struct Kernels {
    /// Elements in a register, or in as many as are worked on like one.
    pub lanes: usize,
    /// The most rows of a kernel with two registers of columns.
    pub rows: usize,
    /// The most rows of a kernel with [`WIDEST`] registers of columns.
    pub wide_rows: usize,
    /// By rows (from 1 on) and by registers of columns: 1, 2 and 4.
    pub table: &'static [[Micro; 3]],
    /// Whether copies may use the registers of AVX2.
    #[cfg(target_arch = "x86_64")]
    pub avx2: bool,
    /// Writes the transpose of an 8 × 8 block.
    pub transpose8: Transpose,
}

/// Writes the transpose of an 8 × 8 block: `to[i * to_rows + j] = from[j * from_rows + i]`, for `(from, from_rows, to, to_rows)`.
///
/// # Safety
/// The processor has what it was compiled for, and both blocks are in bounds.
pub(super) type Transpose = unsafe fn(*const f32, usize, *mut f32, usize);

impl Kernels {
    /// The kernel for so many rows and registers: 1, 2 or (for at most `wide_rows`) 4.
    #[inline]
    pub(super) fn get(&self, rows: usize, vectors: usize) -> Micro {
        self.table[rows - 1][vectors / 2]
    }
    /// Columns of a packed sliver.
    pub(super) fn width(&self) -> usize {
        2 * self.lanes
    }
}

/// Compiles the kernels for one kind of processor. Registers may be anything that these functions work on; those of x86 are intrinsics.
macro_rules! compile {
    ($name:ident, [$($features:literal)?], $lanes:literal, $rows:literal, $wide:literal, [$($r:literal)*], avx2: $avx2:literal, $transpose8:ident,
     $zero:ident, $load:ident, $store:ident, $splat:ident, $multiply_add:ident, $multiply:ident) => {
        pub(super) mod $name {
            use super::*;
            use super::super::micro::{Block, Kernels};
            use crate::kernels::prefetch::prefetch;

            pub(in super::super) static KERNELS: Kernels = Kernels {
                lanes: $lanes,
                rows: $rows,
                wide_rows: $wide,
                // Kernels of more rows than registers hold beside four of columns are not called.
                table: &[$([run::<$r, 1>, run::<$r, 2>, run::<{ if $r <= $wide { $r } else { 1 } }, 4>]),*],
                #[cfg(target_arch = "x86_64")]
                avx2: $avx2,
                transpose8: $transpose8,
            };

            /// # Safety
            /// As [`super::super::micro::Micro`].
            $(#[target_feature(enable = $features)])?
            // Indices of fixed size are what keeps the sums in registers.
            #[allow(clippy::needless_range_loop)]
            unsafe fn run<const R: usize, const V: usize>(block: &Block) {
                let &Block { inner, mut a, a_rows, a_inner, mut b, b_inner, mut soon, out, out_rows, start, start_rows, factor } = block;
                let mut sums = [[$zero(); V]; R];
                // SAFETY: within what the caller vouches for.
                unsafe {
                    for i in 0..R {
                        prefetch::<true, _>(out.add(i * out_rows).cast_const());
                        if V * $lanes > 16 {
                            prefetch::<true, _>(out.add(i * out_rows + V * $lanes - 1).cast_const());
                        }
                    }
                    for _ in 0..inner {
                        let mut columns = [$zero(); V];
                        for v in 0..V {
                            columns[v] = $load(b.add(v * $lanes));
                            // Beyond the end it does nothing.
                            if v * $lanes % 16 == 0 {
                                prefetch::<true, _>(soon.at.wrapping_add(v * soon.lanes));
                            }
                        }
                        for i in 0..R {
                            let x = $splat(*a[i / 3].add(i % 3 * a_rows));
                            for v in 0..V {
                                sums[i][v] = $multiply_add(x, columns[v], sums[i][v]);
                            }
                        }
                        // After the last step they point further behind the operands than `add` may.
                        for third in &mut a[..R.div_ceil(3)] {
                            *third = third.wrapping_add(a_inner);
                        }
                        b = b.wrapping_add(b_inner);
                        soon.at = soon.at.wrapping_add(soon.inner);
                    }
                    let factor = $splat(factor);
                    for i in 0..R {
                        for v in 0..V {
                            let to = out.add(i * out_rows + v * $lanes);
                            $store(to, if start.is_null() {
                                $multiply(factor, sums[i][v])
                            } else {
                                $multiply_add(factor, sums[i][v], $load(start.add(i * start_rows + v * $lanes)))
                            });
                        }
                    }
                }
            }
        }
    };
}
pub(super) use compile;
