//! Cases of the module `reversible`.
use super::case::{case, f32, ints, new, segments, Case};
use serde_json::{json, Value};
use tallow_tensor::DType;

fn half(layers: Vec<Value>) -> Value {
    new("ReversibleHalfResidual", json!({"residualLayers": layers}))
}

fn dense(n: usize) -> Value {
    new("Dense", json!({"nUnits": n}))
}

/// The cases.
pub fn cases() -> Vec<Case> {
    let swap = || new("ReversibleSwap", json!({}));
    let norm = || new("LayerNorm", json!({}));
    let drop = || new("Dropout", json!({"rate": 0.5}));
    let two = || [f32([3, 4]), f32([3, 4])];
    let half_of = |dtype| [0, 1].map(|_| f32([2, 6]).cast(dtype).expect("a cast of floats"));
    vec![
        // What hashes is repeated by the buckets of the forward pass, within the same segments.
        case(
            "ReversibleHalfResidual",
            json!({
                "residualLayers": [new("LayerNorm", json!({}))],
                "attentionLayer": new("LSHSelfAttention", json!({"dQk": 4, "dV": 3, "chunkLen": 3, "nHashes": 2, "nBuckets": 4, "useSegments": true})),
            }),
            [f32([2, 8, 5]), f32([2, 8, 5]), segments([2, 8])],
        ),
        case("ReversibleConcatenatePair", json!({}), two()),
        case("ReversibleConcatenatePair", json!({}), [f32([1, 2, 5]), f32([1, 2, 5])]),
        case("ReversibleConcatenatePair", json!({}), [f32([0, 3]), f32([0, 3])]),
        case("ReversibleSelect", json!({"indices": [1, 0, 1]}), [f32([2, 3]), ints([4], 5)]),
        case("ReversibleSelect", json!({"indices": [0], "name": "Same"}), [f32([2, 0])]),
        case("ReversibleSelect", json!({"indices": [2, 1, 0], "nIn": 3}), [f32([1]), f32([2, 2]), f32([3])]),
        case("ReversibleSwap", json!({}), two()),
        case("ReversibleSwap", json!({}), [f32([1, 5]), ints([3], 4)]),
        case("ReversibleSwap", json!({}), half_of(DType::BF16)),
        case("ReversibleReshape", json!({"shape1": [2, 3], "shape2": [6]}), [f32([2, 3, 5])]),
        case("ReversibleReshape", json!({"shape1": [-1], "shape2": [1, -1, 2], "nIn": 2}), [f32([4, 3]), f32([6])]),
        case("ReversibleReshape", json!({"shape1": [], "shape2": [1]}), [f32([0, 3])]),
        case("ReversiblePrintShape", json!({"msg": "in a test"}), [f32([2, 3])]),
        case("ReversiblePrintShape", json!({"nIn": 2}), [f32([1]), ints([2], 3)]),
        case("ReversiblePrintShape", json!({}), [f32([0])]),
        case("ReversibleHalfResidual", json!({"residualLayers": [dense(4)]}), two()),
        case("ReversibleHalfResidual", json!({"residualLayers": [norm(), dense(8), drop(), dense(4)]}), two()).random(),
        case(
            "ReversibleHalfResidual",
            json!({"residualLayers": [norm()], "attentionLayer": new("CausalAttention", json!({"dFeature": 4}))}),
            [f32([2, 3, 4]), f32([2, 3, 4])],
        ),
        case("ReversibleHalfResidual", json!({"residualLayers": [dense(3)]}), [f32([0, 3]), f32([0, 3])]),
        case(
            "ReversibleHalfResidual",
            json!({"residualLayers": [dense(2)], "attentionLayer": new("Multiply", json!({})), "name": "Gated"}),
            [f32([1, 2]), f32([1, 2]), f32([1, 2])],
        ),
        case(
            "ReversibleSerial",
            json!({"sublayers": [half(vec![dense(4)]), [swap(), half(vec![norm(), dense(4)])], swap()]}),
            two(),
        ),
        case("ReversibleSerial", json!({"sublayers": [half(vec![norm(), drop()]), swap(), half(vec![drop()])]}), two())
            .random(),
        case("ReversibleSerial", json!({}), [f32([2, 3])]),
        case(
            "ReversibleSerial",
            json!({"sublayers": [half(vec![new("BatchNorm", json!({"axis": [0]}))]), swap()]}),
            two(),
        ),
    ]
}
