//! All kernels.
use crate::kernel::{kernels, Kernel, ANY};

kernels! {
    /// Random words and dropout.
    pub RANDOM:
    random_bits "random.h"
        (value key0: U32, value key1: U32, value n: U32)
        [Out words: U32 * n]
        over threads n.div_ceil(2), of 256;
    dropout "random.h"
        (value key0: U32, value key1: U32, value n: U32, value threshold: U32, value factor: F32)
        [In x: F32 * n, Out y: F32 * n]
        over threads n.div_ceil(2), of 256;
}

kernels! {
    /// Reductions in a fixed order.
    pub REDUCE:
    sum_rows "reduce.h"
        (value outer: U32, value size: U32, step piece: U32)
        [In x: F32 * outer * size, Out out: F32 * outer * size.div_ceil(piece)]
        over warps outer * size.div_ceil(piece), of 256;
    sum_columns "reduce.h"
        (value outer: U32, value size: U32, value inner: U32, step tall: U32)
        [In x: F32 * outer * size * inner, Out out: F32 * outer * size.div_ceil(tall) * inner]
        over threads outer * size.div_ceil(tall) * inner, of 256;
    max_rows "reduce.h"
        (value rows: U32, step cols: U32)
        [In x: F32 * rows * cols, Out largest: F32 * rows, Out index: I32 * rows]
        over warps rows, of 256;
}

kernels! {
    /// Normalisation, softmax and losses of rows.
    pub ROWS:
    layer_norm "layer_norm.h"
        (value rows: U32, value cols: U32, value epsilon: F32, value center: U32, value scaled: U32, value shifted: U32)
        [In x: F32 * rows * cols, In scale: F32 * if scaled > 0 { cols } else { 0 }, In bias: F32 * if shifted > 0 { cols } else { 0 },
         Out y: F32 * rows * cols, Out mean: F32 * rows, Out rstd: F32 * rows]
        over warps rows, of 256;
    layer_norm_backward "layer_norm.h"
        (value rows: U32, value cols: U32, value center: U32, value scaled: U32)
        [In x: F32 * rows * cols, In scale: F32 * if scaled > 0 { cols } else { 0 }, In mean: F32 * rows, In rstd: F32 * rows,
         In g: F32 * rows * cols, Out dx: F32 * rows * cols]
        over warps rows, of 256;
    layer_norm_parameters "layer_norm.h"
        (value rows: U32, value cols: U32, step step: U32)
        [In x: F32 * rows * cols, In mean: F32 * rows, In rstd: F32 * rows, In g: F32 * rows * cols,
         Out dscale: F32 * rows.div_ceil(step) * cols, Out dbias: F32 * rows.div_ceil(step) * cols]
        over threads rows.div_ceil(step) * cols, of 256;
    softmax "softmax.h"
        (value rows: U32, value cols: U32, value logarithm: U32)
        [In x: F32 * rows * cols, Out y: F32 * rows * cols]
        over warps rows, of 256;
    softmax_backward "softmax.h"
        (value rows: U32, value cols: U32, value logarithm: U32)
        [In y: F32 * rows * cols, In g: F32 * rows * cols, Out dx: F32 * rows * cols]
        over warps rows, of 256;
    cross_entropy "cross_entropy.h"
        (value rows: U32, value cols: U32, value hot: F32, value even: F32)
        [In x: F32 * rows * cols, In targets: I32 * rows, Out loss: F32 * rows, Out tops: F32 * rows, Out log_sums: F32 * rows]
        over warps rows, of 256;
    cross_entropy_backward "cross_entropy.h"
        (value rows: U32, value cols: U32, value hot: F32, value whole: F32, value bare: F32, value share: F32)
        [In x: F32 * rows * cols, In targets: I32 * rows, In tops: F32 * rows, In log_sums: F32 * rows, In g: F32 * rows,
         Out dx: F32 * rows * cols]
        over warps rows, of 256;
}

kernels! {
    /// Bias and activation.
    pub ACTIVATION:
    bias_activation "activation.h"
        (value rows: U32, value cols: U32, value kind: U32, value biased: U32)
        [In x: F32 * rows * cols, In bias: F32 * if biased > 0 { cols } else { 0 }, Out y: F32 * rows * cols]
        over threads rows * cols, of 256;
    activation_backward "activation.h"
        (value rows: U32, value cols: U32, value kind: U32, value biased: U32)
        [In kept: F32 * rows * cols, In bias: F32 * if biased > 0 { cols } else { 0 }, In g: F32 * rows * cols, Out dx: F32 * rows * cols]
        over threads rows * cols, of 256;
}

/// Keys that a block of a sort has.
const SORT_TILE: u128 = 1024;
/// Values of a digit.
const DIGITS: u128 = 16;

