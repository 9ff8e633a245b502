//! What golden cases do not say of the core modules: words of errors, and functions that Trax cannot compute.
use serde_json::{json, Value};
use tallow_layers::{
    core::{log_gaussian_diag_pdf, log_gaussian_pdf, logsoftmax_sample, multigaussian_loss, one_hot},
    init, pure_fn, registry,
    testing::References,
    view_state, with_mode, LayerRef, Mode, Result, TensorSpec, Tree,
};
use tallow_tensor::{
    random::Key,
    testing::{assert_close, check_gradients, random},
    DType, Tensor,
};

const KEY: Key = Key([7, 8]);

fn layer(kind: &str, options: Value) -> LayerRef {
    registry::construct(kind, &options).unwrap()
}

/// The error of a layer made for `first` and called with `xs`.
fn refusal(kind: &str, options: Value, first: &[TensorSpec], xs: &[Tensor]) -> String {
    let layer = layer(kind, options);
    let run = || -> Result<()> {
        let (w, s) = init(&layer, first, KEY)?;
        pure_fn(&layer, xs.to_vec(), &w, s, KEY).map(|_| ())
    };
    run().unwrap_err().to_string()
}

fn spec<const N: usize>(shape: [usize; N]) -> TensorSpec {
    TensorSpec::new(shape, DType::F32)
}

fn f32s<const N: usize>(shape: [usize; N]) -> Tensor {
    random(&shape, 4).cast(DType::F32).unwrap()
}

fn f64s(values: &[f64], shape: &[usize]) -> Tensor {
    Tensor::from_vec(values.to_vec(), shape).unwrap()
}

#[test]
fn errors_name_the_layer_the_sizes_and_the_way_out() {
    let dense = |first: &[TensorSpec], xs: &[Tensor]| refusal("Dense", json!({"nUnits": 4}), first, xs);
    assert_eq!(
        dense(&[spec([2, 5])], &[f32s([2, 7])]),
        "[ShapeMismatch] Dense_4 (forward): last axis is 7, weights were made for 5 · inputs float32[2,7]"
    );
    assert_eq!(
        dense(&[spec([])], &[]),
        "[ShapeMismatch] Dense_4 (init): the input is a 0-d tensor, but Dense needs a last axis to map · inputs float32[]"
    );
    let embedding = |xs: &[Tensor]| refusal("Embedding", json!({"vocabSize": 3, "dFeature": 2}), &[spec([2])], xs);
    assert!(embedding(&[f32s([2])]).contains("ids must be integers, got float32; cast them first"));
    let outside = embedding(&[Tensor::from_vec(vec![0i32, 3], &[2]).unwrap()]);
    assert!(outside.starts_with("[IndexOutOfRange] Embedding_3_2 (forward): ") && outside.contains('3'), "{outside}");
    assert!(refusal("LayerNorm", json!({}), &[spec([2, 5])], &[f32s([2, 4])])
        .contains("last axis is 4, weights were made for 5"));
    assert!(refusal("Dropout", json!({"rate": 0.5, "sharedAxes": [2]}), &[spec([2, 5])], &[f32s([2, 5])])
        .contains("axis 2 is out of range for 2 axes"));
    assert!(refusal("Glu", json!({}), &[spec([2, 5])], &[]).contains("whose size 5 is odd"));
    assert!(refusal("Flatten", json!({"nAxesToKeep": 3}), &[spec([2, 5])], &[f32s([2, 5])]).contains("has rank 2"));
    assert!(refusal("L2Loss", json!({}), &[spec([2]), spec([2]), spec([3])], &[f32s([2]), f32s([2]), f32s([3])])
        .contains("weights must have shape [2], that of the model's output, got [3]"));
    assert!(refusal("LocallyConnected1d", json!({"filters": 2, "kernelSize": 3}), &[spec([5, 2])], &[f32s([6, 2])])
        .contains("input ends in [6, 2], weights were made for [5, 2]"));
}

