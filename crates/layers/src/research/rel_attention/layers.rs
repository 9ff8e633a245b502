//! Relative attention with its projections, positions and masks.
use super::{
    attend::{relative_attention, RelativeAttentionOptions},
    inputs::{create_attention_mask_layer, positional_embeddings, PositionalEmbeddingsOptions},
};
use crate::{
    assert_shape::assert_function,
    attention::{check_segments_of, same_segment, SEGMENTED},
    combinators::{branch, parallel, select, serial},
    core::{dense, weights},
    framework::pure::pure_layer,
    initializers::random_normal,
    options, Arity, Dim, Error, LayerArg, LayerRef, Mode, Positive, Rate, Result, TensorSpec,
};

options! {
    /// Lets each position attend to those before it and to their distances; it is made with the options that other attention layers
    /// have.
    ///
    /// It is `RelativeAttentionLMLayer` of the input as queries, keys and values.
    ///
    /// Shapes: `[batch, length, dFeature]` → `[batch, length, dFeature]`. With `useSegments` also segment ids `int32[batch, length]`,
    /// which are an output too.
    /// Weights: those of `RelativeAttentionLMLayer`.
    /// State: none.
    /// Modes: drops attention strengths in `'train'` only. In `'predict'` it sees the positions of one call only, as in Trax, so a
    /// `Decoder` refuses it.
    /// Errors:
    /// - `InvalidOption`: the bias layers or `totalPooling` are missing. Trax finds that out when the layer is called.
    /// - `ShapeMismatch`: the input does not have three axes.
    /// Source: Trax; Nawrot et al. 2021, arXiv:2110.13711.
    /// Example:
    /// ```ts
    /// const [contextBiasLayer, locationBiasLayer] = tl.getRelAttInputs(4, 2);
    /// const layer = tl.RelativeAttentionWrapper(4, { nHeads: 2, contextBiasLayer, locationBiasLayer, totalPooling: 1 });
    /// layer.init({ shape: [1, 3, 4], dtype: 'float32' });
    /// layer(tl.ones([1, 3, 4])).shape; // → [ 1, 3, 4 ]
    /// ```
    pub struct RelativeAttentionWrapperOptions for "RelativeAttentionWrapper" ("dFeature") {
        /// Width of the vectors.
        d_feature "dFeature": Dim,
        /// Number of heads.
        n_heads "nHeads": Dim = Dim(1),
        /// Probability of dropping an attention strength.
        dropout "dropout": Rate = Rate(0.0),
        /// Changes nothing; taken so that it is made as other attention layers are.
        max_inference_length "maxInferenceLength": Dim = Dim(2048),
        /// Whether a further input tells the segment of each position, outside of which it sees nothing.
        use_segments "useSegments": bool = false,
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
    /// Makes the biases of relative attention, which all attention layers of a model share.
    ///
    /// It gives the layer of the context bias and that of the location bias. Both are `Weights` of shape
    /// `[1, nHeads, 1, dModel / nHeads]`, drawn from a normal distribution with a standard deviation of 1e-6.
    ///
    /// Shapes: no inputs → `[1, nHeads, 1, dModel / nHeads]`, for each of the two layers.
    /// Weights: that tensor, for each of the two layers.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `InvalidOption`: `dModel` is odd, or `nHeads` does not divide it.
    /// Source: Trax.
    /// See: `RelativeAttentionLMLayer`.
    /// Example:
    /// ```ts
    /// const [contextBias, locationBias] = tl.getRelAttInputs(4, 2);
    /// `${contextBias}`; // → 'Weights_(1, 2, 1, 2)_in0'
    /// ```
    pub struct GetRelAttInputsOptions for "getRelAttInputs" ("dModel", "nHeads") {
        /// Width of the vectors.
        d_model "dModel": Dim,
        /// Number of heads.
        n_heads "nHeads": Dim,
    }
}

options! {
    /// Attends with several heads to contents and to distances, with projections.
    ///
    /// `Dense` layers project the encoded distances, queries, keys and values; `RelativeAttention` attends; another `Dense` maps the
    /// result. Time and memory grow with `q · k`, and with more queries than keys with `q²`.
    ///
    /// Shapes: queries `[batch, q, d]`, keys `[batch, k, d]`, values `[batch, k, d]`, mask `[batch, 1, x, k]` → `[batch, q, dFeature]`
    /// and the mask. One of `q` and `k` is a multiple of the other.
    /// Weights: those of five `Dense` of `dFeature` units, and of the bias layers.
    /// State: none.
    /// Modes: drops attention strengths in `'train'` only. In `'predict'` it sees the positions of one call only, as in Trax, so a
    /// `Decoder` refuses it.
    /// Errors:
    /// - `ShapeMismatch`: neither length is a multiple of the other.
    /// - `InvalidOption`: `separateCls` is true, or a bias is not a layer without inputs.
    /// Source: Trax; Dai et al. 2019, arXiv:1901.02860; Dai et al. 2020, arXiv:2006.03236.
    /// See: `RelativeAttentionLMLayer`, where no position sees a later one.
    /// Example:
    /// ```ts
    /// const [contextBias, locationBias] = tl.getRelAttInputs(4, 2);
    /// const layer = tl.RelativeAttentionLayer(4, contextBias!, locationBias!, 1, false, { nHeads: 2 });
    /// const [x, mask] = [tl.ones([1, 3, 4]), tl.ones([1, 1, 1, 3])];
    /// layer.init(tl.signature([x, x, x, mask]));
    /// layer([x, x, x, mask]).map((y) => y.shape); // → [ [ 1, 3, 4 ], [ 1, 1, 1, 3 ] ]
    /// ```
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
    /// Attends with several heads to contents and to distances, so that no position sees a later one.
    ///
    /// It is `RelativeAttentionLayer` with the mask of `CreateAttentionMaskLayer`. With `useSegments` several sequences can stand one behind
    /// the other in one row, each with an id of its own: no position sees another sequence.
    ///
    /// Shapes: queries `[batch, q, d]`, keys `[batch, k, d]`, values `[batch, k, d]` → `[batch, q, dFeature]`. One of `q` and `k` is a
    /// multiple of the other. With `useSegments` also segment ids `int32[batch, q]`, which are an output too, and `q` is `k`.
    /// Weights: those of `RelativeAttentionLayer`.
    /// State: none.
    /// Modes: drops attention strengths in `'train'` only. In `'predict'` it sees the positions of one call only, as in Trax, so a
    /// `Decoder` refuses it.
    /// Errors:
    /// - those of `RelativeAttentionLayer`.
    /// - `ShapeMismatch`: the segments are not one for each position, or `q` is not `k` where there are segments.
    /// - `DTypeMismatch`: segments are floats or booleans.
    /// Source: Trax; Nawrot et al. 2021, arXiv:2110.13711.
    /// Example:
    /// ```ts
    /// const [contextBias, locationBias] = tl.getRelAttInputs(4, 2);
    /// const layer = tl.RelativeAttentionLMLayer(4, contextBias!, locationBias!, 1, { nHeads: 2 });
    /// const x = tl.ones([1, 3, 4]);
    /// layer.init(tl.signature([x, x, x]));
    /// layer([x, x, x]).shape; // → [ 1, 3, 4 ]
    /// ```
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
        /// Whether a further input tells the segment of each position, outside of which it sees nothing.
        use_segments "useSegments": bool = false,
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
        use_segments: o.use_segments,
        mode: o.mode,
    })?;
    let layer = serial(vec![select(&[0, 0, 0], None)?, attention]);
    if o.use_segments {
        assert_function(SEGMENTED, layer)
    } else {
        Ok(layer)
    }
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
    let (mask, last) = (create_attention_mask_layer()?, select(&[0], Some(2))?);
    if !o.use_segments {
        return assert_function("bSq,blk,blv->bSd", serial(vec![mask, attention, last]));
    }
    assert_function("blq,blk,blv,bl->bld,bl", serial(vec![mask, within_segments(), attention, last]))
}

/// Queries, keys, values, their mask and segment ids: the mask shows what is of one segment only.
fn within_segments() -> LayerRef {
    let check = |s: &[TensorSpec]| match s[3].shape[..] {
        [batch, _, queries, keys] if queries == keys => check_segments_of(&s[4], [batch, queries]),
        _ => Err(Error::shape(format!("segments are of queries and as many keys, got {} and {}", s[0], s[1]))),
    };
    pure_layer(
        "within segments",
        5,
        5,
        move |s| check(s).map(|()| s.to_vec()),
        move |xs| {
            check(&xs.iter().map(TensorSpec::of).collect::<Vec<_>>())?;
            let mut ys = xs.to_vec();
            ys[3] = xs[3].logical_and(&same_segment(&xs[4], &xs[4])?)?;
            Ok(ys)
        },
    )
}
