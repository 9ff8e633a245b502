//! Several sequences one behind the other compute what each computes alone.
use serde_json::json;
use tallow_layers::{
    combinators::serial, init, pure_fn, registry, with_mode, ErrorKind, LayerRef, Mode, Store, TensorSpec,
};
use tallow_tensor::{
    random::Key,
    testing::{assert_within, random, Tolerance},
    DType, Tensor,
};

const KEY: Key = Key([5, 9]);
const NEAR: Tolerance = Tolerance { absolute: 1e-6, relative: 1e-6 };

fn ints(values: &[i32], shape: [usize; 2]) -> Tensor {
    Tensor::from_vec(values.to_vec(), &shape).unwrap()
}

/// A small language model; with segments it takes them as its second input.
fn model(use_segments: bool) -> LayerRef {
    let make = |kind: &str, mut options: serde_json::Value| {
        if use_segments {
            options["useSegments"] = json!(true);
        }
        registry::construct(kind, options).unwrap()
    };
    let plain = |kind: &str, options| registry::construct(kind, options).unwrap();
    serial(vec![
        make("ShiftRight", json!({"mode": "eval"})),
        plain("Embedding", json!({"vocabSize": 11, "dFeature": 8})),
        make("PositionalEncoding", json!({"maxLen": 6, "mode": "eval"})),
        make("CausalAttention", json!({"dFeature": 8, "nHeads": 2, "mode": "eval"})),
        make("CausalAttention", json!({"dFeature": 8, "nHeads": 2, "mode": "eval"})),
        plain("Dense", json!({"nUnits": 11})),
    ])
}

fn run(layer: &LayerRef, xs: Vec<Tensor>, weights: &Store) -> Tensor {
    pure_fn(layer, xs, weights, Store::new(), KEY).unwrap().0.remove(0)
}

/// The weights of one model as those of another one of the same layers.
fn moved(weights: &Store, from: &LayerRef, to: &LayerRef) -> Store {
    tallow_layers::load_weights(to, &tallow_layers::view_weights(from, weights)).unwrap()
}

#[test]
fn packed_sequences_are_as_each_alone() {
    let (packed, alone) = (model(true), model(false));
    let sequences: [&[i32]; 5] = [&[3, 1, 4], &[1, 5, 9, 2, 6], &[5, 3, 5, 8], &[9, 7], &[9, 3]];
    let tokens = ints(&[3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3], [2, 8]);
    // An id may come again behind another one, and is another sequence for positions and shifts; here all differ.
    let segments = ints(&[1, 1, 1, 2, 2, 2, 2, 2, 7, 7, 7, 7, 8, 8, 0, 0], [2, 8]);
    let xs = vec![tokens, segments];
    let specs: Vec<TensorSpec> = xs.iter().map(TensorSpec::of).collect();
    let (weights, _) = init(&packed, &specs, KEY).unwrap();
    let together = run(&packed, xs.clone(), &weights).reshape(&[16, 11]).unwrap();
    let of_alone = moved(&weights, &packed, &alone);
    let mut at = 0;
    for sequence in sequences {
        let n = sequence.len();
        let y = run(&alone, vec![ints(sequence, [1, n])], &of_alone).reshape(&[n, 11]).unwrap();
        assert_within(&together.narrow(0, at, n).unwrap(), &y, NEAR);
        at += n;
    }
    // Without segments they would not be.
    let mixed = run(&alone, vec![xs[0].narrow(1, 0, 6).unwrap()], &of_alone).reshape(&[12, 11]).unwrap();
    assert!(tallow_tensor::testing::within(&mixed.narrow(0, 3, 3).unwrap(), &together.narrow(0, 3, 3).unwrap(), NEAR)
        .is_err());
}

#[test]
fn attention_to_all_positions_respects_a_mask_of_segments() {
    let make = |kind: &str, options| registry::construct(kind, options).unwrap();
    let attention = make("Attention", json!({"dFeature": 4, "nHeads": 2, "mode": "eval"}));
    let (x, ids) = (random(&[1, 5, 4], 3).cast(DType::F32).unwrap(), ints(&[4, 4, 9, 9, 9], [1, 5]));
    let mask = run(&make("SegmentMask", json!({})), vec![ids], &Store::new());
    let (weights, _) = init(&attention, &[TensorSpec::of(&x), TensorSpec::of(&mask)], KEY).unwrap();
    let together = run(&attention, vec![x.clone(), mask], &weights);
    for (from, n) in [(0, 2), (2, 3)] {
        let all = Tensor::ones(&[1, 1, 1, n], DType::F32, x.device()).unwrap();
        let alone = run(&attention, vec![x.narrow(1, from, n).unwrap(), all], &weights);
        assert_within(&together.narrow(1, from, n).unwrap(), &alone, NEAR);
    }
}

