// The gradients of attention.h: tiles are made again from the largest product and the sum of each row. Queries' and keys' gradients have a
// kernel each, so that nothing is added up by two blocks.
#pragma once
#include "attention.h"

// Keys and queries of a tile here: more tiles must fit.
#define SIDE 16u
#define SIDE_ROW 17u

// inner[row] = the sum of out * ct over a row: the sum of strengths times their cotangents. A warp for each row.
KERNEL(attention_inner, VALUE(u32, batches), VALUE(u32, heads), VALUE(u32, queries), VALUE(u32, value_depth), IN(u32, at),
       IN(f32, out), IN(f32, ct), OUT(f32, inner)) {
    u64 row = (u64)BLOCK * (THREADS / WARP) + THREAD / WARP;
    if (row >= (u64)batches * heads * queries) return;
    u64 from = matrix_at(at, AT_CT, (u32)(row / queries), heads) + row % queries * at[AT_CT + 2u];
    f32 total = 0.0f;
    for (u32 i = LANE; i < value_depth; i += WARP) total += out[row * value_depth + i] * ct[from + i];
    total = warp_sum(total);
    if (LANE == 0u) inner[row] = total;
}

// Whether a tile of keys that are all later than the queries counts for one of these.
FUNCTION bool later_keys_count(In<f32> tops, u64 item_row, u32 first, u32 queries, f32 mask_value) {
    for (u32 i = first; i < smaller(first + SIDE, queries); i++)
        if (masked_count(tops[item_row + i], mask_value)) return true;
    return false;
}

// dq of 16 queries: over all keys, scale * (strength (dropped ct v - inner)) k; nothing where the product was masked. A block for each item
// and 16 queries, 8 threads for each.
KERNEL(attention_dq, VALUE(u32, batches), VALUE(u32, heads), VALUE(u32, queries), VALUE(u32, keys), VALUE(u32, depth),
       VALUE(u32, value_depth), VALUE(f32, scale), VALUE(u32, causal), VALUE(u32, masked), VALUE(f32, mask_value), VALUE(u32, key0),
       VALUE(u32, key1), VALUE(u32, draw), VALUE(u32, threshold), VALUE(f32, factor), IN(u32, at), IN(f32, q), IN(f32, k), IN(f32, v),
       IN(u8, mask), IN(f32, tops), IN(f32, totals), IN(f32, inner), IN(f32, ct), OUT(f32, dq)) {
    SHARED(f32, q_tile, SIDE * TILE_ROW);
    SHARED(f32, ct_tile, SIDE * TILE_ROW);
    SHARED(f32, kv_tile, SIDE * TILE_ROW);
    SHARED(f32, pulls, SIDE * SIDE_ROW);
    u32 blocks = (queries + SIDE - 1u) / SIDE;
    u32 item = BLOCK / blocks;
    u32 first = BLOCK % blocks * SIDE;
    u32 row = THREAD / PER_QUERY;
    u32 part = THREAD % PER_QUERY;
    u32 query = first + row;
    u64 place = (u64)item * queries + query;
    u64 mask_start = matrix_at(at, AT_MASK, item, heads);
    load_tile(q, matrix_at(at, AT_Q, item, heads), at[AT_Q + 2u], first, SIDE, queries, depth, q_tile, THREAD, THREADS);
    load_tile(ct, matrix_at(at, AT_CT, item, heads), at[AT_CT + 2u], first, SIDE, queries, value_depth, ct_tile, THREAD, THREADS);
    f32 top = query < queries ? tops[place] : 0.0f;
    f32 share = query < queries ? 1.0f / totals[place] : 0.0f;
    f32 along = query < queries ? inner[place] : 0.0f;
    f32 sums[OWN_SIZES];
    for (u32 n = 0u; n < OWN_SIZES; n++) sums[n] = 0.0f;
    for (u32 col = 0u; col < keys; col += SIDE) {
        // Keys that are all masked have no part in dq, whether they count or not.
        if (causal != 0u && col > first + SIDE - 1u) break;
        BARRIER();
        load_tile(k, matrix_at(at, AT_K, item, heads), at[AT_K + 2u], col, SIDE, keys, depth, kv_tile, THREAD, THREADS);
        BARRIER();
        f32 weights[SIDE / PER_QUERY];
        for (u32 n = 0u; n < SIDE / PER_QUERY; n++) {
            u32 key = col + part + n * PER_QUERY;
            weights[n] = 0.0f;
            if (key >= keys || query >= queries || is_hidden(query, key, causal, masked, mask, mask_start, at)) continue;
            weights[n] = exp_of(scale * tile_dot(q_tile, row, kv_tile, part + n * PER_QUERY, depth) - top) * share;
        }
        BARRIER();
        load_tile(v, matrix_at(at, AT_V, item, heads), at[AT_V + 2u], col, SIDE, keys, value_depth, kv_tile, THREAD, THREADS);
        BARRIER();
        for (u32 n = 0u; n < SIDE / PER_QUERY; n++) {
            u32 key = col + part + n * PER_QUERY;
            f32 pull = 0.0f;
            if (key < keys && query < queries && !is_hidden(query, key, causal, masked, mask, mask_start, at)) {
                f32 kept = kept_of(key0, key1, draw, threshold, factor, (item * queries + query) * keys + key);
                pull = weights[n] * (kept * tile_dot(ct_tile, row, kv_tile, part + n * PER_QUERY, value_depth) - along);
            }
            pulls[row * SIDE_ROW + part + n * PER_QUERY] = pull;
        }
        BARRIER();
        load_tile(k, matrix_at(at, AT_K, item, heads), at[AT_K + 2u], col, SIDE, keys, depth, kv_tile, THREAD, THREADS);
        BARRIER();
        for (u32 n = 0u; n < OWN_SIZES; n++) {
            u32 d = part + n * PER_QUERY;
            if (d >= depth) break;
            sums[n] = weighed(pulls, row * SIDE_ROW, kv_tile, d, smaller(SIDE, keys - col), sums[n]);
        }
    }
    if (query >= queries) return;
    for (u32 n = 0u; n < OWN_SIZES; n++) {
        u32 d = part + n * PER_QUERY;
        if (d < depth) dq[place * depth + d] = scale * sums[n];
    }
}

