//! Multi-head attention, composed of projections, heads and dot-product attention.
use super::{
    dot_product::{
        dot_product_causal_attention, pure_attention, DotProductCausalAttentionOptions, PureAttentionOptions,
    },
    heads::{check_heads, merge_heads, split_into_heads, MergeHeadsOptions, SplitIntoHeadsOptions},
};
use crate::{
    assert_shape::assert_function,
    combinators,
    convolution::{causal_depthwise_conv, CausalDepthwiseConvOptions},
    core::dense,
    options,
    options::OptionType,
    research::sparsity::{factored_dense, locally_conv_dense, FactoredDenseOptions, LocallyConvDenseOptions},
    Dim, Error, LayerNest, LayerRef, Mode, Rate, Result,
};

options! {
    /// Lets each position of a sequence take from all others what it needs: multi-head self-attention.
    ///
    /// Three `Dense` make queries, keys and values of the input, `PureAttention` attends, and a fourth `Dense` maps the result.
    ///
    /// Shapes: `[batch, length, dFeature]`, mask `[batch, 1, x, length]` → `[batch, length, dFeature]` and the mask, whose `x` is 1 or
    /// `length`. The mask is not zero where there is content.
    /// Weights: those of the four `Dense`, each of `dFeature` units, nested as the layers are.
    /// State: none; in mode `'viz'` the attention strengths of the last call.
    /// Modes: drops attention strengths in `'train'` only.
    /// Errors:
    /// - `InvalidOption`: `nHeads` does not divide `dFeature`.
    /// - `ShapeMismatch`: the shapes do not fit each other.
    /// Source: Trax; Vaswani et al. 2017, arXiv:1706.03762.
    /// See: `CausalAttention`, where no position sees a later one; `AttentionQKV`, for three sources; `PaddingMask` and `SegmentMask`, for the mask.
    /// Example:
    /// ```ts
    /// const layer = tl.Attention(8, { nHeads: 2 });
    /// const [x, mask] = [tl.ones([1, 3, 8]), tl.ones([1, 1, 1, 3])];
    /// layer.init(tl.signature([x, mask]));
    /// layer([x, mask]).map((y) => y.shape); // → [ [ 1, 3, 8 ], [ 1, 1, 1, 3 ] ]
    /// ```
    pub struct AttentionOptions for "Attention" ("dFeature") {
        /// Width of the vectors.
        d_feature "dFeature": Dim,
        /// Number of heads.
        n_heads "nHeads": Dim = Dim(1),
        /// Probability of dropping an attention strength.
        dropout "dropout": Rate = Rate(0.0),
        /// How the layer behaves.
        mode "mode": Mode = Mode::Train,
    }
}

options! {
    /// Attends with queries, keys and values from three sources, for example a decoder's and an encoder's activations.
    ///
    /// It works as `Attention` does, but each of the three projections has an input of its own. A sparse projection of several modules also
    /// sees the two positions before, whatever the mask, so it does not keep the sequences of a packed row apart.
    ///
    /// Shapes: query source `[batch, length, d]`, key source `[batch, keys, d]`, value source `[batch, keys, d]`, mask
    /// `[batch, 1, x, keys]` → `[batch, length, dFeature]` and the mask, whose `x` is 1 or `length`.
    /// Weights: those of the four `Dense`, each of `dFeature` units, or of what `qSparsity` and `resultSparsity` put in their places.
    /// State: none; with `cacheKVInPredict` in mode `'predict'` the keys and values of the first call.
    /// Modes: drops attention strengths in `'train'` only.
    /// Errors:
    /// - `InvalidOption`: a sparsity does not divide `dFeature`.
    /// - `InvalidOption`: `nHeads` does not divide `dFeature`.
    /// - `ShapeMismatch`: the shapes do not fit each other.
    /// Source: Trax; Vaswani et al. 2017, arXiv:1706.03762; for the sparsity Jaszczur et al. 2021, arXiv:2111.12763.
    /// See: `EncoderDecoderMask`, for the mask.
    /// Example:
    /// ```ts
    /// const layer = tl.AttentionQKV(8, { nHeads: 2 });
    /// const [decoder, encoder, mask] = [tl.ones([1, 2, 8]), tl.ones([1, 5, 8]), tl.ones([1, 1, 1, 5])];
    /// layer.init(tl.signature([decoder, encoder, encoder, mask]));
    /// layer([decoder, encoder, encoder, mask]).map((y) => y.shape); // → [ [ 1, 2, 8 ], [ 1, 1, 1, 5 ] ]
    /// ```
    pub struct AttentionQKVOptions for "AttentionQKV" ("dFeature") {
        /// Width of the vectors.
        d_feature "dFeature": Dim,
        /// Number of heads.
        n_heads "nHeads": Dim = Dim(1),
        /// Probability of dropping an attention strength.
        dropout "dropout": Rate = Rate(0.0),
        /// How the layer behaves.
        mode "mode": Mode = Mode::Train,
        /// Whether predict mode computes keys and values once and keeps them.
        cache_kv_in_predict "cacheKVInPredict": bool = false,
        /// Modules of a sparse query projection; `'noop'`: no projection; null: a `Dense`.
        q_sparsity "qSparsity": Option<Sparsity> = None,
        /// Modules of a sparse result projection; `'noop'`: no projection; null: a `Dense`.
        result_sparsity "resultSparsity": Option<Sparsity> = None,
    }
}

