//! The innermost loops of products by quantized weights: a few rows times a few registers of columns, widened as they are read.
//!
//! Each element of the result is one chain of fused multiply-adds over the inner index in order, as in the products of float32 weights.
use half::bf16;

/// Columns of a sliver of weights.
pub(super) const SLIVER: usize = 64;
/// Columns come in multiples of this: whole registers of any processor.
pub(super) const PAD: usize = 16;
/// The most rows of any kernel.
pub(super) const ROWS: usize = 12;

/// What weights are held in.
pub(crate) trait Narrow: Copy + Send + Sync + bytemuck::Zeroable + 'static {
    /// Its value, exactly.
    fn widen(self) -> f32;
    /// The kernels for this processor, if there are any.
    fn kernels() -> Option<&'static Kernels<Self>>;
}

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
    table: &'static [[Micro<T>; 3]],
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

/// The product of a block without kernels, row by row.
///
/// # Safety
/// All that the sizes and strides reach is in bounds.
pub(super) unsafe fn portable<T: Narrow>(block: &Block<T>, rows: usize, cols: usize) {
    for row in 0..rows {
        let mut sums = [0f32; SLIVER];
        // SAFETY: within what the caller vouches for.
        unsafe {
            for l in 0..block.inner {
                let x = *block.a.add(row * block.a_rows + l);
                let weights = std::slice::from_raw_parts(block.b.add(l * block.b_inner), cols);
                for (sum, w) in sums.iter_mut().zip(weights) {
                    *sum = multiply_add(x, w.widen(), *sum);
                }
            }
            let out = std::slice::from_raw_parts_mut(block.out.add(row * SLIVER), cols);
            for (out, sum) in out.iter_mut().zip(sums) {
                *out = if block.add { *out + sum } else { sum };
            }
        }
    }
}

/// `x · y + sum`, rounded once where the processor that is compiled for can: elsewhere that takes a hundred times as long.
#[inline(always)]
fn multiply_add(x: f32, y: f32, sum: f32) -> f32 {
    if cfg!(any(target_arch = "aarch64", target_feature = "fma")) {
        x.mul_add(y, sum)
    } else {
        x * y + sum
    }
}

#[cfg(target_arch = "x86_64")]
macro_rules! kernels {
    ($name:ident, $type:ty, $features:literal, $lanes:literal, $rows:literal, $wide:literal, [$($r:literal)*],
     $zero:ident, $load:ident, $store:ident, $splat:ident, $fma:ident, $plus:ident, $widened:expr) => {
        mod $name {
            use super::{Block, Kernels, SLIVER};
            use std::arch::x86_64::*;

            pub(super) static KERNELS: Kernels<$type> = Kernels {
                lanes: $lanes,
                rows: $rows,
                wide_rows: $wide,
                // Kernels of more rows than registers hold beside four of columns are not called.
                table: &[$([run::<$r, 1>, run::<$r, 2>, run::<{ if $r <= $wide { $r } else { 1 } }, 4>]),*],
                widen,
            };

            /// # Safety
            /// As [`super::Micro`].
            #[target_feature(enable = $features)]
            // Indices of fixed size are what keeps the sums in registers.
            #[allow(clippy::needless_range_loop)]
            unsafe fn run<const R: usize, const V: usize>(block: &Block<$type>) {
                let &Block { inner, mut a, a_rows, mut b, b_inner, out, add } = block;
                let mut sums = [[$zero(); V]; R];
                // SAFETY: within what the caller vouches for.
                unsafe {
                    for _ in 0..inner {
                        // Beyond the end it does nothing.
                        _mm_prefetch::<_MM_HINT_T0>(b.wrapping_add(32 * b_inner).cast());
                        let mut columns = [$zero(); V];
                        for v in 0..V {
                            columns[v] = $widened(b.add(v * $lanes));
                        }
                        for i in 0..R {
                            let x = $splat(*a.add(i * a_rows));
                            for v in 0..V {
                                sums[i][v] = $fma(x, columns[v], sums[i][v]);
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
            #[target_feature(enable = $features)]
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

#[cfg(target_arch = "x86_64")]
kernels!(
    bytes512, i8, "avx512f,avx2,fma", 16, 12, 6, [1 2 3 4 5 6 7 8 9 10 11 12],
    _mm512_setzero_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_set1_ps, _mm512_fmadd_ps, _mm512_add_ps,
    |at: *const i8| _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(at.cast())))
);
#[cfg(target_arch = "x86_64")]
kernels!(
    bytes256, i8, "avx2,fma", 8, 6, 2, [1 2 3 4 5 6],
    _mm256_setzero_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_set1_ps, _mm256_fmadd_ps, _mm256_add_ps,
    |at: *const i8| _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(at.cast())))
);
#[cfg(target_arch = "x86_64")]
kernels!(
    brain512, half::bf16, "avx512f,avx2,fma", 16, 12, 6, [1 2 3 4 5 6 7 8 9 10 11 12],
    _mm512_setzero_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_set1_ps, _mm512_fmadd_ps, _mm512_add_ps,
    |at: *const half::bf16| _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(_mm256_loadu_si256(at.cast()))))
);
#[cfg(target_arch = "x86_64")]
kernels!(
    brain256, half::bf16, "avx2,fma", 8, 6, 2, [1 2 3 4 5 6],
    _mm256_setzero_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_set1_ps, _mm256_fmadd_ps, _mm256_add_ps,
    |at: *const half::bf16| _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(_mm_loadu_si128(at.cast()))))
);

/// Those of the float32 products of this processor, of the same width.
macro_rules! chosen {
    ($wide:ident, $half:ident) => {{
        #[cfg(target_arch = "x86_64")]
        return super::super::micro::kernels()
            .map(|float32| if float32.lanes == 16 { &$wide::KERNELS } else { &$half::KERNELS });
        #[cfg(not(target_arch = "x86_64"))]
        return None;
    }};
}

impl Narrow for i8 {
    #[inline(always)]
    fn widen(self) -> f32 {
        f32::from(self)
    }
    fn kernels() -> Option<&'static Kernels<i8>> {
        chosen!(bytes512, bytes256)
    }
}

impl Narrow for bf16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }
    fn kernels() -> Option<&'static Kernels<bf16>> {
        chosen!(brain512, brain256)
    }
}
