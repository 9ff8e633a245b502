//! Cases of the module `convolution`.
use super::case::{case, f32, Case};
use serde_json::json;

/// The cases.
pub fn cases() -> Vec<Case> {
    vec![
        case("CausalDepthwiseConv", json!({}), [f32([2, 5, 4])]),
        case("CausalDepthwiseConv", json!({"kernelSize": 1}), [f32([1, 3, 2])]),
        case("CausalDepthwiseConv", json!({"kernelSize": 6}), [f32([2, 4, 3])]),
    ]
}