options! {
    /// Makes multi-head self-attention of parts that are given.
    ///
    /// Copies of the input go through `qLayer`, `kLayer` and `vLayer`, and are split into heads. `qkvAttentionLayer` attends; then the
    /// heads are joined and go through `finalLayer`.
    ///
    /// Shapes: `[batch, length, d]` → `[batch, length, d]`.
    /// Weights: those of the parts, nested as the layers are.
    /// State: that of the parts.
    /// Modes: those of the parts.
    /// Errors:
    /// - `ShapeMismatch`: the shapes do not fit each other, or `nHeads` does not divide the width of the queries.
    /// Source: Trax.
    /// Example:
    /// ```ts
    /// const dense = () => tl.Dense(4);
    /// const attend = tl.DotProductCausalAttention();
    /// const layer = tl.ConfigurableAttention(dense(), dense(), dense(), dense(), attend, { nHeads: 2 });
    /// layer.init({ shape: [1, 3, 4], dtype: 'float32' });
    /// [layer(tl.ones([1, 3, 4]))].flat().map((y) => y.shape); // → [ [ 1, 3, 4 ] ]
    /// ```
    pub struct ConfigurableAttentionOptions for "ConfigurableAttention" ("qLayer", "kLayer", "vLayer", "finalLayer", "qkvAttentionLayer") {
        /// Maps the input to queries.
        q_layer "qLayer": LayerNest,
        /// Maps the input to keys.
        k_layer "kLayer": LayerNest,
        /// Maps the input to values.
        v_layer "vLayer": LayerNest,
        /// Maps the joined heads to the output.
        final_layer "finalLayer": LayerNest,
        /// Attends for each head: three inputs, one output; or four and two, where segments go through it.
        qkv_attention_layer "qkvAttentionLayer": LayerNest,
        /// Number of heads.
        n_heads "nHeads": Dim = Dim(1),
    }
}

