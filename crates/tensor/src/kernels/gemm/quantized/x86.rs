//! The innermost loops of products by quantized weights on x86-64.
use super::{super::x86::multiply_add, micro::compile};
use half::bf16;
use std::arch::x86_64::*;

compile!(
    bytes512, i8, ["avx512f,avx2,fma"], 16, 12, 6, [1 2 3 4 5 6 7 8 9 10 11 12],
    _mm512_setzero_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_set1_ps, _mm512_fmadd_ps, _mm512_add_ps,
    |at: *const i8| _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(at.cast())))
);
compile!(
    bytes256, i8, ["avx2,fma"], 8, 6, 2, [1 2 3 4 5 6],
    _mm256_setzero_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_set1_ps, _mm256_fmadd_ps, _mm256_add_ps,
    |at: *const i8| _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(at.cast())))
);
compile!(
    bytes128, i8, ["sse2"], 4, 6, 2, [1 2 3 4 5 6],
    _mm_setzero_ps, _mm_loadu_ps, _mm_storeu_ps, _mm_set1_ps, multiply_add, _mm_add_ps,
    |at: *const i8| {
        let bytes = _mm_cvtsi32_si128(at.cast::<i32>().read_unaligned());
        // Each byte becomes the highest of four, from where it is moved down with its sign.
        let pairs = _mm_unpacklo_epi8(bytes, bytes);
        _mm_cvtepi32_ps(_mm_srai_epi32::<24>(_mm_unpacklo_epi16(pairs, pairs)))
    }
);
compile!(
    brain512, bf16, ["avx512f,avx2,fma"], 16, 12, 6, [1 2 3 4 5 6 7 8 9 10 11 12],
    _mm512_setzero_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_set1_ps, _mm512_fmadd_ps, _mm512_add_ps,
    |at: *const bf16| _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(_mm256_loadu_si256(at.cast()))))
);
compile!(
    brain256, bf16, ["avx2,fma"], 8, 6, 2, [1 2 3 4 5 6],
    _mm256_setzero_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_set1_ps, _mm256_fmadd_ps, _mm256_add_ps,
    |at: *const bf16| _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(_mm_loadu_si128(at.cast()))))
);
compile!(
    brain128, bf16, ["sse2"], 4, 6, 2, [1 2 3 4 5 6],
    _mm_setzero_ps, _mm_loadu_ps, _mm_storeu_ps, _mm_set1_ps, multiply_add, _mm_add_ps,
    |at: *const bf16| _mm_castsi128_ps(_mm_unpacklo_epi16(_mm_setzero_si128(), _mm_loadl_epi64(at.cast())))
);
