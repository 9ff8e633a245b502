//! Feed-forward layers that compute part of their units: which part, and that a repeated call goes by the same.
use serde_json::{json, Value};
use tallow_layers::{
    init, load_state, load_weights, pure_fn, registry,
    reversible::{half_residual, reverse_and_grad},
    view_state, view_weights, with_mode, Error, LayerRef, Mode, Store, TensorSpec, Tree,
};
use tallow_tensor::{
    random::Key,
    testing::{assert_within, random, Tolerance},
    DType, Tensor,
};

const KEY: Key = Key([1, 2]);
const CLOSE: Tolerance = Tolerance { absolute: 1e-6, relative: 1e-5 };

fn layer(kind: &str, options: Value) -> LayerRef {
    registry::construct(kind, &options).expect("a registered layer")
}

fn f32(shape: &[usize], seed: u64) -> Tensor {
    random(shape, seed).cast(DType::F32).expect("floats")
}

fn call(layer: &LayerRef, x: &Tensor, weights: &Store) -> Tensor {
    let (_, state) = init(layer, &[TensorSpec::of(x)], KEY).expect("init");
    pure_fn(layer, vec![x.clone()], weights, state, KEY).expect("call").0.remove(0)
}

/// The weights with one tensor of a shape replaced.
fn with(layer: &LayerRef, weights: &Store, shape: &[usize], by: impl Fn(&Tensor) -> Tensor) -> Store {
    let tree = view_weights(layer, weights).map(&mut |t| if t.shape() == shape { by(t) } else { t.clone() });
    load_weights(layer, &tree).expect("the same structure")
}

/// `t` with NaN where `keep` is 0.
fn nan_unless(t: &Tensor, keep: &Tensor) -> Tensor {
    let nan = Tensor::full(t.shape(), f64::NAN, t.dtype(), t.device()).expect("a shape");
    Tensor::where_(&keep.ne_scalar(0).expect("numbers"), t, &nan).expect("shapes that broadcast")
}

/// The unit chosen of each block in the last call.
fn chosen(layer: &LayerRef, state: &Store) -> Tensor {
    view_state(layer, state)
        .expect("room for the state")
        .leaves()
        .into_iter()
        .find(|t| t.dtype() == DType::I32)
        .expect("a choice")
        .clone()
}

#[test]
fn predict_mode_reads_the_weights_of_chosen_units_only() {
    let options = json!({"dFf": 24, "nElementsInBlock": 8, "dLowrank": 2, "mode": "eval"});
    for (rows, skips) in [(1, true), (2, true), (3, false)] {
        let eval = layer("SparseFF", options.clone());
        let predict = with_mode(&eval, Mode::Predict);
        let x = f32(&[rows, 5], 3);
        let (weights, state) = init(&eval, &[TensorSpec::of(&x)], KEY).expect("init");
        let (ys, state) = pure_fn(&eval, vec![x.clone()], &weights, state, KEY).expect("call");
        assert_within(&call(&predict, &x, &weights), &ys[0], CLOSE);
        // [blocks, elements]: whether any vector has chosen the unit.
        let used = chosen(&eval, &state).one_hot(8, DType::F32).expect("places").max(0, false).expect("rows");
        let holed = with(&eval, &weights, &[5, 3, 8], |w1| nan_unless(w1, &used));
        let holed = with(&eval, &holed, &[8, 3, 5], |w2| {
            nan_unless(w2, &used.swap_axes(0, 1).expect("two axes").expand_dims(-1).expect("an axis"))
        });
        let y = call(&predict, &x, &holed);
        if skips {
            assert_within(&y, &ys[0], CLOSE);
        } else {
            assert!(y.to_f64_vec().expect("floats").iter().any(|v| v.is_nan()), "{rows} vectors read all weights");
        }
    }
}

#[test]
fn experts_that_are_not_chosen_are_not_computed() {
    for kind in ["BlockSparseFF", "SwitchSparseFF"] {
        for mode in ["eval", "predict"] {
            let experts = layer(kind, json!({"dFf": 12, "nExperts": 4, "mode": mode}));
            let x = Tensor::concat(&[f32(&[1, 5], 3), f32(&[1, 5], 3)], 0).expect("rows");
            let (weights, _) = init(&experts, &[TensorSpec::of(&x)], KEY).expect("init");
            let y = call(&experts, &x, &weights);
            let m1 = view_weights(&experts, &weights).leaves()[0].clone();
            let expert = x.matmul(&m1).and_then(|l| l.argmax(Some(-1), false)).expect("logits");
            let used = expert
                .one_hot(4, DType::F32)
                .and_then(|h| h.max(0, false))
                .and_then(|h| h.repeat(3, 0))
                .expect("units");
            let holed = with(&experts, &weights, &[5, 12], |w1| nan_unless(w1, &used));
            let holed = with(&experts, &holed, &[12, 5], |w2| nan_unless(w2, &used.expand_dims(-1).expect("an axis")));
            assert_within(&call(&experts, &x, &holed), &y, CLOSE);
        }
    }
}

