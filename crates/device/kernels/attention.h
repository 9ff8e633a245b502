// Softmax attention in tiles of queries and keys: the matrix of strengths never exists as a whole (Milakov & Gimelshein, 2018,
// arXiv:1805.02867; Dao et al., 2022, arXiv:2205.14135). out = softmax(where(mask, scale q k^T, mask_value)) v, strengths dropped out
// where asked for.
//
// q, k, v and the cotangent have any strides, in elements: `at` holds those of batch, head and row of each, then those of the mask
// (nonzero = attend) by batch, head, query and key. Results are [batches, heads, queries or keys, size]. Sizes of keys and values are
// at most 128. A row of products is one chain of fused additions; tiles come in ascending order, the masked ones last and only where
// they count: where they are not all so far below a row's largest product that their strengths round to zero.
#pragma once
#include "math.h"
#include "random.h"

#define AT_Q 0u
#define AT_K 3u
#define AT_V 6u
#define AT_CT 9u
#define AT_MASK 12u
#define AT_STRIDES 16u

#define MOST_DEPTH 128u
// Queries of a block, threads of each, and keys of a tile; rows of tiles in shared memory are one longer, so that threads which
// read a column of them read from different banks.
#define QUERIES 16u
#define PER_QUERY 8u
#define KEYS 32u
#define TILE_ROW 129u
// Sizes of a row that a thread has.
#define OWN_SIZES 16u
// e to less than this is zero.
#define VANISHES -104.0f

// Where the matrix of an item starts.
FUNCTION u64 matrix_at(In<u32> at, u32 which, u32 item, u32 heads) {
    return (u64)(item / heads) * at[which] + (u64)(item % heads) * at[which + 1u];
}

// Copies rows first .. first + count of a matrix of `rows` rows and `size` columns into a tile; zeros for rows beyond.
FUNCTION void load_tile(In<f32> from, u64 start, u32 stride, u32 first, u32 count, u32 rows, u32 size, Shared<f32> tile, u32 self,
                        u32 threads) {
    for (u32 i = self; i < count * size; i += threads) {
        u32 row = i / size;
        u32 col = i % size;
        tile[row * TILE_ROW + col] = first + row < rows ? from[start + (u64)(first + row) * stride + col] : 0.0f;
    }
}

FUNCTION f32 tile_dot(Shared<f32> a, u32 row_a, Shared<f32> b, u32 row_b, u32 size) {
    f32 total = 0.0f;
    for (u32 d = 0u; d < size; d++) total = fused(a[row_a * TILE_ROW + d], b[row_b * TILE_ROW + d], total);
    return total;
}

// `sum`, and to it a column of the first `count` rows of a tile, weighed by what stands in `weights` from `from` on.
FUNCTION f32 weighed(Shared<f32> weights, u32 from, Shared<f32> tile, u32 column, u32 count, f32 sum) {
    for (u32 i = 0u; i < count; i++) sum = fused(weights[from + i], tile[i * TILE_ROW + column], sum);
    return sum;
}

// Sums and the largest over the threads of a query, in each of them.
FUNCTION f32 query_sum(f32 v) { return lanes_sum(v, PER_QUERY); }
FUNCTION f32 query_max(f32 v) { return lanes_max(v, PER_QUERY); }

// Whether query i may not attend to key j. `start` is where the item's mask starts.
FUNCTION bool is_hidden(u32 i, u32 j, u32 causal, u32 masked, In<u8> mask, u64 start, In<u32> at) {
    if (causal != 0u && j > i) return true;
    return masked != 0u && mask[start + (u64)i * at[AT_MASK + 2u] + (u64)j * at[AT_MASK + 3u]] == 0u;
}

// Whether masked keys count beside a row whose largest product is `top`. NaN counts.
FUNCTION bool masked_count(f32 top, f32 mask_value) { return !(mask_value - top < VANISHES); }

// What dropout leaves of a strength: 0 or `factor`; 1 without a draw.
FUNCTION f32 kept_of(u32 key0, u32 key1, u32 draw, u32 threshold, f32 factor, u32 place) {
    if (draw == 0u) return 1.0f;
    return word_of(key0, key1, draw, place) >> 9 < threshold ? factor : 0.0f;
}

