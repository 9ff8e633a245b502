//! Convolutions.
mod causal_depthwise_conv;
mod conv;
pub(crate) mod kernel;
pub(crate) mod layout;
mod remembered;

pub use causal_depthwise_conv::{causal_depthwise_conv, CausalDepthwiseConvOptions};
pub(crate) use conv::Convolution;
pub use conv::{causal_conv, conv, conv_1d, CausalConvOptions, Conv1dOptions, ConvOptions};
pub use layout::DimensionNumbers;

use crate::{entry, options::Entry, LayerRef};

/// The layers of this module.
pub const LAYERS: &[Entry<LayerRef>] = &[
    entry!("convolution", ConvOptions, conv),
    entry!("convolution", CausalConvOptions, causal_conv),
    entry!("convolution", Conv1dOptions, conv_1d),
    entry!("convolution", CausalDepthwiseConvOptions, causal_depthwise_conv),
];
