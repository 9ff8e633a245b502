//! The innermost loops of products by quantized weights on ARM.
use super::{
    super::neon::{load, multiply_add, splat, store, zero, Pair},
    micro::compile,
};
use half::bf16;
use std::arch::aarch64::*;

#[inline]
#[target_feature(enable = "neon")]
fn add(x: Pair, y: Pair) -> Pair {
    Pair(vaddq_f32(x.0, y.0), vaddq_f32(x.1, y.1))
}

compile!(
    bytes, i8, ["neon"], 8, 6, 2, [1 2 3 4 5 6], zero, load, store, splat, multiply_add, add,
    |at: *const i8| {
        let wide = vmovl_s8(vld1_s8(at));
        let [low, high] = [vmovl_s16(vget_low_s16(wide)), vmovl_high_s16(wide)];
        Pair(vcvtq_f32_s32(low), vcvtq_f32_s32(high))
    }
);
compile!(
    brain, bf16, ["neon"], 8, 6, 2, [1 2 3 4 5 6], zero, load, store, splat, multiply_add, add,
    |at: *const bf16| {
        let halves = vld1q_u16(at.cast());
        let [low, high] = [vshll_n_u16::<16>(vget_low_u16(halves)), vshll_high_n_u16::<16>(halves)];
        Pair(vreinterpretq_f32_u32(low), vreinterpretq_f32_u32(high))
    }
);