options! {
    /// Lets each position of a sequence take from those before it, and from itself, what it needs: multi-head causal self-attention.
    ///
    /// Three `Dense` make queries, keys and values of the input, `DotProductCausalAttention` attends for each head, and a fourth
    /// `Dense` maps the result.
    ///
    /// With `useSegments` several sequences can stand one behind the other in one row, each with an id of its own: no position sees another
    /// sequence.
    ///
    /// Shapes: `[batch, length, dFeature]` → `[batch, length, dFeature]`. With `useSegments` also segment ids `int32[batch, length]`,
    /// which are an output too.
    /// Weights: those of the four `Dense`, each of `dFeature` units; with `useDconv` those of three `CausalDepthwiseConv` too.
    /// State: none; in mode `'predict'` that of `DotProductCausalAttention` and, with `useDconv`, of the convolutions.
    /// Modes: drops attention strengths in `'train'` only. In `'predict'` it takes the next positions only, and goes on behind those
    /// that it has seen.
    /// Errors:
    /// - `InvalidOption`: `nHeads` does not divide `dFeature`, or `useDconv` and `useSegments` are both given.
    /// - `InvalidArgument`: predict mode runs past `maxInferenceLength`.
    /// - `ShapeMismatch`: the input does not have three axes, or the segments are not one for each position.
    /// - `DTypeMismatch`: segments are floats or booleans.
    /// Source: Trax; Vaswani et al. 2017, arXiv:1706.03762.
    /// See: `Attention`; `LSHSelfAttention`, for long sequences.
    /// Example:
    /// ```ts
    /// const layer = tl.CausalAttention(8, { nHeads: 2 });
    /// layer.init({ shape: [1, 3, 8], dtype: 'float32' });
    /// layer(tl.ones([1, 3, 8])).shape; // → [ 1, 3, 8 ]
    /// ```
    pub struct CausalAttentionOptions for "CausalAttention" ("dFeature") {
        /// Width of the vectors.
        d_feature "dFeature": Dim,
        /// Number of heads.
        n_heads "nHeads": Dim = Dim(1),
        /// Probability of dropping an attention strength.
        dropout "dropout": Rate = Rate(0.0),
        /// Positions that predict mode has room for.
        max_inference_length "maxInferenceLength": Dim = Dim(2048),
        /// Whether queries, keys and values go through a depthwise convolution after their projection.
        use_dconv "useDconv": bool = false,
        /// Whether a further input tells the segment of each position, outside of which it sees nothing.
        use_segments "useSegments": bool = false,
        /// How the layer behaves.
        mode "mode": Mode = Mode::Train,
    }
}

/// Positions that causal attention of a model of `max_len` has room for in mode `'predict'`: all of the model's, and no fewer than by itself, as
/// Trax's states have that size. Fewer would save nothing.
pub fn room_of_model(max_len: usize) -> usize {
    max_len.max(CausalAttentionOptions::new(Dim(1)).max_inference_length.0)
}

/// The shapes of attention that takes segments, and passes them on.
pub(crate) const SEGMENTED: &str = "bld,bl->bld,bl";

/// How a projection is thinned out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sparsity {
    /// No projection.
    Noop,
    /// So many modules.
    Modules(usize),
}

impl OptionType for Sparsity {
    const TS: &'static str = "number | 'noop'";
    const EXPECTED: &'static str = "a whole number of at least 1, or 'noop'";
    fn parse(v: &crate::HostValue) -> Option<Self> {
        if v.text() == Some("noop") {
            return Some(Sparsity::Noop);
        }
        Dim::parse(v).map(|d| Sparsity::Modules(d.0))
    }
    fn show(&self) -> String {
        match self {
            Sparsity::Noop => "'noop'".into(),
            Sparsity::Modules(n) => n.to_string(),
        }
    }
}

/// See [`AttentionOptions`].
///
/// # Errors
/// `InvalidOption` when `dFeature` is no multiple of `nHeads`.
pub fn attention(o: AttentionOptions) -> Result<LayerRef> {
    check_heads("Attention", "dFeature", o.d_feature, o.n_heads)?;
    let qkv = attention_qkv(AttentionQKVOptions {
        n_heads: o.n_heads,
        dropout: o.dropout,
        mode: o.mode,
        ..AttentionQKVOptions::new(o.d_feature)
    })?;
    let layer = combinators::serial(vec![combinators::select(&[0, 0, 0], None)?, qkv]);
    assert_function("bld,b1xl->bld,b1xl", layer)
}