// The result, and of each row the largest product and the sum of exp(product - largest). They are kept apart, and not as the logarithm
// of the sum, since that would be lost beside a mask value of -10^9. A block for each item and 16 queries, 8 threads for each.
KERNEL(attention, VALUE(u32, batches), VALUE(u32, heads), VALUE(u32, queries), VALUE(u32, keys), VALUE(u32, depth),
       VALUE(u32, value_depth), VALUE(f32, scale), VALUE(u32, causal), VALUE(u32, masked), VALUE(f32, mask_value), VALUE(u32, key0),
       VALUE(u32, key1), VALUE(u32, draw), VALUE(u32, threshold), VALUE(f32, factor), IN(u32, at), IN(f32, q), IN(f32, k), IN(f32, v),
       IN(u8, mask), OUT(f32, out), OUT(f32, tops), OUT(f32, totals)) {
    SHARED(f32, q_tile, QUERIES * TILE_ROW);
    SHARED(f32, kv_tile, KEYS * TILE_ROW);
    SHARED(f32, strengths, QUERIES * (KEYS + 1u));
    SHARED(u32, counts, QUERIES);
    u32 blocks = (queries + QUERIES - 1u) / QUERIES;
    u32 item = BLOCK / blocks;
    u32 first = BLOCK % blocks * QUERIES;
    u32 row = THREAD / PER_QUERY;
    u32 part = THREAD % PER_QUERY;
    u32 query = first + row;
    u64 k_start = matrix_at(at, AT_K, item, heads);
    u64 v_start = matrix_at(at, AT_V, item, heads);
    u64 mask_start = matrix_at(at, AT_MASK, item, heads);
    load_tile(q, matrix_at(at, AT_Q, item, heads), at[AT_Q + 2u], first, QUERIES, queries, depth, q_tile, THREAD, THREADS);
    f32 sums[OWN_SIZES];
    for (u32 n = 0u; n < OWN_SIZES; n++) sums[n] = 0.0f;
    f32 top = LOWEST;
    f32 total = 0.0f;
    // Keys from here on are later than all queries of the block.
    u32 seen = causal != 0u ? smaller(keys, (first + QUERIES + KEYS - 1u) / KEYS * KEYS) : keys;
    bool again = false;
    for (u32 pass = 0u; pass < 2u; pass++) {
        for (u32 col = pass == 0u ? 0u : seen; col < (pass == 0u ? seen : keys) && (pass == 0u || again); col += KEYS) {
            BARRIER();
            load_tile(k, k_start, at[AT_K + 2u], col, KEYS, keys, depth, kv_tile, THREAD, THREADS);
            BARRIER();
            f32 dots[KEYS / PER_QUERY];
            f32 here = LOWEST;
            for (u32 n = 0u; n < KEYS / PER_QUERY; n++) {
                u32 key = col + part + n * PER_QUERY;
                dots[n] = LOWEST;
                if (key >= keys || query >= queries) continue;
                dots[n] = is_hidden(query, key, causal, masked, mask, mask_start, at)
                              ? mask_value
                              : scale * tile_dot(q_tile, row, kv_tile, part + n * PER_QUERY, depth);
                here = dots[n] > here ? dots[n] : here;
            }
            here = query_max(here);
            f32 most = here > top ? here : top;
            // A row of -infinity so far: its sums are zero whatever they are measured from.
            f32 from = most == LOWEST ? 0.0f : most;
            f32 shrink = most > top ? exp_of(top - from) : 1.0f;
            top = most;
            f32 added = 0.0f;
            for (u32 n = 0u; n < KEYS / PER_QUERY; n++) {
                u32 key = col + part + n * PER_QUERY;
                f32 e = 0.0f;
                if (key < keys && query < queries) {
                    e = exp_of(dots[n] - from);
                    added += e;
                    e = e * kept_of(key0, key1, draw, threshold, factor, (item * queries + query) * keys + key);
                }
                strengths[row * (KEYS + 1u) + part + n * PER_QUERY] = e;
            }
            total = total * shrink + query_sum(added);
            BARRIER();
            load_tile(v, v_start, at[AT_V + 2u], col, KEYS, keys, value_depth, kv_tile, THREAD, THREADS);
            BARRIER();
            u32 count = smaller(KEYS, keys - col);
            for (u32 n = 0u; n < OWN_SIZES; n++) {
                u32 d = part + n * PER_QUERY;
                if (d >= value_depth) break;
                sums[n] = weighed(strengths, row * (KEYS + 1u), kv_tile, d, count, sums[n] * shrink);
            }
        }
        if (pass == 1u || seen == keys) break;
        if (part == 0u) counts[row] = query < queries && masked_count(top, mask_value) ? 1u : 0u;
        BARRIER();
        for (u32 i = 0u; i < QUERIES; i++) again = again || counts[i] != 0u;
    }
    if (query >= queries) return;
    u64 place = (u64)item * queries + query;
    f32 share = keys == 0u ? 1.0f : 1.0f / total;
    for (u32 n = 0u; n < OWN_SIZES; n++) {
        u32 d = part + n * PER_QUERY;
        if (d < value_depth) out[place * value_depth + d] = sums[n] * share;
    }
    if (part == 0u) {
        tops[place] = top;
        totals[place] = total;
    }
}
