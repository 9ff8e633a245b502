//! Reversible stacks: gradients are those of the same layers run plainly, whatever stands in them.
use crate::support::{plainly, plainly_one, stacks};
use serde_json::json;
use tallow_layers::{
    combinators::serial,
    core::{dense, dropout},
    framework::{leaf::Repeatable, pure::pure_layer},
    init, leaf, load_weights, pure_fn, registry,
    reversible::{half_residual, reverse, reverse_and_grad, reversible_serial, reversible_swap},
    view_weights, Abilities, Arity, Call, Cx, LayerRef, Leaf, Local, Mode, Output, Phase, Result, Store, TensorSpec,
    Tree,
};
use tallow_tensor::{
    backward,
    random::Key,
    testing::{assert_same_bits, assert_within, random, Tolerance},
    DType, Tensor,
};

const KEY: Key = Key([1, 2]);

fn spec(shape: &[usize]) -> TensorSpec {
    TensorSpec::new(shape, DType::F64)
}

fn of(kind: &str) -> LayerRef {
    registry::construct(kind, json!({})).expect("a registered layer")
}

/// Outputs, gradients of the float inputs and of all weights, and new state, in `dtype`.
struct Run {
    ys: Vec<Tensor>,
    grads: Vec<Tensor>,
    state: Store,
}

fn run(layer: &LayerRef, xs: &[Tensor], weights: &Store, state: &Store, dtype: DType) -> Result<Run> {
    let variable = |t: &Tensor| {
        if t.dtype().is_float() {
            t.cast(dtype).map(|t| t.variable())
        } else {
            Ok(t.clone())
        }
    };
    let xs = xs.iter().map(variable).collect::<tallow_tensor::Result<Vec<_>>>()?;
    let tree = view_weights(layer, weights).try_map(&mut |t| variable(t))?;
    let (ys, state) = pure_fn(layer, xs.clone(), &load_weights(layer, &tree)?, state.clone(), KEY)?;
    let seed = |(i, y): (usize, &Tensor)| Ok((y.clone(), random(y.shape(), 70 + i as u64).cast(y.dtype())?));
    let floats = ys.iter().enumerate().filter(|(_, y)| y.dtype().is_float());
    let seeds = floats.map(seed).collect::<Result<Vec<_>>>()?;
    let wrt: Vec<Tensor> = xs.iter().chain(tree.leaves()).filter(|t| t.is_tracked()).cloned().collect();
    let grads = backward(&seeds, &wrt, false)?;
    Ok(Run { ys, grads, state })
}

fn started(layer: &LayerRef, xs: &[Tensor]) -> (Store, Store) {
    init(layer, &xs.iter().map(TensorSpec::of).collect::<Vec<_>>(), KEY).expect("init")
}

/// Holds a reversible stack against the same layers run plainly.
#[track_caller]
fn hold_against(reversible: &LayerRef, plain: &LayerRef, xs: &[Tensor], dtype: DType, tolerance: f64) {
    let (weights, state) = started(reversible, xs);
    let a = run(reversible, xs, &weights, &state, dtype).expect("a run");
    let b = run(plain, xs, &weights, &state, dtype).expect("a plain run");
    for (a, b) in a.ys.iter().zip(&b.ys) {
        assert_same_bits(a, b);
    }
    assert_eq!(a.grads.len(), b.grads.len());
    for (a, b) in a.grads.iter().zip(&b.grads) {
        let largest = b.abs().and_then(|t| t.max(None, false)).and_then(|t| t.item()).expect("a maximum");
        assert!(largest > 0.0);
        assert_within(a, b, Tolerance { absolute: tolerance * largest.max(1.0), relative: tolerance });
    }
    assert_eq!(a.state.len(), b.state.len());
    for (id, tree) in &a.state {
        for (a, b) in tree.leaves().into_iter().zip(b.state[id].leaves()) {
            assert_same_bits(a, b);
        }
    }
}

fn pair(shape: &[usize]) -> Vec<Tensor> {
    vec![random(shape, 1), random(shape, 2)]
}

