//! Elementary functions of float32 written as branch-free arithmetic, so that loops over them vectorise.
//!
//! Only rounded additions, multiplications, divisions and integer moves occur (no fused multiply-add), so every
//! processor gives the same bits. The polynomials are near-minimax fits of our own; errors are below 2 units in the last
//! place (`erf`, `log1p`, `tanh`: 3). Float64 goes through libm.

/// Functions that both accumulating float types have. Non-finite input behaves as in IEEE 754's recommended functions.
pub(crate) trait Real: crate::Accumulator + std::ops::Neg<Output = Self> + std::ops::Sub<Output = Self> {
    /// −∞, where a maximum starts.
    const LOWEST: Self;
    /// The nearest value to `v`.
    fn of(v: f64) -> Self;
    /// The value in float64.
    fn wide(self) -> f64;
    fn exp(self) -> Self;
    fn expm1(self) -> Self;
    fn ln(self) -> Self;
    fn ln_1p(self) -> Self;
    fn tanh(self) -> Self;
    fn sigmoid(self) -> Self;
    fn erf(self) -> Self;
    fn sin(self) -> Self;
    fn cos(self) -> Self;
    fn sqrt(self) -> Self;
    fn abs(self) -> Self;
    fn floor(self) -> Self;
    fn ceil(self) -> Self;
    fn round_even(self) -> Self;
}

const LOG2_E: f32 = std::f32::consts::LOG2_E;
/// ln 2 cut to 9 bits, so that a multiple of it below 2^15 is exact, and the rest.
const LN2_HIGH: f32 = 0.693_359_4;
const LN2_LOW: f32 = -2.121_944_4e-4;
/// Adding 1.5 * 2^23 rounds to a whole number, which then stands in the low bits.
const ROUNDER: f32 = 12_582_912.0;

/// `(n, r, (e^r - 1 - r) / r^2)` with `x = n ln 2 + r`, |r| <= ln 2 / 2; for |x| below about 10^4.
#[inline(always)]
fn exp_parts(x: f32) -> (i32, f32, f32) {
    let shifted = x * LOG2_E + ROUNDER;
    let n = (shifted.to_bits() as i32).wrapping_sub(ROUNDER.to_bits() as i32);
    let whole = shifted - ROUNDER;
    let r = (x - whole * LN2_HIGH) - whole * LN2_LOW;
    let p = 1.989_198e-4 * r + 1.393_454_1e-3;
    let p = p * r + 8.333_310_5e-3;
    let p = p * r + 4.166_645_6e-2;
    let p = p * r + 0.166_666_67;
    (n, r, p * r + 0.5)
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
    let e = exp_f32(-x.abs());
    (if x >= 0.0 { 1.0 } else { e }) / (1.0 + e)
}

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
    let far = 1.0 - exp_f32(q * t + 3.173_165e-4);
    (if a < 0.9 { near } else { far }).copysign(x)
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
    fn sin(self) -> Self {
        libm::sinf(self)
    }
    #[inline(always)]
    fn cos(self) -> Self {
        libm::cosf(self)
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
    fn sin(self) -> Self {
        libm::sin(self)
    }
    #[inline(always)]
    fn cos(self) -> Self {
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
