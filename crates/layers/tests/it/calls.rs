//! Calls on what instances hold: they read it where it is, change it only at their end, and do as the pure function does.
use crate::composition::{counting, f32, start};
use tallow_layers::{
    call, call_beside, combinators::serial, core::dense, framework::pure::pure_layer, held, hold, pure_fn, with_mode,
    LayerRef, Mode, Store,
};
use tallow_tensor::{random::Key, testing, Tensor};

const KEY: Key = Key([5, 6]);

fn number(store: &Store, layer: &LayerRef) -> f64 {
    store[&layer.base().id].one().expect("a tensor").to_f64_vec().expect("values")[0]
}

/// A model that holds fresh weights and state.
fn held_model(layers: Vec<LayerRef>, shape: &[usize]) -> LayerRef {
    let model = serial(layers);
    let (weights, state) = start(&model, shape);
    hold(&model, Some(&weights), Some(&state));
    model
}

#[test]
fn a_call_is_the_pure_function_of_what_is_held() {
    let (fresh, learned) = (counting(false), counting(true));
    let model = held_model(vec![dense(3), fresh.clone(), learned.clone(), fresh.clone()], &[2, 3]);
    for calls in 1..=3 {
        let (weights, state) = held(&model);
        let (expected, after) = pure_fn(&model, vec![f32(&[2, 3], 1)], &weights, state, KEY).expect("a pure call");
        let (ys, new) = call(&model, vec![f32(&[2, 3], 1)], KEY).expect("a call");
        testing::assert_same_bits(&ys[0], &expected[0]);
        assert!(new.is_change());
        let mut changed: Vec<_> = new.store().keys().copied().collect();
        changed.sort();
        assert_eq!(changed, [fresh.base().id, learned.base().id], "those with state, and no others");
        assert_eq!(number(&held(&model).1, &fresh), 2.0 * f64::from(calls - 1), "nothing is kept before keep()");
        new.keep();
        let state = held(&model).1;
        assert_eq!([number(&state, &fresh), number(&state, &learned)], [2.0 * f64::from(calls), f64::from(calls)]);
        assert!(after.iter().all(|(id, tree)| tree.describe() == state[id].describe()));
    }
}

#[test]
fn a_call_that_fails_or_is_not_kept_changes_nothing() {
    let counter = counting(false);
    let failing = pure_layer("failing", 1, 1, |s| Ok(s.to_vec()), |_| Err(tallow_layers::Error::shape("on purpose")));
    let model = held_model(vec![counter.clone()], &[2]);
    let then_fails = serial(vec![counter.clone(), failing]);
    call(&then_fails, vec![f32(&[2], 1)], KEY).map(drop).expect_err("the second layer fails");
    drop(call(&model, vec![f32(&[2], 1)], KEY).expect("a call"));
    assert_eq!(number(&held(&model).1, &counter), 0.0);
}

#[test]
fn weights_set_between_calls_are_read_by_every_layer_that_runs_the_instance() {
    let counter = counting(false);
    let (one, two) = (held_model(vec![counter.clone()], &[2]), serial(vec![counter.clone(), counter.clone()]));
    let x = f32(&[2], 1);
    let y = |model: &LayerRef| call(model, vec![x.clone()], KEY).expect("a call").0.remove(0);
    let before = y(&two);
    counter.base().slot.set_weights(tallow_layers::Tree::Leaf(
        Tensor::full(&[2], 1.5, tallow_tensor::DType::F32, x.device()).expect("weights"),
    ));
    testing::assert_same_bits(&y(&one), &x.add_scalar(1.5).expect("a sum"));
    testing::assert_same_bits(&y(&two), &x.add_scalar(1.5).and_then(|x| x.add_scalar(1.5)).expect("a sum"));
    assert_ne!(before.to_f64_vec().expect("values"), y(&two).to_f64_vec().expect("values"));
}

#[test]
fn a_copy_in_another_mode_starts_from_fresh_state_in_its_first_call() {
    let (fresh, learned) = (counting(false), counting(true));
    let model = held_model(vec![fresh.clone(), learned.clone()], &[3]);
    call(&model, vec![f32(&[3], 1)], KEY).expect("a call").1.keep();
    let copy = with_mode(&model, Mode::Predict);
    for calls in 1..=2 {
        let (ys, new) = call(&copy, vec![f32(&[3], 1)], KEY).expect("a call");
        testing::assert_same_bits(&ys[0], &call(&model, vec![f32(&[3], 1)], KEY).expect("a call").0[0]);
        new.keep();
        let state = held(&copy).1;
        assert_eq!(state[&fresh.base().id].one().expect("a tensor").shape(), [2], "state of the new mode");
        assert_eq!([number(&state, &fresh), number(&state, &learned)], [f64::from(calls), f64::from(calls + 1)]);
    }
    assert_eq!(number(&held(&model).1, &fresh), 1.0, "the model has its own");
}

#[test]
fn a_call_beside_a_loop_runs_on_what_was_held_when_it_began() {
    let counter = counting(false);
    let model = held_model(vec![counter.clone()], &[2]);
    let inner = counter.clone();
    // Sets weights and state in the middle of a call, as a training loop may.
    let meddling = pure_layer(
        "meddling",
        1,
        1,
        |s| Ok(s.to_vec()),
        move |xs| {
            let slot = &inner.base().slot;
            slot.set_weights(slot.weights().expect("weights").map(&mut |w: &Tensor| w.add_scalar(1.0).expect("a sum")));
            slot.set_state(&slot.state().expect("state").map(&mut |s: &Tensor| s.add_scalar(10.0).expect("a sum")));
            Ok(xs.to_vec())
        },
    );
    let beside = serial(vec![meddling, counter.clone()]);
    let (weights, state) = held(&model);
    let (expected, _) = pure_fn(&model, vec![f32(&[2], 1)], &weights, state, KEY).expect("a pure call");
    let (ys, new) = call_beside(&beside, vec![f32(&[2], 1)], KEY).expect("a call");
    testing::assert_same_bits(&ys[0], &expected[0]);
    assert_eq!(number(new.store(), &counter), 1.0, "from the state it began with");
    assert_eq!(number(&held(&model).1, &counter), 10.0, "what was set meanwhile stays");
}

#[test]
fn a_call_is_differentiated_and_what_it_keeps_is_constant() {
    let counter = counting(false);
    let model = held_model(vec![counter], &[2]);
    let x = f32(&[2], 1).variable();
    let (ys, new) = call(&model, vec![x.clone()], KEY).expect("a call");
    let seed = ys[0].ones_like().expect("ones");
    let grads = tallow_tensor::backward(&[(ys[0].clone(), seed.clone())], &[x], false).expect("gradients");
    testing::assert_same_bits(&grads[0], &seed);
    new.keep();
    assert!(held(&model).1.values().all(|s| s.leaves().iter().all(|t| !t.is_tracked())), "what is held is constant");
}
