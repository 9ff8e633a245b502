// Kernels that do what none may do, each in one way, and one that does nothing of the kind. `out` has 64 elements, blocks 64 threads.
#pragma once
#include "words.h"

KERNEL(fault_beyond_shared, OUT(u32, out)) {
    SHARED(u32, shared, 64u);
    shared[THREAD + 1u] = THREAD;
    if (BLOCK == 0u) out[THREAD] = 0u;
}
KERNEL(fault_beyond_global, OUT(u32, out)) {
    if (BLOCK == 0u) out[THREAD + 1u] = THREAD;
}
KERNEL(fault_unwritten, OUT(u32, out)) {
    SHARED(u32, shared, 64u);
    if (BLOCK == 0u) out[THREAD] = shared[THREAD];
}
KERNEL(fault_no_barrier, OUT(u32, out)) {
    SHARED(u32, shared, 64u);
    shared[THREAD] = THREAD;
    u32 other = shared[(THREAD + 63u) % 64u * (THREAD > 0u ? 1u : 0u)];
    if (BLOCK == 0u) out[THREAD] = other;
}
KERNEL(fault_early_write, OUT(u32, out)) {
    SHARED(u32, shared, 64u);
    shared[THREAD] = THREAD;
    BARRIER();
    u32 own = shared[THREAD];
    shared[(THREAD + 63u) % 64u] = own;
    if (BLOCK == 0u) out[THREAD] = own;
}
KERNEL(fault_two_writers, OUT(u32, out)) {
    SHARED(u32, shared, 64u);
    shared[0] = THREAD;
    if (BLOCK == 0u) out[THREAD] = 0u;
}
KERNEL(fault_two_blocks, OUT(u32, out)) { out[THREAD] = BLOCK; }
KERNEL(fault_reads_another_block, OUT(u32, out)) {
    if (BLOCK == 0u) out[THREAD] = THREAD;
    if (BLOCK == 1u) {
        u32 other = out[THREAD];
        if (other == 1000u) out[THREAD] = 0u;
    }
}
KERNEL(fault_some_at_barrier, OUT(u32, out)) {
    if (THREAD % 2u == 0u) BARRIER();
    if (BLOCK == 0u) out[THREAD] = THREAD;
}
KERNEL(fault_some_leave, OUT(u32, out)) {
    if (THREAD < 32u) return;
    BARRIER();
    if (BLOCK == 0u) out[THREAD] = THREAD;
}
KERNEL(fault_some_shuffle, OUT(u32, out)) {
    u32 v = THREAD;
    if (THREAD % 2u == 0u) v = shuffle_xor(v, 2u);
    if (BLOCK == 0u) out[THREAD] = v;
}
KERNEL(fault_lane, OUT(u32, out)) {
    u32 v = shuffle(THREAD, 32u);
    if (BLOCK == 0u) out[THREAD] = v;
}
KERNEL(fault_stack, OUT(u32, out)) {
    // As an array of the thread's own that reaches the end of its stack: it is the launcher that is tested.
    tl::spoil_stack();
    if (BLOCK == 0u) out[THREAD] = 0u;
}
KERNEL(no_fault, OUT(u32, out)) {
    SHARED(u32, shared, 64u);
    shared[THREAD] = THREAD;
    BARRIER();
    u32 total = THREAD;
    for (u32 mask = WARP / 2u; mask > 0u; mask /= 2u) total += shuffle_xor(total, mask);
    if (BLOCK == 0u) out[THREAD] = shared[(THREAD + 63u) % 64u] + total;
}
