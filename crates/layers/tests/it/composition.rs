//! What layers made of layers promise beyond single calls: long scans, recomputation, copies, sharing, errors.
use serde_json::{json, Value};
use std::sync::{
    atomic::{AtomicUsize, Ordering},
    Arc,
};
use tallow_layers::{
    combinators::{add, bidirectional, branch, cache, dup, multiply, residual, scan, select, serial, ScanOptions},
    deep_copy, ensure_state,
    framework::pure::pure_layer,
    held, hold, init, leaf, print, pure_fn, registry,
    testing::References,
    view_state, view_weights, with_mode, Axis, Call, Count, LayerArg, LayerRef, Leaf, Local, Mode, Output, Result,
    Store, TensorSpec, Traits, Tree,
};
use tallow_tensor::{backward, random::Key, testing, DType, Tensor};

const KEY: Key = Key([1, 2]);

/// Adds a weight and counts its calls in state; in `predict` the state is a vector instead of a number.
#[derive(Debug, Clone)]
struct Counting {
    mode: Mode,
    keeps: bool,
}

impl Leaf for Counting {
    fn name(&self) -> String {
        "Counting".into()
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        Ok(inputs.to_vec())
    }
    fn init(&self, inputs: &[TensorSpec], key: Key) -> Result<Local> {
        let shape = if self.mode == Mode::Predict { vec![2] } else { Vec::new() };
        let w = tallow_tensor::random::normal(key, &inputs[0].shape, DType::F32)?;
        let state = Tensor::zeros(&shape, DType::F32, &tallow_tensor::Device::Cpu)?;
        Ok(Local { weights: Tree::Leaf(w), state: Tree::Leaf(state) })
    }
    fn forward(&self, c: Call) -> Result<Output> {
        let y = c.xs[0].add(c.w.one()?)?;
        Ok(Output { ys: vec![y], state: Some(Tree::Leaf(c.s.one()?.add_scalar(1.0)?)) })
    }
    fn mode(&mut self) -> Option<&mut Mode> {
        Some(&mut self.mode)
    }
    fn traits(&self) -> Traits {
        if self.keeps {
            Traits::LEARNED
        } else {
            Traits::LEAF
        }
    }
}

/// A [`Counting`] layer in mode `'train'`.
pub fn counting(keeps: bool) -> LayerRef {
    leaf(Counting { mode: Mode::Train, keeps })
}

fn spec(shape: &[usize]) -> TensorSpec {
    TensorSpec::new(shape, DType::F32)
}

/// Values for tests.
pub fn f32(shape: &[usize], seed: u64) -> Tensor {
    testing::random(shape, seed).cast(DType::F32).expect("a cast")
}

/// Weights and state for one input of float32.
pub fn start(layer: &LayerRef, shape: &[usize]) -> (Store, Store) {
    init(layer, &[spec(shape)], KEY).expect("init")
}

/// `(x, c)` to `(c', c')` with `c' = tanh(0.5 c + x)`.
fn cell() -> LayerRef {
    pure_layer(
        "cell",
        2,
        2,
        |s| Ok(vec![s[1].clone(), s[1].clone()]),
        |xs| {
            let c = xs[1].mul_scalar(0.5)?.add(&xs[0])?.tanh()?;
            Ok(vec![c.clone(), c])
        },
    )
}

fn scanned(layer: LayerRef, remat: bool) -> LayerRef {
    scan(ScanOptions { layer: LayerArg(layer), axis: Axis(1), n_carry: Count(1), remat, mode: Mode::Train })
        .expect("a scan")
}

