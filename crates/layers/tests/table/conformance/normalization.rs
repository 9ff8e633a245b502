//! Cases of the module `normalization`.
use super::case::{case, f32, Case};
use serde_json::json;
use tallow_tensor::DType;

/// The cases.
pub fn cases() -> Vec<Case> {
    vec![
        case("BatchNorm", json!({}), [f32([2, 3, 2, 4])]),
        case("BatchNorm", json!({"axis": 0, "momentum": 0.9}), [f32([5, 3])]),
        case("BatchNorm", json!({"axis": [0, -1], "center": false, "scale": false}), [f32([4, 3, 2])]),
        case("BatchNorm", json!({"axis": [0], "center": false}), [f32([6, 3])]),
        case("BatchNorm", json!({"axis": [0, 1], "scale": false, "mode": "eval", "epsilon": 1e-3}), [f32([2, 3, 4])]),
        case("BatchNorm", json!({"axis": [0, 2, 3], "epsilon": 0.1}), [f32([1, 3, 2, 5])]),
        case("BatchNorm", json!({"axis": [0, 1], "epsilon": 0.1}), [f32([5, 3]).reshape(&[1, 5, 3]).expect("as many")]),
        case("BatchNorm", json!({"mode": "eval"}), [f32([0, 3, 2, 4])]),
        case("BatchNorm", json!({"axis": [0, 1]}), [f32([4, 3, 2]).cast(DType::BF16).expect("floats")]),
        case("BatchNorm", json!({"axis": [0], "mode": "eval"}), [f32([4, 3]).cast(DType::F16).expect("floats")]),
        case("LayerNorm", json!({}), [f32([2, 3, 5])]),
        case("LayerNorm", json!({}), [f32([0, 5])]),
        case("LayerNorm", json!({"center": false, "epsilon": 0.1}), [f32([7])]),
        case("LayerNorm", json!({}), [f32([3, 4]).cast(DType::BF16).expect("floats")]),
        case("FilterResponseNorm", json!({}), [f32([2, 3, 2, 4])]),
        case("FilterResponseNorm", json!({"learnEpsilon": true, "initLearntEpsilon": 0.1}), [f32([2, 3, 4])]),
        case("FilterResponseNorm", json!({"mode": "eval"}), [f32([3, 4])]),
        case("FilterResponseNorm", json!({}), [f32([0, 3, 4])]),
        case("FilterResponseNorm", json!({"learnEpsilon": true}), [f32([1, 3, 3]).cast(DType::F16).expect("floats")]),
    ]
}
