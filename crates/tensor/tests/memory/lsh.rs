//! What chunked attention keeps between forward and backward.
use crate::alone;
use tallow_tensor::{
    backward, memory,
    ops::{chunked_attention, penalized_attention, ChunkedAttentionOptions, PenalizedAttentionOptions},
    reset_peak,
    testing::random,
    DType, Tensor,
};

#[test]
fn memory_is_linear_in_the_length_and_does_not_grow_with_rounds() {
    let _alone = alone();
    let (heads, depth) = (2, 8);
    for length in [4096, 16384, 65536] {
        let x = [1, 2, 3].map(|seed| random(&[heads, length, depth], seed).cast(DType::F32).unwrap());
        let bytes = heads * length * depth * 4;
        for rounds in [1, 4] {
            let values = (0..heads * rounds * length).map(|i| (i * 7919 % 61) as i32).collect();
            let options = ChunkedAttentionOptions {
                n_chunks_before: 1,
                causal: true,
                exclude_self: true,
                buckets: Some(Tensor::from_vec(values, &[heads, rounds * length]).unwrap()),
                ..Default::default()
            };
            let vars = [x[0].variable(), x[1].variable()];
            let before = memory().bytes;
            reset_peak();
            let y = chunked_attention(&vars[0], None, &vars[1], &options).unwrap();
            // The result, and two numbers a position.
            assert_eq!(memory().bytes - before, bytes + 2 * heads * length * 4);
            let grads = backward(&[(y, x[2].clone())], &vars, false).unwrap();
            assert_eq!(memory().bytes - before, 2 * bytes);
            // Beside the result and the two gradients nothing but those numbers.
            let peak = memory().peak_bytes - before;
            assert!(peak <= 3 * bytes + 2 * heads * length * 4, "{peak} of {bytes}");
            drop(grads);
        }
        if length == 4096 {
            let vars = [0, 1, 2].map(|i| x[i].variable());
            let before = memory().bytes;
            let options = PenalizedAttentionOptions { causal: true, exclude_self: true, ..Default::default() };
            let y = penalized_attention(&vars[0], &vars[1], &vars[2], &options).unwrap();
            assert_eq!(memory().bytes - before, bytes + 2 * heads * length * 4);
            drop(y);
        }
    }
}
