//! Attention with relative positions, between sequences of which one may be a multiple of the other.
mod attend;
mod funnel;
mod inputs;
mod layers;

pub use attend::{RelativeAttentionOptions, RelativeDotProductOptions};
pub use funnel::CalcFunnelRatioOptions;
pub use inputs::{CreateAttentionMaskLayerOptions, PositionalEmbeddingsOptions, ShiftRightClsOptions};
pub(in crate::research) use layers::relative_attention_lm_layer;
pub use layers::{
    GetRelAttInputsOptions, RelativeAttentionLMLayerOptions, RelativeAttentionLayerOptions,
    RelativeAttentionWrapperOptions,
};

use crate::{entry, options::Entry, HostValue, LayerRef};

/// The layers of this module.
pub const LAYERS: &[Entry<LayerRef>] = &[
    entry!("research.rel_attention", RelativeAttentionWrapperOptions, layers::relative_attention_wrapper),
    entry!("research.rel_attention", RelativeAttentionLayerOptions, layers::relative_attention_layer),
    entry!("research.rel_attention", RelativeAttentionLMLayerOptions, layers::relative_attention_lm_layer),
    entry!("research.rel_attention", RelativeAttentionOptions, |o| Ok(attend::relative_attention(o))),
    entry!("research.rel_attention", PositionalEmbeddingsOptions, |o| inputs::positional_embeddings(&o)),
    entry!("research.rel_attention", CreateAttentionMaskLayerOptions, |_| inputs::create_attention_mask_layer()),
    entry!("research.rel_attention", ShiftRightClsOptions, |o| inputs::shift_right_cls(&o)),
];

/// The functions of this module.
pub const FUNCTIONS: &[Entry<HostValue>] = &[
    entry!("research.rel_attention", RelativeDotProductOptions, attend::dot_product_attention),
    entry!("research.rel_attention", CalcFunnelRatioOptions, funnel::calc_funnel_ratio),
];

/// The functions of this module that return several layers.
pub const LISTS: &[Entry<Vec<LayerRef>>] =
    &[entry!("research.rel_attention", GetRelAttInputsOptions, |o| layers::get_rel_att_inputs(&o))];
