//! Elementary functions of float32 written as branch-free arithmetic, so that loops over them vectorise.
//!
//! Only rounded additions, multiplications, divisions and integer moves occur (no fused multiply-add), so every
//! processor gives the same bits. The polynomials are near-minimax fits of our own; errors are below 2 units in the last
//! place (`erf`, `log1p`, `tanh`: 3). Float64 goes through libm.
mod circular;
mod exponential;
mod normal;
mod power;

use circular::{cos_near_f32, sin_near_f32, CIRCULAR_LIMIT};
pub(crate) use exponential::{exp_f32, ln_f32};
use exponential::{exp_negative_f32, expm1_f32, ln_1p_f32, sigmoid_f32, softplus_f32, tanh_f32};
use normal::{erf_f32, normal_cdf_f32};
pub(crate) use power::pow_f32;

/// Functions that both accumulating float types have. Non-finite input behaves as in IEEE 754's recommended functions.
pub(crate) trait Real: crate::Accumulator + std::ops::Neg<Output = Self> + std::ops::Sub<Output = Self> {
    /// −∞, where a maximum starts.
    const LOWEST: Self;
    /// The nearest value to `v`.
    fn of(v: f64) -> Self;
    /// The value in float64.
    fn wide(self) -> f64;
    fn exp(self) -> Self;
    /// e^x for x <= 0.
    fn exp_negative(self) -> Self;
    fn expm1(self) -> Self;
    fn ln(self) -> Self;
    fn ln_1p(self) -> Self;
    fn tanh(self) -> Self;
    fn sigmoid(self) -> Self;
    /// ln(1 + e^x), without overflow.
    fn softplus(self) -> Self;
    fn erf(self) -> Self;
    /// The normal distribution function.
    fn normal_cdf(self) -> Self;
    /// Whether [`Real::sin_near`] and [`Real::cos_near`] do not take it.
    fn is_far(self) -> bool;
    fn sin(self) -> Self;
    fn cos(self) -> Self;
    /// [`Real::sin`] in arithmetic that vectorises.
    fn sin_near(self) -> Self;
    /// [`Real::cos`] in arithmetic that vectorises.
    fn cos_near(self) -> Self;
    fn sqrt(self) -> Self;
    fn abs(self) -> Self;
    fn floor(self) -> Self;
    fn ceil(self) -> Self;
    fn round_even(self) -> Self;
}

impl Real for f32 {
    const LOWEST: f32 = f32::NEG_INFINITY;
    #[inline(always)]
    fn wide(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn of(v: f64) -> Self {
        v as f32
    }
    #[inline(always)]
    fn exp(self) -> Self {
        exp_f32(self)
    }
    #[inline(always)]
    fn exp_negative(self) -> Self {
        exp_negative_f32(self)
    }
    #[inline(always)]
    fn expm1(self) -> Self {
        expm1_f32(self)
    }
    #[inline(always)]
    fn ln(self) -> Self {
        ln_f32(self)
    }
    #[inline(always)]
    fn ln_1p(self) -> Self {
        ln_1p_f32(self)
    }
    #[inline(always)]
    fn tanh(self) -> Self {
        tanh_f32(self)
    }
    #[inline(always)]
    fn sigmoid(self) -> Self {
        sigmoid_f32(self)
    }
    #[inline(always)]
    fn erf(self) -> Self {
        erf_f32(self)
    }
    #[inline(always)]
    fn softplus(self) -> Self {
        softplus_f32(self)
    }
    #[inline(always)]
    fn normal_cdf(self) -> Self {
        normal_cdf_f32(self)
    }
    #[inline(always)]
    fn is_far(self) -> bool {
        f32::abs(self) >= CIRCULAR_LIMIT && self.is_finite()
    }
    fn sin(self) -> Self {
        if self.is_far() {
            libm::sinf(self)
        } else {
            sin_near_f32(self)
        }
    }
    fn cos(self) -> Self {
        if self.is_far() {
            libm::cosf(self)
        } else {
            cos_near_f32(self)
        }
    }
    #[inline(always)]
    fn sin_near(self) -> Self {
        sin_near_f32(self)
    }
    #[inline(always)]
    fn cos_near(self) -> Self {
        cos_near_f32(self)
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        f32::sqrt(self)
    }
    #[inline(always)]
    fn abs(self) -> Self {
        f32::abs(self)
    }
    #[inline(always)]
    fn floor(self) -> Self {
        f32::floor(self)
    }
    #[inline(always)]
    fn ceil(self) -> Self {
        f32::ceil(self)
    }
    #[inline(always)]
    fn round_even(self) -> Self {
        self.round_ties_even()
    }
}

impl Real for f64 {
    const LOWEST: f64 = f64::NEG_INFINITY;
    #[inline(always)]
    fn wide(self) -> f64 {
        self
    }
    #[inline(always)]
    fn of(v: f64) -> Self {
        v
    }
    #[inline(always)]
    fn exp(self) -> Self {
        libm::exp(self)
    }
    #[inline(always)]
    fn exp_negative(self) -> Self {
        libm::exp(self)
    }
    #[inline(always)]
    fn expm1(self) -> Self {
        libm::expm1(self)
    }
    #[inline(always)]
    fn ln(self) -> Self {
        libm::log(self)
    }
    #[inline(always)]
    fn ln_1p(self) -> Self {
        libm::log1p(self)
    }
    #[inline(always)]
    fn tanh(self) -> Self {
        libm::tanh(self)
    }
    #[inline(always)]
    fn sigmoid(self) -> Self {
        let e = libm::exp(-self.abs());
        (if self >= 0.0 { 1.0 } else { e }) / (1.0 + e)
    }
    #[inline(always)]
    fn erf(self) -> Self {
        libm::erf(self)
    }
    #[inline(always)]
    fn softplus(self) -> Self {
        (if self <= 0.0 { 0.0 } else { self }) + libm::log1p(libm::exp(-self.abs()))
    }
    #[inline(always)]
    fn normal_cdf(self) -> Self {
        0.5 * (1.0 + libm::erf(self * std::f64::consts::FRAC_1_SQRT_2))
    }
    #[inline(always)]
    fn is_far(self) -> bool {
        false
    }
    #[inline(always)]
    fn sin(self) -> Self {
        libm::sin(self)
    }
    #[inline(always)]
    fn cos(self) -> Self {
        libm::cos(self)
    }
    #[inline(always)]
    fn sin_near(self) -> Self {
        libm::sin(self)
    }
    #[inline(always)]
    fn cos_near(self) -> Self {
        libm::cos(self)
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }
    #[inline(always)]
    fn abs(self) -> Self {
        f64::abs(self)
    }
    #[inline(always)]
    fn floor(self) -> Self {
        f64::floor(self)
    }
    #[inline(always)]
    fn ceil(self) -> Self {
        f64::ceil(self)
    }
    #[inline(always)]
    fn round_even(self) -> Self {
        self.round_ties_even()
    }
}
