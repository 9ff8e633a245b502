//! Float32 values on the way to a half, made so that rounding them again gives the nearest half of the number they came from.
//!
//! A number that lies between two float32 becomes the one of the two whose last bit is 1 ("round to odd", Boldo & Melquiond 2008).
//! Such a value is never halfway between two halves, so the second rounding goes where a single one would.

/// `v` as float32, with an odd last bit where it is inexact.
#[inline(always)]
pub(crate) fn odd_f32(v: f64) -> f32 {
    let near = v as f32;
    if f64::from(near) == v || v.is_nan() {
        return near;
    }
    odd(near, f64::from(near.abs()) > v.abs())
}

/// [`odd_f32`] of a whole number.
#[inline(always)]
pub(crate) fn odd_f32_of(v: i128) -> f32 {
    let near = v as f32;
    let back = near as i128;
    if back == v {
        return near;
    }
    odd(near, back.unsigned_abs() > v.unsigned_abs())
}

/// Of the two floats around a number that `near` is the nearest of, the one with an odd last bit.
#[inline(always)]
fn odd(near: f32, is_above: bool) -> f32 {
    f32::from_bits((near.to_bits() - u32::from(is_above)) | 1)
}
