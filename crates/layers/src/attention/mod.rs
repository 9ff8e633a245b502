//! Attention: masked and causal, multi-head, with the masks, shifts and positions that go with it.
mod dot_product;
mod heads;
mod masks;
mod multi_head;
mod positional_encoding;
mod segments;

use crate::{entry, options::Entry, LayerRef};
pub(crate) use dot_product::{dot_product_attention, dot_product_causal_attention};
pub use dot_product::{DotProductAttentionOptions, DotProductCausalAttentionOptions, PureAttentionOptions};
pub(crate) use heads::{check_heads, head_size, merge, merge_heads, split, split_into_heads};
pub use heads::{MergeHeadsOptions, SplitIntoHeadsOptions};
pub use masks::{EncoderDecoderMaskOptions, PaddingMaskOptions, SegmentMaskOptions, ShiftRightOptions};
pub(crate) use multi_head::{configurable_attention, SEGMENTED};
pub use multi_head::{
    room_of_model, AttentionOptions, AttentionQKVOptions, CausalAttentionOptions, ConfigurableAttentionOptions,
    Sparsity,
};
pub use positional_encoding::PositionalEncodingOptions;
pub use segments::mask_of_segments;
pub(crate) use segments::{check_segments_of, same_segment};

/// The layers of this module.
pub const LAYERS: &[Entry<LayerRef>] = &[
    entry!("attention", AttentionOptions, multi_head::attention),
    entry!("attention", AttentionQKVOptions, multi_head::attention_qkv),
    entry!("attention", PureAttentionOptions, dot_product::pure_attention),
    entry!("attention", DotProductAttentionOptions, dot_product::dot_product_attention),
    entry!("attention", SplitIntoHeadsOptions, heads::split_into_heads),
    entry!("attention", MergeHeadsOptions, heads::merge_heads),
    entry!("attention", ConfigurableAttentionOptions, multi_head::configurable_attention),
    entry!("attention", CausalAttentionOptions, multi_head::causal_attention),
    entry!("attention", DotProductCausalAttentionOptions, dot_product::dot_product_causal_attention),
    entry!("attention", ShiftRightOptions, masks::shift_right),
    entry!("attention", PaddingMaskOptions, masks::padding_mask),
    entry!("attention", SegmentMaskOptions, masks::segment_mask),
    entry!("attention", EncoderDecoderMaskOptions, masks::encoder_decoder_mask),
    entry!("attention", PositionalEncodingOptions, positional_encoding::positional_encoding),
];
