//! Steps on several devices, and the event files of a loop.
use serde_json::json;
use std::{path::Path, time::Duration};
use tallow_layers::{
    combinators::{parallel, serial},
    core::dense,
    held, hold, init, registry, LayerRef, TensorSpec,
};
use tallow_tensor::{
    random::{normal, Key},
    testing::{assert_within, tolerance},
    DType, Device, Tensor,
};
use tallow_training::{fit, optimizers, read_events, FitOptions, Recorded, Trainer, Value};

pub(crate) fn made(kind: &str, options: serde_json::Value) -> LayerRef {
    registry::construct(kind, &options).expect("a layer")
}

pub(crate) fn batch(i: u32, rows: usize) -> Vec<Tensor> {
    let x = normal(Key([1, i]), &[rows, 8], DType::F32).expect("values");
    let y = x.sum(1, true).and_then(|t| t.sin()).expect("values");
    vec![x, y, Tensor::ones(&[rows, 1], DType::F32, &Device::Cpu).expect("ones")]
}

pub(crate) fn model(inside: Vec<LayerRef>) -> LayerRef {
    let body: Vec<LayerRef> =
        [dense(16), made("Tanh", json!({}))].into_iter().chain(inside).chain([dense(1)]).collect();
    let pass = || serial(Vec::new());
    let model =
        serial(vec![parallel(vec![serial(body), pass(), pass()]).expect("three layers"), made("L2Loss", json!({}))]);
    let specs: Vec<TensorSpec> = batch(0, 12).iter().map(TensorSpec::of).collect();
    let (w, s) = init(&model, &specs, Key([0, 1])).expect("init");
    hold(&model, Some(&w), Some(&s));
    model
}

pub(crate) fn trainer(model: LayerRef, n: usize) -> Trainer {
    let adam = optimizers::construct("Adam", json!({"learningRate": 0.01})).expect("an optimizer");
    Trainer::on_devices(model, adam, n)
}

#[test]
fn a_step_does_not_depend_on_the_number_of_devices() {
    let run = |n: usize| {
        let model = model(vec![made("LayerNorm", json!({}))]);
        let mut trainer = trainer(model.clone(), n);
        let steps = (0..5).map(|i| trainer.one_step(batch(i, 12), Key([2, i]), u64::from(i), None).expect("a step"));
        let steps: Vec<_> = steps.collect();
        let mut weights = Vec::new();
        let (held, _) = held(&model);
        tallow_layers::for_each_instance(&model, &mut |l| {
            weights.extend(held.get(&l.base().id).into_iter().flat_map(|t| t.leaves().into_iter().cloned()));
        });
        (steps, weights)
    };
    let (steps, weights) = run(1);
    assert!(steps[4].loss < steps[0].loss);
    for n in [2, 3, 4] {
        let (other_steps, other) = run(n);
        for (a, b) in steps.iter().zip(&other_steps) {
            assert!((a.loss - b.loss).abs() < 1e-5 * a.loss, "{n} devices: {} instead of {}", b.loss, a.loss);
            assert!((a.gradients_l2 - b.gradients_l2).abs() < 1e-4 * a.gradients_l2);
        }
        assert_eq!(weights.len(), 6);
        // Adam divides by the gradients' size, which makes the rounding of the smallest ones visible.
        let t = tolerance(DType::F32);
        let t = tallow_tensor::testing::Tolerance { absolute: 10.0 * t.absolute, ..t };
        weights.iter().zip(&other).for_each(|(a, b)| assert_within(b, a, t));
    }
}

#[test]
fn a_batch_that_devices_do_not_divide_is_refused() {
    let error = trainer(model(Vec::new()), 3).one_step(batch(0, 4), Key([0, 0]), 0, None).expect_err("4 over 3");
    assert_eq!(error.code(), "ShapeMismatch");
    assert!(error.message().starts_with("Trainer: `nDevices` 3 does not divide the 4 items"), "{}", error.message());
}

fn options(folder: &Path) -> FitOptions {
    FitOptions {
        steps: 3,
        first_step: 10,
        schedule: None,
        key: Key([0, 5]),
        report_every: Duration::ZERO,
        output_dir: Some(folder.to_path_buf()),
    }
}

fn run(model: LayerRef, n: usize, folder: &Path) -> tallow_training::Result<Vec<f64>> {
    let mut i = 0;
    let mut batches = || {
        i += 1;
        Ok(Some(batch(i, 12)))
    };
    Ok(fit(&mut trainer(model, n), &mut batches, &options(folder), &mut |_| Ok(()))?.losses)
}

fn recorded(folder: &Path) -> Vec<Recorded> {
    let mut files: Vec<_> = std::fs::read_dir(folder).expect("the folder").map(|f| f.expect("a file").path()).collect();
    assert_eq!(files.len(), 1);
    let file = files.remove(0);
    let name = file.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    assert!(name.starts_with("events.out.tfevents."), "{name}");
    read_events(&file).expect("an event file")
}

#[test]
fn a_loop_writes_what_it_measured_and_the_summaries_of_layers() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().join("new/run");
    let image = made("SummaryImage", json!({"name": "map", "nIn": 1, "numSummaries": 2}));
    let scalar = made("SummaryScalar", json!({"name": "activity"}));
    let reshaped = made("AssertShape", json!({"spec": "bd"}));
    let losses = run(model(vec![scalar, image, reshaped]), 2, &folder).expect("a run");
    let all = recorded(&folder);
    let of = |tag: &str| all.iter().filter(|r| r.tag == tag).collect::<Vec<_>>();
    let scalars = |tag: &str| {
        let value = |r: &&Recorded| match r.value {
            Value::Scalar(v) => (r.step, f64::from(v)),
            ref other => panic!("{tag} is no number: {other:?}"),
        };
        of(tag).iter().map(value).collect::<Vec<_>>()
    };
    let expected: Vec<_> = (10..).zip(losses.iter().map(|&l| f64::from(l as f32))).collect();
    assert_eq!(scalars("metrics/loss"), expected);
    assert_eq!(
        scalars("training/learning_rate"),
        [(10, 0.01), (11, 0.01), (12, 0.01)].map(|(s, v)| (s, f64::from(v as f32)))
    );
    for tag in ["training/gradients_l2", "training/weights_l2", "training/steps per second"] {
        assert!(scalars(tag).iter().all(|(_, v)| *v > 0.0) && scalars(tag).len() == 3, "{tag}");
    }
    assert!(scalars("summary_activity").iter().all(|(_, v)| v.abs() < 1.0 && *v != 0.0));
    for (tag, r) in ["summary_map0", "summary_map1"].into_iter().flat_map(|t| of(t).into_iter().map(move |r| (t, r))) {
        let Value::Image { height: 1, width: 16, channels: 1, png } = &r.value else { panic!("{tag}: {r:?}") };
        assert_eq!(png[..4], *b"\x89PNG");
    }
    assert_eq!(of("summary_map0").len(), 3);
    assert_eq!(all.len(), 3 * 8);
}

#[test]
fn a_folder_that_cannot_be_is_an_error_before_the_first_step() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    std::fs::write(&file, "in the way").expect("a file");
    let model = model(Vec::new());
    let before = held(&model).0;
    let error = run(model.clone(), 1, &file.join("run")).expect_err("a file is no folder");
    assert_eq!(error.code(), "Io");
    assert!(error.message().starts_with("cannot make the folder "), "{}", error.message());
    let after = held(&model).0;
    for (id, tree) in &before {
        for (a, b) in tree.leaves().iter().zip(after[id].leaves()) {
            assert_eq!(a.storage_id(), b.storage_id(), "no step was made");
        }
    }
}
