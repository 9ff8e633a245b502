//! Recurrent layers: whole sequences at once against the same layers step by step, long sequences, and their refusals.
use serde_json::json;
use tallow_layers::{
    combinators::{scan, serial, ScanOptions},
    init, pure_fn, registry,
    rnn::{scan_sru_cell, ScanSruOptions},
    view_state, with_mode, Axis, Count, LayerArg, LayerRef, Mode, Result, Store, TensorSpec,
};
use tallow_tensor::{
    backward, force_general_path,
    random::Key,
    testing::{assert_close, random},
    DType, Tensor,
};

const KEY: Key = Key([1, 2]);

fn f32(shape: &[usize], seed: u64) -> Tensor {
    random(shape, seed).cast(DType::F32).expect("a cast")
}

fn make(kind: &str, options: serde_json::Value) -> LayerRef {
    registry::construct(kind, &options).expect("a layer")
}

fn scan_of(layer: LayerRef, axis: isize, remat: bool) -> LayerRef {
    scan(ScanOptions { layer: LayerArg(layer), axis: Axis(axis), n_carry: Count(1), remat, mode: Mode::Train })
        .expect("a scan")
}

/// Outputs, and gradients of inputs and weights, from fixed cotangents.
fn run(layer: &LayerRef, xs: &[Tensor], weights: &Store) -> Result<Vec<Tensor>> {
    let xs: Vec<Tensor> = xs.iter().map(Tensor::variable).collect();
    let mut ids: Vec<_> = weights.keys().copied().collect();
    ids.sort();
    let weights: Store = weights.iter().map(|(id, w)| (*id, w.map(&mut Tensor::variable))).collect();
    let (ys, _) = pure_fn(layer, xs.clone(), &weights, Store::new(), KEY)?;
    let wrt: Vec<Tensor> =
        xs.into_iter().chain(ids.iter().flat_map(|id| weights[id].leaves().into_iter().cloned())).collect();
    let seeds: Vec<_> = ys.iter().enumerate().map(|(i, y)| (y.clone(), f32(y.shape(), 50 + i as u64))).collect();
    let mut out: Vec<Tensor> = ys.iter().map(Tensor::detach).collect();
    out.extend(backward(&seeds, &wrt, false)?);
    Ok(out)
}

/// The same layer inside a Serial, which has no way to run a sequence at once.
fn hidden(layer: &LayerRef) -> LayerRef {
    serial(vec![layer.clone()])
}

#[test]
fn a_scan_of_a_cell_is_the_same_at_once_and_step_by_step() {
    let cases = [
        ("LSTMCell", json!({"nUnits": 5}), vec![f32(&[3, 6, 4], 1), f32(&[3, 10], 2)]),
        ("GRUCell", json!({"nUnits": 5}), vec![f32(&[3, 6, 4], 1), f32(&[3, 5], 2)]),
        ("InnerSRUCell", json!({}), vec![f32(&[3, 6, 5], 1), f32(&[3, 6, 5], 3), f32(&[3, 5], 2)]),
    ];
    for (kind, options, xs) in cases {
        let cell = make(kind, options);
        let specs: Vec<TensorSpec> = xs.iter().map(TensorSpec::of).collect();
        let (fast, slow) = (scan_of(cell.clone(), 1, false), scan_of(hidden(&cell), 1, false));
        let (weights, _) = init(&fast, &specs, KEY).expect("weights");
        let fused = run(&fast, &xs, &weights).expect("a call");
        let others = [
            run(&slow, &xs, &weights).expect("a call"),
            run(&scan_of(cell, 1, true), &xs, &weights).expect("a call"),
            force_general_path(|| run(&fast, &xs, &weights)).expect("a call"),
        ];
        for other in &others {
            assert_eq!(fused.len(), other.len());
            fused.iter().zip(other).for_each(|(a, b)| assert_close(a, b, DType::F32));
        }
    }
}

#[test]
fn units_may_be_more_or_fewer_than_features() {
    for (kind, depth, units, weights) in [("LSTM", 3, 5, 2), ("GRU", 6, 2, 4), ("SRU", 3, 5, 3), ("SRU", 4, 4, 2)] {
        let layer = make(kind, json!({"nUnits": units}));
        let x = f32(&[2, 4, depth], 1);
        let (w, s) = init(&layer, &[TensorSpec::of(&x)], KEY).expect("weights");
        assert_eq!(w.values().map(|t| t.leaves().len()).sum::<usize>(), weights, "{kind} {depth} {units}");
        let (ys, _) = pure_fn(&layer, vec![x], &w, s, KEY).expect("a call");
        assert_eq!(ys[0].shape(), [2, 4, units]);
    }
}

#[test]
fn whole_numbers_are_taken_as_floats() {
    for kind in ["LSTM", "GRU", "SRU"] {
        let layer = make(kind, json!({"nUnits": 3}));
        let x = Tensor::from_vec(vec![1i32, 2, 3, 4, 5, 6], &[1, 2, 3]).expect("six values");
        let (w, s) = init(&layer, &[TensorSpec::of(&x)], KEY).expect("weights");
        let (ints, _) = pure_fn(&layer, vec![x.clone()], &w, s.clone(), KEY).expect("a call");
        let (floats, _) = pure_fn(&layer, vec![x.cast(DType::F32).expect("a cast")], &w, s, KEY).expect("a call");
        assert_close(&ints[0], &floats[0], DType::F32);
    }
}

