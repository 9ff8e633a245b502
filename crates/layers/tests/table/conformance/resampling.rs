//! Cases of the module `resampling`.
use super::case::{case, f32, ints, Case};
use serde_json::json;

/// The cases.
pub fn cases() -> Vec<Case> {
    vec![
        case("AveragePooling", json!({"shortenFactor": 2}), [f32([2, 5, 3])]),
        case(
            "AveragePooling",
            json!({"shortenFactor": 3, "args": [8, true], "mode": "eval", "nHeads": 2}),
            [f32([1, 6, 2])],
        ),
        case("LinearPooling", json!({"shortenFactor": 2, "dModel": 3}), [f32([2, 6, 4])]),
        case("LinearPooling", json!({"shortenFactor": 3, "dModel": 2, "isUpsampling": false}), [f32([2, 3, 2, 2])]),
        case("LinearPooling", json!({"shortenFactor": 2, "dModel": 8, "dropout": 0.5}), [f32([2, 6, 4])]).random(),
        case("LinearUpsampling", json!({"shortenFactor": 3, "dModel": 2}), [f32([2, 4, 5])]),
        case("LinearUpsampling", json!({"shortenFactor": 2, "dModel": 1}), [f32([0, 4, 5])]),
        case("LinearUpsampling", json!({"shortenFactor": 2, "dModel": 6, "dropout": 0.5}), [f32([2, 4, 5])]).random(),
        case("NaiveUpsampling", json!({"shortenFactor": 3, "dModel": 9}), [f32([2, 2, 2, 2])]),
        case("NaiveUpsampling", json!({"shortenFactor": 2, "dModel": 1}), [ints([2, 3], 7)]),
        case("NoUpsampling", json!({"shortenFactor": 4, "dModel": 3}), [f32([2, 3, 3])]),
        case("NoUpsampling", json!({"shortenFactor": 2, "dModel": 3}), [ints([1, 3, 2], 5)]),
    ]
}