/// See [`AttentionQKVOptions`].
///
/// # Errors
/// `InvalidOption` when `dFeature` is no multiple of `nHeads`, or of a sparsity.
pub fn attention_qkv(o: AttentionQKVOptions) -> Result<LayerRef> {
    check_heads("AttentionQKV", "dFeature", o.d_feature, o.n_heads)?;
    let d = o.d_feature;
    let sparse = |sparsity: Option<Sparsity>| match sparsity {
        None => Ok(dense(d.0)),
        Some(Sparsity::Noop) => Ok(combinators::serial(Vec::new())),
        Some(Sparsity::Modules(n)) => {
            if !d.0.is_multiple_of(n) {
                return Err(Error::option(format!(
                    "AttentionQKV: dFeature {} is no multiple of the sparsity {n}",
                    d.0
                )));
            }
            Ok(combinators::serial(vec![
                factored_dense(FactoredDenseOptions::new(Dim(n), d, d))?,
                locally_conv_dense(LocallyConvDenseOptions {
                    kernel_size: Dim(3),
                    length_kernel_size: Dim(3),
                    ..LocallyConvDenseOptions::new(Dim(n), Dim(d.0 / n), o.mode)
                })?,
            ]))
        }
    };
    let cacheable = || {
        let layer = dense(d.0);
        Ok::<_, Error>(if o.cache_kv_in_predict { combinators::cache_in_predict(layer, o.mode) } else { layer })
    };
    let attend = pure_attention(PureAttentionOptions { n_heads: o.n_heads, dropout: o.dropout, mode: o.mode })?;
    let layer = combinators::serial(vec![
        combinators::parallel(vec![sparse(o.q_sparsity)?, cacheable()?, cacheable()?])?,
        attend,
        sparse(o.result_sparsity)?,
    ]);
    assert_function("bSq,blk,blv,b1xl->bSd,b1xl", layer)
}

/// See [`ConfigurableAttentionOptions`].
///
/// # Errors
/// None.
pub fn configurable_attention(o: ConfigurableAttentionOptions) -> Result<LayerRef> {
    let split = |layer: LayerNest| {
        let heads = split_into_heads(SplitIntoHeadsOptions { n_heads: o.n_heads, merged_batch_and_head: true })?;
        Ok::<_, Error>(LayerNest::List(vec![layer, LayerNest::One(heads)]))
    };
    let branch = combinators::branch(vec![split(o.q_layer)?, split(o.k_layer)?, split(o.v_layer)?])?;
    let merge = merge_heads(MergeHeadsOptions { n_heads: o.n_heads, merged_batch_and_head: true })?;
    let parts = vec![branch.into(), o.qkv_attention_layer, merge.into(), o.final_layer];
    let layers = combinators::flat("ConfigurableAttention", parts)?;
    assert_function("bld->bld", combinators::serial(layers))
}

/// See [`CausalAttentionOptions`].
///
/// # Errors
/// `InvalidOption` when `dFeature` is no multiple of `nHeads`.
pub fn causal_attention(o: CausalAttentionOptions) -> Result<LayerRef> {
    check_heads("CausalAttention", "dFeature", o.d_feature, o.n_heads)?;
    if o.use_dconv && o.use_segments {
        let what = "CausalAttention: `useDconv` and `useSegments` do not go together, as a convolution mixes segments";
        return Err(Error::option(what));
    }
    let project = || -> Result<LayerNest> {
        let layer = dense(o.d_feature.0);
        let layer = if o.use_dconv {
            combinators::serial(vec![
                layer,
                causal_depthwise_conv(CausalDepthwiseConvOptions {
                    mode: o.mode,
                    ..CausalDepthwiseConvOptions::new()
                })?,
            ])
        } else {
            layer
        };
        Ok(LayerNest::One(layer))
    };
    let attend = dot_product_causal_attention(DotProductCausalAttentionOptions {
        dropout: o.dropout,
        max_inference_length: o.max_inference_length,
        use_segments: o.use_segments,
        mode: o.mode,
    })?;
    let layer = configurable_attention(ConfigurableAttentionOptions {
        q_layer: project()?,
        k_layer: project()?,
        v_layer: project()?,
        final_layer: LayerNest::One(dense(o.d_feature.0)),
        qkv_attention_layer: LayerNest::One(attend),
        n_heads: o.n_heads,
    })?;
    assert_function(if o.use_segments { SEGMENTED } else { "bld->bld" }, layer)
}