kernels! {
    /// Stable sorting, and tables by id.
    pub SORT:
    sort_count "sort.h"
        (value rows: U32, value n: U32, value shift: U32)
        [In keys: U32 * rows * n, Out counts: U32 * rows * DIGITS * n.div_ceil(SORT_TILE)]
        over blocks rows * n.div_ceil(SORT_TILE), of 256 sharing 16 * 256 * 4;
    sort_offsets "sort.h"
        (value rows: U32, value n: U32)
        [In counts: U32 * rows * n, Out offsets: U32 * rows * n]
        over blocks rows, of 256 sharing 8 * 4;
    sort_move "sort.h"
        (value rows: U32, value n: U32, value shift: U32, value first: U32)
        [In keys: U32 * rows * n, In values: U32 * if first > 0 { 0 } else { rows * n },
         In offsets: U32 * rows * DIGITS * n.div_ceil(SORT_TILE), Out moved: U32 * rows * n, Out with: U32 * rows * n]
        over blocks rows * n.div_ceil(SORT_TILE), of 256 sharing 16 * 256 * 4;
    embedding "embedding.h"
        (value n: U32, value rows: U32, value cols: U32)
        [In table: F32 * rows * cols, In ids: I32 * n, Out out: F32 * n * cols]
        over threads n * cols, of 256;
    embedding_backward "embedding.h"
        (value n: U32, value rows: U32, value cols: U32)
        [In sorted: U32 * n, In places: U32 * n, In g: F32 * n * cols, Out dtable: F32 * rows * cols]
        over warps rows, of 256;
}

/// Numbers of a tensor in a step of an optimizer.
const STEP_NUMBERS: u128 = 8;

/// Numbers of strides of attention.
const STRIDES: u128 = 16;

kernels! {
    /// Attention in tiles.
    pub ATTENTION:
    attention "attention.h"
        (value batches: U32, value heads: U32, value queries: U32, value keys: U32, {128} depth: U32, {128} value_depth: U32, value scale: F32,
         value causal: U32, value masked: U32, value mask_value: F32, value key0: U32, value key1: U32, value draw: U32,
         value threshold: U32, value factor: F32)
        [In at: U32 * STRIDES, In q: F32 * ANY, In k: F32 * ANY, In v: F32 * ANY, In mask: U8 * ANY,
         Out out: F32 * batches * heads * queries * value_depth, Out tops: F32 * batches * heads * queries,
         Out totals: F32 * batches * heads * queries]
        over blocks batches * heads * queries.div_ceil(16), of 128 sharing (16 * 129 + 32 * 129 + 16 * 33 + 16) * 4;
    attention_inner "attention_backward.h"
        (value batches: U32, value heads: U32, value queries: U32, {128} value_depth: U32)
        [In at: U32 * STRIDES, In out: F32 * batches * heads * queries * value_depth, In ct: F32 * ANY,
         Out inner: F32 * batches * heads * queries]
        over warps batches * heads * queries, of 128;
    attention_dq "attention_backward.h"
        (value batches: U32, value heads: U32, value queries: U32, value keys: U32, {128} depth: U32, {128} value_depth: U32, value scale: F32,
         value causal: U32, value masked: U32, value mask_value: F32, value key0: U32, value key1: U32, value draw: U32,
         value threshold: U32, value factor: F32)
        [In at: U32 * STRIDES, In q: F32 * ANY, In k: F32 * ANY, In v: F32 * ANY, In mask: U8 * ANY,
         In tops: F32 * batches * heads * queries, In totals: F32 * batches * heads * queries,
         In inner: F32 * batches * heads * queries, In ct: F32 * ANY, Out dq: F32 * batches * heads * queries * depth]
        over blocks batches * heads * queries.div_ceil(16), of 128 sharing (3 * 16 * 129 + 16 * 17) * 4;
    attention_dkv "attention_backward.h"
        (value batches: U32, value heads: U32, value queries: U32, value keys: U32, {128} depth: U32, {128} value_depth: U32, value scale: F32,
         value causal: U32, value masked: U32, value mask_value: F32, value key0: U32, value key1: U32, value draw: U32,
         value threshold: U32, value factor: F32)
        [In at: U32 * STRIDES, In q: F32 * ANY, In k: F32 * ANY, In v: F32 * ANY, In mask: U8 * ANY,
         In tops: F32 * batches * heads * queries, In totals: F32 * batches * heads * queries,
         In inner: F32 * batches * heads * queries, In ct: F32 * ANY, Out dk: F32 * batches * heads * keys * depth,
         Out dv: F32 * batches * heads * keys * value_depth]
        over blocks batches * heads * keys.div_ceil(16), of 128 sharing (3 * 16 * 129 + 2 * 16 * 17) * 4;
}

