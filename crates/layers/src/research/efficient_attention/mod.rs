//! Attention that is lean in memory: full, chunked, by locality-sensitive hashing, with and without projections.
//!
//! Everything runs on all heads at once, on kernels that recompute in backward what would grow with the square of the length
//! (`tallow_tensor::ops::{penalized_attention, chunked_attention}`), so Trax's options for looping over heads change nothing.
mod attend;
mod base;
mod enc_dec;
mod functions;
mod hashing;
mod heads;
mod lsh;
mod lsh_ff;
mod lsh_self_attention;
mod memory;
mod mixed;
mod positions;
mod pure_lsh;
mod self_attention;
mod shared;
mod wrapper;

pub use attend::{attend, length_normalized, look_adjacent, mask_self_attention, Attend, MaskFn, SelfMask};
pub use base::EfficientAttentionBaseOptions;
pub use enc_dec::EncDecAttentionOptions;
pub use functions::{apply_broadcasted_dropout, permute_via_gather, permute_via_sort, FUNCTIONS};
pub use hashing::{hash_vecs, Buckets};
pub use lsh_ff::LSHFFOptions;
pub use lsh_self_attention::{LSHSelfAttentionOptions, Unused};
pub use mixed::MixedLSHSelfAttentionOptions;
pub use pure_lsh::PureLSHSelfAttentionOptions;
pub use self_attention::SelfAttentionOptions;
pub use shared::{EfficientAttentionOptions, LSHOptions};
pub use wrapper::{PureLSHSelfAttentionWrapperOptions, WeightsFormat};

use crate::{entry, options::Entry, LayerRef};

/// The layers of this module.
pub const LAYERS: &[Entry<LayerRef>] = &[
    entry!("research.efficient_attention", EfficientAttentionBaseOptions, base::efficient_attention_base),
    entry!("research.efficient_attention", SelfAttentionOptions, self_attention::self_attention),
    entry!("research.efficient_attention", LSHSelfAttentionOptions, lsh_self_attention::lsh_self_attention),
    entry!("research.efficient_attention", PureLSHSelfAttentionOptions, pure_lsh::pure_lsh_self_attention),
    entry!("research.efficient_attention", MixedLSHSelfAttentionOptions, mixed::mixed_lsh_self_attention),
    entry!(
        "research.efficient_attention",
        PureLSHSelfAttentionWrapperOptions,
        wrapper::pure_lsh_self_attention_wrapper
    ),
    entry!("research.efficient_attention", EncDecAttentionOptions, enc_dec::enc_dec_attention),
    entry!("research.efficient_attention", LSHFFOptions, |o| Ok(lsh_ff::lsh_ff(o))),
];
