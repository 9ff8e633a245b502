// The gradients of lsh_attention.h, a round at a time: of queries first, then of keys and values. The first round writes, the others add;
// gradients of keys that are queries are added to those of these.
#pragma once
#include "attention_backward.h"
#include "lsh_attention.h"

// dq: over the window, strength (dropped ct v - inner) k, with k as it was made. A block for each item, chunk of the round and 16 queries.
KERNEL(lsh_attention_dq, VALUE(u32, batches), VALUE(u32, heads), VALUE(u32, length), VALUE(u32, rounds), VALUE(u32, round),
       VALUE(u32, chunk), VALUE(u32, before), VALUE(u32, after), VALUE(u32, depth), VALUE(u32, value_depth), VALUE(u32, flags),
       VALUE(u32, key0), VALUE(u32, key1), VALUE(u32, draw), VALUE(u32, threshold), VALUE(f32, factor), IN(u32, at), IN(f32, q),
       IN(f32, k), IN(f32, v), IN(u8, mask), IN(u32, order), IN(f32, tops), IN(f32, totals), IN(f32, inner), IN(f32, ct),
       OUT(f32, dq)) {
    SHARED(f32, q_tile, SIDE * TILE_ROW);
    SHARED(f32, ct_tile, SIDE * TILE_ROW);
    SHARED(f32, kv_tile, SIDE * TILE_ROW);
    SHARED(f32, pulls, SIDE * SIDE_ROW);
    SHARED(f32, factors, SIDE);
    Slots s = slots_of(length, rounds, round, chunk);
    OwnRows rows = own_rows(s, length, chunk, SIDE, BLOCK);
    if (!rows.any) return;
    u32 item = rows.item;
    u32 own = rows.chunk;
    u32 first = rows.first;
    u32 end = rows.end;
    u32 row = THREAD / PER_QUERY;
    u32 part = THREAD % PER_QUERY;
    u32 slot = own * chunk + first + row;
    bool there = slot < end;
    u32 query = there ? position_of(order, flags, s, item, slot) : 0u;
    u64 place = (u64)item * length + query;
    u64 q_start = matrix_at(at, AT_Q, item, heads);
    u64 mask_start = matrix_at(at, AT_MASK, item, heads);
    bool shared_keys = (flags & SHARED_KEYS) != 0u;
    u64 k_start = shared_keys ? q_start : matrix_at(at, AT_K, item, heads);
    u32 k_row = shared_keys ? at[AT_Q + 2u] : at[AT_K + 2u];
    gather_tile(q, q_start, at[AT_Q + 2u], order, flags, s, item, own * chunk + first, SIDE, end, depth, q_tile, THREAD, THREADS);
    gather_tile(ct, matrix_at(at, AT_CT, item, heads), at[AT_CT + 2u], order, flags, s, item, own * chunk + first, SIDE, end, value_depth,
                ct_tile, THREAD, THREADS);
    f32 top = tops[place];
    f32 share = 1.0f / totals[place];
    f32 along = inner[place];
    f32 sums[OWN_SIZES];
    for (u32 n = 0u; n < OWN_SIZES; n++) sums[n] = 0.0f;
    u32 window = before + 1u + after;
    for (u32 which = 0u; which < window; which++) {
        u32 other = neighbour(s, own, before, which);
        u32 last = other * chunk + size_of_chunk(s, other);
        for (u32 col = 0u; col < size_of_chunk(s, other); col += SIDE) {
            u32 start = other * chunk + col;
            BARRIER();
            gather_tile(v, matrix_at(at, AT_V, item, heads), at[AT_V + 2u], order, flags, s, item, start, SIDE, last, value_depth,
                        kv_tile, THREAD, THREADS);
            BARRIER();
            f32 cotangents[SIDE / PER_QUERY];
            for (u32 n = 0u; n < SIDE / PER_QUERY; n++)
                cotangents[n] = tile_dot(ct_tile, row, kv_tile, part + n * PER_QUERY, value_depth);
            BARRIER();
            if (shared_keys)
                gather_tile(q, k_start, k_row, order, flags, s, item, start, SIDE, last, depth, kv_tile, THREAD, THREADS);
            else
                gather_tile(k, k_start, k_row, order, flags, s, item, start, SIDE, last, depth, kv_tile, THREAD, THREADS);
            BARRIER();
            if (THREAD < SIDE) factors[THREAD] = key_factor(kv_tile, THREAD, depth, flags);
            BARRIER();
            for (u32 n = 0u; n < SIDE / PER_QUERY; n++) {
                u32 j = part + n * PER_QUERY;
                f32 pull = 0.0f;
                if (there && start + j < last) {
                    u32 key = position_of(order, flags, s, item, start + j);
                    f32 dot = tile_dot(q_tile, row, kv_tile, j, depth) * factors[j];
                    dot = penalised(dot, query, key, flags, is_masked(mask, mask_start, at, flags, key));
                    f32 weight = exp_of(dot - top) * share;
                    f32 kept = kept_of(key0, key1, draw, threshold, factor, ((first + row) * window + which) * chunk + col + j);
                    pull = weight * (kept * cotangents[n] - along) * factors[j];
                }
                pulls[row * SIDE_ROW + j] = pull;
            }
            BARRIER();
            for (u32 n = 0u; n < OWN_SIZES; n++) {
                u32 d = part + n * PER_QUERY;
                if (d >= depth) break;
                sums[n] = weighed(pulls, row * SIDE_ROW, kv_tile, d, smaller(SIDE, last - start), sums[n]);
            }
        }
    }
    if (!there || slot < s.from || slot >= s.to) return;
    for (u32 n = 0u; n < OWN_SIZES; n++) {
        u32 d = part + n * PER_QUERY;
        if (d >= depth) break;
        dq[place * depth + d] = round > 0u ? dq[place * depth + d] + sums[n] : sums[n];
    }
}

