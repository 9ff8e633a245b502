//! Multi-head attention, composed of projections, heads and dot-product attention.
use super::{
    dot_product::{
        dot_product_causal_attention, pure_attention, DotProductCausalAttentionOptions, PureAttentionOptions,
    },
    heads::{merge_heads, split_into_heads, MergeHeadsOptions, SplitIntoHeadsOptions},
};
use crate::{
    assert_shape::assert_function, combinators, options, options::OptionType, registry::construct, Dim, Error,
    LayerNest, LayerRef, Mode, Rate, Result,
};
use serde_json::{json, Value};

options! {
    /// Multi-head self-attention from `(vectors, mask)` to `(new vectors, mask)`.
    ///
    /// Three dense projections to queries, keys and values, `PureAttention`, a dense projection of the result.
    /// Shapes: `(b,l,d), (b,1,1,l) -> (b,l,d), (b,1,1,l)`; the mask is nonzero where there is content.
    /// Weights: four `Dense` of `dFeature` units. State: none.
    /// Mode: dropout of attention strengths only in `'train'`.
    /// Errors: `ShapeMismatch` when `dFeature` is no multiple of `nHeads`.
    /// Source: Vaswani et al. 2017, arXiv:1706.03762.
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
    /// Multi-head attention from `(query source, key source, value source, mask)` to `(activations, mask)`.
    ///
    /// As `Attention`, with the three sources apart, e.g. a decoder's and an encoder's activations.
    /// Shapes: `(b,q,d), (b,k,d), (b,k,d), (b,1,x,k) -> (b,q,d), (b,1,x,k)`.
    /// Weights: four `Dense` of `dFeature` units, or what `qSparsity` and `resultSparsity` put in their places. State: none;
    /// with `cacheKVInPredict` in mode `'predict'` the keys and values of the first call.
    /// Mode: dropout of attention strengths only in `'train'`.
    /// Source: Vaswani et al. 2017, arXiv:1706.03762; sparsity: Jaszczur et al. 2021, arXiv:2111.12763.
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
    /// Multi-head self-attention made of the given parts.
    ///
    /// Three copies of the input go through `qLayer`, `kLayer`, `vLayer` and are split into heads; `qkvAttentionLayer`
    /// attends; heads are merged and go through `finalLayer`.
    /// Shapes: `(b,l,d) -> (b,l,d)`. Weights, state and modes: those of the parts.
    pub struct ConfigurableAttentionOptions for "ConfigurableAttention" ("qLayer", "kLayer", "vLayer", "finalLayer", "qkvAttentionLayer") {
        /// Maps the input to queries.
        q_layer "qLayer": LayerNest,
        /// Maps the input to keys.
        k_layer "kLayer": LayerNest,
        /// Maps the input to values.
        v_layer "vLayer": LayerNest,
        /// Maps the joined heads to the output.
        final_layer "finalLayer": LayerNest,
        /// Attends for each head: three inputs, one output.
        qkv_attention_layer "qkvAttentionLayer": LayerNest,
        /// Number of heads.
        n_heads "nHeads": Dim = Dim(1),
    }
}

options! {
    /// Multi-head self-attention in which no position sees a later one.
    ///
    /// Shapes: `(b,l,d) -> (b,l,d)`.
    /// Weights: four `Dense` of `dFeature` units, with `useDconv` three `CausalDepthwiseConv` more. State: none; in `'predict'`
    /// that of `DotProductCausalAttention` and of these.
    /// Mode: dropout of attention strengths only in `'train'`; `'predict'` takes the next positions only.
    /// Errors: `ShapeMismatch` when `dFeature` is no multiple of `nHeads`.
    /// Source: Vaswani et al. 2017, arXiv:1706.03762.
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
        /// How the layer behaves.
        mode "mode": Mode = Mode::Train,
    }
}

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
    fn parse(v: &Value) -> Option<Self> {
        if v.as_str() == Some("noop") {
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

fn dense(d_feature: Dim) -> Result<LayerRef> {
    construct("Dense", &json!({ "nUnits": d_feature.0 }))
}

/// See [`AttentionOptions`].
///
/// # Errors
/// None.
pub fn attention(o: AttentionOptions) -> Result<LayerRef> {
    let qkv = attention_qkv(AttentionQKVOptions {
        d_feature: o.d_feature,
        n_heads: o.n_heads,
        dropout: o.dropout,
        mode: o.mode,
        cache_kv_in_predict: false,
        q_sparsity: None,
        result_sparsity: None,
    })?;
    let layer = combinators::serial(vec![combinators::select(&[0, 0, 0], None)?, qkv]);
    assert_function("bld,b11l->bld,b11l", layer)
}

/// See [`AttentionQKVOptions`].
///
/// # Errors
/// `InvalidOption` for a sparsity that does not divide `dFeature`.
pub fn attention_qkv(o: AttentionQKVOptions) -> Result<LayerRef> {
    let d = o.d_feature;
    let sparse = |sparsity: Option<Sparsity>| match sparsity {
        None => dense(d),
        Some(Sparsity::Noop) => Ok(combinators::serial(Vec::new())),
        Some(Sparsity::Modules(n)) => {
            if !d.0.is_multiple_of(n) {
                return Err(Error::option(format!(
                    "AttentionQKV: dFeature {} is no multiple of the sparsity {n}",
                    d.0
                )));
            }
            Ok(combinators::serial(vec![
                construct("FactoredDense", &json!({ "nModules": n, "dIn": d.0, "dOut": d.0 }))?,
                construct(
                    "LocallyConvDense",
                    &json!({ "nModules": n, "nUnits": d.0 / n, "mode": o.mode.name(), "kernelSize": 3, "lengthKernelSize": 3 }),
                )?,
            ]))
        }
    };
    let cacheable = || {
        let layer = dense(d)?;
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
    super::heads::head_size(o.d_feature.0, o.n_heads.0)
        .map_err(|e| Error::option(format!("CausalAttention: {}", e.message())))?;
    let project = || -> Result<LayerNest> {
        let layer = dense(o.d_feature)?;
        let layer = if o.use_dconv {
            combinators::serial(vec![layer, construct("CausalDepthwiseConv", &json!({ "mode": o.mode.name() }))?])
        } else {
            layer
        };
        Ok(LayerNest::One(layer))
    };
    let attend = dot_product_causal_attention(DotProductCausalAttentionOptions {
        dropout: o.dropout,
        max_inference_length: o.max_inference_length,
        mode: o.mode,
    })?;
    let layer = configurable_attention(ConfigurableAttentionOptions {
        q_layer: project()?,
        k_layer: project()?,
        v_layer: project()?,
        final_layer: LayerNest::One(dense(o.d_feature)?),
        qkv_attention_layer: LayerNest::One(attend),
        n_heads: o.n_heads,
    })?;
    assert_function("bld->bld", layer)
}