/// The flag that says that there is an order.
const HASHED: u128 = 16;

/// Blocks of a round of attention in chunks: 16 rows each, of each chunk that the round may have a part in. More than any launch may have
/// where slots are not told apart by 32 bits.
const fn chunk_blocks(length: u128, rounds: u128, chunk: u128) -> u128 {
    if length * rounds > u32::MAX as u128 {
        return u64::MAX as u128;
    }
    let chunks = length / chunk + if length.is_multiple_of(chunk) { 0 } else { 2 };
    chunks * chunk.div_ceil(16)
}

kernels! {
    /// Attention within chunks.
    pub LSH_ATTENTION:
    lsh_attention "lsh_attention.h"
        (value batches: U32, value heads: U32, value length: U32, value rounds: U32, value round: U32, step chunk: U32, value before: U32,
         value after: U32, {128} depth: U32, {128} value_depth: U32, value flags: U32, value key0: U32, value key1: U32, value draw: U32,
         value threshold: U32, value factor: F32)
        [In at: U32 * STRIDES, In q: F32 * ANY, In k: F32 * ANY, In v: F32 * ANY, In mask: U8 * ANY,
         In order: U32 * if flags & HASHED > 0 { batches * heads * rounds * length } else { 0 },
         Out out: F32 * batches * heads * length * value_depth, Out tops: F32 * batches * heads * length,
         Out totals: F32 * batches * heads * length]
        over blocks batches * heads * chunk_blocks(length, rounds, chunk), of 128 sharing (16 * 129 + 32 * 129 + 16 * 33 + 32) * 4;
    lsh_attention_dq "lsh_attention_backward.h"
        (value batches: U32, value heads: U32, value length: U32, value rounds: U32, value round: U32, step chunk: U32, value before: U32,
         value after: U32, {128} depth: U32, {128} value_depth: U32, value flags: U32, value key0: U32, value key1: U32, value draw: U32,
         value threshold: U32, value factor: F32)
        [In at: U32 * STRIDES, In q: F32 * ANY, In k: F32 * ANY, In v: F32 * ANY, In mask: U8 * ANY,
         In order: U32 * if flags & HASHED > 0 { batches * heads * rounds * length } else { 0 },
         In tops: F32 * batches * heads * length, In totals: F32 * batches * heads * length, In inner: F32 * batches * heads * length,
         In ct: F32 * ANY, Out dq: F32 * batches * heads * length * depth]
        over blocks batches * heads * chunk_blocks(length, rounds, chunk), of 128 sharing (3 * 16 * 129 + 16 * 17 + 16) * 4;
    lsh_attention_dkv "lsh_attention_backward.h"
        (value batches: U32, value heads: U32, value length: U32, value rounds: U32, value round: U32, step chunk: U32, value before: U32,
         value after: U32, {128} depth: U32, {128} value_depth: U32, value flags: U32, value key0: U32, value key1: U32, value draw: U32,
         value threshold: U32, value factor: F32)
        [In at: U32 * STRIDES, In q: F32 * ANY, In k: F32 * ANY, In v: F32 * ANY, In mask: U8 * ANY,
         In order: U32 * if flags & HASHED > 0 { batches * heads * rounds * length } else { 0 },
         In tops: F32 * batches * heads * length, In totals: F32 * batches * heads * length, In inner: F32 * batches * heads * length,
         In ct: F32 * ANY, Out dk: F32 * batches * heads * length * depth,
         Out dv: F32 * batches * heads * length * value_depth]
        over blocks batches * heads * chunk_blocks(length, rounds, chunk), of 128 sharing (3 * 16 * 129 + 2 * 16 * 17) * 4;
}

kernels! {
    /// Steps of optimizers.
    pub OPTIMIZERS:
    sgd "optimizer.h"
        (value chunks: U32, value count: U32, value n: U32)
        [In tensors: U32 * chunks, In starts: U32 * chunks, In sizes: U32 * chunks, In numbers: F32 * count * STEP_NUMBERS,
         In g: F32 * n, Out p: F32 * n]
        over blocks chunks, of 256;
    momentum "optimizer.h"
        (value chunks: U32, value count: U32, value n: U32)
        [In tensors: U32 * chunks, In starts: U32 * chunks, In sizes: U32 * chunks, In numbers: F32 * count * STEP_NUMBERS,
         In g: F32 * n, Out p: F32 * n, Out m: F32 * n]
        over blocks chunks, of 256;
    adam "optimizer.h"
        (value chunks: U32, value count: U32, value n: U32)
        [In tensors: U32 * chunks, In starts: U32 * chunks, In sizes: U32 * chunks, In numbers: F32 * count * STEP_NUMBERS,
         In g: F32 * n, Out p: F32 * n, Out m: F32 * n, Out v: F32 * n]
        over blocks chunks, of 256;
}

