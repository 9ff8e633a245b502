// Stable sorting of rows by whole numbers, digit by digit from the lowest (a radix sort; Satish, Harris & Garland, 2009): a pass counts the
// digits of each tile, adds the counts up, and moves keys and what goes with them. Nothing is atomic, so equal keys keep their order.
#pragma once
#include "words.h"

#define DIGIT_BITS 4u
#define DIGITS 16u
// Threads of a block, each with as many neighbours of a row.
#define SORT_THREADS 256u
#define SORT_EACH 4u
#define SORT_TILE 1024u

FUNCTION u32 digit_of(u32 key, u32 shift) { return (key >> shift) % DIGITS; }

// The sum of what the lanes before have, in each lane.
FUNCTION u32 warp_before(u32 v, u32 lane) {
    u32 total = v;
    for (u32 d = 1u; d < WARP; d *= 2u) {
        u32 other = shuffle(total, lane >= d ? lane - d : lane);
        if (lane >= d) total += other;
    }
    return total - v;
}

// How often each thread of a tile has each digit: counts[digit, thread].
FUNCTION void count_digits(In<u32> keys, u64 row, u32 from, u32 n, u32 shift, Shared<u32> counts, u32 self) {
    for (u32 d = 0u; d < DIGITS; d++) counts[d * SORT_THREADS + self] = 0u;
    for (u32 i = 0u; i < SORT_EACH; i++) {
        u32 at = from + self * SORT_EACH + i;
        if (at < n) counts[digit_of(keys[row + at], shift) * SORT_THREADS + self] += 1u;
    }
}

// counts[row, digit, tile]: how often a digit of the keys [rows, n] is in a tile. A block for each row and tile.
KERNEL(sort_count, VALUE(u32, rows), VALUE(u32, n), VALUE(u32, shift), IN(u32, keys), OUT(u32, counts)) {
    SHARED(u32, own, DIGITS * SORT_THREADS);
    u32 tiles = n / SORT_TILE + (n % SORT_TILE > 0u ? 1u : 0u);
    u32 row = BLOCK / tiles;
    u32 tile = BLOCK % tiles;
    u32 lane = LANE;
    count_digits(keys, (u64)row * n, tile * SORT_TILE, n, shift, own, THREAD);
    BARRIER();
    for (u32 d = THREAD / WARP; d < DIGITS; d += SORT_THREADS / WARP) {
        u32 total = 0u;
        for (u32 i = lane; i < SORT_THREADS; i += WARP) total += own[d * SORT_THREADS + i];
        for (u32 mask = WARP / 2u; mask > 0u; mask /= 2u) total += shuffle_xor(total, mask);
        if (lane == 0u) counts[((u64)row * DIGITS + d) * tiles + tile] = total;
    }
}

// offsets[row, i] = the sum of counts[row, ..i], for rows of `n` numbers. A block for each row.
KERNEL(sort_offsets, VALUE(u32, rows), VALUE(u32, n), IN(u32, counts), OUT(u32, offsets)) {
    SHARED(u32, of_warps, SORT_THREADS / WARP);
    u64 row = (u64)BLOCK * n;
    u32 lane = LANE;
    u32 warp = THREAD / WARP;
    u32 carry = 0u;
    for (u32 start = 0u; start < n; start += SORT_THREADS) {
        u32 at = start + THREAD;
        u32 v = at < n ? counts[row + at] : 0u;
        u32 before = warp_before(v, lane);
        if (lane == WARP - 1u) of_warps[warp] = before + v;
        BARRIER();
        u32 total = 0u;
        for (u32 w = 0u; w < SORT_THREADS / WARP; w++) {
            u32 of_warp = of_warps[w];
            if (w < warp) before += of_warp;
            total += of_warp;
        }
        if (at < n) offsets[row + at] = carry + before;
        carry += total;
        BARRIER();
    }
}

// Moves the keys of a tile, and the values that go with them, to where offsets[row, digit, tile] says that those of its digits begin.
// With `first` the values are the places in the row. A block for each row and tile.
KERNEL(sort_move, VALUE(u32, rows), VALUE(u32, n), VALUE(u32, shift), VALUE(u32, first), IN(u32, keys), IN(u32, values),
       IN(u32, offsets), OUT(u32, moved), OUT(u32, with)) {
    SHARED(u32, own, DIGITS * SORT_THREADS);
    u32 tiles = n / SORT_TILE + (n % SORT_TILE > 0u ? 1u : 0u);
    u64 row = BLOCK / tiles;
    u32 tile = BLOCK % tiles;
    u32 lane = LANE;
    u32 from = tile * SORT_TILE;
    count_digits(keys, row * n, from, n, shift, own, THREAD);
    BARRIER();
    // Each thread's first place for each digit: where the tile's begin, and how many the threads before have.
    for (u32 d = THREAD / WARP; d < DIGITS; d += SORT_THREADS / WARP) {
        u32 next = offsets[(row * DIGITS + d) * tiles + tile];
        for (u32 i = lane; i < SORT_THREADS; i += WARP) {
            u32 count = own[d * SORT_THREADS + i];
            u32 before = warp_before(count, lane);
            own[d * SORT_THREADS + i] = next + before;
            next += shuffle(before + count, WARP - 1u);
        }
    }
    BARRIER();
    for (u32 i = 0u; i < SORT_EACH; i++) {
        u32 at = from + THREAD * SORT_EACH + i;
        if (at >= n) continue;
        u32 key = keys[row * n + at];
        u32 slot = digit_of(key, shift) * SORT_THREADS + THREAD;
        u32 to = own[slot];
        own[slot] = to + 1u;
        moved[row * n + to] = key;
        with[row * n + to] = first != 0u ? at : values[row * n + at];
    }
}