// dk and dv of the keys of a round: over the queries whose windows have them, strength (dropped ct v - inner) q, and dropped strength times
// ct. Where keys are queries, `dk` is dq, and gets factor (d - k <k, d>): the gradient through the division by the length. A block for
// each item, chunk of the round and 16 keys, 8 threads for each.
KERNEL(lsh_attention_dkv, VALUE(u32, batches), VALUE(u32, heads), VALUE(u32, length), VALUE(u32, rounds), VALUE(u32, round),
       VALUE(u32, chunk), VALUE(u32, before), VALUE(u32, after), VALUE(u32, depth), VALUE(u32, value_depth), VALUE(u32, flags),
       VALUE(u32, key0), VALUE(u32, key1), VALUE(u32, draw), VALUE(u32, threshold), VALUE(f32, factor), IN(u32, at), IN(f32, q),
       IN(f32, k), IN(f32, v), IN(u8, mask), IN(u32, order), IN(f32, tops), IN(f32, totals), IN(f32, inner), IN(f32, ct),
       OUT(f32, dk), OUT(f32, dv)) {
    SHARED(f32, k_tile, SIDE * TILE_ROW);
    SHARED(f32, v_tile, SIDE * TILE_ROW);
    SHARED(f32, q_tile, SIDE * TILE_ROW);
    SHARED(f32, pulls, SIDE * SIDE_ROW);
    SHARED(f32, strengths, SIDE * SIDE_ROW);
    Slots s = slots_of(length, rounds, round, chunk);
    OwnRows rows = own_rows(s, length, chunk, SIDE, BLOCK);
    if (!rows.any) return;
    u32 item = rows.item;
    u32 own = rows.chunk;
    u32 first = rows.first;
    u32 end = rows.end;
    u32 row = THREAD / PER_QUERY;
    u32 part = THREAD % PER_QUERY;
    u32 slot = own * chunk + first + row;
    bool there = slot < end;
    u32 key = there ? position_of(order, flags, s, item, slot) : 0u;
    u64 q_start = matrix_at(at, AT_Q, item, heads);
    u64 ct_start = matrix_at(at, AT_CT, item, heads);
    bool shared_keys = (flags & SHARED_KEYS) != 0u;
    if (shared_keys)
        gather_tile(q, q_start, at[AT_Q + 2u], order, flags, s, item, own * chunk + first, SIDE, end, depth, k_tile, THREAD, THREADS);
    else
        gather_tile(k, matrix_at(at, AT_K, item, heads), at[AT_K + 2u], order, flags, s, item, own * chunk + first, SIDE, end, depth,
                    k_tile, THREAD, THREADS);
    gather_tile(v, matrix_at(at, AT_V, item, heads), at[AT_V + 2u], order, flags, s, item, own * chunk + first, SIDE, end, value_depth,
                v_tile, THREAD, THREADS);
    BARRIER();
    f32 scale = key_factor(k_tile, row, depth, flags);
    bool hidden = there && is_masked(mask, matrix_at(at, AT_MASK, item, heads), at, flags, key);
    f32 of_key[OWN_SIZES];
    f32 of_value[OWN_SIZES];
    for (u32 n = 0u; n < OWN_SIZES; n++) {
        of_key[n] = 0.0f;
        of_value[n] = 0.0f;
    }
    u32 window = before + 1u + after;
    for (u32 which = 0u; which < window; which++) {
        // The chunk of queries in whose window this one stands at `which`.
        u32 other = neighbour(s, own, which, before);
        u32 last = other * chunk + size_of_chunk(s, other);
        for (u32 col = 0u; col < size_of_chunk(s, other); col += SIDE) {
            u32 start = other * chunk + col;
            u32 count = smaller(SIDE, last - start);
            BARRIER();
            gather_tile(ct, ct_start, at[AT_CT + 2u], order, flags, s, item, start, SIDE, last, value_depth, q_tile, THREAD, THREADS);
            BARRIER();
            f32 cotangents[SIDE / PER_QUERY];
            for (u32 n = 0u; n < SIDE / PER_QUERY; n++)
                cotangents[n] = tile_dot(q_tile, part + n * PER_QUERY, v_tile, row, value_depth);
            BARRIER();
            gather_tile(q, q_start, at[AT_Q + 2u], order, flags, s, item, start, SIDE, last, depth, q_tile, THREAD, THREADS);
            BARRIER();
            for (u32 n = 0u; n < SIDE / PER_QUERY; n++) {
                u32 i = part + n * PER_QUERY;
                f32 pull = 0.0f;
                f32 strength = 0.0f;
                if (there && start + i < last) {
                    u32 query = position_of(order, flags, s, item, start + i);
                    u64 place = (u64)item * length + query;
                    f32 dot = penalised(tile_dot(q_tile, i, k_tile, row, depth) * scale, query, key, flags, hidden);
                    f32 weight = exp_of(dot - tops[place]) * (1.0f / totals[place]);
                    f32 kept = kept_of(key0, key1, draw, threshold, factor, ((col + i) * window + which) * chunk + first + row);
                    strength = weight * kept;
                    pull = weight * (kept * cotangents[n] - inner[place]);
                }
                pulls[row * SIDE_ROW + i] = pull;
                strengths[row * SIDE_ROW + i] = strength;
            }
            BARRIER();
            for (u32 n = 0u; n < OWN_SIZES; n++) {
                u32 d = part + n * PER_QUERY;
                if (d >= depth) break;
                of_key[n] = weighed(pulls, row * SIDE_ROW, q_tile, d, count, of_key[n]);
            }
            BARRIER();
            gather_tile(ct, ct_start, at[AT_CT + 2u], order, flags, s, item, start, SIDE, last, value_depth, q_tile, THREAD, THREADS);
            BARRIER();
            for (u32 n = 0u; n < OWN_SIZES; n++) {
                u32 d = part + n * PER_QUERY;
                if (d >= value_depth) break;
                of_value[n] = weighed(strengths, row * SIDE_ROW, q_tile, d, count, of_value[n]);
            }
        }
    }
    // <k, d>, over the threads of a key; all reach it.
    f32 along = 0.0f;
    for (u32 n = 0u; n < OWN_SIZES; n++) {
        u32 d = part + n * PER_QUERY;
        if (d < depth) along += k_tile[row * TILE_ROW + d] * scale * of_key[n];
    }
    along = shared_keys ? query_sum(along) : 0.0f;
    if (!there || slot < s.from || slot >= s.to) return;
    u64 to = (u64)item * length + key;
    for (u32 n = 0u; n < OWN_SIZES; n++) {
        u32 d = part + n * PER_QUERY;
        if (d < depth) {
            f32 v_key = scale * (of_key[n] - k_tile[row * TILE_ROW + d] * scale * along);
            dk[to * depth + d] = round > 0u || shared_keys ? dk[to * depth + d] + v_key : v_key;
        }
        if (d < value_depth) dv[to * value_depth + d] = round > 0u ? dv[to * value_depth + d] + of_value[n] : of_value[n];
    }
}
