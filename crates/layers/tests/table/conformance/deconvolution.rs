//! Cases of the module `deconvolution`.
use super::case::{case, f32, Case};
use serde_json::json;
use tallow_tensor::DType;

/// The cases.
pub fn cases() -> Vec<Case> {
    vec![
        case("ConvTranspose", json!({"filters": 3, "kernelSize": [3, 2]}), [f32([2, 3, 4, 2])]),
        case("ConvTranspose", json!({"filters": 2, "kernelSize": [3, 3], "strides": [2, 3]}), [f32([1, 3, 2, 3])]),
        case(
            "ConvTranspose",
            json!({"filters": 2, "kernelSize": [2, 3], "strides": [3, 2], "padding": "SAME"}),
            [f32([2, 2, 3, 1])],
        ),
        case(
            "ConvTranspose",
            json!({"filters": 1, "kernelSize": [2, 2], "strides": [2, 1], "rhsDilation": [2, 3]}),
            [f32([1, 3, 2, 2])],
        ),
        case(
            "ConvTranspose",
            json!({"filters": 2, "kernelSize": [2, 2], "strides": [2, 2], "padding": [[1, 0], [2, -1]]}),
            [f32([1, 3, 2, 2])],
        ),
        case(
            "ConvTranspose",
            json!({"filters": 2, "kernelSize": [3], "strides": [2], "dimensionNumbers": ["NCW", "OIW", "NCW"]}),
            [f32([2, 3, 4])],
        ),
        case("ConvTranspose", json!({"filters": 2, "kernelSize": [2, 2]}), [f32([2, 0, 3, 3, 2])]),
        case(
            "ConvTranspose",
            json!({"filters": 2, "kernelSize": [2, 2]}),
            [f32([1, 3, 2, 2]).cast(DType::F16).expect("floats")],
        ),
    ]
}
