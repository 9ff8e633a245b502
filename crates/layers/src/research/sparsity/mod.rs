//! Layers with fewer weights, or fewer of them used, than dense ones.
mod factored_dense;
mod local_dense;
mod modules;

pub use factored_dense::{factored_dense, FactoredDenseOptions};
pub use local_dense::{
    locally_connected_dense, locally_conv_dense, LocallyConnectedDenseOptions, LocallyConvDenseOptions,
};
pub use modules::{merge_last_two_axes, split_last_axis, MergeLastTwoAxesOptions, SplitLastAxisOptions};

use crate::{entry, registry::Entry, LayerRef};

/// The layers of this module.
pub const LAYERS: &[Entry<LayerRef>] = &[
    entry!("sparsity", SplitLastAxisOptions, |o: SplitLastAxisOptions| split_last_axis(o.num_splits.0)),
    entry!("sparsity", MergeLastTwoAxesOptions, |_| merge_last_two_axes()),
    entry!("sparsity", LocallyConnectedDenseOptions, locally_connected_dense),
    entry!("sparsity", LocallyConvDenseOptions, locally_conv_dense),
    entry!("sparsity", FactoredDenseOptions, factored_dense),
];