#[test]
fn recomputation_carries_state_and_its_gradient() {
    // The second step's output depends on the first step's input through state alone.
    #[derive(Debug, Clone)]
    struct Delay;
    impl Leaf for Delay {
        fn name(&self) -> String {
            "Delay".into()
        }
        fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
            Ok(inputs.to_vec())
        }
        fn init(&self, inputs: &[TensorSpec], _key: Key) -> Result<Local> {
            Ok(Local::state(Tree::Leaf(inputs[0].zeros()?)))
        }
        fn forward(&self, c: Call) -> Result<Output> {
            Ok(Output { ys: vec![c.s.one()?.mul_scalar(3.0)?], state: Some(Tree::Leaf(c.xs[0].clone())) })
        }
    }
    for remat in [false, true] {
        let layer = scan(ScanOptions {
            layer: LayerArg(leaf(Delay)),
            axis: Axis(0),
            n_carry: Count(0),
            remat,
            mode: Mode::Train,
        })
        .expect("a scan");
        let (weights, state) = start(&layer, &[3, 2]);
        let x = f32(&[3, 2], 1).variable();
        let (ys, new) = pure_fn(&layer, vec![x.clone()], &weights, state, KEY).expect("a call");
        let ones = ys[0].ones_like().expect("ones");
        let g = backward(&[(ys[0].clone(), ones)], std::slice::from_ref(&x), false).expect("gradients");
        assert_eq!(g[0].to_f64_vec().expect("values"), [3.0, 3.0, 3.0, 3.0, 0.0, 0.0], "remat {remat}");
        let Tree::Tuple(parts) = view_state(&layer, &new).expect("room for the state") else {
            panic!("the state of a scan is a pair")
        };
        let last = x.narrow(0, 2, 1).and_then(|t| t.reshape(&[2])).expect("the last slice");
        testing::assert_same_bits(&parts[0].one().expect("a tensor").detach(), &last.detach());
    }
}

#[test]
fn a_scan_over_nothing_returns_the_carry() {
    let layer = scanned(cell(), false);
    let c = f32(&[1, 16], 2);
    let x = f32(&[1, 0, 16], 1);
    let (ys, _) = pure_fn(&layer, vec![x, c.clone()], &Store::new(), Store::new(), KEY).expect("a call");
    assert_eq!(ys[0].shape(), [1, 0, 16]);
    testing::assert_same_bits(&ys[1], &c);
}

#[test]
fn a_copy_in_another_mode_gets_the_state_it_lacks() {
    let (fresh, learned) = (counting(false), counting(true));
    let layer = serial(vec![fresh.clone(), learned.clone()]);
    let (weights, state) = start(&layer, &[3]);
    let (_, state) = pure_fn(&layer, vec![f32(&[3], 1)], &weights, state, KEY).expect("a call");
    hold(&layer, Some(&weights), Some(&state));

    let predict = with_mode(&layer, Mode::Predict);
    let (weights, state) = held(&predict);
    assert_eq!(state.len(), 1, "only the learned state is kept: {state:?}");
    let state = ensure_state(&predict, state, &[spec(&[3])], KEY).expect("state");
    assert_eq!(state[&fresh.base().id].one().expect("a tensor").shape(), [2], "state of the new mode");
    assert_eq!(
        state[&learned.base().id].one().expect("a tensor").item().expect("a number"),
        1.0,
        "state that was learned"
    );
    let (ys, _) = pure_fn(&predict, vec![f32(&[3], 1)], &weights, state, KEY).expect("a call");
    let w = view_weights(&layer, &weights);
    let sum = w.leaves().into_iter().try_fold(f32(&[3], 1), |sum, w| sum.add(w)).expect("a sum");
    testing::assert_close(&ys[0], &sum, DType::F32);
}

#[test]
fn a_shared_layer_has_one_slot_whose_state_runs_on() {
    let shared = counting(false);
    let layer = serial(vec![shared.clone(), shared.clone()]);
    let (weights, state) = start(&layer, &[2]);
    assert_eq!(weights.len(), 1, "one instance, one slot");
    let w = view_weights(&layer, &weights);
    assert!(matches!(&w, Tree::Tuple(v) if matches!(v[..], [Tree::Leaf(_), Tree::Cached])), "{w:?}");
    let (_, state) = pure_fn(&layer, vec![f32(&[2], 1)], &weights, state, KEY).expect("a call");
    assert_eq!(state[&shared.base().id].one().expect("a tensor").item().expect("a number"), 2.0);
    // The key of the last place, as in Trax.
    let last = KEY.split(2)[1];
    let expected = tallow_tensor::random::normal(last, &[2], DType::F32).expect("a draw");
    testing::assert_same_bits(weights[&shared.base().id].one().expect("a tensor"), &expected);
}

#[test]
fn deep_copies_share_nothing_outside_and_the_same_inside() {
    let shared = counting(false);
    let layer = serial(vec![shared.clone(), shared]);
    let copy = deep_copy(&layer);
    let ids = |l: &LayerRef| l.sublayers().iter().map(|s| s.base().id).collect::<Vec<_>>();
    assert_eq!(ids(&copy)[0], ids(&copy)[1]);
    assert_ne!(ids(&copy)[0], ids(&layer)[0]);
}

