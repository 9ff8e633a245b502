// Attention in which the queries of a chunk see the keys of that chunk and of its neighbours, around the ends: along the sequence, or along
// an order by hash buckets, for some rounds of hashing (Kitaev, Kaiser & Levskaya, 2020, arXiv:2001.04451). Products are those with
// k / root of depth; where keys are the queries, with q / root(mean of q^2 + 10^-6) / root of depth.
//
// `at` holds strides as in attention.h; the mask's are of batch, head, nothing and key. `order` [batches, heads, rounds, length] has the
// positions of each round as they stand in chunks: what `sort` gives for their buckets. Rounds are launched one after another: in one a
// position stands in one chunk only, so that blocks write different rows, and rounds are added up in their order.
#pragma once
#include "attention.h"

// Bits of `flags`: later keys, a position itself and masked keys lose 10^9, 10^5 and 10^9; keys are the queries; there is an order.
#define CAUSAL 1u
#define NOT_SELF 2u
#define MASKED 4u
#define SHARED_KEYS 8u
#define HASHED 16u

// Where the chunks of a launch are: chunks of `chunk` slots over all rounds, the last one shorter. A round may begin and end within one.
struct Slots {
    u32 length, all, chunk, chunks, from, to;
};
FUNCTION Slots slots_of(u32 length, u32 rounds, u32 round, u32 chunk) {
    Slots s;
    s.length = length;
    s.all = length * rounds;
    s.chunk = chunk;
    s.chunks = (s.all + chunk - 1u) / chunk;
    // Those of this round.
    s.from = round * length;
    s.to = s.from + length;
    return s;
}
// Chunks that a round may have a part in.
FUNCTION u32 chunks_of_round(u32 length, u32 chunk) { return length / chunk + (length % chunk > 0u ? 2u : 0u); }
FUNCTION u32 size_of_chunk(Slots s, u32 chunk) { return smaller(s.chunk, s.all - chunk * s.chunk); }
// The chunk `before` places before one, then `place` places on, around the ends.
FUNCTION u32 neighbour(Slots s, u32 chunk, u32 before, u32 place) {
    return (u32)(((u64)chunk + (u64)s.chunks - before % s.chunks + place) % s.chunks);
}

FUNCTION u32 position_of(In<u32> order, u32 flags, Slots s, u32 item, u32 slot) {
    return (flags & HASHED) != 0u ? order[(u64)item * s.all + slot] : slot % s.length;
}

// Copies the rows of some slots of a chunk into a tile, and their positions; zeros for slots beyond `end`.
FUNCTION void gather_tile(In<f32> from, u64 start, u32 stride, In<u32> order, u32 flags, Slots s, u32 item, u32 first, u32 count, u32 end,
                          u32 size, Shared<f32> tile, u32 self, u32 threads) {
    for (u32 i = self; i < count * size; i += threads) {
        u32 row = i / size;
        u32 col = i % size;
        f32 v = 0.0f;
        if (first + row < end) v = from[start + (u64)position_of(order, flags, s, item, first + row) * stride + col];
        tile[row * TILE_ROW + col] = v;
    }
}

// What a query is multiplied by to become a key, or a key to be divided by the root of its size: row `row` of a tile.
FUNCTION f32 key_factor(Shared<f32> tile, u32 row, u32 depth, u32 flags) {
    f32 over_root = 1.0f / root((f32)depth);
    if ((flags & SHARED_KEYS) == 0u) return over_root;
    return over_root / root(tile_dot(tile, row, tile, row, depth) / (f32)depth + 1e-6f);
}

// The rows of a block: of which item and chunk, from which one of the chunk on, before which slot the chunk ends; and whether the round has
// a part in them.
struct OwnRows {
    u32 item, chunk, first, end;
    bool any;
};
FUNCTION OwnRows own_rows(Slots s, u32 length, u32 chunk, u32 rows, u32 block) {
    u32 of_chunk = (chunk + rows - 1u) / rows;
    u32 of_round = chunks_of_round(length, chunk);
    OwnRows own;
    own.first = block % of_chunk * rows;
    own.chunk = s.from / chunk + block / of_chunk % of_round;
    own.item = block / of_chunk / of_round;
    own.any = own.chunk < s.chunks && own.chunk * chunk < s.to && own.first < size_of_chunk(s, own.chunk);
    own.end = own.any ? own.chunk * chunk + size_of_chunk(s, own.chunk) : 0u;
    return own;
}

// A product less what is taken from it.
FUNCTION f32 penalised(f32 dot, u32 query, u32 key, u32 flags, bool hidden) {
    if (hidden) return dot - 1e9f;
    if ((flags & CAUSAL) != 0u && query < key) dot = dot - 1e9f;
    if ((flags & NOT_SELF) != 0u && query == key) dot = dot - 1e5f;
    return dot;
}
FUNCTION bool is_masked(In<u8> mask, u64 start, In<u32> at, u32 flags, u32 key) {
    return (flags & MASKED) != 0u && mask[start + (u64)key * at[AT_MASK + 3u]] == 0u;
}

