//! Cases of the module `rnn`.
use super::case::{case, f32, ints, new, Case};
use serde_json::{json, Value};
use tallow_tensor::{DType, Tensor};

fn half<const N: usize>(shape: [usize; N], dtype: DType) -> Tensor {
    f32(shape).cast(dtype).expect("a cast of floats")
}

fn normal() -> Value {
    json!({"$initializer": {"kind": "RandomNormalInitializer", "options": {"stddev": 0.5}}})
}

fn dense(n: usize) -> Value {
    json!({"$factory": "Dense", "options": {"nUnits": n}})
}

/// What float64 weights make of halves has another type than what float32 weights make.
const HALVES: &str = "gradients of halves are rounded; those of float32 are checked";

/// The cases.
pub fn cases() -> Vec<Case> {
    vec![
        case("LSTMCell", json!({"nUnits": 4}), [f32([2, 3]), f32([2, 8])]),
        case(
            "LSTMCell",
            json!({"nUnits": 1, "forgetBias": 0.0, "kernelInitializer": normal()}),
            [f32([1, 5]), f32([1, 2])],
        ),
        case("LSTMCell", json!({"nUnits": 3}), [f32([0, 2]), f32([0, 6])]),
        case("LSTMCell", json!({"nUnits": 3}), [half([3, 2], DType::BF16), f32([3, 6])]).no_gradient_check(HALVES),
        case("MakeZeroState", json!({}), [f32([2, 3, 4])]),
        case("MakeZeroState", json!({"depthMultiplier": 3}), [ints([1, 5, 2], 7)]),
        case("MakeZeroState", json!({"depthMultiplier": 2}), [half([0, 1, 3], DType::F16)]),
        case("LSTM", json!({"nUnits": 4}), [f32([2, 5, 4])]).steps_along(1),
        case("LSTM", json!({"nUnits": 7}), [f32([3, 4, 5])]).steps_along(1),
        case("LSTM", json!({"nUnits": 33}), [f32([1, 2, 3])]),
        case("LSTM", json!({"nUnits": 3, "returnState": true}), [f32([9, 3, 2])]).steps_along(1),
        case("LSTM", json!({"nUnits": 2, "initialState": true}), [f32([2, 1, 5]), f32([2, 4])]).steps_along(1),
        case("LSTM", json!({"nUnits": 2, "initialState": true, "returnState": true}), [f32([1, 6, 3]), f32([1, 4])]),
        case("LSTM", json!({"nUnits": 3}), [f32([0, 4, 2])]),
        case("LSTM", json!({"nUnits": 3}), [f32([2, 0, 2])]),
        case("LSTM", json!({"nUnits": 3}), [half([2, 3, 2], DType::F16)]).no_gradient_check(HALVES),
        case("LSTM", json!({"nUnits": 3}), [half([2, 3, 2], DType::BF16)]).no_gradient_check(HALVES),
        case("GRUCell", json!({"nUnits": 4}), [f32([2, 3]), f32([2, 4])]),
        case(
            "GRUCell",
            json!({"nUnits": 1, "forgetBias": 1.0, "kernelInitializer": normal()}),
            [f32([1, 5]), f32([1, 1])],
        ),
        case("GRUCell", json!({"nUnits": 3}), [f32([0, 2]), f32([0, 3])]),
        case("GRUCell", json!({"nUnits": 3}), [half([3, 2], DType::F16), f32([3, 3])]).no_gradient_check(HALVES),
        case("GRU", json!({"nUnits": 4}), [f32([2, 5, 4])]).steps_along(1),
        case("GRU", json!({"nUnits": 7}), [f32([3, 4, 5])]).steps_along(1),
        case("GRU", json!({"nUnits": 33}), [f32([1, 1, 3])]),
        case("GRU", json!({"nUnits": 3}), [f32([9, 2, 2])]),
        case("GRU", json!({"nUnits": 3}), [f32([0, 4, 2])]),
        case("GRU", json!({"nUnits": 3}), [f32([2, 0, 2])]),
        case("GRU", json!({"nUnits": 3}), [half([2, 3, 2], DType::F16)]).no_gradient_check(HALVES),
        case("GRU", json!({"nUnits": 3}), [half([2, 3, 2], DType::BF16)]).no_gradient_check(HALVES),
        case("GeneralGRUCell", json!({"candidateTransform": dense(4), "dropoutRateC": 0.5}), [f32([3, 4])]).random(),
        case("GeneralGRUCell", json!({"candidateTransform": dense(1), "mode": "eval"}), [f32([5, 1])]),
        case(
            "GeneralGRUCell",
            json!({
                "candidateTransform": dense(3), "memoryTransformFn": dense(3), "gateNonlinearity": {"$factory": "HardSigmoid"},
                "candidateNonlinearity": {"$factory": "Softplus"}, "dropoutRateC": 0.0, "sigmoidBias": 1.0
            }),
            [f32([2, 2, 3])],
        ),
        case("GeneralGRUCell", json!({"candidateTransform": dense(2), "mode": "eval"}), [f32([0, 2])]),
        case("ConvGRUCell", json!({"nUnits": 3}), [f32([2, 4, 5, 3])]).random(),
        case("ConvGRUCell", json!({"nUnits": 1, "kernelSize": [1, 3], "mode": "eval"}), [f32([1, 3, 4, 1])]),
        case("ConvGRUCell", json!({"nUnits": 2, "mode": "eval"}), [f32([0, 3, 3, 2])]),
        case("InnerSRUCell", json!({}), [f32([2, 3]), f32([2, 3]), f32([2, 3])]),
        case("InnerSRUCell", json!({}), [f32([2, 1]), f32([1, 3]), f32([3])]),
        case("InnerSRUCell", json!({}), [half([3], DType::BF16), half([3], DType::BF16), f32([3])])
            .no_gradient_check(HALVES),
        case("ScanSRUCell", json!({"mode": "train"}), [f32([2, 4, 3]), f32([2, 4, 3]), f32([2, 3])]).steps_along(1),
        case("ScanSRUCell", json!({"mode": "predict"}), [f32([1, 1, 5]), f32([1, 1, 5]), f32([1, 5])]),
        case("ScanSRUCell", json!({"mode": "eval"}), [f32([0, 2, 3]), f32([0, 2, 3]), f32([0, 3])]),
        case("ScanSRUCell", json!({"mode": "eval"}), [f32([2, 0, 3]), f32([2, 0, 3]), f32([2, 3])]),
        case(
            "ScanSRUCell",
            json!({"mode": "predict", "monkeyPatchedMask": mask([2, 2])}),
            [f32([2, 4, 3]), f32([2, 4, 3]), f32([2, 3])],
        ),
        case(
            "ScanSRUCell",
            json!({"mode": "predict", "monkeyPatchedMask": mask([1, 2])}),
            [f32([1, 1, 3]), f32([1, 1, 3]), f32([1, 3])],
        ),
        case("SRU", json!({"nUnits": 4}), [f32([2, 5, 4])]).steps_along(1),
        case("SRU", json!({"nUnits": 3, "activation": new("Tanh", json!({}))}), [f32([2, 4, 3])]).steps_along(1),
        case("SRU", json!({"nUnits": 5}), [f32([3, 4, 2])]).steps_along(1),
        case("SRU", json!({"nUnits": 2, "activation": new("Tanh", json!({}))}), [f32([1, 4, 6])]).steps_along(1),
        case("SRU", json!({"nUnits": 3}), [f32([2, 4, 1])]),
        case("SRU", json!({"nUnits": 130}), [f32([1, 1, 2])]),
        case("SRU", json!({"nUnits": 3}), [f32([0, 4, 3])]),
        case("SRU", json!({"nUnits": 3}), [f32([2, 0, 3])]),
        case("SRU", json!({"nUnits": 3}), [half([2, 3, 3], DType::F16)]).no_gradient_check(HALVES),
        case("SRU", json!({"nUnits": 3}), [half([2, 3, 3], DType::BF16)]).no_gradient_check(HALVES),
        case("Bidirectional", json!({"forwardLayer": new("LSTM", json!({"nUnits": 3}))}), [f32([2, 4, 2])]),
        case("Bidirectional", json!({"forwardLayer": new("GRU", json!({"nUnits": 2}))}), [f32([1, 5, 3])]),
        case(
            "SerialWithSideOutputs",
            json!({"layers": [
                new("LSTM", json!({"nUnits": 3, "returnState": true})), new("LSTM", json!({"nUnits": 2, "returnState": true})),
            ]}),
            [f32([2, 4, 2])],
        ),
        case("Scan", json!({"layer": new("LSTMCell", json!({"nUnits": 3}))}), [f32([4, 2, 5]), f32([2, 6])])
            .steps_along(0),
        case(
            "Scan",
            json!({"layer": new("LSTMCell", json!({"nUnits": 3})), "remat": true}),
            [f32([4, 2, 5]), f32([2, 6])],
        ),
        case("Scan", json!({"layer": new("GRUCell", json!({"nUnits": 3})), "axis": -1}), [f32([2, 4, 3]), f32([2, 3])]),
    ]
}

/// A mask of learned numbers, none of them 0.
fn mask<const N: usize>(shape: [usize; N]) -> Value {
    new("Weights", json!({"initializer": normal(), "shape": shape.to_vec()}))
}