kernels! {
    /// Recurrences.
    pub RECURRENT:
    linear_recurrence "linear_recurrence.h"
        (value batch: U32, value steps: U32, value units: U32)
        [In x: F32 * batch * steps * units, In f: F32 * batch * steps * units, In state: F32 * batch * units,
         Out cells: F32 * batch * steps * units]
        over threads batch * units, of 64;
    linear_recurrence_backward "linear_recurrence.h"
        (value batch: U32, value steps: U32, value units: U32)
        [In f: F32 * batch * steps * units, In state: F32 * batch * units, In cells: F32 * batch * steps * units,
         In dy: F32 * batch * steps * units, In dlast: F32 * batch * units,
         Out dx: F32 * batch * steps * units, Out df: F32 * batch * steps * units, Out dstate: F32 * batch * units]
        over threads batch * units, of 64;
    sru "linear_recurrence.h"
        (value batch: U32, value steps: U32, value units: U32)
        [In gates: F32 * batch * steps * 3 * units, In x: F32 * batch * steps * units, In state: F32 * batch * units,
         Out hidden: F32 * batch * steps * units, Out cells: F32 * batch * steps * units]
        over threads batch * units, of 64;
    sru_backward "linear_recurrence.h"
        (value batch: U32, value steps: U32, value units: U32)
        [In gates: F32 * batch * steps * 3 * units, In x: F32 * batch * steps * units, In state: F32 * batch * units,
         In cells: F32 * batch * steps * units, In dy: F32 * batch * steps * units, In dlast: F32 * batch * units,
         Out dgates: F32 * batch * steps * 3 * units, Out dx: F32 * batch * steps * units, Out dstate: F32 * batch * units]
        over threads batch * units, of 64;
}

kernels! {
    /// Scans of units whose state goes through a product.
    pub SCANS:
    lstm "recurrent.h"
        (value batch: U32, value steps: U32, {1024} units: U32)
        [In projected: F32 * steps * batch * 4 * units, In recurrent: F32 * units * 4 * units, In state: F32 * batch * 2 * units,
         Out gates: F32 * steps * batch * 4 * units, Out cells: F32 * (steps + 1) * batch * units,
         Out hidden: F32 * (steps + 1) * batch * units]
        over blocks batch, of 256 sharing 2 * 1024 * 4;
    lstm_backward "recurrent.h"
        (value batch: U32, value steps: U32, {1024} units: U32)
        [In gates: F32 * steps * batch * 4 * units, In cells: F32 * (steps + 1) * batch * units, In turned: F32 * 4 * units * units,
         In dy: F32 * steps * batch * units, In dlast: F32 * batch * 2 * units, Out dgates: F32 * steps * batch * 4 * units,
         Out dstate: F32 * batch * 2 * units]
        over blocks batch, of 256 sharing 4 * 1024 * 4;
    gru "recurrent.h"
        (value batch: U32, value steps: U32, {1024} units: U32)
        [In projected_gates: F32 * steps * batch * 2 * units, In projected_candidates: F32 * steps * batch * units,
         In to_gates: F32 * units * 2 * units, In to_candidate: F32 * units * units, In state: F32 * batch * units,
         Out gates: F32 * steps * batch * 2 * units, Out candidates: F32 * steps * batch * units,
         Out hidden: F32 * (steps + 1) * batch * units]
        over blocks batch, of 256 sharing 2 * 1024 * 4;
    gru_backward "recurrent.h"
        (value batch: U32, value steps: U32, {1024} units: U32)
        [In gates: F32 * steps * batch * 2 * units, In candidates: F32 * steps * batch * units,
         In hidden: F32 * (steps + 1) * batch * units, In gates_turned: F32 * 2 * units * units,
         In candidate_turned: F32 * units * units, In dy: F32 * steps * batch * units, In dlast: F32 * batch * units,
         Out dgates: F32 * steps * batch * 2 * units, Out dcandidates: F32 * steps * batch * units,
         Out resets: F32 * steps * batch * units, Out dstate: F32 * batch * units]
        over blocks batch, of 256 sharing 3 * 1024 * 4;
}

/// The kernel of a name.
pub fn find(name: &str) -> Option<&'static Kernel> {
    all().find(|kernel| kernel.name == name)
}

/// All kernels, subject by subject.
pub fn all() -> impl Iterator<Item = &'static Kernel> {
    [RANDOM, REDUCE, ROWS, ACTIVATION, SORT, ATTENTION, LSH_ATTENTION, OPTIMIZERS, RECURRENT, SCANS]
        .into_iter()
        .flatten()
}
