//! Looking into models: summaries, profiles, numbers that are not finite, gradients against differences.
use serde_json::Value;
use std::sync::Arc;
use tallow_layers::{
    framework::pure::{elementwise, pure_layer},
    hold, init, observing, pure_fn, registry,
    testing::json,
    HostValue, LayerRef, TensorSpec,
};
use tallow_tensor::{backward, custom_vjp, random::Key, Axes, DType, Tensor};
use tallow_training::seeing::{
    check_layer, first_not_finite, summary, CheckGradientsOptions, Profile, ProfileRow, SummaryRow,
};

fn layer(kind: &str, options: Value) -> LayerRef {
    registry::construct(kind, HostValue::from(options)).expect("a layer")
}

fn serial(layers: &[&LayerRef]) -> LayerRef {
    let list = layers.iter().map(|l| HostValue::Layer((*l).clone())).collect();
    registry::construct("Serial", HostValue::Record(vec![("sublayers".into(), HostValue::List(list))])).expect("layers")
}

fn f32s(shape: &[usize]) -> TensorSpec {
    TensorSpec::new(shape, DType::F32)
}

fn ready(layer: &LayerRef, inputs: &[TensorSpec]) {
    let (weights, state) = init(layer, inputs, Key::new(1)).expect("weights");
    hold(layer, Some(&weights), Some(&state));
}

fn dense(n: usize) -> LayerRef {
    layer("Dense", json!({"nUnits": n}))
}

#[test]
fn a_summary_counts_what_is_shared_once_and_makes_nothing() {
    let shared = dense(3);
    let model = serial(&[
        &shared,
        &layer("Dup", json!({})),
        &serial(&[&shared, &layer("Softmax", json!({}))]),
        &layer("Add", json!({})),
    ]);
    let seen = summary(&model, &[f32s(&[2, 3])]).expect("a summary");
    let of = |row: &SummaryRow| (row.path.clone(), row.height, row.holds.weights, row.shared);
    let wanted = [
        ("", 1, 12, false),
        ("0.Dense_3", 1, 12, false),
        ("1.Dup", 2, 0, false),
        ("2.Serial", 2, 0, false),
        ("2.Serial/0.Dense_3", 2, 0, true),
        ("2.Serial/1.Softmax", 2, 0, false),
        ("3.Add", 1, 0, false),
    ];
    let wanted: Vec<_> = wanted.iter().map(|(path, h, w, s)| ((*path).to_owned(), *h, *w, *s)).collect();
    assert_eq!(seen.rows.iter().map(of).collect::<Vec<_>>(), wanted);
    assert_eq!((seen.total.weights, seen.total.trainable, seen.total.bytes), (12, 12, 48));
    assert_eq!(seen.rows[1].outputs, [f32s(&[2, 3])]);
    assert!(!model.base().slot.has_weights() && !shared.base().slot.has_weights());
    // A terabyte of weights is summed up without being made.
    let vast = serial(&[&dense(1 << 20), &dense(1 << 20)]);
    let seen = summary(&vast, &[f32s(&[1, 1 << 18])]).expect("a summary");
    assert_eq!(seen.total.weights, (1 << 38) + (1 << 20) + (1 << 40) + (1 << 20));
    let e = summary(&dense(2), &[f32s(&[])]).expect_err("a number has no last axis");
    assert_eq!(e.code(), "ShapeMismatch");
}

fn profiled(f: impl FnOnce()) -> (Arc<Profile>, Vec<ProfileRow>) {
    let profile = Arc::new(Profile::default());
    observing(Some(profile.clone()), f);
    profile.end();
    let rows = profile.rows();
    (profile, rows)
}

/// The gradients of the sum of a layer's outputs, by its inputs and weights.
fn learn(model: &LayerRef, x: &Tensor) -> Vec<Tensor> {
    let (weights, state) = tallow_layers::held(model);
    let mut variables = vec![x.variable()];
    let mut weights: Vec<_> = weights.into_iter().collect();
    weights.sort_by_key(|(id, _)| *id);
    let marked = weights.iter().map(|(id, tree)| {
        let tree = tree.map(&mut |t| {
            let v = t.variable();
            variables.push(v.clone());
            v
        });
        (*id, tree)
    });
    let marked = marked.collect();
    let (ys, _) = pure_fn(model, vec![variables[0].clone()], &marked, state, Key::new(0)).expect("outputs");
    let loss = ys[0].sum(Axes::All, false).expect("a number");
    backward(&[(loss, Tensor::scalar(1f32))], &variables, false).expect("gradients")
}

