//! An output layer with the weights of an embedding, and a loss with its output layer in it.
use serde_json::{json, Value};
use tallow_layers::{
    acceleration::accelerate,
    combinators::{add, select, serial},
    core::{dense, embedding, tied_dense, TiedDenseOptions},
    deep_copy, init, pure_fn, registry,
    reversible::{half_residual, reversible_serial},
    testing::References,
    view_weights, with_mode, LayerArg, LayerRef, Mode, Store, TensorSpec, Tree,
};
use tallow_tensor::{
    backward,
    random::Key,
    testing::{assert_close, assert_same_bits, assert_within, check_gradients, random, Tolerance},
    DType, ErrorKind, Tensor,
};

const KEY: Key = Key([3, 4]);

fn of_embedding(kind: &str, options: Value, embedding: &LayerRef) -> tallow_layers::Result<LayerRef> {
    let references = References { layers: vec![embedding.clone()], ..References::default() };
    registry::construct(kind, references.resolve(&options))
}

fn tied(embedding: &LayerRef) -> LayerRef {
    tied_dense(TiedDenseOptions::new(LayerArg(embedding.clone()))).unwrap()
}

fn ids(shape: [usize; 2], below: i32) -> Tensor {
    let n = (shape[0] * shape[1]) as i32;
    Tensor::from_vec((0..n).map(|i| (i * 5 + 1) % below).collect(), &shape).unwrap()
}

fn f32s<const N: usize>(shape: [usize; N], seed: u64) -> Tensor {
    random(&shape, seed).cast(DType::F32).unwrap()
}

/// The loss or output of a layer and the gradients of one instance's weights.
fn run(layer: &LayerRef, xs: &[Tensor], weights: &Store, of: &LayerRef) -> (Tensor, Vec<Tensor>) {
    let mut tracked = weights.clone();
    let tree = tracked[&of.base().id].map(&mut Tensor::variable);
    let variables: Vec<Tensor> = tree.leaves().into_iter().cloned().collect();
    tracked.insert(of.base().id, tree);
    let y = pure_fn(layer, xs.to_vec(), &tracked, Store::new(), KEY).unwrap().0.remove(0);
    let seed = Tensor::ones(y.shape(), y.dtype(), y.device()).unwrap();
    (y.detach(), backward(&[(y, seed)], &variables, false).unwrap())
}

#[test]
fn the_loss_is_that_of_a_dense_layer_and_a_cross_entropy() {
    let x = f32s([2, 3, 8], 1);
    let column = |t: &Tensor| t.expand_dims(-1).unwrap();
    let targets = ids([2, 3], 90);
    let floats = targets.cast(DType::F32).unwrap();
    let weights = [f32s([2, 3], 2), f32s([2, 1], 3), f32s([3], 4), f32s([], 5), column(&f32s([2, 3], 2))];
    let weights = weights.map(|w| w.abs().unwrap());
    let plain: Vec<Vec<Tensor>> = [&targets, &column(&targets), &floats].map(|t| vec![x.clone(), t.clone()]).into();
    let weighed = weights.map(|w| vec![x.clone(), targets.clone(), w]).into();
    let options = [json!({}), json!({"labelSmoothing": 0.2}), json!({"ignoreLabel": 6, "labelSmoothing": 0.1})];
    for (kind, cases) in [("CategoryCrossEntropy", plain), ("WeightedCategoryCrossEntropy", weighed)] {
        for (o, xs) in options.iter().flat_map(|o| cases.iter().map(move |xs| (o, xs))) {
            for use_bias in [true, false] {
                let head = registry::construct("Dense", json!({"nUnits": 90, "useBias": use_bias})).unwrap();
                let apart = serial(vec![head.clone(), registry::construct(kind, o.clone()).unwrap()]);
                let mut fused = o.clone();
                fused["vocabSize"] = json!(90);
                fused["useBias"] = json!(use_bias);
                let name = kind.replace("Category", "Linear");
                let fused = registry::construct(&name, fused).unwrap();
                let specs: Vec<TensorSpec> = xs.iter().map(TensorSpec::of).collect();
                let made = init(&fused, &specs, KEY).unwrap().0;
                let same = Store::from([(head.base().id, made[&fused.base().id].clone())]);
                let (a, of_a) = run(&apart, xs, &same, &head);
                let (b, of_b) = run(&fused, xs, &made, &fused);
                let near = Tolerance { absolute: 1e-6, relative: 1e-6 };
                assert_within(&b, &a, near);
                of_b.iter().zip(&of_a).for_each(|(b, a)| assert_within(b, a, near));
            }
        }
    }
}

#[test]
fn a_loss_of_no_items_is_nan_and_targets_beyond_the_vocabulary_are_refused() {
    let layer = registry::construct("LinearCrossEntropy", json!({"vocabSize": 5})).unwrap();
    let none = [f32s([0, 3], 1), ids([0, 1], 5).reshape(&[0]).unwrap()];
    let weights = init(&layer, &none.each_ref().map(TensorSpec::of), KEY).unwrap().0;
    assert!(pure_fn(&layer, none.to_vec(), &weights, Store::new(), KEY).unwrap().0[0].item().unwrap().is_nan());
    let fails = |targets: Vec<i32>, x: Tensor| {
        let targets = Tensor::from_vec(targets, &[2]).unwrap();
        pure_fn(&layer, vec![x, targets], &weights, Store::new(), KEY).unwrap_err()
    };
    assert_eq!(fails(vec![0, 5], f32s([2, 3], 1)).kind(), ErrorKind::IndexOutOfRange);
    assert_eq!(fails(vec![0, 1], f32s([2, 4], 1)).kind(), ErrorKind::ShapeMismatch);
    let one = registry::construct("LinearCrossEntropy", json!({"vocabSize": 1})).unwrap();
    let xs = [f32s([2, 3], 1), Tensor::from_vec(vec![0i32, 0], &[2]).unwrap()];
    let weights = init(&one, &xs.each_ref().map(TensorSpec::of), KEY).unwrap().0;
    assert_eq!(pure_fn(&one, xs.to_vec(), &weights, Store::new(), KEY).unwrap().0[0].item().unwrap(), 0.0);
}

