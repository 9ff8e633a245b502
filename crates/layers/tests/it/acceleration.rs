//! Replicas against the plain layer: values, gradients, state, threads.
use serde_json::json;
use std::{
    collections::HashSet,
    sync::{Arc, Condvar, Mutex},
    thread::{self, ThreadId},
    time::Duration,
};
use tallow_layers::{
    acceleration::accelerate,
    combinators::{parallel, serial},
    core::dense,
    framework::pure::pure_layer,
    init, load_state, pure_fn, registry,
    reversible::{half_residual, reversible_serial, reversible_swap},
    testing::References,
    view_state, with_mode, Error, LayerRef, Mode, Store, TensorSpec, Tree,
};
use tallow_tensor::{
    backward,
    random::Key,
    testing::{assert_same_bits, assert_within, check_gradients, on_threads, random, tolerance},
    DType, ErrorKind, Tensor,
};

const KEY: Key = Key([7, 11]);

fn made(kind: &str, options: serde_json::Value) -> LayerRef {
    registry::construct(kind, &options).expect("a layer")
}

fn mlp() -> LayerRef {
    serial(vec![dense(6), made("Tanh", json!({})), made("LayerNorm", json!({})), dense(2)])
}

fn f32(shape: &[usize], seed: u64) -> Tensor {
    random(shape, seed).cast(DType::F32).expect("a cast")
}

fn close(a: &Tensor, b: &Tensor) {
    assert_within(a, b, tolerance(DType::F32));
}

/// Output, state and the gradients of the input and of all weights, with a fixed cotangent.
fn everything(layer: &LayerRef, x: &Tensor, weights: &Store, state: &Store) -> (Tensor, Store, Vec<Tensor>) {
    let x = x.variable();
    let mut tracked = weights.clone();
    let mut variables = vec![x.clone()];
    tallow_layers::for_each_instance(layer, &mut |l| {
        if let Some(tree) = tracked.get_mut(&l.base().id) {
            *tree = tree.map(&mut Tensor::variable);
            variables.extend(tree.leaves().into_iter().cloned());
        }
    });
    let (ys, state) = pure_fn(layer, vec![x], &tracked, state.clone(), KEY).expect("a call");
    let ct = f32(ys[0].shape(), 3);
    let grads = backward(&[(ys[0].clone(), ct)], &variables, false).expect("gradients");
    (ys[0].detach(), state, grads)
}

#[test]
fn replicas_compute_what_the_layer_computes() {
    let layer = mlp();
    for (batch, n) in [(6, 1), (6, 2), (6, 3), (7, 2), (7, 4), (1, 4), (3, 8)] {
        let x = f32(&[batch, 5], batch as u64);
        let (w, s) = init(&layer, &[TensorSpec::of(&x)], KEY).expect("init");
        let (y, _, grads) = everything(&layer, &x, &w, &s);
        let (fast_y, _, fast_grads) = everything(&accelerate(layer.clone(), n), &x, &w, &s);
        close(&fast_y, &y);
        assert_eq!(fast_grads.len(), 7, "the input, two kernels and biases, scale and bias of the norm");
        grads.iter().zip(&fast_grads).for_each(|(a, b)| close(b, a));
    }
}

#[test]
fn gradients_agree_with_differences() {
    let layer = accelerate(serial(vec![dense(3), made("Tanh", json!({}))]), 2);
    let x = random(&[5, 4], 1);
    let (w, s) = init(&layer, &[TensorSpec::of(&x)], KEY).expect("init");
    let id = layer.sublayers()[0].sublayers()[0].base().id;
    let leaves: Vec<Tensor> = w[&id].leaves().into_iter().map(|t| t.cast(DType::F64).expect("a cast")).collect();
    let inputs = [x, leaves[0].clone(), leaves[1].clone()];
    check_gradients(
        |xs| {
            let mut w = w.clone();
            w.insert(id, Tree::tuple(xs[1..].iter().cloned()));
            Ok(pure_fn(&layer, vec![xs[0].clone()], &w, s.clone(), KEY)?.0)
        },
        &inputs,
    );
}

