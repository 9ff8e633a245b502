//! Recomputation saves memory.
use crate::alone;
use tallow_layers::{
    combinators::{scan, ScanOptions},
    framework::pure::pure_layer,
    pure_fn, Axis, Count, LayerArg, LayerRef, Mode, Store,
};
use tallow_tensor::{backward, memory, random::Key, reset_peak, testing, DType, Tensor};

const KEY: Key = Key([1, 2]);

/// A step with elementwise work whose intermediate values would all be kept.
fn tower() -> LayerRef {
    pure_layer(
        "tower",
        2,
        2,
        |s| Ok(vec![s[1].clone(), s[1].clone()]),
        |xs| {
            let mut y = xs[1].mul_scalar(0.5)?.add(&xs[0])?;
            for _ in 0..32 {
                y = y.mul(&y)?.add_scalar(0.1)?.tanh()?;
            }
            Ok(vec![y.clone(), y])
        },
    )
}

/// Gradients of a scan of `tower`, and the bytes alive at the peak beyond those before.
fn run(remat: bool) -> (Vec<Tensor>, usize) {
    let layer =
        scan(ScanOptions { layer: LayerArg(tower()), axis: Axis(1), n_carry: Count(1), remat, mode: Mode::Train })
            .expect("a scan");
    let f32 = |shape: &[usize], seed| testing::random(shape, seed).cast(DType::F32).expect("a cast");
    let (x, c) = (f32(&[1, 512, 16], 3).variable(), f32(&[1, 16], 4).variable());
    reset_peak();
    let before = memory().bytes;
    let (ys, _) = pure_fn(&layer, vec![x.clone(), c.clone()], &Store::new(), Store::new(), KEY).expect("a call");
    let seeds: Vec<_> = ys.iter().map(|y| (y.clone(), f32(y.shape(), 5))).collect();
    let gradients = backward(&seeds, &[x, c], false).expect("gradients");
    (gradients, memory().peak_bytes.saturating_sub(before))
}

#[test]
fn recomputation_gives_the_same_gradients_in_less_memory() {
    let _alone = alone();
    let (plain, kept) = run(false);
    let (lean, recomputed) = run(true);
    for (a, b) in plain.iter().zip(&lean) {
        testing::assert_close(b, a, DType::F32);
    }
    assert!(recomputed * 4 < kept, "recomputing peaked at {recomputed} bytes, keeping at {kept}");
}
