//! Windows of attention in mode `'predict'`: what they hold, and what they show.
use serde_json::{json, Value};
use tallow_layers::{
    hold, init, load_state, pure_fn, registry, view_state, LayerRef, Store, Stream, Streams, TensorSpec, Tree,
};
use tallow_tensor::{random::Key, testing::random, DType, Tensor};

const KEY: Key = Key([3, 5]);
const DEPTH: usize = 6;
const HEADS: usize = 2;
const HASHES: usize = 3;

fn made(kind: &str, sizes: Value) -> LayerRef {
    let mut options = json!({"causal": true, "nHeads": HEADS, "dQk": 4, "dV": 4, "mode": "predict"});
    for (name, value) in sizes.as_object().unwrap() {
        options[name] = value.clone();
    }
    registry::construct(kind, &options).unwrap()
}

/// A layer of each kind, with its name, that remembers `room` positions and forgets `drop` of them.
fn layers(room: usize, drop: usize) -> [(&'static str, LayerRef); 2] {
    let sizes = json!({"predictMemLen": room, "predictDropLen": drop});
    let hashed =
        json!({"nHashes": HASHES, "nBuckets": 4, "chunkLen": 2, "predictMemLen": room, "predictDropLen": drop});
    [("SelfAttention", sizes), ("LSHSelfAttention", hashed)].map(|(kind, sizes)| (kind, made(kind, sizes)))
}

fn vectors(length: usize, seed: u64) -> Tensor {
    random(&[1, length, DEPTH], seed).cast(DType::F32).unwrap()
}

fn piece(x: &Tensor, at: usize, n: usize) -> Vec<Tensor> {
    vec![x.narrow(1, at, n).unwrap()]
}

fn begun(layer: &LayerRef) -> (Store, Store) {
    init(layer, &[TensorSpec::new([1, 1, DEPTH], DType::F32)], KEY).unwrap()
}

fn streams(layer: &LayerRef) -> Streams {
    let (weights, state) = begun(layer);
    hold(layer, Some(&weights), Some(&state));
    Streams::new(layer, &[TensorSpec::new([1, 1, DEPTH], DType::F32)]).unwrap()
}

fn step(streams: &Streams, stream: &mut Stream, x: &Tensor, at: usize) -> Vec<f64> {
    streams.call(&mut [stream], piece(x, at, 1), KEY).unwrap()[0].to_f64_vec().unwrap()
}

fn leaves(tree: &Tree<Tensor>) -> Vec<(Vec<usize>, Vec<f64>)> {
    tree.leaves().iter().map(|t| (t.shape().to_vec(), t.to_f64_vec().unwrap())).collect()
}

/// Bytes of each position, and of all else: the number of positions, and with buckets that of each head and its key.
fn sizes(kind: &str) -> (usize, usize) {
    match kind {
        "SelfAttention" => (4 * DEPTH, 4),
        _ => (4 * DEPTH + 4 * HEADS * HASHES, 4 + HEADS * (4 + 8)),
    }
}

#[test]
fn a_stream_holds_the_positions_that_it_has_read_whatever_the_room() {
    for (kind, layer) in layers(1 << 24, 8) {
        let (streams, x, (each, rest)) = (streams(&layer), vectors(30, 1), sizes(kind));
        let mut stream = streams.begin();
        assert_eq!(stream.bytes(), rest, "{kind}");
        for at in 0..9 {
            step(&streams, &mut stream, &x, at);
            assert_eq!(stream.bytes(), rest + (at + 1) * each, "{kind} at {at}");
        }
        // A first piece longer than those that may follow is no other.
        let mut stream = streams.begin();
        streams.call(&mut [&mut stream], piece(&x, 0, 30), KEY).unwrap();
        assert_eq!(stream.bytes(), rest + 30 * each, "{kind}");
    }
}

#[test]
fn a_full_window_forgets_and_holds_no_more_than_its_room() {
    for (kind, layer) in layers(8, 3) {
        let (streams, x, (each, rest)) = (streams(&layer), vectors(20, 2), sizes(kind));
        let (mut stream, mut filled) = (streams.begin(), 0);
        for at in 0..20 {
            step(&streams, &mut stream, &x, at);
            filled = if filled == 8 { 6 } else { filled + 1 };
            assert_eq!(stream.bytes(), rest + filled * each, "{kind} at {at}");
        }
    }
}

#[test]
fn a_window_is_shown_as_trax_has_it_and_goes_on_from_that() {
    // The larger one has several pieces, of which a step replaces the last one; what was loaded has one.
    let small_and_large = [(8, 3, 20), (150, 70, 240)];
    for (room, steps, (kind, layer)) in
        small_and_large.iter().flat_map(|&(room, drop, n)| layers(room, drop).map(|layer| (room, n, layer)))
    {
        let (x, (weights, mut state)) = (vectors(steps, 3), begun(&layer));
        for at in 0..steps {
            let shown = view_state(&layer, &state).unwrap();
            let Tree::Tuple(parts) = &shown else { panic!("{shown:?}") };
            let end = parts[0].one().unwrap().item().unwrap() as usize;
            let [window] = parts[1].many().unwrap();
            assert_eq!(window.shape(), [1, room, DEPTH], "{kind} at {at}");
            // What is remembered ends with the position before this one.
            let wanted = x.narrow(1, at - end, end).unwrap().to_f64_vec().unwrap();
            assert_eq!(window.narrow(1, 0, end).unwrap().to_f64_vec().unwrap(), wanted, "{kind} at {at}");
            let behind = window.narrow(1, end, room - end).unwrap().to_f64_vec().unwrap();
            assert!(behind.iter().all(|v| *v == 0.0), "{kind} at {at}");
            let taken = load_state(&layer, &shown).unwrap();
            let [(y, next), (other, after)] =
                [state, taken].map(|s| pure_fn(&layer, piece(&x, at, 1), &weights, s, KEY).unwrap());
            assert_eq!(y[0].to_f64_vec().unwrap(), other[0].to_f64_vec().unwrap(), "{kind} at {at}");
            let [a, b] = [&next, &after].map(|s| leaves(&view_state(&layer, s).unwrap()));
            assert_eq!(a, b, "{kind} at {at}");
            state = next;
        }
    }
}

#[test]
fn clones_of_a_stream_go_on_by_themselves() {
    // In a window that forgets, and where they have pieces in common.
    for (begin, (kind, layer)) in
        [(5, layers(8, 3)), (70, layers(200, 3))].into_iter().flat_map(|(n, l)| l.map(|l| (n, l)))
    {
        let (streams, x, other) = (streams(&layer), vectors(begin + 7, 4), vectors(begin + 7, 5));
        let mut stream = streams.begin();
        for at in 0..begin {
            step(&streams, &mut stream, &x, at);
        }
        let [mut alone, mut copy] = [stream.clone(), stream.clone()];
        let wanted: Vec<Vec<f64>> = (0..7).map(|i| step(&streams, &mut alone, &x, begin + i)).collect();
        for (i, wanted) in wanted.iter().enumerate() {
            assert!(step(&streams, &mut copy, &other, begin + i) != *wanted, "{kind} at {i}");
            assert_eq!(step(&streams, &mut stream, &x, begin + i), *wanted, "{kind} at {i}");
        }
    }
}

#[test]
fn a_window_of_fewer_positions_than_it_drops_forgets_them_all() {
    let layer = made("SelfAttention", json!({"predictMemLen": 8, "predictDropLen": 8}));
    let (x, (weights, state)) = (vectors(9, 6), begun(&layer));
    let (_, state) = pure_fn(&layer, piece(&x, 0, 4), &weights, state, KEY).unwrap();
    let (y, state) = pure_fn(&layer, piece(&x, 4, 5), &weights, state, KEY).unwrap();
    let (fresh, alone) = pure_fn(&layer, piece(&x, 4, 5), &weights, begun(&layer).1, KEY).unwrap();
    assert_eq!(y[0].to_f64_vec().unwrap(), fresh[0].to_f64_vec().unwrap());
    let [a, b] = [state, alone].map(|s| leaves(&view_state(&layer, &s).unwrap()));
    assert_eq!(a, b);
}