#[test]
fn a_kept_graph_can_be_walked_twice() {
    let layer = accelerate(dense(3), 2);
    let x = f32(&[4, 2], 1);
    let (w, s) = init(&layer, &[TensorSpec::of(&x)], KEY).expect("init");
    let v = x.variable();
    let (ys, _) = pure_fn(&layer, vec![v.clone()], &w, s, KEY).expect("a call");
    let seeds = [(ys[0].clone(), f32(&[4, 3], 2))];
    let first = backward(&seeds, std::slice::from_ref(&v), true).expect("gradients");
    let second = backward(&seeds, std::slice::from_ref(&v), false).expect("the graph was kept");
    assert_same_bits(&first[0], &second[0]);
    assert_eq!(backward(&seeds, &[v], false).expect_err("the graph was freed").kind(), ErrorKind::Autodiff);
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    let layer = serial(vec![dense(64), made("Gelu", json!({})), made("LayerNorm", json!({})), dense(32)]);
    let x = f32(&[33, 48], 1);
    let (w, s) = init(&layer, &[TensorSpec::of(&x)], KEY).expect("init");
    let fast = accelerate(layer, 4);
    let runs: Vec<_> = [1, 2, 4].map(|n| on_threads(n, || everything(&fast, &x, &w, &s))).into();
    for run in &runs[1..] {
        assert_same_bits(&run.0, &runs[0].0);
        run.2.iter().zip(&runs[0].2).for_each(|(a, b)| assert_same_bits(a, b));
    }
}

/// Waits until `n` threads have come, or too long.
struct Meeting {
    here: Mutex<HashSet<ThreadId>>,
    came: Condvar,
    n: usize,
}

impl Meeting {
    fn meet(&self) -> Result<(), Error> {
        let mut here = self.here.lock().expect("no panic");
        here.insert(thread::current().id());
        self.came.notify_all();
        let (here, timeout) =
            self.came.wait_timeout_while(here, Duration::from_secs(60), |h| h.len() < self.n).expect("no panic");
        if timeout.timed_out() {
            return Err(Error::new(ErrorKind::Internal, format!("only {} threads came", here.len())));
        }
        Ok(())
    }
}

#[test]
fn two_replicas_run_on_two_threads() {
    let meeting = Arc::new(Meeting { here: Mutex::default(), came: Condvar::new(), n: 2 });
    let at = meeting.clone();
    let same = |s: &[TensorSpec]| Ok(s.to_vec());
    let layer = pure_layer("Meet", 1, 1, same, move |xs| at.meet().map(|()| xs.to_vec()));
    let x = f32(&[4, 2], 1);
    let ys = on_threads(2, || pure_fn(&accelerate(layer, 2), vec![x.clone()], &Store::new(), Store::new(), KEY));
    assert_same_bits(&ys.expect("both came").0[0], &x);
    assert_eq!(meeting.here.lock().expect("no panic").len(), 2);
}

#[test]
fn learned_state_is_averaged() {
    let plain = made("BatchNorm", json!({"axis": [0]}));
    let fast = accelerate(plain.clone(), 2);
    let x = f32(&[6, 3], 1);
    let (w, s) = init(&plain, &[TensorSpec::of(&x)], KEY).expect("init");
    let half = |i: usize| {
        let share = x.narrow(0, 3 * i, 3).expect("a half");
        let (_, s) = pure_fn(&plain, vec![share], &w, s.clone(), KEY).expect("a call");
        s[&plain.base().id].leaves().into_iter().cloned().collect::<Vec<_>>()
    };
    let (_, state) = pure_fn(&fast, vec![x.clone()], &w, s.clone(), KEY).expect("a call");
    let got = state[&plain.base().id].leaves();
    let (a, b) = (half(0), half(1));
    for i in 0..2 {
        close(got[i], &a[i].add(&b[i]).and_then(|t| t.mul_scalar(0.5)).expect("a mean"));
    }
    assert_eq!(got[2].item().expect("the number of batches"), 1.0, "counts are not added");
    assert!(
        matches!(view_state(&fast, &state).expect("room for the state"), Tree::Tuple(_)),
        "one state for all devices"
    );
}

