//! The innermost loops of products by quantized weights on processors that no others are written for.
use super::{
    super::plain::{load, multiply_add, splat, store, zero, LANES},
    micro::compile,
};
use half::bf16;

fn add(x: [f32; LANES], y: [f32; LANES]) -> [f32; LANES] {
    std::array::from_fn(|i| x[i] + y[i])
}

compile!(
    bytes, i8, [], 8, 4, 1, [1 2 3 4], zero, load, store, splat, multiply_add, add,
    |at: *const i8| at.cast::<[i8; LANES]>().read().map(f32::from)
);
compile!(
    brain, bf16, [], 8, 4, 1, [1 2 3 4], zero, load, store, splat, multiply_add, add,
    |at: *const bf16| at.cast::<[bf16; LANES]>().read().map(bf16::to_f32)
);
