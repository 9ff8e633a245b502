//! Cases of the module `combinators`.
use super::case::{case, f32, ints, new, Case};
use serde_json::{json, Value};

fn scale() -> Value {
    new("Layer", json!({"name": "Scale", "driver": {"$fn": 0}}))
}

fn plain(kind: &str) -> Value {
    new(kind, json!({}))
}

/// A step of a cumulative computation: `(x, c)` to `(x tanh c, c / 2 + x)`.
fn mix() -> Value {
    new("Fn", json!({"name": "mix", "f": {"$fn": 0}, "nOut": 2}))
}

fn mixing(case: Case) -> Case {
    case.function(2, |xs| Ok(vec![xs[0].mul(&xs[1].tanh()?)?, xs[1].mul_scalar(0.5)?.add(&xs[0])?]))
}

/// The cases.
pub fn cases() -> Vec<Case> {
    let scaled = |c: Case| c.host(super::base::scale());
    vec![
        case("Serial", json!({}), [f32([2])]),
        scaled(case("Serial", json!({"sublayers": [scale(), [plain("Dup"), plain("Multiply")]], "name": "S"}), [f32([2, 3])])),
        scaled(case("Serial", json!({"sublayers": [plain("Add"), scale()]}), [f32([2, 3]), f32([3]), ints([2], 9)])),
        scaled(case("Parallel", json!({"sublayers": [scale(), null, [plain("Swap")]]}), [
            f32([2, 3]), ints([4], 5), f32([2]), f32([1]),
        ])),
        scaled(case("Branch", json!({"layers": [null, scale(), plain("Multiply")]}), [f32([2, 3]), f32([3])])),
        scaled(case("Residual", json!({"layers": [scale(), scale()]}), [f32([2, 3])])),
        scaled(case("Residual", json!({"layers": [], "shortcut": scale()}), [f32([2, 3])])),
        case("Concatenate", json!({}), [f32([2, 3]), f32([2, 1])]),
        case("Concatenate", json!({"nItems": 3, "axis": 0}), [f32([2, 3]), ints([1, 3], 4), f32([3, 3])]),
        case("Split", json!({"nItems": 3, "axis": 0}), [f32([6, 2])]),
        mixing(case("Scan", json!({"layer": mix(), "axis": 1}), [f32([2, 5, 3]), f32([2, 3])])).steps_along(1),
        mixing(case("Scan", json!({"layer": mix(), "axis": -1, "remat": true}), [f32([2, 3, 4]), f32([2, 3])])),
        scaled(case("Scan", json!({"layer": scale(), "nCarry": 0, "axis": 2}), [f32([2, 3, 4])])),
        scaled(case("Scan", json!({"layer": scale(), "nCarry": 0, "remat": true}), [f32([4, 3])])),
        case("Cond", json!({"cond": new("Fn", json!({"name": "big", "f": {"$fn": 1}})), "true": scale()}), [
            f32([2]), f32([2, 3]),
        ])
        .host(super::base::scale())
        .function(1, |xs| Ok(vec![xs[0].sum(0, false)?.gt_scalar(-100.0)?])),
        case("Cond", json!({"cond": new("Fn", json!({"name": "big", "f": {"$fn": 1}})), "true": scale(), "false": plain("Serial")}), [
            f32([2]), f32([2, 3]), f32([4]),
        ])
        .host(super::base::scale())
        .function(1, |xs| Ok(vec![xs[0].sum(0, false)?.gt_scalar(100.0)?])),
        scaled(case("Chunk", json!({"layer": scale(), "chunkSize": 2}), [f32([6, 3])])),
        scaled(case("Chunk", json!({"layer": scale(), "chunkSize": 4}), [f32([6, 3])])),
        scaled(case("Chunk", json!({"layer": scale(), "chunkSize": 0}), [f32([6, 3])])),
        case("Select", json!({"indices": [2, 0, 2], "nIn": 4}), [f32([2]), f32([3]), ints([2], 3), f32([1])]),
        case("Select", json!({"indices": [-1], "nIn": 2}), [f32([2]), f32([3])]),
        case("Drop", json!({}), [f32([2])]),
        case("Dup", json!({}), [f32([2])]),
        case("Swap", json!({}), [f32([2]), ints([3], 4)]),
        scaled(case("SerialWithSideOutputs", json!({"layers": [plain("Dup"), scale()], "nSideOutputs": [1, 0]}), [f32([2, 3])])),
        case("FlattenList", json!({}), [f32([2]), f32([]), ints([3], 4)]),
        case("Add", json!({}), [f32([2, 3]), f32([3])]),
        case("SubtractTop", json!({}), [f32([3]), f32([2, 3])]),
        case("Multiply", json!({}), [f32([2, 1]), f32([1, 3])]),
        case("Gate", json!({}), [f32([2, 3]), f32([2, 3]), f32([3])]),
        scaled(case("Cache", json!({"layer": scale()}), [f32([2, 3])])),
        scaled(case("WholeSequences", json!({"layer": scale()}), [f32([2, 3])])),
        scaled(case("BatchLeadingAxes", json!({"layer": scale(), "nLastAxesToKeep": 2}), [f32([2, 3, 4, 3])])),
        scaled(case("Bidirectional", json!({"forwardLayer": scale(), "axis": 0}), [f32([4, 3])])),
    ]
}
