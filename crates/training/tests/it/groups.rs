//! Groups of weights, batches gathered for a step, averages of weights, and what files say of them.
use serde_json::json;
use std::{collections::BTreeMap, time::Duration};
use tallow_layers::{combinators::serial, core::dense, held, hold, init, registry, HostValue, LayerRef, TensorSpec};
use tallow_tensor::{
    random::{normal, Key},
    threads::set_num_threads,
    DType, Device, Tensor,
};
use tallow_training::{
    fit, named_leaves, optimizers, read_safetensors, save_layer, weight_names, FitOptions, Trainer, TrainerOptions,
};

const LOWER: [&str; 2] = ["0.Dense_6/0", "0.Dense_6/1"];
const UPPER: [&str; 2] = ["2.Dense_1/0", "2.Dense_1/1"];

fn batch(i: u32, rows: usize) -> Vec<Tensor> {
    let x = normal(Key([1, i]), &[rows, 8], DType::F32).expect("values");
    let y = x.sum(1, true).and_then(|t| t.sin()).expect("values");
    vec![x, y, Tensor::ones(&[rows, 1], DType::F32, &Device::Cpu).expect("ones")]
}

fn model_of(width: usize) -> LayerRef {
    let made = |kind: &str| registry::construct(kind, json!({})).expect("a layer");
    let model = serial(vec![dense(width), made("Tanh"), dense(1), made("L2Loss")]);
    let specs: Vec<TensorSpec> = batch(0, 12).iter().map(TensorSpec::of).collect();
    let (w, s) = init(&model, &specs, Key([0, 1])).expect("init");
    hold(&model, Some(&w), Some(&s));
    model
}

fn model() -> LayerRef {
    model_of(6)
}

fn trainer(model: &LayerRef, optimizer: (&str, serde_json::Value), options: serde_json::Value) -> Trainer {
    made(model, optimizer, options).expect("a trainer")
}

fn made(
    model: &LayerRef,
    (kind, own): (&str, serde_json::Value),
    options: serde_json::Value,
) -> tallow_training::Result<Trainer> {
    let options = TrainerOptions::parse(&HostValue::from(options))?;
    Trainer::with_options(model.clone(), optimizers::construct(kind, own)?, options, None)
}

fn bits(model: &LayerRef) -> BTreeMap<String, Vec<u32>> {
    let bits = |t: Tensor| t.to_vec::<f32>().expect("values").into_iter().map(f32::to_bits).collect();
    let all = named_leaves("weights", model, &held(model).0);
    all.into_iter().map(|(name, t)| (name.trim_start_matches("weights/").to_owned(), bits(t))).collect()
}

fn steps(trainer: &mut Trainer, numbers: std::ops::Range<u32>) -> Vec<f64> {
    numbers.map(|i| trainer.one_step(batch(i, 12), Key([2, i]), u64::from(i), None).expect("a step").loss).collect()
}

fn sgd(rate: f64) -> (&'static str, serde_json::Value) {
    ("SGD", json!({"learningRate": rate}))
}

fn group(weights: &str, optimizer: (&str, serde_json::Value)) -> serde_json::Value {
    json!({"weights": weights, "optimizer": {"kind": optimizer.0, "options": optimizer.1}})
}

#[test]
fn weights_are_named_in_the_order_of_their_layers() {
    assert_eq!(weight_names(&model()), [LOWER, UPPER].concat());
}