#[test]
fn the_default_merge_is_one_layer_everywhere() {
    let a = bidirectional(&counting(false), 1, None).expect("a layer");
    let b = bidirectional(&counting(false), 1, None).expect("a layer");
    assert_eq!(a.sublayers()[1].base().id, b.sublayers()[1].base().id);
    let both = serial(vec![a, b]);
    let (weights, _) = start(&both, &[2, 3, 4]);
    let Tree::Tuple(halves) = view_weights(&both, &weights) else { panic!("a tuple") };
    let Tree::Tuple(second) = &halves[1] else { panic!("a tuple") };
    assert!(matches!(second[1], Tree::Cached), "{second:?}");
}

#[test]
fn a_cache_within_one_call_carries_gradients() {
    let layer = serial(vec![dup(), select(&[0, 1], None).expect("select")]);
    let cached = cache(pure_layer("square", 1, 1, |s| Ok(s.to_vec()), |xs| Ok(vec![xs[0].square()?])));
    let twice = serial(vec![layer, branch(vec![cached.clone(), cached]).expect("a branch"), add()]);
    let x = f32(&[3], 1).variable();
    let (ys, state) = pure_fn(&twice, vec![x.clone()], &Store::new(), Store::new(), KEY).expect("a call");
    let g = backward(&[(ys[0].clone(), ys[0].ones_like().expect("ones"))], std::slice::from_ref(&x), false)
        .expect("gradients");
    testing::assert_close(&g[0], &x.detach().mul_scalar(4.0).expect("a product"), DType::F32);
    hold(&twice, None, Some(&state));
    assert!(held(&twice).1.values().all(|s| s.leaves().iter().all(|t| !t.is_tracked())), "what is held is constant");
}

#[test]
fn errors_name_the_path_and_the_inputs() {
    let inner = residual(vec![serial(vec![multiply()])], None).expect("a layer");
    let layer = serial(vec![dup(), inner]);
    let error = pure_fn(&layer, vec![f32(&[2], 1)], &Store::new(), Store::new(), KEY).map(|_| ());
    assert!(error.is_ok(), "{error:?}");
    let mismatch = serial(vec![pure_layer("two", 1, 2, |s| Ok(s.to_vec()), |xs| Ok(vec![xs[0].clone()]))]);
    let error = pure_fn(&mismatch, vec![f32(&[2], 1)], &Store::new(), Store::new(), KEY).expect_err("too few outputs");
    assert_eq!(error.code(), "ArityMismatch");
    assert_eq!(error.path(), ["Serial", "two"]);
    assert_eq!(
        error.to_string(),
        "[ArityMismatch] Serial > two (forward): the layer promises 2 outputs, got 1 · inputs float32[2]"
    );
    let error = init(&layer, &[], KEY).expect_err("no input");
    assert_eq!((error.code(), error.phase().name()), ("ArityMismatch", "init"));
}

/// Errors inside a recomputed step come out as they are.
#[test]
fn errors_pass_through_recomputation() {
    let layer =
        scanned(pure_layer("bad", 2, 2, |s| Ok(s.to_vec()), |xs| Ok(vec![xs[0].matmul(&xs[1])?, xs[1].clone()])), true);
    let (x, c) = (f32(&[2, 3, 4], 1).variable(), f32(&[3, 4], 2));
    let error = pure_fn(&layer, vec![x, c], &Store::new(), Store::new(), KEY).expect_err("shapes that do not fit");
    assert_eq!((error.code(), error.path()), ("ShapeMismatch", &["Scan".to_string(), "bad".to_string()][..]));
}

fn refused(kind: &str, options: Value, layers: &[LayerRef]) -> String {
    let references = References { layers: layers.to_vec(), ..References::default() };
    match registry::construct(kind, references.resolve(&options)) {
        Err(e) if e.code() == "InvalidOption" => e.message().to_string(),
        other => panic!("{kind} {options} gave {other:?}"),
    }
}