/// A feed-forward block with dropout.
fn block(d: usize) -> Vec<LayerRef> {
    vec![of("LayerNorm"), dense(2 * d), of("FastGelu"), dropout(0.3, Mode::Train), dense(d)]
}

#[test]
fn gradients_are_those_of_the_plain_stack() {
    for (depth, shape) in [(1, [2, 3, 4]), (6, [3, 5, 6]), (12, [1, 1, 2])] {
        let (reversible, plain) = stacks((0..depth).map(|_| block(shape[2])));
        hold_against(&reversible, &plain, &pair(&shape), DType::F64, 1e-10);
    }
}

#[test]
fn rounding_stays_small_at_depth_48_in_float32() {
    let (reversible, plain) = stacks((0..48).map(|_| block(8)));
    let xs: Vec<Tensor> = pair(&[2, 7, 8]).iter().map(|t| t.cast(DType::F32).expect("a cast")).collect();
    hold_against(&reversible, &plain, &xs, DType::F32, 1e-4);
}

#[test]
fn learned_state_is_updated_and_each_call_is_repeated_from_its_own() {
    // The same batch norm in every block: its averages move from call to call.
    let norm = of("BatchNorm");
    let (reversible, plain) = stacks((0..3).map(|_| vec![norm.clone(), dense(4)]));
    hold_against(&reversible, &plain, &pair(&[5, 2, 1, 4]), DType::F64, 1e-10);
}

#[test]
fn weights_shared_within_the_stack_get_the_sum_of_their_gradients() {
    let (shared, last) = (dense(4), half_residual(block(4), None));
    let layers = vec![
        half_residual(vec![shared.clone()], None),
        reversible_swap(),
        last.clone(),
        reversible_swap(),
        half_residual(vec![shared.clone(), of("Tanh")], Some(shared)),
        last,
    ];
    let reversible = reversible_serial(layers.clone()).expect("reversible layers");
    hold_against(&reversible, &plainly(layers), &pair(&[3, 4]), DType::F64, 1e-10);
}

/// Keeps the positions that a mask of integers says.
fn masked() -> LayerRef {
    pure_layer("Masked", 2, 1, |s| Ok(vec![s[0].clone()]), |xs| Ok(vec![xs[0].mul(&xs[1].expand_dims(-1)?)?]))
}

#[test]
fn integers_pass_beside_floats() {
    let layers: Vec<LayerRef> = (0..3)
        .flat_map(|_| {
            let masked = serial(vec![masked(), dense(4), of("Sigmoid")]);
            [half_residual(vec![masked], None), reversible_swap()]
        })
        .collect();
    let mask = Tensor::from_vec(vec![1i32, 0, 1, 1, 0, 0], &[2, 3]).expect("a mask");
    let xs = [pair(&[2, 3, 4]), vec![mask]].concat();
    let reversible = reversible_serial(layers.clone()).expect("reversible layers");
    hold_against(&reversible, &plainly(layers), &xs, DType::F64, 1e-10);
}

#[test]
fn stacks_nest_and_stand_among_other_layers() {
    let half = || half_residual(block(4), None);
    let (first, a, b, c) = (serial(vec![dense(4), of("Dup")]), half(), half(), half());
    let inner = reversible_serial(vec![b.clone(), reversible_swap()]).expect("reversible layers");
    let reversible = reversible_serial(vec![a.clone(), inner, c.clone()]).expect("reversible layers");
    // Keys are split level by level: the plain stack nests alike.
    let plain = serial(vec![plainly_one(a), plainly(vec![b, reversible_swap()]), plainly_one(c)]);
    let among = |stack| serial(vec![first.clone(), stack, of("Add")]);
    hold_against(&among(reversible), &among(plain), &[random(&[3, 4], 1)], DType::F64, 1e-10);
}

/// Passes its input where a first run told it to; a repetition must ask the state that was left, as the input may have moved.
#[derive(Debug, Clone)]
struct Choosing;