#[test]
fn predicting_goes_on_where_it_ended() {
    for kind in ["LSTM", "GRU", "SRU"] {
        let layer = make(kind, json!({"nUnits": 4}));
        let x = f32(&[2, 6, 4], 1);
        let (w, s) = init(&layer, &[TensorSpec::of(&x)], KEY).expect("weights");
        let (whole, _) = pure_fn(&layer, vec![x.clone()], &w, s, KEY).expect("a call");
        let predict = with_mode(&layer, Mode::Predict);
        let (_, mut state) = init(&predict, &[TensorSpec::of(&x)], KEY).expect("state");
        // Pieces of several lengths, not single steps alone.
        let mut ys = Vec::new();
        for (start, len) in [(0, 1), (1, 3), (4, 1), (5, 1)] {
            let piece = x.narrow(1, start, len).expect("a piece");
            let (y, next) = pure_fn(&predict, vec![piece], &w, state, KEY).expect("a call");
            ys.extend(y);
            state = next;
        }
        assert_close(&Tensor::concat(&ys, 1).expect("joined"), &whole[0], DType::F32);
        assert!(
            !view_state(&predict, &state).expect("room for the state").leaves().is_empty(),
            "{kind} keeps no state"
        );
    }
}

#[test]
fn a_mask_keeps_the_state_where_it_is_zero() {
    let initializer = json!({"$initializer": {"kind": "RandomNormalInitializer", "options": {}}});
    let mask = make("Weights", json!({"initializer": initializer, "shape": [2, 2]}));
    let layer = scan_sru_cell(ScanSruOptions { mode: Mode::Predict, monkey_patched_mask: Some(LayerArg(mask)) })
        .expect("a layer");
    let of = |values: &[f32], shape: &[usize]| Tensor::from_vec(values.to_vec(), shape).expect("a tensor");
    let xs = vec![
        of(&[1., 2., 3., 4., 1., 2., 3., 4.], &[2, 4, 1]),
        Tensor::full(&[2, 4, 1], 0.5, DType::F32, &tallow_tensor::Device::Cpu).expect("gates"),
        of(&[8., 8.], &[2, 1]),
    ];
    let specs: Vec<TensorSpec> = xs.iter().map(TensorSpec::of).collect();
    let (mut weights, state) = init(&layer, &specs, KEY).expect("weights");
    // Of positions 1 and 2; anything but 0 counts as 1, and the first and the last position are always computed.
    for w in weights.values_mut().filter(|w| !w.leaves().is_empty()) {
        *w = w.map(&mut |_| of(&[0., 3., -1., 0.], &[2, 2]));
    }
    let (ys, _) = pure_fn(&layer, xs, &weights, state, KEY).expect("a call");
    let expected = of(&[5., 5., 5.5, 6.75, 5., 4.5, 4.5, 6.25], &[2, 4, 1]);
    assert_close(&ys[0], &expected, DType::F32);
    assert_close(&ys[1], &of(&[6.75, 6.25], &[2, 1]), DType::F32);
}

#[test]
fn refusals_name_the_layer_and_the_shapes() {
    let lstm = make("LSTM", json!({"nUnits": 4}));
    let x = f32(&[2, 3, 5], 1);
    let (w, s) = init(&lstm, &[TensorSpec::of(&x)], KEY).expect("weights");
    let refused = |x: Tensor| pure_fn(&lstm, vec![x], &w, s.clone(), KEY).expect_err("a refusal");
    let e = refused(f32(&[2, 3, 6], 1));
    assert_eq!((e.code(), e.path().join(" > ")), ("ShapeMismatch", "LSTM_4 > Scan > LSTMCell".to_string()));
    assert!(e.to_string().contains("weights were made for 9"), "{e}");
    let e = refused(f32(&[2, 3], 1));
    assert_eq!(e.code(), "ShapeMismatch");
    assert!(e.to_string().contains("(batch, length, depth)"), "{e}");

    let sru = make("ScanSRUCell", json!({"mode": "train"}));
    let xs = vec![f32(&[2, 3, 4], 1), f32(&[2, 5, 4], 2), f32(&[2, 4], 3)];
    let e = pure_fn(&sru, xs, &Store::new(), Store::new(), KEY).expect_err("unequal lengths");
    assert_eq!((e.code(), e.path().join(" > ")), ("ShapeMismatch", "Scan".to_string()));
    assert!(e.message().contains("float32[2,3,4]") && e.message().contains("float32[2,5,4]"), "{e}");

    let cell = make("LSTMCell", json!({"nUnits": 4}));
    let specs = [TensorSpec::new([2, 3], DType::F32), TensorSpec::new([2, 4], DType::F32)];
    let e = init(&cell, &specs, KEY).expect_err("a state of the wrong size");
    assert!(e.message().contains("2 * nUnits = 8"), "{e}");
}
