//! Layers on weights that others read in the same place.
use serde_json::{json, Value};
use tallow_layers::{
    call, combinators::serial, from_shared, held, hold, init, is_quantized, quantize, refuse_shared, registry, share,
    view_weights, ErrorKind, LayerRef, Store, TensorSpec,
};
use tallow_tensor::{
    ops::Quantization,
    random::Key,
    testing::{assert_same_bits, random},
    DType, Tensor,
};

fn made(kind: &str, options: Value) -> LayerRef {
    registry::construct(kind, &options).unwrap()
}

/// A model with state in mode `'predict'`.
fn ready() -> LayerRef {
    let model = serial(vec![
        made("Dense", json!({"nUnits": 40})),
        made("CausalAttention", json!({"dFeature": 40, "nHeads": 2, "mode": "predict", "maxInferenceLength": 9})),
    ]);
    let (weights, state) = init(&model, &[TensorSpec::new([2, 3, 40], DType::F32)], Key([5, 6])).unwrap();
    hold(&model, Some(&weights), Some(&state));
    model
}

/// What a call gives, after which the layer goes on.
fn run(layer: &LayerRef) -> Tensor {
    let x = random(&[2, 3, 40], 3).cast(DType::F32).unwrap();
    let (mut ys, state) = call(layer, vec![x], Key([1, 2])).unwrap();
    state.keep();
    ys.remove(0)
}

/// Addresses of the weights, in order.
fn places(layer: &LayerRef) -> Vec<usize> {
    let weights = view_weights(layer, &held(layer).0);
    let matrices = weights.matrices().into_iter().map(|m| m.storage_id());
    weights.leaves().into_iter().map(Tensor::storage_id).chain(matrices).collect()
}

#[test]
fn a_shared_layer_reads_the_same_weights_and_has_state_of_its_own() {
    let model = ready();
    let shared = share(&model).unwrap();
    let [one, two] = [from_shared(&shared), from_shared(&shared)];
    assert_eq!(places(&one), places(&model));
    assert_eq!(places(&two), places(&model));
    let first = run(&model);
    assert_same_bits(&run(&one), &first);
    // The first two have read three positions, the third nothing yet.
    let second = run(&one);
    assert!(second.to_vec::<f32>().unwrap() != first.to_vec::<f32>().unwrap());
    assert_same_bits(&run(&two), &first);
    assert_same_bits(&run(&model), &second);
}

#[test]
fn shared_weights_stay_while_the_layer_gets_others() {
    let model = ready();
    let shared = share(&model).unwrap();
    let expected = run(&from_shared(&shared));
    let zeros = |tree: &tallow_layers::Tree<Tensor>| tree.map(&mut |t| t.mul_scalar(0.0).unwrap());
    let other: Store = held(&model).0.iter().map(|(id, tree)| (*id, zeros(tree))).collect();
    hold(&model, Some(&other), None);
    assert_same_bits(&run(&from_shared(&shared)), &expected);
    assert!(refuse_shared("training", &model).is_ok());
    let refused = refuse_shared("training", &from_shared(&shared)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidArgument);
    assert!(
        refused.message().starts_with("training: the weights of Serial are shared with other threads"),
        "{refused}"
    );
}

#[test]
fn a_shared_model_is_quantized_to_weights_of_its_own() {
    let model = ready();
    let shared = from_shared(&share(&model).unwrap());
    for quantization in Quantization::ALL {
        let [small, expected] = [&shared, &model].map(|m| quantize(m, quantization).unwrap());
        assert!(is_quantized(&small) && !is_quantized(&shared));
        assert!(refuse_shared("training", &small).is_ok(), "they are nobody else's");
        assert_same_bits(&run(&small), &run(&expected));
    }
    assert_eq!(places(&shared), places(&model));
}

#[test]
fn a_quantized_model_is_shared_without_a_copy() {
    let small = quantize(&ready(), Quantization::Int8).unwrap();
    let other = from_shared(&share(&small).unwrap());
    assert!(is_quantized(&other));
    assert_eq!(places(&other), places(&small));
    assert_same_bits(&run(&other), &run(&small));
    let again = quantize(&other, Quantization::Int8).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::InvalidArgument);
    assert!(again.message().starts_with("quantize needs float32 weights"), "{again}");
}

#[test]
fn a_layer_without_weights_is_neither_shared_nor_quantized() {
    let fresh = serial(vec![made("Relu", json!({})), made("Dense", json!({"nUnits": 40}))]);
    let refused = share(&fresh).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotInitialized);
    assert_eq!(refused.message(), "share: Serial has no weights to share; call init(signature) first");
    let refused = quantize(&fresh, Quantization::Int8).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotInitialized);
    assert_eq!(refused.path().last().map(String::as_str), Some("Relu"));
}
