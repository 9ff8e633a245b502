//! Sequences made shorter or longer, as in the Hourglass model.
mod attention;
mod shortening;
mod unused;

pub use attention::{AttentionResamplingOptions, FeedForwardBlockOptions};
pub use shortening::{
    AveragePoolingOptions, LinearPoolingOptions, LinearUpsamplingOptions, NaiveUpsamplingOptions, NoUpsamplingOptions,
};
pub use unused::{FurtherArguments, ResamplingFactory, ResamplingOptions, WeightlessResamplingOptions};

use crate::{entry, options::Entry, LayerRef};

/// The layers of this module.
pub const LAYERS: &[Entry<LayerRef>] = &[
    entry!("research.resampling", AveragePoolingOptions, |o| shortening::average_pooling(&o)),
    entry!("research.resampling", LinearPoolingOptions, |o| shortening::linear_pooling(&o)),
    entry!("research.resampling", LinearUpsamplingOptions, |o| shortening::linear_upsampling(&o)),
    entry!("research.resampling", NaiveUpsamplingOptions, |o| Ok(shortening::naive_upsampling(&o))),
    entry!("research.resampling", NoUpsamplingOptions, |o| Ok(shortening::no_upsampling(&o))),
];

/// The functions of this module, which return several layers.
pub const LISTS: &[Entry<Vec<LayerRef>>] = &[
    entry!("research.resampling", FeedForwardBlockOptions, |o| attention::feed_forward_block(&o)),
    entry!("research.resampling", AttentionResamplingOptions, attention::attention_resampling),
];
