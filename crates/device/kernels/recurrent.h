// Scans of recurrent units whose state goes through a product at each step: LSTM (Hochreiter & Schmidhuber, 1997; the variant of Zaremba
// et al., 2014, arXiv:1409.2329) and GRU (Cho et al., 2014, arXiv:1406.1078). What x and the biases give for all steps is one product
// before; here the state's part is added step by step. All arrays are time first: [steps, batch, ...]. A block has a row of the batch,
// whose state it keeps in shared memory, so there are at most 1024 units; a thread has every 256th. Products are chains of fused additions
// in the order of units.
#pragma once
#include "math.h"

#define MOST_UNITS 1024u
#define SCAN_THREADS 256u
// Units of a thread.
#define OWN_UNITS 4u

// gates [steps, batch, 4 units] = i, j, f, o after their nonlinearities: sigmoid, tanh, sigmoid, sigmoid of projected + h recurrent.
// c = f c + i j, h = o tanh c. `state` [batch, 2 units] has c and h before; cells and hidden [steps + 1, batch, units] begin with them.
KERNEL(lstm, VALUE(u32, batch), VALUE(u32, steps), VALUE(u32, units), IN(f32, projected), IN(f32, recurrent), IN(f32, state),
       OUT(f32, gates), OUT(f32, cells), OUT(f32, hidden)) {
    // By turns what a step reads and what it writes.
    SHARED(f32, h, 2u * MOST_UNITS);
    u32 row = BLOCK;
    u64 n = units;
    for (u32 k = THREAD; k < units; k += SCAN_THREADS) {
        u64 from = row * 2u * n + k;
        cells[row * n + k] = state[from];
        hidden[row * n + k] = state[from + n];
        h[k] = state[from + n];
    }
    BARRIER();
    for (u32 t = 0u; t < steps; t++) {
        u32 now = t % 2u * MOST_UNITS;
        u32 next = MOST_UNITS - now;
        u64 step = (u64)t * batch + row;
        for (u32 k = THREAD; k < units; k += SCAN_THREADS) {
            u64 gate = step * 4u * n + k;
            f32 i = projected[gate];
            f32 j = projected[gate + n];
            f32 f = projected[gate + 2u * n];
            f32 o = projected[gate + 3u * n];
            for (u32 m = 0u; m < units; m++) {
                u64 w = m * 4u * n + k;
                f32 before = h[now + m];
                i = fused(before, recurrent[w], i);
                j = fused(before, recurrent[w + n], j);
                f = fused(before, recurrent[w + 2u * n], f);
                o = fused(before, recurrent[w + 3u * n], o);
            }
            i = sigmoid_of(i);
            j = tanh_of(j);
            f = sigmoid_of(f);
            o = sigmoid_of(o);
            gates[gate] = i;
            gates[gate + n] = j;
            gates[gate + 2u * n] = f;
            gates[gate + 3u * n] = o;
            f32 c = cells[step * n + k] * f + i * j;
            f32 value = tanh_of(c) * o;
            cells[(step + batch) * n + k] = c;
            hidden[(step + batch) * n + k] = value;
            h[next + k] = value;
        }
        BARRIER();
    }
}

// Cotangents of the gates before their nonlinearities, and of the state, from those of all hidden values (dy [steps, batch, units]) and of the
// last state (dlast [batch, 2 units]). `turned` [4 units, units] is the transpose of the recurrent weights.
KERNEL(lstm_backward, VALUE(u32, batch), VALUE(u32, steps), VALUE(u32, units), IN(f32, gates), IN(f32, cells), IN(f32, turned),
       IN(f32, dy), IN(f32, dlast), OUT(f32, dgates), OUT(f32, dstate)) {
    SHARED(f32, d, 4u * MOST_UNITS);
    u32 row = BLOCK;
    u64 n = units;
    f32 dc[OWN_UNITS];
    f32 dh[OWN_UNITS];
    for (u32 own = 0u; own < OWN_UNITS; own++) {
        u32 k = THREAD + own * SCAN_THREADS;
        dc[own] = k < units ? dlast[row * 2u * n + k] : 0.0f;
        dh[own] = k < units ? dlast[row * 2u * n + n + k] : 0.0f;
    }
    for (u32 t = steps; t > 0u; t--) {
        u64 step = (u64)(t - 1u) * batch + row;
        for (u32 own = 0u; own < OWN_UNITS; own++) {
            u32 k = THREAD + own * SCAN_THREADS;
            if (k >= units) break;
            u64 gate = step * 4u * n + k;
            f32 i = gates[gate];
            f32 j = gates[gate + n];
            f32 f = gates[gate + 2u * n];
            f32 o = gates[gate + 3u * n];
            f32 c = tanh_of(cells[(step + batch) * n + k]);
            f32 g = dh[own] + dy[step * n + k];
            f32 of_cell = dc[own] + g * o * (1.0f - c * c);
            f32 di = of_cell * j * (i * (1.0f - i));
            f32 dj = of_cell * i * (1.0f - j * j);
            f32 df = of_cell * cells[step * n + k] * (f * (1.0f - f));
            f32 d_o = g * c * (o * (1.0f - o));
            dc[own] = of_cell * f;
            dgates[gate] = di;
            dgates[gate + n] = dj;
            dgates[gate + 2u * n] = df;
            dgates[gate + 3u * n] = d_o;
            d[k] = di;
            d[units + k] = dj;
            d[2u * units + k] = df;
            d[3u * units + k] = d_o;
        }
        BARRIER();
        for (u32 own = 0u; own < OWN_UNITS; own++) {
            u32 k = THREAD + own * SCAN_THREADS;
            if (k >= units) break;
            f32 sum = 0.0f;
            for (u32 m = 0u; m < 4u * units; m++) sum = fused(d[m], turned[m * n + k], sum);
            dh[own] = sum;
        }
        BARRIER();
    }
    for (u32 own = 0u; own < OWN_UNITS; own++) {
        u32 k = THREAD + own * SCAN_THREADS;
        if (k >= units) break;
        dstate[row * 2u * n + k] = dc[own];
        dstate[row * 2u * n + n + k] = dh[own];
    }
}

