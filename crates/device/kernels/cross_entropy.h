// Cross-entropy of the rows of logits [rows, cols] against whole-number targets [rows], with label smoothing (Szegedy et al., 2015,
// arXiv:1512.00567): weight 1 - s on the target, s / cols on each category. A target that names no category (-1) has weight 0 there.
// Losses are weighted by what backward is handed as g. A warp for each row.
#pragma once
#include "softmax.h"

// Exponentials are folded this many at a time, so that sums over large vocabularies keep their digits.
#define ENTROPY_BLOCK 512u

// loss = (1 - s) (log_sum - (x[target] - top)) + s (log_sum - mean of (x - top)); top and log_sum are kept for backward.
// `hot` is 1 - s and `even` is s, rounded from float64 each.
KERNEL(cross_entropy, VALUE(u32, rows), VALUE(u32, cols), VALUE(f32, hot), VALUE(f32, even), IN(f32, x), IN(i32, targets),
       OUT(f32, loss), OUT(f32, tops), OUT(f32, log_sums)) {
    u32 row = BLOCK * (THREADS / WARP) + THREAD / WARP;
    if (row >= rows) return;
    u32 lane = LANE;
    u64 from = (u64)row * cols;
    f32 top = row_top(x, from, cols, lane);
    f32 total = 0.0f;
    for (u32 start = 0u; start < cols; start += ENTROPY_BLOCK) {
        u32 end = start + smaller(ENTROPY_BLOCK, cols - start);
        f32 part = 0.0f;
        for (u32 i = start + lane; i < end; i += WARP) part += exp_negative(x[from + i] - top);
        total += warp_sum(part);
    }
    f32 log_sum = ln_of(total);
    f32 rest = 0.0f;
    // The terms of a zero weight are left out, so that a logit of -infinity elsewhere does no harm.
    if (even > 0.0f) {
        for (u32 i = lane; i < cols; i += WARP) rest += x[from + i] - top;
        rest = warp_sum(rest);
    }
    if (lane != 0u) return;
    i32 target = targets[row];
    f32 value = 0.0f;
    if (target >= 0 && (u32)target < cols && hot > 0.0f) value += hot * (log_sum - (x[from + (u32)target] - top));
    if (even > 0.0f) value += even * (log_sum - rest / (f32)cols);
    // NaN and a row of -infinity show in every loss, also where the target names no category.
    loss[row] = is_nan(log_sum) ? log_sum : value;
    tops[row] = top;
    log_sums[row] = log_sum;
}

// dx = g (weights * softmax - target distribution), softmax = exp(x - top - log_sum). `whole` is hot + s, as float32 of the float64 sum;
// `bare` the same where the target names no category (s); `share` is s / cols.
KERNEL(cross_entropy_backward, VALUE(u32, rows), VALUE(u32, cols), VALUE(f32, hot), VALUE(f32, whole), VALUE(f32, bare),
       VALUE(f32, share), IN(f32, x), IN(i32, targets), IN(f32, tops), IN(f32, log_sums), IN(f32, g), OUT(f32, dx)) {
    u32 row = BLOCK * (THREADS / WARP) + THREAD / WARP;
    if (row >= rows) return;
    u64 from = (u64)row * cols;
    i32 target = targets[row];
    bool named = target >= 0 && (u32)target < cols;
    f32 top = tops[row];
    f32 log_sum = log_sums[row];
    f32 factor = g[row];
    for (u32 i = LANE; i < cols; i += WARP) {
        f32 v = x[from + i] - top - log_sum;
        bool here = named && (u32)target == i;
        // e^v in full at the target, where v may be a little above 0.
        f32 p = (named ? whole : bare) * (here ? exp_of(v) : exp_negative(v)) - share;
        dx[from + i] = factor * (here ? p - hot : p);
    }
}
