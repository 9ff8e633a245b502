//! Sine and cosine of float32, reduced to a quarter of the circle in float64.

/// Arguments below this are reduced exactly enough; others take the way of libm.
pub(crate) const CIRCULAR_LIMIT: f32 = 16_777_216.0;
/// Adding 1.5 * 2^52 rounds to a whole number, which then stands in the low bits.
const ROUNDER: f64 = 6_755_399_441_055_744.0;
/// π/2 cut to 29 bits, so that multiples below 2^24 of it are exact, and the rest.
const QUARTER_HIGH: f64 = f64::from_bits(std::f64::consts::FRAC_PI_2.to_bits() >> 24 << 24);
/// The rest to the precision of float64: what was cut off, and what float64 itself lacks.
const QUARTER_LOW: f64 = (std::f64::consts::FRAC_PI_2 - QUARTER_HIGH) + 6.123_233_995_736_766e-17;

/// `(k, r)` with `x = k π/2 + r`, |r| <= π/4, for |x| below [`CIRCULAR_LIMIT`].
#[inline(always)]
fn quarters(x: f32) -> (u32, f32) {
    let x = f64::from(x);
    let shifted = x * std::f64::consts::FRAC_2_PI + ROUNDER;
    let whole = shifted - ROUNDER;
    let r = (x - whole * QUARTER_HIGH) - whole * QUARTER_LOW;
    (shifted.to_bits() as u32, r as f32)
}

/// The sine of k π/2 + r.
#[inline(always)]
fn sine_of(k: u32, r: f32) -> f32 {
    let s = r * r;
    let p = -1.951_495_8e-4 * s + 8.332_158e-3;
    let p = p * s - 0.166_666_55;
    let sine = r + r * s * p;
    let q = 2.443_278_4e-5 * s - 1.388_731_3e-3;
    let q = q * s + 4.166_664_6e-2;
    let cosine = (1.0 - 0.5 * s) + s * s * q;
    let value = if k & 1 == 0 { sine } else { cosine };
    f32::from_bits(value.to_bits() ^ (k & 2) << 30)
}

/// The sine of x, for |x| below [`CIRCULAR_LIMIT`].
#[inline(always)]
pub(crate) fn sin_near_f32(x: f32) -> f32 {
    let (k, r) = quarters(x);
    let y = sine_of(k, r);
    // Keeps -0, and costs the tiny ones nothing.
    if x.abs() < 1e-4 {
        x
    } else {
        y
    }
}

/// The cosine of x, for |x| below [`CIRCULAR_LIMIT`].
#[inline(always)]
pub(crate) fn cos_near_f32(x: f32) -> f32 {
    let (k, r) = quarters(x);
    sine_of(k.wrapping_add(1), r)
}