#[test]
fn options_outside_their_domain_are_refused_when_the_layer_is_made() {
    for (kind, options, words) in [
        ("LocallyConnected1d", json!({"filters": 2, "kernelSize": 4}), "`kernelSize` must be odd, got 4"),
        (
            "LocallyConnected1d",
            json!({"filters": 2, "kernelSize": 3, "padding": "FULL"}),
            "`padding` must be 'VALID', 'SAME' or 'WRAP', got \"FULL\"",
        ),
        ("CategoryCrossEntropy", json!({"labelSmoothing": 1.5}), "`labelSmoothing` must be from 0 to 1, got 1.5"),
        ("Dropout", json!({"rate": 1}), "`rate` must be at least 0 and below 1, got 1"),
        ("RandomUniform", json!({"dtype": "int32"}), "`dtype` must be a float type, got 'int32'"),
        (
            "Weights",
            json!({"initializer": {"$initializer": {"kind": "GlorotNormalInitializer", "options": {"scale": 0}}}}),
            "Weights: `initializer` was refused: GlorotNormalInitializer: `scale` must be a number above 0, got 0",
        ),
    ] {
        let error = registry::construct(kind, &options).unwrap_err();
        assert!(error.code() == "InvalidOption" && error.message().contains(words), "{}", error.message());
    }
}

#[test]
fn files_fill_weights() {
    let path = std::env::temp_dir().join(format!("tallow-core-{}.npy", std::process::id()));
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }\n";
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend([1.0f32, 2.0, 3.0, 4.0].iter().flat_map(|v| v.to_le_bytes()));
    std::fs::write(&path, bytes).unwrap();
    let file = tallow_layers::initializers::from_file(&path);
    assert_eq!(file.make(&[2, 2], KEY).unwrap().to_vec::<f32>().unwrap(), vec![1.0, 2.0, 3.0, 4.0]);
    assert!(file
        .make(&[4], KEY)
        .unwrap_err()
        .message()
        .contains("holds an array of shape [2, 2] where [4] was asked for"));
    std::fs::remove_file(&path).unwrap();
    assert_eq!(file.make(&[2, 2], KEY).unwrap_err().code(), "Io");
}

#[test]
fn densities_agree_with_each_other_and_with_the_formula() {
    let (x, mu) = (random(&[3, 2], 1), random(&[2], 2));
    let variances = f64s(&[0.5, 2.0], &[2]);
    let sigma = f64s(&[0.5, 0.0, 0.0, 2.0], &[2, 2]);
    let diagonal = log_gaussian_diag_pdf(&x, &mu, &variances).unwrap();
    assert_close(&log_gaussian_pdf(&x, &mu, &sigma).unwrap(), &diagonal, DType::F64);
    let (x, mu, v) = (x.to_f64_vec().unwrap(), mu.to_f64_vec().unwrap(), [0.5, 2.0]);
    let expected: Vec<f64> = (0..3)
        .map(|i| {
            let one = |j: usize| -0.5 * ((std::f64::consts::TAU * v[j]).ln() + (x[2 * i + j] - mu[j]).powi(2) / v[j]);
            one(0) + one(1)
        })
        .collect();
    assert_close(&diagonal, &f64s(&expected, &[3]), DType::F64);
}

#[test]
fn density_gradients() {
    let sigma = f64s(&[2.0, 0.3, 0.1, -0.4, 1.5, 0.2, 0.6, 0.1, 1.1], &[3, 3]);
    check_gradients(
        |t| Ok(vec![log_gaussian_pdf(&t[0], &t[1], &t[2])?]),
        &[random(&[4, 3], 1), random(&[3], 2), sigma.clone()],
    );
    let several = Tensor::stack(&[sigma.clone(), sigma.mul_scalar(2.0).unwrap()], 0).unwrap();
    check_gradients(
        |t| Ok(vec![log_gaussian_pdf(&t[0], &t[1], &t[2])?]),
        &[random(&[2, 3], 1), random(&[1, 3], 2), several],
    );
    check_gradients(|t| Ok(vec![multigaussian_loss(&t[0], &t[1], 2)?]), &[random(&[4, 10], 1), random(&[4, 2], 2)]);
}

#[test]
fn a_mixture_of_one_is_its_part() {
    let targets = random(&[4, 2], 3);
    let preds = random(&[4, 5], 4);
    let mu = preds.narrow(1, 1, 2).unwrap();
    let variances = preds.narrow(1, 3, 2).unwrap().square().unwrap().add_scalar(1e-6).unwrap();
    let alone = log_gaussian_diag_pdf(&targets, &mu, &variances).unwrap();
    assert_close(&multigaussian_loss(&preds, &targets, 1).unwrap(), &alone, DType::F64);
    let error = multigaussian_loss(&preds, &targets, 2).unwrap_err();
    assert!(error.message().contains("needs preds of shape [batch, 10], got [4, 5]"), "{}", error.message());
}

