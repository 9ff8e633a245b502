// Exponentials, logarithms and what is made of them, in plain arithmetic, so that all devices give the same bits.
//
// The polynomials are those of tensor's kernels (crates/tensor/src/kernels/vecmath), with the same order of operations.
#pragma once
#include "words.h"

#define LOG2_E 1.44269502e0f
// ln 2 cut to 9 bits, so that a multiple of it below 2^15 is exact, and the rest.
#define LN2_HIGH 0.6933594f
#define LN2_LOW -2.1219444e-4f
// Adding 1.5 * 2^23 rounds to a whole number, which then stands in the low bits.
#define ROUNDER 12582912.0f

FUNCTION f32 absolute(f32 x) { return float_of(bits_of(x) & 0x7fffffffu); }
FUNCTION f32 with_sign(f32 x, f32 sign) { return float_of((bits_of(x) & 0x7fffffffu) | (bits_of(sign) & 0x80000000u)); }

// (e^r - 1 - r) / r^2 for |r| <= ln 2 / 2.
FUNCTION f32 exp_tail(f32 r) {
    f32 p = 1.381454e-3f * r + 8.368745e-3f;
    p = p * r + 4.166839e-2f;
    p = p * r + 0.16666521f;
    return p * r + 0.49999994f;
}

// 2^n for -126 <= n <= 127.
FUNCTION f32 power_of_two(i32 n) { return float_of((u32)(n + 127) << 23); }

// x = n ln 2 + r with |r| <= ln 2 / 2, for |x| below about 10^4.
struct ExpParts {
    i32 n;
    f32 r;
};
FUNCTION ExpParts exp_parts(f32 x) {
    ExpParts parts;
    f32 shifted = x * LOG2_E + ROUNDER;
    parts.n = (i32)(bits_of(shifted) - bits_of(ROUNDER));
    f32 whole = shifted - ROUNDER;
    parts.r = (x - whole * LN2_HIGH) - whole * LN2_LOW;
    return parts;
}

// e^x.
FUNCTION f32 exp_of(f32 x) {
    f32 y = x > 89.0f ? 89.0f : x;
    y = y < -104.0f ? -104.0f : y;
    // NaN stays what it is; the whole number of it would be any.
    if (is_nan(x)) return x;
    ExpParts e = exp_parts(y);
    f32 p = exp_tail(e.r);
    // Two factors, as 2^n itself may be out of range.
    i32 halved = e.n >> 1;
    return (1.0f + (e.r + e.r * e.r * p)) * power_of_two(halved) * power_of_two(e.n - halved);
}

// e^x for x <= 0 (or NaN), which takes less.
FUNCTION f32 exp_negative(f32 x) {
    f32 y = x < -104.0f ? -104.0f : x;
    // The whole number is 32 too large, so that a factor that is no denormal can be made of it by moving bits.
    f32 lifted = ROUNDER + 32.0f;
    f32 shifted = y * LOG2_E + lifted;
    f32 whole = shifted - lifted;
    f32 r = (y - whole * LN2_HIGH) - whole * LN2_LOW;
    f32 v = 1.0f + (r + r * r * exp_tail(r));
    f32 out = float_of(bits_of(v) + (bits_of(shifted) << 23)) * 2.3283064e-10f;
    return is_nan(x) ? x : out;
}

// e^x - 1.
FUNCTION f32 expm1_of(f32 x) {
    if (is_nan(x)) return x;
    f32 y = x > 89.0f ? 89.0f : x;
    y = y < -18.0f ? -18.0f : y;
    ExpParts e = exp_parts(y);
    f32 p = exp_tail(e.r);
    f32 h = power_of_two(e.n - 1);
    f32 out = ((e.r + e.r * e.r * p) * h + (h - 0.5f)) * 2.0f;
    return absolute(x) < 1e-8f ? x : out;
}

// Natural logarithm.
FUNCTION f32 ln_of(f32 x) {
    if (is_nan(x) || x < 0.0f) return NOT_A_NUMBER;
    if (x == 0.0f) return LOWEST;
    if (x == INFINITE) return x;
    // Denormals are lifted first.
    bool tiny = x < 1.17549435e-38f;
    f32 y = tiny ? x * 8388608.0f : x;
    f32 bias = tiny ? 23.0f : 0.0f;
    // y = 2^n m with m in [sqrt(1/2), sqrt(2)).
    u32 bits = bits_of(y) - 0x3f3504f3u;
    f32 n = (f32)((i32)bits >> 23) - bias;
    f32 f = float_of((bits & 0x007fffffu) + 0x3f3504f3u) - 1.0f;
    f32 p = 6.9725186e-2f * f - 1.1481212e-1f;
    p = p * f + 1.1685785e-1f;
    p = p * f - 1.2425523e-1f;
    p = p * f + 1.4249007e-1f;
    p = p * f - 1.6667807e-1f;
    p = p * f + 2.0000717e-1f;
    p = p * f - 2.4999997e-1f;
    p = p * f + 0.3333333f;
    f32 s = f * f;
    return (f + (s * f * p + n * LN2_LOW - 0.5f * s)) + n * LN2_HIGH;
}

// ln(1 + e^x), without overflow: with twice the inverse hyperbolic tangent of e / (2 + e), e = e^-|x|.
FUNCTION f32 softplus_of(f32 x) {
    f32 positive = x <= 0.0f ? 0.0f : x;
    f32 e = exp_negative(-absolute(x));
    f32 s = e / (2.0f + e);
    f32 q = s * s;
    f32 p = 0.2430093f * q + 0.2142766f;
    p = p * q + 0.28616884f;
    p = p * q + 0.39998877f;
    p = p * q + 0.66666675f;
    return positive + ((s + s) + s * q * p);
}

// Hyperbolic tangent.
FUNCTION f32 tanh_of(f32 x) {
    f32 a = absolute(x);
    a = a > 10.0f ? 10.0f : a;
    f32 e = expm1_of(a + a);
    return with_sign(e / (e + 2.0f), x);
}

// 1 / (1 + e^-x).
FUNCTION f32 sigmoid_of(f32 x) {
    f32 e = exp_negative(-absolute(x));
    return (x >= 0.0f ? 1.0f : e) / (1.0f + e);
}

// The normal distribution function: 1/2 plus an odd rational function.
FUNCTION f32 normal_cdf(f32 x) {
    x = x > 5.5f ? 5.5f : x;
    x = x < -5.5f ? -5.5f : x;
    f32 s = x * x;
    f32 p = 2.2931207e-8f * s + 6.3015073e-6f;
    p = p * s + 1.6456856e-4f;
    p = p * s + 4.6514496e-3f;
    p = p * s + 3.3458434e-2f;
    p = p * s + 0.39894226f;
    f32 q = 1.1990237e-6f * s + 7.216512e-5f;
    q = q * s + 1.8606165e-3f;
    q = q * s + 2.8415857e-2f;
    q = q * s + 0.25053427f;
    q = q * s + 1.0f;
    f32 v = x * p / q;
    v = v > 0.5f ? 0.5f : v;
    v = v < -0.5f ? -0.5f : v;
    return 0.5f + v;
}
