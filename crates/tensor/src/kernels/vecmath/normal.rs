//! The error function and the normal distribution, in float32.
use super::exp_negative_f32;

/// The error function.
#[inline(always)]
pub(crate) fn erf_f32(x: f32) -> f32 {
    let a = x.abs();
    let s = a * a;
    let p = 8.529_401_4e-5 * s - 8.179_632e-4;
    let p = p * s + 5.204_227e-3;
    let p = p * s - 2.686_066_6e-2;
    let p = p * s + 1.128_371_8e-1;
    let p = p * s - 3.761_263_5e-1;
    let p = p * s + 1.283_791_7e-1;
    let near = a + a * p;
    let t = if a > 4.0 { 4.0 } else { a };
    let q = 1.642_463_9e-6 * t - 4.614_969_3e-5;
    let q = q * t + 5.974_442_5e-4;
    let q = q * t - 4.761_845_3e-3;
    let q = q * t + 2.642_504_5e-2;
    let q = q * t - 1.100_818_7e-1;
    let q = q * t - 6.318_304_5e-1;
    let q = q * t - 1.130_226_7;
    let far = 1.0 - exp_negative_f32(q * t + 3.173_165e-4);
    (if a < 0.9 { near } else { far }).copysign(x)
}

/// Where the normal distribution function is 1 in float32.
const NORMAL_END: f32 = 5.5;

/// The normal distribution function: 1/2 plus an odd rational function. Its error is below 2.1e-7 anywhere, 3 units in the last place
/// for x > 0; it is exactly 0 and 1 beyond 5.5.
#[inline(always)]
pub(crate) fn normal_cdf_f32(x: f32) -> f32 {
    let x = if x > NORMAL_END { NORMAL_END } else { x };
    let x = if x < -NORMAL_END { -NORMAL_END } else { x };
    let s = x * x;
    let p = 2.293_120_7e-8 * s + 6.301_507_3e-6;
    let p = p * s + 1.645_685_6e-4;
    let p = p * s + 4.651_449_6e-3;
    let p = p * s + 3.345_843_4e-2;
    let p = p * s + 0.398_942_26;
    let q = 1.199_023_7e-6 * s + 7.216_512e-5;
    let q = q * s + 1.860_616_5e-3;
    let q = q * s + 2.841_585_7e-2;
    let q = q * s + 0.250_534_27;
    let q = q * s + 1.0;
    let v = x * p / q;
    let v = if v > 0.5 { 0.5 } else { v };
    let v = if v < -0.5 { -0.5 } else { v };
    0.5 + v
}
