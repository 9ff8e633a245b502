// Softmax and log-softmax over the rows of [rows, cols], and their gradients from the output alone. A warp for each row; a lane adds
// every 32nd element, then lanes are folded.
#pragma once
#include "math.h"

FUNCTION f32 row_top(In<f32> x, u64 from, u32 cols, u32 lane) {
    f32 top = LOWEST;
    for (u32 i = lane; i < cols; i += WARP) {
        f32 v = x[from + i];
        top = v > top ? v : top;
    }
    return warp_max(top);
}

// y = exp(x - max) / sum, or with `logarithm` x - max - ln sum.
KERNEL(softmax, VALUE(u32, rows), VALUE(u32, cols), VALUE(u32, logarithm), IN(f32, x), OUT(f32, y)) {
    u32 row = BLOCK * (THREADS / WARP) + THREAD / WARP;
    if (row >= rows) return;
    u32 lane = LANE;
    u64 from = (u64)row * cols;
    f32 top = row_top(x, from, cols, lane);
    f32 total = 0.0f;
    for (u32 i = lane; i < cols; i += WARP) total += exp_negative(x[from + i] - top);
    total = warp_sum(total);
    f32 log_total = ln_of(total);
    for (u32 i = lane; i < cols; i += WARP) {
        f32 v = x[from + i] - top;
        y[from + i] = logarithm != 0u ? v - log_total : exp_negative(v) / total;
    }
}

// dx = y (g - sum of g y), or with `logarithm` g - exp(y) * sum of g.
KERNEL(softmax_backward, VALUE(u32, rows), VALUE(u32, cols), VALUE(u32, logarithm), IN(f32, y), IN(f32, g), OUT(f32, dx)) {
    u32 row = BLOCK * (THREADS / WARP) + THREAD / WARP;
    if (row >= rows) return;
    u32 lane = LANE;
    u64 from = (u64)row * cols;
    f32 total = 0.0f;
    for (u32 i = lane; i < cols; i += WARP) total += logarithm != 0u ? g[from + i] : y[from + i] * g[from + i];
    total = warp_sum(total);
    for (u32 i = lane; i < cols; i += WARP) {
        u64 at = from + i;
        dx[at] = logarithm != 0u ? g[at] - exp_negative(y[at]) * total : y[at] * (g[at] - total);
    }
}
