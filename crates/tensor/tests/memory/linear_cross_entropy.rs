//! The logits of a large vocabulary never exist at once.
use crate::alone;
use tallow_tensor::{
    backward, memory,
    ops::{linear_cross_entropy, LinearCrossEntropyOptions},
    testing::random,
    DType, Tensor,
};

#[test]
fn the_logits_of_all_rows_are_never_alive() {
    let _alone = alone();
    let (rows, depth, categories) = (1024usize, 8usize, 20_000usize);
    let single = |shape: &[usize], seed| random(shape, seed).cast(DType::F32).unwrap();
    let (x, w) = (single(&[rows, depth], 1).variable(), single(&[depth, categories], 2).variable());
    let targets = Tensor::from_vec((0..rows as i32).collect(), &[rows]).unwrap();
    let scale = single(&[rows], 3);
    let before = memory().bytes;
    let loss = linear_cross_entropy(&x, &w, None, &targets, &scale, LinearCrossEntropyOptions::default()).unwrap();
    // Both gradients, a loss for each row, and their sum.
    let gradients = 4 * depth * (rows + categories);
    assert_eq!(memory().bytes - before, gradients + 4 * rows + 4);
    let seed = Tensor::ones(&[], DType::F32, loss.device()).unwrap();
    let found = backward(&[(loss, seed)], &[x.clone(), w.clone()], false).unwrap();
    assert_eq!(memory().bytes - before, gradients, "{found:?}");
}