// One round. `out`, `tops` and `totals` hold the sums of values, the largest product and the sum of exponentials of the rounds before; the
// last round divides. A block for each item, chunk of the round and 16 queries, 8 threads for each.
KERNEL(lsh_attention, VALUE(u32, batches), VALUE(u32, heads), VALUE(u32, length), VALUE(u32, rounds), VALUE(u32, round),
       VALUE(u32, chunk), VALUE(u32, before), VALUE(u32, after), VALUE(u32, depth), VALUE(u32, value_depth), VALUE(u32, flags),
       VALUE(u32, key0), VALUE(u32, key1), VALUE(u32, draw), VALUE(u32, threshold), VALUE(f32, factor), IN(u32, at), IN(f32, q),
       IN(f32, k), IN(f32, v), IN(u8, mask), IN(u32, order), OUT(f32, out), OUT(f32, tops), OUT(f32, totals)) {
    SHARED(f32, q_tile, QUERIES * TILE_ROW);
    SHARED(f32, kv_tile, KEYS * TILE_ROW);
    SHARED(f32, strengths, QUERIES * (KEYS + 1u));
    SHARED(f32, factors, KEYS);
    Slots s = slots_of(length, rounds, round, chunk);
    OwnRows rows = own_rows(s, length, chunk, QUERIES, BLOCK);
    if (!rows.any) return;
    u32 item = rows.item;
    u32 own = rows.chunk;
    u32 first = rows.first;
    u32 end = rows.end;
    u32 row = THREAD / PER_QUERY;
    u32 part = THREAD % PER_QUERY;
    u32 slot = own * chunk + first + row;
    // Rows of other rounds are computed, too, and not written.
    bool ours = slot < end && slot >= s.from && slot < s.to;
    u32 query = slot < end ? position_of(order, flags, s, item, slot) : 0u;
    u64 q_start = matrix_at(at, AT_Q, item, heads);
    u64 mask_start = matrix_at(at, AT_MASK, item, heads);
    bool shared_keys = (flags & SHARED_KEYS) != 0u;
    gather_tile(q, q_start, at[AT_Q + 2u], order, flags, s, item, own * chunk + first, QUERIES, end, depth, q_tile, THREAD, THREADS);
    u64 to = (u64)item * length + query;
    // Read before the barriers, after which one thread of each query writes them.
    f32 earlier = ours && round > 0u ? tops[to] : LOWEST;
    f32 earlier_sum = ours && round > 0u ? totals[to] : 0.0f;
    f32 sums[OWN_SIZES];
    for (u32 n = 0u; n < OWN_SIZES; n++) sums[n] = 0.0f;
    f32 top = LOWEST;
    f32 total = 0.0f;
    u32 window = before + 1u + after;
    for (u32 place = 0u; place < window; place++) {
        u32 other = neighbour(s, own, before, place);
        u32 last = other * chunk + size_of_chunk(s, other);
        for (u32 col = 0u; col < size_of_chunk(s, other); col += KEYS) {
            u32 start = other * chunk + col;
            BARRIER();
            if (shared_keys)
                gather_tile(q, q_start, at[AT_Q + 2u], order, flags, s, item, start, KEYS, last, depth, kv_tile, THREAD, THREADS);
            else
                gather_tile(k, matrix_at(at, AT_K, item, heads), at[AT_K + 2u], order, flags, s, item, start, KEYS, last, depth,
                            kv_tile, THREAD, THREADS);
            BARRIER();
            if (THREAD < KEYS) factors[THREAD] = key_factor(kv_tile, THREAD, depth, flags);
            BARRIER();
            f32 dots[KEYS / PER_QUERY];
            f32 here = LOWEST;
            for (u32 n = 0u; n < KEYS / PER_QUERY; n++) {
                u32 j = part + n * PER_QUERY;
                dots[n] = LOWEST;
                if (start + j >= last) continue;
                u32 key = position_of(order, flags, s, item, start + j);
                f32 dot = tile_dot(q_tile, row, kv_tile, j, depth) * factors[j];
                dots[n] = penalised(dot, query, key, flags, is_masked(mask, mask_start, at, flags, key));
                here = dots[n] > here ? dots[n] : here;
            }
            here = query_max(here);
            f32 most = here > top ? here : top;
            f32 from = most == LOWEST ? 0.0f : most;
            f32 shrink = most > top ? exp_of(top - from) : 1.0f;
            top = most;
            f32 added = 0.0f;
            for (u32 n = 0u; n < KEYS / PER_QUERY; n++) {
                u32 j = part + n * PER_QUERY;
                f32 e = 0.0f;
                if (start + j < last) {
                    e = exp_of(dots[n] - from);
                    added += e;
                    e = e * kept_of(key0, key1, draw, threshold, factor, ((first + row) * window + place) * chunk + col + j);
                }
                strengths[row * (KEYS + 1u) + j] = e;
            }
            total = total * shrink + query_sum(added);
            BARRIER();
            gather_tile(v, matrix_at(at, AT_V, item, heads), at[AT_V + 2u], order, flags, s, item, start, KEYS, last, value_depth,
                        kv_tile, THREAD, THREADS);
            BARRIER();
            u32 count = smaller(KEYS, last - start);
            for (u32 n = 0u; n < OWN_SIZES; n++) {
                u32 d = part + n * PER_QUERY;
                if (d >= value_depth) break;
                sums[n] = weighed(strengths, row * (KEYS + 1u), kv_tile, d, count, sums[n] * shrink);
            }
        }
    }
    if (!ours) return;
    f32 most = top;
    f32 sum = total;
    f32 old = 0.0f;
    f32 fresh = 1.0f;
    if (round > 0u) {
        most = top > earlier ? top : earlier;
        old = exp_of(earlier - most);
        fresh = exp_of(top - most);
        sum = earlier_sum * old + total * fresh;
    }
    f32 share = round + 1u == rounds ? 1.0f / sum : 1.0f;
    for (u32 n = 0u; n < OWN_SIZES; n++) {
        u32 d = part + n * PER_QUERY;
        if (d >= value_depth) break;
        f32 found = sums[n] * (fresh * share);
        out[to * value_depth + d] = round > 0u ? out[to * value_depth + d] * (old * share) + found : found;
    }
    if (part == 0u) {
        tops[to] = most;
        totals[to] = sum;
    }
}
