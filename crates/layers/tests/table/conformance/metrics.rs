//! Cases of the module `metrics`.
use super::case::{case, f32, ints, new, positive, Case};
use serde_json::json;
use tallow_tensor::Tensor;

const COUNTS: &str = "counts are constants to autodiff, also as functions of the weights";

fn probabilities<const N: usize>(shape: [usize; N]) -> Tensor {
    f32(shape).sigmoid().expect("floats")
}

/// The cases.
pub fn cases() -> Vec<Case> {
    let threshold = || new("ThresholdToBinary", json!({}));
    let embedding = || new("Embedding", json!({"vocabSize": 7, "dFeature": 3}));
    vec![
        case("CategoryAccuracy", json!({}), [f32([2, 4, 3]), ints([2, 4], 3)]),
        case("WeightedCategoryAccuracy", json!({}), [f32([6, 5]), ints([6], 5), positive([6])]),
        case("WeightedCategoryAccuracy", json!({}), [f32([2, 3, 5]), ints([2, 3], 5), positive([3])]),
        case("CategoryCrossEntropy", json!({}), [f32([6, 5]), ints([6], 5)]),
        case("CategoryCrossEntropy", json!({"labelSmoothing": 0.2}), [f32([2, 3, 4]), ints([2, 3], 4)]),
        case("CategoryCrossEntropy", json!({"labelSmoothing": null}), [f32([2, 3, 4]), ints([2, 3, 1], 4)]),
        case("CategoryCrossEntropy", json!({"ignoreLabel": 2}), [f32([2, 3, 4]), ints([2, 3], 4)]),
        case("CategoryAccuracy", json!({"ignoreLabel": 0}), [f32([6, 3]), ints([6], 3)]),
        case("WeightedCategoryAccuracy", json!({"ignoreLabel": 1}), [f32([6, 3]), ints([6, 1], 3), positive([6, 1])]),
        case("WeightedCategoryCrossEntropy", json!({}), [f32([6, 5]), ints([6], 5), positive([6])]),
        case(
            "WeightedCategoryCrossEntropy",
            json!({"labelSmoothing": 0.1, "cutoff": 1.2}),
            [f32([2, 4, 5]), ints([2, 4], 5), positive([2, 1])],
        ),
        case(
            "WeightedCategoryCrossEntropy",
            json!({"labelSmoothing": 0.1, "ignoreLabel": 3}),
            [f32([2, 4, 5]), ints([2, 4], 5), positive([4])],
        ),
        case("LinearCrossEntropy", json!({"vocabSize": 5}), [f32([6, 3]), ints([6], 5)]),
        case("LinearCrossEntropy", json!({"vocabSize": 5}), [ints([6, 3], 4), ints([6], 5)]),
        case(
            "LinearCrossEntropy",
            json!({"vocabSize": 90, "useBias": false, "labelSmoothing": 0.2, "ignoreLabel": 3}),
            [f32([2, 3, 4]), ints([2, 3, 1], 90)],
        ),
        case("LinearCrossEntropy", json!({"vocabSize": 7, "embedding": embedding()}), [f32([4, 3]), ints([4], 7)]),
        case("WeightedLinearCrossEntropy", json!({"vocabSize": 5}), [f32([6, 3]), ints([6], 5), positive([6])]),
        case(
            "WeightedLinearCrossEntropy",
            json!({"vocabSize": 70, "labelSmoothing": 0.1, "cutoff": 1.2}),
            [f32([2, 4, 3]), ints([2, 4], 70), positive([2, 1])],
        ),
        case(
            "WeightedLinearCrossEntropy",
            json!({"vocabSize": 7, "embedding": embedding(), "useBias": false, "ignoreLabel": 2}),
            [f32([4, 3]), ints([4], 7), positive([])],
        ),
        case("BinaryCrossEntropy", json!({}), [f32([7]), ints([7], 2)]),
        case("BinaryCrossEntropy", json!({}), [f32([2, 3]), probabilities([2, 3])]),
        case("MaskedSequenceAccuracy", json!({}), [f32([8, 2, 2]), ints([8, 2], 2), ints([8, 2], 2)]),
        case("Accuracy", json!({}), [f32([6, 5]), ints([6], 5), positive([6])]),
        case("Accuracy", json!({"classifier": threshold()}), [f32([9]), ints([9], 2), positive([9])]),
        case("SequenceAccuracy", json!({}), [f32([8, 2, 2]), ints([8, 2], 2), ints([8, 2], 2)])
            .no_gradient_check("weights are 0 or 1, where it has steps"),
        case("SequenceAccuracy", json!({"classifier": threshold()}), [f32([9]), ints([9], 2), ints([9], 2)])
            .no_gradient_check("weights are 0 or 1, where it has steps"),
        case("CrossEntropyLoss", json!({}), [f32([2, 3, 4]), ints([2, 3], 4), positive([2, 3])]),
        case("CrossEntropyLoss", json!({}), [f32([2, 3, 4]), ints([2, 3, 1], 4), positive([3])]),
        case("CrossEntropyLossWithLogSoftmax", json!({}), [f32([6, 5]), ints([6], 5), positive([6])]),
        case("BinaryCrossEntropyLoss", json!({}), [probabilities([7]), probabilities([7]), positive([7])]),
        case("BinaryCrossEntropyLoss", json!({}), [probabilities([4, 1]), ints([4, 1], 2), positive([4])]),
        case("BinaryCrossEntropyLoss", json!({}), [probabilities([4, 1]), ints([4, 1], 2), positive([4, 1])]),
        case("L2Loss", json!({}), [f32([3, 4]), positive([3, 4]), positive([3, 4])]),
        case("SmoothL1Loss", json!({}), [f32([11]), positive([11]), positive([11])]),
        case("MacroAveragedFScore", json!({"beta": 2.0}), [f32([12, 3]), ints([12], 3)]),
        case("WeightedFScore", json!({"initialCategoryIndex": 1}), [f32([4, 3, 3]), ints([4, 3], 3)]),
        case("WeightedSum", json!({}), [f32([3, 4]), f32([4])]),
        case("WeightedSum", json!({}), [ints([3], 4), ints([3], 2)]),
        case("CrossEntropySum", json!({}), [f32([2, 3, 4]), ints([2, 3], 4), positive([2, 3])]),
        case("BinaryCrossEntropySum", json!({}), [probabilities([7]), probabilities([7]), positive([3])]),
        case("BinaryCrossEntropySum", json!({}), [probabilities([4, 2]), ints([4, 2], 2), positive([2, 2])]),
        case("MeanSquaredError", json!({}), [f32([3, 4]), positive([3, 4])]),
        case("MeanSquaredError", json!({}), [ints([5], 4), f32([5])]),
        case("MeanAbsoluteError", json!({}), [f32([11]), positive([11])]),
        case("TopKAccuracy", json!({"k": 2}), [f32([2, 4, 3]), ints([2, 4], 3)]),
        case("TopKAccuracy", json!({"k": 1, "ignoreLabel": 1}), [f32([6, 3]), ints([6, 1], 3)]),
        case("TopKAccuracy", json!({"k": 3, "weighted": true}), [f32([6, 5]), ints([6], 5), positive([6])]),
        case("Perplexity", json!({}), [f32([2, 3, 4]), ints([2, 3], 4)]),
        case("Perplexity", json!({"ignoreLabel": 2}), [f32([2, 3, 4]), ints([2, 3], 4)]),
        case("Perplexity", json!({"weighted": true, "ignoreLabel": 0}), [f32([6, 5]), ints([6], 5), positive([6])]),
        case("BitsPerByte", json!({}), [f32([2, 3, 4]), ints([2, 3], 4), positive([2, 3])]),
        case("BitsPerByte", json!({"ignoreLabel": 1}), [f32([6, 5]), ints([6], 5), ints([6], 4)]),
        case("ConfusionMatrix", json!({}), [f32([12, 3]), ints([12], 3)]),
        case("ConfusionMatrix", json!({"weighted": true}), [f32([2, 3, 4]), ints([2, 3], 4), positive([3])])
            .no_gradient_check(COUNTS),
        case("Precision", json!({}), [f32([12, 3]), ints([12], 3)]),
        case("Precision", json!({"weighted": true}), [f32([12, 3]), ints([12], 3), positive([12])])
            .no_gradient_check(COUNTS),
        case("Recall", json!({"ignoreLabel": 0}), [f32([4, 3, 3]), ints([4, 3], 3)]),
        case("Recall", json!({"weighted": true}), [f32([12, 3]), ints([12, 1], 3), positive([1])])
            .no_gradient_check(COUNTS),
        case("FScore", json!({"beta": 2.0}), [f32([12, 3]), ints([12], 3)]),
        case("FScore", json!({"weighted": true}), [f32([12, 3]), ints([12], 3), positive([12])])
            .no_gradient_check(COUNTS),
    ]
}
