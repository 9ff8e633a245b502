//! Normalization layers.
mod batch_norm;
mod filter_response_norm;
mod layer_norm;

pub use batch_norm::{batch_norm, BatchNormOptions};
pub use filter_response_norm::{filter_response_norm, FilterResponseNormOptions};
pub use layer_norm::{layer_norm, layer_norm_of, LayerNormOptions};

use crate::{entry, options::Entry, LayerRef};

/// The layers of this module.
pub const LAYERS: &[Entry<LayerRef>] = &[
    entry!("normalization", BatchNormOptions, |o| Ok(batch_norm(o))),
    entry!("normalization", LayerNormOptions, |o| Ok(layer_norm_of(o))),
    entry!("normalization", FilterResponseNormOptions, |o| Ok(filter_response_norm(o))),
];
