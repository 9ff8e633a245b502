//! Cases of the module `pooling`.
use super::case::{case, f32, Case};
use serde_json::json;
use tallow_tensor::DType;

/// The cases.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for kind in ["MaxPool", "SumPool", "AvgPool"] {
        cases.extend([
            case(kind, json!({}), [f32([2, 3, 5, 2])]),
            case(kind, json!({"poolSize": [3, 2], "strides": [2, 1], "padding": "SAME"}), [f32([1, 5, 4, 3])]),
            case(kind, json!({"poolSize": [2], "strides": [3]}), [f32([2, 7, 2])]),
            case(
                kind,
                json!({"poolSize": [3, 3], "strides": [2, 2], "padding": [[1, 1], [0, 2]]}),
                [f32([1, 4, 3, 2])],
            ),
            case(kind, json!({"poolSize": [2, 1, 2]}), [f32([1, 3, 2, 3, 1])]),
            case(kind, json!({"strides": [2, 2]}), [f32([0, 4, 4, 2])]),
            case(kind, json!({"poolSize": [2]}), [f32([2, 5, 3]).cast(DType::F16).expect("floats")]),
            case(
                kind,
                json!({"poolSize": [2], "padding": "SAME"}),
                [f32([1, 3, 3]).cast(DType::BF16).expect("floats")],
            ),
        ]);
    }
    cases
}
