//! Causal attention whose projections are sparse.
use super::{
    factored_dense::{factored_dense, FactoredDenseOptions},
    local_dense::{locally_connected_dense, locally_conv_dense, LocallyConnectedDenseOptions, LocallyConvDenseOptions},
    low_rank_dense::{low_rank_dense, LowRankDenseOptions},
    multiplicative_modular::{multiplicative_modular_sparse_dense, MultiplicativeModularSparseDenseOptions},
};
use crate::{
    assert_shape::assert_function,
    attention::{
        check_heads, configurable_attention, dot_product_causal_attention, ConfigurableAttentionOptions,
        DotProductCausalAttentionOptions, SEGMENTED,
    },
    options, Dim, Error, LayerNest, LayerRef, Mode, Rate, Result,
};

options! {
    /// Options that causal attentions with sparse projections share.
    pub group SparseCausalAttentionOptions {
        /// Number of heads.
        n_heads "nHeads": Dim = Dim(1),
        /// Probability of dropping an attention strength.
        dropout "dropout": Rate = Rate(0.0),
        /// Positions that predict mode has room for.
        max_inference_length "maxInferenceLength": Dim = Dim(2048),
        /// Whether a further input tells the segment of each position, outside of which it sees nothing.
        use_segments "useSegments": bool = false,
        /// How the layer behaves.
        mode "mode": Mode = Mode::Train,
    }
}

impl SparseCausalAttentionOptions {
    /// The attention between the projections.
    pub(super) fn attend(&self) -> Result<LayerRef> {
        dot_product_causal_attention(DotProductCausalAttentionOptions {
            dropout: self.dropout,
            max_inference_length: self.max_inference_length,
            use_segments: self.use_segments,
            mode: self.mode,
        })
    }
    /// The shapes of the whole.
    pub(super) fn shapes(&self) -> &'static str {
        if self.use_segments {
            SEGMENTED
        } else {
            "bld->bld"
        }
    }
}

options! {
    /// Attends as `CausalAttention` does, with `LocallyConnectedDense` layers for projections.
    ///
    /// Each `Dense(dFeature)` is `LocallyConnectedDense(m, dFeature / m, { kernelSize })`, where `m` is `sparsity`.
    ///
    /// Shapes: `[batch, length, dFeature]` → `[batch, length, dFeature]`. With `useSegments` also segment ids `int32[batch, length]`,
    /// which are an output too.
    /// Weights: those of four such layers.
    /// State: none; in mode `'predict'` that of `DotProductCausalAttention`.
    /// Modes: drops attention strengths in `'train'` only. In `'predict'` it takes the next positions only.
    /// Errors:
    /// - `InvalidOption`: `nHeads` or `sparsity` does not divide `dFeature`, or `kernelSize` is even.
    /// - `ShapeMismatch`: the input does not have three axes, or the segments are not one for each position.
    /// - `DTypeMismatch`: segments are floats or booleans.
    /// Source: Trax; Jaszczur et al. 2021, arXiv:2111.12763.
    /// Example:
    /// ```ts
    /// const layer = tl.ModularCausalAttention(8, { nHeads: 2, sparsity: 4 });
    /// layer.init({ shape: [1, 3, 8], dtype: 'float32' });
    /// layer(tl.ones([1, 3, 8])).shape; // → [ 1, 3, 8 ]
    /// ```
    pub struct ModularCausalAttentionOptions for "ModularCausalAttention" ("dFeature")
        with (causal: SparseCausalAttentionOptions) {
        /// Width of the vectors.
        d_feature "dFeature": Dim,
        /// Modules of a projection; `null`: as many as heads.
        sparsity "sparsity": Option<Dim> = None,
        /// Modules of the input that a module of a projection sees; an odd number.
        kernel_size "kernelSize": Dim = Dim(1),
    }
}

options! {
    /// Attends as `CausalAttention` does, with `LocallyConvDense` layers for projections.
    ///
    /// Each `Dense(dFeature)` is `LocallyConvDense(m, dFeature / m, mode, { kernelSize })`, where `m` is `sparsity`.
    ///
    /// Shapes: `[batch, length, dFeature]` → `[batch, length, dFeature]`. With `useSegments` also segment ids `int32[batch, length]`,
    /// which are an output too.
    /// Weights: those of four such layers.
    /// State: none; in mode `'predict'` that of its layers.
    /// Modes: drops attention strengths in `'train'` only. In `'predict'` it takes the next positions only.
    /// Errors:
    /// - `InvalidOption`: `nHeads` or `sparsity` does not divide `dFeature`, or `kernelSize` is even.
    /// - `ShapeMismatch`: the input does not have three axes, or the segments are not one for each position.
    /// - `DTypeMismatch`: segments are floats or booleans.
    /// Source: Trax; Jaszczur et al. 2021, arXiv:2111.12763.
    /// Example:
    /// ```ts
    /// const layer = tl.ConvCausalAttention(8, { nHeads: 2, sparsity: 4 });
    /// layer.init({ shape: [1, 3, 8], dtype: 'float32' });
    /// layer(tl.ones([1, 3, 8])).shape; // → [ 1, 3, 8 ]
    /// ```
    pub struct ConvCausalAttentionOptions for "ConvCausalAttention" ("dFeature")
        with (causal: SparseCausalAttentionOptions) {
        /// Width of the vectors.
        d_feature "dFeature": Dim,
        /// Modules of a projection; `null`: as many as heads.
        sparsity "sparsity": Option<Dim> = None,
        /// Modules of the input that a module of a projection sees; an odd number.
        kernel_size "kernelSize": Dim = Dim(1),
    }
}

