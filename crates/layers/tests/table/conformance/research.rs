//! Cases of the modules of `research`.
use super::case::{case, f32, segments, Case};
use serde_json::json;
use std::sync::Arc;
use tallow_layers::{HostFn, HostValue, Result};
use tallow_tensor::{DType, Tensor};

/// True up to a length that differs by example.
fn valid<const N: usize>(shape: [usize; N]) -> Tensor {
    let [batch, length] = shape[..] else { unreachable!("masks are (batch, length)") };
    let at = |i: usize| u8::from(i % length < length - 1 - (i / length) % 3);
    Tensor::from_bools((0..batch * length).map(at).collect(), &shape).expect("as many as fit")
}

fn half<const N: usize>(shape: [usize; N], dtype: DType) -> Tensor {
    f32(shape).cast(dtype).expect("a cast of floats")
}

/// The cases.
pub fn cases() -> Vec<Case> {
    let rounded = "its result has the type of the input, whatever its weights are";
    let swallowed = "in float64 1e9 leaves a millionth of the products, too little to be checked by differences";
    let pair = || [f32([4, 8, 4]), f32([4, 8, 3])];
    vec![
        case("SelfAttention", json!({"dQk": 3, "dV": 4}), [f32([2, 5, 6])]),
        case("SelfAttention", json!({"dQk": 3, "dV": 4, "causal": true, "shareQk": true, "bias": true}), [f32([1, 7, 5])]),
        case("SelfAttention", json!({"dQk": 3, "dV": 2, "masked": true}), [f32([2, 5, 6]), valid([2, 5])]),
        case("SelfAttention", json!({"nHeads": 1, "dQk": 3, "dV": 2, "chunkLen": 3, "nChunksBefore": 1, "causal": true}), [f32([2, 7, 4])])
            .steps_along(1),
        case("SelfAttention", json!({"dQk": 3, "dV": 2, "chunkLen": 2, "nChunksBefore": 1, "nChunksAfter": 1, "shareQk": true, "masked": true}), [f32([2, 6, 4]), valid([2, 6])]),
        case("SelfAttention", json!({"dQk": 3, "dV": 2, "causal": true, "bias": true, "shareQk": true, "predictMemLen": 8, "predictDropLen": 1}), [f32([2, 6, 4])])
            .steps_along(1),
        case("SelfAttention", json!({"dQk": 3, "dV": 2, "causal": true, "masked": true, "predictMemLen": 8, "predictDropLen": 4}), [f32([2, 6, 4]), valid([2, 6])])
            .steps_along(1),
        case("SelfAttention", json!({"dQk": 3, "dV": 2, "attentionDropout": 0.4, "outputDropout": 0.2}), [f32([2, 6, 4])]).random(),
        case("SelfAttention", json!({"dQk": 3, "dV": 2, "useReferenceCode": true, "chunkLen": 4}), [f32([0, 6, 4])]),
        case("SelfAttention", json!({"dQk": 3, "dV": 2}), [half([2, 6, 4], DType::BF16)]).no_gradient_check(rounded),
        case("SelfAttention", json!({"dQk": 3, "dV": 4, "useSegments": true}), [f32([2, 8, 6]), segments([2, 8])]),
        case("SelfAttention", json!({"dQk": 3, "dV": 2, "causal": true, "bias": true, "shareQk": true, "useSegments": true, "predictMemLen": 8, "predictDropLen": 1}), [f32([2, 7, 4]), segments([2, 7])])
            .steps_along(1),
        case("SelfAttention", json!({"nHeads": 1, "dQk": 3, "dV": 2, "chunkLen": 3, "nChunksBefore": 1, "causal": true, "useSegments": true}), [f32([2, 7, 4]), segments([2, 7])])
            .steps_along(1),
        case("SelfAttention", json!({"dQk": 3, "dV": 2, "masked": true, "useSegments": true}), [f32([2, 8, 6]), valid([2, 8]), segments([2, 8])])
            .no_gradient_check(swallowed),
        case("LSHSelfAttention", json!({"dQk": 4, "dV": 3, "chunkLen": 3, "nHashes": 2, "nBuckets": 4, "causal": true, "useSegments": true}), [f32([2, 8, 5]), segments([2, 8])]),
        case("LSHSelfAttention", json!({"dQk": 4, "dV": 3, "chunkLen": 9, "nChunksBefore": 0, "nBuckets": 4, "causal": true, "useSegments": true}), [f32([2, 8, 5]), segments([2, 8])])
            .steps_along(1),
        case("LSHSelfAttention", json!({"dQk": 4, "dV": 3, "chunkLen": 8, "nBuckets": 4, "causal": true, "masked": true, "useSegments": true}), [f32([2, 6, 5]), valid([2, 6]), segments([2, 6])])
            .no_gradient_check(swallowed),
        case("PureLSHSelfAttention", json!({"nHeads": 2, "chunkLen": 9, "nChunksBefore": 0, "causal": true, "nBuckets": 2, "useSegments": true}), pair().into_iter().chain([segments([2, 8])]))
            .steps_along(1),
        case("MixedLSHSelfAttention", json!({"nHeads": 2, "causal": true, "stdLength": 4, "chunkLen": 4, "useSegments": true}), pair().into_iter().chain([segments([2, 8])])),
        case("MixedLSHSelfAttention", json!({"nHeads": 2, "causal": true, "stdLength": 8, "useSegments": true}), pair().into_iter().chain([segments([2, 8])])),
        case("MixedLSHSelfAttention", json!({"masked": true, "nHeads": 2, "stdLength": 8, "useSegments": true}), [f32([4, 8, 4]), f32([4, 8, 4]), valid([2, 8]), segments([2, 8])])
            .no_gradient_check(swallowed),
        case("PureLSHSelfAttentionWrapper", json!({"nHeads": 2, "dQk": 3, "dV": 3, "numWeights": 2, "chunkLen": 4, "useSegments": true}), [f32([2, 8, 6]), segments([2, 8])]),
        case("EncDecAttention", json!({"dQk": 3, "dV": 2, "masked": false, "useSegments": true}), [f32([2, 3, 6]), f32([2, 5, 4]), segments([2, 3]), segments([2, 5])]),
        case("EncDecAttention", json!({"dQk": 3, "dV": 2, "useSegments": true}), [f32([2, 7, 6]), f32([2, 5, 4]), valid([2, 5]), segments([2, 7]), segments([2, 5])])
            .no_gradient_check(swallowed),
        case("LSHSelfAttention", json!({"dQk": 4, "dV": 3, "chunkLen": 4, "causal": true}), [f32([2, 8, 5])]),
        case("LSHSelfAttention", json!({"dQk": 4, "dV": 3, "chunkLen": 3, "nHashes": 2, "nBuckets": 4, "bias": true}), [f32([1, 10, 5])]),
        case("LSHSelfAttention", json!({"dQk": 4, "dV": 3, "chunkLen": 4, "nHashes": 2, "nBuckets": [2, 4], "masked": true, "nChunksAfter": 1}), [f32([2, 8, 5]), valid([2, 8])])
            .no_gradient_check(swallowed),
        case("LSHSelfAttention", json!({"dQk": 4, "dV": 3, "chunkLen": 9, "nChunksBefore": 0, "nBuckets": 4, "causal": true}), [f32([2, 8, 5])]).steps_along(1),
        case("LSHSelfAttention", json!({"dQk": 4, "dV": 3, "chunkLen": 8, "nBuckets": 4, "causal": true, "masked": true, "bias": true}), [f32([2, 6, 5]), valid([2, 6])])
            .no_gradient_check(swallowed),
        case("LSHSelfAttention", json!({"dQk": 4, "dV": 3, "chunkLen": 4, "attentionDropout": 0.4, "outputDropout": 0.2, "maxLengthForBuckets": 12}), [f32([2, 8, 5])])
            .random(),
        case("LSHSelfAttention", json!({"dQk": 4, "dV": 3, "chunkLen": 4}), [half([2, 8, 5], DType::F16)]).no_gradient_check(rounded),
        case("PureLSHSelfAttention", json!({"chunkLen": 4, "causal": true}), pair()),
        case("PureLSHSelfAttention", json!({"chunkLen": 3, "nHashes": 3, "nBuckets": 4, "attentionDropout": 0.3}), pair()).random(),
        case("PureLSHSelfAttention", json!({"chunkLen": 4, "masked": true}), [f32([4, 8, 4]), f32([4, 8, 4]), valid([2, 8])])
            .no_gradient_check(swallowed),
        case("PureLSHSelfAttention", json!({"nHeads": 4, "chunkLen": 9, "nChunksBefore": 0, "causal": true, "nBuckets": 2}), pair()).steps_along(1),
        case("MixedLSHSelfAttention", json!({"causal": true, "stdLength": 4, "chunkLen": 4, "nHashes": 2}), pair()),
        case("MixedLSHSelfAttention", json!({"causal": true, "stdLength": 8, "attentionDropout": 0.4}), pair()).random(),
        case("MixedLSHSelfAttention", json!({"masked": true, "nHeads": 2, "stdLength": 8}), [f32([4, 8, 4]), f32([4, 8, 4]), valid([2, 8])]),
        case("PureLSHSelfAttentionWrapper", json!({"nHeads": 2, "dQk": 3, "dV": 3, "numWeights": 2, "chunkLen": 4}), [f32([2, 8, 6])]),
        case("PureLSHSelfAttentionWrapper", json!({"nHeads": 2, "dQk": 2, "dV": 2, "bias": false, "causal": true, "rotaryPositionEmb": true, "chunkLen": 4}), [f32([1, 7, 4])]),
        case(
            "PureLSHSelfAttentionWrapper",
            json!({"nHeads": 2, "dQk": 2, "dV": 2, "causal": true, "pureLshImplementation": {"$factory": "MixedLSHSelfAttention", "options": {}}, "stdLength": 8, "chunkLen": 4}),
            [f32([2, 8, 4])],
        ),
        case(
            "PureLSHSelfAttentionWrapper",
            json!({"nHeads": 2, "dQk": 4, "dV": 4, "numWeights": 2, "weightsFormat": "sparse", "sparsity": 2, "chunkLen": 4}),
            [f32([1, 8, 8])],
        ),
        case(
            "PureLSHSelfAttentionWrapper",
            json!({"nHeads": 2, "dQk": 2, "dV": 2, "causal": true, "weightsFormat": "sparse", "sparsity": 2, "chunkLen": 4}),
            [f32([2, 6, 4])],
        ),
        case("EncDecAttention", json!({"dQk": 3, "dV": 2, "masked": false}), [f32([2, 3, 6]), f32([2, 5, 4])]),
        case("EncDecAttention", json!({"nHeads": 1, "dQk": 3, "dV": 2}), [f32([2, 3, 6]), f32([2, 5, 6]), valid([2, 5])])
            .no_gradient_check(swallowed),
        case("EncDecAttention", json!({"nHeads": 3, "dQk": 3, "dV": 2, "masked": false, "attentionDropout": 0.4, "outputDropout": 0.2}), [f32([1, 3, 6]), f32([1, 5, 6])])
            .random(),
        case("LSHFF", json!({"dFf": 12, "nBuckets": 4}), [f32([2, 3, 5])]).random(),
        case("LSHFF", json!({"dFf": 7, "nBuckets": [2, 2], "nHashes": 2, "mode": "eval"}), [f32([4, 5])]).random(),
        case("LSHFF", json!({"dFf": 16, "nBuckets": 8, "nHashes": 1, "mode": "predict"}), [f32([2, 3, 6])]).random(),
        case("LSHFF", json!({"dFf": 9, "nBuckets": 4}), [f32([2, 5, 4])]).random().steps_along(1),
        case("EfficientAttentionBase", json!({"nHeads": 2, "driver": {"$fn": 0}}), [f32([2, 4, 3])]).host(Arc::new(Average)),
        case("EfficientAttentionBase", json!({"nHeads": 3, "name": "Average", "useReferenceCode": true, "driver": {"$fn": 0}}), [f32([1, 4, 2])])
            .host(Arc::new(Average)),
        case(
            "EfficientAttentionBase",
            json!({"nHeads": 1, "incremental": true, "predictMemLen": 6, "predictDropLen": 2, "driver": {"$fn": 0}}),
            [f32([2, 1, 3])],
        )
        .host(Arc::new(Average)),
        case("Rotate", json!({}), [f32([2, 5, 6])]).steps_along(1),
        case("Rotate", json!({}), [f32([1, 3, 2])]),
        case("Rotate", json!({}), [f32([0, 3, 4])]),
    ]
}

