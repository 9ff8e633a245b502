// Recurrences without products, element by element: x is [batch, steps, units], the state [batch, units]. A thread for each row of the
// batch and unit goes through all steps; neighbours read neighbours.
#pragma once
#include "math.h"

// The root of 3: what the input is multiplied with in the highway connection, so that its variance is kept.
#define HIGHWAY 1.7320508f

// c[t] = f[t] c[t - 1] + x[t] from c[-1] = state.
KERNEL(linear_recurrence, VALUE(u32, batch), VALUE(u32, steps), VALUE(u32, units), IN(f32, x), IN(f32, f), IN(f32, state),
       OUT(f32, cells)) {
    u64 at = (u64)BLOCK * THREADS + THREAD;
    if (at >= (u64)batch * units) return;
    f32 c = state[at];
    u64 place = at / units * steps * units + at % units;
    for (u32 t = 0u; t < steps; t++, place += units) {
        c = f[place] * c + x[place];
        cells[place] = c;
    }
}

// From the cotangents of all cells (dy) and of the last (dlast): dx[t] = d, df[t] = d c[t - 1], and d f[t] goes on to the step before.
KERNEL(linear_recurrence_backward, VALUE(u32, batch), VALUE(u32, steps), VALUE(u32, units), IN(f32, f), IN(f32, state),
       IN(f32, cells), IN(f32, dy), IN(f32, dlast), OUT(f32, dx), OUT(f32, df), OUT(f32, dstate)) {
    u64 at = (u64)BLOCK * THREADS + THREAD;
    if (at >= (u64)batch * units) return;
    f32 d = dlast[at];
    u64 first = at / units * steps * units + at % units;
    for (u32 t = steps; t > 0u; t--) {
        u64 place = first + (u64)(t - 1u) * units;
        f32 before = t > 1u ? cells[place - units] : state[at];
        d += dy[place];
        dx[place] = d;
        df[place] = d * before;
        d = d * f[place];
    }
    dstate[at] = d;
}

// A simple recurrent unit after its product (Lei et al., 2018, arXiv:1709.02755): gates [batch, steps, 3 units] hold r, f and y.
// c[t] = s(f) c[t - 1] + (1 - s(f)) y; h[t] = s(r) c[t] + root 3 (1 - s(r)) x, s the sigmoid.
KERNEL(sru, VALUE(u32, batch), VALUE(u32, steps), VALUE(u32, units), IN(f32, gates), IN(f32, x), IN(f32, state), OUT(f32, hidden),
       OUT(f32, cells)) {
    u64 at = (u64)BLOCK * THREADS + THREAD;
    if (at >= (u64)batch * units) return;
    u64 unit = at % units;
    f32 c = state[at];
    for (u32 t = 0u; t < steps; t++) {
        u64 step = at / units * steps + t;
        u64 gate = step * 3u * units + unit;
        u64 place = step * units + unit;
        f32 r = sigmoid_of(gates[gate]);
        f32 f = sigmoid_of(gates[gate + units]);
        c = f * c + gates[gate + 2u * (u64)units] * (1.0f - f);
        hidden[place] = c * r + x[place] * (1.0f - r) * HIGHWAY;
        cells[place] = c;
    }
}

// Cotangents of gates, x and state from those of all hidden values (dy) and of the last cell (dlast).
KERNEL(sru_backward, VALUE(u32, batch), VALUE(u32, steps), VALUE(u32, units), IN(f32, gates), IN(f32, x), IN(f32, state),
       IN(f32, cells), IN(f32, dy), IN(f32, dlast), OUT(f32, dgates), OUT(f32, dx), OUT(f32, dstate)) {
    u64 at = (u64)BLOCK * THREADS + THREAD;
    if (at >= (u64)batch * units) return;
    u64 unit = at % units;
    f32 dc = dlast[at];
    for (u32 t = steps; t > 0u; t--) {
        u64 step = at / units * steps + t - 1u;
        u64 gate = step * 3u * units + unit;
        u64 place = step * units + unit;
        f32 before = t > 1u ? cells[place - units] : state[at];
        f32 r = sigmoid_of(gates[gate]);
        f32 f = sigmoid_of(gates[gate + units]);
        f32 y = gates[gate + 2u * (u64)units];
        f32 d = dc + dy[place] * r;
        dgates[gate] = dy[place] * (cells[place] - x[place] * HIGHWAY) * (r * (1.0f - r));
        dgates[gate + units] = d * (before - y) * (f * (1.0f - f));
        dgates[gate + 2u * (u64)units] = d * (1.0f - f);
        dx[place] = dy[place] * (1.0f - r) * HIGHWAY;
        dc = d * f;
    }
    dstate[at] = dc;
}
