//! Arithmetic that floats and integers share, under one set of names.
use super::vecmath::pow_f32;

/// A number type that kernels compute in. Integers wrap around.
pub(crate) trait Number: crate::Accumulator {
    const ZERO: Self;
    const ONE: Self;
    /// Not above any value.
    const LOWEST: Self;
    /// Not below any value.
    const HIGHEST: Self;
    fn plus(self, o: Self) -> Self;
    fn minus(self, o: Self) -> Self;
    fn times(self, o: Self) -> Self;
    /// Quotient; integers truncate, and by zero give 0.
    fn over(self, o: Self) -> Self;
    /// Remainder with the sign of the divisor; integers by zero give 0.
    fn floor_mod(self, o: Self) -> Self;
    /// Power; integers to a negative power truncate.
    fn power(self, o: Self) -> Self;
    /// The larger, NaN if either is.
    fn larger(self, o: Self) -> Self;
    /// The smaller, NaN if either is.
    fn smaller(self, o: Self) -> Self;
    fn not_a_number(self) -> bool;
}

macro_rules! float_number {
    ($($t:ident, $pow:path, $fmod:path;)*) => {$(
        impl Number for $t {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const LOWEST: Self = $t::NEG_INFINITY;
            const HIGHEST: Self = $t::INFINITY;
            #[inline(always)]
            fn plus(self, o: Self) -> Self { self + o }
            #[inline(always)]
            fn minus(self, o: Self) -> Self { self - o }
            #[inline(always)]
            fn times(self, o: Self) -> Self { self * o }
            #[inline(always)]
            fn over(self, o: Self) -> Self { self / o }
            #[inline(always)]
            fn floor_mod(self, o: Self) -> Self {
                let r = $fmod(self, o);
                if r != 0.0 && ((r < 0.0) != (o < 0.0)) { r + o } else { r }
            }
            #[inline(always)]
            fn power(self, o: Self) -> Self { $pow(self, o) }
            #[inline(always)]
            fn larger(self, o: Self) -> Self {
                if self > o || self != self { self } else { o }
            }
            #[inline(always)]
            fn smaller(self, o: Self) -> Self {
                if self < o || self != self { self } else { o }
            }
            #[inline(always)]
            fn not_a_number(self) -> bool { self != self }
        }
    )*};
}
float_number! { f32, pow_f32, libm::fmodf; f64, pow_f64, libm::fmod; }

#[inline(always)]
fn pow_f64(x: f64, y: f64) -> f64 {
    if y == 2.0 {
        x * x
    } else {
        libm::pow(x, y)
    }
}

macro_rules! integer_number {
    ($($t:ident, $negative:expr;)*) => {$(
        impl Number for $t {
            const ZERO: Self = 0;
            const ONE: Self = 1;
            const LOWEST: Self = $t::MIN;
            const HIGHEST: Self = $t::MAX;
            #[inline(always)]
            fn plus(self, o: Self) -> Self { self.wrapping_add(o) }
            #[inline(always)]
            fn minus(self, o: Self) -> Self { self.wrapping_sub(o) }
            #[inline(always)]
            fn times(self, o: Self) -> Self { self.wrapping_mul(o) }
            #[inline(always)]
            fn over(self, o: Self) -> Self { if o == 0 { 0 } else { self.wrapping_div(o) } }
            #[inline(always)]
            fn floor_mod(self, o: Self) -> Self {
                if o == 0 {
                    return 0;
                }
                let r = self.wrapping_rem(o);
                let negative: fn($t) -> bool = $negative;
                if r != 0 && negative(r) != negative(o) { r.wrapping_add(o) } else { r }
            }
            #[inline(always)]
            fn power(self, o: Self) -> Self {
                let negative: fn($t) -> bool = $negative;
                if negative(o) {
                    // 1 / self^|o|, which is whole for 1 and -1 only.
                    return match self {
                        1 => 1,
                        s if s.wrapping_add(1) == 0 => if o & 1 == 0 { 1 } else { s },
                        _ => 0,
                    };
                }
                let (mut base, mut left, mut out) = (self, o, 1 as $t);
                while left != 0 {
                    if left & 1 == 1 {
                        out = out.wrapping_mul(base);
                    }
                    base = base.wrapping_mul(base);
                    left >>= 1;
                }
                out
            }
            #[inline(always)]
            fn larger(self, o: Self) -> Self { if self > o { self } else { o } }
            #[inline(always)]
            fn smaller(self, o: Self) -> Self { if self < o { self } else { o } }
            #[inline(always)]
            fn not_a_number(self) -> bool { false }
        }
    )*};
}
integer_number! { i32, |v| v < 0; i64, |v| v < 0; u32, |_| false; u8, |_| false; }