#[test]
fn sequence_state_stays_with_its_device() {
    let layer = made("CausalAttention", json!({"dFeature": 4, "mode": "predict"}));
    let fast = accelerate(layer.clone(), 2);
    let x = f32(&[4, 3, 4], 1);
    let step = |i| x.narrow(1, i, 1).expect("a step");
    let (w, _) = init(&layer, &[TensorSpec::of(&step(0))], KEY).expect("init");
    let run = |layer: &LayerRef| {
        let (_, mut s) = init(layer, &[TensorSpec::of(&step(0))], KEY).expect("init");
        let steps = (0..3).map(|i| {
            let (ys, new) = pure_fn(layer, vec![step(i)], &w, s.clone(), KEY).expect("a step");
            // The way through the view must keep all that the next step needs.
            s = load_state(layer, &view_state(layer, &new).expect("room for the state")).expect("its own state");
            ys[0].clone()
        });
        steps.collect::<Vec<_>>()
    };
    run(&layer).iter().zip(&run(&fast)).for_each(|(a, b)| close(b, a));
    let whole = with_mode(&layer, Mode::Eval);
    let (_, s) = init(&whole, &[TensorSpec::of(&x)], KEY).expect("init");
    let ys = pure_fn(&whole, vec![x.clone()], &w, s, KEY).expect("a call").0;
    close(&run(&fast)[2], &ys[0].narrow(1, 2, 1).expect("the last step"));
}

#[test]
fn the_state_of_other_devices_is_refused() {
    let fast = accelerate(made("CausalAttention", json!({"dFeature": 4, "mode": "predict"})), 2);
    let x = f32(&[4, 1, 4], 1);
    let (w, s) = init(&fast, &[TensorSpec::of(&x)], KEY).expect("init");
    let (_, s) = pure_fn(&fast, vec![x], &w, s, KEY).expect("a call");
    let other = accelerate(fast.sublayers()[0].clone(), 3);
    let error = load_state(&other, &view_state(&fast, &s).expect("room for the state"))
        .expect_err("two devices' state for three");
    assert_eq!(error.code(), "WeightsMismatch");
}

#[test]
fn each_device_draws_from_its_own_key() {
    let dropout = || made("Dropout", json!({"rate": 0.5}));
    let layer = dropout();
    let x = Tensor::ones(&[4, 16], DType::F32, &tallow_tensor::Device::Cpu).expect("ones");
    let (w, s) = init(&layer, &[TensorSpec::of(&x)], KEY).expect("init");
    let y = pure_fn(&accelerate(layer.clone(), 2), vec![x.clone()], &w, s.clone(), KEY).expect("a call").0;
    for (i, key) in KEY.split(2).into_iter().enumerate() {
        let share = x.narrow(0, 2 * i, 2).expect("a half");
        let ys = pure_fn(&layer, vec![share], &w, s.clone(), key).expect("a call").0;
        assert_same_bits(&y[0].narrow(0, 2 * i, 2).expect("a half"), &ys[0]);
    }
}

fn in_step(shape: &[usize], sync: bool) -> LayerRef {
    made("RandomUniform", json!({"shape": shape, "sync": sync}))
}

#[test]
fn devices_draw_in_step_what_trax_draws() {
    let added = serial(vec![made("Relu", json!({})), in_step(&[2, 2], true), made("Add", json!({}))]);
    let pair = parallel(vec![added, serial(vec![])]).expect("two layers");
    let layer = accelerate(serial(vec![made("Dup", json!({})), pair, in_step(&[2, 2], false)]), 2);
    let x = Tensor::zeros(&[4, 2], DType::F32, &tallow_tensor::Device::Cpu).expect("zeros");
    let call = |layer: &LayerRef, xs: Vec<Tensor>| {
        pure_fn(layer, xs, &Store::new(), Store::new(), Key([0, 7])).expect("a call").0
    };
    let ys = call(&layer, vec![x]);
    // From Trax, on two devices.
    let apart = [0.7874056, 0.6470462, 0.6381836, 0.38720167, 0.18972647, 0.20734084, 0.5023478, 0.9055177];
    let common = [0.719_666_5, 0.715_615_15, 0.084_206_104, 0.763_935_57];
    assert_eq!(ys[0].to_vec::<f32>().expect("floats"), apart);
    assert_eq!(ys[1].to_vec::<f32>().expect("floats"), [common, common].concat());
    let alone = call(&accelerate(in_step(&[2, 2], true), 1), vec![]);
    assert_same_bits(&alone[0], &call(&in_step(&[2, 2], false), vec![])[0]);
}

