//! Layers that lie deep in each other, on the smallest stack that a thread of Node has; and what handles of layers need to know of them.
use std::sync::{
    atomic::{AtomicUsize, Ordering::Relaxed},
    Arc,
};
use tallow_layers::{
    changed, charging,
    combinators::{residual, serial, serial_named},
    depth,
    framework::leaf::OwnGradient,
    held, hold, init, leaf, load_weights, print, pure_fn, registry, signature,
    testing::References,
    view_weights, with_mode, with_room, Abilities, Account, Call, HostValue, LayerNest, LayerRef, Leaf, Local, Mode,
    Output, Result, TensorSpec, Tree, DEEPEST,
};
use tallow_tensor::{autodiff::keeping, backward, random::Key, DType, Device, Tensor};

const KEY: Key = Key([3, 4]);
const LEVELS: usize = 5000;

fn spec() -> TensorSpec {
    TensorSpec::new(vec![3], DType::F32)
}

fn scalar(tree: &Tree<Tensor>) -> f64 {
    tree.leaves()[0].item().expect("one number")
}

/// Adds its weight, counts its calls in its state, and counts how often its signature is asked for.
#[derive(Debug, Clone)]
struct Counting(Arc<AtomicUsize>);

impl Leaf for Counting {
    fn name(&self) -> String {
        "Counting".into()
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        self.0.fetch_add(1, Relaxed);
        Ok(inputs.to_vec())
    }
    fn init(&self, _: &[TensorSpec], _: Key) -> Result<Local> {
        let of = |v: f32| Tree::Leaf(Tensor::scalar(v));
        Ok(Local { weights: of(2.5), state: of(0.0) })
    }
    fn forward(&self, c: Call) -> Result<Output> {
        let y = c.xs[0].add(c.w.one()?)?;
        Ok(Output { ys: vec![y], state: Some(Tree::Leaf(c.s.one()?.add_scalar(1.0)?)) })
    }
}

fn counting() -> (LayerRef, Arc<AtomicUsize>) {
    let asked = Arc::<AtomicUsize>::default();
    (leaf(Counting(asked.clone())), asked)
}

fn nested(levels: usize, around: impl Fn(LayerRef) -> LayerRef) -> LayerRef {
    (1..levels).fold(counting().0, |inner, _| around(inner))
}

/// Runs `f` on a thread with a stack of 1 MB, as workers may have.
fn on_small_stack(f: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(f).expect("a thread");
    thread.join().expect("no panic");
}

#[test]
fn everything_works_at_any_depth_on_a_small_stack() {
    on_small_stack(|| {
        let layer = nested(LEVELS, |inner| serial(vec![inner]));
        assert_eq!(depth(&layer), LEVELS);
        with_room(LEVELS, || {
            let (weights, state) = init(&layer, &[spec()], KEY).expect("init");
            hold(&layer, Some(&weights), Some(&state));
            let view = view_weights(&layer, &weights);
            assert_eq!(scalar(&view), 2.5);
            let loaded = load_weights(&layer, &HostValue::tree(&view).into_tree().expect("tensors")).expect("fits");
            assert_eq!(scalar(&view_weights(&layer, &loaded)), 2.5);
            let x = Tensor::from_vec(vec![1.0f32, 2.0, 3.0], &[3]).expect("three numbers").variable();
            let (ys, state) = pure_fn(&layer, vec![x.clone()], &weights, state, KEY).expect("call");
            assert_eq!(ys[0].to_vec::<f32>().expect("floats"), [3.5, 4.5, 5.5]);
            assert_eq!(scalar(&tallow_layers::view_state(&layer, &state).expect("room for the state")), 1.0);
            let ones = Tensor::ones(&[3], DType::F32, &Device::Cpu).expect("ones");
            let grads = backward(&[(ys[0].clone(), ones)], &[x], false).expect("gradients");
            assert_eq!(grads[0].to_vec::<f32>().expect("floats"), [1.0; 3]);
            let copy = with_mode(&layer, Mode::Eval);
            assert_eq!(signature(&copy, &[spec()]).expect("signature"), [spec()]);
            assert!(!layer.calls_host() && !layer.draws_in_step());
            let wrong = pure_fn(&layer, vec![], &weights, held(&layer).1, KEY).expect_err("no input");
            assert_eq!(wrong.code(), "ArityMismatch");
            drop((view, loaded, copy));
        });
    });
}

#[test]
fn residuals_and_prints_nest_too() {
    on_small_stack(|| {
        let layer = nested(700, |inner| residual(vec![inner], LayerNest::Null).expect("one input and output"));
        with_room(depth(&layer), || {
            let (weights, state) = init(&layer, &[spec()], KEY).expect("init");
            let x = Tensor::zeros(&[3], DType::F32, &Device::Cpu).expect("zeros");
            let (ys, _) = pure_fn(&layer, vec![x], &weights, state, KEY).expect("call");
            assert_eq!(ys[0].to_vec::<f32>().expect("floats"), [2.5; 3]);
            let text = print(&layer);
            assert_eq!(text.matches("Counting").count(), 1);
            assert_eq!(text.lines().map(|l| l.len() - l.trim_start().len()).max(), Some(4 * 699));
            drop(layer);
        });
    });
}

