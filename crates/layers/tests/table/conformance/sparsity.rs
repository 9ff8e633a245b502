//! Cases of the module `research/sparsity`.
use super::case::{bools, case, f32, ints, new, segments, Case};
use serde_json::{json, Value};
use tallow_tensor::DType;

/// A hard choice has the gradient of a soft one.
const STRAIGHT_THROUGH: &str = "the gradient passes straight through a choice";
/// Weights in bfloat16 are cast to float64 by the check, but not what the layer declares.
const HALVES: &str = "the declared type is that of halves";

fn dense(n: usize) -> Value {
    new("Dense", json!({"nUnits": n}))
}

fn tanh() -> Value {
    new("Tanh", json!({}))
}

/// The cases.
pub fn cases() -> Vec<Case> {
    vec![
        case("ReversibleReshapePermute", json!({}), [f32([2, 3, 8])]),
        case("ReversibleReshapePermute", json!({}), [f32([16])]),
        case("ReversibleReshapePermute", json!({}), [f32([3, 1])]),
        case("ReversibleReshapePermute", json!({}), [ints([2, 4], 9)]),
        case("ReversibleRandomPermute", json!({}), [f32([2, 3, 7])]),
        case("ReversibleRandomPermute", json!({}), [f32([1])]),
        case("ReversibleRandomPermute", json!({}), [f32([2, 0])]),
        case("SplitLastAxis", json!({"numSplits": 3}), [f32([2, 6])]),
        case("SplitLastAxis", json!({"numSplits": 1}), [f32([1, 3, 5])]),
        case("SplitLastAxis", json!({"numSplits": 5}), [f32([0, 5])]),
        case("MergeLastTwoAxes", json!({}), [f32([2, 3, 4])]),
        case("MergeLastTwoAxes", json!({}), [f32([1, 3])]),
        case("MergeLastTwoAxes", json!({}), [f32([0, 2, 3])]),
        case("LocallyConnectedDense", json!({"nModules": 2, "nUnits": 3}), [f32([2, 3, 8])]),
        case(
            "LocallyConnectedDense",
            json!({"nModules": 3, "nUnits": 1, "kernelSize": 3, "useBias": false}),
            [f32([1, 6])],
        ),
        case("LocallyConnectedDense", json!({"nModules": 1, "nUnits": 3}), [f32([2, 4])]),
        case(
            "LocallyConvDense",
            json!({"nModules": 2, "nUnits": 3, "mode": "train", "kernelSize": 3, "lengthKernelSize": 3}),
            [f32([2, 4, 6])],
        )
        .steps_along(1),
        case(
            "LocallyConvDense",
            json!({"nModules": 3, "nUnits": 1, "mode": "eval", "lengthKernelSize": 2}),
            [f32([1, 1, 6])],
        )
        .steps_along(1),
        case(
            "LocallyConvDense",
            json!({"nModules": 2, "nUnits": 2, "mode": "predict", "kernelSize": 5}),
            [f32([2, 3, 4])],
        )
        .steps_along(1),
        case("LocallyConvDense", json!({"nModules": 1, "nUnits": 3, "mode": "train"}), [f32([0, 4])]),
        case("FactoredDense", json!({"nModules": 2, "dIn": 5, "dOut": 4}), [f32([2, 3, 5])]),
        case("FactoredDense", json!({"nModules": 3, "dIn": 4, "dOut": 6, "useBias": false}), [f32([1, 4])]),
        case("FactoredDense", json!({"nModules": 1, "dIn": 3, "dOut": 7}), [f32([0, 3])]),
        case(
            "FactoredDense",
            json!({"nModules": 2, "dIn": 3, "dOut": 2, "useBfloat16": true}),
            [f32([4, 3]).cast(DType::BF16).expect("floats")],
        ),
        case("ModularCausalAttention", json!({"dFeature": 6, "nHeads": 2, "sparsity": 3, "kernelSize": 3}), [f32([2, 4, 6])])
            .steps_along(1),
        case("ModularCausalAttention", json!({"dFeature": 4, "nHeads": 2, "dropout": 0.5}), [f32([2, 3, 4])]).random(),
        case("ModularCausalAttention", json!({"dFeature": 4, "nHeads": 2, "useSegments": true}), [f32([2, 7, 4]), segments([2, 7])])
            .steps_along(1),
        case("LowRankCausalAttention", json!({"dFeature": 4, "lowrank": 2, "useSegments": true}), [f32([2, 7, 4]), segments([2, 7])])
            .steps_along(1),
        case("ConvCausalAttention", json!({"dFeature": 4, "nHeads": 2, "useSegments": true}), [f32([2, 7, 4]), segments([2, 7])])
            .steps_along(1),
        case("MultiplicativeCausalAttention", json!({"dFeature": 4, "nHeads": 2, "useSegments": true}), [f32([2, 7, 4]), segments([2, 7])])
            .steps_along(1),
        case("MultiplicativeModularCausalAttention", json!({"dFeature": 4, "nHeads": 2, "useSegments": true}), [f32([2, 7, 4]), segments([2, 7])])
            .steps_along(1),
        case("MultiplicativeConvCausalAttention", json!({"dFeature": 4, "nHeads": 2, "lengthKernelSize": 1, "useSegments": true}), [f32([2, 7, 4]), segments([2, 7])])
            .steps_along(1),
        case("ConvCausalAttention", json!({"dFeature": 6, "nHeads": 2, "kernelSize": 3}), [f32([2, 4, 6])]).steps_along(1),
        case("ConvCausalAttention", json!({"dFeature": 3, "mode": "eval"}), [f32([1, 2, 3])]).steps_along(1),
        case("LowRankCausalAttention", json!({"dFeature": 6, "nHeads": 3, "lowrank": 2}), [f32([2, 4, 6])]).steps_along(1),
        case("LowRankCausalAttention", json!({"dFeature": 4, "lowrank": 3, "dropout": 0.5}), [f32([2, 3, 4])]).random(),
        case("MultiplicativeCausalAttention", json!({"dFeature": 6, "nHeads": 2, "sparsity": 3}), [f32([2, 4, 6])])
            .steps_along(1),
        case("MultiplicativeModularCausalAttention", json!({"dFeature": 4, "nHeads": 2}), [f32([2, 4, 4])]).steps_along(1),
        case(
            "MultiplicativeModularCausalAttention",
            json!({"dFeature": 4, "nHeads": 2, "mode": "predict", "maxInferenceLength": 3}),
            [f32([2, 1, 4])],
        ),
        case("MultiplicativeConvCausalAttention", json!({"dFeature": 4, "nHeads": 2}), [f32([2, 5, 4])]).steps_along(1),
        case(
            "MultiplicativeConvCausalAttention",
            json!({"dFeature": 6, "nHeads": 2, "sparsity": 3, "shareQk": true, "vConcatType": "fixed", "outputLayerType": "multconv"}),
            [f32([2, 3, 6])],
        )
        .steps_along(1),
        case(
            "MultiplicativeConvCausalAttention",
            json!({"dFeature": 4, "nHeads": 2, "vConcatType": "original", "outputLayerType": "conv", "dropout": 0.5, "lengthKernelSize": 2}),
            [f32([1, 4, 4])],
        )
        .random()
        .steps_along(1),
        case(
            "MultiplicativeConvCausalAttention",
            json!({"dFeature": 4, "dropout": 0.5, "forceNoDropout": true, "outputLayerType": "mult", "sparsity": 2}),
            [f32([1, 4, 4])],
        ),
        case("LowRankDense", json!({"nUnits": 3, "dLowrank": 2}), [f32([2, 3, 5])]),
        case("LowRankDense", json!({"nUnits": 1, "dLowrank": 4}), [f32([0, 2])]),
        case("EinsumDense", json!({"dInput": 4, "dOutput": 3, "useBias": true}), [f32([2, 3, 4])]),
        case("EinsumDense", json!({"dInput": 2, "dOutput": 5, "useBias": false}), [f32([2])]),
        case("RandomLayer", json!({"layerA": tanh(), "layerB": dense(3), "probA": 1}), [f32([2, 3])]),
        case("RandomLayer", json!({"layerA": tanh(), "layerB": dense(3), "probA": 0}), [f32([2, 3])]),
        case(
            "RandomLayer",
            json!({"layerA": new("Dropout", json!({"rate": 0.5})), "layerB": dense(3), "probA": 0.999}),
            [f32([2, 3])],
        )
        .random(),
        case("SparseDenseWithOptions", json!({"nUnits": 3}), [f32([2, 3, 4])]),
        case(
            "SparseDenseWithOptions",
            json!({"nUnits": 6, "dInput": 4, "sparsityType": "mult", "sparsity": 3}),
            [f32([2, 4])],
        ),
        case(
            "SparseDenseWithOptions",
            json!({"nUnits": 2, "dInput": 4, "sparsityType": "einsum", "sparsity": 1, "useBias": false}),
            [f32([1, 4])],
        ),
        case(
            "SparseDenseWithOptions",
            json!({"nUnits": 4, "sparsityType": "local3", "sparsity": 4, "probSparse": 0.5, "mode": "eval"}),
            [f32([2, 8])],
        ),
        case(
            "SparseDenseWithOptions",
            json!({"nUnits": 4, "sparsityType": "lowrank", "sparsity": 1, "dLowrank": 2, "probSparse": 0, "mode": "train"}),
            [f32([2, 3])],
        ),
        case("MultiplicativeModularSparseDense", json!({"sparsity": 2, "dFeature": 6}), [f32([2, 3, 6])]),
        case("MultiplicativeModularSparseDense", json!({"sparsity": 3, "dFeature": 3}), [f32([3])]),
        case("MultiplicativeModularSparseDense", json!({"sparsity": 1, "dFeature": 4}), [f32([0, 4])]),
        case(
            "FavorAttention",
            json!({"nHeads": 2}),
            [f32([4, 3, 5]), f32([4, 3, 5]), f32([4, 3, 2]), bools([2, 1, 1, 3])],
        ),
        case("FavorAttention", json!({}), [f32([2, 2, 3]), f32([2, 5, 3]), f32([2, 5, 2]), ints([2, 5], 2)]),
        case(
            "FavorAttention",
            json!({"dFeature": 6, "nHeads": 2, "nRandomFeatures": 5, "useApproximateSoftmax": true, "normalizeData": true}),
            [f32([4, 3, 3]), f32([4, 3, 3]), f32([4, 3, 2]), bools([2, 1, 1, 3])],
        ),
        case(
            "FavorAttention",
            json!({"nRandomFeatures": 4, "useApproximateSoftmax": true, "scaleByNorm": false}),
            [f32([2, 0, 4]), f32([2, 0, 4]), f32([2, 0, 2]), bools([2, 0])],
        ),
        case("Favor", json!({"dFeature": 4, "nHeads": 2}), [f32([2, 3, 4]), bools([2, 1, 1, 3])]),
        case(
            "Favor",
            json!({"dFeature": 4, "nRandomFeatures": 3, "useApproximateSoftmax": true, "scaleByNorm": 1}),
            [f32([1, 3, 4]), bools([1, 1, 1, 3])],
        ),
        case("CausalFavorAttention", json!({}), [f32([2, 4, 3]), f32([2, 4, 3]), f32([2, 4, 2])]).steps_along(1),
        case("CausalFavorAttention", json!({"mode": "eval"}), [f32([1, 70, 2]), f32([1, 70, 2]), f32([1, 70, 1])])
            .steps_along(1),
        case("CausalFavorAttention", json!({"mode": "predict"}), [f32([2, 3, 2]), f32([2, 3, 2]), f32([2, 3, 2])]),
        case("CausalFavorAttention", json!({}), [f32([2, 0, 2]), f32([2, 0, 2]), f32([2, 0, 2])]),
        case("CausalFavor", json!({"dFeature": 4, "nHeads": 2, "numericalStabilizer": 0.1}), [f32([2, 3, 4])]).steps_along(1),
        case(
            "SparseFF",
            json!({"dFf": 12, "nElementsInBlock": 3, "dLowrank": 2, "quantProb": 0}),
            [f32([2, 3, 4])],
        )
        .steps_along(1),
        case(
            "SparseFF",
            json!({"dFf": 6, "nElementsInBlock": 2, "dLowrank": 3, "quantProb": 0, "dropoutRate": 0.5, "dropoutSharedAxes": [0], "ffChunkSize": 2}),
            [f32([2, 2, 3])],
        )
        .random(),
        case(
            "SparseFF",
            json!({"dFf": 8, "nElementsInBlock": 4, "dLowrank": 2, "quantProb": 1, "temperature": 3}),
            [f32([4, 3])],
        )
        .random()
        .no_gradient_check(STRAIGHT_THROUGH),
        case(
            "SparseFF",
            json!({"dFf": 8, "nElementsInBlock": 4, "dLowrank": 2, "quantProb": 1, "temperature": 3, "multiplyByControllerOutput": true}),
            [f32([2, 1, 2, 3])],
        )
        .random()
        .no_gradient_check(STRAIGHT_THROUGH),
        case(
            "SparseFF",
            json!({"dFf": 6, "nElementsInBlock": 6, "dLowrank": 1, "mode": "eval", "multiplyByControllerOutput": true, "kernelScaling": true}),
            [f32([2, 3, 4])],
        )
        .steps_along(1),
        case(
            "SparseFF",
            json!({"dFf": 6, "nElementsInBlock": 3, "dLowrank": 2, "mode": "predict", "multiplyByControllerOutput": true}),
            [f32([2, 1, 4])],
        ),
        case("SparseFF", json!({"dFf": 6, "nElementsInBlock": 3, "mode": "predict"}), [f32([3])]),
        case("SparseFF", json!({"dFf": 6, "nElementsInBlock": 1, "mode": "eval"}), [f32([0, 3])]),
        case("SparseFF", json!({"dFf": 6, "nElementsInBlock": 2, "mode": "predict"}), [f32([2, 0, 3])]),
        case(
            "SparseFF",
            json!({"dFf": 6, "nElementsInBlock": 2, "mode": "eval", "useBfloat16": true, "multiplyByControllerOutput": true}),
            [f32([4, 3]).cast(DType::BF16).expect("floats")],
        )
        .no_gradient_check(HALVES),
        case(
            "SparseFF",
            json!({"dFf": 6, "nElementsInBlock": 2, "mode": "predict", "useBfloat16": true}),
            [f32([2, 3]).cast(DType::BF16).expect("floats")],
        )
        .no_gradient_check(HALVES),
        case("BlockSparseFF", json!({"dFf": 8, "nExperts": 4, "temperature": 3}), [f32([3, 2, 3])])
            .random()
            .no_gradient_check(STRAIGHT_THROUGH)
            .steps_along(1),
        case("BlockSparseFF", json!({"dFf": 6, "nExperts": 1, "mode": "eval"}), [f32([2, 3])]),
        case("BlockSparseFF", json!({"dFf": 6, "nExperts": 3, "mode": "predict"}), [f32([2, 3, 4])]),
        case("BlockSparseFF", json!({"dFf": 6, "nExperts": 6, "mode": "predict"}), [f32([0, 4])]),
        case("SwitchSparseFF", json!({"dFf": 8, "nExperts": 4, "temperature": 3}), [f32([3, 2, 3])])
            .random()
            .steps_along(1),
        case("SwitchSparseFF", json!({"dFf": 4, "nExperts": 4, "mode": "eval"}), [f32([3])]),
        case("SwitchSparseFF", json!({"dFf": 6, "nExperts": 3, "mode": "predict"}), [f32([2, 3, 4])]),
        case("SwitchSparseFF", json!({"dFf": 6, "nExperts": 2}), [f32([0, 4])]),
    ]
}
