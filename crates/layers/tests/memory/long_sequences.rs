//! Long sequences.
use crate::alone;
use serde_json::json;
use std::time::Instant;
use tallow_layers::{
    combinators::{scan, serial, ScanOptions},
    framework::pure::pure_layer,
    init, pure_fn, registry, Axis, Count, LayerArg, LayerRef, Mode, Store, TensorSpec,
};
use tallow_tensor::{backward, memory, random::Key, reset_peak, testing::random, DType, Tensor};

const KEY: Key = Key([1, 2]);

fn f32(shape: &[usize], seed: u64) -> Tensor {
    random(shape, seed).cast(DType::F32).expect("a cast")
}

/// Gradients of inputs and weights of a scan over axis 1, whose layer cannot run a sequence at once.
fn run(layer: &LayerRef, xs: &[Tensor], weights: &Store) -> Vec<Tensor> {
    let xs: Vec<Tensor> = xs.iter().map(Tensor::variable).collect();
    let weights: Store = weights.iter().map(|(id, w)| (*id, w.map(&mut Tensor::variable))).collect();
    let (ys, _) = pure_fn(layer, xs.clone(), &weights, Store::new(), KEY).expect("a call");
    let wrt: Vec<Tensor> =
        xs.into_iter().chain(weights.values().flat_map(|w| w.leaves().into_iter().cloned())).collect();
    let seeds: Vec<_> = ys.iter().map(|y| (y.clone(), f32(y.shape(), 50))).collect();
    backward(&seeds, &wrt, false).expect("gradients")
}

/// A step that no layer can run at once.
fn step() -> LayerRef {
    pure_layer(
        "step",
        2,
        2,
        |s| Ok(vec![s[1].clone(), s[1].clone()]),
        |xs| {
            let y = xs[1].mul_scalar(0.5)?.add(&xs[0])?.tanh()?;
            Ok(vec![y.clone(), y])
        },
    )
}

fn scanned(layer: LayerRef, remat: bool) -> LayerRef {
    scan(ScanOptions { layer: LayerArg(layer), axis: Axis(1), n_carry: Count(1), remat, mode: Mode::Train })
        .expect("a scan")
}

/// Eight times the steps take about eight times as long; the square would be 64. Other programs may take the processor meanwhile, so
/// that one try in a few must be good.
#[test]
fn long_scans_do_not_overflow_and_stay_linear() {
    let _alone = alone();
    for remat in [false, true] {
        let layer = scanned(step(), remat);
        let seconds = |n: usize| {
            let xs = [f32(&[1, n, 16], 3), f32(&[1, 16], 4)];
            let began = Instant::now();
            let out = run(&layer, &xs, &Store::new());
            assert_eq!(out.len(), 2);
            began.elapsed().as_secs_f64()
        };
        seconds(64);
        let ratios: Vec<f64> = (0..5).map(|_| seconds(8192) / seconds(1024)).collect();
        assert!(ratios.iter().any(|&r| r < 32.0), "8192 steps took so many times as long as 1024: {ratios:?}");
    }
}

#[test]
fn long_sequences_take_memory_in_proportion_and_little_stack() {
    let _alone = alone();
    // A stack that a recursion of 4,096 levels would overflow.
    let body = || {
        let cell = registry::construct("LSTMCell", json!({"nUnits": 2})).expect("a layer");
        // A Serial has no way to run a sequence at once.
        for (layer, width) in [(step(), 2), (serial(vec![cell]), 4)] {
            let layer = scanned(layer, false);
            let peak = |steps: usize| {
                let xs = vec![f32(&[1, steps, 2], 1), f32(&[1, width], 2)];
                let specs: Vec<TensorSpec> = xs.iter().map(TensorSpec::of).collect();
                let (weights, _) = init(&layer, &specs, KEY).expect("weights");
                reset_peak();
                let before = memory().bytes;
                let out = run(&layer, &xs, &weights);
                assert!(out.iter().all(|t| t.to_f64_vec().expect("values").iter().all(|v| v.is_finite())));
                (memory().peak_bytes.saturating_sub(before)) as f64 / steps as f64
            };
            let (short, long) = (peak(512), peak(4096));
            assert!(long < 1.5 * short, "a step takes {short} bytes of 512, but {long} of 4,096");
        }
    };
    std::thread::Builder::new().stack_size(512 << 10).spawn(body).expect("a thread").join().expect("no overflow");
}
