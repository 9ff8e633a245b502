//! The innermost loops of convolutions: blocks of accumulators that stay in registers.
//!
//! A block has up to `Kernel::rows` rows and [`Kernel::columns`] columns. Each accumulator is summed in the order of its terms,
//! so results do not depend on how blocks are cut.
#[cfg(target_arch = "aarch64")]
use std::arch::aarch64::*;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// The most rows of a block, on any processor.
pub(crate) const MAX_ROWS: usize = 12;

/// Consecutive terms of a sum: where they start in both factors, and how many there are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    pub(super) a: usize,
    pub(super) b: usize,
    pub(super) len: usize,
}

/// A part of a sum for each row of a block: where the rows' factors start, and where the other factor does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment<T> {
    pub(super) rows: [*const T; MAX_ROWS],
    pub(super) b: usize,
}

/// The loops for one element type on this processor.
pub(crate) struct Kernel<T: 'static> {
    /// Rows of the largest block.
    pub(super) rows: usize,
    /// Columns of every block.
    pub(super) columns: usize,
    /// `out[i][j] = Σ over segments s and k < len of s.rows[i][k] · b[s.b + k · columns + j]`, for `i` below the first argument.
    ///
    /// # Safety
    /// The first `rows` pointers of every segment are good for `len` reads, `b` from each segment's place for `len · columns`,
    /// and `out` for `rows · columns` writes.
    pub(super) gathered: unsafe fn(rows: usize, segments: &[Segment<T>], len: usize, b: *const T, out: *mut T),
    /// `out[i][j] += Σ over runs r and k < r.len of a[r.a + k · steps[0] + i] · b[r.b + k · steps[1] + j]`, for `i` below the
    /// first argument.
    ///
    /// # Safety
    /// All those elements lie within the allocations of `a` and `b`, and `out` is good for `rows · columns` reads and writes.
    pub(super) outer: unsafe fn(rows: usize, runs: &[Run], a: *const T, b: *const T, steps: [usize; 2], out: *mut T),
}

/// Element types that convolutions have loops for.
pub(crate) trait Convolve: super::super::gemm::Multiply + crate::Element + std::ops::AddAssign {
    /// The loops that this processor has instructions for, those of few columns first.
    fn kernels() -> &'static [&'static Kernel<Self>];
    /// The loops for so many columns: the narrowest they fit in, so that no lanes idle.
    fn kernel(columns: usize) -> &'static Kernel<Self> {
        let all = Self::kernels();
        all.iter().find(|k| k.columns >= columns).unwrap_or(&all[all.len() - 1])
    }
}

/// A register of several elements.
trait Vector: Copy {
    type T: Copy;
    const LANES: usize;
    unsafe fn zero() -> Self;
    unsafe fn load(at: *const Self::T) -> Self;
    unsafe fn splat(at: *const Self::T) -> Self;
    /// `self + a · b`.
    unsafe fn add_product(self, a: Self, b: Self) -> Self;
    unsafe fn add(self, o: Self) -> Self;
    unsafe fn store(self, at: *mut Self::T);
}

/// The `C` registers from `at` on.
#[allow(clippy::needless_range_loop)]
#[inline(always)]
unsafe fn registers<V: Vector, const C: usize>(at: *const V::T) -> [V; C] {
    // SAFETY: the caller vouches for as many elements.
    unsafe {
        let mut row = [V::zero(); C];
        for j in 0..C {
            row[j] = V::load(at.add(j * V::LANES));
        }
        row
    }
}

/// [`Kernel::gathered`] for `M` rows of `C` registers, `U` terms at a time: so the rows' pointers, which are too many for registers, are
/// read less often.
// Loops over a constant number of rows are unrolled, so that the sums are registers.
#[allow(clippy::needless_range_loop)]
#[inline(always)]
unsafe fn gathered<V: Vector, const M: usize, const C: usize, const U: usize>(
    segments: &[Segment<V::T>],
    len: usize,
    b: *const V::T,
    out: *mut V::T,
) {
    // SAFETY: the caller's promise, see `Kernel::gathered`.
    unsafe {
        let mut sums = [[V::zero(); C]; M];
        for segment in segments {
            let whole = len - len % U;
            for k in (0..whole).step_by(U) {
                let mut terms = [[V::zero(); C]; U];
                for u in 0..U {
                    terms[u] = registers::<V, C>(b.add(segment.b + C * (k + u) * V::LANES));
                }
                for i in 0..M {
                    let row = segment.rows[i].add(k);
                    for u in 0..U {
                        let x = V::splat(row.add(u));
                        for j in 0..C {
                            sums[i][j] = sums[i][j].add_product(x, terms[u][j]);
                        }
                    }
                }
            }
            for k in whole..len {
                let term = registers::<V, C>(b.add(segment.b + C * k * V::LANES));
                for i in 0..M {
                    let x = V::splat(segment.rows[i].add(k));
                    for j in 0..C {
                        sums[i][j] = sums[i][j].add_product(x, term[j]);
                    }
                }
            }
        }
        for i in 0..M {
            for j in 0..C {
                sums[i][j].store(out.add((C * i + j) * V::LANES));
            }
        }
    }
}

