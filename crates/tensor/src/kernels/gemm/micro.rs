//! The innermost loops of a float32 product: a few rows times a few registers of columns, for AVX-512 and for AVX2.
//!
//! Each element of the result is one chain of fused multiply-adds over the inner index in order, wherever it lies in a
//! block, so the two forms and all block sizes give the same bits.

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
    /// Elements in a register.
    pub lanes: usize,
    /// The most rows of a kernel with two registers of columns.
    pub rows: usize,
    /// The most rows of a kernel with [`WIDEST`] registers of columns.
    pub wide_rows: usize,
    /// By rows (from 1 on) and by registers of columns: 1, 2 and 4.
    table: &'static [[Micro; 3]],
}

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

/// The kernels for this processor, if there are any.
pub(super) fn kernels() -> Option<&'static Kernels> {
    #[cfg(test)]
    if tests::ONLY_AVX2.get() {
        return with_avx2();
    }
    with_avx512().or_else(with_avx2)
}

#[cfg(test)]
pub(super) mod tests {
    use std::cell::Cell;

    thread_local! {
        /// Whether this thread's products are to be those of a processor without AVX-512.
        pub(super) static ONLY_AVX2: Cell<bool> = const { Cell::new(false) };
    }

    /// Calls `f` as on a processor without AVX-512.
    pub(in super::super) fn with_avx2_only(f: impl FnOnce()) {
        ONLY_AVX2.set(true);
        f();
        ONLY_AVX2.set(false);
    }
}

/// The kernels for AVX-512, on a processor that has it.
pub(super) fn with_avx512() -> Option<&'static Kernels> {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        return Some(&avx512::KERNELS);
    }
    None
}

/// The kernels for AVX2, on a processor that has it.
pub(super) fn with_avx2() -> Option<&'static Kernels> {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        return Some(&avx2::KERNELS);
    }
    None
}

#[cfg(target_arch = "x86_64")]
macro_rules! kernels {
    ($name:ident, $features:literal, $lanes:literal, $rows:literal, $wide:literal, [$($r:literal)*],
     $zero:ident, $load:ident, $store:ident, $splat:ident, $fma:ident, $mul:ident) => {
        mod $name {
            use super::{Block, Kernels};
            use std::arch::x86_64::*;

            pub(super) static KERNELS: Kernels = Kernels {
                lanes: $lanes,
                rows: $rows,
                wide_rows: $wide,
                // Kernels of more rows than registers hold beside four of columns are not called.
                table: &[$([run::<$r, 1>, run::<$r, 2>, run::<{ if $r <= $wide { $r } else { 1 } }, 4>]),*],
            };

            /// # Safety
            /// As [`super::Micro`].
            #[target_feature(enable = $features)]
            // Indices of fixed size are what keeps the sums in registers.
            #[allow(clippy::needless_range_loop)]
            unsafe fn run<const R: usize, const V: usize>(block: &Block) {
                let &Block { inner, mut a, a_rows, a_inner, mut b, b_inner, mut soon, out, out_rows, start, start_rows, factor } = block;
                let mut sums = [[$zero(); V]; R];
                // SAFETY: within what the caller vouches for.
                unsafe {
                    for i in 0..R {
                        _mm_prefetch::<_MM_HINT_T0>(out.add(i * out_rows).cast());
                        if V * $lanes > 16 {
                            _mm_prefetch::<_MM_HINT_T0>(out.add(i * out_rows + V * $lanes - 1).cast());
                        }
                    }
                    for _ in 0..inner {
                        let mut columns = [$zero(); V];
                        for v in 0..V {
                            columns[v] = $load(b.add(v * $lanes));
                            // Beyond the end it does nothing.
                            if v * $lanes % 16 == 0 {
                                _mm_prefetch::<_MM_HINT_T0>(soon.at.wrapping_add(v * soon.lanes).cast());
                            }
                        }
                        for i in 0..R {
                            let x = $splat(*a[i / 3].add(i % 3 * a_rows));
                            for v in 0..V {
                                sums[i][v] = $fma(x, columns[v], sums[i][v]);
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
                                $mul(sums[i][v], factor)
                            } else {
                                $fma(sums[i][v], factor, $load(start.add(i * start_rows + v * $lanes)))
                            });
                        }
                    }
                }
            }
        }
    };
}
#[cfg(target_arch = "x86_64")]
kernels!(avx512, "avx512f,avx2,fma", 16, 12, 6, [1 2 3 4 5 6 7 8 9 10 11 12],
    _mm512_setzero_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_set1_ps, _mm512_fmadd_ps, _mm512_mul_ps);
#[cfg(target_arch = "x86_64")]
kernels!(avx2, "avx2,fma", 8, 6, 3, [1 2 3 4 5 6],
    _mm256_setzero_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_set1_ps, _mm256_fmadd_ps, _mm256_mul_ps);

/// Asks for a cache line, to the first-level cache or to the second; any address will do.
#[inline(always)]
pub(super) fn prefetch<const FIRST: bool>(at: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every processor of this kind knows it, and it has no effect but in the caches.
    unsafe {
        use std::arch::x86_64::*;
        if FIRST {
            _mm_prefetch::<_MM_HINT_T0>(at.cast());
        } else {
            _mm_prefetch::<_MM_HINT_T1>(at.cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

/// Writes the transpose of an 8 × 8 block: `to[i * to_rows + j] = from[j * from_rows + i]`.
///
/// # Safety
/// The processor has AVX2, and both blocks are in bounds.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
pub(super) unsafe fn transpose8(from: *const f32, from_rows: usize, to: *mut f32, to_rows: usize) {
    use std::arch::x86_64::*;
    // SAFETY: within what the caller vouches for.
    unsafe {
        // Rows i and i + 4 side by side, so that the moves within halves end in place.
        let pair = |i: usize, at: usize| {
            let low = _mm256_castps128_ps256(_mm_loadu_ps(from.add(i * from_rows + at)));
            _mm256_insertf128_ps::<1>(low, _mm_loadu_ps(from.add((i + 4) * from_rows + at)))
        };
        for at in [0, 4] {
            let (r0, r1, r2, r3) = (pair(0, at), pair(1, at), pair(2, at), pair(3, at));
            let (t0, t1) = (_mm256_unpacklo_ps(r0, r1), _mm256_unpackhi_ps(r0, r1));
            let (t2, t3) = (_mm256_unpacklo_ps(r2, r3), _mm256_unpackhi_ps(r2, r3));
            _mm256_storeu_ps(to.add(at * to_rows), _mm256_shuffle_ps::<0x44>(t0, t2));
            _mm256_storeu_ps(to.add((at + 1) * to_rows), _mm256_shuffle_ps::<0xee>(t0, t2));
            _mm256_storeu_ps(to.add((at + 2) * to_rows), _mm256_shuffle_ps::<0x44>(t1, t3));
            _mm256_storeu_ps(to.add((at + 3) * to_rows), _mm256_shuffle_ps::<0xee>(t1, t3));
        }
    }
}
/// As above.
#[cfg(not(target_arch = "x86_64"))]
pub(super) unsafe fn transpose8(from: *const f32, from_rows: usize, to: *mut f32, to_rows: usize) {
    for (i, j) in (0..64).map(|n| (n / 8, n % 8)) {
        // SAFETY: within what the caller vouches for.
        unsafe { *to.add(i * to_rows + j) = *from.add(j * from_rows + i) };
    }
}