#[test]
fn the_printed_form_leaves_out_what_has_no_name() {
    let inner = serial_named("In", vec![counting().0, serial_named("", vec![])]);
    let layer = serial(vec![inner, serial_named("Empty", vec![serial_named("", vec![])])]);
    assert_eq!(print(&layer), "Serial[\n  In[\n    Counting\n  ]\n  Empty[\n  \n  ]\n]");
}

#[test]
fn an_initialization_asks_for_signatures_as_often_at_any_depth() {
    let asked = |levels: usize| {
        let (inner, asked) = counting();
        let layer = (1..levels).fold(inner, |inner, _| serial(vec![inner]));
        init(&layer, &[spec()], KEY).expect("init");
        asked.load(Relaxed)
    };
    assert_eq!((asked(10), asked(200)), (2, 2));
}

#[test]
fn what_lies_too_deep_is_refused() {
    on_small_stack(|| {
        let layer = nested(DEEPEST, |inner| serial(vec![inner]));
        let references = References { layers: vec![layer.clone()], ..References::default() };
        let options = serde_json::json!({ "sublayers": [{ "$layer": 0 }] });
        let made = registry::construct("Serial", references.resolve(&options));
        let error = made.expect_err("too deep");
        assert_eq!(error.code(), "InvalidOption");
        assert!(error.message().starts_with("Serial: layers would lie 10001 levels deep"), "{}", error.message());
    });
}

#[test]
fn an_account_hears_of_what_its_layers_hold() {
    let account = Arc::<Account>::default();
    let layer = charging(&account, || serial(vec![counting().0, counting().0]));
    assert_eq!(account.take(), 0);
    let (weights, state) = init(&layer, &[spec()], KEY).expect("init");
    hold(&layer, Some(&weights), Some(&state));
    assert_eq!(account.take(), 4 * 4, "two weights and two states of one float32");
    hold(&layer, Some(&weights), None);
    assert_eq!(account.take(), 0, "the same again");
    let copy = charging(&account, || with_mode(&layer, Mode::Predict));
    hold(&copy, None, Some(&state));
    assert_eq!(account.take(), 2 * 4, "state of its own");
    drop(layer);
    assert_eq!(account.take(), -2 * 4, "the copy holds the weights");
    drop(copy);
    assert_eq!(account.take(), -4 * 4);
    let elsewhere = serial(vec![counting().0]);
    hold(&elsewhere, Some(&weights), None);
    assert_eq!(account.take(), 0);
}

#[test]
fn a_call_keeps_only_what_it_changed() {
    let layer = serial(vec![counting().0, counting().0]);
    let (weights, state) = init(&layer, &[spec()], KEY).expect("init");
    hold(&layer, Some(&weights), Some(&state));
    let before = held(&layer).1;
    assert!(changed(&before, held(&layer).1).is_empty());
    let mut after = before.clone();
    let id = layer.sublayers()[1].base().id;
    after.insert(id, Tree::Leaf(Tensor::scalar(7.0f32)));
    let changed = changed(&before, after);
    assert_eq!(changed.keys().collect::<Vec<_>>(), [&id]);
}

/// As the identity, with a backward of its own.
#[derive(Debug, Clone)]
struct Own;

impl Leaf for Own {
    fn name(&self) -> String {
        "Own".into()
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        Ok(inputs.to_vec())
    }
    fn forward(&self, c: Call) -> Result<Output> {
        Ok(c.xs.to_vec().into())
    }
    fn abilities(&self) -> Abilities<'_> {
        Abilities { gradient: Some(self), ..Abilities::default() }
    }
}

impl OwnGradient for Own {
    fn backward(&self, b: tallow_layers::BackwardCall) -> Result<(Vec<Option<Tensor>>, Tree<Tensor>)> {
        Ok((b.cotangents.iter().cloned().map(Some).collect(), Tree::EMPTY))
    }
}

#[test]
fn a_graph_keeps_what_its_backward_may_need_until_it_is_gone() {
    let kept: Arc<dyn std::any::Any + Send + Sync> = Arc::new(1);
    let x = Tensor::scalar(1.5f32);
    let run = |x: Tensor| {
        let run = || pure_fn(&leaf(Own), vec![x], &Default::default(), Default::default(), KEY);
        keeping(kept.clone(), run).expect("call").0
    };
    let plain = run(x.clone());
    assert_eq!(Arc::strong_count(&kept), 1, "no gradient can come");
    let ys = run(x.variable());
    assert_eq!(Arc::strong_count(&kept), 2);
    let after = ys[0].add_scalar(2.0).expect("a sum");
    drop((plain, ys));
    assert_eq!(Arc::strong_count(&kept), 2, "what was computed from it leads to it");
    drop(after);
    assert_eq!(Arc::strong_count(&kept), 1);
}