impl Leaf for Choosing {
    fn name(&self) -> String {
        "Choosing".into()
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        Ok(inputs.to_vec())
    }
    fn init(&self, inputs: &[TensorSpec], _key: Key) -> Result<Local> {
        Ok(Local::state(Tree::Leaf(TensorSpec::new(inputs[0].shape.clone(), DType::Bool).zeros()?)))
    }
    fn forward(&self, c: Call) -> Result<Output> {
        let chosen = c.xs[0].gt_scalar(0.0)?;
        Ok(Output { ys: vec![c.xs[0].mul(&chosen)?], state: Some(Tree::Leaf(chosen)) })
    }
    fn abilities(&self) -> Abilities<'_> {
        Abilities { repeat: Some(self), ..Abilities::default() }
    }
}

impl Repeatable for Choosing {
    fn repeat(&self, c: Call, left: &Tree<Tensor>) -> Result<Output> {
        Ok(c.xs[0].mul(left.one()?)?.into())
    }
}

#[test]
fn a_repetition_sees_the_state_that_the_first_run_left() {
    let layer = half_residual(Vec::new(), Some(leaf(Choosing)));
    let xs = [Tensor::zeros(&[2], DType::F64, &tallow_tensor::Device::Cpu), Tensor::from_vec(vec![0.5f64, -0.5], &[2])]
        .map(|t| t.expect("a tensor"));
    let (weights, state) = started(&layer, &xs);
    let (ys, new_state) = pure_fn(&layer, xs.to_vec(), &weights, state.clone(), KEY).expect("a run");
    assert_eq!(ys[0].to_vec::<f64>().expect("values"), [0.5, 0.0]);
    // The reconstructed context lies on the other side of zero: the choice stays.
    let moved = vec![ys[0].clone(), ys[1].neg().expect("a negation")];
    let ct = Tensor::from_vec(vec![1f64, 1.0], &[2]).expect("a cotangent");
    let (xs, grads, _) =
        reverse_and_grad(&layer, moved.clone(), vec![Some(ct), None], &weights, state.clone(), new_state.clone(), KEY)
            .expect("a reversal");
    assert_eq!(xs[0].to_vec::<f64>().expect("values"), [1.0, 0.0]);
    assert_eq!(grads[1].as_ref().expect("a gradient").to_vec::<f64>().expect("values"), [1.0, 0.0]);
    let xs = reverse(&layer, moved, &weights, state, new_state, KEY).expect("a reversal");
    assert_eq!(xs[0].to_vec::<f64>().expect("values"), [1.0, 0.0]);
}

#[test]
fn lsh_attention_repeats_by_the_buckets_it_left() {
    let heads = |options| (options, vec![random(&[4, 24, 3], 1), random(&[4, 24, 3], 2)]);
    let hashes = |n: usize| json!({"chunkLen": 4, "nHashes": n, "nBuckets": 6, "causal": true});
    let mut projected = hashes(3);
    projected["maxLengthForBuckets"] = json!(32);
    for (kind, (options, xs)) in [
        ("LSHSelfAttention", (projected, vec![random(&[2, 24, 5], 1)])),
        ("PureLSHSelfAttention", heads(hashes(2))),
        ("MixedLSHSelfAttention", heads(hashes(1))),
    ] {
        let layer = registry::construct(kind, &options).expect("a layer");
        let (weights, state) = started(&layer, &xs);
        let specs: Vec<_> = xs.iter().map(TensorSpec::of).collect();
        let (_, others) = init(&layer, &specs, Key::new(9)).expect("init");
        let (ys, left) = pure_fn(&layer, xs.clone(), &weights, state.clone(), KEY).expect("a run");
        let (other, other_left) = pure_fn(&layer, xs.clone(), &weights, others, KEY).expect("a run");
        assert!(other[0].sub(&ys[0]).and_then(|t| t.abs()?.max(None, false)?.item()).expect("a difference") > 1e-3);
        // Whatever the state before says, the buckets are those left.
        for (left, first) in [(&left, &ys), (&other_left, &other)] {
            let mut cx = Cx::repeating(&weights, state.clone(), left);
            assert_same_bits(&cx.apply(&layer, xs.clone(), KEY).expect("a repetition")[0], &first[0]);
        }
    }
}

