//! What LSH attention keeps between forward and backward, held against the formula in its documentation.
use crate::alone;
use serde_json::json;
use tallow_layers::{init, load_weights, pure_fn, registry::construct, view_weights, TensorSpec};
use tallow_tensor::{backward, memory, random::Key, reset_peak, testing::random, DType, Tensor};

#[test]
fn memory_is_linear_in_the_length() {
    let _alone = alone();
    let (heads, d_qk, d_v, d_model) = (2, 8, 16, 12);
    for n_hashes in [1, 4] {
        for length in [4096, 16384, 65536] {
            let options =
                json!({"nHeads": heads, "dQk": d_qk, "dV": d_v, "causal": true, "chunkLen": 64, "nHashes": n_hashes});
            let layer = construct("LSHSelfAttention", &options).unwrap();
            let x = random(&[1, length, d_model], 1).cast(DType::F32).unwrap();
            let ct = random(&[1, length, d_model], 2).cast(DType::F32).unwrap();
            let (w, s) = init(&layer, &[TensorSpec::of(&x)], Key::new(1)).unwrap();
            let w = view_weights(&layer, &w).map(&mut Tensor::variable);
            let (leaves, weights) =
                (w.leaves().into_iter().cloned().collect::<Vec<_>>(), load_weights(&layer, &w).unwrap());
            let x = x.variable();
            let before = memory().bytes;
            reset_peak();
            let (ys, state) = pure_fn(&layer, vec![x.clone()], &weights, s.clone(), Key::new(2)).unwrap();
            let kept = memory().bytes - before;
            // Per position: the output; per position and head: query, value, result, two numbers, and the buckets of the state.
            let formula = length * 4 * (d_model + heads * (d_qk + 2 * d_v + 2 + n_hashes));
            assert!(
                kept.abs_diff(formula) < 16 << 10,
                "{length} positions keep {kept} bytes, the formula says {formula}"
            );
            let wrt: Vec<Tensor> = [x.clone()].into_iter().chain(leaves).collect();
            let grads = backward(&[(ys[0].clone(), ct)], &wrt, false).unwrap();
            let peak = memory().peak_bytes - before;
            let room = length * 4 * (2 * d_model + heads * (4 * d_qk + 5 * d_v));
            assert!(peak <= formula + room, "{length} positions take {peak} bytes at most, {kept} are kept");
            drop((grads, ys, state));
        }
    }
}

#[test]
fn segments_take_no_matrix_of_pairs() {
    let _alone = alone();
    let length = 8192;
    for (kind, options) in [
        ("SelfAttention", json!({"nHeads": 1, "dQk": 8, "dV": 8, "useSegments": true})),
        ("CausalAttention", json!({"dFeature": 8, "useSegments": true})),
        ("LSHSelfAttention", json!({"nHeads": 1, "dQk": 8, "dV": 8, "chunkLen": 64, "useSegments": true})),
    ] {
        let layer = construct(kind, &options).unwrap();
        let x = random(&[1, length, 8], 1).cast(DType::F32).unwrap();
        let ids = (0..length as i32).map(|i| i / 1000).collect();
        let segments = Tensor::from_vec::<i32>(ids, &[1, length]).unwrap();
        let (weights, state) = init(&layer, &[TensorSpec::of(&x), TensorSpec::of(&segments)], Key::new(1)).unwrap();
        let x = x.variable();
        let before = memory().bytes;
        reset_peak();
        let y = pure_fn(&layer, vec![x.clone(), segments], &weights, state, Key::new(2)).unwrap().0.remove(0);
        let ct = Tensor::ones(y.shape(), y.dtype(), y.device()).unwrap();
        let grads = backward(&[(y, ct)], &[x], false).unwrap();
        let peak = memory().peak_bytes - before;
        // One byte for each pair would be four times as much.
        assert!(peak < length * length / 4, "{kind} takes {peak} bytes");
        drop(grads);
    }
}