#[test]
fn what_stands_in_other_segments_has_no_gradient() {
    let attention = registry::construct("CausalAttention", json!({"dFeature": 4, "useSegments": true})).unwrap();
    let x = random(&[1, 5, 4], 3).cast(DType::F32).unwrap().variable();
    let segments = ints(&[1, 1, 2, 2, 2], [1, 5]);
    let specs = [TensorSpec::of(&x), TensorSpec::of(&segments)];
    let (weights, _) = init(&attention, &specs, KEY).unwrap();
    let y = run(&attention, vec![x.clone(), segments], &weights).narrow(1, 3, 2).unwrap();
    let seed = Tensor::ones(y.shape(), y.dtype(), y.device()).unwrap();
    let dx = tallow_tensor::backward(&[(y, seed)], &[x], false).unwrap()[0].to_f64_vec().unwrap();
    assert!(dx[..8].iter().all(|&v| v == 0.0) && dx[8..12].iter().any(|&v| v != 0.0), "{dx:?}");
}

#[test]
fn predict_mode_goes_on_in_the_segment_it_is_in() {
    let whole = model(true);
    let xs = [ints(&[3, 1, 4, 1, 5, 9], [1, 6]), ints(&[1, 1, 1, 1, 2, 2], [1, 6])];
    let (weights, _) = init(&whole, &xs.each_ref().map(TensorSpec::of), KEY).unwrap();
    let expected = run(&whole, xs.to_vec(), &weights);
    let predict = with_mode(&whole, Mode::Predict);
    let first = [TensorSpec::new([1, 1], DType::I32), TensorSpec::new([1, 1], DType::I32)];
    let mut state = init(&predict, &first, KEY).unwrap().1;
    // In predict mode the input is shifted already: 0 begins a segment.
    let shifted = [0, 3, 1, 4, 0, 5];
    for (t, token) in shifted.into_iter().enumerate() {
        let xs = vec![ints(&[token], [1, 1]), xs[1].narrow(1, t, 1).unwrap()];
        let (mut ys, new) = pure_fn(&predict, xs, &weights, state, KEY).unwrap();
        state = new;
        assert_within(&ys.remove(0), &expected.narrow(1, t, 1).unwrap(), NEAR);
    }
}

#[test]
fn segments_that_do_not_fit_are_refused() {
    let fails = |kind: &str, options: serde_json::Value, segments: TensorSpec| {
        let layer = registry::construct(kind, options).unwrap();
        init(&layer, &[TensorSpec::new([2, 5, 4], DType::F32), segments], KEY).unwrap_err().kind()
    };
    for (kind, options) in [
        ("ShiftRight", json!({"useSegments": true})),
        ("PositionalEncoding", json!({"useSegments": true})),
        ("CausalAttention", json!({"dFeature": 4, "useSegments": true})),
        ("SelfAttention", json!({"dQk": 4, "dV": 4, "useSegments": true})),
        ("LSHSelfAttention", json!({"dQk": 4, "dV": 4, "useSegments": true})),
        ("ModularCausalAttention", json!({"dFeature": 4, "useSegments": true})),
    ] {
        let of = |shape: &[usize], dtype| fails(kind, options.clone(), TensorSpec::new(shape.to_vec(), dtype));
        assert_eq!(of(&[2, 4], DType::I32), ErrorKind::ShapeMismatch, "{kind}");
        assert_eq!(of(&[3, 5], DType::I32), ErrorKind::ShapeMismatch, "{kind}");
        assert_eq!(of(&[2, 5, 1], DType::I32), ErrorKind::ShapeMismatch, "{kind}");
        assert_eq!(of(&[2, 5], DType::F32), ErrorKind::DTypeMismatch, "{kind}");
    }
    let options = json!({"dFeature": 4, "useSegments": true, "useDconv": true});
    assert_eq!(registry::construct("CausalAttention", options).unwrap_err().kind(), ErrorKind::InvalidOption);
}