#[test]
fn frozen_weights_stay_as_they_are_and_have_no_slots() {
    let model = model();
    let before = bits(&model);
    let adamw = ("AdamW", json!({"learningRate": 0.01, "weightDecay": 0.5}));
    let mut trainer = trainer(&model, adamw, json!({"groups": [{"weights": "0.*/*", "frozen": true}]}));
    let before_first = steps(&mut trainer, 0..1)[0];
    steps(&mut trainer, 1..19);
    let after_many = steps(&mut trainer, 0..1)[0];
    assert!(after_many < before_first, "{after_many} of {before_first}");
    let after = bits(&model);
    for name in LOWER {
        assert_eq!(before[name], after[name], "{name}");
    }
    for name in UPPER {
        assert_ne!(before[name], after[name], "{name}");
    }
    let slots: Vec<usize> = trainer.slots().expect("slots").iter().map(Vec::len).collect();
    assert_eq!(slots, [0, 0, 2, 2]);
    let error = trainer.set_slots(vec![Vec::new(); 4]).expect_err("two weights have slots");
    assert_eq!(error.code(), "WeightsMismatch");
    trainer.set_slots(trainer.slots().expect("slots")).expect("its own slots");
}

#[test]
fn a_group_moves_by_its_own_optimizer_in_proportion_to_the_trainers_rate() {
    let moved = |own: (&str, serde_json::Value), options: serde_json::Value, rate: Option<f64>| {
        let model = model();
        trainer(&model, own, options).one_step(batch(0, 12), Key([2, 0]), 0, rate).expect("a step");
        bits(&model)
    };
    let both = json!({"groups": [group("2.*/**", sgd(0.02)), {"weights": "**/1", "frozen": true}]});
    let none = json!({});
    let grouped = moved(sgd(0.1), both.clone(), None);
    let (fast, slow) = (moved(sgd(0.1), none.clone(), None), moved(sgd(0.02), none.clone(), None));
    assert_eq!(grouped[LOWER[0]], fast[LOWER[0]]);
    assert_eq!(grouped[LOWER[1]], bits(&model())[LOWER[1]], "a frozen bias");
    for name in UPPER {
        assert_eq!(grouped[name], slow[name], "{name}, of which the first group is the one that counts");
    }
    let halved = moved(sgd(0.1), both, Some(0.05));
    let (fast, slow) = (moved(sgd(0.05), none.clone(), None), moved(sgd(0.01), none, None));
    assert_eq!(halved[LOWER[0]], fast[LOWER[0]]);
    assert_eq!(halved[UPPER[0]], slow[UPPER[0]]);
}

#[test]
fn a_group_clips_by_the_norm_of_the_whole_gradient() {
    let clipped = |clip: f64| ("SGD", json!({"learningRate": 0.1, "clipGradNorm": clip}));
    let run = |options: serde_json::Value| {
        let model = model();
        steps(&mut trainer(&model, clipped(0.05), options), 0..3);
        bits(&model)
    };
    assert_eq!(run(json!({})), run(json!({"groups": [group("2.*/**", clipped(0.05))]})));
}

#[test]
fn groups_of_no_sense_are_refused() {
    let refused = |groups: serde_json::Value| {
        let error = made(&model(), sgd(0.1), json!({"groups": groups})).expect_err("wrong groups");
        assert_eq!(error.code(), "InvalidOption");
        error.message().to_string()
    };
    let frozen = |weights: serde_json::Value| json!([{"weights": weights, "frozen": true}]);
    let adam = json!({"kind": "Adam", "options": {}});
    for (groups, says) in [
        (
            frozen(json!("0.Dense_7/0")),
            "Trainer: `groups`[0]: no weight matches the pattern '0.Dense_7/0'; the nearest are 0.Dense_6/0",
        ),
        (frozen(json!([])), "Trainer: `groups`[0] must be at least one pattern of names of weights, got none"),
        (
            frozen(json!(["**", 5])),
            "Trainer: `groups` [0] must have as `weights` a pattern of names of weights or a list",
        ),
        (frozen(json!("**")), "Trainer: `groups` freeze all weights, so there is nothing to train"),
        (json!([{"weights": "**", "frozen": true, "optimizer": adam}]), "[0] has both `frozen` and `optimizer`"),
        (json!([{"weights": "**", "optimizer": adam}, {"weights": "**"}]), "[1] has neither `frozen` nor `optimizer`"),
        (json!([{"weights": "**", "frozen": "yes"}]), "[0] must have true as `frozen`, or no `frozen`, got"),
        (json!([{"frozen": true}]), "[0] must have `weights`"),
        (json!([{"weights": "**", "lr": 1}]), "unknown option `lr`"),
        (json!([{"weights": "**", "optimizer": "Adam"}]), "[0] must have as `optimizer` what tl.optimizers makes"),
        (json!([7]), "[0] must be { weights, frozen: true } or { weights, optimizer }, got 7"),
        (json!("all"), "Trainer: `groups` must be a list of groups"),
    ] {
        let message = refused(groups);
        assert!(message.contains(says), "{message}, want {says}");
    }
    let bare = serial(vec![dense(2)]);
    let error = made(&bare, sgd(0.1), json!({"groups": frozen(json!("**"))})).expect_err("no weights yet");
    assert_eq!(error.code(), "NotInitialized");
    let still = json!({"groups": [group("2.*/**", sgd(0.02))]});
    let error =
        trainer(&model(), sgd(0.0), still).one_step(batch(0, 12), Key([2, 0]), 3, Some(0.1)).expect_err("no ratio");
    assert!(error.message().starts_with("the learning rate of step 3 is 0.1, and those of groups change"), "{error}");
}

