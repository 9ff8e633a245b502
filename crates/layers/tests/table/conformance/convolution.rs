//! Cases of the module `convolution`.
use super::case::{case, f32, Case};
use serde_json::json;
use tallow_tensor::DType;

/// The cases.
pub fn cases() -> Vec<Case> {
    let half = |t: tallow_tensor::Tensor, d| t.cast(d).expect("floats");
    vec![
        case("Conv", json!({"filters": 3, "kernelSize": [3, 2]}), [f32([2, 5, 4, 2])]),
        case(
            "Conv",
            json!({"filters": 1, "kernelSize": [3, 3], "padding": "SAME", "strides": [2, 3]}),
            [f32([1, 5, 7, 3])],
        ),
        case(
            "Conv",
            json!({"filters": 2, "kernelSize": [2, 2], "padding": [[1, 0], [0, 2]], "useBias": false}),
            [f32([1, 3, 3, 2])],
        ),
        case(
            "Conv",
            json!({"filters": 3, "kernelSize": [2, 3], "dimensionNumbers": ["NCHW", "OIHW", "NCHW"], "padding": "SAME"}),
            [f32([2, 2, 3, 4])],
        ),
        case(
            "Conv",
            json!({"filters": 2, "kernelSize": [2, 2, 1], "dimensionNumbers": ["NDHWC", "DHWIO", "NDHWC"], "strides": [1, 2, 1]}),
            [f32([1, 3, 4, 2, 2])],
        ),
        case(
            "Conv",
            json!({"filters": 2, "kernelSize": [2, 3], "dimensionNumbers": ["CWNH", "OHIW", "WHCN"]}),
            [f32([3, 4, 2, 3])],
        ),
        case("Conv", json!({"filters": 2, "kernelSize": [2, 2]}), [f32([2, 2, 3, 3, 2])]),
        case("Conv", json!({"filters": 2, "kernelSize": [2, 2]}), [f32([0, 3, 3, 2])]),
        case("Conv", json!({"filters": 4, "kernelSize": [1, 1]}), [half(f32([2, 3, 3, 2]), DType::BF16)]),
        case(
            "Conv",
            json!({"filters": 2, "kernelSize": [3, 3], "padding": "SAME"}),
            [half(f32([1, 3, 5, 2]), DType::F16)],
        ),
        case("Conv1d", json!({"filters": 3, "kernelSize": 3}), [f32([2, 7, 2])]),
        case("Conv1d", json!({"filters": 2, "kernelSize": 4, "stride": 3, "padding": "SAME"}), [f32([1, 8, 3])]),
        case("Conv1d", json!({"filters": 1, "kernelSize": 2, "padding": [[2, 1]], "useBias": false}), [f32([3, 1, 2])]),
        case("Conv1d", json!({"filters": 2, "kernelSize": 2}), [f32([0, 4, 3])]),
        case("CausalConv", json!({"filters": 3}), [f32([2, 5, 2])]).steps_along(1),
        case("CausalConv", json!({"filters": 2, "kernelWidth": 6}), [f32([1, 3, 3])]).steps_along(1),
        case("CausalConv", json!({"filters": 2, "kernelWidth": 1, "useBias": false}), [f32([2, 4, 3])]).steps_along(1),
        case("CausalConv", json!({"filters": 2}), [half(f32([1, 4, 2]), DType::BF16)]),
        case("CausalDepthwiseConv", json!({}), [f32([2, 5, 4])]).steps_along(1),
        case("CausalDepthwiseConv", json!({"kernelSize": 1}), [f32([1, 3, 2])]).steps_along(1),
        case("CausalDepthwiseConv", json!({"kernelSize": 6}), [f32([2, 4, 3])]).steps_along(1),
        case("CausalDepthwiseConv", json!({}), [f32([0, 4, 3])]),
    ]
}
