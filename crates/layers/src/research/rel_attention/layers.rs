//! Relative attention with its projections, positions and masks.
use super::{
    attend::{relative_attention, RelativeAttentionOptions},
    inputs::{create_attention_mask_layer, positional_embeddings, PositionalEmbeddingsOptions},
};
use crate::{
    assert_shape::assert_function,
    combinators::{branch, parallel, select, serial},
    core::{dense, weights},
    initializers::random_normal,
    options, Arity, Dim, Error, LayerArg, LayerRef, Mode, Positive, Rate, Result,
};

options! {
    /// Causal self-attention with relative positions, from vectors to vectors, made as other attention layers are.
    ///
    /// `RelativeAttentionLMLayer` of the input as queries, keys and values. Shapes: `(b,l,d) -> (b,l,d)`.
    /// Weights: those of `RelativeAttentionLMLayer`. State: none.
    /// Mode: dropout of attention strengths only in `'train'`; in `'predict'` it sees the positions of a call alone, as in Trax.
    /// Errors: `InvalidOption` without the bias layers or `totalPooling`, which Trax finds out when the layer is called.
    pub struct RelativeAttentionWrapperOptions for "RelativeAttentionWrapper" ("dFeature") {
        /// Width of the vectors.
        d_feature "dFeature": Dim,
        /// Number of heads.
        n_heads "nHeads": Dim = Dim(1),
        /// Probability of dropping an attention strength.
        dropout "dropout": Rate = Rate(0.0),
        /// Changes nothing; taken so that it is made as other attention layers are.
        max_inference_length "maxInferenceLength": Dim = Dim(2048),
        /// How the layer behaves.
        mode "mode": Mode = Mode::Train,
        /// What is added to queries where they meet keys: a layer without inputs, such as `getRelAttInputs` gives; needed.
        context_bias_layer "contextBiasLayer": Option<LayerArg> = None,
        /// What is added to queries where they meet distances: a layer without inputs; needed.
        location_bias_layer "locationBiasLayer": Option<LayerArg> = None,
        /// How many positions of the input of the model have become one position here; needed.
        total_pooling "totalPooling": Option<Positive> = None,
    }
}

options! {
    /// The biases of relative attention, shared by all attention layers of a model.
    ///
    /// Returns the pair of the layer of the context bias and that of the location bias, both `Weights` of shape
    /// `(1, nHeads, 1, dModel / nHeads)`, drawn from a normal distribution of deviation 1e-6.
    /// Errors: `InvalidOption` for a `dModel` that is odd or no multiple of `nHeads`.
    pub struct GetRelAttInputsOptions for "getRelAttInputs" ("dModel", "nHeads") {
        /// Width of the vectors.
        d_model "dModel": Dim,
        /// Number of heads.
        n_heads "nHeads": Dim,
    }
}

options! {
    /// Multi-head attention with relative positions and projections: `(queries, keys, values, mask) -> (activations, mask)`.
    ///
    /// Dense projections of the encoded distances, queries, keys and values; `RelativeAttention`; a dense projection of the result.
    /// Shapes: `(b,q,d), (b,k,d), (b,k,d), (b,1,x,k) -> (b,q,dFeature), (b,1,x,k)`; one of `q` and `k` is a multiple of the other. Time and
    /// memory grow with `q·k`, with more queries than keys with `q²`.
    /// Weights: five `Dense` of `dFeature` units, and those of the bias layers. State: none.
    /// Mode: dropout of attention strengths only in `'train'`.
    /// Errors: `ShapeMismatch` for lengths of which none is a multiple of the other; `InvalidOption` for `separateCls: true`, or a bias that is
    /// no layer without inputs.
    /// Source: Dai et al. 2019, arXiv:1901.02860; Dai et al. 2020, arXiv:2006.03236.
    pub struct RelativeAttentionLayerOptions for "RelativeAttentionLayer"
        ("dFeature", "contextBiasLayer", "locationBiasLayer", "totalKvPooling", "separateCls") {
        /// Width of the result.
        d_feature "dFeature": Dim,
        /// What is added to queries where they meet keys: a layer without inputs, such as `getRelAttInputs` gives.
        context_bias_layer "contextBiasLayer": LayerArg,
        /// What is added to queries where they meet distances: a layer without inputs.
        location_bias_layer "locationBiasLayer": LayerArg,
        /// How many positions of the input of the model have become one key.
        total_kv_pooling "totalKvPooling": Positive,
        /// Must be false: no encoding is defined for a class token.
        separate_cls "separateCls": bool,
        /// Number of heads.
        n_heads "nHeads": Dim = Dim(1),
        /// Probability of dropping an attention strength.
        dropout "dropout": Rate = Rate(0.0),
        /// How the layer behaves.
        mode "mode": Mode = Mode::Train,
    }
}

