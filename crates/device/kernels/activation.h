// Bias and activation in one pass over [rows, cols], and the gradient of both.
#pragma once
#include "math.h"

// The activations, in the order of `tallow_tensor::ops::Activation`.
#define IDENTITY 0u
#define RELU 1u
#define GELU 2u
#define FAST_GELU 3u
#define SIGMOID 4u
#define TANH 5u
#define SWISH 6u
#define SOFTPLUS 7u

// Twice the root of 2 / pi, to the ten digits that Trax uses: (1 + tanh u) / 2 is the sigmoid of 2 u.
#define FAST_GELU_TWICE 1.5957691216f
#define FAST_GELU_CUBE 0.044715f
// 1 over the root of 2 pi, the height of the normal density.
#define DENSITY 0.3989422804014327f

FUNCTION f32 activated(u32 kind, f32 x) {
    switch (kind) {
    // NaN passes through.
    case RELU: return x <= 0.0f ? 0.0f : x;
    // x times the normal distribution function (Hendrycks & Gimpel, 2016, arXiv:1606.08415).
    case GELU: return x * normal_cdf(x);
    case FAST_GELU: return x * sigmoid_of(x * FAST_GELU_TWICE * (1.0f + FAST_GELU_CUBE * x * x));
    case SIGMOID: return sigmoid_of(x);
    case TANH: return tanh_of(x);
    case SWISH: return x * sigmoid_of(x);
    case SOFTPLUS: return softplus_of(x);
    default: return x;
    }
}

// The derivative: of relu, sigmoid and tanh from the output, of the others from what was activated.
FUNCTION f32 slope_of(u32 kind, f32 k) {
    switch (kind) {
    case RELU: return k <= 0.0f ? 0.0f : 1.0f;
    case GELU: return normal_cdf(k) + k * DENSITY * exp_negative(-0.5f * k * k);
    case FAST_GELU: {
        f32 square = FAST_GELU_CUBE * k * k;
        f32 s = sigmoid_of(k * FAST_GELU_TWICE * (1.0f + square));
        return s + k * (s * (1.0f - s)) * (FAST_GELU_TWICE * (1.0f + 3.0f * square));
    }
    case SIGMOID: return k * (1.0f - k);
    case TANH: return 1.0f - k * k;
    case SWISH: {
        f32 s = sigmoid_of(k);
        return s * (1.0f + k * (1.0f - s));
    }
    case SOFTPLUS: return sigmoid_of(k);
    default: return 1.0f;
    }
}

// y = activation(x + bias). `biased`: whether there is a bias [cols]. A thread for each element.
KERNEL(bias_activation, VALUE(u32, rows), VALUE(u32, cols), VALUE(u32, kind), VALUE(u32, biased), IN(f32, x), IN(f32, bias),
       OUT(f32, y)) {
    u64 at = (u64)BLOCK * THREADS + THREAD;
    if (at >= (u64)rows * cols) return;
    f32 v = x[at];
    if (biased != 0u) v = v + bias[at % cols];
    y[at] = activated(kind, v);
}

// dx = g * slope(kept). `kept` is the output of relu, sigmoid and tanh, else x, to which the bias is added where `biased`. A thread for
// each element. The gradient of the bias is the sum of dx over rows: `sum_columns`, in pieces of rows first, then over the pieces.
KERNEL(activation_backward, VALUE(u32, rows), VALUE(u32, cols), VALUE(u32, kind), VALUE(u32, biased), IN(f32, kept), IN(f32, bias),
       IN(f32, g), OUT(f32, dx)) {
    u64 at = (u64)BLOCK * THREADS + THREAD;
    if (at >= (u64)rows * cols) return;
    f32 k = kept[at];
    if (biased != 0u) k = k + bias[at % cols];
    dx[at] = g[at] * slope_of(kind, k);
}
