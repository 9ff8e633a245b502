//! Copies of layers whose matrices of weights are held in fewer bits.
use serde_json::{json, Value};
use tallow_layers::{
    call,
    combinators::serial,
    core::{tied_dense, TiedDenseOptions},
    held, hold, init, is_quantized, quantize, refuse_quantized, registry, view_weights, with_mode, ErrorKind, LayerArg,
    LayerRef, Mode, TensorSpec, Tree,
};
use tallow_tensor::{
    ops::Quantization,
    random::Key,
    testing::{assert_same_bits, random},
    Axes, DType, Tensor,
};

fn made(kind: &str, options: Value) -> LayerRef {
    registry::construct(kind, &options).unwrap()
}

fn ready(layers: Vec<LayerRef>, input: TensorSpec) -> LayerRef {
    let model = serial(layers);
    let (weights, state) = init(&model, &[input], Key([3, 4])).unwrap();
    hold(&model, Some(&weights), Some(&state));
    model
}

fn ids() -> TensorSpec {
    TensorSpec::new([2, 5], DType::I32)
}

/// A model of an embedding, attention, a layer of its own for one more matrix, and an output tied to the embedding.
fn tied() -> LayerRef {
    let embedding = made("Embedding", json!({"vocabSize": 40, "dFeature": 32}));
    let output = tied_dense(TiedDenseOptions { use_bias: true, ..TiedDenseOptions::new(LayerArg(embedding.clone())) });
    ready(
        vec![
            embedding,
            made("CausalAttention", json!({"dFeature": 32, "nHeads": 2, "mode": "eval"})),
            made("LayerNorm", json!({})),
            made("Dense", json!({"nUnits": 32, "useBias": false})),
            output.unwrap(),
        ],
        ids(),
    )
}

fn run(layer: &LayerRef, x: Tensor) -> Tensor {
    call(layer, vec![x], Key([1, 2])).unwrap().0.remove(0)
}

fn some_ids() -> Tensor {
    Tensor::from_vec((0..10).map(|i| i * 7 % 40).collect::<Vec<i32>>(), &[2, 5]).unwrap()
}

#[test]
fn a_copy_computes_nearly_the_same_from_less_memory() {
    let model = tied();
    let exact = run(&model, some_ids());
    for (quantization, off) in [(Quantization::Int8, 0.05), (Quantization::Bfloat16, 0.02)] {
        let small = quantize(&model, quantization).unwrap();
        let y = run(&small, some_ids());
        let most = y.sub(&exact).unwrap().abs().unwrap().max(Axes::All, false).unwrap().item().unwrap();
        assert!(most > 0.0 && most < off, "{quantization:?}: {most}");
        // Embedding, the four of attention, and one more; the output has its own bias alone.
        let matrices: usize = held(&small).0.values().map(|tree| tree.matrices().len()).sum();
        assert_eq!(matrices, 6);
        assert!(is_quantized(&small) && !is_quantized(&model));
        assert_same_bits(&run(&model, some_ids()), &exact);
    }
}

#[test]
fn bfloat16_is_the_model_with_rounded_matrices() {
    let model = tied();
    let small = quantize(&model, Quantization::Bfloat16).unwrap();
    let round = |t: &Tensor| match t.rank() {
        2 => t.cast(DType::BF16).unwrap().cast(DType::F32).unwrap(),
        _ => t.clone(),
    };
    let rounded = held(&model).0.into_iter().map(|(id, tree)| (id, tree.map(&mut |t| round(t)))).collect();
    hold(&model, Some(&rounded), None);
    assert_same_bits(&run(&small, some_ids()), &run(&model, some_ids()));
    // What is shown has the shapes and nesting of the model's own weights.
    let (a, b) = (view_weights(&small, &held(&small).0).shown().unwrap(), view_weights(&model, &held(&model).0));
    assert_eq!(a.describe(), b.describe());
    a.leaves().into_iter().zip(b.leaves()).for_each(|(a, b)| assert_same_bits(a, b));
}

#[test]
fn small_matrices_and_other_layers_stay_float32() {
    let model = ready(
        vec![
            made("Dense", json!({"nUnits": 31})),
            made("CausalConv", json!({"filters": 31})),
            made("SelfAttention", json!({"dQk": 16, "dV": 16})),
            made("Dense", json!({"nUnits": 64, "useBfloat16": true})),
        ],
        TensorSpec::new([2, 3, 33], DType::F32),
    );
    // 33 · 31 = 1023 weights; those of a convolution and of each head have three axes, those of the last layer are no float32.
    assert!(!is_quantized(&quantize(&model, Quantization::Int8).unwrap()));
}

/// One after the other, so that each gets what others rounded.
fn recurrent(units: usize) -> LayerRef {
    let of = |kind: &str| made(kind, json!({"nUnits": units, "mode": "eval"}));
    ready(vec![of("LSTM"), of("GRU"), of("SRU")], TensorSpec::new([2, 5, 24], DType::F32))
}