options! {
    /// Causal attention with relative positions: `(queries, keys, values) -> activations`.
    ///
    /// `RelativeAttentionLayer` with the mask of `CreateAttentionMaskLayer`.
    /// Shapes: `(b,q,d), (b,k,d), (b,k,d) -> (b,q,dFeature)`; one of `q` and `k` is a multiple of the other.
    /// Weights: those of `RelativeAttentionLayer`. State: none. Mode: dropout of attention strengths only in `'train'`.
    /// Errors: those of `RelativeAttentionLayer`.
    /// Source: Nawrot et al. 2021, arXiv:2110.13711.
    pub struct RelativeAttentionLMLayerOptions for "RelativeAttentionLMLayer"
        ("dFeature", "contextBiasLayer", "locationBiasLayer", "totalKvPooling") {
        /// Width of the result.
        d_feature "dFeature": Dim,
        /// What is added to queries where they meet keys: a layer without inputs, such as `getRelAttInputs` gives.
        context_bias_layer "contextBiasLayer": LayerArg,
        /// What is added to queries where they meet distances: a layer without inputs.
        location_bias_layer "locationBiasLayer": LayerArg,
        /// How many positions of the input of the model have become one key.
        total_kv_pooling "totalKvPooling": Positive,
        /// Must be false: no encoding is defined for a class token.
        separate_cls "separateCls": bool = false,
        /// Number of heads.
        n_heads "nHeads": Dim = Dim(1),
        /// Probability of dropping an attention strength.
        dropout "dropout": Rate = Rate(0.0),
        /// How the layer behaves.
        mode "mode": Mode = Mode::Train,
    }
}

/// See [`GetRelAttInputsOptions`].
pub(super) fn get_rel_att_inputs(o: &GetRelAttInputsOptions) -> Result<Vec<LayerRef>> {
    let (d, n) = (o.d_model.0, o.n_heads.0);
    if !d.is_multiple_of(n) || !d.is_multiple_of(2) {
        return Err(Error::option(format!(
            "getRelAttInputs: `dModel` must be even and a multiple of `nHeads`, got {d} for {n} heads"
        )));
    }
    let bias = || weights(random_normal(1e-6), &[1, n, 1, d / n]);
    Ok(vec![bias(), bias()])
}

/// See [`RelativeAttentionWrapperOptions`].
pub(super) fn relative_attention_wrapper(o: RelativeAttentionWrapperOptions) -> Result<LayerRef> {
    let needed = |option: &str, what: &str| {
        Error::option(format!(
            "RelativeAttentionWrapper: `{option}` is required and must be {what}; getRelAttInputs makes the bias layers"
        ))
    };
    let bias = "a layer without inputs";
    let attention = relative_attention_lm_layer(RelativeAttentionLMLayerOptions {
        d_feature: o.d_feature,
        context_bias_layer: o.context_bias_layer.ok_or_else(|| needed("contextBiasLayer", bias))?,
        location_bias_layer: o.location_bias_layer.ok_or_else(|| needed("locationBiasLayer", bias))?,
        total_kv_pooling: o.total_pooling.ok_or_else(|| needed("totalPooling", "a number above 0"))?,
        separate_cls: false,
        n_heads: o.n_heads,
        dropout: o.dropout,
        mode: o.mode,
    })?;
    Ok(serial(vec![select(&[0, 0, 0], None)?, attention]))
}

/// See [`RelativeAttentionLayerOptions`].
pub(super) fn relative_attention_layer(o: RelativeAttentionLayerOptions) -> Result<LayerRef> {
    for (option, layer) in
        [("contextBiasLayer", &o.context_bias_layer.0), ("locationBiasLayer", &o.location_bias_layer.0)]
    {
        let Arity { n_in, n_out } = layer.arity();
        if layer.arity() != Arity::new(0, 1) {
            return Err(Error::option(format!(
                "RelativeAttentionLayer: `{option}` must be a layer without inputs and with one output, such as Weights, \
                 got {} with {n_in} and {n_out}",
                layer.base().name
            )));
        }
    }
    let d = o.d_feature.0;
    let positions = positional_embeddings(&PositionalEmbeddingsOptions {
        d_feature: o.d_feature,
        separate_cls: o.separate_cls,
        total_kv_pooling: o.total_kv_pooling,
    })?;
    let attend = relative_attention(RelativeAttentionOptions {
        separate_cls: o.separate_cls,
        n_heads: o.n_heads,
        dropout: o.dropout,
        mode: o.mode,
    });
    let layer = serial(vec![
        branch(vec![positions, select(&[0], None)?, select(&[1], None)?])?,
        parallel(vec![dense(d), dense(d), dense(d), dense(d)])?,
        o.context_bias_layer.0,
        o.location_bias_layer.0,
        attend,
        dense(d),
    ]);
    assert_function("bSq,blk,blv,b1xl->bSd,b1xl", layer)
}

/// See [`RelativeAttentionLMLayerOptions`].
///
/// # Errors
/// `InvalidOption` for a class token, or biases that are no layers without inputs.
pub(in crate::research) fn relative_attention_lm_layer(o: RelativeAttentionLMLayerOptions) -> Result<LayerRef> {
    let attention = relative_attention_layer(RelativeAttentionLayerOptions {
        d_feature: o.d_feature,
        context_bias_layer: o.context_bias_layer,
        location_bias_layer: o.location_bias_layer,
        total_kv_pooling: o.total_kv_pooling,
        separate_cls: o.separate_cls,
        n_heads: o.n_heads,
        dropout: o.dropout,
        mode: o.mode,
    })?;
    assert_function("bSq,blk,blv->bSd", serial(vec![create_attention_mask_layer()?, attention, select(&[0], Some(2))?]))
}
