//! Cases of the module `activation_fns`.
use super::case::{case, f32, ints, positive, Case};
use serde_json::json;

/// The cases.
pub fn cases() -> Vec<Case> {
    let plain = [
        "Relu",
        "Gelu",
        "FastGelu",
        "Sigmoid",
        "Tanh",
        "HardSigmoid",
        "HardTanh",
        "Softplus",
        "Exp",
        "Swish",
        "ParametricRelu",
        "LeakyRelu",
        "Elu",
        "Selu",
        "ThresholdedLinearUnit",
    ];
    let mut cases: Vec<Case> = plain.iter().map(|kind| case(kind, json!({}), [f32([3, 5])])).collect();
    cases.extend(plain.iter().map(|kind| case(kind, json!({}), [ints([4], 3)])));
    cases.extend([
        case("ParametricRelu", json!({"a": 0.25}), [f32([7])]),
        case("LeakyRelu", json!({"a": 0.2}), [f32([])]),
        case("Elu", json!({"a": 0.5}), [f32([2, 0, 3])]),
        case("Selu", json!({"alpha": 1.5, "lmbda": 1.1}), [f32([2, 6])]),
        case("Log", json!({}), [positive([2, 3])]),
        case("Glu", json!({}), [f32([2, 3, 6])]),
        case("Glu", json!({}), [ints([4], 3)]),
    ]);
    cases
}