/// An attention of vectors `[batch, length, 8]`, once of packed sequences and once of one, which sees all of it.
fn attentions() -> Vec<(&'static str, serde_json::Value)> {
    vec![
        ("CausalAttention", json!({"dFeature": 8, "nHeads": 2})),
        ("SelfAttention", json!({"nHeads": 2, "dQk": 4, "dV": 3})),
        ("SelfAttention", json!({"nHeads": 2, "dQk": 4, "dV": 3, "shareQk": true, "causal": true, "bias": true})),
        ("SelfAttention", json!({"nHeads": 2, "dQk": 4, "dV": 3, "chunkLen": 100, "causal": true})),
        ("LSHSelfAttention", json!({"nHeads": 2, "dQk": 4, "dV": 3, "chunkLen": 100, "nHashes": 2, "causal": true})),
        ("LSHSelfAttention", json!({"nHeads": 2, "dQk": 4, "dV": 3, "chunkLen": 100, "nBuckets": [4, 8]})),
        ("PureLSHSelfAttentionWrapper", json!({"nHeads": 2, "dQk": 4, "dV": 4, "chunkLen": 100, "causal": true})),
        ("ModularCausalAttention", json!({"dFeature": 8, "nHeads": 2, "kernelSize": 3})),
        ("ConvCausalAttention", json!({"dFeature": 8, "nHeads": 2, "kernelSize": 3})),
        ("LowRankCausalAttention", json!({"dFeature": 8, "nHeads": 2, "lowrank": 3})),
        ("MultiplicativeCausalAttention", json!({"dFeature": 8, "nHeads": 2})),
        ("MultiplicativeModularCausalAttention", json!({"dFeature": 8, "nHeads": 2})),
        ("MultiplicativeConvCausalAttention", json!({"dFeature": 8, "nHeads": 2, "lengthKernelSize": 1})),
    ]
}

/// `options` for packed sequences.
fn packed(options: &serde_json::Value) -> serde_json::Value {
    let mut options = options.clone();
    options["useSegments"] = json!(true);
    options
}

/// What a layer makes of inputs that it was initialized for, with these weights or its own.
fn run_whole(layer: &LayerRef, xs: Vec<Tensor>, weights: Option<&Store>) -> (Tensor, Store) {
    let (own, state) = init(layer, &xs.iter().map(TensorSpec::of).collect::<Vec<_>>(), KEY).unwrap();
    let weights = weights.unwrap_or(&own).clone();
    let y = pure_fn(layer, xs, &weights, state, KEY).unwrap().0.remove(0);
    (y, weights)
}

#[test]
fn in_every_attention_packed_sequences_are_as_each_alone() {
    for lengths in [&[1usize, 1][..], &[3, 5, 1, 4], &[20, 1, 33]] {
        let ids: Vec<i32> = lengths.iter().zip([9, 2, 0, 5]).flat_map(|(&n, id)| std::iter::repeat_n(id, n)).collect();
        let n = ids.len();
        for (kind, options) in attentions() {
            let whole = registry::construct(kind, packed(&options)).unwrap();
            let one = registry::construct(kind, options).unwrap();
            let x = random(&[2, n, 8], 3).cast(DType::F32).unwrap();
            let segments = Tensor::concat(&[ints(&ids, [1, n]), ints(&ids, [1, n])], 0).unwrap();
            let (together, weights) = run_whole(&whole, vec![x.clone(), segments], None);
            let weights = moved(&weights, &whole, &one);
            let mut at = 0;
            for &n in lengths {
                let (alone, _) = run_whole(&one, vec![x.narrow(1, at, n).unwrap()], Some(&weights));
                let near = Tolerance { absolute: 1e-5, relative: 1e-5 };
                if let Err(e) = tallow_tensor::testing::within(&together.narrow(1, at, n).unwrap(), &alone, near) {
                    panic!("{kind}, {lengths:?}: {e}");
                }
                at += n;
            }
        }
    }
}