/// A reversible layer computes its inputs from its outputs, and rounding moves them: the units of the first run are kept.
#[test]
fn a_repeated_call_goes_by_the_units_of_the_first() {
    for options in [
        json!({"dFf": 12, "nElementsInBlock": 4, "dLowrank": 2, "quantProb": 1}),
        json!({"dFf": 12, "nElementsInBlock": 4, "dLowrank": 2, "quantProb": 1, "ffChunkSize": 3}),
        json!({"dFf": 12, "nElementsInBlock": 4, "dLowrank": 2, "mode": "eval"}),
    ] {
        let block = half_residual(vec![layer("SparseFF", options.clone())], None);
        let xs = [f32(&[2, 3, 5], 5), f32(&[2, 3, 5], 6)];
        let (weights, state) = init(&block, &xs.each_ref().map(TensorSpec::of), KEY).expect("init");
        let (ys, after) = pure_fn(&block, xs.to_vec(), &weights, state.clone(), KEY).expect("call");
        // As if the first run had chosen unit 2 of each block.
        let other = view_state(&block, &after).expect("room for the state").map(&mut |t| match t.dtype() {
            DType::I32 => Tensor::full(t.shape(), 2, DType::I32, t.device()).expect("a shape"),
            _ => t.clone(),
        });
        let other = load_state(&block, &other).expect("the same structure");
        let cts = vec![Some(f32(&[2, 3, 5], 7)), None];
        let gradient_of_w1 = |after: Store| {
            let (_, _, grads) = reverse_and_grad(&block, ys.clone(), cts.clone(), &weights, state.clone(), after, KEY)
                .expect("a reversible layer");
            let tree = view_weights(&block, &grads);
            let sums = |t: &Tensor| t.abs()?.sum(&[0, 1][..], false)?.to_f64_vec();
            sums(tree.leaves().into_iter().find(|t| t.shape() == [5, 3, 4]).expect("w1")).expect("floats")
        };
        let alone = gradient_of_w1(other);
        assert!(alone[2] > 0.0 && [0, 1, 3].iter().all(|&unit| alone[unit] == 0.0), "{options}: {alone:?}");
        let own = gradient_of_w1(after);
        assert!(own.iter().filter(|&&g| g > 0.0).count() > 1, "{options}: {own:?}");
    }
}

#[test]
fn options_that_do_not_go_together_are_refused_by_name() {
    let refused =
        |kind: &str, options: Value| -> Error { registry::construct(kind, &options).expect_err("must be refused") };
    for (kind, options, message) in [
        (
            "SparseFF",
            json!({"dFf": 9, "nElementsInBlock": 2}),
            "SparseFF: `dFf` must be a multiple of `nElementsInBlock`, got 9 and 2",
        ),
        ("SparseFF", json!({"dFf": 8, "quantProb": 1.5}), "SparseFF: `quantProb` must be from 0 to 1, got 1.5"),
        (
            "BlockSparseFF",
            json!({"dFf": 9, "nExperts": 2}),
            "BlockSparseFF: `dFf` must be a multiple of `nExperts`, got 9 and 2",
        ),
        (
            "SparseDenseWithOptions",
            json!({"nUnits": 6, "sparsityType": "mult", "sparsity": 4}),
            "SparseDenseWithOptions: `nUnits` must be a multiple of `sparsity`, got 6 and 4",
        ),
        (
            "SparseDenseWithOptions",
            json!({"nUnits": 6, "sparsityType": "einsum", "sparsity": 1}),
            "SparseDenseWithOptions: sparsityType 'einsum' needs `dInput`, the size of the input's last axis",
        ),
        (
            "SparseDenseWithOptions",
            json!({"nUnits": 6, "sparsityType": "lowrank", "sparsity": 1, "dLowrank": 0}),
            "SparseDenseWithOptions: sparsityType 'lowrank' needs a `dLowrank` of at least 1",
        ),
        (
            "SparseDenseWithOptions",
            json!({"nUnits": 6, "sparsityType": "local", "sparsity": 2, "useBias": false}),
            "SparseDenseWithOptions: sparsityType 'local' always has a bias; leave out `useBias`",
        ),
    ] {
        let e = refused(kind, options);
        assert_eq!((e.code(), e.message()), ("InvalidOption", message));
    }
    let ff = layer("SparseFF", json!({"dFf": 8, "nElementsInBlock": 2, "dLowrank": 2}));
    let x = f32(&[2, 3], 1);
    let (weights, state) = init(&ff, &[TensorSpec::of(&x)], KEY).expect("init");
    let e = pure_fn(&ff, vec![f32(&[2, 4], 1)], &weights, state, KEY).expect_err("another width");
    assert_eq!((e.code(), e.message()), ("ShapeMismatch", "last axis is 4, weights were made for 3"));
    let tree: Tree<Tensor> = view_weights(&ff, &weights).map(&mut |t| t.narrow(0, 0, 1).expect("a row"));
    let (_, state) = init(&ff, &[TensorSpec::of(&x)], KEY).expect("init");
    let e =
        pure_fn(&ff, vec![x], &load_weights(&ff, &tree).expect("the structure"), state, KEY).expect_err("other shapes");
    assert_eq!(e.code(), "WeightsMismatch");
}
