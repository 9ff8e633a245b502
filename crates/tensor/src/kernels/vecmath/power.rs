//! Powers of float32, through logarithms in float64.

/// Adding 1.5 * 2^52 rounds to a whole number, which then stands in the low bits.
const ROUNDER: f64 = 6_755_399_441_055_744.0;
/// The bits of the square root of 1/2.
const SQRT_HALF: u64 = 0x3fe6_a09e_667f_3bcd;
/// Keeps biased exponents positive.
const BIAS: u64 = 1024;

/// The binary logarithm of a positive finite float32, to 45 bits. No float32 is denormal in float64.
#[inline(always)]
fn log2_wide(x: f64) -> f64 {
    // x = 2^n m with m in [sqrt(1/2), sqrt(2)).
    let bits = x.to_bits().wrapping_sub(SQRT_HALF).wrapping_add(BIAS << 52);
    // Moved into the low bits of 2^52, the exponent becomes a number.
    const EXPONENT: u64 = 0x4330_0000_0000_0000;
    let n = f64::from_bits(bits >> 52 | EXPONENT) - (4_503_599_627_370_496.0 + BIAS as f64);
    let m = f64::from_bits((bits & 0x000f_ffff_ffff_ffff).wrapping_add(SQRT_HALF));
    let s = (m - 1.0) / (m + 1.0);
    let q = s * s;
    let p = 0.282_943_670_480_464_5 * q + 0.319_902_839_296_920_9;
    let p = p * q + 0.412_209_316_947_479_03;
    let p = p * q + 0.577_077_941_782_571;
    let p = p * q + 0.961_796_694_115_122_3;
    let p = p * q + 2.885_390_081_777_849;
    n + s * p
}

/// 2^z for |z| <= 200.
#[inline(always)]
fn exp2_narrow(z: f64) -> f32 {
    let shifted = z + ROUNDER;
    let n = shifted.to_bits() as i32;
    let r = (z - (shifted - ROUNDER)) as f32;
    let p = 1.535_334_2e-4 * r + 1.339_89e-3;
    let p = p * r + 9.618_438e-3;
    let p = p * r + 5.550_332_4e-2;
    let p = p * r + 0.240_226_48;
    let p = p * r + std::f32::consts::LN_2;
    // Two factors, as 2^n itself may be out of range.
    let half = n >> 1;
    let factor = |n: i32| f32::from_bits((n.wrapping_add(127) as u32) << 23);
    (1.0 + r * p) * factor(half) * factor(n.wrapping_sub(half))
}

/// x to the power of y, with the special values of IEEE 754's `pow`. The error is below 1.5 units in the last place, and
/// squares are rounded products.
#[inline(always)]
pub(crate) fn pow_f32(x: f32, y: f32) -> f32 {
    let a = x.abs();
    let z = f64::from(y) * log2_wide(f64::from(a));
    let z = if z > 200.0 { 200.0 } else { z };
    let z = if z < -200.0 { -200.0 } else { z };
    let v = exp2_narrow(z);
    // 0 and infinity have no logarithm.
    let edge = if (a == 0.0) != (y > 0.0) { f32::INFINITY } else { 0.0 };
    let v = if a == 0.0 || a == f32::INFINITY { edge } else { v };
    // ±1 to an infinite power.
    let v = if a == 1.0 { 1.0 } else { v };
    let v = if y == 2.0 { a * a } else { v };
    // Negative bases take whole powers; from 2^24 on all are even.
    let half = 0.5 * y;
    let whole = y.floor() == y;
    let odd = whole && half.floor() != half;
    let v = if x < 0.0 && a != f32::INFINITY && !whole { f32::NAN } else { v };
    let sign = if odd { x.to_bits() & 0x8000_0000 } else { 0 };
    let v = f32::from_bits(v.to_bits() | sign);
    let v = if x.is_nan() || y.is_nan() { f32::NAN } else { v };
    if x == 1.0 || y == 0.0 {
        1.0
    } else {
        v
    }
}