fn options(steps: u64) -> FitOptions {
    let report_every = Duration::ZERO;
    FitOptions { steps, first_step: 0, schedule: None, key: Key([0, 5]), report_every, output_dir: None }
}

/// Runs a loop over `batches`, and gives its losses.
fn looped(trainer: &mut Trainer, batches: Vec<Vec<Tensor>>, steps: u64) -> Vec<f64> {
    let mut batches = batches.into_iter();
    fit(trainer, &mut || Ok(batches.next()), &options(steps), &mut |_| Ok(())).expect("a run").losses
}

#[test]
fn gathered_batches_are_a_step_with_the_mean_of_their_gradients() {
    let whole = batch(0, 12);
    let quarter = |i: usize| whole.iter().map(|t| t.narrow(0, 3 * i, 3).expect("rows")).collect::<Vec<_>>();
    let (at_once, gathered) = (model(), model());
    let all = looped(&mut trainer(&at_once, sgd(0.5), json!({})), vec![whole.clone()], 1);
    let mut parts = trainer(&gathered, sgd(0.5), json!({"accumulate": 4}));
    let few = looped(&mut parts, (0..4).map(quarter).collect(), 1);
    assert!((all[0] - few[0]).abs() < 1e-6, "{all:?} {few:?}");
    let (all, few) = (bits(&at_once), bits(&gathered));
    for (name, all) in &all {
        for (a, b) in all.iter().zip(&few[name]) {
            let (a, b) = (f32::from_bits(*a), f32::from_bits(*b));
            assert!((a - b).abs() <= 1e-6, "{name}: {a}, {b}");
        }
    }
    let error = parts.one_step(whole, Key([2, 0]), 0, None).expect_err("a step takes four batches");
    assert!(error.message().contains("a step of this trainer takes `accumulate` 4"), "{error}");
}

#[test]
fn gathering_is_what_one_would_do_by_hand() {
    let (by_hand, by_trainer) = (model(), model());
    // A step at rate 1 gives the gradient, bit by bit where the weights are 0 before it.
    let gradients = |i: u32| {
        let mut tracked = held(&by_hand).0;
        let mut variables = Vec::new();
        for (_, tree) in tracked.iter_mut() {
            *tree = tree.map(&mut |t: &Tensor| t.variable());
        }
        for (_, t) in named_leaves("weights", &by_hand, &tracked) {
            variables.push(t);
        }
        let state = held(&by_hand).1;
        let (outputs, _) =
            tallow_layers::pure_fn(&by_hand, batch(i, 12), &tracked, state, Key([2, i])).expect("a loss");
        let one = Tensor::ones(outputs[0].shape(), DType::F32, &Device::Cpu).expect("one");
        tallow_tensor::backward(&[(outputs[0].clone(), one)], &variables, false).expect("gradients")
    };
    let sum = (1..3)
        .map(gradients)
        .fold(gradients(0), |sum, g| sum.iter().zip(&g).map(|(a, b)| a.add(b).expect("a sum")).collect());
    let mean: Vec<Tensor> = sum.iter().map(|s| s.div_scalar(3.0).expect("a mean")).collect();
    let weights = named_leaves("weights", &by_hand, &held(&by_hand).0);
    let mut trainer = trainer(&by_trainer, sgd(0.25), json!({"accumulate": 3}));
    looped(&mut trainer, (0..3).map(|i| batch(i, 12)).collect(), 1);
    let after = named_leaves("weights", &by_trainer, &held(&by_trainer).0);
    for (((name, w), g), (_, got)) in weights.iter().zip(&mean).zip(&after) {
        let want = w.sub(&g.mul_scalar(0.25).expect("a step")).expect("new weights");
        assert_eq!(want.to_vec::<f32>().expect("values"), got.to_vec::<f32>().expect("values"), "{name}");
    }
}

