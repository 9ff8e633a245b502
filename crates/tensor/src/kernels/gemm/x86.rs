//! The innermost loops of a float32 product on x86-64.
use super::micro::compile;
use std::arch::x86_64::*;

compile!(avx512, ["avx512f,avx2,fma"], 16, 12, 6, [1 2 3 4 5 6 7 8 9 10 11 12], avx2: true, transpose8,
    _mm512_setzero_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_set1_ps, _mm512_fmadd_ps, _mm512_mul_ps);
compile!(avx2, ["avx2,fma"], 8, 6, 3, [1 2 3 4 5 6], avx2: true, transpose8,
    _mm256_setzero_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_set1_ps, _mm256_fmadd_ps, _mm256_mul_ps);
compile!(sse2, ["sse2"], 4, 6, 2, [1 2 3 4 5 6], avx2: false, transpose8_by_quarters,
    _mm_setzero_ps, _mm_loadu_ps, _mm_storeu_ps, _mm_set1_ps, multiply_add, _mm_mul_ps);

/// `x · y + sum`, rounded twice: what is older than AVX2 has no instruction for both.
#[inline]
#[target_feature(enable = "sse2")]
pub(super) fn multiply_add(x: __m128, y: __m128, sum: __m128) -> __m128 {
    _mm_add_ps(sum, _mm_mul_ps(x, y))
}

/// # Safety
/// As [`super::micro::Transpose`].
#[target_feature(enable = "avx2")]
unsafe fn transpose8(from: *const f32, from_rows: usize, to: *mut f32, to_rows: usize) {
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

/// # Safety
/// As [`super::micro::Transpose`].
unsafe fn transpose8_by_quarters(from: *const f32, from_rows: usize, to: *mut f32, to_rows: usize) {
    for (i, j) in [(0, 0), (0, 4), (4, 0), (4, 4)] {
        // SAFETY: a quarter of each block; every processor of this kind has SSE2.
        unsafe {
            let row = |k: usize| _mm_loadu_ps(from.add((i + k) * from_rows + j));
            let (r0, r1, r2, r3) = (row(0), row(1), row(2), row(3));
            let (t0, t1) = (_mm_unpacklo_ps(r0, r1), _mm_unpackhi_ps(r0, r1));
            let (t2, t3) = (_mm_unpacklo_ps(r2, r3), _mm_unpackhi_ps(r2, r3));
            let columns = [_mm_movelh_ps(t0, t2), _mm_movehl_ps(t2, t0), _mm_movelh_ps(t1, t3), _mm_movehl_ps(t3, t1)];
            for (k, column) in columns.into_iter().enumerate() {
                _mm_storeu_ps(to.add((j + k) * to_rows + i), column);
            }
        }
    }
}
