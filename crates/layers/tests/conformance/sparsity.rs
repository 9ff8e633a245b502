//! Cases of the module `research/sparsity`.
use super::case::{case, f32, Case};
use serde_json::json;
use tallow_tensor::DType;

/// The cases.
pub fn cases() -> Vec<Case> {
    vec![
        case("SplitLastAxis", json!({"numSplits": 3}), [f32([2, 6])]),
        case("SplitLastAxis", json!({"numSplits": 1}), [f32([1, 3, 5])]),
        case("SplitLastAxis", json!({"numSplits": 5}), [f32([0, 5])]),
        case("MergeLastTwoAxes", json!({}), [f32([2, 3, 4])]),
        case("MergeLastTwoAxes", json!({}), [f32([1, 3])]),
        case("MergeLastTwoAxes", json!({}), [f32([0, 2, 3])]),
        case("LocallyConnectedDense", json!({"nModules": 2, "nUnits": 3}), [f32([2, 3, 8])]),
        case(
            "LocallyConnectedDense",
            json!({"nModules": 3, "nUnits": 1, "kernelSize": 3, "useBias": false}),
            [f32([1, 6])],
        ),
        case("LocallyConnectedDense", json!({"nModules": 1, "nUnits": 3}), [f32([2, 4])]),
        case(
            "LocallyConvDense",
            json!({"nModules": 2, "nUnits": 3, "mode": "train", "kernelSize": 3, "lengthKernelSize": 3}),
            [f32([2, 4, 6])],
        )
        .steps_along(1),
        case(
            "LocallyConvDense",
            json!({"nModules": 3, "nUnits": 1, "mode": "eval", "lengthKernelSize": 2}),
            [f32([1, 1, 6])],
        )
        .steps_along(1),
        case(
            "LocallyConvDense",
            json!({"nModules": 2, "nUnits": 2, "mode": "predict", "kernelSize": 5}),
            [f32([2, 3, 4])],
        )
        .steps_along(1),
        case("LocallyConvDense", json!({"nModules": 1, "nUnits": 3, "mode": "train"}), [f32([0, 4])]),
        case("FactoredDense", json!({"nModules": 2, "dIn": 5, "dOut": 4}), [f32([2, 3, 5])]),
        case("FactoredDense", json!({"nModules": 3, "dIn": 4, "dOut": 6, "useBias": false}), [f32([1, 4])]),
        case("FactoredDense", json!({"nModules": 1, "dIn": 3, "dOut": 7}), [f32([0, 3])]),
        case(
            "FactoredDense",
            json!({"nModules": 2, "dIn": 3, "dOut": 2, "useBfloat16": true}),
            [f32([4, 3]).cast(DType::BF16).expect("floats")],
        ),
    ]
}
