//! Cases of the module `core`.
use super::case::{bools, case, f32, ints, new, positive, Case};
use serde_json::{json, Value};
use tallow_tensor::DType;

fn initializer(kind: &str, options: Value) -> Value {
    json!({"$initializer": {"kind": kind, "options": options}})
}

/// The cases.
pub fn cases() -> Vec<Case> {
    let embedding = |options| new("Embedding", options);
    let dense = || new("Dense", json!({"nUnits": 3}));
    let normal = || initializer("RandomNormalInitializer", json!({"stddev": 1.0}));
    vec![
        case("Dense", json!({"nUnits": 4}), [f32([2, 3, 5])]),
        case("Dense", json!({"nUnits": 3, "useBias": false, "kernelInitializer": normal()}), [f32([5])]),
        case("Dense", json!({"nUnits": 2, "useBfloat16": true}), [f32([4, 3])]),
        case("Dense", json!({"nUnits": 2}), [ints([3, 2], 5)]),
        case("Dense", json!({"nUnits": 2, "biasInitializer": normal()}), [f32([0, 3])]),
        case("Embedding", json!({"vocabSize": 11, "dFeature": 4}), [ints([2, 5], 11)]),
        case("Embedding", json!({"vocabSize": 5, "dFeature": 3, "useBfloat16": true}), [ints([4], 5)])
            .no_gradient_check("its result is float32 whatever its weights are"),
        case("TiedDense", json!({"embedding": embedding(json!({"vocabSize": 7, "dFeature": 4}))}), [f32([2, 3, 4])]),
        case(
            "TiedDense",
            json!({"embedding": embedding(json!({"vocabSize": 3, "dFeature": 2})), "useBias": true}),
            [f32([2])],
        ),
        case(
            "TiedDense",
            json!({"embedding": embedding(json!({"vocabSize": 3, "dFeature": 2, "useBfloat16": true}))}),
            [f32([5, 2])],
        ),
        case("LoRA", json!({"layer": dense(), "rank": 2, "alpha": 4.0}), [f32([2, 4, 5])]).steps_along(1),
        case("LoRA", json!({"layer": dense(), "rank": 3, "dropout": 0.4}), [f32([6, 5])]),
        case("LoRA", json!({"layer": dense(), "rank": 1, "dropout": 0.4, "mode": "eval"}), [ints([3, 2], 5)]),
        case("Dropout", json!({"rate": 0.4}), [f32([6, 7])]).random(),
        case("Dropout", json!({"rate": 0.4, "sharedAxes": [-2]}), [f32([2, 9, 30])]).random(),
        case("Dropout", json!({"rate": 0.5}), [ints([5, 5], 9)]).random(),
        case("Dropout", json!({"rate": 0.4, "mode": "eval"}), [f32([6, 7])]),
        case("Dropout", json!({}), [f32([6])]),
        case("MaskedMean", json!({}), [f32([2, 4, 3]), bools([2, 4])]),
        case("MaskedMean", json!({}), [f32([3, 5]), ints([3, 5], 2)]),
        case("MaskedMean", json!({}), [ints([4, 2, 2], 9), positive([4])]),
        case("Weights", json!({"initializer": normal(), "shape": [2, 3]}), []),
        case("Weights", json!({"initializer": normal(), "useBfloat16": true}), []),
        case("PrintShape", json!({}), [f32([2, 5])]),
        case("PrintShape", json!({"nIn": 2, "msg": "in a test"}), [f32([2]), ints([], 3)]),
        case("SummaryScalar", json!({"name": "loss"}), [f32([2, 5])]),
        case("SummaryScalar", json!({"name": "top", "aggregationFun": {"$fn": 0}}), [f32([2, 5])])
            .function(1, |xs| Ok(vec![xs[0].max(None, false)?])),
        case("SummaryImage", json!({"name": "im", "nIn": 2, "numSummaries": 2}), [f32([3, 4, 5]), f32([3, 2, 5])]),
        case("SummaryImage", json!({"name": "im", "nIn": 1, "recoverFn": {"$fn": 0}}), [f32([2, 4])])
            .function(1, |xs| Ok(vec![xs[0].neg()?])),
        case("RandomUniform", json!({"shape": [3, 4], "minVal": -2.0}), []).random(),
        case("RandomUniform", json!({"shape": [5], "dtype": "float64", "sync": true}), []).random(),
        case("LocallyConnected1d", json!({"filters": 3, "kernelSize": 3}), [f32([2, 6, 4])]),
        case("LocallyConnected1d", json!({"filters": 2, "kernelSize": 5, "padding": "SAME"}), [f32([3, 2])]),
        case("LocallyConnected1d", json!({"filters": 2, "kernelSize": 5, "padding": "WRAP"}), [f32([2, 1, 3, 2])]),
        case("LocallyConnected1d", json!({"filters": 2, "kernelSize": 1, "useBias": false}), [f32([2, 3, 4])]),
        case("Flatten", json!({}), [f32([2, 3, 4])]),
        case("Flatten", json!({"nAxesToKeep": 2}), [f32([2, 0, 4])]),
        case("LogSoftmax", json!({}), [f32([3, 7])]),
        case("LogSoftmax", json!({"axis": 1}), [f32([2, 5, 3])]),
        case("LogSoftmax", json!({"axis": [0, 2]}), [f32([2, 5, 3])]),
        case("LogSoftmax", json!({"axis": null}), [f32([2, 3])]),
        case("LogSumExp", json!({"axis": 0}), [f32([4, 3])]),
        case("LogSumExp", json!({}), [ints([4, 3], 7)]),
        case("Softmax", json!({}), [f32([3, 7])]),
        case("Softmax", json!({"axis": 0}), [ints([3, 2], 5)]),
        case("Softmax", json!({"axis": [-1, 0]}), [f32([3, 2, 4])]),
        case("ToFloat", json!({}), [ints([3], 7)]),
        case("ToFloat", json!({}), [f32([3]).cast(DType::BF16).expect("floats")])
            .no_gradient_check("its result is float32 whatever its input is"),
        case("Mean", json!({}), [f32([3, 4])]),
        case("Mean", json!({"axis": [0, -1], "keepdims": true}), [ints([2, 3, 4], 7)]),
        case("Min", json!({"axis": 1, "keepdims": true}), [f32([2, 3, 4])]),
        case("Min", json!({"axis": null}), [ints([2, 3], 9)]),
        case("Max", json!({}), [f32([2, 3])]),
        case("Max", json!({"axis": [0, 1]}), [f32([2, 3, 2])]),
        case("Sum", json!({}), [f32([2, 3])]),
        case("Sum", json!({"axis": 0, "keepdims": true}), [bools([4, 3])]),
        case("ThresholdToBinary", json!({"threshold": 0.1}), [f32([9])]),
        case("ArgMax", json!({}), [f32([3, 4])]),
        case("ArgMax", json!({"axis": null}), [ints([3, 4], 11)]),
        case("Negate", json!({}), [f32([2, 5])]),
        case("StopGradient", json!({}), [f32([2, 3])]).no_gradient_check("it passes no gradient, and is no constant"),
    ]
}
