//! Exponentials, logarithms and what is made of them, in float32.

const LOG2_E: f32 = std::f32::consts::LOG2_E;
/// ln 2 cut to 9 bits, so that a multiple of it below 2^15 is exact, and the rest.
const LN2_HIGH: f32 = 0.693_359_4;
const LN2_LOW: f32 = -2.121_944_4e-4;
/// Adding 1.5 * 2^23 rounds to a whole number, which then stands in the low bits.
const ROUNDER: f32 = 12_582_912.0;

const TWO_TO_MINUS_32: f32 = 2.328_306_4e-10;

/// `(e^r - 1 - r) / r^2` for |r| <= ln 2 / 2.
#[inline(always)]
fn exp_tail(r: f32) -> f32 {
    let p = 1.381_454e-3 * r + 8.368_745e-3;
    let p = p * r + 4.166_839e-2;
    let p = p * r + 0.166_665_21;
    p * r + 0.499_999_94
}

/// `(n, r, (e^r - 1 - r) / r^2)` with `x = n ln 2 + r`, |r| <= ln 2 / 2; for |x| below about 10^4.
#[inline(always)]
fn exp_parts(x: f32) -> (i32, f32, f32) {
    let shifted = x * LOG2_E + ROUNDER;
    let n = (shifted.to_bits() as i32).wrapping_sub(ROUNDER.to_bits() as i32);
    let whole = shifted - ROUNDER;
    let r = (x - whole * LN2_HIGH) - whole * LN2_LOW;
    (n, r, exp_tail(r))
}

/// 2^n for -126 <= n <= 127.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) as u32) << 23)
}

/// e^x.
#[inline(always)]
pub(crate) fn exp_f32(x: f32) -> f32 {
    // Beyond these the result is infinite or zero; comparisons that let NaN through.
    let x = if x > 89.0 { 89.0 } else { x };
    let x = if x < -104.0 { -104.0 } else { x };
    let (n, r, p) = exp_parts(x);
    // Two factors, as 2^n itself may be out of range.
    let half = n >> 1;
    (1.0 + (r + r * r * p)) * power_of_two(half) * power_of_two(n.wrapping_sub(half))
}

/// e^x for x <= 0 (or NaN), which takes less.
#[inline(always)]
pub(crate) fn exp_negative_f32(x: f32) -> f32 {
    let x = if x < -104.0 { -104.0 } else { x };
    // The whole number is 32 too large, so that a factor that is no denormal can be made of it by moving bits.
    const LIFTED: f32 = ROUNDER + 32.0;
    let shifted = x * LOG2_E + LIFTED;
    let whole = shifted - LIFTED;
    let r = (x - whole * LN2_HIGH) - whole * LN2_LOW;
    let y = 1.0 + (r + r * r * exp_tail(r));
    let out = f32::from_bits(y.to_bits().wrapping_add(shifted.to_bits() << 23)) * TWO_TO_MINUS_32;
    if x.is_nan() {
        x
    } else {
        out
    }
}

/// e^x - 1.
#[inline(always)]
pub(crate) fn expm1_f32(x: f32) -> f32 {
    let y = if x > 89.0 { 89.0 } else { x };
    let y = if y < -18.0 { -18.0 } else { y };
    let (n, r, p) = exp_parts(y);
    let h = power_of_two(n.wrapping_sub(1));
    let out = ((r + r * r * p) * h + (h - 0.5)) * 2.0;
    if x.abs() < 1e-8 {
        x
    } else {
        out
    }
}

/// Natural logarithm.
#[inline(always)]
pub(crate) fn ln_f32(x: f32) -> f32 {
    // Denormals are lifted first.
    let tiny = x < f32::MIN_POSITIVE;
    let y = if tiny { x * 8_388_608.0 } else { x };
    let bias = if tiny { 23.0 } else { 0.0 };
    // y = 2^n m with m in [sqrt(1/2), sqrt(2)).
    const SQRT_HALF: u32 = 0x3f35_04f3;
    let bits = y.to_bits().wrapping_sub(SQRT_HALF);
    let n = ((bits as i32) >> 23) as f32 - bias;
    let m = f32::from_bits((bits & 0x007f_ffff).wrapping_add(SQRT_HALF));
    let f = m - 1.0;
    let p = 6.972_518_6e-2 * f - 1.148_121_2e-1;
    let p = p * f + 1.168_578_5e-1;
    let p = p * f - 1.242_552_3e-1;
    let p = p * f + 1.424_900_7e-1;
    let p = p * f - 1.666_780_7e-1;
    let p = p * f + 2.000_071_7e-1;
    let p = p * f - 2.499_999_7e-1;
    let p = p * f + 0.333_333_3;
    let s = f * f;
    let out = (f + (s * f * p + n * LN2_LOW - 0.5 * s)) + n * LN2_HIGH;
    let out = if x == f32::INFINITY { x } else { out };
    let out = if x < 0.0 || x.is_nan() { f32::NAN } else { out };
    if x == 0.0 {
        f32::NEG_INFINITY
    } else {
        out
    }
}

/// ln(1 + x).
#[inline(always)]
pub(crate) fn ln_1p_f32(x: f32) -> f32 {
    let u = 1.0 + x;
    let l = ln_f32(u);
    // What rounding took from 1 + x.
    let out = l + (x - (u - 1.0)) / u;
    let out = if x.abs() < 1e-8 { x } else { out };
    if u == 0.0 || u == f32::INFINITY {
        l
    } else {
        out
    }
}

/// ln(1 + x) for 0 <= x <= 1, which takes less: twice the inverse hyperbolic tangent of x / (2 + x).
#[inline(always)]
fn ln_1p_unit_f32(x: f32) -> f32 {
    let s = x / (2.0 + x);
    let q = s * s;
    let p = 0.243_009_3 * q + 0.214_276_6;
    let p = p * q + 0.286_168_84;
    let p = p * q + 0.399_988_77;
    let p = p * q + 0.666_666_75;
    (s + s) + s * q * p
}

/// ln(1 + e^x), without overflow.
#[inline(always)]
pub(crate) fn softplus_f32(x: f32) -> f32 {
    let positive = if x <= 0.0 { 0.0 } else { x };
    positive + ln_1p_unit_f32(exp_negative_f32(-x.abs()))
}

/// Hyperbolic tangent.
#[inline(always)]
pub(crate) fn tanh_f32(x: f32) -> f32 {
    let a = x.abs();
    let a = if a > 10.0 { 10.0 } else { a };
    let e = expm1_f32(a + a);
    (e / (e + 2.0)).copysign(x)
}

/// 1 / (1 + e^-x).
#[inline(always)]
pub(crate) fn sigmoid_f32(x: f32) -> f32 {
    let e = exp_negative_f32(-x.abs());
    (if x >= 0.0 { 1.0 } else { e }) / (1.0 + e)
}
