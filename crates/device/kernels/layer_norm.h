// Layer normalisation (Ba, Kiros & Hinton, 2016, arXiv:1607.06450), and root mean square normalisation (Zhang & Sennrich, 2019,
// arXiv:1910.07467) where `center` is 0. x is [rows, cols], scale and bias [cols].
#pragma once
#include "words.h"

// y = (x - mean) * rstd * scale + bias, rstd = 1 / sqrt(variance + epsilon); mean and rstd of each row are kept. A warp for each row.
// Sums: a lane adds every 32nd element, then lanes are folded. `scaled`, `shifted`: whether there is a scale, a bias.
KERNEL(layer_norm, VALUE(u32, rows), VALUE(u32, cols), VALUE(f32, epsilon), VALUE(u32, center), VALUE(u32, scaled),
       VALUE(u32, shifted), IN(f32, x), IN(f32, scale), IN(f32, bias), OUT(f32, y), OUT(f32, mean), OUT(f32, rstd)) {
    u32 row = BLOCK * (THREADS / WARP) + THREAD / WARP;
    if (row >= rows) return;
    u32 lane = LANE;
    u64 from = (u64)row * cols;
    f32 n = (f32)cols;
    f32 middle = 0.0f;
    if (center != 0u) {
        for (u32 i = lane; i < cols; i += WARP) middle += x[from + i];
        middle = warp_sum(middle) / n;
    }
    f32 variance = 0.0f;
    for (u32 i = lane; i < cols; i += WARP) {
        f32 v = x[from + i] - middle;
        variance += v * v;
    }
    variance = warp_sum(variance) / n;
    f32 factor = 1.0f / root(variance + epsilon);
    for (u32 i = lane; i < cols; i += WARP) {
        f32 v = (x[from + i] - middle) * factor;
        if (scaled != 0u) v = v * scale[i];
        if (shifted != 0u) v = v + bias[i];
        y[from + i] = v;
    }
    if (lane == 0u) {
        mean[row] = middle;
        rstd[row] = factor;
    }
}

// dx = (a - mean of a - h * mean of a h) * rstd with h = (x - mean) * rstd, a = g * scale. A warp for each row, sums as in forward.
KERNEL(layer_norm_backward, VALUE(u32, rows), VALUE(u32, cols), VALUE(u32, center), VALUE(u32, scaled), IN(f32, x), IN(f32, scale),
       IN(f32, mean), IN(f32, rstd), IN(f32, g), OUT(f32, dx)) {
    u32 row = BLOCK * (THREADS / WARP) + THREAD / WARP;
    if (row >= rows) return;
    u32 lane = LANE;
    u64 from = (u64)row * cols;
    f32 n = (f32)cols;
    f32 middle = mean[row];
    f32 factor = rstd[row];
    f32 shift = 0.0f;
    f32 along = 0.0f;
    for (u32 i = lane; i < cols; i += WARP) {
        f32 a = scaled != 0u ? g[from + i] * scale[i] : g[from + i];
        f32 h = (x[from + i] - middle) * factor;
        shift += a;
        along += a * h;
    }
    shift = center != 0u ? warp_sum(shift) / n : 0.0f;
    along = warp_sum(along) / n;
    for (u32 i = lane; i < cols; i += WARP) {
        f32 a = scaled != 0u ? g[from + i] * scale[i] : g[from + i];
        f32 h = (x[from + i] - middle) * factor;
        dx[from + i] = (a - shift - h * along) * factor;
    }
}

// Partial gradients of scale and bias over `step` rows each: dscale[p, c] = g h + ..., dbias[p, c] = g + ..., row after row. A thread for
// each p and c. `sum_columns` adds the partial ones up.
KERNEL(layer_norm_parameters, VALUE(u32, rows), VALUE(u32, cols), VALUE(u32, step), IN(f32, x), IN(f32, mean), IN(f32, rstd),
       IN(f32, g), OUT(f32, dscale), OUT(f32, dbias)) {
    u32 parts = rows / step + (rows % step > 0u ? 1u : 0u);
    u64 at = (u64)BLOCK * THREADS + THREAD;
    if (at >= (u64)parts * cols) return;
    u32 first = (u32)(at / cols) * step;
    u32 col = (u32)(at % cols);
    u32 count = smaller(step, rows - first);
    f32 ds = 0.0f;
    f32 db = 0.0f;
    for (u32 i = 0u; i < count; i++) {
        u32 row = first + i;
        u64 from = (u64)row * cols + col;
        f32 h = (x[from] - mean[row]) * rstd[row];
        ds += g[from] * h;
        db += g[from];
    }
    dscale[at] = ds;
    dbias[at] = db;
}