options! {
    /// Attends as `CausalAttention` does, with `LowRankDense` layers for projections.
    ///
    /// Each `Dense(dFeature)` is `LowRankDense(dFeature, lowrank)`.
    ///
    /// Shapes: `[batch, length, dFeature]` → `[batch, length, dFeature]`. With `useSegments` also segment ids `int32[batch, length]`,
    /// which are an output too.
    /// Weights: those of four such layers.
    /// State: none; in mode `'predict'` that of `DotProductCausalAttention`.
    /// Modes: drops attention strengths in `'train'` only. In `'predict'` it takes the next positions only.
    /// Errors:
    /// - `InvalidOption`: `nHeads` does not divide `dFeature`.
    /// - `ShapeMismatch`: the input does not have three axes, or the segments are not one for each position.
    /// - `DTypeMismatch`: segments are floats or booleans.
    /// Source: Trax.
    /// Example:
    /// ```ts
    /// const layer = tl.LowRankCausalAttention(8, { nHeads: 2, lowrank: 2 });
    /// layer.init({ shape: [1, 3, 8], dtype: 'float32' });
    /// layer(tl.ones([1, 3, 8])).shape; // → [ 1, 3, 8 ]
    /// ```
    pub struct LowRankCausalAttentionOptions for "LowRankCausalAttention" ("dFeature")
        with (causal: SparseCausalAttentionOptions) {
        /// Width of the vectors.
        d_feature "dFeature": Dim,
        /// Size of the axis within a projection.
        lowrank "lowrank": Dim = Dim(64),
    }
}

options! {
    /// Attends as `CausalAttention` does, with `FactoredDense` layers for projections.
    ///
    /// Each `Dense(dFeature)` is `FactoredDense(m, dFeature, dFeature)`, where `m` is `sparsity`.
    ///
    /// Shapes: `[batch, length, dFeature]` → `[batch, length, dFeature]`. With `useSegments` also segment ids `int32[batch, length]`,
    /// which are an output too.
    /// Weights: those of four such layers.
    /// State: none; in mode `'predict'` that of `DotProductCausalAttention`.
    /// Modes: drops attention strengths in `'train'` only. In `'predict'` it takes the next positions only.
    /// Errors:
    /// - `InvalidOption`: `nHeads` or `sparsity` does not divide `dFeature`.
    /// - `ShapeMismatch`: the input does not have three axes, or the segments are not one for each position.
    /// - `DTypeMismatch`: segments are floats or booleans.
    /// Source: Trax; Jaszczur et al. 2021, arXiv:2111.12763.
    /// Example:
    /// ```ts
    /// const layer = tl.MultiplicativeCausalAttention(8, { nHeads: 2, sparsity: 4 });
    /// layer.init({ shape: [1, 3, 8], dtype: 'float32' });
    /// layer(tl.ones([1, 3, 8])).shape; // → [ 1, 3, 8 ]
    /// ```
    pub struct MultiplicativeCausalAttentionOptions for "MultiplicativeCausalAttention" ("dFeature")
        with (causal: SparseCausalAttentionOptions) {
        /// Width of the vectors.
        d_feature "dFeature": Dim,
        /// Modules of a projection; `null`: as many as heads.
        sparsity "sparsity": Option<Dim> = None,
    }
}

options! {
    /// Attends as `CausalAttention` does, with `MultiplicativeModularSparseDense` layers for projections.
    ///
    /// Each `Dense(dFeature)` is `MultiplicativeModularSparseDense(m, dFeature)`, where `m` is `sparsity`.
    ///
    /// Shapes: `[batch, length, dFeature]` → `[batch, length, dFeature]`. With `useSegments` also segment ids `int32[batch, length]`,
    /// which are an output too.
    /// Weights: those of four such layers.
    /// State: none; in mode `'predict'` that of `DotProductCausalAttention`.
    /// Modes: drops attention strengths in `'train'` only. In `'predict'` it takes the next positions only.
    /// Errors:
    /// - `InvalidOption`: `nHeads` or `sparsity` does not divide `dFeature`.
    /// - `ShapeMismatch`: the input does not have three axes, or the segments are not one for each position.
    /// - `DTypeMismatch`: segments are floats or booleans.
    /// Source: Trax; Jaszczur et al. 2021, arXiv:2111.12763.
    /// Example:
    /// ```ts
    /// const layer = tl.MultiplicativeModularCausalAttention(8, { nHeads: 2, sparsity: 4 });
    /// layer.init({ shape: [1, 3, 8], dtype: 'float32' });
    /// layer(tl.ones([1, 3, 8])).shape; // → [ 1, 3, 8 ]
    /// ```
    pub struct MultiplicativeModularCausalAttentionOptions for "MultiplicativeModularCausalAttention" ("dFeature")
        with (causal: SparseCausalAttentionOptions) {
        /// Width of the vectors.
        d_feature "dFeature": Dim,
        /// Modules of a projection; `null`: as many as heads.
        sparsity "sparsity": Option<Dim> = None,
    }
}

