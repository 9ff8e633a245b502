//! What fused operations keep for backward.
use crate::alone;
use tallow_tensor::{
    memory,
    ops::{bias_activation, cross_entropy, dropout, layer_norm, Activation},
    random::Key,
    testing::random,
    Result, Tensor,
};

#[test]
fn only_outputs_and_a_few_numbers_per_row_stay_alive() {
    let _alone = alone();
    let (rows, cols) = (256usize, 512usize);
    let x = random(&[rows, cols], 1).variable();
    let targets = Tensor::from_vec(vec![1i32; rows], &[rows]).unwrap();
    let grown = |f: &dyn Fn() -> Result<Tensor>| {
        let before = memory().bytes;
        let y = f().unwrap();
        let grown = memory().bytes - before;
        drop(y);
        grown
    };
    let whole = rows * cols * 8;
    let row = rows * 8;
    for activation in [Activation::Relu, Activation::Gelu, Activation::Swish, Activation::Tanh] {
        assert_eq!(grown(&|| bias_activation(&x, None, activation)), whole);
    }
    assert_eq!(grown(&|| dropout(&x, 0.1, Key([0, 1]), &[rows, cols])), whole);
    assert_eq!(grown(&|| x.softmax(-1)), whole);
    assert_eq!(grown(&|| layer_norm(&x, None, None, 1e-6)), whole + 2 * row);
    // The loss, the largest logit and the logarithm of the sum.
    assert_eq!(grown(&|| cross_entropy(&x, &targets, 0.1)), 3 * row);
}
