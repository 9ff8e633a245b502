//! Cases of the module `acceleration`.
use super::case::{case, f32, ints, new, Case};
use serde_json::json;

/// The cases.
pub fn cases() -> Vec<Case> {
    let dense = || new("Dense", json!({"nUnits": 3}));
    let mlp = || {
        new(
            "Serial",
            json!({"sublayers": [new("Dense", json!({"nUnits": 4})), new("Tanh", json!({})), new("LayerNorm", json!({}))]}),
        )
    };
    let on = |layer, n: usize| json!({"layer": layer, "nDevices": n});
    let dropout = || new("Dropout", json!({"rate": 0.5}));
    let norm = || new("BatchNorm", json!({"axis": [0]}));
    let fun = || new("Fn", json!({"name": "Swapped", "f": {"$fn": 0}, "nOut": 2}));
    let weighted = || new("WeightedCategoryCrossEntropy", json!({}));
    vec![
        case("Accelerate", json!({"layer": dense()}), [f32([2, 5])]),
        case("Accelerate", on(dense(), 1), [f32([3, 5])]),
        case("Accelerate", on(dense(), 2), [f32([4, 5])]),
        case("Accelerate", on(mlp(), 2), [f32([5, 2, 3])]),
        case("Accelerate", on(dense(), 4), [f32([1, 5])]),
        case("Accelerate", on(dense(), 2), [f32([0, 5])]),
        case("Accelerate", on(new("Add", json!({})), 3), [f32([7, 2]), f32([7, 2])]),
        case("Accelerate", on(new("Swap", json!({})), 2), [f32([3, 2]), ints([3], 4)]),
        case("Accelerate", on(dropout(), 2), [f32([5, 8])]).random(),
        case("Accelerate", on(norm(), 2), [f32([6, 3])]),
        case("Accelerate", on(weighted(), 2), [f32([4, 3]), ints([4], 3), f32([4])]),
        case("Accelerate", on(fun(), 2), [f32([3, 2]), f32([3, 1])])
            .function(2, |xs| Ok(vec![xs[1].clone(), xs[0].square()?])),
        case("Accelerate", on(new("Accelerate", on(dense(), 2)), 2), [f32([6, 5])]),
        case("Accelerate", on(new("CausalAttention", json!({"dFeature": 4, "nHeads": 2})), 2), [f32([2, 3, 4])])
            .steps_along(1),
    ]
}