// gates [steps, batch, 2 units] = update u and reset r, sigmoids of projected_gates + h to_gates; candidates c = tanh(projected_candidates +
// (r h) to_candidate); h = u h + (1 - u) c. hidden [steps + 1, batch, units] begins with the state.
KERNEL(gru, VALUE(u32, batch), VALUE(u32, steps), VALUE(u32, units), IN(f32, projected_gates), IN(f32, projected_candidates),
       IN(f32, to_gates), IN(f32, to_candidate), IN(f32, state), OUT(f32, gates), OUT(f32, candidates), OUT(f32, hidden)) {
    SHARED(f32, h, MOST_UNITS);
    SHARED(f32, let_through, MOST_UNITS);
    u32 row = BLOCK;
    u64 n = units;
    for (u32 k = THREAD; k < units; k += SCAN_THREADS) {
        hidden[row * n + k] = state[row * n + k];
        h[k] = state[row * n + k];
    }
    BARRIER();
    for (u32 t = 0u; t < steps; t++) {
        u64 step = (u64)t * batch + row;
        for (u32 k = THREAD; k < units; k += SCAN_THREADS) {
            u64 gate = step * 2u * n + k;
            f32 u = projected_gates[gate];
            f32 r = projected_gates[gate + n];
            for (u32 m = 0u; m < units; m++) {
                u64 w = m * 2u * n + k;
                u = fused(h[m], to_gates[w], u);
                r = fused(h[m], to_gates[w + n], r);
            }
            r = sigmoid_of(r);
            gates[gate] = sigmoid_of(u);
            gates[gate + n] = r;
            let_through[k] = r * h[k];
        }
        BARRIER();
        for (u32 k = THREAD; k < units; k += SCAN_THREADS) {
            f32 c = projected_candidates[step * n + k];
            for (u32 m = 0u; m < units; m++) c = fused(let_through[m], to_candidate[m * n + k], c);
            c = tanh_of(c);
            f32 u = gates[step * 2u * n + k];
            f32 value = u * h[k] + (1.0f - u) * c;
            candidates[step * n + k] = c;
            hidden[(step + batch) * n + k] = value;
            h[k] = value;
        }
        BARRIER();
    }
}

// Cotangents of gates and candidates before their nonlinearities, and of the state; `resets` [steps, batch, units] is r h, which the
// candidate's weights were multiplied with. `gates_turned` [2 units, units] and `candidate_turned` [units, units] are transposes.
KERNEL(gru_backward, VALUE(u32, batch), VALUE(u32, steps), VALUE(u32, units), IN(f32, gates), IN(f32, candidates), IN(f32, hidden),
       IN(f32, gates_turned), IN(f32, candidate_turned), IN(f32, dy), IN(f32, dlast), OUT(f32, dgates), OUT(f32, dcandidates),
       OUT(f32, resets), OUT(f32, dstate)) {
    SHARED(f32, d, 3u * MOST_UNITS);
    u32 row = BLOCK;
    u64 n = units;
    f32 dh[OWN_UNITS];
    for (u32 own = 0u; own < OWN_UNITS; own++) {
        u32 k = THREAD + own * SCAN_THREADS;
        dh[own] = k < units ? dlast[row * n + k] : 0.0f;
    }
    for (u32 t = steps; t > 0u; t--) {
        u64 step = (u64)(t - 1u) * batch + row;
        for (u32 own = 0u; own < OWN_UNITS; own++) {
            u32 k = THREAD + own * SCAN_THREADS;
            if (k >= units) break;
            f32 u = gates[step * 2u * n + k];
            f32 c = candidates[step * n + k];
            f32 g = dh[own] + dy[step * n + k];
            f32 du = g * (hidden[step * n + k] - c) * (u * (1.0f - u));
            f32 of_candidate = g * (1.0f - u) * (1.0f - c * c);
            dgates[step * 2u * n + k] = du;
            dcandidates[step * n + k] = of_candidate;
            d[k] = du;
            d[2u * units + k] = of_candidate;
            dh[own] = g * u;
        }
        BARRIER();
        for (u32 own = 0u; own < OWN_UNITS; own++) {
            u32 k = THREAD + own * SCAN_THREADS;
            if (k >= units) break;
            f32 sum = 0.0f;
            for (u32 m = 0u; m < units; m++) sum = fused(d[2u * units + m], candidate_turned[m * n + k], sum);
            f32 r = gates[step * 2u * n + n + k];
            f32 before = hidden[step * n + k];
            f32 dr = sum * before * (r * (1.0f - r));
            dgates[step * 2u * n + n + k] = dr;
            resets[step * n + k] = r * before;
            d[units + k] = dr;
            dh[own] += sum * r;
        }
        BARRIER();
        for (u32 own = 0u; own < OWN_UNITS; own++) {
            u32 k = THREAD + own * SCAN_THREADS;
            if (k >= units) break;
            f32 sum = dh[own];
            for (u32 m = 0u; m < 2u * units; m++) sum = fused(d[m], gates_turned[m * n + k], sum);
            dh[own] = sum;
        }
        BARRIER();
    }
    for (u32 own = 0u; own < OWN_UNITS; own++) {
        u32 k = THREAD + own * SCAN_THREADS;
        if (k < units) dstate[row * n + k] = dh[own];
    }
}