#[test]
fn a_profile_tells_both_passes_of_each_layer() {
    let model = serial(&[&dense(64), &serial(&[&layer("Softmax", json!({})), &dense(8)])]);
    ready(&model, &[f32s(&[32, 16])]);
    let x = tallow_tensor::testing::random(&[32, 16], 1).cast(DType::F32).expect("floats");
    let plain = learn(&model, &x);
    let mut watched = Vec::new();
    let (profile, rows) = profiled(|| watched = learn(&model, &x));
    plain.iter().zip(&watched).for_each(|(a, b)| tallow_tensor::testing::assert_same_bits(a, b));
    let paths: Vec<&str> = rows.iter().map(|r| r.path.as_str()).collect();
    let wanted = [
        "Serial",
        "Serial/0.Dense_64",
        "Serial/1.Serial",
        "Serial/1.Serial/0.Softmax",
        "Serial/1.Serial/1.Dense_8",
        "(no layer)",
    ];
    assert_eq!(paths, wanted);
    for row in &rows[..5] {
        assert_eq!(row.calls, 1, "{row:?}");
        assert!(row.forward_ms >= row.forward_self_ms && row.backward_ms >= row.backward_self_ms, "{row:?}");
    }
    // A Serial computes nothing backwards itself; its layers do.
    assert!(rows[1].backward_self_ms > 0.0 && rows[3].backward_self_ms > 0.0 && rows[4].backward_self_ms > 0.0);
    assert_eq!((rows[0].backward_self_ms, rows[2].backward_self_ms), (0.0, 0.0));
    // The sum outside of the model.
    assert!(rows[5].calls == 0 && rows[5].backward_self_ms > 0.0, "{:?}", rows[5]);
    assert_eq!((rows[1].output_bytes, rows[4].output_bytes), (32 * 64 * 4, 32 * 8 * 4));
    assert!(rows[1].peak_bytes >= 32 * 64 * 4);
    let trace: Value = serde_json::from_str(&profile.chrome_trace()).expect("JSON");
    let events = trace["traceEvents"].as_array().expect("events");
    let spans: Vec<&Value> = events.iter().filter(|e| e["ph"] == "X").collect();
    assert_eq!(spans.iter().filter(|e| e["cat"] == "forward").count(), 5);
    assert!(spans.iter().any(|e| e["name"] == "backward of Dense_64" && e["args"]["path"] == "Serial/0.Dense_64"));
    assert!(spans.iter().all(|e| e["dur"].as_f64().is_some_and(|d| d >= 0.0)));
    // Nobody listens any more.
    learn(&model, &x);
    assert_eq!(profile.rows(), rows);
}

#[test]
fn what_a_backward_pass_repeats_counts_where_it_ran_first() {
    let inside = serial(&[&dense(8), &layer("Tanh", json!({}))]);
    let list = HostValue::List(vec![HostValue::Layer(inside)]);
    let half = registry::construct("ReversibleHalfResidual", HostValue::Record(vec![("residualLayers".into(), list)]));
    let half = half.expect("a layer");
    let swap = layer("ReversibleSwap", json!({}));
    let kinds = HostValue::List([&half, &swap].map(|l| HostValue::Layer(l.clone())).to_vec());
    let model = registry::construct("ReversibleSerial", HostValue::Record(vec![("sublayers".into(), kinds)]));
    let model = serial(&[&layer("Dup", json!({})), &model.expect("a layer"), &layer("Add", json!({}))]);
    ready(&model, &[f32s(&[4, 8])]);
    let x = tallow_tensor::testing::random(&[4, 8], 1).cast(DType::F32).expect("floats");
    let (_, rows) = profiled(|| drop(learn(&model, &x)));
    let dense: Vec<&ProfileRow> = rows.iter().filter(|r| r.name == "Dense_8").collect();
    assert_eq!(dense.len(), 1, "{:?}", rows.iter().map(|r| &r.path).collect::<Vec<_>>());
    assert_eq!(dense[0].calls, 1);
    assert!(dense[0].backward_self_ms > 0.0);
}