#[test]
fn samples_follow_the_probabilities() {
    let log_probs = f64s(&[0.7f64.ln(), 0.1f64.ln(), 0.2f64.ln()], &[3]).cast(DType::F32).unwrap();
    let many = log_probs.broadcast_to(&[20_000, 3]).unwrap();
    let drawn = logsoftmax_sample(&many, 1.0, Some(KEY)).unwrap().to_f64_vec().unwrap();
    let share = |k: f64| drawn.iter().filter(|&&d| d == k).count() as f64 / 20_000.0;
    assert!((share(0.0) - 0.7).abs() < 0.015 && (share(1.0) - 0.1).abs() < 0.01, "{} {}", share(0.0), share(1.0));
    assert_eq!(logsoftmax_sample(&log_probs, 0.0, None).unwrap().item().unwrap(), 0.0);
    assert!(logsoftmax_sample(&log_probs, 1.0, None).unwrap_err().message().contains("`key` is required"));
}

#[test]
fn one_hot_of_what_is_no_category_is_zero() {
    let x = Tensor::from_vec(vec![-1i32, 2, 3], &[3]).unwrap();
    assert_eq!(one_hot(&x, 3, DType::I32).unwrap().to_f64_vec().unwrap(), [0., 0., 0., 0., 0., 1., 0., 0., 0.]);
    let x = Tensor::from_vec(vec![1.0f32, 0.5], &[2]).unwrap();
    assert_eq!(one_hot(&x, 2, DType::F32).unwrap().to_f64_vec().unwrap(), [0., 1., 0., 0.]);
    let references = References { tensors: vec![x], ..References::default() };
    let options = references.resolve(&json!({"x": {"$tensor": 0}, "nCategories": 2, "dtype": "bool"}));
    let y = registry::call_function("oneHot", options).unwrap();
    assert_eq!(y.into_tensors().unwrap()[0].dtype(), DType::Bool);
}

#[test]
fn dropout_takes_the_rate_its_state_names() {
    let dropout = layer("Dropout", json!({"rate": 0.5}));
    let x = Tensor::ones(&[1000], DType::F32, &tallow_tensor::Device::Cpu).unwrap();
    let (w, _) = init(&dropout, &[spec([1000])], KEY).unwrap();
    let dropped = |rate: f32| {
        let state = Tree::Dict(vec![("Dropout".to_string(), Tree::Leaf(Tensor::scalar(rate)))]);
        let state = tallow_layers::load_state(&dropout, &state).unwrap();
        let (ys, _) = pure_fn(&dropout, vec![x.clone()], &w, state, KEY).unwrap();
        ys[0].to_f64_vec().unwrap().iter().filter(|v| **v == 0.0).count()
    };
    assert_eq!(dropped(0.0), 0);
    assert!((80..120).contains(&dropped(0.1)) && (860..940).contains(&dropped(0.9)));
}

#[test]
fn batch_norm_in_eval_uses_what_training_recorded() {
    let train = layer("BatchNorm", json!({"axis": [0], "momentum": 0.0, "epsilon": 1e-12}));
    let x = f32s([50, 2]).mul_scalar(3.0).unwrap().add_scalar(5.0).unwrap();
    let (w, s) = init(&train, &[spec([50, 2])], KEY).unwrap();
    let (ys, s) = pure_fn(&train, vec![x.clone()], &w, s, KEY).unwrap();
    let tree = view_state(&train, &s).expect("room for the state");
    let [_, _, batches] = tree.many().unwrap();
    assert_eq!(batches.item().unwrap(), 1.0);
    // With momentum 0 the record is the batch itself, so eval gives what training gave.
    let eval = with_mode(&train, Mode::Eval);
    let (zs, after) = pure_fn(&eval, vec![x], &w, s, KEY).unwrap();
    assert_close(&zs[0], &ys[0], DType::F32);
    assert_eq!(view_state(&eval, &after).expect("room for the state").leaves()[2].item().unwrap(), 1.0);
}

#[test]
fn large_activations_do_not_overflow_binary_cross_entropy() {
    let x = Tensor::from_vec(vec![200.0f32, -200.0], &[2]).unwrap();
    let right = Tensor::from_vec(vec![1i32, 0], &[2]).unwrap();
    let wrong = Tensor::from_vec(vec![0i32, 1], &[2]).unwrap();
    let loss = layer("BinaryCrossEntropy", json!({}));
    let value = |t: &Tensor| {
        let (ys, _) = pure_fn(&loss, vec![x.clone(), t.clone()], &Default::default(), Default::default(), KEY).unwrap();
        ys[0].item().unwrap()
    };
    assert_eq!((value(&right), value(&wrong)), (0.0, 200.0));
}
