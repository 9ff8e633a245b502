//! Cases of the module `attention`.
use super::case::{case, f32, ints, new, segments as segments_of, Case};
use serde_json::{json, Value};
use tallow_tensor::Tensor;

fn dense(n: usize) -> Value {
    new("Dense", json!({"nUnits": n}))
}

/// Zeros and ones.
fn mask<const N: usize>(shape: [usize; N]) -> Tensor {
    ints(shape, 2)
}

/// Segments of two sequences of five positions.
fn segments() -> Tensor {
    Tensor::from_vec(vec![1i32, 1, 2, 2, 2, 3, 3, 3, 4, 0], &[2, 5]).expect("ten ids")
}

/// The cases.
pub fn cases() -> Vec<Case> {
    let sources = || [f32([2, 3, 6]), f32([2, 5, 6]), f32([2, 5, 6]), mask([2, 1, 1, 5])];
    let heads = || [f32([2, 2, 3, 4]), f32([2, 2, 5, 4]), f32([2, 2, 5, 3]), mask([2, 1, 3, 5])];
    let causal = || [f32([4, 5, 3]), f32([4, 5, 3]), f32([4, 5, 2])];
    vec![
        case("Attention", json!({"dFeature": 6, "nHeads": 3}), [f32([2, 5, 6]), mask([2, 1, 1, 5])]),
        case("Attention", json!({"dFeature": 4, "dropout": 0.3}), [f32([1, 3, 4]), mask([1, 1, 1, 3])]).random(),
        case("AttentionQKV", json!({"dFeature": 6, "nHeads": 2}), sources()),
        case("AttentionQKV", json!({"dFeature": 6, "qSparsity": "noop", "resultSparsity": "noop"}), sources()),
        case("PureAttention", json!({"nHeads": 2}), sources()),
        case("PureAttention", json!({"nHeads": 3, "dropout": 0.4}), sources()).random(),
        case("DotProductAttention", json!({}), heads()),
        case("DotProductAttention", json!({"dropout": 0.5}), heads()).random(),
        case(
            "DotProductAttention",
            json!({"useSegments": true}),
            [f32([2, 2, 5, 4]), f32([2, 2, 5, 4]), f32([2, 2, 5, 3]), mask([2, 1, 1, 5]), segments()],
        ),
        case(
            "DotProductAttention",
            json!({"useSegments": true, "dropout": 0.5}),
            [f32([4, 5, 4]), f32([4, 5, 4]), f32([4, 5, 3]), mask([5]), segments_of([2, 5])],
        )
        .random(),
        case("SplitIntoHeads", json!({"nHeads": 3}), [f32([2, 4, 6])]),
        case("SplitIntoHeads", json!({"nHeads": 2, "mergedBatchAndHead": false}), [f32([1, 4, 6])]),
        case("MergeHeads", json!({"nHeads": 3}), [f32([6, 4, 2])]),
        case("MergeHeads", json!({"nHeads": 2, "mergedBatchAndHead": false}), [f32([1, 2, 4, 3])]),
        case(
            "ConfigurableAttention",
            json!({
                "qLayer": dense(6), "kLayer": [dense(6), new("Tanh", json!({}))], "vLayer": dense(4), "finalLayer": dense(3),
                "qkvAttentionLayer": new("DotProductCausalAttention", json!({})), "nHeads": 2,
            }),
            [f32([2, 4, 3])],
        ),
        case("CausalAttention", json!({"dFeature": 6, "nHeads": 2, "maxInferenceLength": 7}), [f32([2, 5, 6])])
            .steps_along(1),
        case("CausalAttention", json!({"dFeature": 4, "nHeads": 2, "useDconv": true}), [f32([2, 6, 4])]).steps_along(1),
        case("CausalAttention", json!({"dFeature": 4, "dropout": 0.25}), [f32([1, 5, 4])]).random(),
        case("DotProductCausalAttention", json!({"maxInferenceLength": 5}), causal()).steps_along(1),
        case("DotProductCausalAttention", json!({"dropout": 0.3}), causal()).random(),
        case("DotProductCausalAttention", json!({"useSegments": true}), causal().into_iter().chain([segments()]))
            .steps_along(1),
        case("CausalAttention", json!({"dFeature": 6, "nHeads": 2, "useSegments": true}), [f32([2, 5, 6]), segments()])
            .steps_along(1),
        case("ShiftRight", json!({}), [f32([2, 4, 3])]),
        case("ShiftRight", json!({"nPositions": 6}), [ints([2, 4], 9)]),
        case("ShiftRight", json!({"useSegments": true}), [f32([2, 5, 3]), segments()]),
        case("ShiftRight", json!({"useSegments": true, "nPositions": 2}), [ints([2, 5], 9), segments()]),
        case("PaddingMask", json!({}), [ints([2, 5], 3)]),
        case("PaddingMask", json!({"pad": -1}), [ints([1, 5], 3)]),
        case("SegmentMask", json!({}), [segments()]),
        case("Attention", json!({"dFeature": 4, "nHeads": 2}), [f32([2, 5, 4]), mask([2, 1, 5, 5])]),
        case("EncoderDecoderMask", json!({}), [f32([2, 3, 4]), mask([2, 1, 1, 5])]),
        case("PositionalEncoding", json!({"maxLen": 9}), [f32([2, 5, 6])]).steps_along(1),
        case("PositionalEncoding", json!({"maxLen": 9, "dropout": 0.5}), [f32([2, 5, 7])]).random(),
        case("PositionalEncoding", json!({"maxLen": 9, "dFeature": 4}), [f32([1, 5, 6])]),
        case("PositionalEncoding", json!({"maxLen": 3, "useSegments": true}), [f32([2, 5, 6]), segments()])
            .steps_along(1),
        case(
            "PositionalEncoding",
            json!({"maxLen": 9, "dFeature": 4, "dropout": 0.5, "useSegments": true}),
            [f32([2, 5, 6]), segments()],
        )
        .random(),
        case(
            "PositionalEncoding",
            json!({"maxLen": 40, "startFromZeroProb": 0.0, "maxOffsetToAdd": 30}),
            [f32([1, 5, 6])],
        )
        .random(),
    ]
}