#[test]
fn outputs_lead_back_to_inputs() {
    let (layer, _) = stacks((0..4).map(|_| block(4)));
    let xs = pair(&[2, 3, 4]);
    let (weights, state) = started(&layer, &xs);
    let (ys, new_state) = pure_fn(&layer, xs.clone(), &weights, state.clone(), KEY).expect("a run");
    let back = reverse(&layer, ys.clone(), &weights, state.clone(), new_state.clone(), KEY).expect("a reversal");
    let other = reverse(&layer, ys, &weights, state, new_state, Key([5, 5])).expect("a reversal");
    for (back, x) in back.iter().zip(&xs) {
        assert_within(back, x, Tolerance { absolute: 1e-12, relative: 1e-12 });
    }
    assert!(other[0].sub(&xs[0]).and_then(|t| t.abs()?.max(None, false)?.item()).expect("a difference") > 1e-3);
}

#[test]
fn what_is_not_reversible_is_refused_with_its_path() {
    let e = reversible_serial(vec![reversible_swap(), dense(4)]).expect_err("a refusal");
    assert_eq!((e.code(), e.phase()), ("InvalidOption", Phase::Build));
    assert_eq!(e.path(), ["ReversibleSerial", "Dense_4"]);
    assert!(e.message().contains("sublayer 1: Dense_4 is not reversible"), "{e}");
    let e = reverse(&dense(4), pair(&[2, 4]), &Store::new(), Store::new(), Store::new(), KEY).expect_err("a refusal");
    assert_eq!(e.code(), "InvalidOption");
}

#[test]
fn a_residual_that_cannot_be_taken_off_again_is_refused() {
    let layer = half_residual(vec![dense(1)], None);
    let xs = pair(&[2, 4]);
    let specs: Vec<TensorSpec> = xs.iter().map(TensorSpec::of).collect();
    let path = &["ReversibleHalfResidual".to_string()][..];
    for refused in [init(&layer, &specs, KEY).map(drop), tallow_layers::signature(&layer, &specs).map(drop)] {
        let e = refused.expect_err("a refusal");
        assert_eq!((e.code(), e.path()), ("ShapeMismatch", path));
    }
    // The residual would broadcast: that could be computed, but not undone by its gradient's shape.
    let (weights, _) = init(&layer, &[spec(&[2, 1]), spec(&[2, 4])], KEY).expect("init");
    let e = pure_fn(&layer, xs, &weights, Store::new(), KEY).expect_err("a refusal");
    assert_eq!((e.code(), e.path()), ("ShapeMismatch", path));
}

#[test]
fn errors_of_either_pass_name_each_layer_once() {
    let picky = |refuse_repetition: bool| {
        let calls = std::sync::atomic::AtomicUsize::new(0);
        pure_layer(
            "Picky",
            1,
            1,
            |s| Ok(s.to_vec()),
            move |xs| {
                let first = calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
                if first != refuse_repetition {
                    return Err(tallow_layers::Error::shape("no"));
                }
                Ok(xs.to_vec())
            },
        )
    };
    for repetition in [false, true] {
        let layer = reversible_serial(vec![half_residual(vec![picky(repetition)], None)]).expect("reversible layers");
        let Err(e) = run(&layer, &pair(&[2]), &Store::new(), &Store::new(), DType::F64) else { panic!("no error") };
        assert_eq!(e.path(), ["ReversibleSerial", "ReversibleHalfResidual", "Serial", "Picky"], "{e}");
    }
}

#[test]
fn arity_is_what_the_layers_need_and_one_more() {
    let arity = |layers, attention| half_residual(layers, attention).arity();
    assert_eq!(arity(Vec::new(), None), Arity::new(2, 2));
    assert_eq!(arity(vec![masked()], None), Arity::new(3, 3));
    assert_eq!(arity(vec![of("Dup")], Some(masked())), Arity::new(2, 2));
}