#[test]
fn a_step_is_made_with_the_batches_that_there_are() {
    let (five, apart) = (model(), model());
    let all = |from: u32, to: u32| (from..to).map(|i| batch(i, 12)).collect::<Vec<_>>();
    let mut together = trainer(&five, sgd(0.1), json!({"accumulate": 3}));
    assert_eq!(looped(&mut together, all(0, 5), 9).len(), 2, "three batches, then two");
    looped(&mut trainer(&apart, sgd(0.1), json!({"accumulate": 3})), all(0, 3), 1);
    looped(&mut trainer(&apart, sgd(0.1), json!({"accumulate": 2})), all(3, 5), 1);
    assert_eq!(bits(&five), bits(&apart));
}

#[test]
fn averages_follow_the_weights_by_their_formula() {
    let model = model();
    let options = json!({"averageDecay": 0.9, "groups": [{"weights": "0.*/1", "frozen": true}]});
    let mut trainer = trainer(&model, ("Adam", json!({"learningRate": 0.05})), options);
    let weights = || named_leaves("weights", &model, &held(&model).0);
    let mut want: Vec<Tensor> = weights().into_iter().map(|(_, t)| t).collect();
    let values = |t: &Tensor| t.to_vec::<f32>().expect("values");
    for i in 0..5 {
        steps(&mut trainer, i..i + 1);
        for (a, (_, w)) in want.iter_mut().zip(weights()) {
            *a = a.mul_scalar(0.9).and_then(|a| a.add(&w.mul_scalar(1.0 - 0.9)?)).expect("an average");
        }
    }
    let averages = trainer.averages().expect("averages");
    for (i, (a, b)) in averages.iter().zip(&want).enumerate() {
        if i != 1 {
            assert_eq!(values(a), values(b), "weight {i}");
        }
    }
    assert_eq!(values(&averages[1]), values(&weights()[1].1), "a frozen weight is its own average");
    let own = bits(&model);
    trainer.lend_averages().expect("averages");
    assert_eq!(values(&weights()[2].1), values(&averages[2]));
    for error in [
        trainer.one_step(batch(0, 12), Key([2, 0]), 0, None).expect_err("a step"),
        trainer.save(std::path::Path::new("/nowhere"), 0, None).expect_err("a file"),
        trainer.lend_averages().expect_err("again"),
    ] {
        assert_eq!(error.code(), "Busy", "{error}");
    }
    trainer.return_weights();
    assert_eq!(bits(&model), own);
    steps(&mut trainer, 5..6);
}