#[test]
fn the_first_tensor_that_is_not_finite_is_named() {
    let dense_2 = layer("Dense", json!({"nUnits": 2, "useBias": false}));
    let model = serial(&[&dense_2, &elementwise("Log", Tensor::log), &layer("Relu", json!({}))]);
    let model = serial(&[&layer("Relu", json!({})), &model]);
    ready(&model, &[f32s(&[3, 2])]);
    let find = |x: Vec<f32>| {
        let x = Tensor::from_vec(x, &[3, 2]).expect("a tensor");
        first_not_finite(&model, vec![x], Key::new(0), false).expect("a run")
    };
    let found = find(vec![-1.0; 6]).expect("the logarithm of 0");
    assert_eq!(
        (found.path.as_str(), found.what.as_str(), &found.shape[..]),
        ("1.Serial/1.Log", "output 0", &[3, 2][..])
    );
    let found = find(vec![0.0, 1.0, f32::NAN, 0.0, 0.0, 0.0]).expect("the input");
    assert_eq!((found.path.as_str(), found.what.as_str()), ("", "input 0"));
    let first = model.sublayers()[1].sublayers()[0].clone();
    let weights = first.base().slot.weights().expect("weights");
    first.base().slot.set_weights(weights.map(&mut |t| t.mul_scalar(f64::NAN).expect("NaN")));
    let found = find(vec![1.0; 6]).expect("a weight");
    assert_eq!(
        (found.path.as_str(), found.what.as_str(), &found.shape[..]),
        ("1.Serial/0.Dense_2", "weight", &[2, 2][..])
    );
    let fine = dense(2);
    ready(&fine, &[f32s(&[1, 2])]);
    let x = Tensor::from_vec(vec![1f32, 2.0], &[1, 2]).expect("a tensor");
    assert_eq!(first_not_finite(&fine, vec![x], Key::new(0), true).expect("a run"), None);
    let e = first_not_finite(&dense(2), vec![Tensor::scalar(1f32)], Key::new(0), false).expect_err("a number");
    assert!(matches!(e.code(), "ShapeMismatch" | "NotInitialized"), "{e}");
}

fn options(json: Value) -> CheckGradientsOptions {
    CheckGradientsOptions::parse(&json.into()).expect("options")
}

#[test]
fn right_gradients_pass_and_wrong_ones_are_named() {
    let model = serial(&[&dense(40), &layer("Tanh", json!({})), &dense(3), &layer("LogSoftmax", json!({}))]);
    ready(&model, &[f32s(&[5, 7])]);
    let x = tallow_tensor::testing::random(&[5, 7], 3).cast(DType::F32).expect("floats");
    let report = check_layer(&model, std::slice::from_ref(&x), &options(json!({}))).expect("a report");
    assert!(report.ok && report.max_error < 1e-6 && report.precision == DType::F64, "{report:?}");
    // Two biases in full (16 of 40, then 3), the rest 16 each; and a direction where an input is larger.
    assert_eq!(report.compared, 17 + 17 + 17 + 17 + 3);
    let scaled = pure_layer(
        "Scaled",
        1,
        1,
        |s| Ok(s.to_vec()),
        |xs| {
            let ys = custom_vjp(
                xs,
                |xs| Ok((vec![xs[0].square()?], xs[0].clone())),
                |x, cts, _| {
                    // The gradient is 2x; this is 1% more.
                    let ct = cts[0].clone().unwrap_or_else(|| Tensor::scalar(0f32));
                    Ok(vec![Some(x.mul_scalar(2.02)?.mul(&ct)?)])
                },
            )?;
            Ok(ys)
        },
    );
    let model = serial(&[&dense(4), &scaled]);
    ready(&model, &[f32s(&[5, 7])]);
    let report = check_layer(&model, &[x], &options(json!({}))).expect("a report");
    assert!(!report.ok && report.max_error > 5e-3, "{report:?}");
    let close = (report.worst.analytic / report.worst.numeric - 1.01).abs() < 1e-3;
    assert!(close && !report.worst.path.is_empty(), "{report:?}");
    let ids = layer("Embedding", json!({"vocabSize": 5, "dFeature": 2}));
    ready(&ids, &[TensorSpec::new([3], DType::I32)]);
    let x = Tensor::from_vec(vec![1i32, 4, 0], &[3]).expect("a tensor");
    let report = check_layer(&ids, std::slice::from_ref(&x), &options(json!({"coordinates": 100}))).expect("a report");
    assert!(report.ok && report.compared == 10 && report.worst.path.starts_with("weights"), "{report:?}");
    let e = check_layer(&layer("Relu", json!({})), &[x], &options(json!({}))).expect_err("no floats");
    assert_eq!(e.code(), "InvalidArgument");
}
