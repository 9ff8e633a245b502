//! What attention keeps between forward and backward.
use crate::alone;
use tallow_tensor::{
    backward, memory,
    ops::{attention, AttentionOptions},
    random::Key,
    reset_peak,
    testing::random,
    DType,
};

#[test]
fn no_matrix_of_strengths_is_made() {
    let _alone = alone();
    let (heads, length, depth) = (2, 1024, 16);
    let shape = [heads, length, depth];
    let bytes = heads * length * depth * 4;
    let x = [1, 2, 3].map(|seed| random(&shape, seed).cast(DType::F32).unwrap().variable());
    let options = AttentionOptions { causal: true, dropout: Some((0.1, Key::new(3))), ..Default::default() };
    let ct = random(&shape, 4).cast(DType::F32).unwrap();
    let before = memory();
    reset_peak();
    let y = attention(&x[0], &x[1], &x[2], &options).unwrap();
    // The result, and two numbers a row.
    assert_eq!(memory().bytes - before.bytes, bytes + 2 * heads * length * 4);
    let grads = backward(&[(y, ct.clone())], &x, false).unwrap();
    assert_eq!(memory().bytes - before.bytes, 3 * bytes);
    assert!(memory().peak_bytes - before.bytes <= 5 * bytes, "{} of {bytes}", memory().peak_bytes - before.bytes);
    assert!(heads * length * length * 4 > 50 * bytes);
    drop(grads);
}
