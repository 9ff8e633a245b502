//! Cases of the module `assert_shape`.
use super::case::{case, f32, new, Case};
use serde_json::json;

/// The cases.
pub fn cases() -> Vec<Case> {
    vec![
        case("AssertShape", json!({"spec": "ab,...b"}), [f32([2, 3]), f32([4, 1, 3])]),
        case("AssertShape", json!({"spec": "a3", "visibleLayer": true}), [f32([2, 3])]),
        case(
            "AssertFunction",
            json!({"specification": "...a,a->...a", "layer": new("Add", json!({}))}),
            [f32([2, 3]), f32([3])],
        ),
    ]
}