/// Modules of a projection of `d_feature` features; by default as many as heads.
///
/// # Errors
/// `InvalidOption` unless heads and modules divide the features.
pub(super) fn modules(kind: &str, d_feature: Dim, n_heads: Dim, sparsity: Option<Dim>) -> Result<usize> {
    check_heads(kind, "dFeature", d_feature, n_heads)?;
    let modules = sparsity.unwrap_or(n_heads).0;
    if !d_feature.0.is_multiple_of(modules) {
        let d = d_feature.0;
        return Err(Error::option(format!(
            "{kind}: `dFeature` must be a multiple of `sparsity`, got {d} and {modules}"
        )));
    }
    Ok(modules)
}

/// Causal attention with projections that `project` makes.
fn attention(causal: &SparseCausalAttentionOptions, project: impl Fn() -> Result<LayerRef>) -> Result<LayerRef> {
    let layer = configurable_attention(ConfigurableAttentionOptions {
        q_layer: LayerNest::One(project()?),
        k_layer: LayerNest::One(project()?),
        v_layer: LayerNest::One(project()?),
        final_layer: LayerNest::One(project()?),
        qkv_attention_layer: LayerNest::One(causal.attend()?),
        n_heads: causal.n_heads,
    })?;
    assert_function(causal.shapes(), layer)
}

/// See [`ModularCausalAttentionOptions`].
///
/// # Errors
/// `InvalidOption` for sizes that do not divide.
pub fn modular_causal_attention(o: ModularCausalAttentionOptions) -> Result<LayerRef> {
    let modules = modules("ModularCausalAttention", o.d_feature, o.causal.n_heads, o.sparsity)?;
    attention(&o.causal, || {
        let options = LocallyConnectedDenseOptions::new(Dim(modules), Dim(o.d_feature.0 / modules));
        let layer = locally_connected_dense(LocallyConnectedDenseOptions { kernel_size: o.kernel_size, ..options })?;
        assert_function("...a->...b", layer)
    })
}

/// See [`ConvCausalAttentionOptions`].
///
/// # Errors
/// `InvalidOption` for sizes that do not divide.
pub fn conv_causal_attention(o: ConvCausalAttentionOptions) -> Result<LayerRef> {
    let modules = modules("ConvCausalAttention", o.d_feature, o.causal.n_heads, o.sparsity)?;
    attention(&o.causal, || {
        let options = LocallyConvDenseOptions::new(Dim(modules), Dim(o.d_feature.0 / modules), o.causal.mode);
        let layer = locally_conv_dense(LocallyConvDenseOptions { kernel_size: o.kernel_size, ..options })?;
        assert_function("...a->...b", layer)
    })
}

/// See [`LowRankCausalAttentionOptions`].
///
/// # Errors
/// `InvalidOption` unless `nHeads` divides `dFeature`.
pub fn low_rank_causal_attention(o: LowRankCausalAttentionOptions) -> Result<LayerRef> {
    check_heads("LowRankCausalAttention", "dFeature", o.d_feature, o.causal.n_heads)?;
    attention(&o.causal, || low_rank_dense(LowRankDenseOptions { n_units: o.d_feature, d_lowrank: o.lowrank }))
}

/// See [`MultiplicativeCausalAttentionOptions`].
///
/// # Errors
/// `InvalidOption` for sizes that do not divide.
pub fn multiplicative_causal_attention(o: MultiplicativeCausalAttentionOptions) -> Result<LayerRef> {
    let modules = modules("MultiplicativeCausalAttention", o.d_feature, o.causal.n_heads, o.sparsity)?;
    attention(&o.causal, || factored(modules, o.d_feature))
}

/// A `FactoredDense` from features to as many.
pub(super) fn factored(modules: usize, d_feature: Dim) -> Result<LayerRef> {
    factored_dense(FactoredDenseOptions::new(Dim(modules), d_feature, d_feature))
}

/// See [`MultiplicativeModularCausalAttentionOptions`].
///
/// # Errors
/// `InvalidOption` for sizes that do not divide.
pub fn multiplicative_modular_causal_attention(o: MultiplicativeModularCausalAttentionOptions) -> Result<LayerRef> {
    let modules = modules("MultiplicativeModularCausalAttention", o.d_feature, o.causal.n_heads, o.sparsity)?;
    attention(&o.causal, || {
        multiplicative_modular_sparse_dense(MultiplicativeModularSparseDenseOptions {
            sparsity: Dim(modules),
            d_feature: o.d_feature,
        })
    })
}
