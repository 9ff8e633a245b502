//! Cases of the module `research.position_encodings`.
use super::case::{case, f32, new, Case};
use serde_json::json;
use tallow_tensor::DType;

/// The cases.
pub fn cases() -> Vec<Case> {
    let grid = || json!({"shape": [2, 3], "dEmbs": [2, 4]});
    let half = |dtype| f32([2, 6, 6]).cast(dtype).expect("a cast of floats");
    vec![
        case("AxialPositionalEncoding", grid(), [f32([2, 6, 6])]).steps_along(1),
        case("AxialPositionalEncoding", json!({"shape": [5], "dEmbs": [3]}), [f32([1, 5, 3])]).steps_along(1),
        case("AxialPositionalEncoding", json!({"shape": [1, 3, 2], "dEmbs": [1, 1, 2]}), [f32([3, 2, 3, 4])]),
        case("AxialPositionalEncoding", grid(), [f32([0, 6, 6])]),
        case("AxialPositionalEncoding", grid(), [half(DType::BF16)]),
        case("AxialPositionalEncoding", json!({"shape": [2, 3], "dEmbs": [2, 4], "dropout": 0.5}), [f32([2, 6, 6])])
            .random(),
        case("SinCosPositionalEncoding", json!({"mode": "eval"}), [f32([2, 5, 6])]).steps_along(1),
        case("SinCosPositionalEncoding", json!({"mode": "eval"}), [f32([1, 4, 7])]).steps_along(1),
        case("SinCosPositionalEncoding", json!({"startFromZeroOneIn": 9}), [f32([2, 3, 4])]).random(),
        case(
            "SinCosPositionalEncoding",
            json!({"addOffset": 0, "dropout": 0.5, "dropoutBroadcastDims": [0]}),
            [f32([2, 5, 6])],
        )
        .random(),
        case("SinCosPositionalEncoding", json!({"mode": "eval"}), [f32([0, 3, 2])]),
        case("SinCosPositionalEncoding", json!({"mode": "eval"}), [half(DType::F16)]),
        case(
            "FixedBasePositionalEncoding",
            json!({"bases": [3, 5], "nDigits": 2, "mode": "eval", "initializer": {"$initializer": {
                "kind": "RandomNormalInitializer", "options": {}}}}),
            [f32([2, 5, 6])],
        )
        .steps_along(1),
        case("FixedBasePositionalEncoding", json!({"bases": [2], "nDigits": 3, "mode": "eval"}), [f32([1, 7, 3])])
            .steps_along(1),
        case("FixedBasePositionalEncoding", json!({"startFromZeroOneIn": 7}), [f32([2, 4, 8])]).random(),
        case("FixedBasePositionalEncoding", json!({"mode": "eval"}), [f32([0, 3, 8])]),
        case("FixedBasePositionalEncoding", json!({"mode": "eval"}), [f32([2, 0, 8])]),
        case("InfinitePositionalEncoding", json!({"affine": false}), [f32([2, 5, 6])]).steps_along(1),
        case("InfinitePositionalEncoding", json!({"affine": false, "transform": "diag"}), [f32([1, 4, 5])])
            .steps_along(1),
        case(
            "InfinitePositionalEncoding",
            json!({"affine": false, "transform": "none", "timeBinLength": 2}),
            [f32([3, 6, 4])],
        )
        .steps_along(1),
        case("InfinitePositionalEncoding", json!({"transform": "none"}), [f32([2, 3, 1])]).random(),
        case("InfinitePositionalEncoding", json!({"affine": false, "drift": 2}), [f32([0, 3, 4])]),
        case("TimeBinPositionalEncoding", json!({"timeBinLength": 3}), [f32([2, 7, 5])]).steps_along(1),
        case("TimeBinPositionalEncoding", json!({"timeBinLength": 1}), [f32([1, 4, 3])]).steps_along(1),
        case("TimeBinPositionalEncoding", json!({"timeBinLength": 4}), [f32([2, 6, 2])]).steps_along(1),
        case("TimeBinPositionalEncoding", json!({"timeBinLength": 2}), [f32([0, 3, 4])]),
        case(
            "Serial",
            json!({"sublayers": [new("TimeBinPositionalEncoding", json!({"timeBinLength": 2})), new("Relu", json!({}))]}),
            [half(DType::BF16)],
        ),
    ]
}
