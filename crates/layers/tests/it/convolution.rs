//! What golden cases do not say of convolution, pooling and normalisation: words of errors, and layouts against one another.
use serde_json::{json, Value};
use tallow_layers::{init, pure_fn, registry, signature, LayerRef, Result, TensorSpec, Tree};
use tallow_tensor::{
    random::Key,
    testing::{assert_close, random},
    DType, Tensor,
};

const KEY: Key = Key([7, 8]);

fn layer(kind: &str, options: Value) -> LayerRef {
    registry::construct(kind, &options).unwrap()
}

fn build_error(kind: &str, options: Value) -> String {
    registry::construct(kind, &options).unwrap_err().to_string()
}

/// The error of a layer made for `first` and called with an input of shape `then`.
fn refusal(kind: &str, options: Value, first: &[usize], then: &[usize]) -> String {
    let layer = layer(kind, options);
    let run = || -> Result<()> {
        let (w, s) = init(&layer, &[TensorSpec::new(first, DType::F32)], KEY)?;
        pure_fn(&layer, vec![f32s(then)], &w, s, KEY).map(|_| ())
    };
    run().unwrap_err().to_string()
}

fn f32s(shape: &[usize]) -> Tensor {
    random(shape, 4).cast(DType::F32).unwrap()
}

#[test]
fn sizes_strides_and_layouts_are_refused_in_the_callers_words() {
    let conv = |more: Value| {
        let mut options = json!({"filters": 2, "kernelSize": [3, 3]});
        more.as_object().unwrap().iter().for_each(|(k, v)| options[k] = v.clone());
        build_error("Conv", options)
    };
    for (options, message) in [
        (json!({"kernelSize": [3, 0]}), "`kernelSize` must be a list of whole numbers of at least 1, got [3,0]"),
        (json!({"kernelSize": 3}), "`kernelSize` must be a list of whole numbers of at least 1, got 3"),
        (json!({"kernelSize": [3]}), "`kernelSize` must have 2 entries, one for each spatial axis, got 1: [3]"),
        (json!({"strides": [1]}), "`strides` must have 2 entries, one for each spatial axis, got 1: [1]"),
        (json!({"strides": [1, -1]}), "`strides` must be a list of whole numbers of at least 1, got [1,-1]"),
        (json!({"filters": 0}), "`filters` must be a whole number of at least 1, got 0"),
        (
            json!({"padding": "CAUSAL"}),
            "`padding` must be 'VALID', 'SAME' or a list of pairs [before, after] of whole numbers, got \"CAUSAL\"",
        ),
        (json!({"padding": [[1, 1]]}), "`padding` must have 2 entries, one for each spatial axis, got 1: [[1, 1]]"),
        (
            json!({"dimensionNumbers": ["NHWC", "HWIO"]}),
            "`dimensionNumbers` must be the layouts of input, kernel and output, such as ['NHWC', 'HWIO', 'NHWC'], got [\"NHWC\",\"HWIO\"]",
        ),
        (
            json!({"dimensionNumbers": ["NHWC", "HWIO", "NWC"]}),
            "`dimensionNumbers` must have the same spatial axes in 'NWC' as in the kernel's 'HWIO'",
        ),
        (
            json!({"dimensionNumbers": ["NHWD", "HWIO", "NHWC"]}),
            "`dimensionNumbers` must name each axis of the input once, N and C among them, got 'NHWD'",
        ),
        (
            json!({"dimensionNumbers": ["NWC", "WIO", "NWC"]}),
            "`kernelSize` must have 1 entry, one for each spatial axis, got 2: [3, 3]",
        ),
    ] {
        assert_eq!(conv(options), format!("Conv: {message}"));
    }
    assert_eq!(
        build_error("MaxPool", json!({"poolSize": [2, 2], "strides": [2]})),
        "MaxPool: `strides` must have 2 entries, one for each spatial axis, got 1: [2]"
    );
    assert_eq!(
        build_error("ConvTranspose", json!({"filters": 2, "kernelSize": [2, 2], "rhsDilation": [2]})),
        "ConvTranspose: `rhsDilation` must have 2 entries, one for each spatial axis, got 1: [2]"
    );
    assert_eq!(
        build_error("FactoredDense", json!({"nModules": 3, "dIn": 4, "dOut": 8})),
        "FactoredDense: `dOut` must be a multiple of `nModules`, got 8 and 3"
    );
    assert_eq!(
        build_error("LocallyConvDense", json!({"nModules": 2, "nUnits": 3, "mode": "train", "kernelSize": 2})),
        "LocallyConvDense: `kernelSize` must be odd, got 2"
    );
}

