//! Peaks measured within others.
use crate::alone;
use tallow_tensor::{memory, Tensor};

#[test]
fn a_peak_within_another_is_measured_apart() {
    let _alone = alone();
    let big = |n: usize| Tensor::from_vec(vec![0f32; n], &[n]).expect("a tensor");
    memory::reset_peak();
    let before = memory::memory().bytes;
    drop(big(1 << 20));
    let outer = memory::begin_inner_peak();
    assert_eq!(outer - before, 4 << 20);
    drop(big(1 << 18));
    assert_eq!(memory::end_inner_peak(outer) - before, 1 << 20);
    assert_eq!(memory::memory().peak_bytes, outer, "the one around goes on");
    let outer = memory::begin_inner_peak();
    drop(big(1 << 21));
    assert_eq!(memory::end_inner_peak(outer) - before, 8 << 20);
    assert_eq!(memory::memory().peak_bytes - before, 8 << 20, "a greater one within is the greatest around it");
}