/// [`Kernel::outer`] for `M` rows of `C` registers.
#[allow(clippy::needless_range_loop)]
#[inline(always)]
unsafe fn outer<V: Vector, const M: usize, const C: usize>(
    runs: &[Run],
    a: *const V::T,
    b: *const V::T,
    steps: [usize; 2],
    out: *mut V::T,
) {
    // SAFETY: the caller's promise, see `Kernel::outer`.
    unsafe {
        let mut sums = [[V::zero(); C]; M];
        for run in runs {
            let (mut a, mut b) = (a.add(run.a), b.add(run.b));
            for _ in 0..run.len {
                let row = registers::<V, C>(b);
                for i in 0..M {
                    let x = V::splat(a.add(i));
                    for j in 0..C {
                        sums[i][j] = sums[i][j].add_product(x, row[j]);
                    }
                }
                a = a.wrapping_add(steps[0]);
                b = b.wrapping_add(steps[1]);
            }
        }
        for i in 0..M {
            for j in 0..C {
                let at = out.add((C * i + j) * V::LANES);
                V::load(at).add(sums[i][j]).store(at);
            }
        }
    }
}

/// A [`Kernel`] of blocks of these rows, compiled for a processor.
macro_rules! kernel {
    ($name:ident, $V:ty, $t:ty, $c:literal by $u:literal, [$($m:literal)*], $rows:literal $(, $feature:literal)?) => {
        mod $name {
            use super::*;
            $(#[target_feature(enable = $feature)])?
            unsafe fn gathered_rows(rows: usize, segments: &[Segment<$t>], len: usize, b: *const $t, out: *mut $t) {
                // SAFETY: the caller's promise is what is asked for; the processor was asked for its features by `kernel()`.
                unsafe { match rows { $($m => gathered::<$V, $m, $c, $u>(segments, len, b, out),)* _ => unreachable!("blocks have at most {} rows", $rows) } }
            }
            $(#[target_feature(enable = $feature)])?
            unsafe fn outer_rows(rows: usize, runs: &[Run], a: *const $t, b: *const $t, steps: [usize; 2], out: *mut $t) {
                // SAFETY: as above.
                unsafe { match rows { $($m => outer::<$V, $m, $c>(runs, a, b, steps, out),)* _ => unreachable!("blocks have at most {} rows", $rows) } }
            }
            pub(super) static KERNEL: Kernel<$t> =
                Kernel { rows: $rows, columns: $c * <$V as Vector>::LANES, gathered: gathered_rows, outer: outer_rows };
        }
    };
}

/// Four elements in an array, which a processor without kernels of its own holds in one or two registers.
#[cfg(not(target_arch = "aarch64"))]
#[derive(Clone, Copy)]
struct Four<T>([T; 4]);

#[cfg(not(target_arch = "aarch64"))]
macro_rules! portable {
    ($($t:ty, $name:ident;)*) => {$(
        impl Vector for Four<$t> {
            type T = $t;
            const LANES: usize = 4;
            #[inline(always)]
            unsafe fn zero() -> Self { Self([0.0; 4]) }
            #[inline(always)]
            unsafe fn load(at: *const $t) -> Self {
                // SAFETY: the caller vouches for four elements; an array is aligned as they are.
                Self(unsafe { at.cast::<[$t; 4]>().read() })
            }
            #[inline(always)]
            unsafe fn splat(at: *const $t) -> Self {
                // SAFETY: the caller vouches for the element.
                Self([unsafe { *at }; 4])
            }
            #[inline(always)]
            unsafe fn add_product(self, a: Self, b: Self) -> Self {
                // Rounded twice: without the instruction a fused product would be a call.
                Self(std::array::from_fn(|i| self.0[i] + a.0[i] * b.0[i]))
            }
            #[inline(always)]
            unsafe fn add(self, o: Self) -> Self { Self(std::array::from_fn(|i| self.0[i] + o.0[i])) }
            #[inline(always)]
            unsafe fn store(self, at: *mut $t) {
                // SAFETY: as in `load`.
                unsafe { at.cast::<[$t; 4]>().write(self.0) }
            }
        }
        kernel!($name, Four<$t>, $t, 2 by 1, [1 2 3 4 5 6], 6);
    )*};
}
#[cfg(not(target_arch = "aarch64"))]
portable! { f32, portable_f32; f64, portable_f64; }

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! registers {
    ($($V:ident, $t:ty, $lanes:literal, $zero:ident, $load:ident, $splat:ident, $fma:ident, $add:ident, $store:ident;)*) => {$(
        impl Vector for $V {
            type T = $t;
            const LANES: usize = $lanes;
            #[inline(always)]
            unsafe fn zero() -> Self {
                // SAFETY: the caller runs on a processor that has the instruction, here and below.
                unsafe { $zero() }
            }
            #[inline(always)]
            unsafe fn load(at: *const $t) -> Self {
                // SAFETY: the caller vouches for the elements.
                unsafe { $load(at) }
            }
            #[inline(always)]
            unsafe fn splat(at: *const $t) -> Self {
                // SAFETY: the caller vouches for the element.
                unsafe { $splat(*at) }
            }
            #[inline(always)]
            unsafe fn add_product(self, a: Self, b: Self) -> Self {
                // SAFETY: registers alone.
                unsafe { $fma(a, b, self) }
            }
            #[inline(always)]
            unsafe fn add(self, o: Self) -> Self {
                // SAFETY: registers alone.
                unsafe { $add(self, o) }
            }
            #[inline(always)]
            unsafe fn store(self, at: *mut $t) {
                // SAFETY: the caller vouches for the elements.
                unsafe { $store(at, self) }
            }
        }
    )*};
}
#[cfg(target_arch = "x86_64")]
registers! {
    __m512, f32, 16, _mm512_setzero_ps, _mm512_loadu_ps, _mm512_set1_ps, _mm512_fmadd_ps, _mm512_add_ps, _mm512_storeu_ps;
    __m512d, f64, 8, _mm512_setzero_pd, _mm512_loadu_pd, _mm512_set1_pd, _mm512_fmadd_pd, _mm512_add_pd, _mm512_storeu_pd;
    __m256, f32, 8, _mm256_setzero_ps, _mm256_loadu_ps, _mm256_set1_ps, _mm256_fmadd_ps, _mm256_add_ps, _mm256_storeu_ps;
    __m256d, f64, 4, _mm256_setzero_pd, _mm256_loadu_pd, _mm256_set1_pd, _mm256_fmadd_pd, _mm256_add_pd, _mm256_storeu_pd;
}

#[cfg(target_arch = "aarch64")]
registers! {
    float32x4_t, f32, 4, zero_f32, vld1q_f32, vdupq_n_f32, product_f32, vaddq_f32, vst1q_f32;
    float64x2_t, f64, 2, zero_f64, vld1q_f64, vdupq_n_f64, product_f64, vaddq_f64, vst1q_f64;
}
/// What NEON has in another form than `registers` asks for: zeros, and `a · b + sum`.
#[cfg(target_arch = "aarch64")]
macro_rules! neon {
    ($($V:ident: $zero:ident by $all:ident, $product:ident by $add_product:ident;)*) => {$(
        #[inline]
        #[target_feature(enable = "neon")]
        fn $zero() -> $V {
            $all(0.0)
        }
        #[inline]
        #[target_feature(enable = "neon")]
        fn $product(a: $V, b: $V, sum: $V) -> $V {
            $add_product(sum, a, b)
        }
    )*};
}
#[cfg(target_arch = "aarch64")]
neon! {
    float32x4_t: zero_f32 by vdupq_n_f32, product_f32 by vfmaq_f32;
    float64x2_t: zero_f64 by vdupq_n_f64, product_f64 by vfmaq_f64;
}
#[cfg(target_arch = "x86_64")]
kernel!(avx512_f32, __m512, f32, 2 by 2, [1 2 3 4 5 6 7 8 9 10 11 12], 12, "avx512f");
#[cfg(target_arch = "x86_64")]
kernel!(avx512_f32_narrow, __m512, f32, 1 by 2, [1 2 3 4 5 6 7 8 9 10 11 12], 12, "avx512f");
#[cfg(target_arch = "x86_64")]
kernel!(avx512_f64, __m512d, f64, 2 by 2, [1 2 3 4 5 6 7 8 9 10 11 12], 12, "avx512f");
#[cfg(target_arch = "x86_64")]
kernel!(avx2_f32, __m256, f32, 2 by 1, [1 2 3 4 5 6], 6, "avx2,fma");
#[cfg(target_arch = "x86_64")]
kernel!(avx2_f32_narrow, __m256, f32, 1 by 1, [1 2 3 4 5 6 7 8 9 10 11 12], 12, "avx2,fma");
#[cfg(target_arch = "x86_64")]
kernel!(avx2_f64, __m256d, f64, 2 by 1, [1 2 3 4 5 6], 6, "avx2,fma");
#[cfg(target_arch = "aarch64")]
kernel!(neon_f32, float32x4_t, f32, 4 by 1, [1 2 3 4 5 6], 6, "neon");
#[cfg(target_arch = "aarch64")]
kernel!(neon_f32_narrow, float32x4_t, f32, 2 by 1, [1 2 3 4 5 6 7 8 9 10 11 12], 12, "neon");
#[cfg(target_arch = "aarch64")]
kernel!(neon_f64, float64x2_t, f64, 4 by 1, [1 2 3 4 5 6], 6, "neon");

/// The kernels of a type that this processor has instructions for, narrow ones first.
macro_rules! convolve {
    ($($t:ty: avx512 [$($avx512:ident)*], avx2 [$($avx2:ident)*], neon [$($neon:ident)*], $portable:ident;)*) => {$(
        impl Convolve for $t {
            fn kernels() -> &'static [&'static Kernel<$t>] {
                #[cfg(target_arch = "x86_64")]
                {
                    static AVX512: &[&Kernel<$t>] = &[$(&$avx512::KERNEL),*];
                    static AVX2: &[&Kernel<$t>] = &[$(&$avx2::KERNEL),*];
                    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                        return if is_x86_feature_detected!("avx512f") { AVX512 } else { AVX2 };
                    }
                }
                #[cfg(target_arch = "aarch64")]
                static OTHERS: &[&Kernel<$t>] = &[$(&$neon::KERNEL),*];
                #[cfg(not(target_arch = "aarch64"))]
                static OTHERS: &[&Kernel<$t>] = &[&$portable::KERNEL];
                OTHERS
            }
        }
    )*};
}
convolve! {
    f32: avx512 [avx2_f32_narrow avx512_f32_narrow avx512_f32], avx2 [avx2_f32_narrow avx2_f32], neon [neon_f32_narrow neon_f32], portable_f32;
    f64: avx512 [avx512_f64], avx2 [avx2_f64], neon [neon_f64], portable_f64;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whole numbers, whose sums are exact.
    fn values(n: usize, seed: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 7 + seed * 13 + i / 5) % 11) as f32 - 5.0).collect()
    }

    #[test]
    fn blocks_of_any_rows_on_any_processor() {
        // Those of other processors too, where this one can run them.
        #[cfg_attr(target_arch = "aarch64", allow(unused_mut))]
        let mut all = f32::kernels().to_vec();
        #[cfg(not(target_arch = "aarch64"))]
        all.push(&portable_f32::KERNEL);
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            all.push(&avx2_f32::KERNEL);
        }
        for k in all {
            for rows in 1..=k.rows {
                let (len, segments, columns) = (5, 3, k.columns);
                let (a, b) = (values(rows * len * segments, 1), values(len * segments * columns, 2));
                let at = |s: usize, i: usize| (s * rows + i) * len;
                let row = |s: usize, i: usize| if i < rows { a[at(s, i)..].as_ptr() } else { std::ptr::null() };
                let pointers: Vec<Segment<f32>> = (0..segments)
                    .map(|s| Segment { rows: std::array::from_fn(|i| row(s, i)), b: s * len * columns })
                    .collect();
                let mut out = vec![0f32; rows * columns];
                // SAFETY: `a` holds `len` elements at each of the places, `b` and `out` have the sizes asked for.
                unsafe { (k.gathered)(rows, &pointers, len, b.as_ptr(), out.as_mut_ptr()) };
                for (o, &got) in out.iter().enumerate() {
                    let (i, j) = (o / columns, o % columns);
                    let terms = (0..segments * len).map(|t| a[at(t / len, i) + t % len] * b[t * columns + j]);
                    assert_eq!(got, terms.sum::<f32>());
                }
                let steps = [rows + 2, columns + 3];
                let (a, b) = (values(9 * steps[0] + rows, 3), values(9 * steps[1] + columns, 4));
                let runs = [Run { a: 0, b: steps[1], len: 4 }, Run { a: 5 * steps[0], b: 0, len: 3 }];
                let mut out = values(rows * columns, 5);
                let before = out.clone();
                // SAFETY: no run goes beyond nine steps from the start of either factor.
                unsafe { (k.outer)(rows, &runs, a.as_ptr(), b.as_ptr(), steps, out.as_mut_ptr()) };
                for (o, &got) in out.iter().enumerate() {
                    let (i, j) = (o / columns, o % columns);
                    let terms =
                        runs.iter().flat_map(|r| (0..r.len).map(move |k| (r.a + k * steps[0], r.b + k * steps[1])));
                    assert_eq!(got, before[o] + terms.map(|(x, y)| a[x + i] * b[y + j]).sum::<f32>());
                }
            }
        }
    }
}