#[test]
fn inputs_that_do_not_fit_are_refused_in_the_callers_words() {
    let conv = || json!({"filters": 2, "kernelSize": [3, 3]});
    assert_eq!(
        refusal("Conv", conv(), &[1, 2, 5, 3], &[]),
        "[ShapeMismatch] Conv (init): Conv: a window of [3, 3] does not fit in [2, 5]; use padding 'SAME' or a smaller window · inputs float32[1,2,5,3]"
    );
    assert_eq!(
        refusal("Conv", conv(), &[1, 5, 5, 3], &[1, 5, 5, 4]),
        "[ShapeMismatch] Conv (forward): number of channels is 4, weights were made for 3 · inputs float32[1,5,5,4]"
    );
    assert_eq!(
        refusal("Conv", conv(), &[5, 5, 3], &[]),
        "[ShapeMismatch] Conv (init): an input in the layout 'NHWC' has 4 axes, got shape [5, 5, 3] · inputs float32[5,5,3]"
    );
    assert_eq!(
        refusal("Conv1d", json!({"filters": 2, "kernelSize": 3}), &[2, 2, 5, 3], &[]),
        "[ShapeMismatch] Conv (init): an input in the layout 'NWC' has 3 axes, got shape [2, 2, 5, 3]; more axes are taken for items in 'NHWC' only · inputs float32[2,2,5,3]"
    );
    assert_eq!(
        refusal("CausalConv", json!({"filters": 2}), &[1, 5, 3], &[1, 5, 2]),
        "[ShapeMismatch] CausalConv (forward): number of channels is 2, weights were made for 3 · inputs float32[1,5,2]"
    );
    assert_eq!(
        refusal("CausalDepthwiseConv", json!({}), &[1, 5, 3], &[1, 5, 2]),
        "[ShapeMismatch] CausalDepthwiseConv (forward): last axis is 2, weights were made for 3 · inputs float32[1,5,2]"
    );
    assert_eq!(
        refusal("LocallyConnected1d", json!({"filters": 2, "kernelSize": 1}), &[2, 4, 3], &[2, 5, 3]),
        "[ShapeMismatch] LocallyConnected1d_2_1 (forward): input ends in [5, 3], weights were made for [4, 3] · inputs float32[2,5,3]"
    );
    assert_eq!(
        refusal("MaxPool", json!({}), &[1, 4, 4, 2], &[1, 1, 4, 2]),
        "[ShapeMismatch] MaxPool(2,2) (forward): MaxPool: a window of [2, 2] does not fit in [1, 4]; use padding 'SAME' or a smaller window · inputs float32[1,1,4,2]"
    );
    assert_eq!(
        refusal("BatchNorm", json!({}), &[2, 3, 3, 2], &[0, 3, 3, 2]),
        "[ShapeMismatch] BatchNorm (forward): a batch of shape [0, 3, 3, 2] has no values to take the mean of over axes [0, 1, 2]; leave empty batches out of training · inputs float32[0,3,3,2]"
    );
    assert_eq!(
        refusal("BatchNorm", json!({}), &[2, 3, 3, 2], &[2, 3, 3, 4]),
        "[ShapeMismatch] BatchNorm (forward): state was made for shape [1, 1, 1, 2], the input has [1, 1, 1, 4] beside the axes of the batch · inputs float32[2,3,3,4]"
    );
    let flags = signature(&layer("AvgPool", json!({})), &[TensorSpec::new([1, 4, 4, 1], DType::Bool)]).unwrap_err();
    assert_eq!(
        (flags.code(), flags.message()),
        ("DTypeMismatch", "AvgPool takes numbers, got bool; put ToFloat before it")
    );
    for (kind, to) in [("AvgPool", DType::F32), ("SumPool", DType::I32), ("MaxPool", DType::I32)] {
        let ints = signature(&layer(kind, json!({})), &[TensorSpec::new([1, 4, 4, 1], DType::I32)]).unwrap();
        assert_eq!(ints, [TensorSpec::new([1, 3, 3, 1], to)]);
    }
}

#[test]
fn weights_of_other_shapes_are_refused() {
    let conv = layer("Conv", json!({"filters": 2, "kernelSize": [3, 3]}));
    let weights = Tree::tuple([f32s(&[3, 3, 2, 4]), f32s(&[2])]);
    let weights = tallow_layers::load_weights(&conv, &weights).unwrap();
    let e = pure_fn(&conv, vec![f32s(&[1, 5, 5, 4])], &weights, Default::default(), KEY).unwrap_err();
    assert_eq!(e.code(), "WeightsMismatch");
    assert_eq!(e.message(), "weights must have shapes [3, 3, 4, 2] and [2], got [3, 3, 2, 4] and [2]");
}