#[test]
fn a_run_with_groups_and_averages_goes_on_from_its_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run");
    let adam = || ("Adam", json!({"learningRate": 0.05}));
    let options =
        || json!({"averageDecay": 0.9, "groups": [group("2.*/**", sgd(0.02)), {"weights": "0.*/1", "frozen": true}]});
    let (whole, part, later) = (model(), model(), model());
    let mut at_once = trainer(&whole, adam(), options());
    steps(&mut at_once, 0..6);
    let mut first = trainer(&part, adam(), options());
    steps(&mut first, 0..3);
    first.save(&path, 3, None).expect("a file");
    let mut second = trainer(&later, adam(), options());
    assert_eq!(second.load(&path, true).expect("the file"), 3);
    steps(&mut second, 3..6);
    assert_eq!(bits(&whole), bits(&later));
    let values =
        |t: &Trainer| t.averages().expect("averages").iter().map(|a| a.to_vec::<f32>().unwrap()).collect::<Vec<_>>();
    assert_eq!(values(&at_once), values(&second));
    let names: Vec<String> = read_safetensors(&path).expect("the file").0.into_iter().map(|(n, _)| n).collect();
    let extra: Vec<&str> = names.iter().map(String::as_str).filter(|n| !n.starts_with("weights")).collect();
    let want = [
        "averages/0.Dense_6/0",
        "averages/2.Dense_1/0",
        "averages/2.Dense_1/1",
        "slots/0.Dense_6/0/0",
        "slots/0.Dense_6/0/1",
    ];
    assert_eq!(
        {
            let mut e = extra;
            e.sort_unstable();
            e
        },
        want
    );

    let mut thawed = trainer(&later, adam(), json!({}));
    let before = bits(&later);
    let error = thawed.load(&path, true).expect_err("other groups");
    assert_eq!(error.code(), "WeightsMismatch");
    let says = "it has none for 0.Dense_6/1, 2.Dense_1/0, 2.Dense_1/1, which are trained here";
    assert!(error.message().contains(says), "{error}");
    assert_eq!(bits(&later), before, "nothing was loaded");
    assert_eq!(thawed.load(&path, false).expect("what fits"), 3);
    assert_eq!(bits(&later), bits(&part));
    let slots: Vec<usize> = thawed.slots().expect("slots").iter().map(Vec::len).collect();
    assert_eq!(slots, [2, 0, 0, 0], "those of the weight that was trained by Adam, too");
    steps(&mut thawed, 3..4);
    let mut frozen = trainer(&later, adam(), json!({"groups": [{"weights": "0.*/*", "frozen": true}]}));
    let error = frozen.load(&path, true).expect_err("slots of a frozen weight");
    assert!(error.message().contains("it has some for 0.Dense_6/0, which are not trained here"), "{error}");
}

#[test]
fn slots_that_an_older_file_numbers_are_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run");
    let momentum = || ("Momentum", json!({"learningRate": 0.05}));
    let (old, new) = (model(), model());
    let mut first = trainer(&old, momentum(), json!({}));
    steps(&mut first, 0..3);
    let slots = first.slots().expect("slots").into_iter().enumerate();
    let extra = slots.flat_map(|(i, s)| s.into_iter().map(move |t| (format!("slots/{i:05}/0"), t))).collect();
    save_layer(&path, &old, extra, BTreeMap::from([("step".into(), "3".into())])).expect("a file");
    let mut second = trainer(&new, momentum(), json!({}));
    assert_eq!(second.load(&path, true).expect("the file"), 3);
    assert_eq!(steps(&mut first, 3..6), steps(&mut second, 3..6));
    assert_eq!(bits(&old), bits(&new));
}

#[test]
fn the_bits_do_not_depend_on_the_number_of_threads() {
    let run = |threads: usize| {
        set_num_threads(threads).expect("threads");
        let model = model_of(3000);
        let options = json!({
            "accumulate": 2, "averageDecay": 0.99,
            "groups": [{"weights": "0.*/1", "frozen": true}, group("2.*/**", ("Lion", json!({})))],
        });
        let mut trainer = trainer(&model, ("AdamW", json!({})), options);
        let losses = looped(&mut trainer, (0..6).map(|i| batch(i, 48)).collect(), 3);
        let averages = trainer.averages().expect("averages");
        let averages: Vec<Vec<f32>> = averages.iter().map(|a| a.to_vec().expect("values")).collect();
        (losses, bits(&model), averages)
    };
    let one = run(1);
    assert_eq!(one, run(2));
    assert_eq!(one, run(4));
}
