//! Reversible stacks do not grow with depth.
use crate::alone;
use crate::support::stacks;
use tallow_layers::{
    core::{dense, dropout},
    init, load_weights, pure_fn, registry, view_weights, LayerRef, Mode, TensorSpec,
};
use tallow_tensor::{backward, memory, random::Key, reset_peak, testing, DType, Tensor};

const KEY: Key = Key([1, 2]);

fn of(kind: &str) -> LayerRef {
    registry::construct(kind, serde_json::json!({})).expect("a registered layer")
}

/// The bytes of activations alive at the peak of a training step: beyond those before it and those of the gradients it gives.
fn peak(layer: &LayerRef) -> usize {
    let shape = [2, 128, 32];
    let (weights, state) = init(layer, &vec![TensorSpec::new(shape, DType::F32); 2], KEY).expect("init");
    let tree = view_weights(layer, &weights).map(&mut Tensor::variable);
    let weights = load_weights(layer, &tree).expect("weights");
    let x = |seed| testing::random(&shape, seed).cast(DType::F32).expect("a cast").variable();
    let xs = [x(1), x(2)];
    let seeds = [x(3), x(4)].map(|t| t.detach());
    let wrt: Vec<Tensor> = xs.iter().chain(tree.leaves()).cloned().collect();
    let before = memory().bytes;
    reset_peak();
    let (ys, _) = pure_fn(layer, xs.to_vec(), &weights, state, KEY).expect("a call");
    let grads = backward(&ys.into_iter().zip(seeds).collect::<Vec<_>>(), &wrt, false).expect("gradients");
    let of_weights: usize = grads[2..].iter().map(Tensor::storage_bytes).sum();
    memory().peak_bytes - before - of_weights
}

#[test]
fn activations_of_a_reversible_stack_do_not_grow_with_depth() {
    let _alone = alone();
    let peaks = |depth: usize| {
        let block = || vec![of("LayerNorm"), dense(64), of("Relu"), dropout(0.1, Mode::Train), dense(32)];
        let (reversible, plain) = stacks((0..depth).map(|_| block()));
        (peak(&reversible), peak(&plain))
    };
    let found: Vec<(usize, usize)> = [4, 16, 64].into_iter().map(peaks).collect();
    let (least, most) = (found.iter().map(|p| p.0).min(), found.iter().map(|p| p.0).max());
    let (least, most) = (least.expect("three") as f64, most.expect("three") as f64);
    assert!(most <= 1.05 * least, "reversible stacks peaked between {least} and {most} bytes: {found:?}");
    // The measure sees what grows.
    assert!(found[1].1 > 3 * found[0].1 && found[2].1 > 3 * found[1].1, "plain stacks did not grow: {found:?}");
}