/// The output of a layer for given weights.
fn run(kind: &str, options: Value, x: &Tensor, weights: &Tree<Tensor>) -> Tensor {
    let layer = layer(kind, options);
    let weights = tallow_layers::load_weights(&layer, weights).unwrap();
    let (ys, _) = pure_fn(&layer, vec![x.clone()], &weights, Default::default(), KEY).unwrap();
    ys[0].clone()
}

#[test]
fn every_layout_computes_the_same() {
    let (x, w, b) = (random(&[2, 5, 4, 3], 1), random(&[3, 2, 3, 6], 2), random(&[6], 3));
    let options = |layouts: [&str; 3]| json!({"filters": 6, "kernelSize": [3, 2], "strides": [2, 1], "padding": [[1, 0], [0, 1]], "dimensionNumbers": layouts});
    let plain = run("Conv", options(["NHWC", "HWIO", "NHWC"]), &x, &Tree::tuple([w.clone(), b.clone()]));
    assert_eq!(plain.shape(), [2, 2, 4, 6]);
    let turned = |t: &Tensor, axes: &[usize]| t.transpose(Some(axes)).unwrap();
    let other = run(
        "Conv",
        options(["CNWH", "OHIW", "WHCN"]),
        &turned(&x, &[3, 0, 2, 1]),
        &Tree::tuple([turned(&w, &[3, 0, 2, 1]), b.reshape(&[6, 1]).unwrap()]),
    );
    assert_close(&other, &turned(&plain, &[2, 1, 3, 0]), DType::F64);
}

#[test]
fn a_causal_convolution_sees_no_later_position() {
    let x = Tensor::from_vec(vec![1f64, 2.0, 3.0], &[1, 3, 1]).unwrap();
    let weights = Tree::tuple([
        Tensor::from_vec(vec![100f64, 10.0, 1.0], &[3, 1, 1]).unwrap(),
        Tensor::from_vec(vec![0.5f64], &[]).unwrap(),
    ]);
    let y = run("CausalConv", json!({"filters": 1}), &x, &weights);
    assert_eq!(y.to_f64_vec().unwrap(), [1.5, 12.5, 123.5]);
}

#[test]
fn a_transposed_convolution_spreads_its_input() {
    let x = Tensor::from_vec(vec![1f64, 2.0], &[1, 2, 1]).unwrap();
    let weights = Tree::tuple([Tensor::from_vec(vec![1f64, 10.0, 100.0], &[3, 1, 1]).unwrap(), Tensor::scalar(0f64)]);
    let options = |padding: Value| json!({"filters": 1, "kernelSize": [3], "strides": [2], "padding": padding, "dimensionNumbers": ["NWC", "WIO", "NWC"]});
    let run = |padding| run("ConvTranspose", options(padding), &x, &weights).to_f64_vec().unwrap();
    // The input spread out is 1 0 2; the kernel is not mirrored.
    assert_eq!(run(json!("VALID")), [100., 10., 201., 20., 2.]);
    assert_eq!(run(json!("SAME")), [100., 10., 201., 20.]);
    assert_eq!(run(json!([[0, 0]])), [201.]);
}

#[test]
fn batch_statistics_do_not_depend_on_where_the_batch_axes_stand() {
    let x = f32s(&[3, 2, 4, 5]);
    let run = |axes: Value, x: &Tensor| {
        let layer = layer("BatchNorm", json!({"axis": axes}));
        let (w, s) = init(&layer, &[TensorSpec::of(x)], KEY).unwrap();
        pure_fn(&layer, vec![x.clone()], &w, s, KEY).unwrap().0[0].clone()
    };
    let first = run(json!([0, 2, 3]), &x);
    let last = run(json!([0, 1, 2]), &x.transpose(Some(&[0, 2, 3, 1])).unwrap());
    assert_close(&first, &last.transpose(Some(&[0, 3, 1, 2])).unwrap(), DType::F32);
}

#[test]
fn an_option_is_refused_in_the_name_of_the_layer_that_was_asked_for() {
    let pairs = json!([[1, 1], [1, 1]]);
    assert_eq!(
        build_error("Conv1d", json!({"filters": 1, "kernelSize": 2, "padding": pairs})),
        "Conv1d: `padding` must have 1 entry, one for each spatial axis, got 2: [[1, 1], [1, 1]]"
    );
}
