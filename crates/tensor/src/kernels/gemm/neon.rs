//! The innermost loops of a float32 product on ARM, with NEON, which every 64-bit processor of that kind has.
use super::micro::compile;
use std::arch::aarch64::*;

/// Two registers that are worked on like one: so a sliver of columns is a whole cache line, and more multiplications come with a load.
#[derive(Clone, Copy)]
pub(super) struct Pair(pub float32x4_t, pub float32x4_t);

#[inline]
#[target_feature(enable = "neon")]
pub(super) fn zero() -> Pair {
    Pair(vdupq_n_f32(0.0), vdupq_n_f32(0.0))
}

/// # Safety
/// There are eight elements.
#[inline]
#[target_feature(enable = "neon")]
pub(super) unsafe fn load(at: *const f32) -> Pair {
    // SAFETY: the caller's promise.
    unsafe { Pair(vld1q_f32(at), vld1q_f32(at.add(4))) }
}

/// # Safety
/// There is room for eight elements.
#[inline]
#[target_feature(enable = "neon")]
pub(super) unsafe fn store(at: *mut f32, v: Pair) {
    // SAFETY: the caller's promise.
    unsafe {
        vst1q_f32(at, v.0);
        vst1q_f32(at.add(4), v.1);
    }
}

/// The instructions multiply by one element as it is.
#[inline(always)]
pub(super) fn splat(x: f32) -> f32 {
    x
}

/// `x · y + sum`, rounded once.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn multiply_add(x: f32, y: Pair, sum: Pair) -> Pair {
    Pair(vfmaq_n_f32(sum.0, y.0, x), vfmaq_n_f32(sum.1, y.1, x))
}

#[inline]
#[target_feature(enable = "neon")]
fn multiply(x: f32, y: Pair) -> Pair {
    Pair(vmulq_n_f32(y.0, x), vmulq_n_f32(y.1, x))
}

// Six rows of two pairs are 24 of the 32 registers; with four pairs of columns two rows leave room for these.
compile!(pairs, ["neon"], 8, 6, 2, [1 2 3 4 5 6], avx2: false, transpose8, zero, load, store, splat, multiply_add, multiply);

/// # Safety
/// As [`super::micro::Transpose`].
unsafe fn transpose8(from: *const f32, from_rows: usize, to: *mut f32, to_rows: usize) {
    for (i, j) in [(0, 0), (0, 4), (4, 0), (4, 4)] {
        // SAFETY: a quarter of each block; every processor of this kind has NEON.
        unsafe {
            let row = |k: usize| vld1q_f32(from.add((i + k) * from_rows + j));
            let (r0, r1, r2, r3) = (row(0), row(1), row(2), row(3));
            // Elements that change places in blocks of two, and then these blocks.
            let (t0, t1) = (vtrn1q_f32(r0, r1), vtrn2q_f32(r0, r1));
            let (t2, t3) = (vtrn1q_f32(r2, r3), vtrn2q_f32(r2, r3));
            let wide = |x| vreinterpretq_f64_f32(x);
            let columns = [
                vtrn1q_f64(wide(t0), wide(t2)),
                vtrn1q_f64(wide(t1), wide(t3)),
                vtrn2q_f64(wide(t0), wide(t2)),
                vtrn2q_f64(wide(t1), wide(t3)),
            ];
            for (k, column) in columns.into_iter().enumerate() {
                vst1q_f32(to.add((j + k) * to_rows + i), vreinterpretq_f32_f64(column));
            }
        }
    }
}