#[test]
fn gradients_of_both_uses_add_up_and_the_weights_are_held_once() {
    let (e, d) = (embedding(7, 4), dense(4));
    let model = serial(vec![e.clone(), d.clone(), tied(&e)]);
    let x = ids([2, 3], 7);
    let (weights, _) = init(&model, &[TensorSpec::of(&x)], KEY).unwrap();
    let Tree::Tuple(view) = view_weights(&model, &weights) else { panic!("a tuple") };
    assert!(matches!(&view[2], Tree::Tuple(v) if matches!(v[..], [Tree::Cached])), "{}", view[2].describe());
    // The same with weights apart.
    let (first, last) =
        (embedding(7, 4), registry::construct("Dense", json!({"nUnits": 7, "useBias": false})).unwrap());
    let apart = serial(vec![first.clone(), d.clone(), last.clone()]);
    let w = weights[&e.base().id].one().unwrap();
    let same = Store::from([
        (first.base().id, Tree::Leaf(w.clone())),
        (d.base().id, weights[&d.base().id].clone()),
        (last.base().id, Tree::Leaf(w.transpose(None).unwrap())),
    ]);
    let (y, both) = run(&model, std::slice::from_ref(&x), &weights, &e);
    let (y_apart, of_first) = run(&apart, std::slice::from_ref(&x), &same, &first);
    let of_last = run(&apart, std::slice::from_ref(&x), &same, &last).1[0].transpose(None).unwrap();
    assert_close(&y, &y_apart, DType::F32);
    assert_close(&both[0], &of_first[0].add(&of_last).unwrap(), DType::F32);
    // In another mode, in replicas, and as a copy.
    let predict = with_mode(&model, Mode::Predict);
    let again = pure_fn(&predict, vec![x.clone()], &weights, Store::new(), KEY).unwrap().0.remove(0);
    assert_same_bits(&again, &y);
    let (y_shared, shared) = run(&accelerate(model.clone(), 2), std::slice::from_ref(&x), &weights, &e);
    assert_close(&y_shared, &y, DType::F32);
    assert_close(&shared[0], &both[0], DType::F32);
    let copy = deep_copy(&model);
    assert_eq!(copy.sublayers()[0].base().id, copy.sublayers()[2].sublayers()[0].base().id);
    assert_ne!(copy.sublayers()[0].base().id, e.base().id);
}

#[test]
fn a_tied_layer_in_a_reversible_one_has_its_gradients() {
    let e = embedding(4, 4);
    let residual = reversible_serial(vec![half_residual(vec![tied(&e)], None)]).unwrap();
    let model = serial(vec![e.clone(), select(&[0, 0], None).unwrap(), residual, add()]);
    let x = ids([2, 3], 4);
    let id = e.base().id;
    check_gradients(
        |t| {
            let weights = Store::from([(id, Tree::Leaf(t[0].clone()))]);
            Ok(pure_fn(&model, vec![x.clone()], &weights, Store::new(), KEY).expect("a run").0)
        },
        &[random(&[4, 4], 8)],
    );
}

#[test]
fn the_fused_loss_takes_the_weights_of_an_embedding() {
    let e = embedding(70, 4);
    let options = json!({"vocabSize": 70, "embedding": {"$layer": 0}, "useBias": false});
    let fused = serial(vec![e.clone(), of_embedding("LinearCrossEntropy", options, &e).unwrap()]);
    let loss = registry::construct("CategoryCrossEntropy", json!({})).unwrap();
    let apart = serial(vec![e.clone(), tied(&e), loss]);
    let xs = [ids([2, 3], 70), ids([2, 3], 50)];
    let (weights, _) = init(&fused, &xs.each_ref().map(TensorSpec::of), KEY).unwrap();
    let ((a, of_a), (b, of_b)) = (run(&apart, &xs, &weights, &e), run(&fused, &xs, &weights, &e));
    assert_close(&b, &a, DType::F32);
    assert_close(&of_b[0], &of_a[0], DType::F32);
}

#[test]
fn what_is_no_embedding_is_refused() {
    for other in [dense(4), serial(vec![embedding(4, 4)]), registry::construct("LayerNorm", json!({})).unwrap()] {
        let refused = tied_dense(TiedDenseOptions::new(LayerArg(other.clone()))).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidOption);
        assert!(refused.to_string().contains(&other.base().name), "{refused}");
    }
    let options = json!({"vocabSize": 8, "embedding": {"$layer": 0}});
    let refused = of_embedding("LinearCrossEntropy", options, &embedding(7, 4)).unwrap_err().to_string();
    assert!(refused.contains("`vocabSize` 8 must be the number of vectors of `embedding`, 7"), "{refused}");
}
