//! All kernels.
use crate::kernel::{kernels, Kernel};

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
        over warps (outer * size.div_ceil(piece)), of 256;
    sum_columns "reduce.h"
        (value outer: U32, value size: U32, value inner: U32, step tall: U32)
        [In x: F32 * outer * size * inner, Out out: F32 * outer * size.div_ceil(tall) * inner]
        over threads (outer * size.div_ceil(tall) * inner), of 256;
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
        over threads (rows.div_ceil(step) * cols), of 256;
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

/// The kernel of a name.
pub fn find(name: &str) -> Option<&'static Kernel> {
    all().find(|kernel| kernel.name == name)
}

/// All kernels, subject by subject.
pub fn all() -> impl Iterator<Item = &'static Kernel> {
    [RANDOM, REDUCE, ROWS].into_iter().flatten()
}