#[test]
fn options_are_refused_in_the_callers_words() {
    let layers = [dup(), add(), select(&[], Some(0)).expect("select")];
    for (kind, options, message) in [
        (
            "Serial",
            json!({"sublayers": [{"$layer": 0}, null]}),
            "Serial: null stands among layers; it is a no-op only when it stands alone",
        ),
        (
            "Serial",
            json!({"sublayers": [7]}),
            "Serial: `sublayers` must be layers, nulls or nested lists of them, got 7",
        ),
        ("Parallel", json!({"sublayers": [{"$layer": 0}]}), "Parallel: needs at least two layers, got 1"),
        (
            "Parallel",
            json!({"sublayers": [{"$layer": 0}, {"$layer": 2}]}),
            "Parallel: each layer must take an input, but Select[]_in0_out0 takes none",
        ),
        ("Select", json!({"indices": [3], "nIn": 2}), "Select: index 3 is outside the 2 items it takes"),
        ("Select", json!({"indices": []}), "Select: `nIn` is required when no index says how many items there are"),
        (
            "Scan",
            json!({"layer": {"$layer": 0}}),
            "Scan: `nCarry` 1 leaves no input to slice, or exceeds the outputs, of a layer with 1 inputs and 2 outputs",
        ),
        (
            "SerialWithSideOutputs",
            json!({"layers": [{"$layer": 1}], "nSideOutputs": [1, 1]}),
            "SerialWithSideOutputs: `nSideOutputs` has 2 numbers for 1 layers",
        ),
        (
            "SerialWithSideOutputs",
            json!({"layers": [{"$layer": 1}], "nSideOutputs": 2}),
            "SerialWithSideOutputs: 2 outputs of Add are to be put aside, it has 1",
        ),
        (
            "BatchLeadingAxes",
            json!({"layer": {"$layer": 0}}),
            "BatchLeadingAxes: the layer must have one output, it has 2",
        ),
    ] {
        assert_eq!(refused(kind, options, &layers), message);
    }
}

#[test]
fn branches_print_what_they_were_given() {
    let layer = residual(vec![dup(), multiply()], None).expect("a layer");
    assert_eq!(
        print(&layer),
        "Serial[\n  Branch_out2[\n    None\n    Serial[\n      Dup_out2\n      Multiply_in2\n    ]\n  ]\n  Add_in2\n]"
    );
    let nested = registry::construct(
        "Branch",
        References { layers: vec![dup(), add()], ..References::default() }
            .resolve(&json!({"layers": [[{"$layer": 0}, {"$layer": 1}], null]})),
    );
    assert_eq!(print(&nested.expect("a layer")), "Branch_out2[\n  [Dup_out2, Add_in2]\n  None\n]");
}

#[test]
fn cancelled_work_stops_before_the_next_sublayer() {
    use std::sync::{atomic::AtomicUsize, Arc};
    use tallow_tensor::cancel;
    let token = cancel::Token::default();
    let ran = Arc::new(AtomicUsize::new(0));
    let step = |asks: bool| {
        let (token, ran) = (token.clone(), ran.clone());
        tallow_layers::framework::pure::elementwise("Step", move |x| {
            ran.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if asks {
                token.cancel();
            }
            Ok(x.clone())
        })
    };
    let layer = serial(vec![step(false), step(true), step(false)]);
    let x = || vec![Tensor::zeros(&[2], DType::F32, &tallow_tensor::Device::Cpu).unwrap()];
    let call = || pure_fn(&layer, x(), &Store::new(), Store::new(), Key::new(0));
    let e = cancel::running(&token, call).unwrap_err();
    assert_eq!((e.code(), e.path()), ("Aborted", &["Serial".to_string(), "Step".to_string()][..]));
    assert_eq!(ran.load(std::sync::atomic::Ordering::Relaxed), 2);
    assert!(call().is_ok(), "without a token nothing stops it");
}

/// Counts how often it is initialized.
#[derive(Debug, Clone)]
struct Initialized(Arc<AtomicUsize>);

impl Leaf for Initialized {
    fn name(&self) -> String {
        "Initialized".into()
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        Ok(inputs.to_vec())
    }
    fn init(&self, _inputs: &[TensorSpec], _key: Key) -> Result<Local> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(Local::EMPTY)
    }
    fn forward(&self, c: Call) -> Result<Output> {
        Ok(c.xs[0].clone().into())
    }
}

#[test]
fn what_is_initialized_is_not_initialized_by_each_call() {
    let count = Arc::new(AtomicUsize::new(0));
    // The shortcut is a series of no layers.
    let model = serial(vec![leaf(Initialized(count.clone())), residual(vec![counting(true)], None).expect("a layer")]);
    let (weights, state) = start(&model, &[3]);
    hold(&model, Some(&weights), Some(&state));
    let held = held(&model).1;
    ensure_state(&model, held, &[spec(&[3])], KEY).expect("state");
    assert_eq!(count.load(Ordering::Relaxed), 1);
}