#[test]
fn recurrent_layers_compute_nearly_the_same_from_less_memory() {
    let model = recurrent(40);
    let x = random(&[66, 5, 24], 4).cast(DType::F32).unwrap();
    let exact = run(&model, x.clone());
    for (quantization, off) in [(Quantization::Int8, 0.02), (Quantization::Bfloat16, 0.01)] {
        let small = quantize(&model, quantization).unwrap();
        // One of the LSTM, two of the GRU, and that of the SRU, whose input is as deep as its state.
        assert_eq!(held(&small).0.values().map(|tree| tree.matrices().len()).sum::<usize>(), 4);
        let y = run(&small, x.clone());
        let most = y.sub(&exact).unwrap().abs().unwrap().max(Axes::All, false).unwrap().item().unwrap();
        assert!(most > 0.0 && most < off, "{quantization:?}: {most}");
        for i in [0, 7, 65] {
            assert_same_bits(&run(&small, x.narrow(0, i, 1).unwrap()), &y.narrow(0, i, 1).unwrap());
        }
        // Step by step in mode 'predict' it is what it is at once.
        let steps = with_mode(&small, Mode::Predict);
        for at in 0..5 {
            let (ys, state) = call(&steps, vec![x.narrow(1, at, 1).unwrap()], Key([1, 2])).unwrap();
            state.keep();
            assert_same_bits(&ys[0], &y.narrow(1, at, 1).unwrap());
        }
        let (a, b) = (view_weights(&small, &held(&small).0).shown().unwrap(), view_weights(&model, &held(&model).0));
        assert_eq!(a.describe(), b.describe());
    }
    let narrow =
        ready(vec![made("SRU", json!({"nUnits": 40, "mode": "eval"}))], TensorSpec::new([1, 2, 33], DType::F32));
    let small = quantize(&narrow, Quantization::Int8).unwrap();
    // Here the input goes through weights to become as deep as the state.
    assert_eq!(held(&small).0.values().map(|tree| tree.matrices().len()).sum::<usize>(), 2);
    assert_eq!(run(&small, random(&[1, 2, 33], 2).cast(DType::F32).unwrap()).shape(), [1, 2, 40]);
}

#[test]
fn a_shared_layer_stays_shared() {
    let dense = made("Dense", json!({"nUnits": 40}));
    let model = ready(vec![dense.clone(), made("Relu", json!({})), dense], TensorSpec::new([2, 40], DType::F32));
    let small = quantize(&model, Quantization::Int8).unwrap();
    assert_eq!(held(&small).0.values().map(|tree| tree.matrices().len()).sum::<usize>(), 1);
    let shown = view_weights(&small, &held(&small).0);
    assert!(matches!(&shown, Tree::Tuple(v) if matches!(v[2], Tree::Cached)), "{shown:?}");
    let other = with_mode(&small, Mode::Predict);
    let x = random(&[2, 40], 1).cast(DType::F32).unwrap();
    assert_same_bits(&run(&small, x.clone()), &run(&other, x));
}

#[test]
fn a_row_is_the_same_bits_alone_and_in_a_batch() {
    for quantization in Quantization::ALL {
        let small = quantize(&tied(), quantization).unwrap();
        let all = Tensor::from_vec((0..330).map(|i| i * 11 % 40).collect::<Vec<i32>>(), &[66, 5]).unwrap();
        let y = run(&small, all.clone());
        for i in [0, 7, 65] {
            assert_same_bits(&run(&small, all.narrow(0, i, 1).unwrap()), &y.narrow(0, i, 1).unwrap());
        }
    }
}

#[test]
fn what_cannot_be_is_refused_in_words() {
    let fresh = serial(vec![made("Dense", json!({"nUnits": 40}))]);
    let refused = quantize(&fresh, Quantization::Int8).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotInitialized);
    assert_eq!(refused.message(), "Dense_40 has no weights yet; call init(signature) or load them, then quantize");
    assert_eq!(refused.path(), ["Serial", "Dense_40"]);
    // The path is that of the layer which lacks them, where others have theirs.
    let dense = || ready(vec![made("Dense", json!({"nUnits": 40}))], TensorSpec::new([2, 40], DType::F32));
    let partly = serial(vec![dense(), serial(vec![made("LSTM", json!({"nUnits": 40}))])]);
    assert_eq!(quantize(&partly, Quantization::Int8).unwrap_err().path()[..3], ["Serial", "Serial", "LSTM_40"]);
    // A model that has nothing to quantize is copied as it is.
    let bare = ready(vec![made("Relu", json!({}))], TensorSpec::new([2, 40], DType::F32));
    assert!(!is_quantized(&quantize(&bare, Quantization::Int8).unwrap()));

    let model = ready(
        vec![made("Relu", json!({})), serial(vec![made("Dense", json!({"nUnits": 40}))])],
        TensorSpec::new([2, 40], DType::F32),
    );
    let small = quantize(&model, Quantization::Int8).unwrap();
    let again = quantize(&small, Quantization::Int8).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::InvalidArgument);
    assert!(again.message().contains("Dense_40"), "{again}");
    assert!(refuse_quantized("training", &model).is_ok());
    assert!(refuse_quantized("training", &small).unwrap_err().message().starts_with("training needs float32 weights"));

    for bad in [f32::NAN, f32::NEG_INFINITY] {
        let mut one =
            Tensor::full(&[40, 40], 0.5, DType::F32, &tallow_tensor::Device::Cpu).unwrap().to_vec::<f32>().unwrap();
        one[40 + 2] = bad;
        let w =
            Tree::tuple([Tensor::from_vec(one, &[40, 40]).unwrap(), Tensor::from_vec(vec![0f32; 40], &[40]).unwrap()]);
        let weights =
            held(&model).0.into_iter().map(|(id, old)| (id, if old.leaves().len() == 2 { w.clone() } else { old }));
        hold(&model, Some(&weights.collect()), None);
        let refused = quantize(&model, Quantization::Bfloat16).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::NotFinite);
        assert_eq!(refused.path().last().map(String::as_str), Some("Dense_40"));
        assert!(refused.message().contains("[1, 2]"), "{refused}");
    }
}
