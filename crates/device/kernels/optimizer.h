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

FUNCTION f32 clipped(f32 g, f32 scale, f32 limit) {
    g = g * scale;
    g = g > limit ? limit : g;
    return g < -limit ? -limit : g;
}

// p = (1 - decay) p - rate (g + l2 p).
KERNEL(sgd, VALUE(u32, chunks), VALUE(u32, count), VALUE(u32, n), IN(u32, tensors), IN(u32, starts), IN(u32, sizes),
       IN(f32, numbers), IN(f32, g), OUT(f32, p)) {
    u32 start = starts[BLOCK];
    u32 size = sizes[BLOCK];
    u64 own = (u64)tensors[BLOCK] * STEP_NUMBERS;
    f32 keep = 1.0f - numbers[own + AT_DECAY];
    f32 rate = numbers[own + AT_RATE];
    f32 l2 = numbers[own + AT_L2];
    f32 scale = numbers[own + AT_SCALE];
    f32 limit = numbers[own + AT_LIMIT];
    for (u32 i = THREAD; i < size; i += THREADS) {
        u64 at = (u64)start + i;
        f32 w = p[at];
        p[at] = keep * w - rate * (clipped(g[at], scale, limit) + l2 * w);
    }
}

// m = mass m + share (g + l2 p); p = (1 - decay) p - rate d, d = m, or mass m + share (g + l2 p) (Sutskever et al., 2013).
KERNEL(momentum, VALUE(u32, chunks), VALUE(u32, count), VALUE(u32, n), IN(u32, tensors), IN(u32, starts), IN(u32, sizes),
       IN(f32, numbers), IN(f32, g), OUT(f32, p), OUT(f32, m)) {
    u32 start = starts[BLOCK];
    u32 size = sizes[BLOCK];
    u64 own = (u64)tensors[BLOCK] * STEP_NUMBERS;
    f32 keep = 1.0f - numbers[own + AT_DECAY];
    f32 rate = numbers[own + AT_RATE];
    f32 l2 = numbers[own + AT_L2];
    f32 mass = numbers[own + AT_MASS];
    f32 factor = numbers[own + AT_SHARE];
    bool nesterov = numbers[own + AT_NESTEROV] != 0.0f;
    f32 scale = numbers[own + AT_SCALE];
    f32 limit = numbers[own + AT_LIMIT];
    for (u32 i = THREAD; i < size; i += THREADS) {
        u64 at = (u64)start + i;
        f32 w = p[at];
        f32 share = factor * (clipped(g[at], scale, limit) + l2 * w);
        f32 moment = mass * m[at] + share;
        m[at] = moment;
        p[at] = keep * w - rate * (nesterov ? mass * moment + share : moment);
    }
}

// m = (1 - b1) g + b1 m; v = (1 - b2) g^2 + b2 v; p = (1 - decay) p - rate m / (root(v correction) + epsilon): Adam (Kingma & Ba, 2014,
// arXiv:1412.6980), and with a decay AdamW (Loshchilov & Hutter, 2017, arXiv:1711.05101).
KERNEL(adam, VALUE(u32, chunks), VALUE(u32, count), VALUE(u32, n), IN(u32, tensors), IN(u32, starts), IN(u32, sizes),
       IN(f32, numbers), IN(f32, g), OUT(f32, p), OUT(f32, m), OUT(f32, v)) {
    u32 start = starts[BLOCK];
    u32 size = sizes[BLOCK];
    u64 own = (u64)tensors[BLOCK] * STEP_NUMBERS;
    f32 keep = 1.0f - numbers[own + AT_DECAY];
    f32 rate = numbers[own + AT_RATE];
    f32 b1 = numbers[own + AT_B1];
    f32 b2 = numbers[own + AT_B2];
    f32 epsilon = numbers[own + AT_EPSILON];
    f32 correction = numbers[own + AT_CORRECTION];
    f32 scale = numbers[own + AT_SCALE];
    f32 limit = numbers[own + AT_LIMIT];
    for (u32 i = THREAD; i < size; i += THREADS) {
        u64 at = (u64)start + i;
        f32 d = clipped(g[at], scale, limit);
        f32 first = (1.0f - b1) * d + b1 * m[at];
        f32 second = (1.0f - b2) * (d * d) + b2 * v[at];
        m[at] = first;
        v[at] = second;
        p[at] = keep * p[at] - rate * first / (root(second * correction) + epsilon);
    }
}