/// Hashing, chunks and masks of a segment do not hang on what stands in another.
#[test]
fn what_another_segment_holds_changes_no_bit_of_output_or_gradient() {
    let mut all = attentions();
    let small = |nhashes| json!({"nHeads": 2, "dQk": 4, "dV": 3, "chunkLen": 4, "nHashes": nhashes, "causal": true});
    all.extend([1, 2, 3].map(|n| ("LSHSelfAttention", small(n))));
    all.push((
        "LSHSelfAttention",
        json!({"nHeads": 2, "dQk": 4, "dV": 3, "chunkLen": 5, "nHashes": 2, "nChunksAfter": 1}),
    ));
    all.push(("SelfAttention", json!({"nHeads": 2, "dQk": 4, "dV": 3, "chunkLen": 5, "nChunksBefore": 1})));
    all.push(("PureLSHSelfAttentionWrapper", json!({"nHeads": 2, "dQk": 4, "dV": 4, "chunkLen": 3, "nHashes": 2})));
    let ids: Vec<i32> = [(4, 7), (1, 6), (8, 5), (1, 2), (0, 3)].iter().flat_map(|&(id, n)| vec![id; n]).collect();
    let n = ids.len();
    let segments = ints(&ids, [1, n]);
    // Segment 1 stands in two places.
    let at = segments.eq_scalar(1).unwrap().reshape(&[1, n, 1]).unwrap();
    let x = random(&[1, n, 8], 5).cast(DType::F32).unwrap();
    let other = Tensor::where_(&at, &random(&[1, n, 8], 6).cast(DType::F32).unwrap(), &x).unwrap();
    for (kind, options) in all {
        let layer = registry::construct(kind, packed(&options)).unwrap();
        let specs = [TensorSpec::of(&x), TensorSpec::of(&segments)];
        let (weights, state) = init(&layer, &specs, KEY).unwrap();
        let of = |x: &Tensor| {
            let x = x.variable();
            let xs = vec![x.clone(), segments.clone()];
            let y = pure_fn(&layer, xs, &weights, state.clone(), KEY).unwrap().0.remove(0);
            let ct = random(y.shape(), 8).cast(y.dtype()).unwrap();
            let dx = tallow_tensor::backward(&[(y.clone(), ct)], &[x], false).unwrap().remove(0);
            [y.detach(), dx].map(|t| t.mask_fill(&at, 0.0).unwrap())
        };
        for (a, b) in of(&x).iter().zip(&of(&other)) {
            let differs = a.ne(b).unwrap().cast(DType::I32).unwrap().max(None, false).unwrap();
            assert_eq!(differs.item().unwrap(), 0.0, "{kind} {options}");
        }
    }
}

#[test]
fn attentions_that_cannot_keep_segments_apart_refuse_them() {
    let kind = |kind: &str, options| registry::construct(kind, options).unwrap_err().kind();
    for (name, options) in [
        ("CausalFavor", json!({"dFeature": 4, "useSegments": true})),
        ("Favor", json!({"dFeature": 4, "useSegments": true})),
        ("MultiplicativeConvCausalAttention", json!({"dFeature": 4, "useSegments": true})),
        (
            "PureLSHSelfAttentionWrapper",
            json!({"nHeads": 2, "dQk": 4, "dV": 4, "weightsFormat": "sparse", "sparsity": 2, "useSegments": true}),
        ),
    ] {
        assert_eq!(kind(name, options), ErrorKind::InvalidOption, "{name}");
    }
    let favor = registry::construct("FavorAttention", json!({})).unwrap();
    let x = TensorSpec::new([1, 3, 4], DType::F32);
    let mask = TensorSpec::new([1, 1, 3, 3], DType::Bool);
    let refused = init(&favor, &[x.clone(), x.clone(), x, mask], KEY).unwrap_err().kind();
    assert_eq!(refused, ErrorKind::ShapeMismatch);
    let lm = json!({"dQk": 4, "dV": 4, "masked": false, "useSegments": true});
    let cross = registry::construct("EncDecAttention", lm).unwrap();
    let specs = |keys: usize| {
        let of = |n| TensorSpec::new([2, n, 4], DType::F32);
        [of(3), of(5), TensorSpec::new([2, 3], DType::I32), TensorSpec::new([2, keys], DType::I32)]
    };
    assert!(init(&cross, &specs(5), KEY).is_ok());
    assert_eq!(init(&cross, &specs(3), KEY).unwrap_err().kind(), ErrorKind::ShapeMismatch);
}
