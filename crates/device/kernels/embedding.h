// Rows of a table by id, and the gradient of the table: rows added up by id, in their order.
#pragma once
#include "words.h"

// out[i] = table[ids[i]] for a table of [rows, cols]; NaN for an id that is none of a row. A thread for each element.
KERNEL(embedding, VALUE(u32, n), VALUE(u32, rows), VALUE(u32, cols), IN(f32, table), IN(i32, ids), OUT(f32, out)) {
    u64 at = (u64)BLOCK * THREADS + THREAD;
    if (at >= (u64)n * cols) return;
    i32 id = ids[at / cols];
    out[at] = id >= 0 && (u32)id < rows ? table[(u64)(u32)id * cols + at % cols] : NOT_A_NUMBER;
}

// dtable[r] = the sum of the rows i of g [n, cols] whose id is r, in order of i: `sorted` has the ids in ascending order and `places` where
// they stood (a stable sort). 0 where there is none. A warp for each row of the table, a lane for every 32nd column.
KERNEL(embedding_backward, VALUE(u32, n), VALUE(u32, rows), VALUE(u32, cols), IN(u32, sorted), IN(u32, places), IN(f32, g),
       OUT(f32, dtable)) {
    u32 row = BLOCK * (THREADS / WARP) + THREAD / WARP;
    if (row >= rows) return;
    // The first place whose id is not below the row's.
    u32 first = 0u;
    u32 end = n;
    while (first < end) {
        u32 middle = first + (end - first) / 2u;
        if (sorted[middle] < row) first = middle + 1u;
        else end = middle;
    }
    for (u32 col = LANE; col < cols; col += WARP) {
        f32 total = 0.0f;
        for (u32 i = first; i < n && sorted[i] == row; i++) {
            f32 v = g[(u64)places[i] * cols + col];
            total = i == first ? v : total + v;
        }
        dtable[(u64)row * cols + col] = total;
    }
}
