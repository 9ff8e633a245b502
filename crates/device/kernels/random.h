// Random words of a key, and dropout by them.
#pragma once
#include "words.h"

struct Pair {
    u32 low, high;
};

// The threefry2x32 block function, 20 rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).
FUNCTION Pair threefry(u32 key0, u32 key1, u32 x0, u32 x1) {
    u32 schedule[3] = {key0, key1, key0 ^ key1 ^ 0x1BD11BDAu};
    u32 rotations[2][4] = {{13u, 15u, 26u, 6u}, {17u, 29u, 16u, 24u}};
    x0 += schedule[0];
    x1 += schedule[1];
    for (u32 group = 0u; group < 5u; group++) {
        for (u32 i = 0u; i < 4u; i++) {
            x0 += x1;
            x1 = rotated(x1, rotations[group % 2u][i]) ^ x0;
        }
        x0 += schedule[(group + 1u) % 3u];
        x1 += schedule[(group + 2u) % 3u] + group + 1u;
    }
    Pair out = {x0, x1};
    return out;
}

// Words i and halved + i of the draw of n words: both come from one block of the function, whose counters are i and halved + i. The last
// block of an odd draw has 0 as its second counter, and its second word is none of the draw's.
FUNCTION Pair words_of(u32 key0, u32 key1, u32 n, u32 i) {
    u32 halved = n / 2u + n % 2u;
    return threefry(key0, key1, i, n % 2u == 1u && i == halved - 1u ? 0u : halved + i);
}

// Word i of the draw of n words alone, at the cost of two.
FUNCTION u32 word_of(u32 key0, u32 key1, u32 n, u32 i) {
    u32 halved = n / 2u + n % 2u;
    if (i < halved) return words_of(key0, key1, n, i).low;
    return words_of(key0, key1, n, i - halved).high;
}

// The n words of a draw, as `random::bits` has them. A thread makes two. Draws of 2^32 - 1 words and more are cut before.
KERNEL(random_bits, VALUE(u32, key0), VALUE(u32, key1), VALUE(u32, n), OUT(u32, words)) {
    u32 halved = n / 2u + n % 2u;
    u32 i = BLOCK * THREADS + THREAD;
    if (i >= halved) return;
    Pair pair = words_of(key0, key1, n, i);
    words[i] = pair.low;
    if (halved + i < n) words[halved + i] = pair.high;
}

// y = x * factor where (word >> 9) < threshold, else x * 0, so that NaN and infinities show. A thread makes two. Backward is the same
// kernel on the cotangent.
KERNEL(dropout, VALUE(u32, key0), VALUE(u32, key1), VALUE(u32, n), VALUE(u32, threshold), VALUE(f32, factor), IN(f32, x),
       OUT(f32, y)) {
    u32 halved = n / 2u + n % 2u;
    u32 i = BLOCK * THREADS + THREAD;
    if (i >= halved) return;
    Pair pair = words_of(key0, key1, n, i);
    y[i] = x[i] * (pair.low >> 9 < threshold ? factor : 0.0f);
    if (halved + i < n) y[halved + i] = x[halved + i] * (pair.high >> 9 < threshold ? factor : 0.0f);
}
