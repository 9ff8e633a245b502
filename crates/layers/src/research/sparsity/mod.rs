//! Layers with fewer weights, or fewer of them used, than dense ones.
mod causal_attention;
mod conv_attention;
mod einsum_dense;
mod expert_ff;
mod factored_dense;
mod favor;
mod local_dense;
mod low_rank_dense;
mod modules;
mod multiplicative_modular;
mod permute;
mod python_shuffle;
mod random_layer;
mod sparse_dense;
mod sparse_ff;

pub use causal_attention::{
    conv_causal_attention, low_rank_causal_attention, modular_causal_attention, multiplicative_causal_attention,
    multiplicative_modular_causal_attention, ConvCausalAttentionOptions, LowRankCausalAttentionOptions,
    ModularCausalAttentionOptions, MultiplicativeCausalAttentionOptions, MultiplicativeModularCausalAttentionOptions,
};
pub use conv_attention::{
    multiplicative_conv_causal_attention, MultiplicativeConvCausalAttentionOptions, OutputLayerType, VConcatType,
};
pub use einsum_dense::{einsum_dense, EinsumDenseOptions};
pub use expert_ff::{block_sparse_ff, switch_sparse_ff, BlockSparseFFOptions, SwitchSparseFFOptions};
pub use factored_dense::{factored_dense, FactoredDenseOptions};
pub use favor::{
    causal_favor, causal_favor_attention, favor, favor_attention, CausalFavorAttentionOptions, CausalFavorOptions,
    FavorAttentionOptions, FavorOptions,
};
pub use local_dense::{
    locally_connected_dense, locally_conv_dense, LocallyConnectedDenseOptions, LocallyConvDenseOptions,
};
pub use low_rank_dense::{low_rank_dense, LowRankDenseOptions};
pub use modules::{merge_last_two_axes, split_last_axis, MergeLastTwoAxesOptions, SplitLastAxisOptions};
pub use multiplicative_modular::{multiplicative_modular_sparse_dense, MultiplicativeModularSparseDenseOptions};
pub use permute::{
    reversible_random_permute, reversible_reshape_permute, ReversibleRandomPermuteOptions,
    ReversibleReshapePermuteOptions,
};
pub use random_layer::{random_layer, RandomLayerOptions};
pub use sparse_dense::{sparse_dense_with_options, SparseDenseWithOptionsOptions, SparsityType};
pub use sparse_ff::{sparse_ff, SparseFFOptions};

use crate::{entry, options::Entry, LayerRef};

/// The layers of this module.
pub const LAYERS: &[Entry<LayerRef>] = &[
    entry!("sparsity", ReversibleReshapePermuteOptions, |_| Ok(reversible_reshape_permute())),
    entry!("sparsity", ReversibleRandomPermuteOptions, |_| Ok(reversible_random_permute())),
    entry!("sparsity", SplitLastAxisOptions, |o: SplitLastAxisOptions| split_last_axis(o.num_splits.0)),
    entry!("sparsity", MergeLastTwoAxesOptions, |_| merge_last_two_axes()),
    entry!("sparsity", LocallyConnectedDenseOptions, locally_connected_dense),
    entry!("sparsity", ModularCausalAttentionOptions, modular_causal_attention),
    entry!("sparsity", LocallyConvDenseOptions, locally_conv_dense),
    entry!("sparsity", ConvCausalAttentionOptions, conv_causal_attention),
    entry!("sparsity", LowRankDenseOptions, low_rank_dense),
    entry!("sparsity", EinsumDenseOptions, einsum_dense),
    entry!("sparsity", RandomLayerOptions, random_layer),
    entry!("sparsity", SparseDenseWithOptionsOptions, sparse_dense_with_options),
    entry!("sparsity", LowRankCausalAttentionOptions, low_rank_causal_attention),
    entry!("sparsity", FactoredDenseOptions, factored_dense),
    entry!("sparsity", MultiplicativeModularSparseDenseOptions, multiplicative_modular_sparse_dense),
    entry!("sparsity", MultiplicativeCausalAttentionOptions, multiplicative_causal_attention),
    entry!("sparsity", MultiplicativeModularCausalAttentionOptions, multiplicative_modular_causal_attention),
    entry!("sparsity", MultiplicativeConvCausalAttentionOptions, multiplicative_conv_causal_attention),
    entry!("sparsity", FavorAttentionOptions, favor_attention),
    entry!("sparsity", FavorOptions, favor),
    entry!("sparsity", CausalFavorAttentionOptions, |o| Ok(causal_favor_attention(o))),
    entry!("sparsity", CausalFavorOptions, causal_favor),
    entry!("sparsity", SparseFFOptions, sparse_ff),
    entry!("sparsity", BlockSparseFFOptions, block_sparse_ff),
    entry!("sparsity", SwitchSparseFFOptions, switch_sparse_ff),
];