// dk and dv of 16 keys: over all queries, scale * (strength (dropped ct v - inner)) q, and dropped strength times ct. A block for each item
// and 16 keys, 8 threads for each.
KERNEL(attention_dkv, VALUE(u32, batches), VALUE(u32, heads), VALUE(u32, queries), VALUE(u32, keys), VALUE(u32, depth),
       VALUE(u32, value_depth), VALUE(f32, scale), VALUE(u32, causal), VALUE(u32, masked), VALUE(f32, mask_value), VALUE(u32, key0),
       VALUE(u32, key1), VALUE(u32, draw), VALUE(u32, threshold), VALUE(f32, factor), IN(u32, at), IN(f32, q), IN(f32, k), IN(f32, v),
       IN(u8, mask), IN(f32, tops), IN(f32, totals), IN(f32, inner), IN(f32, ct), OUT(f32, dk), OUT(f32, dv)) {
    SHARED(f32, k_tile, SIDE * TILE_ROW);
    SHARED(f32, v_tile, SIDE * TILE_ROW);
    SHARED(f32, q_tile, SIDE * TILE_ROW);
    SHARED(f32, pulls, SIDE * SIDE_ROW);
    SHARED(f32, strengths, SIDE * SIDE_ROW);
    u32 blocks = (keys + SIDE - 1u) / SIDE;
    u32 item = BLOCK / blocks;
    u32 first = BLOCK % blocks * SIDE;
    u32 row = THREAD / PER_QUERY;
    u32 part = THREAD % PER_QUERY;
    u32 key = first + row;
    u64 mask_start = matrix_at(at, AT_MASK, item, heads);
    load_tile(k, matrix_at(at, AT_K, item, heads), at[AT_K + 2u], first, SIDE, keys, depth, k_tile, THREAD, THREADS);
    load_tile(v, matrix_at(at, AT_V, item, heads), at[AT_V + 2u], first, SIDE, keys, value_depth, v_tile, THREAD, THREADS);
    f32 of_key[OWN_SIZES];
    f32 of_value[OWN_SIZES];
    for (u32 n = 0u; n < OWN_SIZES; n++) {
        of_key[n] = 0.0f;
        of_value[n] = 0.0f;
    }
    for (u32 start = 0u; start < queries; start += SIDE) {
        u32 count = smaller(SIDE, queries - start);
        bool later = causal != 0u && first > start + count - 1u;
        if (later && !later_keys_count(tops, (u64)item * queries, start, queries, mask_value)) continue;
        BARRIER();
        load_tile(ct, matrix_at(at, AT_CT, item, heads), at[AT_CT + 2u], start, SIDE, queries, value_depth, q_tile, THREAD, THREADS);
        BARRIER();
        f32 cotangents[SIDE / PER_QUERY];
        for (u32 n = 0u; n < SIDE / PER_QUERY; n++)
            cotangents[n] = tile_dot(q_tile, part + n * PER_QUERY, v_tile, row, value_depth);
        BARRIER();
        load_tile(q, matrix_at(at, AT_Q, item, heads), at[AT_Q + 2u], start, SIDE, queries, depth, q_tile, THREAD, THREADS);
        BARRIER();
        for (u32 n = 0u; n < SIDE / PER_QUERY; n++) {
            u32 i = part + n * PER_QUERY;
            u32 query = start + i;
            f32 pull = 0.0f;
            f32 strength = 0.0f;
            if (key < keys && query < queries) {
                u64 place = (u64)item * queries + query;
                bool hidden = is_hidden(query, key, causal, masked, mask, mask_start, at);
                f32 dot = hidden ? mask_value : scale * tile_dot(q_tile, i, k_tile, row, depth);
                f32 weight = exp_of(dot - tops[place]) * (1.0f / totals[place]);
                f32 kept = kept_of(key0, key1, draw, threshold, factor, (item * queries + query) * keys + key);
                strength = weight * kept;
                if (!hidden) pull = weight * (kept * cotangents[n] - inner[place]);
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
        load_tile(ct, matrix_at(at, AT_CT, item, heads), at[AT_CT + 2u], start, SIDE, queries, value_depth, q_tile, THREAD, THREADS);
        BARRIER();
        for (u32 n = 0u; n < OWN_SIZES; n++) {
            u32 d = part + n * PER_QUERY;
            if (d >= value_depth) break;
            of_value[n] = weighed(strengths, row * SIDE_ROW, q_tile, d, count, of_value[n]);
        }
    }
    if (key >= keys) return;
    u64 place = (u64)item * keys + key;
    for (u32 n = 0u; n < OWN_SIZES; n++) {
        u32 d = part + n * PER_QUERY;
        if (d < depth) dk[place * depth + d] = scale * of_key[n];
        if (d < value_depth) dv[place * value_depth + d] = of_value[n];
    }
}