/// A class of the host: gives each position the mean of the sequence through a weight per feature, and counts calls.
#[derive(Debug)]
struct Average;

impl HostFn for Average {
    fn call(&self, args: &[HostValue]) -> Result<HostValue> {
        let HostValue::Text(method) = &args[0] else { panic!("a method, got {args:?}") };
        if method == "createStateUnbatched" {
            return Ok(HostValue::Tensor(Tensor::scalar(0i32)));
        }
        let HostValue::List(first) = &args[2] else { panic!("a list, got {args:?}") };
        if method == "createWeightsUnbatched" {
            let HostValue::Record(signature) = &first[0] else { panic!("a signature") };
            let HostValue::List(shape) = &signature[0].1 else { panic!("a shape") };
            let [HostValue::Number(_), HostValue::Number(n)] = shape[..] else { panic!("two sizes, no batch") };
            let HostValue::Tensor(key) = &args[3] else { panic!("a key") };
            let key = tallow_layers::key_of(key).expect("a key");
            let w = tallow_tensor::random::normal(key, &[n as usize], DType::F32)?;
            return Ok(HostValue::List(vec![HostValue::Tensor(w)]));
        }
        let HostValue::Tensor(x) = &first[0] else { panic!("an input") };
        let HostValue::Record(context) = &args[3] else { panic!("a context") };
        let get = |name: &str| &context.iter().find(|(n, _)| n == name).expect("an entry of the context").1;
        let w = get("weights").clone().into_tensors()?.remove(0);
        let HostValue::Tensor(calls) = get("state") else { panic!("a state") };
        let (update, at) = match (method.as_str(), get("updateState")) {
            ("forwardUnbatched", HostValue::Bool(update)) => (*update, None),
            ("incrementalForwardUnbatched", HostValue::Bool(update)) => match (get("qStart"), get("qLen")) {
                (HostValue::Number(start), HostValue::Number(n)) => (*update, Some((*start as usize, *n as usize))),
                other => panic!("places, got {other:?}"),
            },
            other => panic!("no method {other:?}"),
        };
        let calls = calls.add_scalar(i32::from(update))?;
        let mixed = x.tanh()?.mean(0, true)?.add(x)?.mul(&w)?;
        let y = match at {
            None => mixed,
            Some((start, n)) => mixed.narrow(0, start, n)?,
        };
        Ok(HostValue::List(vec![HostValue::Tensor(y), HostValue::Tensor(calls)]))
    }
    fn arity(&self) -> usize {
        3
    }
}
