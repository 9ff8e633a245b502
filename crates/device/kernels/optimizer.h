// Steps of optimizers over many tensors at once. Weights, gradients and slots of all tensors lie one after another in an array each. A block
// has one chunk of one tensor: `tensors`, `starts`, `sizes` [chunks] say of which, from where, and how long. `numbers` has a row for each
// tensor, so that tensors may differ in learning rate and decay.
#pragma once
#include "words.h"

// Numbers of a tensor.
#define STEP_NUMBERS 8u
// What all optimizers have: the factor of gradients, the largest size of each element of them (infinite where there is none), the
// learning rate, the fraction of each weight that is taken away.
#define AT_SCALE 0u
#define AT_LIMIT 1u
#define AT_RATE 2u
#define AT_DECAY 3u
// Descent and momentum: the part of each weight that is added to its gradient; what stays of the momentum; what a gradient adds to it;
// whether by Nesterov (1 or 0).
#define AT_L2 4u
#define AT_MASS 5u
#define AT_SHARE 6u
#define AT_NESTEROV 7u
// Adam: both decays, what is added to the root, 1 / (1 - b2^(step + 1)). Its learning rate is divided by 1 - b1^(step + 1).
#define AT_B1 4u
#define AT_B2 5u
#define AT_EPSILON 6u
#define AT_CORRECTION 7u

// A chunk of a tensor, what all optimizers have of it, and where its numbers begin.
struct Chunk {
    u64 start, own;
    u32 size;
    f32 scale, limit, rate, keep;
};
FUNCTION Chunk chunk_of(In<u32> tensors, In<u32> starts, In<u32> sizes, In<f32> numbers, u32 block) {
    Chunk c;
    c.start = starts[block];
    c.size = sizes[block];
    c.own = (u64)tensors[block] * STEP_NUMBERS;
    c.scale = numbers[c.own + AT_SCALE];
    c.limit = numbers[c.own + AT_LIMIT];
    c.rate = numbers[c.own + AT_RATE];
    c.keep = 1.0f - numbers[c.own + AT_DECAY];
    return c;
}

FUNCTION f32 clipped(f32 g, Chunk c) {
    g = g * c.scale;
    g = g > c.limit ? c.limit : g;
    return g < -c.limit ? -c.limit : g;
}

// p = (1 - decay) p - rate (g + l2 p).
KERNEL(sgd, VALUE(u32, chunks), VALUE(u32, count), VALUE(u32, n), IN(u32, tensors), IN(u32, starts), IN(u32, sizes),
       IN(f32, numbers), IN(f32, g), OUT(f32, p)) {
    Chunk c = chunk_of(tensors, starts, sizes, numbers, BLOCK);
    f32 l2 = numbers[c.own + AT_L2];
    for (u32 i = THREAD; i < c.size; i += THREADS) {
        u64 at = c.start + i;
        f32 w = p[at];
        p[at] = c.keep * w - c.rate * (clipped(g[at], c) + l2 * w);
    }
}

// m = mass m + share (g + l2 p); p = (1 - decay) p - rate d, d = m, or mass m + share (g + l2 p) (Sutskever et al., 2013).
KERNEL(momentum, VALUE(u32, chunks), VALUE(u32, count), VALUE(u32, n), IN(u32, tensors), IN(u32, starts), IN(u32, sizes),
       IN(f32, numbers), IN(f32, g), OUT(f32, p), OUT(f32, m)) {
    Chunk c = chunk_of(tensors, starts, sizes, numbers, BLOCK);
    f32 l2 = numbers[c.own + AT_L2];
    f32 mass = numbers[c.own + AT_MASS];
    f32 factor = numbers[c.own + AT_SHARE];
    bool nesterov = numbers[c.own + AT_NESTEROV] != 0.0f;
    for (u32 i = THREAD; i < c.size; i += THREADS) {
        u64 at = c.start + i;
        f32 w = p[at];
        f32 share = factor * (clipped(g[at], c) + l2 * w);
        f32 moment = mass * m[at] + share;
        m[at] = moment;
        p[at] = c.keep * w - c.rate * (nesterov ? mass * moment + share : moment);
    }
}

// m = (1 - b1) g + b1 m; v = (1 - b2) g^2 + b2 v; p = (1 - decay) p - rate m / (root(v correction) + epsilon): Adam (Kingma & Ba, 2014,
// arXiv:1412.6980), and with a decay AdamW (Loshchilov & Hutter, 2017, arXiv:1711.05101).
KERNEL(adam, VALUE(u32, chunks), VALUE(u32, count), VALUE(u32, n), IN(u32, tensors), IN(u32, starts), IN(u32, sizes),
       IN(f32, numbers), IN(f32, g), OUT(f32, p), OUT(f32, m), OUT(f32, v)) {
    Chunk c = chunk_of(tensors, starts, sizes, numbers, BLOCK);
    f32 b1 = numbers[c.own + AT_B1];
    f32 b2 = numbers[c.own + AT_B2];
    f32 epsilon = numbers[c.own + AT_EPSILON];
    f32 correction = numbers[c.own + AT_CORRECTION];
    for (u32 i = THREAD; i < c.size; i += THREADS) {
        u64 at = c.start + i;
        f32 d = clipped(g[at], c);
        f32 first = (1.0f - b1) * d + b1 * m[at];
        f32 second = (1.0f - b2) * (d * d) + b2 * v[at];
        m[at] = first;
        v[at] = second;
        p[at] = c.keep * p[at] - c.rate * first / (root(second * correction) + epsilon);
    }
}
