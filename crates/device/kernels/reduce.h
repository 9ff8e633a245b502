// Reductions whose order hangs on the shape alone, so that any grid on any device gives the same bits.
#pragma once
#include "words.h"

// What a lane adds up before lanes are folded.
#define SUM_BLOCK 2048u
// Sums of blocks that wait for another of their size: enough for 2^32 elements.
#define SUM_LEVELS 22u

// The sum of x[from .. from + n], n <= SUM_BLOCK, in every lane of a warp: each lane adds every 32nd element, then lanes are folded.
// Fewer than 32 are added one by one.
FUNCTION f32 block_sum(In<f32> x, u64 from, u32 n, u32 lane) {
    f32 total = 0.0f;
    if (n < WARP) {
        for (u32 i = 0u; i < n; i++) total += x[from + i];
        return total;
    }
    for (u32 i = lane; i < n; i += WARP) total += x[from + i];
    return warp_sum(total);
}

// out[o, p] = the sum of x[o, p * piece ..], at most `piece` elements, for x of [outer, size]. A warp for each.
//
// Blocks of SUM_BLOCK elements are combined two by two as a binary counter carries, which keeps the error of long sums low.
KERNEL(sum_rows, VALUE(u32, outer), VALUE(u32, size), VALUE(u32, piece), IN(f32, x), OUT(f32, out)) {
    u32 pieces = size / piece + (size % piece > 0u ? 1u : 0u);
    u64 at = (u64)BLOCK * (THREADS / WARP) + THREAD / WARP;
    if (at >= (u64)outer * pieces) return;
    u32 lane = LANE;
    u32 start = (u32)(at % pieces) * piece;
    u32 n = smaller(piece, size - start);
    u64 from = at / pieces * size + start;
    if (n <= SUM_BLOCK) {
        f32 total = block_sum(x, from, n, lane);
        if (lane == 0u) out[at] = total;
        return;
    }
    f32 levels[SUM_LEVELS];
    u32 blocks = 0u;
    for (u32 i = 0u; i < n; i += SUM_BLOCK, blocks++) {
        f32 sum = block_sum(x, from + i, smaller(SUM_BLOCK, n - i), lane);
        u32 level = 0u;
        for (u32 carry = blocks; carry % 2u == 1u; carry /= 2u, level++) sum = levels[level] + sum;
        levels[level] = sum;
    }
    f32 total = 0.0f;
    bool any = false;
    for (u32 level = 0u; level < SUM_LEVELS; level++) {
        if ((blocks >> level) % 2u == 0u) continue;
        total = any ? levels[level] + total : levels[level];
        any = true;
    }
    if (lane == 0u) out[at] = total;
}

// out[o, b, i] = x[o, b * tall, i] + ... one row after the other, at most `tall` rows, for x of [outer, size, inner]. A thread for
// each; launched again on its own results while blocks > 1. With tall = size it adds partial rows up.
KERNEL(sum_columns, VALUE(u32, outer), VALUE(u32, size), VALUE(u32, inner), VALUE(u32, tall), IN(f32, x), OUT(f32, out)) {
    u32 blocks = size / tall + (size % tall > 0u ? 1u : 0u);
    u64 at = (u64)BLOCK * THREADS + THREAD;
    if (at >= (u64)outer * blocks * inner) return;
    u64 line = at / inner;
    u32 first = (u32)(line % blocks) * tall;
    u32 rows = smaller(tall, size - first);
    u64 from = (line / blocks * size + first) * inner + at % inner;
    f32 total = x[from];
    for (u32 r = 1u; r < rows; r++) total += x[from + (u64)r * inner];
    out[at] = total;
}

// Whether (v, i) comes before (best, at): a NaN before all else, then the larger, then the first.
FUNCTION bool comes_first(f32 v, u32 i, f32 best, u32 at) {
    if (is_nan(v) != is_nan(best)) return is_nan(v);
    if (is_nan(v) || v == best) return i < at;
    return v > best;
}

// The largest value of each row of x [rows, cols], cols > 0, NaN if one is, and where it first is. A warp for each row.
KERNEL(max_rows, VALUE(u32, rows), VALUE(u32, cols), IN(f32, x), OUT(f32, largest), OUT(i32, index)) {
    u32 row = BLOCK * (THREADS / WARP) + THREAD / WARP;
    if (row >= rows) return;
    u32 lane = LANE;
    u64 from = (u64)row * cols;
    f32 best = LOWEST;
    u32 at = cols;
    for (u32 i = lane; i < cols; i += WARP) {
        f32 v = x[from + i];
        if (comes_first(v, i, best, at)) {
            best = v;
            at = i;
        }
    }
    for (u32 mask = WARP / 2u; mask > 0u; mask /= 2u) {
        f32 other = shuffle_xor(best, mask);
        u32 place = shuffle_xor(at, mask);
        if (comes_first(other, place, best, at)) {
            best = other;
            at = place;
        }
    }
    if (lane == 0u) {
        largest[row] = best;
        index[row] = (i32)at;
    }
}