#[test]
fn what_is_computed_anew_for_gradients_is_drawn_in_step_too() {
    let scaled = || serial(vec![in_step(&[3], true), made("Multiply", json!({}))]);
    let reversible =
        || reversible_serial(vec![half_residual(vec![scaled()], None), reversible_swap()]).expect("reversible");
    let key = [0, 1].map(|i| KEY.split(2)[i].split(2)[0].split(1)[0].split(1)[0].split(2)[0]);
    let sum = Key([0, 1].map(|word| key[0].0[word].wrapping_add(key[1].0[word])));
    let drawn = tallow_tensor::random::uniform(sum, &[3], DType::F32, 0.0, 1.0).expect("draws");
    let ones = Tensor::ones(&[4, 3], DType::F32, &tallow_tensor::Device::Cpu).expect("ones");
    let [a, b] = [f32(&[4, 3], 1).variable(), f32(&[4, 3], 2).variable()];
    let layer = accelerate(reversible(), 2);
    let (ys, _) = pure_fn(&layer, vec![a.clone(), b.clone()], &Store::new(), Store::new(), KEY).expect("a call");
    close(&ys[1].detach(), &a.add(&b.mul(&drawn).expect("a product")).expect("a sum").detach());
    let grads = backward(&[(ys[1].clone(), ones.clone())], &[a, b], false).expect("gradients");
    close(&grads[0], &ones);
    close(&grads[1], &ones.mul(&drawn).expect("a product"));
}

#[test]
fn steps_of_a_scan_are_drawn_in_step() {
    let step = serial(vec![made("Add", json!({})), in_step(&[], true), made("Add", json!({})), made("Dup", json!({}))]);
    let x = Tensor::zeros(&[4, 3], DType::F32, &tallow_tensor::Device::Cpu).expect("zeros");
    for remat in [false, true] {
        let references = References { layers: vec![step.clone()], ..References::default() };
        let scan = registry::construct(
            "Scan",
            references.resolve(&json!({"layer": {"$layer": 0}, "axis": 1, "nCarry": 1, "remat": remat})),
        );
        let layer = accelerate(scan.expect("a layer"), 2);
        let carry = x.narrow(1, 0, 1).and_then(|t| t.reshape(&[4])).expect("zeros").variable();
        let (ys, _) = pure_fn(&layer, vec![x.clone(), carry], &Store::new(), Store::new(), KEY).expect("a call");
        let keys = |i: u32| KEY.split(2).into_iter().map(move |k| k.fold_in(i).split(4)[1]);
        let sum = |i| keys(i).fold([0u32; 2], |s, k| [s[0].wrapping_add(k.0[0]), s[1].wrapping_add(k.0[1])]);
        let draw = |i| tallow_tensor::random::uniform(Key(sum(i)), &[], DType::F32, 0.0, 1.0).expect("a draw");
        let total = (0..3).map(|i| draw(i).item().expect("a number")).sum::<f64>();
        let expected = Tensor::full(&[4], total, DType::F32, &tallow_tensor::Device::Cpu).expect("fours");
        close(&ys[1].detach(), &expected);
    }
}

#[test]
fn what_cannot_be_split_is_refused() {
    let fast = accelerate(made("Add", json!({})), 2);
    let call = |a: &[usize], b: &[usize]| {
        let xs = vec![f32(a, 1), f32(b, 2)];
        pure_fn(&fast, xs, &Store::new(), Store::new(), KEY).expect_err("no split")
    };
    assert_eq!(
        call(&[], &[]).message(),
        "inputs are split over 2 devices along their first axis, but float32[] has no axes"
    );
    assert_eq!(call(&[3, 1], &[1, 1]).code(), "ShapeMismatch");
    let wrong = registry::construct("Accelerate", json!({"layer": {"$layer": 0}, "nDevices": 0}));
    let references = References { layers: vec![dense(2)], ..References::default() };
    assert_eq!(wrong.expect_err("no layer").code(), "InvalidOption");
    let error = registry::construct("Accelerate", references.resolve(&json!({"layer": {"$layer": 0}, "nDevices": 0})));
    let message = "Accelerate: `nDevices` must be a whole number of at least 1, got 0";
    assert_eq!(error.expect_err("no devices").message(), message);
}
